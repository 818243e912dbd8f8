package policy

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestSpells(t *testing.T) {
	const v4 = "203.0.113.7" // cb007107
	for _, c := range []struct {
		name   string
		helo   string
		client string
		want   bool
	}{
		{"between dashes", "dsl-203-0-113-7.example.net", v4, true},
		{"between dots, as in the reverse zone", "7.113.0.203.example.net", v4, true},
		{"between underscores", "h203_0_113_7.example.net", v4, true},
		{"between mixed separators", "203-0.113_7.example.net", v4, true},
		{"the first three octets", "203-0-113.pool.example.net", v4, true},
		{"the last three octets", "0-113-7.pool.example.net", v4, true},
		{"the first three, reversed", "113-0-203.pool.example.net", v4, true},
		{"the last three, reversed", "7-113-0.pool.example.net", v4, true},
		{"padded, between dashes", "203-000-113-007.example.net", v4, true},
		{"behind another number", "1-203-0-113-7.example.net", v4, true},
		{"behind a number that is no octet", "256-203-0-113-7.example.net", v4, true},
		{"after a chain that broke off", "203-0-x-203-0-113.example.net", v4, true},
		{"with a slash behind", "203-0-113/x.example.net", v4, true},
		{"with a colon behind", "203-0-113:x.example.net", v4, true},
		{"at the end of a name", "example-203-0-113-7", v4, true},
		{"padded in one run", "203000113007.example.net", v4, true},
		{"padded in one run, reversed", "007113000203.example.net", v4, true},
		{"padded in one run with letters before", "dsl203000113007.example.net", v4, true},
		{"padded in one run with letters behind", "203000113007x.example.net", v4, true},
		{"padded in a later run", "a-203000113007.example.net", v4, true},
		{"padded in one run with letters around", "dsl203000113007x.example.net", v4, true},
		{"in hexadecimal", "cb007107.example.net", v4, true},
		{"in hexadecimal with letters before", "ipcb007107.example.net", v4, true},
		{"in hexadecimal with letters behind", "cb007107x.example.net", v4, true},
		{"in hexadecimal, in a later run", "pc_cb007107.example.net", v4, true},
		{"in hexadecimal in the last run", "example.cb007107", v4, true},

		{"two octets", "113-7.example.net", v4, false},
		{"two at each end", "203-0-x-113-7.example.net", v4, false},
		{"three that are no neighbours", "203-0-7.example.net", v4, false},
		{"three of them in another order", "0-203-113.example.net", v4, false},
		{"two separators between", "203--0--113--7.example.net", v4, false},
		{"a letter between", "203a0a113a7.example.net", v4, false},
		{"a separator that is none", "203+0+113+7", v4, false},
		{"longer numbers", "1203-0-1137.example.net", v4, false},
		{"a number of 30 digits", strings.Repeat("9", 30) + "-203-0", v4, false},
		{"a number that wraps around to an octet", "18446744073709551819-0-113.example.net", v4, false},
		{"padded with one more digit", "2030001130070.example.net", v4, false},
		{"padded, cut short", "20300011300.example.net", v4, false},
		{"padded, one octet of another", "203000113008.example.net", v4, false},
		{"padded, the last two octets of another, reversed", "007113000204.example.net", v4, false},
		{"padded by letters", "203000113o07.example.net", v4, false},
		{"hexadecimal, cut short", "cb00710.example.net", v4, false},
		{"hexadecimal of another address", "cb007108.example.net", v4, false},
		{"hexadecimal in the middle of a run", "xcb007107x.example.net", v4, false},
		{"an IPv6 client", "203-0-113-7.example.net", "2001:db8::7", false},
		{"no client", "203-0-113-7.example.net", "", false},
		{"no name", "", v4, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, _ := netip.ParseAddr(c.client)
			if got := spells(c.helo, a); got != c.want {
				t.Errorf("%s spells %s: %v", c.helo, c.client, got)
			}
		})
	}
	for _, octet := range []int{0, 1, 9, 10, 99, 100, 127, 128, 255} {
		a := netip.AddrFrom4([4]byte{byte(octet), 0, 255, byte(octet)})
		for _, name := range spellings(a, ".", 0) {
			if !spells(name, a) {
				t.Errorf("%s does not spell %s", name, a)
			}
		}
	}
}

// spellings writes an address in every way that counts; from is 0 for the first three octets and 1 for the last three.
func spellings(a netip.Addr, sep string, from int) []string {
	o := a.As4()
	forward := []string{fmt.Sprint(o[0]), fmt.Sprint(o[1]), fmt.Sprint(o[2]), fmt.Sprint(o[3])}
	padded := []string{fmt.Sprintf("%03d", o[0]), fmt.Sprintf("%03d", o[1]), fmt.Sprintf("%03d", o[2]), fmt.Sprintf("%03d", o[3])}
	var out []string
	for _, list := range [][]string{forward, padded} {
		backward := slices.Clone(list)
		slices.Reverse(backward)
		for _, l := range [][]string{list, backward} {
			out = append(out, strings.Join(l, sep), strings.Join(l[from:from+3], sep))
		}
	}
	backward := slices.Clone(padded)
	slices.Reverse(backward)
	return append(out, strings.Join(padded, ""), strings.Join(backward, ""), fmt.Sprintf("%08x", binary.BigEndian.Uint32(o[:])))
}

func drawAddress(t *rapid.T, label string) netip.Addr {
	n := rapid.Uint32().Draw(t, label)
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

func drawName(t *rapid.T, a netip.Addr) string {
	sep := rapid.SampledFrom([]string{".", "-", "_"}).Draw(t, "separator")
	name := rapid.SampledFrom(spellings(a, sep, rapid.IntRange(0, 1).Draw(t, "from"))).Draw(t, "spelling")
	before := rapid.SampledFrom([]string{"", "dsl-", "pool.", "ip", "x_", "host-1x-"}).Draw(t, "before")
	behind := rapid.SampledFrom([]string{"", ".example.net", "-pool.example.net", "x.example.net"}).Draw(t, "behind")
	if before == "ip" { // hexadecimal must begin or end a word
		behind = strings.TrimPrefix(behind, "x")
	}
	return before + name + behind
}

func TestEverySpellingOfAnAddressIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawAddress(t, "client")
		if name := drawName(t, a); !spells(name, a) {
			t.Fatalf("%s does not spell %s", name, a)
		}
	})
}

// A customer in the same network as another one must not pay for his neighbour's name.
func TestNamesMadeOfAnotherAddressAreNotFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawAddress(t, "client").As4()
		p := o
		// With two octets that differ, no three neighbours are the same: the second or third differs.
		i := rapid.IntRange(1, 2).Draw(t, "octet")
		p[i] += byte(rapid.IntRange(1, 255).Draw(t, "by"))
		p[0] = byte(rapid.IntRange(0, 255).Draw(t, "first"))
		a, b := netip.AddrFrom4(o), netip.AddrFrom4(p)
		name := drawName(t, b)
		if shares(o, p) || digitsAsHex(name, o) {
			t.Skip("the other address reads as the client's too")
		}
		if spells(name, a) {
			t.Fatalf("%s spells %s", name, a)
		}
	})
}

// shares reports whether two addresses have three octets in a row in common, either way round.
func shares(o, p [4]byte) bool {
	for i := range 2 {
		for j := range 2 {
			a, b := o[i:i+3], p[j:j+3]
			if slices.Equal(a, b) || a[0] == b[2] && a[1] == b[1] && a[2] == b[0] {
				return true
			}
		}
	}
	return false
}

// digitsAsHex reports whether the decimal digits of one address are the hexadecimal ones of another.
func digitsAsHex(name string, o [4]byte) bool {
	return strings.Contains(name, fmt.Sprintf("%08x", binary.BigEndian.Uint32(o[:])))
}
