package test

import (
	"net"
	"strings"
	"testing"

	eximsnippets "eximpolicyd/exim-snippets"
	"eximpolicyd/policy"
	"eximpolicyd/test/rig"
)

func TestAListedClientIsRefusedByNameOfTheListAndOthersAreNot(t *testing.T) {
	t.Parallel()
	d := names(t, rig.Served{Lists: []rig.List{
		{Zone: "bl.example", Type: "ip4set", Entries: "203.0.113.7 :127.0.0.4:https://bl.example/?ip=$\n203.0.113.8 :127.0.0.20:other"},
		{Zone: "bl.example", Type: "ip6trie", Entries: "2001:db8:7::/48 :127.0.0.3:https://bl.example/?ip=$"},
		{Zone: "half.example", Type: "ip4trie", Entries: "203.0.113.0/28 :127.0.0.2:https://half.example/"},
	}})
	for _, flavour := range eximsnippets.Flavours() {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			s := started(t, rig.Config{Flavour: flavour})
			p := daemon(t, s, d.Settings()+enforcingLists("bl.example=127.0.0.[2..11]*5", "half.example*2.5")+
				"policy.helo.mode = \"off\"\npolicy.ptr.mode = \"off\"\n")
			listsAreTested(t, p, 2)
			for _, c := range []struct{ name, client, says string }{
				{"listed by both, the stronger is named", "203.0.113.7", `listed by bl.example, which says: "https://bl.example/?ip=203.0.113.7"`},
				{"an IPv6 client in a listed net", "2001:db8:7::25", `listed by bl.example, which says: "https://bl.example/?ip=2001:db8:7::25"`},
			} {
				r := rcpt(t, s, c.client, "mx.example.org")
				one := decided(t, p, "RCPT", "of "+c.client, ofClient(c.client))
				if said := unfolded(r); r.Code != 550 || !strings.HasPrefix(said[3:], "-5.7.1 your address is "+c.says) || !strings.HasSuffix(said, " (rbl.L1 "+one.ID+")") {
					t.Errorf("%s: %q", c.name, said)
				}
				if one.Action != "deny" || one.Rule != "rbl.L1" || !strings.Contains(one.Reason, "bl.example 127.0.0.") {
					t.Errorf("%s: %+v", c.name, one)
				}
			}
			for _, c := range []struct{ name, client, score string }{
				{"a code that does not count, and half of the threshold", "203.0.113.8", "2.5"},
				{"listed nowhere", "203.0.113.77", "0.0"},
				{"an IPv6 client beside the listed net", "2001:db8:8::25", "0.0"},
			} {
				if r := rcpt(t, s, c.client, "mx.example.org"); r.Code != 250 {
					t.Errorf("%s: %q", c.name, r.Text)
				}
				if one := decided(t, p, "RCPT", "of "+c.client, ofClient(c.client)); one.Score.String() != c.score || one.Degraded {
					t.Errorf("%s: %+v", c.name, one)
				}
			}
			refusalsAreLogged(t, s, p)
		})
	}
}

// TestTheKeyOfAListIsShownToNobody is a list that one pays for, with the customer's key in its name.
func TestTheKeyOfAListIsShownToNobody(t *testing.T) {
	t.Parallel()
	const key = "abcdefghijklmnopqrstuvwxyz"
	d := names(t, rig.Served{Lists: []rig.List{
		{Zone: key + ".zen.dq.spamhaus.net", Type: "ip4set", Entries: "203.0.113.7 :127.0.0.2:see https://check.spamhaus.org/?k=" + key},
		{Zone: "zen.spamhaus.org", Type: "ip4trie", Entries: "0.0.0.0/0 :127.255.255.254:public resolver", Bare: true},
	}})
	s := started(t, rig.Config{Flavour: "stock"})
	p := daemon(t, s, d.Settings()+enforcingLists(key+".zen.dq.spamhaus.net=127.0.0.[2..11]*5", "zen.spamhaus.org=127.0.0.[2..11]*5"))
	states := listsAreTested(t, p, 2)
	if h := states["***.zen.dq.spamhaus.net"]; h.State != "ok" {
		t.Errorf("%v", states)
	}
	r := rcpt(t, s, "203.0.113.7", "mx.example.org")
	if said := unfolded(r); r.Code != 550 || !strings.Contains(said, "listed by ***.zen.dq.spamhaus.net, see https://check.spamhaus.org/") {
		t.Errorf("%q", said)
	}
	one := decided(t, p, "RCPT", "of the client", ofClient("203.0.113.7"))
	if !strings.Contains(one.Reason, "***.zen.dq.spamhaus.net 127.0.0.2 SBL") {
		t.Errorf("%+v", one)
	}
	for where, text := range map[string]string{"the answer": r.Text, "Exim's log": s.Mainlog(), "our log": p.Log()} {
		if strings.Contains(text, key) {
			t.Errorf("%s shows the key: %s", where, text)
		}
	}
}

func TestTheNamesThatAClientGoesByAreLookedUpToo(t *testing.T) {
	t.Parallel()
	d := names(t, rig.Served{
		Lists: []rig.List{
			{Zone: "names.example", Type: "dnset", Entries: ".bad.example.net :127.0.1.2:https://names.example/"},
			{Zone: "bl.example", Type: "ip4set"}, // without a list of addresses the third name costs a question too many
		},
		Records: []string{
			"mx.bad.example.net. A 203.0.113.3",
			"3.113.0.203.in-addr.arpa. PTR mx.bad.example.net.",
		},
	})
	s := started(t, rig.Config{Flavour: "stock"})
	p := daemon(t, s, d.Settings()+`policy.rbl = {mode = "enforce", zones = ["bl.example"], name_zones = ["names.example*5"]}`+"\n")
	listsAreTested(t, p, 2)
	for _, c := range []struct{ name, client, helo, sender, says string }{
		{"the greeting", "203.0.113.1", "www.bad.example.net", "x@example.org", "the name you greet with is listed by names.example"},
		{"the sender's domain", "203.0.113.2", "mx.example.org", "x@bad.example.net", "the domain of your sender is listed by names.example"},
		{"the confirmed name of the address", "203.0.113.3", "mx.example.org", "x@example.org", "the name of your address is listed by names.example"},
		{"none of them", "203.0.113.4", "mx.example.org", "x@example.org", ""},
		{"no sender", "203.0.113.5", "mx.example.org", "", ""},
	} {
		r := mailFrom(t, s, c.client, c.helo, c.sender, "alice@"+rig.Domain)
		if c.says == "" && r.Code != 250 || c.says != "" && (r.Code != 550 || !strings.Contains(unfolded(r), c.says)) {
			t.Errorf("%s: %q", c.name, r.Text)
		}
	}
}

func TestWhoIsExemptCostsNoQuestion(t *testing.T) {
	t.Parallel()
	srv := scripted(t)
	if err := srv.List("bl.example", false, "198.51.100.1", "198.51.100.2", "198.51.100.3", "10.1.2.3", "203.0.113.1", "203.0.113.2"); err != nil {
		t.Fatal(err)
	}
	s := started(t, rig.Config{Flavour: "stock", RelayHosts: []string{"198.51.100.1"}})
	_, port, err := net.SplitHostPort(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	const exempt = `exempt.relay = ["198.51.100.2"]` + "\n" + `exempt.allow = ["198.51.100.3"]` + "\n" +
		`policy.helo.mode = "enforce"` + "\n" + `policy.ptr.mode = "enforce"` + "\n"
	config := rig.Resolver(srv.Addr()) + exempt + enforcingLists("bl.example*5")
	p := daemon(t, s, config)
	listsAreTested(t, p, 1)
	srv.Forget()
	for _, c := range []struct{ class, client string }{
		{"a host that Exim relays for", "198.51.100.1"},
		{"a relay of the configuration", "198.51.100.2"},
		{"a network that is allowed", "198.51.100.3"},
		{"a private network", "10.1.2.3"},
		{"this machine", ""},
	} {
		if r := rcpt(t, s, c.client, "mx.example.org"); r.Code != 250 || srv.Count("") != 0 {
			t.Errorf("%s: %q, %v", c.class, r.Text, srv.Questions())
		}
		srv.Forget()
	}
	if err := p.Reload("exempt.submission_ports = [" + port + "]\n" + config); err != nil {
		t.Fatal(err)
	}
	listsAreTested(t, p, 1)
	srv.Forget()
	if r := rcpt(t, s, "203.0.113.1", "mx.example.org"); r.Code != 250 || srv.Count("") != 0 {
		t.Errorf("on a submission port: %q, %v", r.Text, srv.Questions())
	}
	l := written(t, "authenticated", "client 203.0.113.2\nauth alice")
	hears(t, s, l, firstLetterPort, 250)
	if srv.Count("") != 0 {
		t.Errorf("authenticated on a submission port: %v", srv.Questions())
	}
}

// TestAListedClientMayWriteToPostmasterAndLogIn holds what the greeting can't tell: on port 25 the lists have been asked
// by the time that a client says who it is or whom it writes to.
func TestAListedClientMayWriteToPostmasterAndLogIn(t *testing.T) {
	t.Parallel()
	srv := scripted(t)
	if err := srv.List("bl.example", false, "203.0.113.1", "203.0.113.2", "203.0.113.3"); err != nil {
		t.Fatal(err)
	}
	s := started(t, rig.Config{Flavour: "stock"})
	p := daemon(t, s, rig.Resolver(srv.Addr())+enforcingLists("bl.example*5"))
	listsAreTested(t, p, 1)
	srv.Forget()
	if r := mailFrom(t, s, "203.0.113.1", "mx.example.org", "x@example.org", "postmaster@"+rig.Domain); r.Code != 250 {
		t.Errorf("to postmaster: %q", r.Text)
	}
	hears(t, s, written(t, "authenticated", "client 203.0.113.2\nauth alice"), firstLetterPort, 250)
	if r := rcpt(t, s, "203.0.113.3", "mx.example.org"); r.Code != 550 {
		t.Errorf("to alice: %q", r.Text)
	}
	for _, reversed := range []string{"1.113.0.203", "2.113.0.203"} {
		if n := srv.Count(reversed + ".bl.example"); n > 1 {
			t.Errorf("%d questions for %s", n, reversed)
		}
	}
	if one := decided(t, p, "RCPT", "to postmaster", ofClient("203.0.113.1")); one.Class != policy.Postmaster.String() {
		t.Errorf("%+v", one)
	}
}

func TestADryRunRefusesNoListedClientAndNamesTheList(t *testing.T) {
	t.Parallel()
	d := names(t, rig.Served{Lists: []rig.List{{Zone: "bl.example", Type: "ip4set", Entries: "203.0.113.7"}}})
	s := started(t, rig.Config{Flavour: "stock"})
	p := daemon(t, s, d.Settings()+enforcingLists("bl.example*5"), "--dry-run")
	listsAreTested(t, p, 1)
	if r := rcpt(t, s, "203.0.113.7", "mx.example.org"); r.Code != 250 {
		t.Errorf("%q", r.Text)
	}
	one := decided(t, p, "RCPT", "of it", ofClient("203.0.113.7"))
	if one.Action != "dunno" || one.Would != "deny" || one.Rule != "rbl.L1" || !strings.Contains(one.Reason, "bl.example 127.0.0.2") {
		t.Errorf("%+v", one)
	}
	if want := "stage=RCPT would=deny rule=rbl.L1 id=" + one.ID; !strings.Contains(s.Mainlog(), want) {
		t.Errorf("mainlog has no %q", want)
	}
}
