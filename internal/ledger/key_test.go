package ledger

import (
	"net/netip"
	"slices"
	"testing"
)

// What is written for speed must be what is written to be read.
func TestTheKeysOfAClientAreThoseOfItsNetworks(t *testing.T) {
	for _, text := range []string{
		"", "0.0.0.0", "192.0.2.255", "203.0.113.1", "255.255.255.255", "::", "2001:db8::1", "2001:db8:1:2:3:4:5:6",
		"2001:db8:ffff:ffff:ffff::", "fe80::1%eth0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	} {
		a, _ := netip.ParseAddr(text)
		var want []Key
		if a.IsValid() {
			want = append(want, Of(Client(a)))
		}
		for _, n := range Networks(a) {
			want = append(want, Of(n))
		}
		if keys, n := Keys(a); !slices.Equal(keys[:n], want) || slices.ContainsFunc(keys[n:], func(k Key) bool { return k != Key{} }) {
			t.Errorf("%q: got %v of %v, want %v", text, n, keys, want)
		}
	}
}
