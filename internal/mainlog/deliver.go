package mainlog

import "strings"

// delivery reads what follows "=> ", "** " or another arrow: the address, "<original>" where it was another, the tags of
// the transport, and for a failure its reason. The tags' host is the remote one, no client of ours.
func delivery(e *Event, kind Kind, s string) bool {
	e.Kind = kind
	n := 0
	switch {
	case s != "" && (s[0] == '|' || s[0] == '/'): // a command or a file, with blanks
		if n = strings.Index(s, " <"); n < 0 {
			n = addressEnd(s, ' ')
		}
	default:
		n = addressEnd(s, ' ')
	}
	e.Recipient = strings.TrimSuffix(s[:n], ":")
	rest := strings.TrimPrefix(s[n:], " ")
	if strings.HasPrefix(rest, "<") {
		n := addressEnd(rest, '>')
		e.Original = rest[1:min(n, len(rest))]
		rest = rest[min(n+1, len(rest)):]
	}
	e.Away = away(rest)
	if kind == DeliveryFailed || kind == DeliveryDeferred {
		e.Reason = deliveryReason(rest)
	}
	return true
}

// deliveryReason returns what follows the tags: after "defer (-44)" or the first ": " that is in no quotes.
func deliveryReason(s string) string {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case quoted:
		case s[i] == ':' && i+1 < len(s) && s[i+1] == ' ':
			return s[i+2:]
		}
	}
	return strings.TrimPrefix(s, " ")
}

// away reports whether the tags of a transport name a host that is not this one.
func away(s string) bool {
	_, s, ok := strings.Cut(s, " H=")
	if !ok {
		return false
	}
	n := strings.IndexByte(s, '[')
	if n < 0 {
		return false
	}
	var h host
	return h.address(s, n) >= 0 && !h.addr.IsLoopback()
}
