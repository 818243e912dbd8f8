package mainlog

import (
	"strings"
	"unicode/utf8"
)

// parser reads chunks into events. One goroutine has one.
type parser struct {
	stamp stamper
	open  int // where the entry of a command line starts that goes on in the next line; -1 is none
}

// parse reads all lines of a chunk. Each becomes an event, belongs to one, or is counted by the reason why not.
func (p *parser) parse(k *chunk) {
	c := &k.counts
	c.Bytes += uint64(len(k.text))
	c.Cut += uint64(k.long)
	var f front
	p.open = -1
	for at, n := 0, k.line; at < len(k.text); n++ {
		line, start := k.text[at:], at
		if end := strings.IndexByte(line, '\n'); end >= 0 {
			line = line[:end]
		}
		at += len(line) + 1
		c.Lines++
		if len(line) > maxLine {
			line = line[:maxLine]
			c.Cut++
		}
		line = strings.TrimSuffix(line, "\r")
		if line == "" {
			c.Reasons[Blank]++
			continue
		}
		if p.open >= 0 {
			c.Reasons[Planted]++
			p.goesOn(k, line, start)
			continue
		}
		body, shape, valid := p.stamp.read(line, &f)
		switch {
		case !shape:
			c.Reasons[k.follow(line, start)]++
		case !valid:
			c.Reasons[OutOfRange]++
		case f.piece > 1:
			k.append(body)
			c.Reasons[Continuation]++
		default:
			k.add(&f, body, n)
			if opens(body) && !f.syslog {
				p.open = start + len(line) - len(body)
			}
		}
	}
}

// opens reports whether an entry is the first line of a command line's: Exim writes the name of the folder as it is, line ends
// and all (4.96), in one piece, and the arguments after it.
func opens(body string) bool {
	return strings.HasPrefix(body, "cwd=") && !strings.Contains(body, argsWord)
}

const (
	argsWord   = " args: "
	maxPlanted = 5 << 10 // octets of a folder's name, PATH_MAX 4096, and what is around it; beyond it nobody can hide others' lines
)

// goesOn takes a line of a folder's name, whatever it looks like, up to the one with the arguments.
func (p *parser) goesOn(k *chunk, line string, start int) {
	e := &k.events[len(k.events)-1]
	whole := k.text[p.open : start+len(line)]
	if strings.Contains(line, argsWord) {
		at := strings.LastIndex(whole, argsWord)
		e.Command, e.Arguments = workingDirectory(whole[:at]), whole[at+len(argsWord):]
		p.open = -1
	} else if len(whole) > maxPlanted {
		p.open = -1
	}
}

// add makes an event.
func (k *chunk) add(f *front, body string, line int) {
	if len(k.events) < cap(k.events) { // what a chunk before this one left there
		k.events = k.events[:len(k.events)+1]
		k.events[len(k.events)-1] = Event{}
	} else {
		k.events = append(k.events, Event{})
	}
	e := &k.events[len(k.events)-1]
	e.PID, e.ID, e.stamp, e.File, e.Line = f.pid, f.id, f.stamp, k.input.Name, line
	understand(e, body)
	e.syslog = f.syslog
	k.counts.note(e, f)
}

// follow takes a line without a time: it belongs to the entry before it, if there is one.
func (k *chunk) follow(line string, start int) Reason {
	if r := foreign(line); r != NoStamp {
		return r
	}
	if len(k.events) == 0 {
		if k.first {
			return NoStamp
		}
		return Continuation // of an entry with so many lines that it was cut
	}
	e := &k.events[len(k.events)-1]
	end := start + len(line)
	switch {
	case e.Headers == "":
		e.Headers, e.headersAt = line, start
	case e.headersAt < 0:
		k.append(line)
	case end-e.headersAt <= maxAfter:
		e.Headers = k.text[e.headersAt:end]
	}
	return Continuation
}

// append takes the further pieces of an entry that syslog had to cut: each has a front of its own, so that they are put together.
func (k *chunk) append(body string) {
	if len(k.events) == 0 {
		return
	}
	e := &k.events[len(k.events)-1]
	e.headersAt = -1
	if len(e.Headers)+len(body) <= maxAfter {
		e.Headers = strings.TrimPrefix(e.Headers+"\n"+body, "\n")
	}
}

// foreign names what a line without a time is that cannot belong to an entry.
func foreign(line string) Reason {
	if strings.HasPrefix(line, "\xff\xfe") || strings.HasPrefix(line, "\xfe\xff") {
		return UTF16
	}
	nul, control := 0, 0
	for i := 0; i < len(line) && i < 256; i++ {
		switch c := line[i]; {
		case c == 0:
			nul++
		case c < ' ' && c != '\t' && c != '\r', c == 0x7f:
			control++
		}
	}
	n := min(len(line), 256)
	switch {
	case nul > 0 && nul >= n/2-2 && nul <= n/2+2 && n > 4:
		return UTF16
	case nul > 0, control > 0 && !utf8.ValidString(line[:n]), control > n/8:
		return Binary
	}
	return NoStamp
}
