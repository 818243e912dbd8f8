package policy

import (
	"net/netip"
	"strings"
	"testing"

	"eximpolicyd/rbl"
)

func TestHELO(t *testing.T) {
	for _, list := range [][]example{heloForgeries(), heloAddresses(), heloNames(), heloQuality(), heloSpelled(), heloChanges(), heloMany()} {
		runExamples(t, list)
	}
}

func robots(l ...string) change { return func(s *scene) { s.settings["helo"] = &HELO{Robots: l} } }

func noServer(s *scene) { s.q.Server = netip.Addr{} }

// heloForgeries are those who greet as somebody they are not, or not at all: H1, H17, H2, H3.
func heloForgeries() []example {
	greeted := func(s *scene) { s.q.HELO = Maybe[string]{} }
	return []example{
		{"no greeting at all", "helo.H1", with(helo("")), "deny 503 5.5.1 deny 503 5.5.1 deny 503 5.5.1", "no HELO"},
		{"whether there was a greeting is not known", "helo.H1", with(greeted), "unknown", "greeting is not known"},
		{"a greeting of one dot is one", "helo.H1", with(helo(".")), "pass", ""},
		{"an ordinary greeting", "helo.H1", nil, "pass", ""},

		{"the robot that everybody knows", "helo.H17", with(helo("ylmf-pc")), "deny deny deny offence", `"ylmf-pc"`},
		{"the robot in upper case with a dot", "helo.H17", with(helo("YLMF-PC.")), "deny deny deny offence", ""},
		{"a robot written into the list", "helo.H17", with(robots("x", "Spam-Bot."), helo("spam-bot")), "deny deny deny offence", ""},
		{"the known robot when the list has others only", "helo.H17", with(robots("spam-bot"), helo("ylmf-pc")), "pass", ""},
		{"a name that contains a robot's", "helo.H17", with(helo("ylmf-pc.example.net")), "pass", ""},
		{"a dot, with an empty name in the list", "helo.H17", with(robots(""), helo(".")), "pass", ""},
		{"an ordinary greeting is no robot's", "helo.H17", nil, "pass", ""},

		{"the address it connected to", "helo.H2", with(helo("192.0.2.1")), "deny deny deny", "address of ours"},
		{"our address as a literal", "helo.H2", with(helo("[192.0.2.1]")), "deny deny deny", ""},
		{"our address mapped into IPv6", "helo.H2", with(helo("[IPv6:::ffff:192.0.2.1]")), "deny deny deny", ""},
		{"our address bare and mapped", "helo.H2", with(helo("::FFFF:192.0.2.1")), "deny deny deny", ""},
		{"our address when the server's is mapped", "helo.H2", with(server("::ffff:192.0.2.1"), helo("192.0.2.1")), "deny deny deny", ""},
		{"an address of another interface", "helo.H2", with(interfaces("192.0.2.9"), helo("[192.0.2.9]")), "deny deny deny", ""},
		{"our IPv6 address in upper case", "helo.H2", with(interfaces("2001:db8::a"), helo("[IPv6:2001:DB8:0::A]")), "deny deny deny", ""},
		{"an address from own.addresses", "helo.H2", with(ownAddresses("198.51.100.1"), helo("198.51.100.1")), "deny deny deny", ""},
		{"the server's address, when own.addresses says otherwise", "helo.H2", with(ownAddresses("198.51.100.1"), helo("192.0.2.1")), "pass", ""},
		{"an interface's address, when own.addresses says otherwise", "helo.H2", with(interfaces("192.0.2.9"), ownAddresses("198.51.100.1"), helo("192.0.2.9")), "pass", ""},
		{"our private address is no proof, H6 has it", "helo.H2", with(server("10.0.0.1"), helo("[10.0.0.1]")), "pass", ""},
		{"a private address, even in own.addresses", "helo.H2", with(ownAddresses("10.0.0.1"), helo("10.0.0.1")), "pass", ""},
		{"a carrier's address of 100.64/10 on our interface", "helo.H2", with(interfaces("100.64.0.1"), helo("100.64.0.1")), "pass", ""},
		{"a loopback address", "helo.H2", with(interfaces("127.0.0.1"), helo("[127.0.0.1]")), "pass", ""},
		{"the client's own address", "helo.H2", with(helo("203.0.113.7")), "pass", ""},
		{"our address with a letter behind is a name", "helo.H2", with(helo("192.0.2.1x")), "pass", ""},
		{"a name, when no server address is known", "helo.H2", with(noServer), "pass", ""},

		{"Exim's primary host name", "helo.H3", with(helo("mx.example.org")), "deny deny deny", "name of ours"},
		{"our name in upper case with a dot", "helo.H3", with(helo("MX.Example.ORG.")), "deny deny deny", ""},
		{"our name when Exim writes its own in upper case", "helo.H3", with(func(s *scene) { s.q.Primary = "MX.EXAMPLE.ORG." }, helo("mx.example.org")), "deny deny deny", ""},
		{"Exim's active host name", "helo.H3", with(func(s *scene) { s.q.ServerName = "In.example.org" }, helo("in.example.org")), "deny deny deny", ""},
		{"a name from own.names", "helo.H3", with(ownNames("www.example.org"), helo("www.example.org")), "deny deny deny", ""},
		{"our name behind NAT is only observed", "helo.H3", with(server("10.0.0.1"), helo("mx.example.org")), "deny deny deny observe", "own.addresses"},
		{"our name through a proxy on this host", "helo.H3", with(server("127.0.0.1"), helo("mx.example.org")), "deny deny deny", ""},
		{"our name behind NAT with own.addresses set", "helo.H3", with(server("10.0.0.1"), ownAddresses("192.0.2.1"), helo("mx.example.org")), "deny deny deny", ""},
		{"our name when the server's address is not known", "helo.H3", with(noServer, helo("mx.example.org")), "deny deny deny", ""},
		{"Exim's name, when own.names says otherwise", "helo.H3", with(ownNames("www.example.org"), helo("mx.example.org")), "pass", ""},
		{"a name under ours", "helo.H3", with(helo("a.mx.example.org")), "pass", ""},
		{"the domain above our name", "helo.H3", with(helo("example.org")), "pass", ""},
		{"a hosted domain is H4's, not a name of ours", "helo.H3", with(ownDomains("example.com"), helo("example.com")), "pass", ""},
		{"our name with a Kelvin sign for the k", "helo.H3", with(ownNames("kiel.example.org"), helo("\u212aiel.example.org")), "pass", ""},
		{"our name with a Turkish capital I", "helo.H3", with(ownNames("mail.example.org"), helo("ma\u0130l.example.org")), "pass", ""},
		{"our name in brackets is a broken literal", "helo.H3", with(helo("[mx.example.org]")), "pass", ""},
		{"an address that Exim takes for its name is H2's", "helo.H3", with(func(s *scene) { s.q.Primary = "192.0.2.1" }, helo("192.0.2.1")), "pass", ""},
		{"an empty name, when Exim says none", "helo.H3", with(func(s *scene) { s.q.Primary = "" }, helo(".")), "pass", ""},
		{"an ordinary name", "helo.H3", nil, "pass", ""},
	}
}

// heloAddresses are those who greet with an address: H5, H6.
func heloAddresses() []example {
	return []example{
		{"somebody else's address without brackets", "helo.H5", with(helo("198.51.100.9")), "deny deny deny", "without brackets"},
		{"a neighbour's address without brackets", "helo.H5", with(helo("203.0.113.8")), "deny deny deny", ""},
		{"a private address without brackets", "helo.H5", with(helo("192.168.1.5")), "deny deny deny", ""},
		{"an IPv6 address without brackets", "helo.H5", with(helo("2001:DB8::9")), "deny deny deny", ""},
		{"an address with a trailing dot", "helo.H5", with(helo("198.51.100.9.")), "deny deny deny", ""},
		{"the client's own address without brackets", "helo.H5", with(helo("203.0.113.7")), "2.0 2.0 2.0", "the client's own"},
		{"the client's own, mapped into IPv6", "helo.H5", with(helo("::ffff:203.0.113.7")), "2.0 2.0 2.0", ""},
		{"the client's own, the client mapped", "helo.H5", with(client("::ffff:203.0.113.7"), helo("203.0.113.7")), "2.0 2.0 2.0", ""},
		{"an address in brackets", "helo.H5", with(helo("[198.51.100.9]")), "pass", ""},
		{"octal is no address", "helo.H5", with(helo("0177.0.0.1")), "pass", ""},
		{"three numbers are no address", "helo.H5", with(helo("1.2.3")), "pass", ""},
		{"an address with a zone is none", "helo.H5", with(helo("fe80::1%eth0")), "pass", ""},
		{"a name is no address", "helo.H5", nil, "pass", ""},

		{"a public literal of somebody else", "helo.H6", with(helo("[198.51.100.9]")), "3.0 deny deny", "not the client's"},
		{"a literal of the next /24", "helo.H6", with(helo("[203.0.112.7]")), "3.0 deny deny", ""},
		{"a public literal, the client not known", "helo.H6", with(func(s *scene) { s.q.Client = netip.Addr{} }, helo("[198.51.100.9]")), "unknown", "client's address"},
		{"a public IPv6 literal from an IPv4 client", "helo.H6", with(helo("[IPv6:2001:db8::1]")), "3.0 deny deny", ""},
		{"an IPv4 literal from an IPv6 client", "helo.H6", with(client("2001:db8::7"), helo("[203.0.113.7]")), "3.0 deny deny", ""},
		{"a literal of the next /64", "helo.H6", with(client("2001:db8::7"), helo("[IPv6:2001:db8:0:1::7]")), "3.0 deny deny", ""},
		{"a private literal", "helo.H6", with(helo("[192.168.1.5]")), "1.0 1.0 deny", "a private one"},
		{"a literal of 100.64/10", "helo.H6", with(helo("[100.64.3.4]")), "1.0 1.0 deny", ""},
		{"a loopback literal", "helo.H6", with(helo("[127.0.0.1]")), "1.0 1.0 deny", ""},
		{"an IPv6 loopback literal", "helo.H6", with(helo("[IPv6:::1]")), "1.0 1.0 deny", ""},
		{"a link-local IPv6 literal", "helo.H6", with(helo("[IPv6:fe80::1]")), "1.0 1.0 deny", ""},
		{"the client's own literal", "helo.H6", with(helo("[203.0.113.7]")), "pass", ""},
		{"a literal of the client's /24", "helo.H6", with(helo("[203.0.113.250]")), "pass", ""},
		{"a literal of the client's /64 in upper case", "helo.H6", with(client("2001:db8::7"), helo("[IPV6:2001:DB8::ABCD]")), "pass", ""},
		{"the client's address, mapped, as a literal", "helo.H6", with(helo("[IPv6:::ffff:203.0.113.7]")), "pass", ""},
		{"brackets around no address are H9's", "helo.H6", with(helo("[mail]")), "pass", ""},
		{"a bare address is H5's", "helo.H6", with(helo("198.51.100.9")), "pass", ""},
	}
}

// heloNames are the names that every host has: H7.
func heloNames() []example {
	list := []example{}
	for _, name := range []string{"localhost", "LOCALHOST.", "localhost.localdomain", "localhost4", "localhost6", "ip6-localhost",
		"ip6-loopback", "loopback", "localhost.localdomain4", "localhost6.localdomain6", "localhost.localhost", "localhost.local"} {
		list = append(list, example{"the name of every host, " + name, "helo.H7", with(helo(name)), "deny deny deny", "every host's"})
	}
	return append(list,
		example{"localhost under a real domain is somebody's", "helo.H7", with(helo("localhost.example.net")), "pass", ""},
		example{"a host of localdomain that is not localhost", "helo.H7", with(helo("pc.localdomain")), "pass", ""},
		example{"a name that ends in localhost", "helo.H7", with(helo("mylocalhost")), "pass", ""},
		example{"localhost in brackets is a broken literal", "helo.H7", with(helo("[localhost]")), "pass", ""},
		example{"an ordinary name is not localhost", "helo.H7", nil, "pass", ""},
	)
}

// heloQuality are bad names, of which the worst counts: H8, H9, H10.
func heloQuality() []example {
	label := strings.Repeat("a", 63)
	long := strings.Repeat(label+".", 3) + strings.Repeat("b", 61)        // 253 octets
	dot, illegal, top := "2.0 deny deny", "2.0 deny deny", "1.5 2.5 deny" // the three rules' answers
	return []example{
		{"a name without a dot", "helo.H8", with(helo("friend")), dot, "no dot"},
		{"a name whose only dot is the last", "helo.H8", with(helo("friend.")), dot, ""},
		{"a dotless name of digits", "helo.H8", with(helo("12345")), dot, ""},
		{"an address literal has no name to judge", "helo.H8", with(helo("[IPv6:2001:db8::1]")), "pass", ""},
		{"a bare IPv6 address has no name to judge", "helo.H8", with(helo("2001:db8::1")), "pass", ""},
		{"a dot alone is H9's", "helo.H8", with(helo(".")), "pass", ""},
		{"a name with a dot", "helo.H8", nil, "pass", ""},

		{"a blank in the name", "helo.H9", with(helo("my pc.example.net")), illegal, "an illegal character"},
		{"an 8-bit name", "helo.H9", with(helo("m\xfcller.example.net")), illegal, "an illegal character"},
		{"a U-label, which HELO does not know", "helo.H9", with(helo("müller.example.net")), illegal, "an illegal character"},
		{"a Kelvin sign for a k", "helo.H9", with(helo("\u212aiel.example.net")), illegal, "an illegal character"},
		{"a NUL in the name", "helo.H9", with(helo("a\x00.example.net")), illegal, "an illegal character"},
		{"a slash, before the digits", "helo.H9", with(helo("a/b.example.net")), illegal, "an illegal character"},
		{"an at sign, before the capitals", "helo.H9", with(helo("a@b.example.net")), illegal, "an illegal character"},
		{"a colon, behind the digits", "helo.H9", with(helo("a:b.example.net")), illegal, "an illegal character"},
		{"a brace, behind the letters", "helo.H9", with(helo("a{b.example.net")), illegal, "an illegal character"},
		{"a back quote, before the letters", "helo.H9", with(helo("a`b.example.net")), illegal, "an illegal character"},
		{"an empty label", "helo.H9", with(helo("mail..example.net")), illegal, "an empty label"},
		{"a leading dot", "helo.H9", with(helo(".example.net")), illegal, "an empty label"},
		{"two trailing dots", "helo.H9", with(helo("mail.example.net..")), illegal, "an empty label"},
		{"a dot alone", "helo.H9", with(helo(".")), illegal, "an empty name"},
		{"a label of 64 octets", "helo.H9", with(helo("a" + label + ".example.net")), illegal, "a label of over 63"},
		{"a name of 254 octets", "helo.H9", with(helo(long + "b")), illegal, "over 253"},
		{"a label that begins with a hyphen", "helo.H9", with(helo("-a.example.net")), illegal, "hyphen"},
		{"a label that ends with a hyphen", "helo.H9", with(helo("mail.a-.net")), illegal, "hyphen"},
		{"octal is a name of digits", "helo.H9", with(helo("0177.0.0.1")), illegal, "nothing but digits"},
		{"three numbers", "helo.H9", with(helo("1.2.3")), illegal, "nothing but digits"},
		{"an octet of 256", "helo.H9", with(helo("192.0.2.256")), illegal, "nothing but digits"},
		{"a literal without its end", "helo.H9", with(helo("[203.0.113.7")), illegal, "closing bracket"},
		{"a literal with a zone", "helo.H9", with(helo("[IPv6:fe80::1%eth0]")), illegal, "no address"},
		{"a bare address with a zone", "helo.H9", with(helo("fe80::1%eth0")), illegal, "an illegal character"},
		{"brackets around a name", "helo.H9", with(helo("[mail.example.net]")), illegal, "no address"},
		{"nothing in brackets", "helo.H9", with(helo("[]")), illegal, "no address"},
		{"an underscore alone is half a point", "helo.H9", with(helo("my_pc.example.net")), "0.5 0.5 0.5", "underscore"},
		{"an underscore in the last label", "helo.H9", with(helo("mail.example_net")), "0.5 0.5 0.5", "underscore"},
		{"an underscore and a blank", "helo.H9", with(helo("my_pc x.example.net")), illegal, "an illegal character"},
		{"an underscore and an empty label", "helo.H9", with(helo("my_pc..example.net")), illegal, "an empty label"},
		{"a name of 253 octets and a trailing dot", "helo.H9", with(helo(long + ".")), "pass", ""},
		{"a label of 63 octets", "helo.H9", with(helo(label + ".example.net")), "pass", ""},
		{"an A-label", "helo.H9", with(helo("xn--mller-kva.example.net")), "pass", ""},
		{"digits in all labels but one", "helo.H9", with(helo("1.2.3.4x")), "pass", ""},
		{"every character that is legal", "helo.H9", with(helo("az-09.AZ.example.net")), "pass", ""},
		{"a good literal", "helo.H9", with(helo("[203.0.113.7]")), "pass", ""},

		{"a top-level domain that does not exist", "helo.H10", with(helo("pc.lan")), top, ".lan is no top-level"},
		{"a reserved top-level domain", "helo.H10", with(helo("pc.local")), top, "reserved"},
		{"a network at home", "helo.H10", with(helo("pc.home.arpa")), top, "home.arpa"},
		{"a number as top-level domain", "helo.H10", with(helo("pc.example.123")), top, ""},
		{"an illegal name is H9's", "helo.H10", with(helo("p c.lan")), "pass", ""},
		{"a dotless name is H8's", "helo.H10", with(helo("lan")), "pass", ""},
		{"a literal has no top-level domain", "helo.H10", with(helo("[198.51.100.9]")), "pass", ""},
		{"a bare address has no top-level domain", "helo.H10", with(helo("198.51.100.9")), "pass", ""},
		{"a name under .net", "helo.H10", nil, "pass", ""},
	}
}

// heloSpelled is a name made of the client's address: H13. What counts as spelling is tested by itself.
func heloSpelled() []example {
	const want = "2.0 2.5 3.5"
	return []example{
		{"the client's address between dashes", "helo.H13", with(helo("dsl-203-0-113-7.example.net")), want, "spells the client's address"},
		{"three octets of it, in upper case", "helo.H13", with(helo("HOST7.113.0.203.EXAMPLE.NET")), want, ""},
		{"the client's address from a mapped client", "helo.H13", with(client("::ffff:203.0.113.7"), helo("203-0-113-7.example.net")), want, ""},
		{"two octets of it", "helo.H13", with(helo("dsl-113-7.example.net")), "pass", ""},
		{"another address", "helo.H13", with(helo("dsl-198-51-100-9.example.net")), "pass", ""},
		{"the client's own bare address is H5's", "helo.H13", with(helo("203.0.113.7")), "pass", ""},
		{"an IPv6 client", "helo.H13", with(client("2001:db8::7"), helo("2001-db8-0-0-0-0-0-7.example.net")), "pass", ""},
		{"a name without numbers", "helo.H13", nil, "pass", ""},
	}
}

// heloChanges are clients that greet twice: H14.
func heloChanges() []example {
	history := func(list ...Greeting) change { return func(s *scene) { s.f.Greetings = list } }
	plain := func(name string) Greeting { return Greeting{Name: name} }
	inTLS := func(name string) Greeting { return Greeting{Name: name, TLS: true} }
	const want = "1.0 2.0 deny"
	return []example{
		{"another name in the same connection", "helo.H14", with(history(plain("a.example.net"), plain("b.example.net"))), want, `"a.example.net", then "b.example.net"`},
		{"another name and back again", "helo.H14", with(history(plain("a.example.net"), plain("b.example.net"), plain("a.example.net"))), want, ""},
		{"another name inside TLS", "helo.H14", with(history(plain("a.example.net"), inTLS("a.example.net"), inTLS("b.example.net"))), want, ""},
		{"another name first of three", "helo.H14", with(history(plain("b.example.net"), plain("a.example.net"), plain("a.example.net"))), want, ""},
		{"another name after STARTTLS is allowed", "helo.H14", with(history(plain("a.example.net"), inTLS("b.example.net"))), "pass", ""},
		{"the same name again", "helo.H14", with(history(plain("a.example.net"), plain("A.Example.NET."))), "pass", ""},
		{"one greeting", "helo.H14", nil, "pass", ""},
		{"the history is not known", "helo.H14", with(history()), "unknown", "greeted with before"},
	}
}

// heloMany are clients that greet with ever new names: H15.
func heloMany() []example {
	const rule, want = "helo.H15", "2.0 3.0 4.0"
	names := func(n int) change { return func(s *scene) { s.f.Client.Seen = n } }
	return []example{
		{"four names, and no PTR", rule, with(names(4), ptr(rbl.PTRMissing)), want, "4 names or more within an hour, and no confirmed PTR"},
		{"five names, and a PTR that does not confirm", rule, with(names(5), ptr(rbl.PTRUnconfirmed, "mail.example.net")), want, "5 names"},
		{"four names, and the PTR is not known", rule, with(names(4), ptr(rbl.PTRUnknown)), "unknown", "the name of the client's address is not known"},
		{"nothing is known of the client", rule, with(forgotten, ptr(rbl.PTRMissing)), "unknown", "greeted with before"},
		{"three names, and no PTR", rule, with(names(3), ptr(rbl.PTRMissing)), "pass", ""},
		{"three names, and the PTR is not known", rule, with(names(3), ptr(rbl.PTRUnknown)), "pass", ""},
		{"five names, and a confirmed PTR", rule, with(names(5)), "pass", ""},
		{"one name", rule, with(names(1)), "pass", ""},
	}
}
