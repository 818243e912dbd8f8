package trace

import (
	"math"
	"slices"
)

// sketch counts how many different texts there are: exactly up to sketchSize, and beyond that by the smallest hashes (Bar-Yossef
// 2002, k minimum values), within a tenth or so. The zero sketch has seen none. Who chooses texts for their hashes can make it
// say less than there are, but never less than sketchSize.
type sketch struct{ least []uint64 }

const sketchSize = 128 // 1 kB

func (s *sketch) add(text string) {
	h := hash(text)
	at, known := slices.BinarySearch(s.least, h)
	if known || at == sketchSize {
		return
	}
	if len(s.least) == sketchSize {
		s.least = s.least[:sketchSize-1]
	}
	s.least = slices.Insert(s.least, at, h)
}

// count returns how many there were, and whether that is an estimate.
func (s *sketch) count() (n int, about bool) {
	if len(s.least) < sketchSize {
		return len(s.least), false
	}
	share := float64(s.least[sketchSize-1]) / math.MaxUint64
	return max(int((sketchSize-1)/share), sketchSize), true
}

// hash is FNV-1a with a last stir, so that the same log gives the same estimate. Capitals do not count.
func hash(text string) uint64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		h = (h ^ uint64(c)) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
