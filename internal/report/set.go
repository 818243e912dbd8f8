package report

import "math/bits"

// set is of rules, by their places. The zero set is empty. There is room for 128; of more, the last are not told of.
type set [2]uint64

func (s *set) add(i int) {
	if i >= 0 && i < 64*len(s) {
		s[i/64] |= 1 << (i % 64)
	}
}

func (s *set) all(o set) {
	for i := range s {
		s[i] |= o[i]
	}
}

func (s *set) has(i int) bool { return i < 64*len(s) && s[i/64]&(1<<(i%64)) != 0 }

// each calls f with the places, in order.
func (s set) each(f func(i int)) {
	for n, word := range s {
		for ; word != 0; word &= word - 1 {
			f(64*n + bits.TrailingZeros64(word))
		}
	}
}
