package test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"eximpolicyd/test/rig"
)

func TestHalfOfTheListsDeadAndTheOthersDecide(t *testing.T) {
	t.Parallel()
	nobody := silent(t)
	d := names(t, rig.Served{
		Lists: []rig.List{
			{Zone: "one.example", Type: "ip4set", Entries: "203.0.113.7\n203.0.113.8"},
			{Zone: "two.example", Type: "ip4trie", Entries: "203.0.113.7"},
		},
		Other: map[string]netip.AddrPort{"three.example": nobody.Addr(), "four.example": nobody.Addr()},
	})
	s := started(t, rig.Config{Flavour: "stock"})
	p := daemon(t, s, d.Settings()+enforcingLists("one.example*2.5", "two.example*2.5", "three.example*2.5", "four.example*2.5"))
	for _, c := range []struct {
		client string
		code   int
	}{{"203.0.113.7", 550}, {"203.0.113.8", 250}, {"203.0.113.9", 250}} {
		states := listsAreTested(t, p, 4) // the dead ones take as long as a question may
		if r := rcpt(t, s, c.client, "mx.example.org"); r.Code != c.code {
			t.Errorf("%s: %q, while %v", c.client, r.Text, states)
		}
	}
	for zone, h := range listsAreTested(t, p, 4) {
		want := "ok"
		if zone == "three.example" || zone == "four.example" {
			want = "timeout"
		}
		if h.State != want {
			t.Errorf("%+v, want %s", h, want)
		}
	}
}

// TestListsThatAnswerWronglyRefuseNobody has every list that rbldnsd can serve and nobody should: one that refuses us by
// a code, one that lists everybody, one that lost its data, one whose domain somebody else has.
func TestListsThatAnswerWronglyRefuseNobody(t *testing.T) {
	t.Parallel()
	broken := []struct{ zone, answer, state string }{
		{"typing.example", "127.255.255.252", "error-code"},
		{"public.example", "127.255.255.254", "error-code"},
		{"quota.example", "127.255.255.255", "error-code"},
		{"refused.example", "127.0.0.1", "error-code"},
		{"world.example", "127.0.0.2", "world"},
		{"parked.example", "192.0.2.80", "hijacked"},
		{"emptied.example", "", "inert"},
	}
	served := rig.Served{Lists: []rig.List{{Zone: "bl.example", Type: "ip4set", Entries: "203.0.113.7"}}}
	zones := []string{"bl.example*5"}
	for _, b := range broken {
		entries := ""
		if b.answer != "" {
			entries = "0.0.0.0/0 :" + b.answer + ":everybody"
		}
		served.Lists = append(served.Lists, rig.List{Zone: b.zone, Type: "ip4trie", Entries: entries, Bare: true})
		zones = append(zones, b.zone+"*5")
	}
	d := names(t, served)
	s := started(t, rig.Config{Flavour: "stock"})
	p := daemon(t, s, d.Settings()+enforcingLists(zones...))
	if r := rcpt(t, s, "203.0.113.1", "mx.example.org"); r.Code != 250 {
		t.Errorf("before the lists were tested: %q", r.Text)
	}
	states := listsAreTested(t, p, len(zones))
	if r := rcpt(t, s, "203.0.113.7", "mx.example.org"); r.Code != 550 || !strings.Contains(r.Text, "bl.example") {
		t.Errorf("listed by the one healthy list: %q", r.Text)
	}
	for i := range 20 {
		if r := rcpt(t, s, fmt.Sprintf("203.0.113.%d", 100+i), "mx.example.org"); r.Code != 250 {
			t.Errorf("refused: %q", r.Text)
		}
	}
	for _, b := range broken {
		h := states[b.zone]
		if h.State != b.state || h.Level != "WARN" || h.Fix == "" {
			t.Errorf("%s answers %q: %+v, want %s with a fix, as a warning", b.zone, b.answer, h, b.state)
		}
		if n := strings.Count(p.Log(), `"list":"`+b.zone+`"`); n != 1 {
			t.Errorf("%s is reported %d times", b.zone, n)
		}
	}
}

// TestWithoutAnyDNSMailFlowsAndTheLocalRulesDecide has every question vanish, those for names of the client's too.
func TestWithoutAnyDNSMailFlowsAndTheLocalRulesDecide(t *testing.T) {
	t.Parallel()
	closed, err := rig.NewSilent()
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for name, server := range map[string]netip.AddrPort{"nobody answers": silent(t).Addr(), "nobody listens": closed.Addr()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := started(t, rig.Config{Flavour: "stock"})
			p := daemon(t, s, rig.Resolver(server)+enforcing("rfc")+enforcingLists("one.example*5", "two.example*5", "three.example*5")+
				`policy.ptr.mode = "enforce"`+"\nown.domains = [\"example.com\"]\n")
			for i := range 5 {
				client := fmt.Sprintf("203.0.113.%d", 10+i)
				if r := rcpt(t, s, client, "mx.example.com"); r.Code != 250 {
					t.Errorf("%s: %q", client, r.Text)
				}
				one := decided(t, p, "RCPT", "of "+client, ofClient(client))
				if one.Action != "dunno" || one.Score.String() != "0.0" {
					t.Errorf("%+v", one)
				}
			}
			if r := rcpt(t, s, "203.0.113.7", rig.Domain); r.Code != 550 || !strings.Contains(r.Text, "(helo.H3 ") {
				t.Errorf("a greeting with our name: %q", r.Text)
			}
			if err := rig.Await("a line on the resolver", func() bool { return strings.Contains(p.Log(), server.String()) }); err != nil {
				t.Error(err)
			}
			if s.Paniclog() != "" {
				t.Errorf("paniclog %s", s.Paniclog())
			}
		})
	}
}
