package mainlog

import "strings"

// delivery reads what follows "=> ", "** " or another arrow: the address, "(parents) <original>" where it was another, the tags
// of the transport, and for a failure its reason. The tags' host is the remote one, no client of ours.
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
	if strings.HasPrefix(rest, "(") { // +all_parents: those between it and where it was
		rest = strings.TrimPrefix(rest[strings.Index(rest, ") <")+1:], " ")
	}
	if strings.HasPrefix(rest, "<") {
		n := addressEnd(rest, '>')
		e.Original = rest[1:min(n, len(rest))]
		rest = rest[min(n+1, len(rest)):]
	}
	e.Host, e.Away = remoteHost(rest)
	if at := strings.Index(rest, ` C="`); at >= 0 && e.Host != "" {
		said := rest[at+3:]
		if end := quotedEnd(said); end > 0 {
			e.Response = said[1 : end-1]
		}
	}
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

// remoteHost reads the host among the tags of a transport, and whether it is another than this one.
func remoteHost(s string) (name string, away bool) {
	_, s, ok := strings.Cut(s, " H=")
	if !ok {
		return "", false
	}
	n := strings.IndexByte(s, '[')
	if n < 0 {
		return "", false
	}
	var h host
	end := h.address(s, n)
	if end < 0 {
		return "", false
	}
	if strings.IndexByte(strings.TrimSuffix(s[:n], " "), ' ') < 0 {
		name = s[:end]
	}
	return name, !h.addr.IsLoopback()
}
