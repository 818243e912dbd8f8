package config

import (
	"strings"

	"eximpolicyd/policy"
)

// DefaultText returns a configuration file with every key, its default and what it means. It says the same as an empty
// file.
func DefaultText(table []policy.Policy) string {
	var b strings.Builder
	b.WriteString("# eximpolicyd.toml: every key with its default. What you leave out has the value that you see here.\n" +
		"# A key with a # in front has no default, but an example. Check a file with: eximpolicyd config check FILE\n")
	writeKeys(&b, "", keysOf(defaults(table), table))
	return b.String()
}

// writeKeys writes the values of a table, then the tables in it.
func writeKeys(b *strings.Builder, path string, keys []key) {
	for _, k := range keys {
		if k.keys != nil {
			continue
		}
		b.WriteString("\n# " + k.about + "\n")
		writeKey(b, k)
	}
	for _, k := range keys {
		if k.keys == nil {
			continue
		}
		full := keyWord(k.name)
		if path != "" {
			full = path + "." + full
		}
		b.WriteString("\n# " + k.about + "\n")
		if k.rules {
			writeRules(b, full, k.keys)
			continue
		}
		if k.name != "policy" {
			b.WriteString("[" + full + "]\n")
		}
		writeKeys(b, full, k.keys)
	}
}

func writeKey(b *strings.Builder, k key) {
	if k.value == "" {
		b.WriteString("#" + keyWord(k.name) + " = " + k.example + "\n")
		return
	}
	b.WriteString(keyWord(k.name) + " = " + k.value)
	if k.example != "" {
		b.WriteString(" # " + k.example)
	}
	b.WriteString("\n")
}

// writeRules writes one line a rule.
func writeRules(b *strings.Builder, path string, keys []key) {
	b.WriteString("[" + path + "]\n")
	for _, k := range keys {
		b.WriteString("#" + keyWord(k.name) + " = " + k.example + " # " + k.about + "\n")
	}
}
