package rbl

import (
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestQueryAddress(t *testing.T) {
	long := strings.Repeat("a123456789.", 20)
	for _, c := range []struct{ name, address, zone, want string }{
		{"no address is asked for", "", "bl.example", ""},
		{"an IPv6 address and a zone are over 253 octets", "2001:db8::1", long[:maxZone+1], ""},
		{"an IPv6 address and the longest zone fit", "::", long[:maxZone], strings.Repeat("0.", 32) + long[:maxZone]},
		{"the octets of IPv4 are reversed", "192.0.2.99", "bl.example", "99.2.0.192.bl.example"}, // RFC 5782 2.1
		{"the nibbles of IPv6 are reversed", "2001:db8:1:2:3:4:567:89ab", "ugly.example.com",
			"b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.ugly.example.com"}, // RFC 5782 2.4
		{"a v4-mapped address is asked as IPv4", "::ffff:198.51.100.7", "bl.example", "7.100.51.198.bl.example"},
		{"a zone index is left out", "fe80::1%eth0", "bl.example", "1." + strings.Repeat("0.", 27) + "0.8.e.f.bl.example"},
	} {
		var a netip.Addr
		if c.address != "" {
			a = netip.MustParseAddr(c.address)
		}
		if got, err := QueryAddress(a, c.zone); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}

func TestReverseName(t *testing.T) {
	for address, want := range map[string]string{
		"203.0.113.10":         "10.113.0.203.in-addr.arpa",
		"::ffff:203.0.113.10":  "10.113.0.203.in-addr.arpa",
		"2001:db8::567:89ab":   "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
		"2001:db8::567:89ab%1": "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
	} {
		if got := ReverseName(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
	if got := ReverseName(netip.Addr{}); got != "" {
		t.Errorf("no address: %q", got)
	}
}

func TestQueryNameRefusesWhatIsNoHostName(t *testing.T) {
	label := strings.Repeat("a", 63)
	whole := strings.Join([]string{label, label, label, label[:61]}, ".")
	for _, c := range []struct{ name, of, wrong string }{
		{"nothing", "", "empty"},
		{"a dot", ".", "empty"},
		{"an empty label", "mail..example.com", "empty label"},
		{"two dots at the end", "mail.example.com..", "empty label"},
		{"a dot in front", ".example.com", "empty label"},
		{"a label of 64", label + "a.example", "63"},
		{"254 octets", whole + "a", "253"},
		{"253 octets and a zone", whole, "with the zone"},
		{"254 octets with the zone", whole[:242], "254 octets with the zone"},
		{"a blank", "mail example.com", "other characters"},
		{"UTF-8", "mäil.example", "other characters"},
		{"a question in the name", "mail.example\x00.com", "other characters"},
		{"a star", "*.example.com", "other characters"},
		{"a hyphen in front", "-mail.example.com", "hyphen"},
		{"a hyphen at the end of a label", "mail-.example.com", "hyphen"},
		{"an IPv4 address", "192.0.2.1", "address"},
		{"an address literal", "[192.0.2.1]", "address"},
		{"an IPv6 address", "2001:db8::1", "address"},
		{"an address of inet_aton", "0x7f.1", "address"},
		{"a number", "3221225985", "address"},
		{"an IPv6 address backwards", strings.Repeat("0.", 31) + "A", "address"},
	} {
		got, err := QueryName(c.of, "dbl.example")
		if err == nil || !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: %q, %v, want an error with %q", c.name, got, err, c.wrong)
		}
	}
	for of, want := range map[string]string{
		whole[:241]:         whole[:241] + ".dbl.example", // 253
		"mail.example.com":  "mail.example.com.dbl.example",
		"MAIL.Example.COM.": "mail.example.com.dbl.example",
		"TEST":              "test.dbl.example",
		"_dmarc.a_b.test":   "_dmarc.a_b.test.dbl.example",
		"1and1.example":     "1and1.example.dbl.example",
		"xn--mil-qla.test":  "xn--mil-qla.test.dbl.example",

		strings.Repeat("0-", 31) + "a": strings.Repeat("0-", 31) + "a.dbl.example",
		strings.Repeat("0.", 31) + "g": strings.Repeat("0.", 31) + "g.dbl.example",
		strings.Repeat("0.", 30) + "a": strings.Repeat("0.", 30) + "a.dbl.example",
	} {
		if got, err := QueryName(of, "dbl.example"); got != want || err != nil {
			t.Errorf("%q: %q, %v, want %q", of, got, err, want)
		}
	}
}

func TestAQueryNameAllocatesNothingButItself(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for name, ask := range map[string]func() (string, error){
		"IPv4": func() (string, error) { return QueryAddress(v4, "zen.spamhaus.org") },
		"IPv6": func() (string, error) { return QueryAddress(v6, "zen.spamhaus.org") },
		"name": func() (string, error) { return QueryName("Mail.Example.com", "dbl.spamhaus.org") },
	} {
		if n := testing.AllocsPerRun(100, func() { ask() }); n > 1 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// askedFor is the inverse of QueryAddress and QueryName, in another way than theirs: it gives back what a list is asked for.
func askedFor(query, zone string) string {
	labels := strings.Split(strings.TrimSuffix(query, "."+zone), ".")
	reversed := make([]string, len(labels))
	for i, l := range labels {
		reversed[len(labels)-1-i] = l
	}
	switch len(labels) {
	case 4:
		if a, err := netip.ParseAddr(strings.Join(reversed, ".")); err == nil {
			return a.String()
		}
	case 32:
		var b strings.Builder
		for i, l := range reversed {
			if i > 0 && i%4 == 0 {
				b.WriteByte(':')
			}
			b.WriteString(l)
		}
		if a, err := netip.ParseAddr(b.String()); err == nil {
			return a.String()
		}
	}
	return strings.Join(labels, ".")
}

func TestAnAddressComesBackFromItsQueryName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "octets")
		a := netip.AddrFrom16([16]byte(b))
		if rapid.Bool().Draw(t, "v4") {
			a = netip.AddrFrom4([4]byte(b))
		}
		q, err := QueryAddress(a, "bl.example.net")
		if err != nil || askedFor(q, "bl.example.net") != a.Unmap().String() {
			t.Fatalf("%v: %q, %v", a, q, err)
		}
	})
}

func FuzzQueryName(f *testing.F) {
	for _, s := range []string{"mail.example.com", "Mail.Example.", "192.0.2.1", "[2001:db8::1]", "a..b", "-a.test", "_a.test",
		"::ffff:192.0.2.1", "fe80::1%eth0", strings.Repeat("a.", 127), "x.1", "K.example",
		strings.Repeat("0.", 31) + "a", strings.Repeat("a.", 120) + "bc", strings.Repeat("a.", 120) + "bcd"} {
		f.Add(s, "bl.example")
	}
	f.Fuzz(func(t *testing.T, subject, zone string) {
		if checkZone(zone) != nil {
			return
		}
		if a, err := netip.ParseAddr(subject); err == nil {
			q, err := QueryAddress(a, zone)
			if err != nil || askedFor(q, zone) != a.Unmap().WithZone("").String() {
				t.Errorf("%v in %q: %q, %v", a, zone, q, err)
			}
			if q, err := QueryName(subject, zone); err == nil {
				t.Errorf("the address %v is asked for as the name %q", a, q)
			}
		}
		q, err := QueryName(subject, zone)
		if err != nil {
			return
		}
		if want := strings.ToLower(strings.TrimSuffix(subject, ".")); askedFor(q, zone) != want {
			t.Errorf("%q in %q: %q is %q", subject, zone, q, askedFor(q, zone))
		}
		if len(q) > 253 || strings.ContainsAny(q, " \x00\\\"") || strings.Contains(q, "..") {
			t.Errorf("%q in %q: %q is no name", subject, zone, q)
		}
	})
}
