package policy

import (
	"fmt"
	"strings"
	"testing"
)

// An outsider with one thing about him; the later entries of a row also hold for the earlier ones, so that the order in
// which classes are tried is pinned by piling them up.
func TestTheClassOfAClient(t *testing.T) {
	exempt := &Exempt{SubmissionPorts: []int{465, 587}, Relay: prefixes("198.51.100.0/24", "2001:db8:1::/48", "192.0.2.77/24")}
	port := func(n int) change { return func(s *scene) { s.q.ServerPort = n } }
	noClient := func(s *scene) { s.q.Client = Request{}.Client }
	relay := func(s *scene) { s.q.RelayHost = true }
	to := func(rcpt string, before int) change {
		return func(s *scene) { s.q.Stage, s.q.Recipient, s.q.Recipients = RCPT, rcpt, before }
	}
	only := func(s *scene) { s.f.OnlyPostmaster = true }
	authBy := func(s *scene) { s.q.AuthBy = "plain" }
	authAs := func(s *scene) { s.q.AuthAs = "anna" }
	all := []change{stage(RCPT), to("postmaster@example.org", 0), sender(""), relay, port(587), authBy}
	for _, c := range []struct {
		name  string
		given []change
		want  Class
		why   string
	}{
		{"no client address, everything else too", append(all, noClient), Local, "no client address"},
		{"127.0.0.1, everything else too", append(all, client("127.0.0.1")), Loopback, "a loopback address"},
		{"authenticated, everything else too", append(all, client("10.0.0.1")), Auth, "authenticated"},
		{"a submission port, from a private relay, to postmaster", append(all[:5:5], client("10.0.0.1")), Submission, "a submission port"},
		{"a private relay, to postmaster", append(all[:4:4], client("10.0.0.1")), PrivateNet, "a private address"},
		{"in both relay lists, to postmaster", append(all[:4:4], client("198.51.100.7")), RelayHost, "relay_from_hosts"},
		{"in exempt.relay, to postmaster", append(all[:3:3], client("198.51.100.7")), RelayNet, "exempt.relay"},
		{"a null sender, to postmaster", all[:3], Postmaster, "postmaster"},
		{"a null sender", with(stage(RCPT), sender("")), NullSender, "null sender"},
		{"nothing about him", with(stage(RCPT)), Outside, ""},

		{"the far end of loopback", with(client("127.255.255.254")), Loopback, "a loopback address"},
		{"IPv6 loopback", with(client("::1")), Loopback, ""},
		{"a mapped loopback address", with(client("::ffff:127.0.0.1")), Loopback, ""},
		{"the server's own address", with(client("192.0.2.1")), Loopback, "connected to is its own"},
		{"the server's own address, mapped on one side", with(client("::ffff:192.0.2.1")), Loopback, ""},
		{"a private address that is the server's own", with(client("10.0.0.1"), server("10.0.0.1")), Loopback, ""},
		{"an address of own.addresses", with(client("198.51.100.1"), ownAddresses("192.0.2.5", "198.51.100.1")), Loopback, "in own.addresses"},
		{"an address of an interface", with(client("198.51.100.1"), interfaces("192.0.2.5", "198.51.100.1")), Loopback, "an address of this machine"},
		{"an address of an interface, with own.addresses set", with(client("198.51.100.1"), ownAddresses("192.0.2.5"), interfaces("198.51.100.1")), Loopback, "an address of this machine"},
		{"an address that one of own.names has", with(client("198.51.100.1"), func(s *scene) { s.f.OwnAddresses = addrs("192.0.2.5", "198.51.100.1") }), Loopback, "an address of own.names"},
		{"an IPv6 address of an interface with a zone", with(client("fe80::1%eth0"), interfaces("fe80::1")), Loopback, ""},

		{"an authenticated user", with(authAs), Auth, "authenticated"},
		{"an authenticator that names no user", with(authBy), Auth, "authenticated"},
		{"a login that failed", with(func(s *scene) { s.q.AuthFail = "anna" }), Outside, ""},
		{"port 465", with(port(465)), Submission, "not yet authenticated"},
		{"port 587", with(port(587)), Submission, ""},
		{"port 25", with(port(25)), Outside, ""},
		{"no port, as in exim -bh", with(port(-1)), Outside, ""},

		{"RFC 1918, the first", with(client("10.255.255.255")), PrivateNet, "a private address"},
		{"RFC 1918, the second", with(client("172.31.255.255")), PrivateNet, ""},
		{"RFC 1918, the third", with(client("192.168.0.1")), PrivateNet, ""},
		{"before 172.16/12", with(client("172.15.255.255")), Outside, ""},
		{"behind 172.16/12", with(client("172.32.0.0")), Outside, ""},
		{"a private address, mapped", with(client("::ffff:192.168.0.1")), PrivateNet, ""},
		{"before 100.64/10", with(client("100.63.255.255")), Outside, ""},
		{"the first of 100.64/10", with(client("100.64.0.0")), PrivateNet, ""},
		{"the last of 100.64/10", with(client("100.127.255.255")), PrivateNet, ""},
		{"behind 100.64/10", with(client("100.128.0.0")), Outside, ""},
		{"64 in the second octet is not enough", with(client("101.64.0.1")), Outside, ""},
		{"IPv4 link-local", with(client("169.254.1.1")), PrivateNet, ""},
		{"IPv6 link-local with a zone", with(client("fe80::1%eth0")), PrivateNet, ""},
		{"the last of fe80::/10", with(client("febf::1")), PrivateNet, ""},
		{"unique local IPv6", with(client("fd00::1")), PrivateNet, ""},
		{"IPv6 that begins with the octets of 100.64/10", with(client("6440::1")), Outside, ""},
		{"public IPv6", with(client("2001:db8::7")), Outside, ""},

		{"a relay of Exim's list", with(relay), RelayHost, "in Exim's relay_from_hosts"},
		{"an IPv6 relay of exempt.relay", with(client("2001:db8:1:2::3")), RelayNet, "in exempt.relay"},
		{"a mapped relay of exempt.relay", with(client("::ffff:198.51.100.7")), RelayNet, ""},
		{"a prefix that was written with host bits", with(client("192.0.2.200")), RelayNet, ""},
		{"an MX host of a domain of ours", with(client("203.0.113.9"), func(s *scene) { s.f.Relays = prefixes("203.0.113.9/32") }), RelayNet, "an MX host of own.domains"},
		{"beside an MX host of a domain of ours", with(client("203.0.113.8"), func(s *scene) { s.f.Relays = prefixes("203.0.113.9/32") }), Outside, ""},
		{"beside exempt.relay", with(client("198.51.101.7")), Outside, ""},

		{"postmaster without a domain", with(to("postmaster", 0)), Postmaster, "to postmaster or abuse alone"},
		{"PostMaster in mixed case", with(to("PostMaster@Example.org", 0)), Postmaster, ""},
		{"abuse", with(to("ABUSE@example.org", 0)), Postmaster, ""},
		{"postmaster as second of postmasters", with(to("abuse@example.org", 1), only), Postmaster, ""},
		{"postmaster as second recipient, the first not known", with(to("postmaster@example.org", 1)), Outside, ""},
		{"somebody after postmaster", with(to("user@example.org", 1), only), Outside, ""},
		{"hostmaster", with(to("hostmaster@example.org", 0)), Outside, ""},
		{"postmaster as a domain", with(to("user@postmaster", 0)), Outside, ""},
		{"postmaster with a long s", with(to("po\u017ftmaster@example.org", 0)), Outside, ""},
		{"no recipient", with(to("", 0)), Outside, ""},
		{"at DATA, all to postmaster", with(stage(Data), only), Postmaster, "to postmaster or abuse alone"},
		{"at DATA, postmaster as what is left of the last RCPT", with(to("postmaster@example.org", 0), stage(Data)), Outside, ""},
		{"at MAIL, all of the message before to postmaster", with(stage(Mail), only), Outside, ""},

		{"the null sender at MAIL", with(stage(Mail), sender("")), NullSender, "the null sender"},
		{"the null sender at DATA", with(stage(Data), sender("")), NullSender, ""},
		{"no sender yet at HELO", with(stage(Helo), sender("")), Outside, ""},
		{"a sender that is not known", with(stage(RCPT), func(s *scene) { s.q.Sender = Maybe[string]{} }), Outside, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := build(c.given)
			got, why := exempt.Of(&s.q, &s.f)
			if got != c.want || !strings.Contains(why, c.why) || (why == "") != (got == Outside) {
				t.Errorf("got class %d %s (%s), want %d %s (%s)", got, got, why, c.want, c.want, c.why)
			}
		})
	}
}

func TestTheZeroExemptExemptsNobodyByAList(t *testing.T) {
	s := build(with(stage(RCPT), func(s *scene) { s.q.ServerPort = 587 }))
	if c, why := (&Exempt{}).Of(&s.q, &s.f); c != Outside {
		t.Errorf("class %s (%s)", c, why)
	}
	if prefixes().Has(addr("192.0.2.1")) || prefixes("0.0.0.0/0").Has(Request{}.Client) || (*Prefixes)(nil).Has(addr("192.0.2.1")) {
		t.Error("an empty set has an address, or a set has no address")
	}
	if !prefixes("192.0.2.0/24").Has(addr("192.0.2.0")) {
		t.Error("a set of one network is empty")
	}
	if p := prefixes("192.0.2.0/24", "192.0.2.0/24", "::/0"); !p.Has(addr("192.0.2.255")) || p.Has(addr("192.0.3.0")) || !p.Has(addr("2001:db8::1")) {
		t.Error("a set lacks an address, or has its neighbour")
	}
}

// The table "Exemption classes" of the design, for the policies there are: what each class skips. Everything else
// applies. Who sent a message is told of our own mail only.
func TestWhatAClassSkips(t *testing.T) {
	want := map[Class]string{
		Outside:    "origin",
		Local:      "helo dictionary ptr rbl messageid auth",
		Loopback:   "helo dictionary ptr rbl messageid auth",
		Auth:       "helo dictionary ptr rbl messageid auth",
		Submission: "helo ptr rbl origin",
		PrivateNet: "helo ptr rbl messageid.M1 messageid.M8 auth origin",
		RelayHost:  "helo dictionary ptr rbl messageid.M1 messageid.M8 auth origin",
		RelayNet:   "helo dictionary ptr rbl auth origin",
		Postmaster: "helo ptr rbl origin",
		NullSender: "messageid.M1 origin",
	}
	for c := Outside; c < classes; c++ {
		var skipped []string
		for _, p := range Table() {
			if p.Skip.Has(c) {
				skipped = append(skipped, p.Name)
				continue
			}
			for _, r := range p.New().Rules() {
				if r.Skip.Has(c) {
					skipped = append(skipped, p.Name+"."+r.ID)
				}
			}
		}
		if got := strings.Join(skipped, " "); got != want[c] {
			t.Errorf("class %d %s skips %q, want %q", c, c, got, want[c])
		}
	}
}

func TestWhomADenyPassesBy(t *testing.T) {
	for c := Outside; c < classes; c++ {
		if want := c == Local || c == Auth || c == RelayHost || c == RelayNet; c.PassesDeny() != want {
			t.Errorf("class %s: %v", c, c.PassesDeny())
		}
	}
}

func TestWhomABanPassesBy(t *testing.T) {
	for c := Outside; c < classes; c++ {
		never := c == Local || c == Loopback || c == Auth || c == PrivateNet || c == RelayHost || c == RelayNet
		for level := 1; level <= 5; level++ {
			if want := never || c == Postmaster && level < 3; c.PassesBan(level) != want {
				t.Errorf("class %s, level %d: %v", c, level, c.PassesBan(level))
			}
		}
		if want := c != Local && c != Loopback && c != RelayHost && c != RelayNet; c.Counted() != want {
			t.Errorf("class %s is counted: %v", c, c.Counted())
		}
	}
}

func TestTheWordsOfClasses(t *testing.T) {
	want := "outside local loopback auth submission private relay relay postmaster null"
	var words []string
	tests := map[string]bool{}
	for c := Outside; c < classes; c++ {
		b, err := c.MarshalText()
		if err != nil {
			t.Error(err)
		}
		words = append(words, string(b))
		tests[c.Test()] = true
	}
	if got := strings.Join(words, " "); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if len(tests) != int(classes) || !tests[""] || tests["?"] || classes.String() != "?" || classes.Test() != "?" {
		t.Errorf("what the tests did not find: %v", tests)
	}
	if Outside.Test() != "" || NullSender.Test() != "not the null sender" || PrivateNet.Test() != "not a private address" {
		t.Error("a class has another one's test")
	}
	if got := fmt.Sprint(Postmaster); got != "postmaster" {
		t.Error(got)
	}
}

// Private and IsPublicAddress decide between H2 and H6.
func TestOwn(t *testing.T) {
	s := build(with(ownDomains("example.com", "a.example.org")))
	for name, want := range map[string]bool{"example.com": true, "x.y.example.com": true, "example.org": false,
		"b.a.example.org": true, "com": false, "": false, "notexample.com": false} {
		if s.f.Own.IsDomain(name) != want {
			t.Errorf("%q is a domain of ours: %v", name, !want)
		}
	}
	if (&Own{}).IsDomain("example.com") || (&Own{Names: set("")}).IsName("", &s.q) {
		t.Error("an empty set has a name")
	}
}
