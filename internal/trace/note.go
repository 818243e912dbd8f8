package trace

import (
	"encoding/json"
	"strconv"
	"strings"

	"eximpolicyd/internal/mainlog"
)

// note is what the daemon said of the sender of a message: in Exim's log, "eximpolicyd: stage=NOT_SMTP ...", or in its own as
// it writes it or the journal has it, "msg=decision stage=NOT_SMTP ...". Only Exim and the daemon write such a line, but for
// files of syslog's, into which any local user may.
type note struct {
	id                         string // of the message
	account, uid, dir, program string
}

// readNote reads one; a line that says nothing of a sender is none.
func readNote(e *mainlog.Event) (n note, ok bool) {
	n.id = e.ID
	text, exims := strings.CutPrefix(e.Text, "eximpolicyd: ")
	switch {
	case exims:
	case strings.HasPrefix(text, `"level":"`):
		n.object(text)
		text = ""
	default:
		if text = strings.TrimPrefix(text, "level=INFO "); !strings.HasPrefix(text, "msg=decision ") {
			return n, false
		}
	}
	for text != "" {
		var name, value string
		name, value, text = nextWord(text)
		n.set(name, value)
	}
	n.id = strings.Clone(n.id)
	return n, n.id != "" && (n.account != "" || n.uid != "" || n.dir != "" || n.program != "")
}

// object reads what follows the time in a JSON object.
func (n *note) object(text string) {
	var line map[string]any
	if json.Unmarshal([]byte("{"+text), &line) != nil || line["msg"] != "decision" {
		return
	}
	for _, name := range [...]string{"queue_id", "account", "client_uid", "uid", "cwd", "program", "args"} {
		switch value := line[name].(type) {
		case string:
			n.set(name, value)
		case float64:
			n.set(name, strconv.FormatInt(int64(value), 10))
		}
	}
}

// set takes one word. args has the script where the program is PHP.
func (n *note) set(name, value string) {
	if value == "" {
		return
	}
	switch name {
	case "queue_id":
		n.id = keep(value)
	case "account":
		n.account = keep(value)
	case "uid", "client_uid":
		n.uid = keep(value)
	case "cwd":
		n.dir = keep(value)
	case "program":
		if n.program == "" {
			n.program = keep(value)
		}
	case "args":
		n.program = keep(value)
	}
}

// nextWord reads name=value at the start of a text, as slog and acl write it: a value with a blank is quoted.
func nextWord(s string) (name, value, rest string) {
	s = strings.TrimLeft(s, " ")
	eq := strings.IndexAny(s, "= ")
	if eq < 0 {
		return "", "", ""
	}
	if s[eq] == ' ' {
		return "", "", s[eq:]
	}
	name, s = s[:eq], s[eq+1:]
	if s == "" || s[0] != '"' {
		value, rest, _ = strings.Cut(s, " ")
		return name, value, rest
	}
	end := 1
	for ; end < len(s) && s[end] != '"'; end++ {
		if s[end] == '\\' {
			end++
		}
	}
	end = min(end, len(s))
	return name, mainlog.Unescape(s[1:end]), s[min(end+1, len(s)):]
}

// complete adds to a message what the note says of its sender, which is surer than what lines nearby do.
func (n *note) complete(m *Message) {
	if n.account != "" && !m.LoggedIn {
		m.Account = n.account
	}
	if n.uid != "" {
		m.UID = n.uid
	}
	if n.dir != "" {
		m.Directory, m.Guess = n.dir, false
	}
	if n.program != "" {
		m.Script = n.program
	}
}
