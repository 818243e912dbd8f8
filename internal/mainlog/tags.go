package mainlog

import (
	"net/netip"
	"strings"
)

// tags reads the tags at the start of s ("I=[192.0.2.1]:25 X=... F=<a@example.com> A=plain:alice") and returns what follows them,
// without the blank before it.
func tags(e *Event, s string) string {
	for {
		s = strings.TrimPrefix(s, " ")
		eq := tagName(s)
		if eq < 0 {
			return s
		}
		n := tagValue(e, s[:eq], s[eq+1:])
		s = s[eq+1+n:]
	}
}

// tagName returns where the "=" of a tag stands, or -1: up to five letters or digits with a capital first, or id= or id*=.
func tagName(s string) int {
	if s == "" || s[0] < 'A' || s[0] > 'Z' && !strings.HasPrefix(s, "id") {
		return -1
	}
	for i := 0; i < len(s) && i < 6; i++ {
		switch c := s[i]; {
		case c == '=':
			return i
		case c == '*' && i == 2:
		case (c|0x20) >= 'a' && (c|0x20) <= 'z' || c >= '0' && c <= '9':
		default:
			return -1
		}
	}
	return -1
}

// tagValue takes the value at the start of s and returns where it ends.
func tagValue(e *Event, name, s string) int {
	n := 0
	switch {
	case s != "" && s[0] == '"':
		n = quotedEnd(s)
	case s != "" && s[0] == '<':
		n = addressEnd(s, '>') + 1
	case name == "id" || name == "id*" || name == "F":
		n = addressEnd(s, ' ')
	default:
		n = strings.IndexByte(s, ' ')
	}
	if n < 0 || n > len(s) {
		n = len(s)
	}
	if n > 0 && s[n-1] == ':' { // the reason follows
		n--
	}
	v := s[:n]
	switch name {
	case "I":
		e.Server = server(v)
	case "F":
		e.Sender, e.HasSender = strings.TrimSuffix(strings.TrimPrefix(v, "<"), ">"), true
	case "P":
		e.Protocol = v
	case "X":
		e.TLS = v
	case "A":
		e.Auth = v
	case "U":
		e.Ident = v
	case "S":
		e.Size = number(v)
	case "id":
		e.MessageID = v
	case "id*":
		e.MessageID, e.MessageIDMade = v, true
	case "T":
		e.Subject = strings.TrimSuffix(strings.TrimPrefix(v, `"`), `"`)
	case "R":
		e.Reference = v
	}
	return n
}

// server reads "[192.0.2.1]:25".
func server(s string) netip.AddrPort {
	var h host
	if s == "" || s[0] != '[' || h.address(s, 0) < 0 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(h.addr, h.port)
}

func number(s string) int64 {
	n := int64(0)
	for i := 0; i < len(s) && i < 18; i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n
}
