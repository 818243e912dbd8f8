package ledger

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// Networks come and go inside one another, in any order: each place knows the next one around it.
func TestAPlaceKnowsTheNextOneAroundIt(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 8))
	var s entries
	there := map[id]*entry{}
	for n := range 4000 {
		a, bits := netip.AddrFrom4([4]byte{192, 0, 2, byte(random.IntN(16))}), 24+random.IntN(9)
		if n%3 == 0 {
			a, bits = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 7: byte(random.IntN(8))}), 40+random.IntN(25)
		}
		p, _ := a.Prefix(bits)
		b := Ban{Network: p, Level: 1, Enforced: n%2 == 0, Rule: "x.1"}
		if e := there[entryOf(&b).id]; e != nil {
			s.remove(e)
			delete(there, e.id)
		} else {
			e := entryOf(&b)
			s.put(e)
			there[e.id] = e
		}
		if n%50 != 0 {
			continue
		}
		for i := range there {
			var want []netip.Prefix
			for bits := i.network.Bits() - 1; bits >= 0; bits-- {
				q, _ := i.network.Addr().Prefix(bits)
				if there[id{enforced, q}] != nil || there[id{observed, q}] != nil {
					want = append(want, q)
				}
			}
			var got []netip.Prefix
			at, _ := s.table.Get(i.network)
			for at = at.around; at != nil; at = at.around {
				for _, e := range at.of {
					if e != nil && !slices.Contains(got, e.network) {
						got = append(got, e.network)
					}
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%d: around %s are %v, not %v", n, i.network, got, want)
			}
		}
	}
}
