package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"eximpolicyd/rbl"
	"eximpolicyd/test/rig"
)

// The lists of the differential, as Exim and as we write what counts: some of the codes, those of nets, either of two bits, and any.
var differentialZones = []struct{ exims, ours string }{
	{"set.example=127.0.0.2,127.0.0.3,127.0.0.10", "set.example=127.0.0.[2;3;10]"},
	{"trie.example=127.0.0.5,127.0.0.7", "trie.example=127.0.0.[5;7]"},
	{"mask.example&0.0.0.2,0.0.0.4", "mask.example=127.0.0.[2..7;10..15;18..23;26..31]"},
	{"any.example", "any.example"},
}

// A world is what the lists of the differential hold, and the addresses that they are asked about.
type world struct {
	lists    []rig.List
	subjects []netip.Addr
}

// differentialWorld is the same in every run: addresses of RFC 5737 and 3849, of which some are listed with a code that
// counts, some with one that does not, some with both.
func differentialWorld() world {
	r := rand.New(rand.NewPCG(5782, 1))
	var w world
	var set, trie, mask, any4, any6 strings.Builder
	for _, net := range []string{"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"} {
		p := netip.MustParsePrefix(net)
		for a := p.Addr(); p.Contains(a); a = a.Next() {
			w.subjects = append(w.subjects, a)
			for _, code := range [][]int{0: {2}, 1: {3}, 2: {4}, 3: {4, 10}, 4: {9}, 12: nil}[r.IntN(13)] {
				fmt.Fprintf(&set, "%s :127.0.0.%d:set\n", a, code)
			}
			if r.IntN(3) == 0 {
				fmt.Fprintf(&mask, "%s :127.0.0.%d:mask\n", a, 2+r.IntN(30))
			}
			if r.IntN(20) == 0 {
				fmt.Fprintf(&any4, "%s :127.%d.%d.%d:any\n", a, r.IntN(255), r.IntN(255), 2+r.IntN(250))
			}
			if a.As4()[3]%8 == 0 && r.IntN(2) == 0 { // a net, and an address in it that is passed over
				fmt.Fprintf(&trie, "%s/29 :127.0.0.%d:net\n!%s\n", a, 5+r.IntN(3), netip.AddrFrom4([4]byte(append(a.AsSlice()[:3], a.As4()[3]+byte(r.IntN(8))))))
			}
		}
	}
	for range 400 {
		b := netip.MustParseAddr("2001:db8::").As16()
		for i := 4; i < len(b); i++ {
			b[i] = byte(r.IntN(256))
		}
		a := netip.AddrFrom16(b)
		w.subjects = append(w.subjects, a)
		if length := []int{128, 64, 0, 0}[r.IntN(4)]; length > 0 {
			p, _ := a.Prefix(length) // a length that an IPv6 address has
			fmt.Fprintf(&any6, "%s :127.0.0.%d:v6\n", p, 2+r.IntN(250))
		}
	}
	r.Shuffle(len(w.subjects), func(i, j int) { w.subjects[i], w.subjects[j] = w.subjects[j], w.subjects[i] })
	w.subjects = w.subjects[:1000]
	w.lists = []rig.List{
		{Zone: "set.example", Type: "ip4set", Entries: set.String()},
		{Zone: "trie.example", Type: "ip4trie", Entries: trie.String()},
		{Zone: "mask.example", Type: "ip4set", Entries: mask.String()},
		{Zone: "any.example", Type: "ip4set", Entries: any4.String()},
		{Zone: "any.example", Type: "ip6trie", Entries: any6.String()},
	}
	return w
}

// library makes Lists of our own of the differential's zones, tested and all well.
func library(t *testing.T, server netip.AddrPort) *rbl.Lists {
	t.Helper()
	r, err := rbl.NewResolver(rbl.ResolverOptions{Servers: []netip.AddrPort{server}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	var entries []rbl.Entry
	for _, z := range differentialZones {
		var e rbl.Entry
		if err := e.UnmarshalText([]byte(z.ours)); err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	zones, err := rbl.Zones(rbl.OfAddresses, entries)
	if err != nil {
		t.Fatal(err)
	}
	lists := rbl.NewLists(r, zones, rbl.ListsOptions{})
	lists.Test(t.Context())
	for _, h := range lists.States() {
		if h.State != rbl.OK {
			t.Fatalf("%s is %v: %s", h.Zone, h.State, h.Why)
		}
	}
	return lists
}

// listing returns the zones that list a client according to us.
func listing(t *testing.T, lists *rbl.Lists, client netip.Addr) []string {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	zones := []string{}
	for _, a := range lists.Check(ctx, client).Answers {
		switch {
		case a.Status == rbl.Listed:
			zones = append(zones, a.Zone.Public)
		case a.Status == rbl.Unknown && (client.Is4() || a.Zone.Public == "any.example"):
			t.Errorf("%s does not know %s: %s", a.Zone.Public, client, a.Why)
		}
	}
	return zones
}

func TestOurVerdictIsThatOfEximsOwnDNSListsForAThousandAddresses(t *testing.T) {
	t.Parallel()
	w := differentialWorld()
	d := names(t, rig.Served{Lists: w.lists, Port53: true})
	var conditions, entries []string
	for _, z := range differentialZones {
		conditions = append(conditions, z.exims)
		entries = append(entries, `"`+z.ours+`"`)
	}
	s := started(t, rig.Config{Flavour: "stock", Nameserver: d.Nameserver(), ACL: ownACL(conditions...)})
	subjects := make([]string, len(w.subjects))
	for i, a := range w.subjects {
		subjects[i] = a.String()
	}
	exims := ownLists(t, s, subjects)
	lists := library(t, d.Addr())
	count := map[string]int{}
	for i, a := range w.subjects {
		count[fmt.Sprintf("by %d lists", len(exims[i]))]++
		for _, zone := range exims[i] {
			count[zone]++
		}
		if ours := listing(t, lists, a); !slices.Equal(ours, exims[i]) {
			t.Errorf("%s: %v list it for us, %v for Exim", a, ours, exims[i])
		}
	}
	// The comparison is worth something only where both answers are common.
	for _, what := range []string{"set.example", "trie.example", "mask.example", "any.example", "by 0 lists", "by 1 lists", "by 2 lists"} {
		if count[what] < 50 {
			t.Errorf("only %d of %d are listed by %s: %v", count[what], len(w.subjects), what, count)
		}
	}

	daemonDiffers(t, s, d, entries, w.subjects[:60], exims)
}

// daemonDiffers holds that the whole program refuses whom Exim's dnslists would have refused, and nobody else.
func daemonDiffers(t *testing.T, s *rig.Site, d *rig.DNS, entries []string, clients []netip.Addr, exims [][]string) {
	t.Helper()
	p := daemon(t, s, d.Settings()+`policy.rbl = {mode = "enforce", threshold = 1, zones = [`+strings.Join(entries, ", ")+"], name_zones = []}\n")
	listsAreTested(t, p, len(entries))
	for i, client := range clients {
		c := dial(t, s, client.String())
		say(t, c, "EHLO mx.example.org", 250)
		say(t, c, "MAIL FROM:<x@example.org>", 250)
		want := 250
		if len(exims[i]) > 0 {
			want = 550
		}
		if r := c.Say("RCPT TO:<alice@" + rig.Domain + ">"); r.Code != want {
			t.Errorf("%s: %d %s, while %v list it for Exim", client, r.Code, r.Text, exims[i])
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}
