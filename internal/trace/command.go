package trace

import (
	"path"
	"slices"
	"strings"
	"time"

	"eximpolicyd/internal/mainlog"
)

// command is a command line that +arguments wrote: "cwd=/home/x/public_html 4 args: /usr/sbin/sendmail -t -i".
type command struct {
	time     time.Time
	dir      string
	text     string
	from     string // of -f: the sender that it asks for
	bounceOf string // of -E: Exim calls itself to send a bounce about this message
	script   string
}

// newCommand reads the command line of somebody who submits a message; of any other it returns false. Exim calls itself for
// each delivery (-Mc) and for the queue (-q), and administrators look at things (-bp). Options end at the first word that is
// none, as in Exim's own loop.
func newCommand(e *mainlog.Event) (c command, submits bool) {
	c = command{time: e.Time, dir: keep(e.Command), text: keep(e.Arguments)}
	words := arguments(c.text)
	if len(words) == 0 || slices.Contains([]string{"mailq", "newaliases", "runq"}, path.Base(words[0])) {
		return c, false
	}
	for _, word := range words[1:] {
		if c.script = scriptIn(word); c.script != "" {
			break
		}
	}
	for i := 1; i < len(words) && strings.HasPrefix(words[i], "-") && words[i] != "--"; i++ {
		word := words[i]
		switch {
		case strings.HasPrefix(word, "-M"), strings.HasPrefix(word, "-q"):
			return c, false
		case strings.HasPrefix(word, "-b") && word != "-bm" && word != "-bs" && word != "-bS":
			return c, false
		case strings.HasPrefix(word, "-E"):
			c.bounceOf = word[2:]
		case (word == "-f" || word == "-r") && i+1 < len(words):
			i++
			c.from = words[i]
		case strings.HasPrefix(word, "-f"), strings.HasPrefix(word, "-r"):
			c.from = word[2:]
		case slices.Contains(withValue, word), strings.HasPrefix(word, "-oM"):
			i++
		}
	}
	c.from = strings.Trim(c.from, "<>")
	return c, true
}

// withValue are the options that take the next word for their value, which may look like an option.
var withValue = []string{"-F", "-X", "-C", "-h", "-L", "-O", "-R", "-S", "-oP", "-oX", "-oA", "-oB"}

// fits says how well a command line fits a message that arrived after it: 0 not at all, 1 by its time alone.
func (c *command) fits(m *Message) int {
	switch {
	case m.Time.Sub(c.time) > guessTime || (c.bounceOf != "") != (m.Reference != ""):
		return 0
	case c.bounceOf != "" && c.bounceOf == m.Reference:
		return 3
	case c.from != "" && strings.EqualFold(c.from, m.Sender):
		return 2
	}
	return 1
}

// arguments takes a command line apart. Exim puts quotes around an argument with a blank, and escapes none within.
func arguments(s string) (words []string) {
	for s = strings.TrimSpace(s); s != "" && len(words) < maxArguments; s = strings.TrimLeft(s, " ") {
		stop := " "
		if s[0] == '"' {
			s, stop = s[1:], `"`
		}
		word, rest, _ := strings.Cut(s, stop)
		words, s = append(words, word), rest
	}
	return words
}

const maxArguments = 64

// scriptIn returns the script that an argument names: as the value of a field that PHP or a hosting panel adds, or as a file
// with an ending that interpreters have.
func scriptIn(word string) string {
	for _, field := range scriptFields {
		if i := strings.Index(word, field+":"); i >= 0 {
			return strings.TrimSpace(word[i+len(field)+1:])
		}
	}
	if strings.IndexByte(word, '@') < 0 && slices.Contains([]string{".php", ".pl", ".py", ".cgi", ".rb", ".sh"}, path.Ext(word)) {
		return word
	}
	return ""
}

// scriptFields are the header fields that name a script: of PHP's mail.add_x_header, and of hosting panels.
var scriptFields = [...]string{"X-PHP-Originating-Script", "X-PHP-Script", "X-Source-Args"}

// scriptOf returns the script that a header of the reject log names.
func scriptOf(e *mainlog.Event) string {
	if e.Headers == "" {
		return ""
	}
	for field := range e.HeaderFields() {
		name, value, _ := strings.Cut(field, ":")
		for _, known := range scriptFields {
			if strings.EqualFold(strings.TrimSpace(name), known) {
				return keep(strings.TrimSpace(value))
			}
		}
	}
	return ""
}
