package control

import (
	"math"
	"net/netip"
	"slices"
)

// Barred is a network for a firewall to shut out.
type Barred struct {
	Network netip.Prefix
	Left    int64 // seconds; 0: for ever
}

// Flatten returns what is shut out as networks that do not overlap, in their order, of which each is shut out for as long
// as the ban that lasts longest there. A firewall knows no more than that: it has no notion of a ban that only observes,
// or of a network that is let in inside a banned one, so neither is left in.
func Flatten(bans []Ban, in []netip.Prefix) []Barred {
	var layers []layer
	for _, b := range bans {
		if b.Refuses {
			layers = append(layers, layer{network: b.Network, left: forever(b.Left)})
		}
	}
	for _, p := range in {
		layers = append(layers, layer{network: p, open: true})
	}
	slices.SortFunc(layers, func(a, b layer) int { return a.network.Compare(b.network) })
	six := 0
	for six < len(layers) && layers[six].network.Addr().Is4() {
		six++
	}
	out := flatten(nil, netip.PrefixFrom(netip.IPv4Unspecified(), 0), 0, layers[:six])
	return flatten(out, netip.PrefixFrom(netip.IPv6Unspecified(), 0), 0, layers[six:])
}

// layer is one ban, or one allowed network.
type layer struct {
	network netip.Prefix
	left    int64
	open    bool
}

func forever(left int64) int64 {
	if left == 0 {
		return math.MaxInt64
	}
	return left
}

// flatten adds a network that is shut out for a time, 0 if it is not, with what lies on it: each layer outlasts it. A
// network is halved until nothing lies on it, or what does is all of it.
func flatten(out []Barred, p netip.Prefix, left int64, on []layer) []Barred {
	switch {
	case len(on) == 0 && left == 0:
		return out
	case len(on) == 0 && p.Bits() > 0: // no set of a firewall takes a /0
		return append(out, Barred{p, left % math.MaxInt64})
	case len(on) == 0:
	case on[0].network == p && on[0].open:
		return out
	case on[0].network == p:
		left = max(left, on[0].left)
		above := slices.DeleteFunc(slices.Clone(on[1:]), func(l layer) bool { return !l.open && l.left <= left })
		return flatten(out, p, left, above)
	}
	low, high := halves(p)
	n, _ := slices.BinarySearchFunc(on, high, func(l layer, high netip.Prefix) int { return l.network.Addr().Compare(high.Addr()) })
	return flatten(flatten(out, low, left, on[:n]), high, left, on[n:])
}

// halves returns the two halves of a network of more than one address.
func halves(p netip.Prefix) (low, high netip.Prefix) {
	n := p.Bits()
	b := p.Addr().AsSlice()
	b[n/8] |= 0x80 >> (n % 8)
	a, _ := netip.AddrFromSlice(b)
	return netip.PrefixFrom(p.Addr(), n+1), netip.PrefixFrom(a, n+1)
}
