package mainlog

import "strings"

// ofSession reads the entries that start with "SMTP ".
func ofSession(e *Event, s string) bool {
	s, ok := strings.CutPrefix(s, "SMTP ")
	if !ok {
		return false
	}
	switch word, rest, _ := strings.Cut(s, " "); word {
	case "connection":
		return connection(e, rest)
	case "call":
		rest, ok = strings.CutPrefix(rest, "from ")
		e.Kind = Dropped
		return ok && from(e, rest, firstOne, func(e *Event, s string) bool {
			why, ok := strings.CutPrefix(s, "dropped: ")
			e.Reason = why
			return ok
		})
	case "command":
		rest, ok = strings.CutPrefix(rest, "timeout on ")
		e.Kind = TimedOut
		return ok && from(e, after(rest, "connection from "), lastOne, anything)
	case "data":
		e.Kind = TimedOut
		return from(e, after(rest, "connection from "), lastOne, anything)
	case "protocol":
		if text, ok := strings.CutPrefix(rest, "error in "); ok {
			e.Kind = ProtocolError
			return complaint(e, text)
		}
		if strings.HasPrefix(rest, "synchronization error") {
			e.Kind = SyncError
			return outOfStep(e, rest)
		}
	case "syntax":
		e.Kind = SyntaxError
		text, ok := strings.CutPrefix(rest, "error in ")
		return ok && complaint(e, text)
	}
	return false
}

// connection reads "from HOST", alone or with what became of it; also "Ci=123 from HOST" and "lost after final dot H=HOST".
func connection(e *Event, s string) bool {
	if rest, ok := strings.CutPrefix(s, "lost after final dot "); ok {
		e.Kind = Lost
		return subject(e, rest, lastOne, anything)
	}
	rest, ok := strings.CutPrefix(tags(e, s), "from ")
	if !ok {
		rest, ok = strings.CutPrefix(s, "identification ")
		e.Kind = Noted
		return ok && rest != ""
	}
	return from(e, rest, lastOne, func(e *Event, s string) bool {
		switch {
		case s == "", strings.HasPrefix(s, "(TCP/IP connection count"):
			e.Kind = Opened
		case strings.HasPrefix(s, "closed by DROP in ACL"):
			e.Kind = Dropped
		case strings.HasPrefix(s, "closed "), strings.HasPrefix(s, "disconnected "):
			e.Kind = Closed
		case strings.HasPrefix(s, "lost"), strings.HasPrefix(s, "terminated"):
			e.Kind = Lost
		default:
			return false
		}
		e.Reason = s
		return true
	})
}

// from reads "HOST tags rest", or the login of a local caller, and gives the rest to what may follow.
func from(e *Event, s string, prefer which, then func(*Event, string) bool) bool {
	if s == "" {
		return false
	}
	s, named := strings.CutPrefix(s, "H=")
	tail := func(e *Event, s string) bool { return then(e, tags(e, s)) }
	if hosted(e, s, prefer, tail) {
		return true
	}
	if named {
		return false
	}
	kind := e.Kind
	*e = Event{Kind: kind, Text: e.Text, PID: e.PID, ID: e.ID, stamp: e.stamp, File: e.File, Line: e.Line}
	s = strings.TrimPrefix(s, "U=")
	n := strings.IndexByte(s, ' ')
	if n < 0 {
		n = len(s)
	}
	e.Ident = strings.TrimSuffix(s[:n], ":")
	return !strings.ContainsAny(e.Ident, "[(") && tail(e, s[n:])
}

// subject reads "H=HOST" or "U=login".
func subject(e *Event, s string, prefer which, then func(*Event, string) bool) bool {
	if !strings.HasPrefix(s, "H=") && !strings.HasPrefix(s, "U=") {
		return false
	}
	return from(e, s, prefer, then)
}

// anything may follow.
func anything(e *Event, s string) bool {
	e.Reason = strings.TrimPrefix(s, ": ")
	return true
}

// complaint reads "\"COMMAND\" H=HOST what was wrong". The command is the client's and may hold quotes and a false H=, what
// was wrong is Exim's: so the last H= is the one, unless the HELO holds one too. A local caller has U=, and so may a HELO.
func complaint(e *Event, s string) bool {
	local := *e
	if complaintOf(e, s, `" H=`) {
		e.Doubtful = e.Doubtful || strings.Contains(e.HELO+e.PTR, `" U=`)
		return true
	}
	*e = local
	return complaintOf(e, s, `" U=`)
}

// within reports whether a host that was read without a greeting may stand in the greeting of another, as in
// "H=(x H=[192.0.2.1] ) [192.0.2.2]". Exim's own words behind a host have no such brackets.
func (e *Event) within(host string) bool { return e.HELO == e.PTR && strings.Contains(host, ") [") }

func complaintOf(e *Event, s, sign string) bool {
	for end := len(s); ; {
		at := strings.LastIndex(s[:end], sign)
		if at < 1 {
			return false
		}
		try := *e
		if subject(&try, s[at+2:], lastOne, anything) {
			*e = try
			e.Doubtful = e.Doubtful || e.within(s[at+2:])
			e.Command = strings.TrimPrefix(s[:at], `"`)
			return true
		}
		end = at
	}
}

// outOfStep reads "synchronization error (why): rejected \"COMMAND\" H=HOST next input=\"...\"", or "rejected connection from
// H=HOST input=". Command and input are the client's, so that a second H= makes the entry doubtful.
func outOfStep(e *Event, s string) bool {
	why, rest, ok := strings.Cut(s, "): rejected")
	if !ok {
		return false
	}
	e.Reason = strings.TrimPrefix(why, "synchronization error (")
	if host, ok := strings.CutPrefix(rest, " connection from "); ok {
		return from(e, host, firstOne, input)
	}
	found := false
	for at := 0; at < len(rest); {
		n := strings.Index(rest[at:], `" H=`)
		if n < 0 {
			n = strings.Index(rest[at:], `" U=`)
		}
		if n < 0 {
			break
		}
		at += n + 2
		try := *e
		if !from(&try, rest[at:], firstOne, input) {
			continue
		}
		if found {
			e.Doubtful = e.Doubtful || e.Client != try.Client
			continue
		}
		found = true
		try.Command = strings.TrimPrefix(rest[:at-2], ` "`)
		*e = try
	}
	return found || rest == "" // a line that was cut short
}

func input(e *Event, s string) bool {
	return strings.HasPrefix(s, "input=") || strings.HasPrefix(s, "next input=")
}

// failedLogin reads "NAME authenticator failed for HOST: 535 why (set_id=login)". The login is the client's.
func failedLogin(e *Event, s string) bool {
	n := strings.IndexByte(s, ' ')
	if n < 0 {
		return false
	}
	rest, ok := strings.CutPrefix(s[n:], " authenticator failed for ")
	if !ok {
		return false
	}
	e.Kind, e.Auth = AuthFailed, s[:n]
	auth := e.Auth
	ok = from(e, rest, firstOne, func(e *Event, s string) bool {
		why, ok := strings.CutPrefix(s, ": ")
		if !ok && e.Ident == "" {
			return false
		}
		e.Reason = strings.TrimPrefix(why, " ")
		e.Temporary = strings.HasPrefix(e.Reason, "4")
		if _, id, ok := strings.Cut(e.Reason, "(set_id="); ok {
			e.Login = id[:max(strings.LastIndexByte(id, ')'), 0)]
		}
		return true
	})
	e.Auth = auth
	return ok
}
