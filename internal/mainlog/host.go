package mainlog

import (
	"net/netip"
	"strings"
)

// host is a client as Exim writes it: "name (helo) [address]:port", of which only the address is always there. The name has no
// blank: Exim shows only names that the DNS confirmed. What stands in the parentheses is the client's own text, and may hold
// anything that stands elsewhere in an entry, so that there can be more than one way to read a host: each ") [" may be the end.
type host struct {
	ptr, helo string
	addr      netip.Addr
	port      uint16
	open      int // where the HELO starts; 0 is no HELO
	shut      int // where its end was found
}

// first reads the host at the start of s and returns where it ends, or -1.
func (h *host) first(s string) int {
	*h = host{}
	if s == "" {
		return -1
	}
	at := 0
	if s[0] != '[' && s[0] != '(' {
		n := strings.IndexByte(s, ' ')
		if n <= 0 || n+1 >= len(s) {
			return -1
		}
		h.ptr, at = s[:n], n+1
	}
	switch s[at] {
	case '[':
		h.helo = h.ptr
		return h.address(s, at)
	case '(':
		h.open, h.shut = at+1, at
		return h.next(s)
	}
	return -1
}

// next reads the host with the next possible end of its HELO.
func (h *host) next(s string) int {
	for h.open > 0 {
		n := strings.Index(s[h.shut:], ") [")
		if n < 0 {
			return -1
		}
		at := h.shut + n
		h.shut = at + 1
		if at < h.open {
			continue
		}
		if end := h.address(s, at+2); end > 0 {
			h.helo = s[h.open:at]
			return end
		}
	}
	return -1
}

// again reports whether there may be another reading after the one that ended at end.
func (h *host) again(s string, end int) bool {
	return h.open > 0 && strings.Contains(s[end:], ") [")
}

// address reads "[192.0.2.1]:25". What is no address in brackets is one that is not known: shortened logs have such.
func (h *host) address(s string, at int) int {
	n := strings.IndexByte(s[at:], ']')
	if n < 2 {
		return -1
	}
	text := s[at+1 : at+n]
	addr, ok := parseAddr(text)
	if (!ok || strings.IndexByte(text, '%') >= 0) && strings.ContainsAny(text, " [()") {
		return -1
	}
	end := at + n + 1
	port := 0
	if end+1 < len(s) && s[end] == ':' && s[end+1] != ' ' {
		i := end + 1
		for ; i < len(s) && i < end+6 && s[i] >= '0' && s[i] <= '9'; i++ {
			port = port*10 + int(s[i]-'0')
		}
		if i == end+1 { // Exim's own tests write PORT_D
			for i < len(s) && (s[i] >= 'A' && s[i] <= 'Z' || s[i] == '_') {
				i++
			}
		}
		end = i
	}
	if port > 65535 || end < len(s) && s[end] != ' ' && s[end] != ':' {
		return -1
	}
	h.addr, h.port = addr, uint16(port)
	return end
}

// parseAddr reads an address of either kind; the mapped form of an IPv4 address is that address.
func parseAddr(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, false
	}
	return a.Unmap().WithZone(""), true
}

// which reading of a host holds, when more than one makes sense.
type which bool

const (
	lastOne  which = false // what follows the host is Exim's own text or the configuration's: the HELO is what lies
	firstOne which = true  // what follows the host is the client's: set_id, a command
)

// hosted reads the host at the start of s into e, and with tail what follows it. tail must refuse what Exim does not write
// there. When several readings with several addresses pass, the entry is doubtful.
func hosted(e *Event, s string, prefer which, tail func(*Event, string) bool) bool {
	var h host
	end := h.first(s)
	if end < 0 {
		return false
	}
	if h.again(s, end) {
		return readings(e, s, h, end, prefer, tail)
	}
	h.into(e)
	return tail(e, s[end:])
}

// maxReadings bounds the time that a HELO of many brackets can cost.
const maxReadings = 64

func readings(e *Event, s string, h host, end int, prefer which, tail func(*Event, string) bool) bool {
	start := *e
	var found []Event
	for n := 0; end > 0 && n < maxReadings; n++ {
		try := start
		h.into(&try)
		if tail(&try, s[end:]) && (try.Kind != Arrived && try.Kind != ArrivedRefused || evenQuotes(s[end:])) {
			found = append(found, try)
		}
		end = h.next(s)
	}
	if len(found) == 0 {
		return false
	}
	choice := found[len(found)-1]
	if prefer == firstOne {
		choice = found[0]
	}
	for _, f := range found {
		choice.Doubtful = choice.Doubtful || f.Client != choice.Client
	}
	if choice.Kind == HeloRejected && repeats(choice.HELO) {
		choice.Doubtful = false // only the real HELO stands there twice to its end
	}
	*e = choice
	return true
}

// repeats reports whether a HELO is one that greeting demands twice.
func repeats(helo string) bool { return strings.ContainsAny(helo, " ()[]") }

// evenQuotes reports whether every quote that is opened is closed. Exim escapes those of a client's within its own, so that a host
// that starts within a subject leaves one over.
func evenQuotes(s string) bool {
	n := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			n++
		}
	}
	return n%2 == 0
}

func (h *host) into(e *Event) {
	e.PTR, e.HELO, e.Client, e.Port = h.ptr, h.helo, h.addr, h.port
}

// addressEnd returns where a mail address ends: at the first stop outside of quotes, or at the end of s. A quote that is never
// closed quotes nothing.
func addressEnd(s string, stop byte) int {
	n := strings.IndexByte(s, stop)
	if n < 0 {
		n = len(s)
	}
	if strings.IndexByte(s[:n], '"') < 0 {
		return n
	}
	quoted := false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if quoted {
				i++
			}
		case '"':
			quoted = !quoted
		case stop:
			if !quoted {
				return i
			}
		}
	}
	if quoted {
		return n
	}
	return len(s)
}

// quotedEnd returns where a string in quotes ends, after its last quote, or -1. s starts with the first.
func quotedEnd(s string) int {
	for i := 1; i < len(s); i++ {
		n := strings.IndexByte(s[i:], '"')
		if n < 0 {
			return -1
		}
		i += n
		back := 0
		for s[i-1-back] == '\\' {
			back++
		}
		if back%2 == 0 {
			return i + 1
		}
	}
	return -1
}
