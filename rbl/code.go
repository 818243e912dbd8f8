package rbl

import (
	"fmt"
	"math"
	"strconv"
)

// Code is what a list answers: 127.b.c.d. The first octet is always 127 and is not kept; an address outside of
// 127.0.0.0/8 is no code of any list.
type Code [3]byte

// String returns the code as an address.
func (c Code) String() string {
	b := append(make([]byte, 0, 15), "127"...)
	for _, octet := range c {
		b = append(b, '.')
		b = strconv.AppendUint(b, uint64(octet), 10)
	}
	return string(b)
}

// Score counts tenths of a point; a list of good senders has a negative one.
type Score int

// String writes the score with one decimal.
func (s Score) String() string { return string(s.AppendTo(nil)) }

// AppendTo appends what String returns.
func (s Score) AppendTo(b []byte) []byte {
	if s < 0 {
		b, s = append(b, '-'), -s
	}
	return append(strconv.AppendInt(b, int64(s/10), 10), '.', byte('0'+s%10))
}

// MarshalJSON writes a number with one decimal.
func (s Score) MarshalJSON() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalJSON reads a number with one decimal.
func (s *Score) UnmarshalJSON(b []byte) error {
	n, err := strconv.ParseFloat(string(b), 64)
	if err != nil || !(math.Abs(n) < 1e6) {
		return fmt.Errorf("%.20q is no score", b)
	}
	*s = Score(math.Round(10 * n))
	return nil
}
