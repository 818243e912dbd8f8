package policy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"eximpolicyd/rbl"
)

func TestHELOInTheDNS(t *testing.T) {
	for _, list := range [][]example{heloHosted(), heloUnresolved(), heloElsewhere(), heloProviders()} {
		runExamples(t, list)
	}
}

// resolves says what addresses the name greeted with has, when every lookup was answered.
func resolves(l ...string) change {
	return func(s *scene) { s.f.HELOAddresses = Addresses{List: addrs(l...), Known: true} }
}

// resolvesPartly is the same when a lookup was not answered.
func resolvesPartly(l ...string) change {
	return func(s *scene) { s.f.HELOAddresses = Addresses{List: addrs(l...)} }
}

func hostedAt(l ...string) change {
	return func(s *scene) { s.f.Hosted = Addresses{List: addrs(l...), Known: true} }
}

func hostedPartlyAt(l ...string) change {
	return func(s *scene) { s.f.Hosted = Addresses{List: addrs(l...)} }
}

func ptr(status rbl.PTRStatus, names ...string) change {
	return func(s *scene) { s.f.PTR = rbl.PTR{Status: status, Names: names} }
}

// heloHosted are names of domains that we host: H4.
func heloHosted() []example {
	const want = "3.5 4.0 4.0"
	ours := func(list ...change) []change {
		return append(with(ownDomains("example.com"), helo("example.com"), resolves("198.51.100.1"), hostedAt("198.51.100.1", "198.51.100.2")), list...)
	}
	return []example{
		{"a hosted domain from elsewhere", "helo.H4", ours(), want, `"example.com" is of a domain hosted here`},
		{"a hosted domain in upper case with a dot", "helo.H4", ours(helo("EXAMPLE.com.")), want, ""},
		{"a name deep under a hosted domain", "helo.H4", ours(helo("a.mail.example.com")), want, ""},
		{"a hosted domain that has no address at all", "helo.H4", ours(resolves(), hostedAt()), want, ""},
		{"a hosted domain with an address next to the client's", "helo.H4", ours(resolves("203.0.113.8")), want, ""},
		{"a hosted domain, the client's own name unknown", "helo.H4", ours(ptr(rbl.PTRUnknown)), want, ""},

		{"the name greeted with is not answered", "helo.H4", ours(resolvesPartly()), "unknown", "the name greeted with is not known"},
		{"one answer of the name greeted with is missing", "helo.H4", ours(resolvesPartly("198.51.100.1")), "unknown", ""},
		{"the hosted domain is not answered", "helo.H4", ours(hostedPartlyAt()), "unknown", "hosted domain or of its MX hosts is not known"},
		{"one answer of the MX hosts is missing", "helo.H4", ours(hostedPartlyAt("198.51.100.1", "198.51.100.2")), "unknown", ""},
		{"a private address of the name greeted with: split DNS", "helo.H4", ours(resolves("198.51.100.1", "10.0.0.1")), "unknown", "a private address"},
		{"a private address of an MX host: split DNS", "helo.H4", ours(hostedAt("fd00::1")), "unknown", "a private address"},
		{"a loopback address of the hosted domain", "helo.H4", ours(hostedAt("127.0.0.1")), "unknown", "a private address"},

		{"the client is the name greeted with", "helo.H4", ours(resolves("198.51.100.1", "203.0.113.7")), "pass", ""},
		{"the client is the name greeted with, the rest is not answered", "helo.H4", ours(resolvesPartly("203.0.113.7"), hostedPartlyAt()), "pass", ""},
		{"the client is the hosted domain or its MX host", "helo.H4", ours(hostedAt("198.51.100.1", "203.0.113.7")), "pass", ""},
		{"the client is an MX host, the rest is not answered", "helo.H4", ours(resolvesPartly(), hostedPartlyAt("203.0.113.7")), "pass", ""},
		{"the client is an MX host, another one is private", "helo.H4", ours(hostedAt("10.0.0.1", "203.0.113.7")), "pass", ""},
		{"a name above a hosted domain", "helo.H4", ours(ownDomains("a.example.com")), "pass", ""},
		{"a name that ends like a hosted domain", "helo.H4", ours(helo("notexample.com")), "pass", ""},
		{"no domain is hosted", "helo.H4", ours(ownDomains()), "pass", ""},
		{"an illegal name under a hosted domain is H9's", "helo.H4", ours(helo("my pc.example.com")), "pass", ""},
		{"a domain in brackets is H9's", "helo.H4", ours(helo("[example.com]")), "pass", ""},
		{"a name of nobody here", "helo.H4", ours(helo("mail.example.net")), "pass", ""},
	}
}

// heloUnresolved are names without an address: H11.
func heloUnresolved() []example {
	const want = "1.0 2.0 3.0"
	return []example{
		{"neither A nor AAAA", "helo.H11", with(resolves()), want, `"mail.example.net" has neither A nor AAAA`},
		{"neither, with an underscore in the name", "helo.H11", with(helo("my_pc.example.net"), resolves()), want, ""},
		{"neither, from an IPv6 client", "helo.H11", with(client("2001:db8::7"), resolves()), want, ""},
		{"neither is answered", "helo.H11", with(resolvesPartly()), "unknown", "has an address is not known"},
		{"one of them is answered, with an address", "helo.H11", with(resolvesPartly("198.51.100.1")), "pass", ""},
		{"an A alone is enough", "helo.H11", with(resolves("198.51.100.1")), "pass", ""},
		{"an AAAA alone is enough", "helo.H11", with(resolves("2001:db8::1")), "pass", ""},
		{"a name without a dot is H8's", "helo.H11", with(helo("friend"), resolves()), "pass", ""},
		{"an illegal name is H9's", "helo.H11", with(helo("my pc.example.net"), resolves()), "pass", ""},
		{"an address has no address", "helo.H11", with(helo("198.51.100.9"), resolves()), "pass", ""},
		{"a literal has no address", "helo.H11", with(helo("[203.0.113.7]"), resolves()), "pass", ""},
		{"no greeting", "helo.H11", with(helo(""), resolves()), "pass", ""},
		{"a name with the client's address", "helo.H11", nil, "pass", ""},
	}
}

// heloElsewhere are names with other addresses than the client's: H12.
func heloElsewhere() []example {
	const want = "0.5 1.0 2.0"
	away := func(list ...change) []change {
		return append(with(resolves("198.51.100.1"), ptr(rbl.PTRConfirmed, "host.example.org")), list...)
	}
	return []example{
		{"another address, and a confirmed name of others", "helo.H12", away(), want, "has not the client's address, but 198.51.100.1"},
		{"another address, and no PTR", "helo.H12", away(ptr(rbl.PTRMissing)), want, ""},
		{"another address, and a name that does not confirm", "helo.H12", away(ptr(rbl.PTRUnconfirmed, "mail.example.net")), want, ""},
		{"an address of the next /24", "helo.H12", away(resolves("203.0.112.7")), want, ""},
		{"an address of the next /48", "helo.H12", away(client("2001:db8::7"), resolves("2001:db8:1::7")), want, ""},
		{"IPv6 alone, from an IPv4 client", "helo.H12", away(resolves("2001:db8::7")), want, ""},
		{"IPv4 alone, from an IPv6 client", "helo.H12", away(client("2001:db8::7")), want, ""},
		{"a name under the same public suffix is another organisation", "helo.H12", away(ptr(rbl.PTRConfirmed, "example.org.uk"), helo("mail.example.co.uk")), want, ""},
		{"the same public suffix, which is nobody's organisation", "helo.H12", away(ptr(rbl.PTRConfirmed, "a.co.uk"), helo("b.co.uk")), want, ""},
		{"a confirmed name that ends like the name greeted with", "helo.H12", away(ptr(rbl.PTRConfirmed, "mail.notexample.net")), want, ""},

		{"another address, the second lookup not answered", "helo.H12", away(resolvesPartly("198.51.100.1")), "unknown", "greeted with is not known"},
		{"no lookup answered", "helo.H12", away(resolvesPartly()), "unknown", ""},
		{"another address, the client's name not known", "helo.H12", away(ptr(rbl.PTRUnknown)), "unknown", "the client's address is not known"},

		{"the client's own address among others", "helo.H12", away(resolves("198.51.100.1", "203.0.113.7")), "pass", ""},
		{"the client's own address, the other lookup not answered", "helo.H12", away(resolvesPartly("203.0.113.7"), ptr(rbl.PTRUnknown)), "pass", ""},
		{"an address of the client's /24", "helo.H12", away(resolves("203.0.113.250"), ptr(rbl.PTRUnknown)), "pass", ""},
		{"an address of the client's /48", "helo.H12", away(client("2001:db8::7"), resolves("2001:db8:0:ffff::7")), "pass", ""},
		{"a confirmed name of the same organisation", "helo.H12", away(ptr(rbl.PTRConfirmed, "host.example.org", "out7.mx.example.net")), "pass", ""},
		{"a confirmed name of the same organisation, a lookup not answered", "helo.H12", away(resolvesPartly(), ptr(rbl.PTRConfirmed, "example.net")), "pass", ""},
		{"a confirmed name of the same organisation under a long suffix", "helo.H12", away(helo("mail.example.co.uk"), ptr(rbl.PTRConfirmed, "out.example.co.uk")), "pass", ""},
		{"no address at all is H11's", "helo.H12", away(resolves()), "pass", ""},
		{"no address at all is H11's, the client's name not known", "helo.H12", away(resolves(), ptr(rbl.PTRUnknown)), "pass", ""},
		{"a name without a dot is H8's", "helo.H12", away(helo("friend")), "pass", ""},
		{"a literal is H6's", "helo.H12", away(helo("[198.51.100.1]")), "pass", ""},
		{"the client's address alone", "helo.H12", nil, "pass", ""},
	}
}

// heloProviders are the names of big providers: H16.
func heloProviders() []example {
	const want = "4.0 4.0 4.0"
	lists := func(l ...string) change { return func(s *scene) { s.settings["helo"] = &HELO{Providers: l} } }
	made := lists("One.example.com two.example.org", "three.example.net")
	away := ptr(rbl.PTRConfirmed, "dsl.example.net")
	return []example{
		{"Google's name, the client's is elsewhere", "helo.H16", with(helo("mail-yw1-f177.google.com"), away), want, `"mail-yw1-f177.google.com", but the client is "dsl.example.net"`},
		{"a provider's bare domain in upper case", "helo.H16", with(helo("GMail.com."), away), want, ""},
		{"a provider from the settings", "helo.H16", with(made, helo("x.one.example.com"), away), want, ""},
		{"the provider's name as a part of the client's", "helo.H16", with(helo("x.google.com"), ptr(rbl.PTRConfirmed, "google.com.example.net")), want, ""},
		{"a client whose name ends like the provider's", "helo.H16", with(helo("x.google.com"), ptr(rbl.PTRConfirmed, "x.notgoogle.com")), want, ""},
		{"another provider's client", "helo.H16", with(made, helo("x.one.example.com"), ptr(rbl.PTRConfirmed, "three.example.net")), want, ""},
		{"several names elsewhere", "helo.H16", with(helo("x.google.com"), ptr(rbl.PTRConfirmed, "a.example.net", "b.example.org")), want, `"a.example.net", "b.example.org"`},

		{"a provider's name, no PTR", "helo.H16", with(helo("x.google.com"), ptr(rbl.PTRMissing)), "unknown", "a confirmed name of the client"},
		{"a provider's name, the PTR does not confirm", "helo.H16", with(helo("x.google.com"), ptr(rbl.PTRUnconfirmed, "dsl.example.net")), "unknown", ""},
		{"a provider's name, a second name of the client is not answered", "helo.H16",
			with(helo("x.google.com"), ptr(rbl.PTRConfirmed, "a.example.net"), func(s *scene) { s.f.PTR.More = true }), "unknown", "another name"},
		{"a provider's name, the PTR is not answered", "helo.H16", with(helo("x.google.com"), ptr(rbl.PTRUnknown)), "unknown", ""},

		{"the provider itself, a second name is not answered", "helo.H16",
			with(helo("x.google.com"), ptr(rbl.PTRConfirmed, "a.google.com"), func(s *scene) { s.f.PTR.More = true }), "pass", ""},
		{"the provider itself", "helo.H16", with(helo("mail.google.com"), ptr(rbl.PTRConfirmed, "mail-yw1-f177.google.com")), "pass", ""},
		{"the provider by another domain of its own", "helo.H16", with(helo("mail.google.com"), ptr(rbl.PTRConfirmed, "x.1e100.net")), "pass", ""},
		{"the provider by one of several names", "helo.H16", with(helo("mail.google.com"), ptr(rbl.PTRConfirmed, "a.example.net", "x.google.com")), "pass", ""},
		{"a name of the organisation above the provider", "helo.H16", with(made, helo("x.one.example.com"), ptr(rbl.PTRConfirmed, "out.example.com")), "pass", ""},
		{"a name that ends like a provider's", "helo.H16", with(helo("notgoogle.com"), away), "pass", ""},
		{"a provider's name as a part of the name", "helo.H16", with(helo("google.com.example.org"), away), "pass", ""},
		{"a provider that the settings do not name", "helo.H16", with(made, helo("x.google.com"), away), "pass", ""},
		{"no providers", "helo.H16", with(lists(), helo("x.google.com"), away), "pass", ""},
		{"a provider's name in brackets is a broken literal", "helo.H16", with(helo("[google.com]"), away), "pass", ""},
		{"an ordinary name", "helo.H16", with(away), "pass", ""},
	}
}

func TestProvidersThatAreNoDomains(t *testing.T) {
	s := &HELO{Providers: []string{"", "a.example b", "a.example.", "https://a.example", "b.example B.Example", "a.EXAMPLE", "c.example"}}
	var got []string
	for _, m := range s.Check() {
		if m.Key != "providers" {
			t.Errorf("%+v", m)
		}
		got = append(got, m.Text)
	}
	const noDomain = " is no domain; write those of one provider like google.com gmail.com"
	want := []string{"an empty text: write the domains of one provider, like google.com gmail.com",
		`"b"` + noDomain, `"a.example."` + noDomain, `"https://a.example"` + noDomain, `"B.Example" is there twice`, `"a.EXAMPLE" is there twice`}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for name, family := range families([]string{"A.example  b.example", " c.example "}) {
		if !strings.Contains(strings.Join(family, " "), name) {
			t.Errorf("%s is of %v", name, family)
		}
	}
}

// A greeting that can't be asked about must not cost a question, and one that can must.
func TestWhichGreetingsHaveAddresses(t *testing.T) {
	for name, want := range map[string]bool{"mail.example.net": true, "my_pc.example.net": true, "": false, "friend": false, "a b.example.net": false,
		"192.0.2.1": false, "[192.0.2.1]": false, "1.2.3": false, "example.net..": false} {
		if h := ParseHELO(name); h.HasAddresses() != want {
			t.Errorf("%q can have addresses: %v", name, !want)
		}
	}
}
