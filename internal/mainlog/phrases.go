package mainlog

import "strings"

// phrases are the entries on a client that start with words of their own.
var phrases = [...]struct {
	start string
	kind  Kind
	read  func(*Event, string) bool
}{
	{"no MAIL in SMTP connection from ", NoMail, fromAnyone},
	{"no MAIL in ", NoMail, func(e *Event, s string) bool { return fromAnyone(e, after(s, "SMTP connection from ")) }},
	{"unexpected disconnection while reading SMTP command", Lost, fromAfter},
	{"unexpected ", Lost, fromAfter},
	{"TLS error on connection ", TLSError, func(e *Event, s string) bool { return from(e, after(s, "from "), firstOne, anything) }},
	{"TLS client disconnected cleanly", TLSError, anything},
	{"rejected EHLO from ", HeloRejected, badGreeting},
	{"rejected HELO from ", HeloRejected, badGreeting},
	{"rejected MAIL from ", MailRejected, fromAnyone},
	{"rejected MAIL ", MessageRejected, refusedMail},
	{"rejected from ", MessageRejected, func(e *Event, s string) bool {
		e.Sender, s = s[:addressEnd(s, ' ')], s[addressEnd(s, ' '):]
		e.Sender, e.HasSender = strings.Trim(e.Sender, "<>"), true
		return subject(e, strings.TrimPrefix(s, " "), lastOne, anything)
	}},
	{"rejected ", CommandRejected, refusedMail},
	{"no host name found for IP address ", NoHostName, func(e *Event, s string) bool {
		word, _, _ := strings.Cut(s, " ")
		e.Client, _ = parseAddr(strings.Trim(word, "[]"))
		return true
	}},
	{"no IP address found for host ", NoHostName, during},
	{"host name alias list truncated for ", NoHostName, func(e *Event, s string) bool {
		e.Client, _ = parseAddr(strings.Trim(s, "[]"))
		return true
	}},
	{"refused connection from ", Refused, fromAnyone},
	{"Connection from ", Refused, fromAnyone},
	{"connection from ", Refused, fromAnyone},
	{"Connection request from ", Refused, fromAnyone},
	{"VRFY failed for ", Asked, named},
	{"VRFY ", Asked, named},
	{"EXPN ", Asked, named},
	{"ETRN ", Asked, received},
	{"ATRN ", Asked, received},
	{"ignoring AUTH=", Noted, func(e *Event, s string) bool { return from(e, after(s, " from "), lastOne, anything) }},
	{"unqualified sender rejected: ", MailRejected, named},
	{"unqualified recipient rejected: ", RcptRejected, func(e *Event, s string) bool {
		e.Recipient, _ = place(s)
		e.Cause = BadAddress
		return named(e, s)
	}},
	{"unqualified verify rejected: ", CommandRejected, named},
	{"too many recipients: ", RcptRejected, func(e *Event, s string) bool {
		e.Temporary, e.Cause = true, RateLimited
		return named(e, s)
	}},
	{"overlong message header line received ", MessageRejected, fromAfter},
	{"ridiculously long message header received ", MessageRejected, fromAfter},
	{"timed out while reading local message", TimedOut, anything},
	{"SMTP peer appears to have seen our banner", Opened, anything},
	{"Ci=", Opened, func(e *Event, s string) bool {
		return strings.HasPrefix(after(s, " "), "SMTP peer appears to have seen our banner")
	}},
	{"SA: ", Noted, assassin},
	{"sender verify ", Warned, func(_ *Event, s string) bool { return strings.HasPrefix(s, "defer (making callout") }},
}

// fromAnyone reads "HOST" and takes what follows for the reason.
func fromAnyone(e *Event, s string) bool {
	return from(e, s, lastOne, func(e *Event, s string) bool {
		e.Reason = strings.TrimPrefix(s, ": ")
		if e.Kind == MailRejected {
			e.Cause = OtherCause
			if strings.Contains(e.Reason, "no HELO/EHLO") {
				e.Cause = BadGreeting
			}
		}
		return true
	})
}

// fromAfter reads "... from HOST".
func fromAfter(e *Event, s string) bool { return fromAnyone(e, after(s, "from ")) }

// badGreeting reads "HOST: syntactically invalid argument(s): what the client wrote".
func badGreeting(e *Event, s string) bool {
	return from(e, s, firstOne, func(e *Event, s string) bool {
		e.Reason = strings.TrimPrefix(s, ": ")
		e.Cause = BadGreeting
		if bad := after(e.Reason, "argument(s): "); bad != "" && e.HELO == "" {
			e.HELO = bad
		}
		return true
	})
}

// refusedMail reads "FROM:<address> H=HOST: why", "command H=HOST: why", or a command and its client.
func refusedMail(e *Event, s string) bool {
	if rest, ok := strings.CutPrefix(s, "FROM:"); ok {
		e.Sender, _ = place(rest)
		e.HasSender = true
	}
	if named(e, s) {
		e.Cause = causeOf(e.Reason)
		return true
	}
	return false
}

// named reads the last "H=HOST" or "U=login" after what a client wrote.
func named(e *Event, s string) bool {
	for end := len(s); ; {
		at := max(strings.LastIndex(s[:end], " H="), strings.LastIndex(s[:end], " U="))
		if at < 0 {
			return false
		}
		if at >= 2 && strings.HasPrefix(s[at:], " U=") { // of a host with an ident
			if host := strings.LastIndex(s[:at], " H="); host >= 0 {
				try := *e
				if subject(&try, s[host+1:], lastOne, anything) {
					*e = try
					e.Doubtful = e.Doubtful || e.within(s[host+1:])
					return true
				}
			}
		}
		try := *e
		if subject(&try, s[at+1:], lastOne, anything) {
			*e = try
			e.Doubtful = e.Doubtful || e.within(s[at+1:])
			return true
		}
		end = at
	}
}

// received reads "what received from HOST". What was received is the client's, so that the last that makes a host is the one.
func received(e *Event, s string) bool {
	const sign = " received from "
	for end := len(s); ; {
		at := strings.LastIndex(s[:end], sign)
		if at < 0 {
			return false
		}
		try, host := *e, s[at+len(sign):]
		if fromAnyone(&try, host) {
			*e = try
			e.Command, e.Doubtful = s[:at], e.Doubtful || e.within(host)
			return true
		}
		end = at
	}
}

// during reads "name (during SMTP connection from HOST)".
func during(e *Event, s string) bool {
	name, host, ok := strings.Cut(s, " (during SMTP connection from ")
	if !ok {
		return true
	}
	ok = fromAnyone(e, strings.TrimSuffix(host, ")"))
	e.Reason = name
	return ok
}

// assassin reads the "(host=name [address])" of sa-exim.
func assassin(e *Event, s string) bool {
	var h host
	host, _, _ := strings.Cut(after(s, "(host="), "])")
	if end := h.first(host + "]"); end > 0 {
		h.into(e)
		e.HELO = ""
		if e.PTR == "NULL" {
			e.PTR = ""
		}
	}
	e.Reason = s
	return true
}
