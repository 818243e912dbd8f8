package config

import (
	"strings"

	"eximpolicyd/policy"
)

// Table is one table of a configuration as its readers know it.
type Table struct {
	Name  string // policy.helo.rules; empty: the keys above the first table
	About string // one line
	Rules bool   // its keys are rules
	Keys  []Key
}

// Key is one key of a table. Value is its default as it is written, Example what else it could be; one may be empty.
type Key struct {
	Name, About, Value, Example string
}

// Tables returns every table with every key, in the order of the default file.
func Tables(table []policy.Policy) []Table {
	var tables []Table
	var walk func(name, about string, rules bool, keys []key)
	walk = func(name, about string, rules bool, keys []key) {
		t := Table{Name: name, About: about, Rules: rules}
		for _, k := range keys {
			if k.keys == nil {
				t.Keys = append(t.Keys, Key{keyWord(k.name), k.about, k.value, k.example})
			}
		}
		tables = append(tables, t)
		for _, k := range keys {
			if k.keys != nil {
				walk(strings.TrimPrefix(name+"."+keyWord(k.name), "."), k.about, k.rules, k.keys)
			}
		}
	}
	walk("", "", false, keysOf(defaults(table), table))
	return tables
}

// DefaultText returns a configuration file with every key, its default and what it means. It says the same as an empty
// file.
func DefaultText(table []policy.Policy) string {
	var b strings.Builder
	b.WriteString("# eximpolicyd.toml: every key with its default. What you leave out has the value that you see here.\n" +
		"# A key with a # in front has no default, but an example. Check a file with: eximpolicyd config check FILE\n")
	for _, t := range Tables(table) {
		if t.Name != "" {
			b.WriteString("\n# " + t.About + "\n")
		}
		if t.Name != "" && t.Name != "policy" {
			b.WriteString("[" + t.Name + "]\n")
		}
		for _, k := range t.Keys {
			if t.Rules {
				b.WriteString("#" + k.Name + " = " + k.Example + " # " + k.About + "\n")
				continue
			}
			b.WriteString("\n# " + k.About + "\n")
			writeKey(&b, k)
		}
	}
	return b.String()
}

func writeKey(b *strings.Builder, k Key) {
	if k.Value == "" {
		b.WriteString("#" + k.Name + " = " + k.Example + "\n")
		return
	}
	b.WriteString(k.Name + " = " + k.Value)
	if k.Example != "" {
		b.WriteString(" # " + k.Example)
	}
	b.WriteString("\n")
}
