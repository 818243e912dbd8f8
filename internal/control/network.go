package control

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"eximpolicyd/internal/ledger"
)

// The widest networks that are banned or let in without more ado: what is wider is a slip of the hand, or half the world.
const (
	WidestV4 = 8
	WidestV6 = 16
)

// ParseNetwork reads an address or a network as somebody types it, and returns the network that is meant: bits beyond its
// size cleared, a mapped address as the IPv4 address that it is, an address of IPv6 as the /64 of its client. The note
// says what was changed, if anything. Nothing is guessed: octal digits, zones and short forms are mistakes.
func ParseNetwork(text string) (p netip.Prefix, note string, err error) {
	typed, size, sized := strings.Cut(text, "/")
	if n := len(typed); n > 1 && typed[0] == '[' && typed[n-1] == ']' { // as logs write it
		typed = typed[1 : n-1]
	}
	a, err := netip.ParseAddr(typed)
	if err != nil {
		return p, "", noAddress(typed)
	}
	if a.Zone() != "" {
		return p, "", fmt.Errorf("%q has a zone: an interface of this machine is no network", text)
	}
	bits := a.BitLen()
	if sized {
		if bits, err = sizeOf(size, a.BitLen()); err != nil {
			return p, "", fmt.Errorf("%q: %w", text, err)
		}
	}
	if a.Is4In6() {
		a = a.Unmap()
		if bits -= 96; bits < 0 {
			return p, "", fmt.Errorf("%q is wider than the addresses of IPv4 that are mapped into IPv6", text)
		}
	}
	p = netip.PrefixFrom(a, min(bits, 64))
	if a.Is4() {
		p = netip.PrefixFrom(a, bits)
	}
	p = p.Masked()
	switch {
	case p.Bits() < bits:
		note = fmt.Sprintf("%s is taken as %s: a client of IPv6 is a /64", text, p)
	case p.Addr() != a:
		note = fmt.Sprintf("%s is taken as %s: the bits beyond the size of the network are none of it", text, p)
	case strings.Contains(typed, ":") && a.Is4():
		note = fmt.Sprintf("%s is taken as %s: it is an address of IPv4", text, p)
	}
	return p, note, nil
}

// sizeOf reads the size of a network: digits only, without a zero before them.
func sizeOf(text string, most int) (int, error) {
	n, err := strconv.ParseUint(text, 10, 8)
	switch {
	case strings.ContainsAny(text, ".:"):
		return 0, errors.New("the size of a network is written as a number of bits, like /24")
	case err != nil, strconv.FormatUint(n, 10) != text, int(n) > most:
		return 0, fmt.Errorf("the size of the network is no number from 0 to %d", most)
	}
	return int(n), nil
}

// noAddress says what is wrong with something that is no address.
func noAddress(typed string) error {
	parts := strings.Split(typed, ".")
	digits := !strings.ContainsFunc(typed, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	switch {
	case len(typed) > 64:
		return fmt.Errorf("%.64q... is no address", typed)
	case digits && len(parts) == 4:
		for _, part := range parts {
			if len(part) > 1 && part[0] == '0' {
				return fmt.Errorf("%q is no address: %s has a zero in front, and some read that as octal", typed, part)
			}
		}
	case digits && len(parts) > 1:
		return fmt.Errorf("%q is no address: one of IPv4 has four numbers", typed)
	}
	return fmt.Errorf("%q is no address", typed)
}

// LooksLikeNetwork reports whether somebody meant an address or a network, even if it is none: accounts look otherwise.
func LooksLikeNetwork(text string) bool {
	if _, _, err := ParseNetwork(text); err == nil {
		return true
	}
	numbers := strings.Trim(text, "0123456789./[]") == "" && strings.ContainsAny(text, "./")
	return numbers || strings.ContainsAny(text, ":/%[")
}

// check says what is wrong with the network of a request. Whoever sends it may be no command of ours.
func check(p netip.Prefix) error {
	switch a := p.Addr(); {
	case !p.IsValid():
		return errors.New("the request names no network")
	case a.Is4In6(), p != p.Masked(), a.Is6() && p.Bits() > 64:
		return fmt.Errorf("%s is no network: addresses of IPv4 are not mapped, those of IPv6 are at most a /64, and bits "+
			"beyond the size are 0", p)
	}
	return nil
}

// CheckWide refuses a network that is too wide to be meant.
func CheckWide(p netip.Prefix) error {
	widest := WidestV6
	if p.Addr().Is4() {
		widest = WidestV4
	}
	if p.Bits() < widest {
		return fmt.Errorf("%s is wider than /%d", p, widest)
	}
	return nil
}

// CheckReason wants a reason of one printable line.
func CheckReason(text string) error {
	switch {
	case len(text) > ledger.MaxBecause:
		return fmt.Errorf("the reason has %d octets, and at most %d are kept", len(text), ledger.MaxBecause)
	case !utf8.ValidString(text), strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return errors.New("the reason is not one line of printable characters")
	}
	return nil
}
