package scenario

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"eximpolicyd/acl"
	"eximpolicyd/policy"
)

// headers reports whether a line that begins with a blank belongs to a message.
func (p *parser) headers() bool {
	s := p.last()
	return s != nil && s.verb != nil && s.verb.stage == policy.Data && len(s.wants) == 0
}

// dialogue reads one line of a case.
func (p *parser) dialogue(line string) {
	rest := line[1:]
	switch line[0] {
	case '>':
		p.lost = true // until it follows the others
		p.say(rest)
	case '@':
		p.lost = true
		p.pass(rest)
	case '<', '!':
		p.expect(line[0] == '<', line)
	case ' ', '\t':
		p.header(line)
	default:
		p.wrong(1, "begins with none of > for the client, < and ! for what must come back, @ for time, # for a comment")
	}
}

// header reads a line of a message's header, below DATA.
func (p *parser) header(line string) {
	text, ok := strings.CutPrefix(line, "  ")
	switch {
	case !p.headers():
		p.wrong(1, "begins with a blank, as a header does, and stands below no > DATA")
	case !ok:
		p.wrong(1, "a line of a header has two blanks before it")
	case (text[0] == ' ' || text[0] == '\t') && len(p.last().header) == 0, text[0] != ' ' && text[0] != '\t' && !isField(text):
		p.wrong(3, "is no header field: write it as Message-ID: <a@mail.example.net>")
	default:
		p.last().header = append(p.last().header, text)
	}
}

// isField reports whether a line begins with a name and a colon (RFC 5322 2.2).
func isField(line string) bool {
	name, _, ok := strings.Cut(line, ":")
	return ok && name != "" && !strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' })
}

// say reads what a client says.
func (p *parser) say(rest string) {
	words, ok := p.words(">"+rest, 1)
	switch {
	case !ok:
		return
	case len(words) == 0:
		p.wrong(1, "says nothing: write one of %s", strings.Join(verbNames(), ", "))
		return
	}
	v := verbNamed(words[0].text)
	if v == nil {
		p.wrong(words[0].column, "%s is nothing that a client says%s", shown(words[0].text), meant(strings.ToUpper(words[0].text), verbNames()))
		return
	}
	s := step{line: p.line, verb: v, times: 1}
	rem, ok := p.argument(&s, words)
	if !ok {
		return
	}
	if len(rem) > 0 && slices.Contains(v.tails, rem[0].text) {
		s.tail, rem = rem[0].text, rem[1:]
	}
	if n := len(rem); n > 0 && isTimes(rem[n-1].text) {
		s.times, _ = strconv.Atoi(rem[n-1].text[1:])
		if s.times < 1 || s.times > maxTimes {
			p.wrong(rem[n-1].column, "write x1 to x%d", maxTimes)
			return
		}
		rem = rem[:n-1]
	}
	for _, w := range rem {
		if len(v.tails) > 0 && !strings.Contains(w.text, "=") {
			p.wrong(w.column, "%s does not follow %s%s", shown(w.text), v.name, meant(w.text, v.tails))
			return
		}
	}
	s.words = p.pairs(nil, rem)
	if s.user() != "" && !v.alone {
		p.wrong(words[0].column, "user is known at CONNECT and NOT_SMTP only")
	}
	p.follows(&s)
}

func isTimes(s string) bool {
	return len(s) > 1 && len(s) < 8 && s[0] == 'x' && strings.Trim(s[1:], "0123456789") == ""
}

// argument reads what follows the verb, and returns the words behind it.
func (p *parser) argument(s *step, words []word) (rest []word, ok bool) {
	v := s.verb
	switch {
	case v.arg == "":
		s.bare = true
		return words[1:], true
	case v.free && (len(words) == 1 || strings.Contains(words[1].text, "=") || isTimes(words[1].text)):
		s.bare = true
		return words[1:], true
	case len(words) == 1:
		p.wrong(words[0].column, "%s says nothing: write it as %s", v.name, v.says())
		return nil, false
	}
	arg := words[1].text
	if v.path == "" {
		s.arg, ok = unquoted(arg)
		if !ok {
			p.wrong(words[1].column, "a quote inside the word, or a backslash before another character than \\ \" n r")
			return nil, false
		}
		if fault := faultOf(v.arg, s.arg); fault != "" {
			p.wrong(words[1].column, "%s: %s", shown(s.arg), fault)
			return nil, false
		}
		return words[2:], true
	}
	path := len(v.path)
	if len(arg) < path || !strings.EqualFold(arg[:path], v.path) || len(arg) < path+2 || arg[path] != '<' || arg[len(arg)-1] != '>' {
		p.wrong(words[1].column, "is no %s<address>: write it as %s", v.path, v.says())
		return nil, false
	}
	s.arg = arg[path+1 : len(arg)-1]
	return words[2:], true
}

// pairs reads name=value words, and puts them behind others.
func (p *parser) pairs(pairs []acl.Pair, words []word) []acl.Pair {
	for _, w := range words {
		name, raw, ok := strings.Cut(w.text, "=")
		value, good := unquoted(raw)
		switch {
		case !ok:
			p.wrong(w.column, "%s is no name=value", shown(w.text))
		case name != "user" && !slices.Contains(eximNames(), name):
			p.wrong(w.column, "%s is no name of a request%s", shown(name), meant(name, append(eximNames(), "user")))
		case !good:
			p.wrong(w.column+len(name)+1, "a quote inside the value, or a backslash before another character than \\ \" n r")
		case faultOf(name, value) != "":
			p.wrong(w.column+len(name)+1, "%s: %s", shown(value), faultOf(name, value))
		case slices.ContainsFunc(pairs, func(q acl.Pair) bool { return q.Name == name }):
			p.wrong(w.column, "%s stands there twice", name)
		default:
			pairs = append(pairs, acl.Pair{Name: name, Value: value})
		}
	}
	return pairs
}

// eximNames are those of the wire protocol, but for the stage, which the verb says.
func eximNames() []string {
	return slices.DeleteFunc(acl.WireNames(), func(name string) bool { return name == "protocol_state" })
}

// faultOf returns what is wrong with a value.
func faultOf(name, value string) string {
	switch {
	case name == "user" && value == "":
		return "is no user"
	case name == "user":
		return ""
	case name == "client_address" && value != "":
		if !isAddress(value) {
			return "is no address"
		}
	}
	if _, err := acl.NewRequest([]acl.Pair{{Name: name, Value: value}}); err != nil {
		return strings.TrimPrefix(err.Error(), "malformed: the value of "+name+": ")
	}
	return ""
}

// follows puts a step behind the others, if it may stand there.
func (p *parser) follows(s *step) {
	switch {
	case s.verb == nil && s.reconnect && !p.met:
		p.wrong(1, "there was no connection yet: begin with > CONNECT 203.0.113.7")
		return
	case s.verb == nil && !s.reconnect:
	case s.verb != nil && !s.verb.alone && !p.open:
		p.wrong(1, "there is no connection: begin one with > CONNECT 203.0.113.7 or @ reconnect")
		return
	default:
		if p.asked += max(s.times, 1); p.asked > maxAsked {
			p.wrong(1, "the case asks over %d times", maxAsked)
			return
		}
	}
	if s.verb == nil && s.reconnect || s.verb != nil && s.verb.stage == policy.Connect {
		p.met, p.open = true, true
	}
	if s.verb != nil && (s.verb.stage == policy.Quit || s.verb.stage == policy.NotQuit) {
		p.open = false
	}
	p.current().steps = append(p.current().steps, *s)
	p.lost = false
}

// pass reads how time passes.
func (p *parser) pass(rest string) {
	words, ok := p.words("@"+rest, 1)
	switch {
	case !ok:
		return
	case len(words) != 1:
		p.wrong(1, "write @ +1h, @ 2026-12-24T08:00:00Z or @ reconnect")
		return
	}
	w := words[0]
	s := step{line: p.line}
	text, plus := strings.CutPrefix(w.text, "+")
	until, err := time.Parse(time.RFC3339, w.text)
	switch {
	case w.text == "reconnect":
		s.reconnect = true
	case plus:
		wait, ok := duration(text)
		if !ok || wait <= 0 || p.now.Add(wait).Sub(start) > longest {
			p.wrong(w.column, "%s is no time to wait: write 90s, 1h30m or 2d, at most 400 days in all", shown(text))
			return
		}
		s.wait = wait
		p.now = p.now.Add(wait)
	case err != nil:
		p.wrong(w.column, "%s is nothing that happens%s", shown(w.text), meant(w.text, []string{"+1h", "2026-12-24T08:00:00Z", "reconnect"}))
		return
	case !until.After(p.now) || until.Sub(start) > longest:
		p.wrong(w.column, "it is %s: write a time after it, at most 400 days after the beginning", p.now.Format(timeStamp))
		return
	default:
		s.until = until.UTC()
		p.now = s.until
	}
	p.follows(&s)
}

// duration reads 1d12h as well.
func duration(s string) (time.Duration, bool) {
	days, rest, ok := strings.Cut(s, "d")
	if !ok {
		d, err := time.ParseDuration(s)
		return d, err == nil
	}
	n, err := strconv.ParseUint(days, 10, 16)
	d := time.Duration(0)
	if err == nil && rest != "" {
		d, err = time.ParseDuration(rest)
	}
	return time.Duration(n)*24*time.Hour + d, err == nil && d >= 0
}

// expect reads what must come back.
func (p *parser) expect(reply bool, line string) {
	s := p.last()
	words, open := wordsOf(line, 1)
	switch {
	case open > 0:
		p.wrong(open, "the quote is not closed")
		return
	case p.lost:
		s = &step{}
	case s == nil || s.verb == nil && !s.reconnect:
		p.wrong(1, "stands below no line that begins with > or @ reconnect: what is it about?")
		return
	case s.verb != nil && s.verb.stage == policy.NoStage:
		p.wrong(1, "Exim does not ask at %s, so nothing comes back", s.verb.name)
		return
	case !reply && len(words) == 0:
		p.wrong(1, "expects nothing: write one of %s behind it", strings.Join(fieldNames(), ", "))
		return
	}
	w := want{line: p.line, reply: reply}
	if reply && len(words) > 0 {
		words = p.position(&w, words)
	}
	for _, word := range words {
		name, raw, ok := strings.Cut(word.text, "=")
		f := fieldNamed(name)
		value, good := unquoted(raw)
		switch {
		case f == nil:
			p.wrong(word.column, "%s is nothing that can be expected%s", shown(name), meant(name, fieldNames()))
		case !ok || !good:
			p.wrong(word.column, "write it as %s=value, in quotes if there are blanks in it", name)
		case slices.ContainsFunc(w.is, func(e expected) bool { return e.field == f }):
			p.wrong(word.column, "%s stands there twice", name)
		default:
			p.value(&w, f, value, word.column+len(name)+1)
		}
	}
	s.wants = append(s.wants, w)
}

// position reads action and code, which need no names, and returns the words behind them.
func (p *parser) position(w *want, words []word) []word {
	p.value(w, fieldNamed("action"), words[0].text, words[0].column)
	switch {
	case len(words) > 1 && words[1].text == none:
		p.value(w, fieldNamed("code"), none, words[1].column)
		return words[2:]
	case len(words) < 2 || !isCode(words[1].text):
		return words[1:]
	}
	code := words[1].text
	rest := words[2:]
	if len(words) > 2 {
		code += " " + words[2].text
		rest = words[3:]
	}
	p.value(w, fieldNamed("code"), code, words[1].column)
	return rest
}

func (p *parser) value(w *want, f *field, text string, column int) {
	if f.read != nil {
		value, fault := f.read(text)
		if fault != "" {
			p.wrong(column, "%s %s %s", f.name, shown(text), fault)
			return
		}
		text = value
	}
	w.is = append(w.is, expected{f, text})
}
