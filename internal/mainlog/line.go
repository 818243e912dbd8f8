package mainlog

import "strings"

// front is what stands before the text of an entry.
type front struct {
	stamp  stamp
	pid    int32
	id     string
	piece  int  // of an entry that syslog cut in pieces: 2 and above are not the first
	syslog bool // the line came by way of syslog or the journal
	millis bool
}

// read reads the front of a line and returns the text after it. shape is false for a line that does not start as an entry does;
// valid is false for one that does, with a time that does not exist.
func (m *stamper) read(line string, f *front) (text string, shape, valid bool) {
	*f = front{}
	rest, object := ours(line)
	shape, valid = m.exim(rest, &f.stamp)
	switch {
	case shape:
		rest = f.fraction(rest[19:])
	default:
		if shape, valid = syslogStamp(rest, &f.stamp); shape {
			rest = f.fraction(rest[15:])
		}
	}
	if shape && !valid {
		return "", true, false
	}
	if after, ok := f.zone(rest); ok {
		rest = after
	}
	if object && shape && strings.HasPrefix(rest, `","`) {
		return rest[2:], true, valid
	}
	if shape && (rest == "" || rest[0] != ' ') {
		return "", false, false
	}
	rest = strings.TrimPrefix(rest, " ")
	if f.message(&rest) {
		return rest, shape, shape
	}
	if after, ok := f.tag(rest); ok {
		f.syslog = true
		rest = f.cutPiece(after)
		if inner, valid := m.exim(rest, &f.stamp); inner && valid { // Exim's own stamp knows its year
			f.stamp.zone, f.stamp.nsec, shape = false, 0, true
			rest = f.fraction(rest[19:])
			if after, ok := f.zone(rest); ok {
				rest = after
			}
			rest = strings.TrimPrefix(rest, " ")
		}
	} else if shape && !f.stamp.year {
		return "", false, false // a month alone is no log
	}
	if !shape {
		return "", false, false
	}
	f.process(&rest)
	f.message(&rest)
	return rest, true, true
}

// ours returns a line of our own daemon's log from its time on: as text, or as a JSON object.
func ours(line string) (rest string, object bool) {
	if rest, object = strings.CutPrefix(line, `{"time":"`); object {
		return rest, true
	}
	return strings.TrimPrefix(line, "time="), false
}

// fraction reads ".329" at the start.
func (f *front) fraction(s string) string {
	if s == "" || s[0] != '.' {
		return s
	}
	i, unit := 1, int32(1e9)
	for ; i < len(s) && s[i] >= '0' && s[i] <= '9' && unit > 1; i++ {
		unit /= 10
		f.stamp.nsec += int32(s[i]-'0') * unit
	}
	f.millis = i > 1
	return s[i:]
}

// zone reads " +0200", "+0200", "+02:00" or "Z" at the start.
func (f *front) zone(s string) (string, bool) {
	if s == "" {
		return s, false
	}
	if s[0] == 'Z' {
		f.stamp.zone, f.stamp.east = true, 0
		return s[1:], true
	}
	z := strings.TrimPrefix(s, " ")
	if len(z) < 5 || z[0] != '+' && z[0] != '-' {
		return s, false
	}
	n := 5
	minutes := z[3:5]
	if z[3] == ':' && len(z) > 5 {
		n, minutes = 6, z[4:6]
	}
	h, a := digits(z[1:3])
	m, b := digits(minutes)
	if !a || !b || h > 15 || m > 59 || len(z) > n && z[n] != ' ' {
		return s, false
	}
	f.stamp.zone, f.stamp.east = true, int32(h*3600+m*60)
	if z[0] == '-' {
		f.stamp.east = -f.stamp.east
	}
	return z[n:], true
}

// tag reads syslog's "host program[123]: ". Where Exim writes the file itself, the first two words of an entry are its own but
// for ETRN and ATRN, whose argument a client chooses.
func (f *front) tag(s string) (string, bool) {
	i := strings.IndexByte(s, ' ')
	if i <= 0 || s[:i] == "ETRN" || s[:i] == "ATRN" {
		return "", false
	}
	n := strings.IndexByte(s[i+1:], ' ')
	if n < 3 {
		return "", false
	}
	word := s[i+1 : i+1+n]
	if word[n-1] != ':' || strings.ContainsAny(s[:i], "=<(\"[") {
		return "", false
	}
	name, pid, ok := strings.Cut(word[:n-1], "[")
	if ok {
		number, digit := digits(strings.TrimSuffix(pid, "]"))
		if !digit || !strings.HasSuffix(pid, "]") || len(pid) > 10 {
			return "", false
		}
		f.pid = int32(number)
	}
	if !strings.HasPrefix(name, "exim") && !ok || name == "" || strings.ContainsAny(name, "=<(\"") {
		return "", false
	}
	return s[i+n+2:], true
}

// cutPiece reads "[2\3] " of an entry that syslog had to cut.
func (f *front) cutPiece(s string) string {
	if s == "" || s[0] != '[' {
		return s
	}
	end := strings.IndexByte(s, ']')
	if end < 4 || end+1 >= len(s) || s[end+1] != ' ' {
		return s
	}
	at := strings.IndexAny(s[:end], `/\`)
	if at < 0 {
		return s
	}
	n, a := digits(s[1:at])
	_, b := digits(s[at+1 : end])
	if !a || !b {
		return s
	}
	f.piece = n
	return s[end+2:]
}

// process reads "[4557] ".
func (f *front) process(s *string) {
	text := *s
	if text == "" || text[0] != '[' {
		return
	}
	for i := 1; i < len(text) && i < 12; i++ {
		if text[i] == ']' && i > 1 && i+1 < len(text) && text[i+1] == ' ' {
			n, _ := digits(text[1:i])
			f.pid, *s = int32(n), text[i+2:]
			return
		}
		if text[i] < '0' || text[i] > '9' {
			return
		}
	}
}

// message reads Exim's id of a message, of 16 characters, or of 23 since 4.97; with "[4557] " before it, that too.
func (f *front) message(s *string) bool {
	text := *s
	if text != "" && text[0] == '[' {
		f.process(&text)
	}
	for _, form := range [...][2]int{{16, 13}, {23, 18}} {
		n, dash := form[0], form[1]
		if len(text) >= n && text[6] == '-' && text[dash] == '-' && (len(text) == n || text[n] == ' ') && isID(text[:n]) {
			f.id = text[:n]
			*s = strings.TrimPrefix(text[n:], " ")
			return true
		}
	}
	return false
}

func isID(s string) bool {
	dashes := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z':
		case c == '-':
			dashes++
		default:
			return false
		}
	}
	return dashes == 2
}
