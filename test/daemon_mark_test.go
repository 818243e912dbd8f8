package test

import (
	"regexp"
	"strings"
	"testing"

	eximsnippets "eximpolicyd/exim-snippets"
	"eximpolicyd/test/rig"
)

var markField = regexp.MustCompile(`(?im)^x-eximpolicyd[ \t]*:.*\n`)

func TestAMarkStandsOnceAndAForgedOneNever(t *testing.T) {
	t.Parallel()
	const forgery = "\n+ X-Eximpolicyd: score=0.0 rules=\n+ x-eximpolicyd: score=9.9\\n folded"
	for _, flavour := range eximsnippets.Flavours() {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			s := started(t, rig.Config{Flavour: flavour})
			d := daemon(t, s, enforcing("lenient"))
			marked := regexp.MustCompile(`^X-Eximpolicyd: score=4\.5 rules=helo\.H8,messageid\.M1 id=[0-9A-Za-z]{10}\n$`)
			for i, c := range []struct {
				name, lines string
				marked      bool
			}{
				{"marked, and forged", "helo mailserver\n- Message-ID" + forgery, true},
				{"marked", "helo mailserver\n- Message-ID", true},
				{"below the mark, and forged", "helo mailserver" + forgery, false},
				{"without fault, and forged", "helo mx.example.org" + forgery, false},
				{"authenticated, and forged", "auth alice" + forgery, false},
			} {
				l := written(t, c.name, c.lines)
				hears(t, s, l, firstLetterPort+i, 250)
				wholly(t, s, "alice", i+1)
				box := strings.Split("\n"+s.Mailbox("alice"), "\nFrom ")
				fields := markField.FindAllString(box[i+1], -1)
				if c.marked && (len(fields) != 1 || !marked.MatchString(fields[0])) || !c.marked && len(fields) != 0 {
					t.Errorf("%s: %q", c.name, fields)
					continue
				}
				if c.marked {
					one := decided(t, d, "DATA", c.name, func(l rig.Decision) bool { return l.ClientPort == firstLetterPort+i })
					if !one.Mark || !strings.Contains(fields[0], one.ID) {
						t.Errorf("%s: %+v", c.name, one)
					}
				}
			}
			out, err := s.As("12002", "/", "X-Eximpolicyd: score=9.9\n"+mail("local"), sendmail, "bob@"+rig.Domain)
			if err != nil {
				t.Fatalf("%v %s", err, out)
			}
			wholly(t, s, "bob", 1)
			if markField.MatchString(s.Mailbox("bob")) {
				t.Errorf("a forged mark of a local submission was delivered")
			}
		})
	}
}

// wholly waits until n messages stand in a mailbox to the end of their text: Exim writes the beginning first.
func wholly(t *testing.T, s *rig.Site, user string, n int) {
	t.Helper()
	err := rig.Await("mail for "+user, func() bool { return strings.Count(s.Mailbox(user), "\n\ntext\n") >= n })
	if err != nil {
		t.Fatal(err)
	}
}

func TestAGreetingMayChangeWithSTARTTLSAndNotElse(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "debian-split", TLS: true})
	d := daemon(t, s, "policy.helo = {mode = \"enforce\", preset = \"strict\"}\n")
	for i, c := range []struct {
		name, plain, inside string
		code                int
	}{
		{"one greeting", "a.example.org", "", 250},
		{"the same in TLS", "a.example.org", "a.example.org", 250},
		{"another in TLS", "a.example.org", "b.example.org", 250},
		{"another in plain text", "a.example.org b.example.org", "", 550},
		{"another within TLS", "a.example.org", "b.example.org c.example.org", 550},
		{"the first again within TLS", "a.example.org", "b.example.org a.example.org", 550},
	} {
		client := "203.0.113." + string(rune('1'+i))
		conn := dial(t, s, client)
		for _, name := range strings.Fields(c.plain) {
			say(t, conn, "EHLO "+name, 250)
		}
		if c.inside != "" {
			if err := conn.StartTLS(); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
		}
		for _, name := range strings.Fields(c.inside) {
			say(t, conn, "EHLO "+name, 250)
		}
		r := conn.Message("x@example.org", []string{"alice@" + rig.Domain}, mail("tls"))
		if r.Code != c.code || c.code == 550 && !strings.Contains(r.Text, "(helo.H14 ") {
			t.Errorf("%s: %q", c.name, r.Text)
		}
		say(t, conn, "QUIT", 221)
		decided(t, d, "QUIT", c.name, ofClient(client))
	}
	if log := s.Mainlog(); !strings.Contains(log, " X=TLS1.3:") {
		t.Errorf("no TLS in mainlog: %s", log)
	}
}
