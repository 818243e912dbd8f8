package eximsnippets

import (
	"slices"
	"strings"
)

// builtByDebian are the features that every build of the Debian packages has (the
// light one lacks PROXY, but has its variables through SOCKS). What a flavour
// does not name is left out of its written-out form: an ACL file cannot ask Exim
// how it was built, and an unknown variable is a 451 for all mail.
func builtByDebian() []string { return []string{"_HAVE_PROXY"} }

// macroTable is what Exim knows after reading the macros, in their order.
type macroTable []macro

type macro struct{ name, value string }

// parseMacros reads the lines Exim's preprocessor would: definitions with
// continuation lines, comments, and .ifdef/.else/.endif without nesting. A
// value keeps its line breaks, so that the written-out form can be read too.
func parseMacros(text string, built []string) macroTable {
	var table macroTable
	taken, inside := true, false
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		switch {
		case strings.HasPrefix(line, ".ifdef "):
			inside = true
			taken = slices.Contains(built, strings.TrimPrefix(line, ".ifdef "))
		case line == ".else" && inside:
			taken = !taken
		case line == ".endif":
			taken, inside = true, false
		case line == "" || strings.HasPrefix(line, "#"):
		default:
			for strings.HasSuffix(lines[i], `\`) && i+1 < len(lines) {
				i++
				line += "\n" + lines[i]
			}
			if name, value, ok := strings.Cut(line, "="); ok && taken {
				table = append(table, macro{strings.TrimSpace(name), table.expand(strings.TrimSpace(value))})
			}
		}
	}
	return table
}

// expand writes every macro out. Values are expanded when they are defined, so
// one pass is enough; no name is part of another (a test holds that).
func (t macroTable) expand(text string) string {
	var pairs []string
	for _, m := range t {
		pairs = append(pairs, m.name, m.value)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}
