package config

import (
	"bytes"
	"strings"
)

// chunk is the text of one expression: a header, or a key and its value, which may go over several lines.
type chunk struct {
	start, end int // without the line end
	next       int // where to go on
	retry      int // where to go on if it can't be parsed: next, or a line that looks like another expression
	opener     int // the bracket or the long quotes that are never closed, or -1
	quote      int // the first quote that has no partner on its line, or -1
	long       int // the first long quotes with a line end between them, or -1
	deep       int // the bracket that is one too many, or -1
	many       int // the comma or dot that is one too many, or -1
}

// Bounds of one expression, without which 1 MiB of commas takes 200 MB as a tree.
const (
	maxDepth  = 16      // brackets open at once; no key wants more than two
	maxItems  = 100_000 // items of lists, and parts of keys; as many addresses as have room in a file
	maxHeader = 4096    // bytes; the longest known has 30
)

// nextChunk cuts the next expression, or returns false at the end. It knows only as much of TOML as it needs to find
// the end of an expression: quotes, brackets, comments. What is wrong inside is the parser's to say.
//
// The difficulty is a bracket that is never closed: it would swallow the rest of the file. A line that can't be inside
// the bracket ends it: a header, since no value begins with [name, and in a list also a key at least as far to the left
// as the one that the list belongs to; in {} such a key only if the table was to end on its first line. Other lines are
// left inside, so that one missing comma is one mistake.
func nextChunk(data []byte, from int) (chunk, bool) {
	for from < len(data) && (strings.IndexByte(" \t\n", data[from]) >= 0 || bytes.HasPrefix(data[from:], []byte("\r\n"))) {
		from++
	}
	if from == len(data) {
		return chunk{}, false
	}
	l := lexer{data: data, at: from, chunk: chunk{start: from, opener: -1, quote: -1, long: -1, deep: -1, many: -1}}
	l.indent = from - lineStart(data, from)
	if data[from] == '[' || data[from] == '#' {
		l.end = lineEnd(data, from)
		if data[from] == '[' && l.end-from > maxHeader {
			l.many = from + maxHeader
		}
	} else {
		l.scan()
	}
	c := l.chunk
	c.next, c.retry = min(l.end+1, len(data)), min(l.end+1, len(data))
	if c.opener >= 0 || c.long >= 0 {
		if at := l.alike(); at >= 0 {
			c.retry = at
		}
	}
	c.end = l.end
	if c.opener >= 0 && c.retry < c.end {
		c.end, c.next, c.opener = c.retry-1, c.retry, l.lastOpen(c.retry)
	}
	if c.end > c.start && c.end < len(data) && data[c.end-1] == '\r' {
		c.end--
	}
	return c, true
}

func lineStart(data []byte, at int) int { return bytes.LastIndexByte(data[:at], '\n') + 1 }

func lineEnd(data []byte, at int) int {
	if i := bytes.IndexByte(data[at:], '\n'); i >= 0 {
		return at + i
	}
	return len(data)
}

type lexer struct {
	chunk
	data   []byte
	at     int
	indent int
	open   []int // brackets
	extra  int   // brackets beyond maxDepth
	items  int   // commas and dots
	last   byte  // that is no blank
}

// scan moves to the end of the expression and sets it.
func (l *lexer) scan() {
	for l.at < len(l.data) {
		c := l.data[l.at]
		switch c {
		case '\n':
			if len(l.open) == 0 || l.stops(l.at+1) {
				l.finish()
				return
			}
			l.at++
			continue
		case ' ', '\t', '\r':
			l.at++
			continue
		case ',', '.':
			if l.items++; l.items > maxItems && l.many < 0 {
				l.many = l.at
			}
			l.at++
		case '#':
			l.at = lineEnd(l.data, l.at)
			continue
		case '"', '\'':
			l.text(c)
		case '[', '{':
			l.push()
			l.at++
		case ']', '}':
			l.pop()
			l.at++
		default:
			l.at++
		}
		l.last = c
	}
	l.finish()
}

func (l *lexer) push() {
	switch {
	case len(l.open) < maxDepth:
		l.open = append(l.open, l.at)
	case l.deep < 0:
		l.deep = l.at
		fallthrough
	default:
		l.extra++
	}
}

func (l *lexer) pop() {
	switch {
	case l.extra > 0:
		l.extra--
	case len(l.open) > 0:
		l.open = l.open[:len(l.open)-1]
	}
}

func (l *lexer) finish() {
	l.end = l.at
	if len(l.open) > 0 && l.opener < 0 {
		l.opener = l.open[len(l.open)-1]
	}
}

// lastOpen returns the last bracket that is open before an offset, or else the long quotes around it.
func (l *lexer) lastOpen(before int) int {
	at := l.long
	for _, open := range l.open {
		if open < before {
			at = open
		}
	}
	if at < 0 {
		at = l.opener
	}
	return at
}

// text moves past a string.
func (l *lexer) text(quote byte) {
	long := []byte{quote, quote, quote}
	if bytes.HasPrefix(l.data[l.at:], long) {
		l.longText(quote)
		return
	}
	start := l.at
	for l.at++; l.at < len(l.data); l.at++ {
		switch c := l.data[l.at]; {
		case c == quote:
			l.at++
			return
		case c == '\n':
			if l.quote < 0 {
				l.quote = start
			}
			return
		case c == '\\' && quote == '"' && l.at+1 < len(l.data) && l.data[l.at+1] != '\n':
			l.at++
		}
	}
	if l.quote < 0 {
		l.quote = start
	}
}

// longText moves past a string in three quotes; it ends at the first three, but up to two more belong to it.
func (l *lexer) longText(quote byte) {
	start := l.at
	for l.at += 3; l.at < len(l.data); l.at++ {
		switch c := l.data[l.at]; {
		case c == '\n' && l.long < 0:
			l.long = start
		case c == '\\' && quote == '"':
			l.at++
		case c == quote:
			n := 1
			for l.at+n < len(l.data) && l.data[l.at+n] == quote {
				n++
			}
			if n >= 3 {
				l.at += n
				return
			}
			l.at += n - 1
		}
	}
	l.at, l.opener = len(l.data), start
}

// stops reports whether a line can't be inside the brackets that are open.
func (l *lexer) stops(at int) bool {
	line := l.data[at:lineEnd(l.data, at)]
	if headerLike(line) {
		return true
	}
	open := l.open[len(l.open)-1]
	if l.deep < 0 && l.data[open] == '{' {
		first, _, _ := bytes.Cut(l.data[open+1:lineEnd(l.data, open)], []byte("#"))
		if l.last == ',' || len(bytes.TrimSpace(first)) == 0 {
			return false
		}
	}
	return keyLike(line, l.indent)
}

// alike returns the first line after the chunk's first that looks like another expression, or -1.
func (l *lexer) alike() int {
	for at := lineEnd(l.data, l.start) + 1; at < len(l.data) && at <= l.end; at = lineEnd(l.data, at) + 1 {
		if line := l.data[at:lineEnd(l.data, at)]; headerLike(line) || keyLike(line, l.indent) {
			return at
		}
	}
	return -1
}

// headerLike reports whether a line is [name] or [[name]] and nothing else. [true] may be a list in a list.
func headerLike(line []byte) bool {
	s, _, _ := strings.Cut(string(line[:min(len(line), 200)]), "#")
	s = strings.TrimSpace(s)
	name := strings.Trim(s, "[]")
	if name == s || !strings.HasPrefix(s, "[") || !strings.HasSuffix(s, "]") {
		return false
	}
	switch name = strings.TrimSpace(name); name {
	case "", "true", "false", "inf", "nan":
		return false
	}
	return letter(name[0]) && !strings.ContainsAny(name, ",[]{}=")
}

// keyLike reports whether a line begins with key = at most so far to the right.
func keyLike(line []byte, indent int) bool {
	line = line[:min(len(line), 200)]
	i := 0
	for i < len(line) && (line[i] == ' ' || line[i] == '\t') {
		i++
	}
	if i > indent || i == len(line) || !letter(line[i]) {
		return false
	}
	for i < len(line) && (bare(line[i]) || line[i] == '.') {
		i++
	}
	rest := bytes.TrimLeft(line[i:], " \t")
	return len(rest) > 0 && rest[0] == '='
}

func letter(c byte) bool { return bare(c) && c > '9' || c == '_' }
