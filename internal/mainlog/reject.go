package mainlog

import "strings"

// verdict reads what follows the host and its tags: what was done to the client, and why.
func verdict(e *Event, s string) bool {
	s = tags(e, s)
	if rest, ok := strings.CutPrefix(s, "temporarily "); ok {
		e.Temporary, s = true, rest
	}
	if rest, ok := strings.CutPrefix(s, "rejected "); ok {
		return rejection(e, rest)
	}
	if e.Temporary {
		return false
	}
	switch {
	case strings.HasPrefix(s, "sender verify fail for "), strings.HasPrefix(s, "sender verify defer for "):
		e.Kind, e.Temporary = SenderVerifyFailed, s[14] == 'd'
		s = s[strings.Index(s, " for ")+5:]
		e.Sender, s = place(s)
		e.HasSender = true
		return e.because(s)
	case strings.HasPrefix(s, "RCPT "):
		e.Recipient, s = place(s[5:])
		e.Kind = RcptDiscarded
		return strings.HasPrefix(s, ": discarded by ") && e.because(s)
	case strings.HasPrefix(s, "Warning: "):
		e.Kind, e.Reason = Warned, s[9:]
		return true
	case strings.HasPrefix(s, "dropped by '"): // a log_message that many copy
		e.Kind = Dropped
		return e.because(after(s, "ACL"))
	case strings.HasPrefix(s, "incomplete transaction ("): // by RSET, QUIT, a new greeting: how the connection ends is told apart
		e.Kind = Noted
		return true
	}
	return false
}

// rejection reads what follows "rejected ".
func rejection(e *Event, s string) bool {
	word, rest, _ := strings.Cut(s, " ")
	switch word {
	case "RCPT":
		e.Kind = RcptRejected
		e.Recipient, rest = place(rest)
		return e.because(rest)
	case "MAIL":
		e.Kind = MailRejected
		e.Sender, rest = place(strings.TrimPrefix(rest, "FROM:"))
		e.HasSender = true
		return e.because(rest)
	case "connection":
		e.Kind = ConnectRejected
		return strings.HasPrefix(rest, "in ") && e.because(after(rest, " ACL"))
	case "EHLO", "HELO":
		e.Kind = HeloRejected
		return e.greeting(strings.TrimPrefix(rest, "or HELO "))
	case "after", "DATA", "DATA:", "during":
		e.Kind = DataRejected
		for _, stage := range [...]string{"after DATA", "after PRDR", "during MIME ACL checks", "DATA"} {
			if rest, ok := strings.CutPrefix(s, stage); ok {
				return (rest == "" || rest[0] == ':' || rest[0] == ' ') && e.because(rest)
			}
		}
	case "by":
		switch {
		case strings.HasPrefix(rest, "local_scan()"):
			e.Kind = ScanRejected
			return e.because(rest[len("local_scan()"):])
		case strings.HasPrefix(rest, "non-SMTP ACL"):
			e.Kind = SubmissionRefused
			return e.because(rest[len("non-SMTP ACL"):])
		}
	case "AUTH", "STARTTLS", "VRFY", "EXPN", "ETRN", "ATRN", "QUIT", "NOTQUIT", "PRDR", "DKIM", "WELLKNOWN":
		e.Kind, e.Command = CommandRejected, word
		n := strings.Index(rest, ": ")
		if n < 0 {
			return true
		}
		return e.because(rest[n:])
	}
	return false
}

// greeting reads the name that a client greeted with, once more, and the reason. The name may hold ": " itself, so that of several
// readings of an entry only one repeats its own name.
func (e *Event) greeting(s string) bool {
	if e.HELO != "" {
		shown := e.HELO[:min(len(e.HELO), maxPlace)]
		rest, same := cutFold(s, shown)
		if same && (rest == "" || rest[0] == ':' || len(shown) == maxPlace) {
			return e.because(rest)
		}
		if repeats(e.HELO) {
			return false
		}
	}
	n := strings.Index(s, ": ")
	if n < 0 {
		n = len(s)
	}
	if e.HELO == "" || e.HELO == e.PTR {
		e.HELO = s[:n]
	}
	return e.because(s[n:])
}

const maxPlace = 100 // characters that Exim repeats of a command's argument

func cutFold(s, prefix string) (string, bool) {
	if len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):], true
	}
	return s, false
}

// place reads the address of a command as the client wrote it, and returns what follows up to the reason.
func place(s string) (addr, rest string) {
	if strings.HasPrefix(s, "<") {
		n := addressEnd(s, '>')
		if n < len(s) {
			addr, rest = s[1:n], s[n+1:]
			if rest != "" && rest[0] == ' ' { // NOTIFY= and the like
				if i := strings.Index(rest, ": "); i >= 0 {
					rest = rest[i:]
				} else {
					rest = ""
				}
			}
			return addr, rest
		}
	}
	n := strings.Index(s, ": ")
	if n < 0 {
		n = len(s)
	}
	return strings.TrimPrefix(s[:n], "<"), s[n:]
}

// because takes ": reason", or nothing.
func (e *Event) because(s string) bool {
	s = strings.TrimPrefix(s, ":")
	e.Reason = strings.TrimPrefix(s, " ")
	e.Cause = causeOf(e.Reason)
	if rest, ok := strings.CutPrefix(e.Reason, "rule="); ok {
		e.Cause = Ours
		e.Rule, rest, _ = strings.Cut(rest, " ")
		if rest, ok := strings.CutPrefix(rest, "id="); ok {
			e.Decision, _, _ = strings.Cut(rest, " ")
			e.Decision = strings.TrimSuffix(e.Decision, ":")
		}
		e.Rule = strings.TrimSuffix(e.Rule, ":")
	}
	return true
}

// after returns what follows a word, or nothing.
func after(s, word string) string {
	_, rest, _ := strings.Cut(s, word)
	return rest
}
