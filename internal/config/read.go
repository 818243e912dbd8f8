package config

import (
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"eximpolicyd/policy"
)

// key is one name that a configuration may have: a value, or a table with keys.
type key struct {
	name    string
	about   string // one line
	value   string // the default as it is written; empty if there is none
	example string // of a key without a default
	read    func(*arg)

	keys  []key // of a table; then read is nil
	rules bool  // the names of its keys are rules
	check func() []policy.Mistake
}

// find follows a path of names.
func find(keys []key, path []string) *key {
	var k *key
	for _, name := range path {
		k = nil
		for i := range keys {
			if keys[i].name == name {
				k = &keys[i]
			}
		}
		if k == nil {
			return nil
		}
		keys = k.keys
	}
	return k
}

// reader walks the tree and collects the mistakes.
type reader struct {
	src      *source
	root     []key
	spare    []key // the same for a Config that is thrown away, to look for mistakes in tables that are one themselves
	mistakes Mistakes
	bad      map[string]bool // keys with a mistake
	trying   bool            // in a table that is a mistake itself
}

func (r *reader) full() bool { return len(r.mistakes) >= maxCollected }

// fail notes a mistake in the text.
func (r *reader) fail(at int, key, text string) {
	line, column := r.src.place(at)
	r.note(Mistake{File: r.src.name, Line: line, Column: column, Key: key, Text: text})
}

func (r *reader) note(m Mistake) {
	if r.full() {
		return
	}
	r.bad[m.Key] = true
	m.Text = printable(m.Text, 600)
	r.mistakes = append(r.mistakes, m)
}

// walk reads the entries of a table by its keys.
func (r *reader) walk(keys []key, t *table, path string) {
	for _, e := range t.entries {
		if r.full() {
			return
		}
		full := joined([]string{e.name})
		if path != "" {
			full = path + "." + full
		}
		k := find(keys, []string{e.name})
		switch v := &e.value; {
		case k == nil:
			r.unknown(keys, e, path, full)
		case k.keys != nil && v.table == nil:
			r.fail(v.at, full, "must be a table, not "+v.noun()+": write ["+full+"]")
		case k.keys != nil:
			r.walkTable(k, v.table, full)
		default:
			k.read(&arg{reader: r, key: full, value: v})
		}
	}
}

// walkTable reads a table and lets a policy check what came of it.
func (r *reader) walkTable(k *key, t *table, path string) {
	r.walk(k.keys, t, path)
	if k.check == nil {
		return
	}
	for _, m := range k.check() {
		full := path + "." + m.Key
		if r.bad[full] {
			continue // it has its default then, which is not what was meant
		}
		e := t.index[m.Key]
		switch {
		case e != nil:
			r.checked(e.value.at, full, m.Text)
		case !r.trying:
			r.checked(t.at, full, m.Text)
		}
	}
}

// try looks for mistakes in a table that is one itself, as the table that was probably meant.
func (r *reader) try(k *key, t *table, path string) {
	if k == nil || k.keys == nil {
		return
	}
	before := r.trying
	r.trying = true
	r.walkTable(k, t, path)
	r.trying = before
}

// absent lets the policies that the file does not name check their defaults.
func (r *reader) absent(root *table, table []policy.Policy) {
	given := newTable(0, byHeader)
	if e := root.index["policy"]; e != nil && e.value.table != nil {
		given = e.value.table
	}
	for _, p := range table {
		if k := find(r.root, []string{"policy", p.Name}); k != nil && given.index[p.Name] == nil {
			r.walkTable(k, newTable(0, byHeader), "policy."+p.Name)
		}
	}
}

// checked notes a policy's mistake without making the key bad: it may have more than one.
func (r *reader) checked(at int, key, text string) {
	r.fail(at, key, text)
	delete(r.bad, key)
}

// unknown reports a key that nobody reads, with the name that was probably meant. A table that was probably meant is
// searched for mistakes, too.
func (r *reader) unknown(keys []key, e *entry, path, full string) {
	noun := "unknown key"
	if e.value.table != nil && e.value.table.made == byHeader {
		noun = "unknown table"
	}
	if parent := find(r.root, strings.Split(path, ".")); parent != nil && parent.rules {
		noun = "unknown rule"
	}
	list := make([]string, len(keys))
	for i := range keys {
		list[i] = keys[i].name
	}
	near := Nearest(e.name, list)
	switch place, found := r.elsewhere(path, e); {
	case near != "" && noun == "unknown rule":
		r.fail(e.at, full, fmt.Sprintf("%s, did you mean %s; there are %s", noun, near, strings.Join(list, ", ")))
	case near != "":
		r.fail(e.at, full, fmt.Sprintf("%s, did you mean %s", noun, near))
	case found:
		r.fail(e.at, full, noun+" here: "+place)
	default:
		r.fail(e.at, full, fmt.Sprintf("%s: here are %s", noun, strings.Join(list, ", ")))
	}
	if near != "" && e.value.table != nil {
		r.try(find(r.spareOf(path), []string{near}), e.value.table, full)
	}
}

// spareOf returns the keys of the same table for the Config that is thrown away.
func (r *reader) spareOf(path string) []key {
	if path == "" {
		return r.spare
	}
	if k := find(r.spare, strings.Split(path, ".")); k != nil {
		return k.keys
	}
	return nil
}

// elsewhere looks for the table that a name belongs to: below this one first, then anywhere.
func (r *reader) elsewhere(path string, e *entry) (hint string, found bool) {
	at, found := "", false
	if k := find(r.root, strings.Split(path, ".")); k != nil {
		at, found = holder(k.keys, path, e.name)
	}
	if !found {
		at, found = holder(r.root, "", e.name)
	}
	switch {
	case !found:
		return "", false
	case at == "":
		return "it belongs at the top, before the first table", true
	case e.value.table != nil:
		return "write [" + at + "." + e.name + "]", true
	}
	return "it belongs into [" + at + "]", true
}

func holder(keys []key, path, name string) (at string, ok bool) {
	for i := range keys {
		if keys[i].name == name {
			return path, true
		}
	}
	for i := range keys {
		below := keys[i].name
		if path != "" {
			below = path + "." + below
		}
		if at, ok := holder(keys[i].keys, below, name); ok {
			return at, true
		}
	}
	return "", false
}

// arg is a value on its way into the Config.
type arg struct {
	*reader
	key   string
	value *value
}

func (a *arg) fail(format string, args ...any) {
	a.reader.fail(a.value.at, a.key, fmt.Sprintf(format, args...))
}

// wrong reports a value of another type.
func (a *arg) wrong(want string) { a.fail("must be %s, not %s", want, a.value.noun()) }

// text returns a string.
func (a *arg) text() (string, bool) {
	if a.value.kind != unstable.String {
		a.wrong("a text in quotes")
		return "", false
	}
	return a.value.text, true
}

// list reports whether a value is a list, and fails if it is not.
func (a *arg) list() bool {
	if a.value.kind == unstable.Array {
		return true
	}
	hint := ""
	if a.value.kind == unstable.String {
		hint = ": write [" + quoted(a.value.text) + "]"
	}
	a.fail("must be a list, not %s%s", a.value.noun(), hint)
	return false
}

// items calls one for each item of a list of texts. What one returns stands for the item when doubles are looked for.
func items[T comparable](a *arg, one func(*arg) (T, bool)) {
	if !a.list() {
		return
	}
	seen := make(map[T]int, len(a.value.list))
	for i := range a.value.list {
		item := &arg{a.reader, a.key, &a.value.list[i]}
		id, ok := one(item)
		if !ok {
			continue
		}
		if first, twice := seen[id]; twice {
			line, column := a.src.place(first)
			item.fail("%v is in the list already, line %d column %d", id, line, column)
			continue
		}
		seen[id] = item.value.at
	}
}
