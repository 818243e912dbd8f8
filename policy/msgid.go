package policy

import "strings"

// msgID is a Message-ID taken apart: <left@right> (RFC 5322 3.6.4).
type msgID struct {
	left, right string
	fault       string // why it is none; left and right may still be filled
}

// maxMessageID is the longest line of a header without its CRLF (RFC 5322 2.1.1).
const maxMessageID = 998

// parseMessageID takes a raw field value apart, of which size octets were sent. Comments and folding white space may
// stand around the id, not in it. 8-bit is legal only with SMTPUTF8 (RFC 6532 3.2).
func parseMessageID(raw string, size int, utf8 bool) msgID {
	value := stripComments(trimFWS(raw))
	id := msgID{}
	if size > maxMessageID {
		id.fault = "over 998 octets"
		return id
	}
	inner, open := strings.CutPrefix(value, "<")
	inner, closed := strings.CutSuffix(inner, ">")
	var at bool
	id.left, id.right, at = strings.Cut(inner, "@")
	switch {
	case !open || !closed:
		id.fault = "no brackets"
	case !at:
		id.fault = "no @"
	case strings.Contains(id.right, "@"):
		id.fault = "several @"
	case id.left == "" || strings.Trim(id.right, ".") == "":
		id.fault = "an empty side"
	default:
		id.fault = octetFault(inner, utf8)
	}
	if id.fault != "" {
		id.right = ""
	}
	return id
}

func octetFault(s string, utf8 bool) string {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			return "a blank inside"
		case c < ' ' || c == 0x7f:
			return "a control character inside"
		case c >= 0x80 && !utf8:
			return "an 8-bit character inside"
		case c == '<' || c == '>':
			return "brackets inside"
		}
	}
	return ""
}

// trimFWS removes folding white space from both ends, where mostly there is none.
func trimFWS(s string) string {
	if s == "" || s[0] > ' ' && s[len(s)-1] > ' ' {
		return s
	}
	return strings.Trim(s, " \t\r\n")
}

// stripComments removes comments in parentheses from before and behind a value (RFC 5322 3.2.2). Nesting is bounded by
// the length of the value.
func stripComments(s string) string {
	for strings.HasPrefix(s, "(") {
		end := closing(s)
		if end < 0 {
			return s
		}
		s = trimFWS(s[end+1:])
	}
	if i := strings.IndexByte(s, '>'); i >= 0 {
		rest := trimFWS(s[i+1:])
		for strings.HasPrefix(rest, "(") {
			end := closing(rest)
			if end < 0 {
				return s
			}
			rest = trimFWS(rest[end+1:])
		}
		if rest == "" {
			return s[:i+1]
		}
	}
	return s
}

// closing finds the parenthesis that closes the one s begins with, or returns -1.
func closing(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}
