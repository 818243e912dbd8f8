package control

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"eximpolicyd/internal/ledger"
)

// ban is one in force for so many seconds, 0 for ever.
func ban(network string, left int64) Ban {
	return Ban{Ban: ledger.Ban{Network: netip.MustParsePrefix(network), Enforced: true, Rule: ledger.Admin, Durable: true}, Active: true, Refuses: true, Left: left}
}

func let(network string) netip.Prefix { return netip.MustParsePrefix(network) }

func TestAFirewallIsFedNetworksThatDoNotOverlap(t *testing.T) {
	silent := ban("192.0.2.0/24", 60)
	silent.Refuses = false
	for _, c := range []struct {
		name    string
		bans    []Ban
		allowed []netip.Prefix
		want    string
	}{
		{"one that only observes, or is over", []Ban{silent}, nil, ""},
		{"one that is allowed", []Ban{ban("192.0.2.7/32", 60)}, []netip.Prefix{let("192.0.2.7/32")}, ""},
		{"one in an allowed network", []Ban{ban("192.0.2.7/32", 60)}, []netip.Prefix{let("192.0.2.0/24")}, ""},
		{"a smaller one that ends first", []Ban{ban("192.0.2.0/24", 60), ban("192.0.2.7/32", 60)}, nil, "192.0.2.0/24=60"},
		{"a smaller one that ends first, of one for ever", []Ban{ban("192.0.2.0/24", 0), ban("192.0.2.7/32", 60)}, nil, "192.0.2.0/24=0"},
		{"a rule's and an administrator's", []Ban{ban("192.0.2.0/24", 60), ban("192.0.2.0/24", 90)}, nil, "192.0.2.0/24=90"},
		{"an administrator's and a rule's", []Ban{ban("192.0.2.0/24", 0), ban("192.0.2.0/24", 90)}, nil, "192.0.2.0/24=0"},
		{"two beside each other", []Ban{ban("192.0.2.0/25", 60), ban("192.0.2.128/25", 60)}, nil, "192.0.2.0/25=60 192.0.2.128/25=60"},
		{"a smaller one that ends later", []Ban{ban("192.0.2.0/30", 60), ban("192.0.2.1/32", 90)}, nil,
			"192.0.2.0/32=60 192.0.2.1/32=90 192.0.2.2/31=60"},
		{"an allowed address inside", []Ban{ban("192.0.2.0/30", 60)}, []netip.Prefix{let("192.0.2.3/32")}, "192.0.2.0/31=60 192.0.2.2/32=60"},
		{"everything, which no set takes", []Ban{ban("0.0.0.0/0", 0), ban("::/0", 60)}, nil, "0.0.0.0/1=0 128.0.0.0/1=0 ::/1=60 8000::/1=60"},
		{"both families", []Ban{ban("2001:db8::/64", 60), ban("192.0.2.7/32", 0)}, nil, "192.0.2.7/32=0 2001:db8::/64=60"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, b := range Flatten(c.bans, c.allowed) {
				got = append(got, fmt.Sprintf("%s=%d", b.Network, b.Left))
			}
			if text := strings.Join(got, " "); text != c.want {
				t.Errorf("%q, want %q", text, c.want)
			}
		})
	}
}

// random makes bans and allowed networks within 192.0.2.0/24 and one of IPv6, so that many overlap.
func random(r *rand.Rand) (bans []Ban, allowed []netip.Prefix) {
	network := func() string {
		if r.IntN(4) == 0 {
			return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 0, 0, byte(r.Uint32())}), 56+r.IntN(9)).Masked().String()
		}
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(r.Uint32())}), 24+r.IntN(9)).Masked().String()
	}
	for range r.IntN(12) {
		bans = append(bans, ban(network(), int64(r.IntN(4))))
	}
	for range r.IntN(4) {
		allowed = append(allowed, let(network()))
	}
	return bans, allowed
}

func TestEveryAddressIsShutOutAsLongAsItsLongestBan(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		bans, allowed := random(r)
		flat := Flatten(bans, allowed)
		for i := range 256 {
			for _, a := range []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 0, 0, byte(i)})} {
				if want, got := wanted(a, bans, allowed), found(t, a, flat); got != want {
					t.Fatalf("%s is shut out for %d, not %d\n%v\n%v\n%v", a, got, want, bans, allowed, flat)
				}
			}
		}
	}
}

// wanted returns how long an address is to be shut out, -1 for not at all.
func wanted(a netip.Addr, bans []Ban, allowed []netip.Prefix) int64 {
	left := int64(-1)
	for _, l := range allowed {
		if l.Contains(a) {
			return -1
		}
	}
	for _, b := range bans {
		if b.Network.Contains(a) && (left < 0 || left != 0 && (b.Left == 0 || b.Left > left)) {
			left = b.Left
		}
	}
	return left
}

func found(t *testing.T, a netip.Addr, flat []Barred) int64 {
	left, times := int64(-1), 0
	for _, b := range flat {
		if b.Network.Contains(a) {
			left, times = b.Left, times+1
		}
	}
	if times > 1 {
		t.Fatalf("%s is in %d networks", a, times)
	}
	return left
}

// someNetworks are of every kind.
func someNetworks() []Barred {
	return Flatten([]Ban{
		ban("192.0.2.0/24", 3600), ban("192.0.2.7/32", 0), ban("198.51.100.7/32", 1), ban("203.0.113.0/25", int64(Most/time.Second)),
		ban("2001:db8::/32", 0), ban("2001:db8:0:1::/64", 60), ban("2001:db9:0:1::/64", 60), ban("0.0.0.0/1", 5),
	}, []netip.Prefix{let("192.0.2.9/32"), let("2001:db8:0:2::/64")})
}

func TestScriptsHaveTheFormOfTheirPrograms(t *testing.T) {
	const net4, net6 = `[0-9.]+/[0-9]+`, `[0-9a-f:]+/[0-9]+`
	for _, c := range []struct {
		name  string
		write func(*bytes.Buffer, []Barred) error
		lines string
	}{
		{"plain", func(b *bytes.Buffer, n []Barred) error { return Plain(b, n) }, net4 + "|" + net6},
		{"nft", func(b *bytes.Buffer, n []Barred) error { return NFT(b, n) },
			`#.*|(add table|add set|flush set|add element) inet eximpolicyd.*|\t(` + net4 + "|" + net6 + `)( timeout [0-9]{1,4}d[0-9]{1,5}s)?,|}`},
		{"ipset", func(b *bytes.Buffer, n []Barred) error { return IPSet(b, n) },
			`#.*|create eximpolicyd[46](-next)? hash:net family inet6? maxelem 1048576 timeout 0 -exist|flush eximpolicyd[46]-next|` +
				`add eximpolicyd4-next ` + net4 + ` timeout [0-9]+|add eximpolicyd6-next ` + net6 + ` timeout [0-9]+|` +
				`swap eximpolicyd[46]-next eximpolicyd[46]|destroy eximpolicyd[46]-next`},
	} {
		for _, networks := range [][]Barred{nil, someNetworks()} {
			var b bytes.Buffer
			if err := c.write(&b, networks); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(b.String()) {
				if !regexp.MustCompile(`^(` + c.lines + `)\n$`).MatchString(line) {
					t.Errorf("%s: %q", c.name, line)
				}
			}
		}
	}
}

// unshared runs a command in a network name space of its own.
func unshared(t *testing.T, words ...string) string {
	t.Helper()
	for _, program := range []string{"unshare", words[0]} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
	if out, err := exec.Command("unshare", "-rn", "true").CombinedOutput(); err != nil {
		t.Skipf("no name space can be made here: %s", out)
	}
	out, err := exec.Command("unshare", append([]string{"-rn"}, "sh", "-c", strings.Join(words, " "))...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", words, err, out)
	}
	return string(out)
}

func script(t *testing.T, write func(*os.File) error) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "script"))
	if err != nil {
		t.Fatal(err)
	}
	if err := write(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

func TestNFTTakesItsScriptAsOftenAsItIsRun(t *testing.T) {
	path := script(t, func(f *os.File) error { return NFT(f, someNetworks()) })
	before := script(t, func(f *os.File) error {
		return NFT(f, Flatten([]Ban{ban("203.0.113.200/32", 0), ban("2001:db8:77::/64", 0)}, nil))
	})
	out := unshared(t, "nft", "-f", before, "&& nft -f", path, "&& nft -f", path, "&& nft list table inet eximpolicyd")
	for _, want := range []string{"192.0.2.9", "2001:db8:0:2::/64"} {
		if strings.Contains(out, want+" ") || strings.Contains(out, want+",") {
			t.Errorf("%s is allowed and shut out:\n%s", want, out)
		}
	}
	for _, gone := range []string{"203.0.113.200", "2001:db8:77::"} {
		if strings.Contains(out, gone) {
			t.Errorf("%s is shut out no more:\n%s", gone, out)
		}
	}
	for _, want := range []string{"192.0.2.7", "198.51.100.7", "203.0.113.0/25", "2001:db9:0:1::/64"} {
		if !strings.Contains(out, want) {
			t.Errorf("%s is not shut out:\n%s", want, out)
		}
	}
}

func TestIPSetTakesItsScriptAsOftenAsItIsRun(t *testing.T) {
	path := script(t, func(f *os.File) error { return IPSet(f, someNetworks()) })
	before := script(t, func(f *os.File) error {
		return IPSet(f, Flatten([]Ban{ban("203.0.113.200/32", 0), ban("2001:db8:77::/64", 0)}, nil))
	})
	out := unshared(t, "ipset", "restore <", before, "&& ipset restore <", path, "&& ipset restore <", path, "&& ipset save")
	lines := slices.Collect(strings.Lines(out))
	if n := len(slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return !strings.HasPrefix(l, "add ") })); n != len(someNetworks()) {
		t.Errorf("%d networks of %d:\n%s", n, len(someNetworks()), out)
	}
	if !strings.Contains(out, "203.0.113.0/25 timeout 21474") {
		t.Errorf("the longest ban is not as long as it can be:\n%s", out)
	}
}
