package manual

import (
	"regexp"
	"strings"
)

// mdoc collects a page in the macros of mdoc(7). The zero value is an empty page.
type mdoc struct {
	b     strings.Builder
	fresh bool // the last macro leaves no room for a .Pp, which would be one too many
}

func (m *mdoc) String() string { return m.b.String() }

// line writes a line of macros as it is. Texts in it have gone through word.
func (m *mdoc) line(words ...string) {
	m.b.WriteString(strings.Join(words, " ") + "\n")
	m.fresh = false
}

// section begins a section and sub a part of one.
func (m *mdoc) section(title string) {
	if strings.HasSuffix(title, "]") {
		m.line(".Sh", word(title)+`\&`) // the bracket is no punctuation
	} else {
		m.line(".Sh", word(title))
	}
	m.fresh = true
}

func (m *mdoc) sub(title string) {
	m.line(".Ss", word(title))
	m.fresh = true
}

// break begins a paragraph.
func (m *mdoc) paragraph() {
	if !m.fresh {
		m.line(".Pp")
	}
}

// item begins an item of a list of terms, whose text follows.
func (m *mdoc) item(macros ...string) {
	m.line(append([]string{".It"}, macros...)...)
	m.fresh = true
}

// list begins a list of terms that leaves a column of so many characters for the terms.
func (m *mdoc) list(width string) { m.line(".Bl -tag -width", width) }

func (m *mdoc) endList() { m.line(".El") }

// literal shows lines as they are.
func (m *mdoc) literal(text string) {
	m.line(".Bd -literal -offset indent")
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		m.line(verbatim(strings.TrimRight(expand(line), "\n ")))
	}
	m.line(".Ed")
}

// expand puts blanks in the place of tabs at the beginning of a line.
func expand(line string) string {
	rest := strings.TrimLeft(line, "\t")
	return strings.Repeat("    ", len(line)-len(rest)) + rest
}

// width bounds the lines of the source; no reader sees them.
const width = 78

// text writes running text, each sentence on lines of its own as mdoc wants it, and every name(8) as a reference.
func (m *mdoc) text(s string) {
	var line string
	flush := func() {
		if line != "" {
			m.line(line)
		}
		line = ""
	}
	words := strings.Fields(s)
	for i, w := range words {
		if ref := reference.FindStringSubmatch(w); ref != nil {
			flush()
			m.refer(ref[1], ref[2], ref[3], ref[4])
			continue
		}
		shown := running(w)
		if line != "" && len(line)+1+len(shown) > width {
			flush()
		}
		if line == "" {
			line = guard(shown)
		} else {
			line += " " + shown
		}
		if i+1 < len(words) && sentenceEnd.MatchString(w) && sentenceStart.MatchString(words[i+1]) {
			flush()
		}
	}
	flush()
}

var (
	reference     = regexp.MustCompile(`^(\(?)([a-z][a-z0-9.-]*)\(([1-8])\)(\)?[.,;:]*)$`)
	sentenceEnd   = regexp.MustCompile(`[A-Za-z0-9][)"]*[.?!][)"]*$`)
	sentenceStart = regexp.MustCompile(`^[("]*[A-Z0-9-]`)
)

// refer writes a reference to another page with the punctuation around it.
func (m *mdoc) refer(before, name, section, after string) {
	macro := ".Xr"
	if rest, closed := strings.CutPrefix(after, ")"); before != "" && closed {
		macro, after = ".Pq Xr", rest
	}
	words := []string{macro, name, section}
	for _, c := range after {
		words = append(words, string(c))
	}
	m.line(words...)
}

// escaped are the characters that roff or a terminal's typesetting would change in what somebody may want to paste.
var escaped = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`)

// verbatim escapes a whole line of literal text.
func verbatim(line string) string { return guard(escaped.Replace(line)) }

// guard keeps a line of text from being taken for a request.
func guard(line string) string {
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		return `\&` + line
	}
	return line
}

// running escapes a word of running text: one that looks typed keeps its hyphens and quotes, an English one does not.
func running(w string) string {
	if strings.HasPrefix(w, "-") || strings.ContainsAny(w, `\/_=^~$<>@`) || strings.Contains(w, "--") {
		return escaped.Replace(w)
	}
	return strings.ReplaceAll(w, "`", `\(ga`)
}

// word escapes a text that stands as one argument of a macro, where short capitalised words are macros themselves.
func word(s string) string {
	s = strings.ReplaceAll(escaped.Replace(s), `"`, `\(dq`)
	switch {
	case s == "":
		return `""`
	case strings.ContainsAny(s, " \t"):
		return `"` + s + `"`
	case len(s) <= 3 || strings.Trim(s, ".,:;()[]?!|") == "":
		return `\&` + s
	}
	return s
}
