package front

import (
	"regexp"
	"strings"
)

// address is what Exim reads of an address (RFC 5322 3.4.1, and the source routes and quoted pairs of RFC 821): without
// comments, blanks, a phrase before it and a route, its local part as it was written, quotes and all. It takes more than
// go-smtp does, and less. The zero address is <>.
type address struct{ local, domain string }

// readAddress reads an address, in angle brackets or not, and returns what stands behind it.
func readAddress(text string) (a address, rest string, ok bool) {
	s := scanner{text}
	a.local = s.local()
	phrase := s.rest != "" && s.rest[0] != '<' && s.rest[0] != '@'
	for phrase && !strings.HasPrefix(s.rest, "<") {
		if s.local() == "" {
			return a, "", false
		}
	}
	bracket := s.next('<')
	if bracket {
		a.local = ""
		s.blank()
		if s.next('>') {
			s.blank()
			return a, s.rest, true
		}
	}
	routed := a.local == "" && strings.HasPrefix(s.rest, "@")
	if routed && !s.route() {
		return a, "", false
	}
	if a.local == "" {
		a.local = s.local()
	}
	at := s.next('@')
	if at {
		a.domain = s.domain()
	}
	if a.local == "" || (at || routed) && a.domain == "" || bracket && !s.next('>') {
		return a, "", false
	}
	s.blank()
	return a, s.rest, len(a.local+"@"+a.domain) <= longestAddress
}

// again writes an address so that go-smtp, which takes quotes off a local part, reads it as it is.
func (a address) again() string {
	if a == (address{}) {
		return "<>"
	}
	return `<"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(a.local) + `"@` + a.domain + ">"
}

var quoting = regexp.MustCompile(`(?s)\\(.)|"`)

// unquoted is Exim's $local_part@$domain of an address.
func unquoted(s string) string {
	at := strings.LastIndexByte(s, '@')
	return quoting.ReplaceAllString(s[:at], "$1") + s[at:]
}

// scanner takes an address from the front of a text.
type scanner struct{ rest string }

// next takes one octet, if it is the next.
func (s *scanner) next(c byte) bool {
	if s.rest == "" || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// take takes what a pattern finds.
func (s *scanner) take(p *regexp.Regexp) string {
	found := p.FindString(s.rest)
	s.rest = s.rest[len(found):]
	return found
}

// blank skips blanks and comments, which nest.
func (s *scanner) blank() {
	for level := 0; s.rest != ""; s.rest = s.rest[1:] {
		switch c := s.rest[0]; {
		case c == '(':
			level++
		case level == 0 && c != ' ' && c != '\t':
			return
		case c == ')':
			level--
		case c == '\\' && len(s.rest) > 1:
			s.rest = s.rest[1:]
		}
	}
}

// A word is quoted, or has none of the characters with a meaning of their own, but behind a backslash. A label is what Exim
// takes for one unless it is told to take underscores, UTF-8 or an address in brackets.
var (
	word    = regexp.MustCompile(`^(?s:"(?:[^"\\]|\\.)*"|(?:[^\x00-\x20\x7f()<>@,;:\\".\[\]]|\\.)*)`)
	periods = regexp.MustCompile(`^\.*`)
	label   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]*`)
)

// local takes words with dots between them and, as Exim has it, around them.
func (s *scanner) local() (part string) {
	for {
		s.blank()
		part += s.take(word)
		s.blank()
		between := s.take(periods)
		if between == "" {
			return part
		}
		part += between
	}
}

// domain takes a domain, or returns nothing.
func (s *scanner) domain() (name string) {
	for {
		s.blank()
		l := s.take(label)
		if l == "" {
			return ""
		}
		name += l
		s.blank()
		if !s.next('.') {
			return name
		}
		name += "."
	}
}

// route skips a source route, with its colon.
func (s *scanner) route() bool {
	for s.next('@') {
		if s.domain() == "" {
			return false
		}
		if s.next(',') {
			s.blank()
		}
	}
	return s.next(':')
}
