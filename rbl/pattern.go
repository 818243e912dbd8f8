package rbl

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// Pattern says which codes are meant, in the notation of Postfix's postscreen_dnsbl_sites: four octets, each a number or
// a list of numbers and ranges in brackets: 127.0.0.[2..11;13]. The zero pattern is none given, and no code fits it.
//
// It is a set of numbers an octet, and not a list of codes, since that is all the notation can say. A list that answers
// with a bit mask is matched by the numbers that have the bit.
type Pattern struct {
	octets [4]octetSet
}

// octetSet has a bit for each value of an octet.
type octetSet [4]uint64

func (s *octetSet) has(o byte) bool { return s[o>>6]&(1<<(o&63)) != 0 }
func (s *octetSet) add(o byte)      { s[o>>6] |= 1 << (o & 63) }

// size returns how many values the set has.
func (s *octetSet) size() int {
	return bits.OnesCount64(s[0]) + bits.OnesCount64(s[1]) + bits.OnesCount64(s[2]) + bits.OnesCount64(s[3])
}

// Has reports whether a code fits the pattern.
func (p *Pattern) Has(c Code) bool {
	return p.octets[1].has(c[0]) && p.octets[2].has(c[1]) && p.octets[3].has(c[2])
}

// IsZero reports whether no pattern is given.
func (p *Pattern) IsZero() bool { return *p == Pattern{} }

// only reports whether c is the one code that fits.
func (p *Pattern) only(c Code) bool {
	return p.Has(c) && p.octets[1].size() == 1 && p.octets[2].size() == 1 && p.octets[3].size() == 1
}

// onlyErrors reports whether every code that fits is in 127.255.255.0/24.
func (p *Pattern) onlyErrors() bool {
	return p.octets[1].has(255) && p.octets[1].size() == 1 && p.octets[2].has(255) && p.octets[2].size() == 1
}

// and returns the pattern of the codes that fit both; it is the zero pattern if none does.
func (p Pattern) and(q Pattern) Pattern {
	for i := range p.octets {
		for j := range p.octets[i] {
			p.octets[i][j] &= q.octets[i][j]
		}
		if p.octets[i].size() == 0 {
			return Pattern{}
		}
	}
	return p
}

// String returns the one way to write the pattern: ascending, ranges as long as can be, brackets only where needed. The
// zero pattern is an empty string.
func (p Pattern) String() string {
	if p.IsZero() {
		return ""
	}
	var b []byte
	for i := range p.octets {
		if i > 0 {
			b = append(b, '.')
		}
		b = p.octets[i].append(b)
	}
	return string(b)
}

func (s *octetSet) append(b []byte) []byte {
	many := s.size() > 1
	if many {
		b = append(b, '[')
	}
	first := true
	for low := 0; low < 256; low++ {
		if !s.has(byte(low)) {
			continue
		}
		high := low
		for high < 255 && s.has(byte(high+1)) {
			high++
		}
		if !first {
			b = append(b, ';')
		}
		first = false
		b = strconv.AppendInt(b, int64(low), 10)
		if high > low {
			b = strconv.AppendInt(append(b, ".."...), int64(high), 10)
		}
		low = high
	}
	if many {
		b = append(b, ']')
	}
	return b
}

// ParsePattern reads a pattern. Whatever Postfix takes is taken, but for one that no answer of a list can fit: its first
// octet has to admit 127.
func ParsePattern(text string) (Pattern, error) {
	var p Pattern
	rest := text
	for i := range p.octets {
		if i > 0 {
			after, ok := strings.CutPrefix(rest, ".")
			if !ok {
				return Pattern{}, patternError(text, "it needs four octets with a dot between them, as in 127.0.0.2")
			}
			rest = after
		}
		octet, after, wrong := cutOctet(rest)
		if wrong == "" {
			wrong = p.octets[i].parse(octet)
		}
		if wrong != "" {
			return Pattern{}, patternError(text, wrong)
		}
		rest = after
	}
	switch {
	case rest != "":
		return Pattern{}, patternError(text, fmt.Sprintf("%.20q behind the fourth octet is too much", rest))
	case !p.octets[0].has(127):
		return Pattern{}, patternError(text, "lists answer addresses that begin with 127")
	}
	return p, nil
}

// patternError quotes what somebody has written, which may be a key at the wrong place.
func patternError(text, wrong string) error {
	return fmt.Errorf("codes %.60q: %s", Masked(text), wrong)
}

// cutOctet cuts the first octet off, with its brackets.
func cutOctet(text string) (octet, rest, wrong string) {
	end := 0
	if strings.HasPrefix(text, "[") {
		end = strings.IndexByte(text, ']') + 1
		if end == 0 {
			return "", "", "a bracket is not closed"
		}
		return text[:end], text[end:], ""
	}
	for end < len(text) && text[end] != '.' {
		end++
	}
	if strings.HasPrefix(text[end:], "..") {
		return "", "", "a range stands in brackets, as in 127.0.0.[2..11]"
	}
	return text[:end], text[end:], ""
}

// parse adds what an octet says, a number or a list in brackets, and returns what is wrong with it.
func (s *octetSet) parse(octet string) (wrong string) {
	list, bracketed := strings.CutPrefix(octet, "[")
	if !bracketed {
		o, ok := number(octet)
		if !ok {
			return octetHint(octet)
		}
		s.add(o)
		return ""
	}
	for member := range strings.SplitSeq(strings.TrimSuffix(list, "]"), ";") {
		first, last, ranged := strings.Cut(member, "..")
		low, ok := number(first)
		if !ok {
			return octetHint(member)
		}
		high := low
		if ranged {
			if high, ok = number(last); !ok {
				return octetHint(member)
			}
		}
		if low > high {
			return fmt.Sprintf("range %d..%d: the lower number comes first", low, high)
		}
		for o := int(low); o <= int(high); o++ {
			s.add(byte(o))
		}
	}
	return ""
}

func octetHint(octet string) string {
	return fmt.Sprintf("octet %.20q: write a number from 0 to 255, or such numbers and ranges in brackets, as in [2..11;13]",
		Masked(octet))
}

// number reads an octet as Postfix does: decimal, whatever zeros it begins with.
func number(text string) (byte, bool) {
	if text == "" {
		return 0, false
	}
	n := 0
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return 0, false
		}
		if n = n*10 + int(text[i]-'0'); n > 255 {
			return 0, false
		}
	}
	return byte(n), true
}
