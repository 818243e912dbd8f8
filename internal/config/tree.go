package config

import (
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"eximpolicyd/rbl"
)

// doc is a file as a tree.
type doc struct {
	root *table
	// Tables that a mistake keeps out of the tree, doubled ones: what is in them is read for its mistakes only.
	detached []detached
}

type detached struct {
	path  []string
	table *table
}

// made says what made a table, for TOML lets only the same kind of thing add to it.
type made uint8

const (
	byHeader made = iota // [a], or the a of [a.b]
	byKey                // the a of a.b = 1
	inline               // a = {}
)

type table struct {
	at      int // of its header, or of the key that made it
	made    made
	written bool // has a header of its own
	entries []*entry
	index   map[string]*entry
}

type entry struct {
	name  string
	at    int // of the key
	value value
}

// value is a scalar as it was written, except that a string is without its quotes; or a list; or a table.
type value struct {
	kind  unstable.Kind
	at    int
	text  string
	list  []value
	table *table
}

func newTable(at int, m made) *table {
	return &table{at: at, made: m, index: map[string]*entry{}}
}

func (t *table) add(name string, at int, v value) {
	e := &entry{name, at, v}
	t.entries = append(t.entries, e)
	t.index[name] = e
}

// noun names a value for a reader who may not know TOML's words.
func (v *value) noun() string {
	if v.table != nil {
		return "a table"
	}
	switch v.kind {
	case unstable.String:
		return "a text"
	case unstable.Bool:
		return "true or false"
	case unstable.Integer, unstable.Float:
		return "a number"
	case unstable.Array:
		return "a list"
	case unstable.LocalTime:
		return "a time of day"
	}
	return "a date"
}

// part is one word of a dotted key.
type part struct {
	name string
	at   int
}

func names(path []part) []string {
	list := make([]string, len(path))
	for i, p := range path {
		list[i] = p.name
	}
	return list
}

// joined writes a path for a reader. A zone without quotes where a key must be is a path, which begins with the zone's own
// key.
func joined(path []string) string {
	var b strings.Builder
	for i, p := range path {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(keyWord(rbl.Masked(p)))
	}
	return printable(b.String(), 120)
}

// keyWord writes a word of a key, in quotes if TOML wants them.
func keyWord(name string) string {
	if name == "" || strings.ContainsFunc(name, func(c rune) bool { return c > '~' || !bare(byte(c)) }) {
		return quoted(name)
	}
	return name
}

// bare reports whether a key may have this character without quotes.
func bare(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

// What to do about a name that is given already, behind its line.
const (
	dropOne   = ": remove one of them"
	writeThem = ": write all of its keys there"
)

// open finds or makes the table of a header. Where one part of it is given already, fix says what to do.
func (d *doc) open(path []part, at int) (t *table, fix string, where part) {
	t = d.root
	for i, p := range path {
		last := i == len(path)-1
		e := t.index[p.name]
		switch {
		case e == nil:
			sub := newTable(at, byHeader)
			t.add(p.name, p.at, value{kind: unstable.Table, at: p.at, table: sub})
			t = sub
		case e.value.table == nil:
			return nil, ", as " + e.value.noun() + dropOne, p
		case e.value.table.made == inline, last && (e.value.table.written || e.value.table.made == byKey):
			return nil, writeThem, p
		default:
			t = e.value.table
		}
	}
	t.at, t.written = at, true
	return t, "", part{}
}

// put adds a value under a dotted key of a table. Where one part of it is given already, fix says what to do.
func (t *table) put(path []part, v value) (fix string, where part) {
	for _, p := range path[:len(path)-1] {
		e := t.index[p.name]
		switch {
		case e == nil:
			sub := newTable(p.at, byKey)
			t.add(p.name, p.at, value{kind: unstable.Table, at: p.at, table: sub})
			t = sub
		case e.value.table == nil:
			return ", as " + e.value.noun() + dropOne, p
		case e.value.table.made != byKey:
			return writeThem, p
		default:
			t = e.value.table
		}
	}
	last := path[len(path)-1]
	if t.index[last.name] != nil {
		return dropOne, last
	}
	t.add(last.name, last.at, v)
	return "", part{}
}

// given returns where a path of a table was given first.
func (t *table) given(path []part) (at int, ok bool) {
	for i, p := range path {
		if t == nil || t.index[p.name] == nil {
			return 0, false
		}
		e := t.index[p.name]
		at = e.at
		if i < len(path)-1 {
			t = e.value.table
		}
	}
	return at, true
}
