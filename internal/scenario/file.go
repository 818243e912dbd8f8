package scenario

import (
	"strconv"
	"strings"
	"time"

	"eximpolicyd/acl"
	"eximpolicyd/internal/config"
)

// Bounds of a file.
const (
	MaxFile    = 1 << 20 // octets
	maxLine    = 4 << 10
	maxConfigs = 1000    // sections, a millisecond each
	maxTimes   = 1000    // of x20
	maxAsked   = 100_000 // requests of one case, some seconds
	longest    = 400 * 24 * time.Hour
	timeStamp  = time.RFC3339Nano
)

// File is one text without a mistake.
type File struct {
	Name  string
	Cases []Case

	text string
}

// Case is what is played on one memory.
type Case struct {
	Name string
	Line int // from 1

	config *configSection
	dns    *dnsSection // nil: nothing is asked
	exim   *eximSection
	steps  []step
}

type configSection struct {
	text   []string
	config *config.Config
}

type dnsSection struct{ records []record }

type eximSection struct{ words []acl.Pair }

// step is one line that does something, with those that belong to it.
type step struct {
	line int

	// What a client says, if there is a verb.
	verb   *verb
	arg    string     // 203.0.113.7, mail.example.net, a@example.net, anna
	bare   bool       // the verb has no argument here
	tail   string     // unknown, failed
	words  []acl.Pair // name=value
	times  int        // at least 1
	header []string   // at DATA

	// What happens, if there is none.
	wait      time.Duration
	until     time.Time
	reconnect bool

	wants []want
}

// String writes the line as it is read, without its expectations.
func (s *step) String() string {
	switch {
	case s.reconnect:
		return "@ reconnect"
	case s.verb == nil && s.wait > 0:
		return "@ +" + s.wait.String()
	case s.verb == nil:
		return "@ " + s.until.Format(timeStamp)
	}
	var b strings.Builder
	b.WriteString("> " + s.verb.name)
	switch {
	case s.bare:
	case s.verb.path != "":
		b.WriteString(" " + s.verb.path + "<" + s.arg + ">")
	default:
		b.WriteString(" " + quoted(s.arg))
	}
	if s.tail != "" {
		b.WriteString(" " + s.tail)
	}
	for _, w := range s.words {
		b.WriteString(" " + w.Name + "=" + quoted(w.Value))
	}
	if s.times > 1 {
		b.WriteString(" x" + strconv.Itoa(s.times))
	}
	for _, line := range s.header {
		b.WriteString("\n  " + line)
	}
	return b.String()
}

// want is one line of expectations.
type want struct {
	line  int
	reply bool // it begins with <
	is    []expected
}

// expected is one field and the value that it must have.
type expected struct {
	field *field
	value string
}

// String writes the line as it is read.
func (w *want) String() string {
	var b strings.Builder
	if b.WriteByte('!'); w.reply {
		b.Reset()
		b.WriteByte('<')
	}
	for i, e := range w.is {
		switch {
		case w.reply && i == 0, w.reply && i == 1 && e.field.name == "code":
			b.WriteString(" " + e.value)
		default:
			b.WriteString(" " + e.field.name + "=" + quoted(e.value))
		}
	}
	return b.String()
}
