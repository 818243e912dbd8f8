package control

import (
	"net/netip"
	"strings"
	"testing"

	"eximpolicyd/internal/ledger"
)

func TestWhatIsTypedIsTakenAsTheNetworkThatIsMeantOrNotAtAll(t *testing.T) {
	for _, c := range []struct{ name, typed, want, note string }{
		{"a zero in front, which is octal for some", "192.0.02.1", "", "02 has a zero in front, and some read that as octal"},
		{"octal", "0300.0.2.1", "", "0300 has a zero in front"},
		{"hexadecimal", "0xc0.0.2.1", "", `"0xc0.0.2.1" is no address`},
		{"one number", "3221225985", "", `"3221225985" is no address`},
		{"three numbers", "192.0.2", "", "one of IPv4 has four numbers"},
		{"five numbers", "192.0.2.1.1", "", "one of IPv4 has four numbers"},
		{"a number of 256", "192.0.2.256", "", "is no address"},
		{"nothing", "", "", `"" is no address`},
		{"a size alone", "/24", "", `"" is no address`},
		{"blanks around", " 192.0.2.1 ", "", "is no address"},
		{"a line end", "192.0.2.1\n", "", "is no address"},
		{"a NUL", "192.0.2.1\x00", "", "is no address"},
		{"digits of another script", "١٩٢.٠.٢.١", "", "is no address"},
		{"a name", "mail.example.com", "", "is no address"},
		{"a kilobyte", strings.Repeat("1", 1024), "", "1111\"... is no address"},
		{"a flag", "--help", "", "is no address"},
		{"a size of 33", "192.0.2.0/33", "", "the size of the network is no number from 0 to 32"},
		{"a size of 129", "2001:db8::/129", "", "no number from 0 to 128"},
		{"a negative size", "192.0.2.0/-1", "", "no number from 0 to 32"},
		{"a size with a sign", "192.0.2.0/+24", "", "no number from 0 to 32"},
		{"a size with a zero in front", "192.0.2.0/024", "", "no number from 0 to 32"},
		{"no size", "192.0.2.0/", "", "no number from 0 to 32"},
		{"two sizes", "192.0.2.0/24/24", "", "no number from 0 to 32"},
		{"a netmask", "192.0.2.0/255.255.255.0", "", "the size of a network is written as a number of bits, like /24"},
		{"a zone", "fe80::1%eth0", "", "has a zone"},
		{"a zone of a mapped address", "::ffff:192.0.2.1%eth0", "", "has a zone"},
		{"half a bracket", "[192.0.2.1", "", "is no address"},
		{"an address and a port", "192.0.2.1:25", "", "is no address"},
		{"all mapped addresses and more", "::ffff:0.0.0.0/95", "", "is wider than the addresses of IPv4"},
		{"two addresses", "192.0.2.1,192.0.2.2", "", "is no address"},

		{"an address", "192.0.2.7", "192.0.2.7/32", ""},
		{"a network", "192.0.2.0/24", "192.0.2.0/24", ""},
		{"bits beyond the size", "192.0.2.7/24", "192.0.2.0/24", "192.0.2.7/24 is taken as 192.0.2.0/24: the bits beyond"},
		{"brackets, as in a log", "[192.0.2.7]", "192.0.2.7/32", ""},
		{"a mapped address", "::ffff:192.0.2.7", "192.0.2.7/32", "it is an address of IPv4"},
		{"a mapped address in hexadecimal", "::FFFF:c000:207", "192.0.2.7/32", "it is an address of IPv4"},
		{"a mapped network", "::ffff:192.0.2.0/120", "192.0.2.0/24", "it is an address of IPv4"},
		{"a mapped network with bits beyond its size", "::ffff:192.0.2.7/120", "192.0.2.0/24", "the bits beyond"},
		{"an address of IPv6", "2001:DB8::1", "2001:db8::/64", "2001:DB8::1 is taken as 2001:db8::/64: a client of IPv6 is a /64"},
		{"less than a client of IPv6", "2001:db8:0:0:1::/80", "2001:db8::/64", "a client of IPv6 is a /64"},
		{"a client of IPv6", "2001:db8:0:7::/64", "2001:db8:0:7::/64", ""},
		{"a network of IPv6", "2001:db8::/32", "2001:db8::/32", ""},
		{"everything", "0.0.0.0/0", "0.0.0.0/0", ""},
		{"everything of IPv6", "::/0", "::/0", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, note, err := ParseNetwork(c.typed)
			got := ""
			if err == nil {
				got = p.String()
			} else {
				note = err.Error()
			}
			if got != c.want || !strings.Contains(note, c.note) || (c.note == "") != (note == "") {
				t.Errorf("%q: %q, %q", c.typed, got, note)
			}
			if strings.ContainsAny(note, "\n\x00") || len(note) > 200 {
				t.Errorf("the note is no short line: %q", note)
			}
		})
	}
}

// A network that ParseNetwork returns is one that the daemon takes, and that is read again as itself.
func FuzzNetwork(f *testing.F) {
	for _, s := range []string{"192.0.2.7/24", "[2001:db8::1]", "::ffff:192.0.2.0/120", "fe80::1%lo/64", "0.0.0.0/0", "192.0.02.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		p, _, err := ParseNetwork(typed)
		if err != nil {
			return
		}
		if err := check(p); err != nil {
			t.Errorf("%q: %v", typed, err)
		}
		again, note, err := ParseNetwork(p.String())
		if err != nil || again != p || note != "" {
			t.Errorf("%q: %s is read as %s, %q, %v", typed, p, again, note, err)
		}
		if !LooksLikeNetwork(typed) {
			t.Errorf("%q is taken for an account", typed)
		}
	})
}

func TestAnAccountIsToldFromAMistypedAddress(t *testing.T) {
	for typed, want := range map[string]bool{
		"192.0.02.1": true, "192.0.2": true, "192.0.2.0/33": true, "2001:db8::x": true, "fe80::1%eth0": true, "[192.0.2.1": true,
		"1000": false, "alice": false, "alice@example.com": false, "mail.example.com": false, "bob.smith": false,
	} {
		if got := LooksLikeNetwork(typed); got != want {
			t.Errorf("%q: %v", typed, got)
		}
	}
}

func TestANetworkThatNoCommandOfOursSendsIsRefused(t *testing.T) {
	for _, p := range []netip.Prefix{
		{}, netip.MustParsePrefix("192.0.2.7/24"), netip.MustParsePrefix("2001:db8::1/128"), netip.MustParsePrefix("2001:db8::/65"),
		netip.PrefixFrom(netip.MustParseAddr("::ffff:192.0.2.1"), 128),
	} {
		if check(p) == nil {
			t.Errorf("%s is taken", p)
		}
	}
}

func TestANetworkIsTooWideFromItsBoundOn(t *testing.T) {
	for text, want := range map[string]bool{
		"0.0.0.0/0": false, "10.0.0.0/7": false, "10.0.0.0/8": true, "192.0.2.0/24": true,
		"::/0": false, "2000::/15": false, "2001::/16": true, "2001:db8::/64": true,
	} {
		if got := CheckWide(netip.MustParsePrefix(text)) == nil; got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestAReasonIsOnePrintableLine(t *testing.T) {
	for text, want := range map[string]bool{
		"": true, "sells lists": true, "größer als nötig": true, strings.Repeat("x", ledger.MaxBecause): true,
		strings.Repeat("x", ledger.MaxBecause+1): false, "two\nlines": false, "\x1b[31mred": false, "\xff": false, "tab\there": false,
		"right \u202e to left": false,
	} {
		if got := CheckReason(text) == nil; got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
