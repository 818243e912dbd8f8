package policy

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"
)

func TestParseHELO(t *testing.T) {
	v4, v6 := addr("192.0.2.1"), addr("2001:db8::a")
	const chars, digits, noAddress = "an illegal character", "a name of nothing but digits", "brackets around something that is no address"
	for _, c := range []struct {
		name, in string
		want     HELOName
	}{
		{"nothing", "", HELOName{}},
		{"a dot", ".", HELOName{HELODomain, "", netip.Addr{}, "an empty name", false}},
		{"two dots", "..", HELOName{HELODomain, "..", netip.Addr{}, "an empty label", false}},
		{"a blank", " ", HELOName{HELODomain, " ", netip.Addr{}, chars, false}},
		{"octal", "0177.0.0.1", HELOName{HELODomain, "0177.0.0.1", netip.Addr{}, digits, false}},
		{"hexadecimal", "0x7f.0.0.1", HELOName{HELODomain, "0x7f.0.0.1", netip.Addr{}, "", false}},
		{"three numbers", "1.2.3", HELOName{HELODomain, "1.2.3", netip.Addr{}, digits, false}},
		{"one number", "3221225985", HELOName{HELODomain, "3221225985", netip.Addr{}, digits, false}},
		{"an address with two trailing dots", "192.0.2.1..", HELOName{HELODomain, "192.0.2.1..", netip.Addr{}, "an empty label", false}},
		{"a zone", "fe80::1%eth0", HELOName{HELODomain, "fe80::1%eth0", netip.Addr{}, chars, false}},
		{"a literal with a zone", "[IPv6:fe80::1%eth0]", HELOName{HELOLiteral, "[ipv6:fe80::1%eth0]", netip.Addr{}, noAddress, false}},
		{"a literal with the tag twice", "[IPv6:IPv6:2001:db8::a]", HELOName{HELOLiteral, "[ipv6:ipv6:2001:db8::a]", netip.Addr{}, noAddress, false}},
		{"octal in a literal", "[0177.0.0.1]", HELOName{HELOLiteral, "[0177.0.0.1]", netip.Addr{}, noAddress, false}},
		{"an opening bracket", "[", HELOName{HELOLiteral, "[", netip.Addr{}, "an address literal without its closing bracket", false}},
		{"text behind a literal", "[192.0.2.1]x", HELOName{HELOLiteral, "[192.0.2.1]x", netip.Addr{}, "an address literal without its closing bracket", false}},
		{"8-bit is not changed", "M\xdcLLER.example.net", HELOName{HELODomain, "m\xdcller.example.net", netip.Addr{}, chars, false}},
		{"a U-label is not lowered", "MÜLLER.example.net", HELOName{HELODomain, "mÜller.example.net", netip.Addr{}, chars, false}},
		{"an address", "192.0.2.1", HELOName{HELOAddress, "192.0.2.1", v4, "", false}},
		{"an address with a trailing dot", "192.0.2.1.", HELOName{HELOAddress, "192.0.2.1", v4, "", false}},
		{"a mapped address", "::FFFF:192.0.2.1", HELOName{HELOAddress, "::ffff:192.0.2.1", v4, "", false}},
		{"an IPv6 address", "2001:DB8::A", HELOName{HELOAddress, "2001:db8::a", v6, "", false}},
		{"a literal", "[192.0.2.1]", HELOName{HELOLiteral, "[192.0.2.1]", v4, "", false}},
		{"a literal with a trailing dot", "[192.0.2.1].", HELOName{HELOLiteral, "[192.0.2.1]", v4, "", false}},
		{"an IPv6 literal", "[IPv6:2001:db8::a]", HELOName{HELOLiteral, "[ipv6:2001:db8::a]", v6, "", false}},
		{"an IPv6 literal in upper case", "[IPV6:2001:DB8:0:0::A]", HELOName{HELOLiteral, "[ipv6:2001:db8:0:0::a]", v6, "", false}},
		{"an IPv6 literal without the tag", "[2001:db8::a]", HELOName{HELOLiteral, "[2001:db8::a]", v6, "", false}},
		{"a mapped literal", "[IPv6:::ffff:192.0.2.1]", HELOName{HELOLiteral, "[ipv6:::ffff:192.0.2.1]", v4, "", false}},
		{"underscores", "my_pc._x.example.net", HELOName{HELODomain, "my_pc._x.example.net", netip.Addr{}, "", true}},
		{"an A-label in upper case", "XN--MLLER-KVA.Example.NET.", HELOName{HELODomain, "xn--mller-kva.example.net", netip.Addr{}, "", false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := ParseHELO(c.in); got != c.want {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

// Every octet but the 26 stays what it is, alone and behind a letter.
func TestLowerKnowsASCIIOnly(t *testing.T) {
	for c := range 256 {
		in := string([]byte{byte(c)})
		want := in
		if c >= 'A' && c <= 'Z' {
			want = string([]byte{byte(c) + 32})
		}
		if got := Lower(in) + Lower("Q"+in); got != want+"q"+want {
			t.Errorf("%q becomes %q", in, got)
		}
	}
}

func TestDotless(t *testing.T) {
	for in, want := range map[string]bool{"": false, ".": false, "pc": true, "pc.": true, "p c": true, "a.b": false, "[x]": false, "2001:db8::1": false} {
		if h := ParseHELO(in); h.Dotless() != want {
			t.Errorf("%q is dotless: %v", in, !want)
		}
	}
}

func TestTopLevelDomains(t *testing.T) {
	for in, want := range map[string]string{
		"pc.lan": "no top-level", "pc.localdomain": "no top-level", "pc.home": "no top-level", "pc.corp": "no top-level", "pc.mail": "no top-level",
		"pc.workgroup": "no top-level", "a.example.1": "no top-level", "pc.xn--nosuchtld": "no top-level", "pc.n": "no top-level",
		"pc.test": "reserved", "pc.example": "reserved", "pc.invalid": "reserved", "pc.localhost": "reserved", "pc.local": "reserved",
		"pc.onion": "reserved", "pc.alt": "reserved", "pc.internal": "reserved",
		"home.arpa": "at home", "pc.home.arpa": "at home",
		"mail.example.net": "", "a.co.uk": "", "a.uk": "", "xhome.arpa": "", "7.113.0.203.in-addr.arpa": "",
		"mail.ck": "", "www.ck": "", "a.b.ck": "", "mail.er": "", "a.co.er": "", "mail.kh": "", "a.com.kh": "", "mail.bd": "",
		"a.xn--p1ai": "", "a.xn--fiqs8s": "", "a.xn--mgbaam7a8h": "", "a.google": "", "a.xyz": "", "a.app": "", "a.museum": "", "a.online": "",
		"mail.github.io": "", "a.b.kawasaki.jp": "", "a.example.com": "", "test.example.org": "", "local.de": "",
	} {
		got := topLevelFault(in)
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}

// hostname is a second reading of RFC 1123 2.1 with underscores.
var hostname = regexp.MustCompile(`^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$`)

// numeric is a name of nothing but digits and dots.
var numeric = regexp.MustCompile(`^[0-9.]*$`)

func FuzzHELO(f *testing.F) {
	for _, s := range []string{"", ".", "..", "mail.example.net", "MAIL.Example.NET.", "my_pc.example.net", "[192.0.2.1]", "192.0.2.1.",
		"[IPv6:::ffff:192.0.2.1]", "[IPv6:fe80::1%eth0]", "0177.0.0.1", "1.2.3", "\u212aiel.example", "a\x00b\xff", "-a.b-", "203-0-113-7.example.net",
		strings.Repeat("a.", 127) + "b", strings.Repeat("[", 300)} {
		f.Add(s)
	}
	bound := Bind(Table(), nil, Enforce)
	f.Fuzz(func(t *testing.T, raw string) {
		h := ParseHELO(raw)
		if len(h.Name) > len(raw) {
			t.Fatalf("%q grew to %q", raw, h.Name)
		}
		switch h.Kind {
		case HELONone:
			if raw != "" || h != (HELOName{}) {
				t.Fatalf("%q is nothing: %+v", raw, h)
			}
		case HELODomain:
			checkDomain(t, h)
		case HELOAddress, HELOLiteral:
			checkAddress(t, h)
		default:
			t.Fatalf("kind %d", h.Kind)
		}
		if raw != "" && !strings.HasSuffix(raw, ".") {
			if dotted := ParseHELO(raw + "."); dotted != h {
				t.Fatalf("a trailing dot makes %+v of %+v", dotted, h)
			}
		}
		if lowered := ParseHELO(Lower(raw)); lowered != h {
			t.Fatalf("lower case makes %+v of %+v", lowered, h)
		}
		q := Request{Stage: RCPT, Client: addr("203.0.113.7"), HELO: Known(raw)}
		q.Settle()
		facts := Facts{Own: &Own{}, Greetings: []Greeting{{Name: raw}, {Name: raw}}}
		for _, b := range bound {
			if v := b.Judge(&q, &facts); v.Hit && (!oneLine.MatchString(v.Reason) || len(v.Reason) > 300) {
				t.Fatalf("%s: reason %q", b.Name, v.Reason)
			}
		}
	})
}

func checkDomain(t *testing.T, h HELOName) {
	t.Helper()
	legal := hostname.MatchString(h.Name) && !numeric.MatchString(h.Name) && len(h.Name) <= 253
	if legal != (h.Fault == "") || h.Address.IsValid() || h.Underscore != (legal && strings.Contains(h.Name, "_")) {
		t.Fatalf("%+v, but legal: %v", h, legal)
	}
	if IsHostname(h.Name) != legal {
		t.Fatalf("%q is a host name: %v", h.Name, !legal)
	}
	if again := ParseHELO(h.Name); h.Name != "" && again != h {
		t.Fatalf("%+v, and again %+v", h, again)
	}
}

func checkAddress(t *testing.T, h HELOName) {
	t.Helper()
	a := h.Address
	if a.IsValid() != (h.Fault == "") || a.Is4In6() || a.Zone() != "" || h.Underscore {
		t.Fatalf("%+v", h)
	}
	if !a.IsValid() {
		return
	}
	literal := "[" + a.String() + "]"
	if a.Is6() {
		literal = "[IPv6:" + a.String() + "]"
	}
	if bare, inside := ParseHELO(a.String()), ParseHELO(literal); bare.Address != a || inside.Address != a ||
		bare.Kind != HELOAddress || inside.Kind != HELOLiteral || bare.Fault+inside.Fault != "" {
		t.Fatalf("%+v, then %+v and %+v", h, bare, inside)
	}
}
