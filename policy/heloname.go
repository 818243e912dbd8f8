package policy

import (
	"net/netip"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// HELOKind says what a greeting looks like, before anybody asks whether it is true.
type HELOKind uint8

// The kinds of greeting (RFC 5321 4.1.1.1, 4.1.3).
const (
	HELONone    HELOKind = iota // nothing
	HELODomain                  // meant as a name, legal or not
	HELOAddress                 // an IP address without brackets, which the RFC does not know
	HELOLiteral                 // an address literal, [192.0.2.1] or [IPv6:2001:db8::1]
)

// HELOName is a greeting taken apart.
type HELOName struct {
	Kind       HELOKind
	Name       string     // lower case, without one trailing dot
	Address    netip.Addr // of HELOAddress and HELOLiteral, unmapped
	Fault      string     // why it is no legal name or literal; empty if it is one
	Underscore bool       // legal but for underscores
}

// ParseHELO takes a greeting apart. Every input has a kind; what is wrong with a name or a literal stands in Fault.
// Octets are decimal: 0177.0.0.1 is no address.
func ParseHELO(raw string) HELOName {
	h := HELOName{Name: canonical(raw)}
	switch {
	case raw == "":
		return h
	case h.Name == "":
		h.Kind, h.Fault = HELODomain, "an empty name"
		return h
	case h.Name[0] == '[':
		h.Kind = HELOLiteral
		h.Address, h.Fault = parseLiteral(h.Name)
		return h
	}
	if mayBeAddress(h.Name) { // the error for a name, which most are, costs more than all else here
		if a, err := netip.ParseAddr(h.Name); err == nil && a.Zone() == "" {
			h.Kind, h.Address = HELOAddress, a.Unmap()
			return h
		}
	}
	h.Kind = HELODomain
	h.Fault, h.Underscore = nameFault(h.Name)
	return h
}

// mayBeAddress reports whether the last octet can be one of an address.
func mayBeAddress(s string) bool {
	c := s[len(s)-1]
	return c >= '0' && c <= '9' || strings.IndexByte(s, ':') >= 0
}

// Dotless reports whether a greeting is a single label.
func (h *HELOName) Dotless() bool {
	return h.Kind == HELODomain && h.Name != "" && !strings.Contains(h.Name, ".")
}

func parseLiteral(s string) (netip.Addr, string) {
	inner, closed := strings.CutSuffix(s[1:], "]")
	if !closed {
		return netip.Addr{}, "an address literal without its closing bracket"
	}
	inner, tagged := strings.CutPrefix(inner, "ipv6:") // its absence is forgiven: no other address looks like that
	a, err := netip.ParseAddr(inner)
	if err != nil || a.Zone() != "" || tagged && a.Is4() {
		return netip.Addr{}, "brackets around something that is no address"
	}
	return a.Unmap(), ""
}

// Limits of a name (RFC 1035 2.3.4; 253 is 255 octets on the wire without the first length and the root).
const (
	maxName  = 253
	maxLabel = 63
)

// nameFault says why a lower case name is no host name (RFC 952, RFC 1123 2.1), and whether underscores are all that is
// wrong with it. A name of digits and dots alone is one that nobody can have.
func nameFault(name string) (fault string, underscore bool) {
	if len(name) > maxName {
		return "a name of over 253 octets", false
	}
	numeric := true
	for rest, more := name, true; more; {
		var label string
		label, rest, more = strings.Cut(rest, ".")
		fault, under, digits := labelFault(label)
		if fault != "" {
			return fault, false
		}
		underscore = underscore || under
		numeric = numeric && digits
	}
	if numeric {
		return "a name of nothing but digits", false
	}
	return "", underscore
}

func labelFault(label string) (fault string, underscore, digits bool) {
	switch {
	case label == "":
		return "an empty label", false, false
	case len(label) > maxLabel:
		return "a label of over 63 octets", false, false
	case label[0] == '-' || label[len(label)-1] == '-':
		return "a label that begins or ends with a hyphen", false, false
	}
	digits = true
	for i := 0; i < len(label); i++ {
		switch c := label[i]; {
		case c >= '0' && c <= '9':
		case c >= 'a' && c <= 'z', c == '-':
			digits = false
		case c == '_':
			underscore, digits = true, false
		default:
			return "an illegal character", false, false
		}
	}
	return "", underscore, digits
}

// IsHostname reports whether a name can be one in DNS; underscores pass.
func IsHostname(name string) bool {
	fault, _ := nameFault(canonical(name))
	return fault == ""
}

// isLocalhost knows the names by which every machine knows itself.
func isLocalhost(name string) bool {
	head, domain, _ := strings.Cut(name, ".")
	switch head {
	case "localhost", "localhost4", "localhost6", "ip6-localhost", "ip6-loopback", "loopback":
	default:
		return false
	}
	switch domain {
	case "", "localdomain", "localdomain4", "localdomain6", "localhost", "local":
		return true
	}
	return false
}

// topLevelFault says what is wrong with a name's top-level domain: reserved for special use (RFC 6761, RFC 6762, RFC
// 7686, RFC 8375, RFC 9476), or in no registry. Unknown means absent from the public suffix list this was built with.
func topLevelFault(name string) string {
	top := name[strings.LastIndexByte(name, '.')+1:]
	switch top {
	case "com", "net", "org", "de": // of most names; the list below has them
		return ""
	case "test", "example", "invalid", "localhost", "local", "onion", "alt", "internal":
		return "." + top + " is reserved and in no DNS"
	}
	if name == "home.arpa" || strings.HasSuffix(name, ".home.arpa") {
		return "home.arpa is for networks at home"
	}
	// A wildcard like *.ck makes the list silent about ck alone; any name below it answers.
	if _, icann := publicsuffix.PublicSuffix("a." + top); !icann {
		return "." + top + " is no top-level domain"
	}
	return ""
}

// spells reports whether a name is made of a client's IPv4 address: three octets or more in a row, either way round, in
// decimal between separators, all four padded to three digits in one number, or all four in hexadecimal at the beginning
// or the end of a word.
func spells(name string, client netip.Addr) bool {
	if !client.Is4() {
		return false
	}
	o := client.As4()
	return spelledInNumbers(name, o) || spelledInHex(name, o)
}

// spelledInNumbers looks for numbers with one separator between them that are neighbouring octets, and for 192000002001
// or its reverse.
func spelledInNumbers(name string, o [4]byte) bool {
	last := [3]int{-1, -1, -1} // the three newest numbers of an unbroken chain, -1 for one that is no octet
	end := -1                  // where the newest number ended
	for i := 0; i < len(name); {
		if !digit(name[i]) {
			i++
			continue
		}
		start := i
		for i < len(name) && digit(name[i]) {
			i++
		}
		if end < 0 || start != end+1 || !separator(name[end]) {
			last = [3]int{-1, -1, -1}
		}
		end = i
		last = [3]int{last[1], last[2], octet(name[start:i])}
		if last == [3]int{int(o[0]), int(o[1]), int(o[2])} || last == [3]int{int(o[1]), int(o[2]), int(o[3])} ||
			last == [3]int{int(o[2]), int(o[1]), int(o[0])} || last == [3]int{int(o[3]), int(o[2]), int(o[1])} ||
			padded(name[start:i], o) {
			return true
		}
	}
	return false
}

// octet reads digits; leading zeros are decimal. A number over 255 is -1.
func octet(digits string) int {
	n := 0
	for i := 0; i < len(digits); i++ {
		if n = 10*n + int(digits[i]-'0'); n > 255 {
			return -1
		}
	}
	return n
}

func padded(digits string, o [4]byte) bool {
	if len(digits) != 12 {
		return false
	}
	p := [4]int{octet(digits[:3]), octet(digits[3:6]), octet(digits[6:9]), octet(digits[9:])}
	return p == [4]int{int(o[0]), int(o[1]), int(o[2]), int(o[3])} || p == [4]int{int(o[3]), int(o[2]), int(o[1]), int(o[0])}
}

// spelledInHex looks for c0000201.
func spelledInHex(name string, o [4]byte) bool {
	hex := [8]byte{}
	for i, b := range o {
		hex[2*i], hex[2*i+1] = "0123456789abcdef"[b>>4], "0123456789abcdef"[b&15]
	}
	for start := 0; start < len(name); {
		end := start
		for end < len(name) && !separator(name[end]) {
			end++
		}
		if word := name[start:end]; len(word) >= len(hex) &&
			(word[:len(hex)] == string(hex[:]) || word[len(word)-len(hex):] == string(hex[:])) {
			return true
		}
		start = end + 1
	}
	return false
}

func separator(c byte) bool { return c == '.' || c == '-' || c == '_' }

func digit(c byte) bool { return c >= '0' && c <= '9' }
