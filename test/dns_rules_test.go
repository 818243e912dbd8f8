package test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"eximpolicyd/test/rig"
)

// ruleRecords are the DNS of the clients below, as the world has it.
var ruleRecords = []string{
	"mx.example.org. A 203.0.113.1",
	"mx.example.org. AAAA 2001:db8:1::1",
	"1.113.0.203.in-addr.arpa. PTR mx.example.org.",
	"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR mx.example.org.",
	"2.113.0.203.in-addr.arpa. PTR liar.example.net.",
	"liar.example.net. A 198.51.100.99",
	"3.113.0.203.in-addr.arpa. PTR host.example.net.",
	"host.example.net. A 203.0.113.3",
	"far.example.org. A 192.0.2.44",
	"sister.example.net. A 192.0.2.45",
	"mail.google.com. A 192.0.2.46",
	"empty.example.org. TXT \"no address\"",
	"4.113.0.203.in-addr.arpa. PTR one.example.net.",
	"4.113.0.203.in-addr.arpa. PTR two.example.net.",
	"one.example.net. A 192.0.2.47",
	"two.example.net. CNAME alias.example.net.",
	"alias.example.net. A 203.0.113.4",
	"example.com. A 192.0.2.48",
	"example.com. MX 10 mx1.example.com.",
	"mx1.example.com. A 203.0.113.5",
	"5.113.0.203.in-addr.arpa. PTR mx1.example.com.",
	"www.example.com. A 203.0.113.6",
	"6.113.0.203.in-addr.arpa. PTR www.example.com.",
}

func TestTheRulesThatAskTheDNSThroughRealNameServers(t *testing.T) {
	t.Parallel()
	nobody := silent(t)
	d := names(t, rig.Served{Records: ruleRecords, Other: map[string]netip.AddrPort{
		"dead.example.net": nobody.Addr(), "100.51.198.in-addr.arpa": nobody.Addr(),
	}})
	s := started(t, rig.Config{Flavour: "stock"})
	p := daemon(t, s, d.Settings()+`policy.helo.mode = "enforce"`+"\n"+`policy.ptr.mode = "enforce"`+"\nown.domains = [\"example.com\"]\n")
	for _, c := range []struct{ name, client, helo, rules, score string }{
		{"no name of the address", "203.0.113.9", "mx.example.org", "ptr.P1", "2.0"}, // a neighbour of mx.example.org
		{"a name that does not have the address", "203.0.113.2", "mx.example.org", "ptr.P2", "1.0"},
		{"a greeting without an address", "203.0.113.3", "missing.example.net", "helo.H11", "1.0"},
		{"a greeting that exists and has no address", "203.0.113.3", "empty.example.org", "helo.H11", "1.0"},
		{"a greeting with addresses elsewhere", "203.0.113.3", "far.example.org", "helo.H12", "0.5"},
		{"a big provider's name", "203.0.113.3", "mail.google.com", "helo.H12 helo.H16", "4.0"},
		{"a hosted domain", "203.0.113.3", "example.com", "helo.H12 helo.H4", "4.0"},
		{"neither name nor honest greeting", "203.0.113.200", "missing.example.net", "helo.H11 ptr.P1", "3.0"},
		{"address, name and greeting agree", "203.0.113.1", "mx.example.org", "", "0.0"},
		{"the same for IPv6", "2001:db8:1::1", "mx.example.org", "", "0.0"},
		{"one of two names has the address, through an alias", "203.0.113.4", "one.example.net", "", "0.0"},
		{"a greeting of the organisation that the address has its name from", "203.0.113.3", "sister.example.net", "", "0.0"},
		{"a host of a hosted domain that has the address", "203.0.113.6", "www.example.com", "", "0.0"},
		{"the mail exchanger of a hosted domain", "203.0.113.5", "example.com", "", "0.0"},
		{"a greeting whose name server is dead", "203.0.113.3", "mx.dead.example.net", "", "0.0"},
		{"an address whose name server is dead", "198.51.100.7", "mx.example.org", "", "0.0"},
	} {
		r := rcpt(t, s, c.client, c.helo)
		if r.Code != 250 {
			t.Errorf("%s: %q", c.name, r.Text)
		}
		one := decided(t, p, "RCPT", "of "+c.name, func(l rig.Decision) bool { return l.ClientAddress == c.client && l.HELO == c.helo })
		slices.Sort(one.Rules)
		if got := strings.Join(one.Rules, " "); got != c.rules || one.Score.String() != c.score {
			t.Errorf("%s: %q %s, want %q %s: %s", c.name, got, one.Score, c.rules, c.score, one.Reason)
		}
	}
}

// TestOurOwnHostsAreKnownByTheDNS has an address of own.names, and the mail exchangers of own.domains.
func TestOurOwnHostsAreKnownByTheDNS(t *testing.T) {
	t.Parallel()
	d := names(t, rig.Served{Records: append([]string{"outside.example.com. A 203.0.113.7"}, ruleRecords...)})
	s := started(t, rig.Config{Flavour: "stock"})
	p := daemon(t, s, d.Settings()+`own = {names = ["`+rig.Domain+`", "outside.example.com"], domains = ["example.com"]}`+"\n"+
		`policy.helo.mode = "enforce"`+"\n")
	if r := rcpt(t, s, "203.0.113.8", "localhost"); r.Code != 550 {
		t.Errorf("a stranger: %q", r.Text)
	}
	for client, class := range map[string]string{"203.0.113.7": "loopback", "203.0.113.5": "relay"} {
		var r rig.Reply
		if err := rig.Await("the addresses of our hosts", func() bool { r = rcpt(t, s, client, "localhost"); return r.Code == 250 }); err != nil {
			t.Errorf("%s: %v: %q", client, err, r.Text)
			continue
		}
		decided(t, p, "RCPT", "of "+client, func(l rig.Decision) bool { return l.ClientAddress == client && l.Class == class })
	}
}
