package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// parser makes the tree.
type parser struct {
	*reader
	toml  unstable.Parser
	base  int // offset of the chunk
	chunk chunk
	doc   *doc
	here  *table   // nil below a header that can't be understood: its keys are nobody's
	path  []string // of here
}

// maxParts bounds a dotted key; the longest known has four.
const maxParts = 16

// parse reads the whole text into a tree and notes the mistakes of syntax.
func (r *reader) parse() *doc {
	p := &parser{reader: r, doc: &doc{root: newTable(0, byHeader)}}
	p.here = p.doc.root
	for at := 0; !r.full(); {
		c, ok := nextChunk(r.src.data, at)
		if !ok {
			break
		}
		at = c.next
		if !p.expression(c) {
			at = c.retry
		}
	}
	return p.doc
}

// expression reads one chunk.
func (p *parser) expression(c chunk) bool {
	p.chunk, p.base = c, c.start
	if c.deep >= 0 {
		p.fail(c.deep, p.guess(), fmt.Sprintf("brackets more than %d deep", maxDepth))
		return false
	}
	if c.many >= 0 {
		p.fail(c.many, p.guess(), "too long")
		if p.src.data[c.start] == '[' {
			p.here = nil
		}
		return false
	}
	p.toml.Reset(p.src.data[c.start:c.end:c.end])
	for p.toml.NextExpression() {
		switch n := p.toml.Expression(); n.Kind {
		case unstable.Table, unstable.ArrayTable:
			p.header(n)
		case unstable.KeyValue:
			p.keyValue(n)
		}
	}
	if err := p.toml.Error(); err != nil {
		p.syntax(err)
		return false
	}
	return true
}

func (p *parser) parts(n *unstable.Node) []part {
	var path []part
	for it := n.Key(); it.Next(); {
		k := it.Node()
		path = append(path, part{string(k.Data), p.base + int(k.Raw.Offset)})
	}
	return path
}

// header makes a table the current one.
func (p *parser) header(n *unstable.Node) {
	path := p.parts(n)
	p.path = names(path)
	key := joined(p.path)
	if len(path) > maxParts {
		p.fail(path[0].at, key, fmt.Sprintf("a name of more than %d parts", maxParts))
		p.here = nil
		return
	}
	if n.Kind == unstable.ArrayTable {
		p.fail(p.base, key, "two brackets make a list of tables: write ["+key+"]")
		p.detach()
		return
	}
	t, fix, where := p.doc.open(path, p.base)
	if fix != "" {
		p.twice(where, key, fix, p.doc.root, path)
		p.detach()
		return
	}
	p.here = t
}

// detach reads on into a table outside the tree.
func (p *parser) detach() {
	p.here = newTable(p.base, byHeader)
	p.doc.detached = append(p.doc.detached, detached{p.path, p.here})
}

// twice says that a path below a table, of which key is the name, is given already as far as where, and what to do.
func (p *parser) twice(where part, key, fix string, t *table, path []part) {
	n := slices.Index(path, where) + 1
	if n < len(path) {
		key = strings.TrimSuffix(key, "."+joined(names(path[n:])))
	}
	fault := "is given already"
	if first, ok := t.given(path[:n]); ok {
		line, _ := p.src.place(first)
		fault += fmt.Sprintf(" in line %d", line)
	}
	p.fail(where.at, key, fault+fix)
}

func (p *parser) keyValue(n *unstable.Node) {
	path := p.parts(n)
	if p.here == nil {
		return
	}
	key := joined(append(p.path[:len(p.path):len(p.path)], names(path)...))
	if len(path) > maxParts {
		p.fail(path[0].at, key, fmt.Sprintf("a name of more than %d parts", maxParts))
		return
	}
	v, _ := p.value(n.Value(), p.afterKey(n), key)
	if fix, where := p.here.put(path, v); fix != "" {
		p.twice(where, key, fix, p.here, path)
	}
}

// afterKey returns where the value of a key begins. The parser says it of scalars only.
func (p *parser) afterKey(n *unstable.Node) int {
	at := 0
	for it := n.Key(); it.Next(); {
		raw := it.Node().Raw
		at = p.base + int(raw.Offset+raw.Length)
	}
	return p.skip(p.skip(at, " \t")+1, " \t") // the = between them
}

// skip passes over characters, and over comments if line ends are among them.
func (p *parser) skip(at int, these string) int {
	data := p.src.data
	for at < len(data) {
		switch c := data[at]; {
		case strings.IndexByte(these, c) >= 0:
			at++
		case c == '#' && strings.IndexByte(these, '\n') >= 0:
			at = lineEnd(data, at)
		default:
			return at
		}
	}
	return at
}

const between = " \t\r\n,"

// value copies a value out of the parser's tree, and returns where it ends.
func (p *parser) value(n *unstable.Node, at int, key string) (v value, end int) {
	v = value{kind: n.Kind, at: at}
	switch n.Kind {
	case unstable.Array:
		end = at + 1
		for it := n.Children(); it.Next(); {
			var item value
			item, end = p.value(it.Node(), p.skip(end, between), key)
			v.list = append(v.list, item)
		}
		return v, p.skip(end, between) + 1
	case unstable.InlineTable:
		v.table = newTable(at, inline)
		end = at + 1
		for it := n.Children(); it.Next(); {
			end = p.inlineKey(it.Node(), v.table, key)
		}
		return v, p.skip(end, between) + 1
	}
	v.text = string(n.Data)
	return v, p.base + int(n.Raw.Offset+n.Raw.Length)
}

func (p *parser) inlineKey(n *unstable.Node, t *table, key string) (end int) {
	path := p.parts(n)
	key += "." + joined(names(path))
	v, end := p.value(n.Value(), p.afterKey(n), key)
	if len(path) > maxParts {
		p.fail(path[0].at, key, fmt.Sprintf("a name of more than %d parts", maxParts))
		return end
	}
	if fix, where := t.put(path, v); fix != "" {
		p.twice(where, key, fix, t, path)
	}
	return end
}

// syntax notes why the chunk can't be parsed, in words for somebody who does not know the grammar.
func (p *parser) syntax(err error) {
	at, text := p.chunk.start, err.Error()
	var fault *unstable.ParserError
	if errors.As(err, &fault) {
		at += int(p.toml.Range(fault.Highlight).Offset)
		text = fault.Message
	}
	data, key := p.src.data, p.guess()
	if data[p.chunk.start] == '[' {
		p.broken()
		if strings.Contains(text, "to close") {
			at, text = p.chunk.start, "this header is never closed"
		}
		p.fail(at, key, text)
		return
	}
	switch word, start := p.word(at); {
	case p.chunk.long >= 0 && p.chunk.retry <= at:
		// What looked like their end is the beginning of others.
		at, text = p.chunk.long, "these long quotes are never closed"
	case p.chunk.quote >= 0 && at >= p.chunk.quote:
		at, text = p.chunk.quote, "a text without its closing quote"
	case word != "":
		at, text = start, "a text needs quotes: write "+quoted(word)
	case p.chunk.opener >= 0 && at >= p.chunk.end-1:
		at = p.chunk.opener
		text = "this " + string(data[at]) + " is never closed"
		if data[at] != '[' && data[at] != '{' {
			text = "these long quotes are never closed"
		}
	case p.valueless(at):
		at, text = p.chunk.start, "has no value"
	case strings.Contains(text, "invalid UTF-8"):
		text = "a byte that is not UTF-8: save the file as UTF-8"
	}
	p.fail(at, key, text)
}

// word returns the value without quotes that an offset is in, as in mode = enforce or relay = [10.0.0.0/8].
func (p *parser) word(at int) (word string, start int) {
	data := p.src.data[:p.chunk.end]
	plain := func(c byte) bool { return bare(c) || strings.IndexByte("./:@+*", c) >= 0 }
	if at >= len(data) || !plain(data[at]) {
		return "", 0
	}
	start, end := at, at
	for start > p.chunk.start && plain(data[start-1]) {
		start--
	}
	for end < len(data) && plain(data[end]) {
		end++
	}
	before := strings.TrimRight(string(data[max(p.chunk.start, start-200):start]), " \t\r\n")
	if before == "" || strings.IndexByte("=,[", before[len(before)-1]) < 0 {
		return "", 0
	}
	return string(data[start:end]), start
}

// valueless reports whether there is nothing after the = of the chunk.
func (p *parser) valueless(at int) bool {
	before := strings.TrimRight(string(p.src.data[p.chunk.start:min(at+1, p.chunk.end)]), " \t\r\n#")
	rest, _, _ := strings.Cut(string(p.src.data[min(at, p.chunk.end):p.chunk.end]), "#")
	return strings.HasSuffix(before, "=") && strings.Trim(rest, " \t\r=") == ""
}

// guess returns the key of a chunk that can't be parsed, if it begins like one.
func (p *parser) guess() string {
	data := p.src.data[p.chunk.start:p.chunk.end]
	line := string(data[:min(len(data), 200)])
	if strings.HasPrefix(line, "[") {
		return ""
	}
	i := 0
	for i < len(line) && (bare(line[i]) || line[i] == '.') {
		i++
	}
	name := strings.Trim(line[:i], ".")
	if name == "" || p.here == nil || !strings.HasPrefix(strings.TrimLeft(line[i:], " \t"), "=") {
		return ""
	}
	if len(p.path) > 0 {
		name = joined(p.path) + "." + name
	}
	return name
}

// broken goes on below a header that can't be parsed: in the table that is meant, if it can be told.
func (p *parser) broken() {
	line := string(p.src.data[p.chunk.start:p.chunk.end])
	line, _, _ = strings.Cut(strings.TrimLeft(line[:min(len(line), 200)], "["), "#")
	line, _, _ = strings.Cut(line, "]")
	var path []part
	for _, name := range strings.Split(line, ".") {
		path = append(path, part{strings.Trim(name, "(){}=\"' \t"), p.chunk.start})
	}
	p.path = names(path)
	if k := find(p.root, p.path); k == nil || k.keys == nil {
		p.here = nil
		return
	}
	if t, fault, _ := p.doc.open(path, p.chunk.start); fault == "" {
		p.here = t
		return
	}
	p.detach()
}
