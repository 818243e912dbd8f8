package acl

import "strings"

// validName reports whether a name can be one of the protocol.
func validName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// bare reports whether Exim's ${quote:} leaves a value as it is: [A-Za-z0-9_.-]+.
func bare(s string) bool {
	for i := 0; i < len(s); i++ {
		if !bareByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func bareByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-'
}

// unquote reads a value as Exim's ${quote:} writes it: bare, or in double quotes with \" \\ \n \r. Everything else
// inside is raw bytes. A value without an escape shares the memory of s.
func unquote(s string) (string, bool) {
	if s == "" || s[0] != '"' {
		return s, bare(s)
	}
	if len(s) < 2 || s[len(s)-1] != '"' {
		return "", false
	}
	s = s[1 : len(s)-1]
	if strings.IndexByte(s, '\\') < 0 {
		return s, strings.IndexByte(s, '"') < 0 && strings.IndexByte(s, '\r') < 0
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch c {
		case '"', '\r', '\n':
			return "", false
		case '\\':
			if i++; i == len(s) {
				return "", false
			}
			switch s[i] {
			case '"', '\\':
				c = s[i]
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			default:
				return "", false
			}
		}
		out = append(out, c)
	}
	return string(out), true
}

// appendQuoted writes a value as Exim's ${quote:} does.
func appendQuoted(dst []byte, s string) []byte {
	if bare(s) {
		return append(dst, s...)
	}
	dst = append(dst, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '"', '\\':
			dst = append(dst, '\\', c)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// printable bounds client text to so many octets and makes it printable ASCII on one line. Bytes that are not become ?.
func printable(s string, most int) string {
	cut := len(s) > most
	if cut {
		s = s[:most]
	}
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	if cut {
		clean += "..."
	}
	return clean
}
