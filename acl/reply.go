package acl

import (
	"fmt"
	"strings"

	"eximpolicyd/policy"
)

// MaxReply bounds a reply: its fields' bounds and names together stay below.
const MaxReply = 4 << 10

// Bounds of the reply's fields, in octets as written, escapes and all. A message that is refused gets no header, so the
// fields of client text and words together are 3,120; names, quotes and flags are 121 more.
const (
	maxMsg  = 1000
	maxLog  = 1000
	maxHdr  = 2000 // a stamp 540, a mark of all rules 400, what X-Source shows 1,060 without escapes
	maxNote = 800
	maxWord = 64
)

// Reply is what Exim is told. The zero Reply has no opinion.
type Reply struct {
	Action    policy.Action
	Msg       string // for the client: code, enhanced code, text
	Log       string // for Exim's main log, one line
	Rule      string
	ID        string
	Header    string // header fields to add, LF between them
	Control   string
	Delay     string
	Tag       string
	Note      string // for Exim's main log, without an objection
	Strip     bool   // remove X-Source and its kin that come from elsewhere
	Synthetic bool
	Degraded  bool
}

// Fit removes what Exim does not take at a stage and would answer with 451: fields of a header or a queue where there is
// none yet, an objection where it is too late for one.
func (r *Reply) Fit(stage policy.Stage) {
	switch stage {
	case policy.Quit, policy.NotQuit, policy.NotSMTPStart, policy.NoStage:
		r.Action, r.Msg, r.Log = policy.Dunno, "", ""
		r.Header, r.Control, r.Delay, r.Strip = "", "", "", false
	case policy.Connect, policy.Helo:
		r.Header, r.Control, r.Strip = "", "", false
		if r.Action == policy.Freeze { // a control, and there is no message yet
			r.Action, r.Msg, r.Log = policy.Dunno, "", ""
		}
	case policy.NotSMTP:
		r.Delay = ""
		if r.Action == policy.Defer { // there is no second try
			r.Action, r.Msg, r.Log = policy.Dunno, "", ""
		}
	}
}

// Append writes the reply as one line of Exim's extract fields that ends in end=1.
func (r *Reply) Append(dst []byte) []byte {
	action, control := r.Action, r.Control
	switch action {
	case policy.Delay: // a field of its own
		action = policy.Dunno
	case policy.Freeze:
		action, control = policy.Dunno, "freeze/no_tell"
	}
	dst = append(dst, "action="...)
	dst = append(dst, action.String()...)
	if action != policy.Dunno {
		dst = appendField(dst, "msg", r.Msg, maxMsg)
		dst = appendField(dst, "log", r.Log, maxLog)
	}
	dst = appendField(dst, "rule", r.Rule, maxWord)
	dst = appendField(dst, "id", r.ID, maxWord)
	if action == policy.Dunno {
		dst = appendField(dst, "hdr", r.Header, maxHdr)
	}
	dst = appendField(dst, "control", control, maxWord)
	dst = appendField(dst, "delay", r.Delay, maxWord)
	dst = appendField(dst, "tag", r.Tag, maxWord)
	dst = appendField(dst, "note", r.Note, maxNote)
	if r.Strip {
		dst = append(dst, " strip=1"...)
	}
	if r.Synthetic {
		dst = append(dst, " synthetic=1"...)
	}
	if r.Degraded {
		dst = append(dst, " degraded=1"...)
	}
	return append(dst, " end=1\n"...)
}

// appendField writes one field, cut to so many octets; an empty one is left out.
func appendField(dst []byte, name, value string, most int) []byte {
	if value == "" {
		return dst
	}
	dst = append(dst, ' ')
	dst = append(dst, name...)
	dst = append(dst, '=')
	if bareReply(value) && len(value) <= most {
		return append(dst, value...)
	}
	dst = append(dst, '"')
	for i, start := 0, len(dst); i < len(value) && len(dst)-start <= most-4; i++ {
		dst = appendEscaped(dst, value[i])
	}
	return append(dst, '"')
}

func appendEscaped(dst []byte, c byte) []byte {
	switch {
	case c == '"' || c == '\\':
		return append(dst, '\\', c)
	case c == '\n':
		return append(dst, '\\', 'n')
	case c == '\r':
		return append(dst, '\\', 'r')
	case c == '\t':
		return append(dst, '\\', 't')
	case c == 0: // Exim cuts a line at NUL, escaped or not
		return append(dst, '?')
	case c < ' ' || c > '~':
		return append(dst, '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
	}
	return append(dst, c)
}

// bareReply reports whether Exim's extract takes a value without quotes: [A-Za-z0-9_.,:/-]+.
func bareReply(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !bareByte(c) && c != ',' && c != ':' && c != '/' {
			return false
		}
	}
	return s != ""
}

// ParseReply reads a line that Append wrote, as Exim's extract does: the first field of a name wins. It reports an error
// if the line does not end in end=1, which Exim's snippet takes for no answer.
func ParseReply(line string) ([]Pair, error) {
	var fields []Pair
	rest := strings.TrimSuffix(line, "\n")
	for rest = strings.TrimLeft(rest, " "); rest != ""; rest = strings.TrimLeft(rest, " ") {
		name, after, ok := strings.Cut(rest, "=")
		if !ok || !validName(name) {
			return nil, fmt.Errorf("no name=value in the reply at %q", rest)
		}
		value, tail, err := replyValue(after)
		if err != nil {
			return nil, fmt.Errorf("reply field %s: %w", name, err)
		}
		fields, rest = append(fields, Pair{name, value}), tail
	}
	if n := len(fields); n == 0 || fields[n-1] != (Pair{"end", "1"}) {
		return nil, fmt.Errorf("the reply does not end in end=1")
	}
	return fields, nil
}

func replyValue(s string) (value, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		value, rest, _ = strings.Cut(s, " ")
		if !bareReply(value) {
			return "", "", fmt.Errorf("%q needs quotes", value)
		}
		return value, rest, nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], nil
		case c != '\\':
			b.WriteByte(c)
		case i+3 < len(s) && s[i+1] >= '0' && s[i+1] <= '3':
			b.WriteByte((s[i+1]-'0')<<6 | (s[i+2]-'0')<<3 | (s[i+3] - '0'))
			i += 3
		case i+1 < len(s):
			i++
			b.WriteByte(unescape(s[i]))
		}
	}
	return "", "", fmt.Errorf("no closing quote")
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}
