package manual

import (
	"go/doc/comment"
	"slices"
	"strings"
	"unicode"
)

// parse reads a text in the markup of doc comments.
func parse(text string) []comment.Block {
	var p comment.Parser
	return p.Parse(text).Content
}

// packageComment returns the text of a package comment, given the file that has nothing else, from its first heading on:
// what stands before it is about the package, and not for those who read a page.
func packageComment(source string) string {
	var b strings.Builder
	for line := range strings.Lines(source) {
		text, is := strings.CutPrefix(line, "//")
		if !is {
			break
		}
		b.WriteString(strings.TrimPrefix(text, " "))
	}
	_, rest, _ := strings.Cut(b.String(), "\n# ")
	return "# " + rest
}

// blocks writes parsed text; headings become parts of the section, or sections.
func (m *mdoc) blocks(list []comment.Block, heading func(string)) {
	for _, b := range list {
		switch b := b.(type) {
		case *comment.Heading:
			heading(plain(b.Text))
		case *comment.Paragraph:
			m.paragraph()
			m.text(plain(b.Text))
		case *comment.Code:
			m.code(b.Text)
		case *comment.List:
			m.line(".Bl -bullet")
			for _, item := range b.Items {
				m.item()
				m.blocks(item.Content, heading)
			}
			m.endList()
		}
	}
}

// prose writes a text in the markup of doc comments.
func (m *mdoc) prose(text string) { m.blocks(parse(text), m.sub) }

// plain returns what the elements of a text say.
func plain(list []comment.Text) string {
	var b strings.Builder
	for _, t := range list {
		switch t := t.(type) {
		case comment.Plain:
			b.WriteString(string(t))
		case comment.Italic:
			b.WriteString(string(t))
		case *comment.Link:
			b.WriteString(plain(t.Text))
		case *comment.DocLink:
			b.WriteString(plain(t.Text))
		}
	}
	return b.String()
}

// code writes indented lines: a list of terms where they are in two columns between blank lines, else as they are.
func (m *mdoc) code(text string) {
	chunks := strings.Split(strings.Trim(text, "\n"), "\n\n")
	if !slices.ContainsFunc(chunks, func(c string) bool { return columns(c) != nil }) {
		m.literal(text)
		return
	}
	for _, c := range chunks {
		if terms := columns(c); terms != nil {
			m.terms(terms)
		} else {
			m.literal(c)
		}
	}
}

// terms writes a list of terms, unless it is empty.
func (m *mdoc) terms(terms []term) {
	if len(terms) == 0 {
		return
	}
	m.list(termWidth(terms))
	for _, t := range terms {
		m.item("Ic", word(t.term))
		if t.text != "" {
			m.text(t.text)
		}
	}
	m.endList()
}

// term is a term with what it means.
type term struct{ term, text string }

// termWidth is that of the widest term, as long as that leaves room for the texts.
func termWidth(terms []term) string {
	const most = 20
	widest := "Ds"
	for _, t := range terms {
		if n := len(t.term); n > len(widest) && n <= most {
			widest = strings.Repeat("x", n)
		}
	}
	return widest
}

// columns reads lines in two columns, of which the second may go on below itself, and the first may be alone. It returns
// nil for text of any other shape: a session, a file.
func columns(text string) []term {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	at := secondColumn(lines)
	if at == 0 {
		return nil
	}
	var terms []term
	for _, line := range lines {
		switch {
		case line == "":
		case len(line) <= at || strings.TrimSpace(line[:at]) != "" && line[at-1] != ' ':
			terms = append(terms, term{term: line})
		case strings.TrimSpace(line[:at]) != "":
			terms = append(terms, term{strings.TrimSpace(line[:at]), strings.TrimSpace(line[at:])})
		case len(terms) == 0:
			return nil
		default:
			last := &terms[len(terms)-1]
			last.text = strings.TrimSpace(last.text + " " + strings.TrimSpace(line))
		}
	}
	return terms
}

// secondColumn returns where most of at least two lines begin again after two blanks or more, or 0.
func secondColumn(lines []string) int {
	count, full := map[int]int{}, 0
	for _, line := range lines {
		if line != "" {
			full++
		}
		if line == "" || line[0] == ' ' {
			continue
		}
		if gap := strings.Index(line, "  "); gap > 0 {
			rest := strings.TrimLeftFunc(line[gap:], unicode.IsSpace)
			count[len(line)-len(rest)]++
		}
	}
	for at, n := range count {
		if n >= 2 && n > full/2 {
			return at
		}
	}
	return 0
}
