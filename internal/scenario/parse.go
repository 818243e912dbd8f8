package scenario

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"eximpolicyd/acl"
	"eximpolicyd/internal/config"
	"eximpolicyd/policy"
)

// parser reads a file line by line, and goes on after a mistake.
type parser struct {
	file     *File
	mistakes config.Mistakes
	line     int // the one at hand, from 1
	section  string
	named    map[string]int // the lines of the cases, by their names
	configs  int            // sections config
	asked    int            // requests of the case at hand
	now      time.Time      // of its clock
	met      bool           // it has said CONNECT
	open     bool           // and not QUIT
	known    int            // mistakes when it began
	lost     bool           // its last step is a mistake, and expectations below it belong to none

	config *configSection
	dns    *dnsSection
	exim   *eximSection
	begun  int // the line of the section config
}

// start is when a case begins.
var start = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// Parse reads a text; name is what its mistakes call it. Without a mistake the error is nil, otherwise it is of type
// [config.Mistakes] and there is no File.
func Parse(name string, text []byte) (*File, error) {
	p := parser{file: &File{Name: name, text: string(text)}, named: map[string]int{}, config: &configSection{config: config.Default()}, exim: &eximSection{}}
	if len(text) > MaxFile {
		return nil, config.Mistakes{{File: name, Text: fmt.Sprintf("has over %d MB: split it", MaxFile>>20)}}
	}
	for line := range strings.Lines(strings.TrimPrefix(p.file.text, "\ufeff")) {
		p.line++
		p.read(strings.TrimRight(line, "\r\n"))
	}
	p.endSection()
	p.endCase()
	if len(p.file.Cases) == 0 && len(p.mistakes) == 0 {
		p.line = 0
		p.wrong(0, "has no case: begin one with -- case NAME --")
	}
	if len(p.mistakes) > 0 {
		slices.SortStableFunc(p.mistakes, func(a, b config.Mistake) int {
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
		if len(p.mistakes) > mostMistakes {
			p.mistakes[mostMistakes].Text = "and perhaps more mistakes"
		}
		return nil, p.mistakes
	}
	return p.file, nil
}

// mostMistakes are told of one file.
const mostMistakes = 200

// wrong notes a mistake in the line at hand.
func (p *parser) wrong(column int, format string, args ...any) {
	p.mistake(config.Mistake{File: p.file.Name, Line: p.line, Column: column, Text: fmt.Sprintf(format, args...)})
}

// mistake notes one, and one more than are told.
func (p *parser) mistake(m config.Mistake) {
	if len(p.mistakes) <= mostMistakes {
		p.mistakes = append(p.mistakes, m)
	}
}

// meant guesses which of some words a text was to be.
func meant(s string, words []string) string {
	if near := config.Nearest(s, words); near != "" {
		return ": did you mean " + near + "?"
	}
	if len(words) > 24 {
		return ""
	}
	return ": write one of " + strings.Join(words, ", ")
}

// read reads one line.
func (p *parser) read(line string) {
	if len(line) > maxLine {
		p.wrong(maxLine, "the line has over %d octets", maxLine)
		return
	}
	if i := strings.IndexFunc(line, func(c rune) bool { return unicode.IsControl(c) && c != '\t' || c == utf8.RuneError }); i >= 0 {
		p.wrong(i+1, "a control character, or no UTF-8")
		return
	}
	if strings.HasPrefix(line, "-- ") || line == "--" {
		p.heading(line)
		return
	}
	if p.section == "config" {
		p.config.text = append(p.config.text, line)
		return
	}
	blank := strings.TrimLeft(line, " \t")
	if blank == "" || blank[0] == '#' && (line[0] == '#' || !p.headers()) {
		return
	}
	switch p.section {
	case "":
		p.wrong(1, "stands in no section: begin one with -- config --, -- dns --, -- exim -- or -- case NAME --")
		p.section = "?" // of a file of another kind that is said once
	case "case":
		p.dialogue(line)
	case "exim":
		words, ok := p.words(line, 0)
		if ok {
			p.always(words)
		}
	case "dns":
		if words, ok := p.words(line, 0); ok {
			p.record(words)
		}
	}
}

// always reads words that stand in every request.
func (p *parser) always(words []word) {
	before := len(p.exim.words)
	p.exim.words = p.pairs(p.exim.words, words)
	if slices.ContainsFunc(p.exim.words[before:], func(w acl.Pair) bool { return w.Name == "user" }) {
		p.wrong(1, "user is known at CONNECT and NOT_SMTP only")
	}
}

// words splits a line.
func (p *parser) words(line string, from int) ([]word, bool) {
	words, open := wordsOf(line, from)
	if open > 0 {
		p.wrong(open, "the quote is not closed")
		return nil, false
	}
	return words, true
}

// heading begins a section.
func (p *parser) heading(line string) {
	p.endSection()
	title := strings.TrimSpace(strings.TrimPrefix(line, "--"))
	title, closed := strings.CutSuffix(title, "--")
	kind, name, _ := strings.Cut(strings.TrimSpace(title), " ")
	name = strings.TrimSpace(name)
	p.endCase()
	p.section = "?" // whose lines say nothing
	switch {
	case !closed || kind == "":
		p.wrong(1, "is no heading: write it as -- case a stranger greets with our name --")
		return
	case kind == "case" && name == "":
		p.wrong(1, "the case has no name: write -- case NAME --")
		return
	case !slices.Contains([]string{"config", "dns", "exim", "case"}, kind):
		p.wrong(len("-- ")+1, "%s is no section%s", shown(kind), meant(kind, []string{"config", "dns", "exim", "case"}))
		return
	case kind == "config" && p.configs == maxConfigs:
		p.wrong(len("-- ")+1, "there are over %d sections config: split the file", maxConfigs)
		return
	case kind != "case" && name != "":
		p.wrong(len("-- ")+1, "the section %s has no name", kind)
		return
	}
	switch p.section = kind; kind {
	case "case":
		p.begin(name)
	case "config":
		p.config, p.begun = &configSection{}, p.line
		p.configs++
	case "dns":
		p.dns = &dnsSection{}
	case "exim":
		p.exim = &eximSection{}
	}
}

// endSection reads a configuration when it is whole. Its mistakes stand where they are in this file.
func (p *parser) endSection() {
	if p.section != "config" || p.config.config != nil {
		return
	}
	c, err := config.Parse(p.file.Name, []byte(strings.Join(p.config.text, "\n")), policy.Table())
	var mistakes config.Mistakes
	if err != nil {
		mistakes, _ = err.(config.Mistakes)
		c = config.Default()
	}
	for _, m := range mistakes {
		if m.File == p.file.Name && m.Line > 0 {
			m.Line += p.begun
		}
		p.mistake(m)
	}
	p.config.config = c
}

func (p *parser) begin(name string) {
	if line, taken := p.named[name]; taken {
		p.wrong(len("-- case ")+1, "the case of line %d has the same name", line)
	} else {
		p.named[name] = p.line
	}
	p.file.Cases = append(p.file.Cases, Case{Name: name, Line: p.line, config: p.config, dns: p.dns, exim: p.exim})
	p.asked, p.now, p.met, p.open, p.known, p.lost = 0, start, false, false, len(p.mistakes), false
}

// current is the case at hand.
func (p *parser) current() *Case { return &p.file.Cases[len(p.file.Cases)-1] }

// last is the step at hand, or nil.
func (p *parser) last() *step {
	if p.section != "case" || len(p.file.Cases) == 0 || len(p.current().steps) == 0 {
		return nil
	}
	return &p.current().steps[len(p.current().steps)-1]
}

// endCase looks whether the case expects anything.
func (p *parser) endCase() {
	if p.section != "case" || len(p.file.Cases) == 0 || len(p.mistakes) > p.known {
		return
	}
	for _, s := range p.current().steps {
		if len(s.wants) > 0 {
			return
		}
	}
	p.mistake(config.Mistake{File: p.file.Name, Line: p.current().Line, Column: 1,
		Text: "the case expects nothing: write < or ! below a line"})
}
