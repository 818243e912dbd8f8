package rbl

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Bounds of a name in the DNS (RFC 1035 2.3.4): 255 octets on the wire are 253 as text.
const (
	maxName  = 253
	maxLabel = 63
	// maxZone leaves room for the longest address in front: 32 nibbles and their dots.
	maxZone = maxName - 64
)

// QueryAddress returns the name to ask a list of addresses for: octets or nibbles reversed, in front of the zone
// (RFC 5782 2.1 and 2.4). A v4-mapped address is asked as the IPv4 address that it is, and an IPv6 zone index is left
// out. The zone is taken as it is: that of a Zone is always good.
func QueryAddress(a netip.Addr, zone string) (string, error) {
	if !a.IsValid() {
		return "", errors.New("no address to ask a list for")
	}
	b := appendReversed(make([]byte, 0, maxName+3), a)
	if len(b)+len(zone) > maxName {
		return "", fmt.Errorf("the name of the zone has %d octets: at most %d leave room for an address", len(zone), maxZone)
	}
	return string(append(b, zone...)), nil
}

// ReverseName returns the name that the PTR records of an address are at (RFC 1035 3.5, RFC 3596 2.5). Of no address it
// is empty.
func ReverseName(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	b := appendReversed(make([]byte, 0, 64+len("in-addr.arpa")), a)
	if a.Unmap().Is4() {
		return string(append(b, "in-addr.arpa"...))
	}
	return string(append(b, "ip6.arpa"...))
}

// appendReversed appends the address as the DNS orders it, last octet or nibble first, each with a dot behind it.
func appendReversed(b []byte, a netip.Addr) []byte {
	const hex = "0123456789abcdef"
	if a = a.Unmap(); a.Is4() {
		octets := a.As4()
		for i := 3; i >= 0; i-- {
			b = append(appendOctet(b, octets[i]), '.')
		}
		return b
	}
	octets := a.As16()
	for i := 15; i >= 0; i-- {
		b = append(b, hex[octets[i]&15], '.', hex[octets[i]>>4], '.')
	}
	return b
}

func appendOctet(b []byte, o byte) []byte {
	if o >= 100 {
		b = append(b, '0'+o/100)
	}
	if o >= 10 {
		b = append(b, '0'+o/10%10)
	}
	return append(b, '0'+o%10)
}

// QueryName returns the name to ask a list of names for: the name in lower case, without a dot at its end, in front of
// the zone (RFC 5782 3). An address is refused: lists of names take the question for abuse. So is what is no host name,
// and what has over 253 octets together with the zone.
func QueryName(name, zone string) (string, error) {
	name = strings.TrimSuffix(name, ".")
	if err := hostName(name); err != nil {
		return "", fmt.Errorf("%.100q %w", name, err)
	}
	if len(name)+1+len(zone) > maxName {
		return "", fmt.Errorf("%.100q is too long to ask a list for: %d octets with the zone, and the DNS takes %d", name,
			len(name)+1+len(zone), maxName)
	}
	b := make([]byte, 0, maxName+3)
	for i := range len(name) {
		b = append(b, lowered(name[i]))
	}
	return string(append(append(b, '.'), zone...)), nil
}

// The ways to be no host name, each a predicate.
var (
	errNoName    = errors.New("is no host name: it is empty, or has an empty label")
	errLong      = fmt.Errorf("is no host name: a label has at most %d octets, and all have %d", maxLabel, maxName)
	errCharacter = errors.New("is no host name: it has other characters than letters, digits, hyphens and dots (xn-- for others)")
	errHyphen    = errors.New("is no host name: a label begins or ends with a hyphen")
	errAddress   = errors.New("is an address, or part of one, and no host name")
)

// hostName reports why name, without a dot at its end, is no host name. An underscore passes: hosts go by such names,
// whatever RFC 1123 says. So does a single label: RFC 5782 5 has lists of names tested with TEST and INVALID.
func hostName(name string) error {
	if len(name) > maxName {
		return errLong
	}
	rest := name
	for more, label := true, ""; more; {
		label, rest, more = strings.Cut(rest, ".")
		switch {
		case label == "":
			return errNoName
		case len(label) > maxLabel:
			return errLong
		case label[0] == '-' || label[len(label)-1] == '-':
			return errHyphen
		}
		digits := true
		for i := range len(label) {
			c := label[i]
			if !letterOrDigit(c) && c != '-' && c != '_' {
				return strange(name)
			}
			digits = digits && '0' <= c && c <= '9'
		}
		if !more && digits { // no top-level domain is a number, and inet_aton takes all such names for addresses
			return errAddress
		}
	}
	if nibbles(name) {
		return errAddress
	}
	return nil
}

// nibbles reports whether a name is all that stands in front of the zone in a question about an address of IPv6. A list
// could not tell it from one.
func nibbles(name string) bool {
	if len(name) != 32+31 {
		return false
	}
	for i := range len(name) {
		if i%2 == 1 && name[i] != '.' || i%2 == 0 && strings.IndexByte("0123456789abcdefABCDEF", name[i]) < 0 {
			return false
		}
	}
	return true
}

// strange says what a name is that has characters which names do not have.
func strange(name string) error {
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return errAddress
	}
	return errCharacter
}

func letterOrDigit(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// lowered lowers an ASCII letter, as the DNS compares names (RFC 4343).
func lowered(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
