package mainlog

import "strings"

// understand reads the text of an entry into e. What it does not know is of kind Unknown if it names a host, and Written if not:
// Exim's own remarks are in the table of remarks.go, and a configuration may write any text.
func understand(e *Event, s string) {
	e.Text = s
	if e.ID != "" && ofMessage(e, s) {
		return
	}
	if ofClient(e, s) {
		return
	}
	*e = Event{Text: s, PID: e.PID, ID: e.ID, stamp: e.stamp, File: e.File, Line: e.Line}
	e.Kind = remark(s)
	if e.Kind == CommandLine {
		e.Command, e.Arguments = commandLine(s)
	}
	if e.Kind != Unknown {
		return
	}
	e.Kind = Written
	if strings.HasPrefix(s, "H=") {
		if e.Kind = Unknown; e.ID != "" { // what a remote host said to a delivery
			e.Kind = RemoteTrouble
		}
	}
}

// ofMessage reads the entries that follow a message on its way.
func ofMessage(e *Event, s string) bool {
	if len(s) > 3 && s[2] == ' ' {
		switch s[:2] {
		case "<=", "(=":
			e.Kind = Arrived
			if s[0] == '(' {
				e.Kind = ArrivedRefused
			}
			arrival(e, s[3:]) // one that was cut is an arrival all the same
			return true
		case "=>":
			return delivery(e, Delivered, s[3:])
		case "->":
			return delivery(e, DeliveredMore, s[3:])
		case ">>":
			return delivery(e, DeliveredThrough, s[3:])
		case "*>":
			return delivery(e, DeliverySuppressed, s[3:])
		case "**":
			return delivery(e, DeliveryFailed, s[3:])
		case "==":
			return delivery(e, DeliveryDeferred, s[3:])
		}
	}
	if strings.HasPrefix(s, "Completed") {
		e.Kind = Completed
		return true
	}
	return false
}

// ofClient reads the entries that tell of a client, by their first letter.
func ofClient(e *Event, s string) bool {
	if s == "" {
		return false
	}
	if strings.HasPrefix(s, " DSH=") { // +dnssec: the name of the host is signed
		s = s[len(" DS"):]
	}
	if s[0] == 'H' && strings.HasPrefix(s, "H=") {
		return hosted(e, s[2:], lastOne, verdict)
	}
	if s[0] == 'S' && ofSession(e, s) || s[0] == 'F' && old(e, s) {
		return true
	}
	if tagName(s) == 1 { // U= of a local submission, F= of a refused one
		return verdict(e, s)
	}
	if failedLogin(e, s) {
		return true
	}
	for i := range phrases {
		if p := &phrases[i]; p.start[0] == s[0] && strings.HasPrefix(s, p.start) {
			e.Kind = p.kind
			return p.read(e, s[len(p.start):])
		}
	}
	return false
}

// old reads "F=address H=host ... rejected by local_scan(): reason".
func old(e *Event, s string) bool {
	rest := strings.TrimPrefix(s, "F=")
	rest = rest[tagValue(e, "F", rest):]
	if host, ok := strings.CutPrefix(rest, " H="); ok {
		return hosted(e, host, lastOne, verdict)
	}
	return false
}

// commandLine reads "cwd=/srv/www 4 args: /usr/sbin/sendmail -t ...". Where the folder's name has such words itself, the first
// count: what is shown is then a folder above it, and never somebody else's.
func commandLine(s string) (dir, args string) {
	dir, args, _ = strings.Cut(s, argsWord)
	return workingDirectory(dir), args
}

// workingDirectory reads "cwd=/srv/www 4".
func workingDirectory(s string) string {
	s = strings.TrimPrefix(s, "cwd=")
	if n := strings.LastIndexByte(s, ' '); n >= 0 {
		s = s[:n]
	}
	return s
}
