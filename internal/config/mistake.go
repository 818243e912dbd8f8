package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"eximpolicyd/rbl"
)

// Mistake is one thing that is wrong with a configuration.
type Mistake struct {
	File         string
	Line, Column int    // from 1, the column in bytes; both 0 if it is the file as a whole
	Key          string // policy.helo.mode; empty if the place has none
	Text         string // what is wrong and what to write instead
}

// Error returns file:line:column: key: text.
func (m Mistake) Error() string {
	var b strings.Builder
	b.WriteString(m.File)
	if m.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", m.Line, m.Column)
	}
	b.WriteString(": ")
	if m.Key != "" {
		b.WriteString(m.Key + ": ")
	}
	b.WriteString(m.Text)
	return b.String()
}

// Mistakes is the error of Load and Parse: every mistake of a file, in the order of the file, those of a file that it
// names after them.
type Mistakes []Mistake

// Error returns one mistake a line.
func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i := range m {
		lines[i] = m[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Nobody repairs more than shown in one go. More are collected than shown, because they are not found in the order of
// the file.
const (
	maxShown     = 200
	maxCollected = 10_000 // about 2 MB
)

// sorted puts mistakes in order, those of the main file first, and bounds them.
func (m Mistakes) sorted(main string) Mistakes {
	slices.SortStableFunc(m, func(a, b Mistake) int {
		if a.File != b.File {
			if a.File == main {
				return -1
			}
			if b.File == main {
				return 1
			}
			return strings.Compare(a.File, b.File)
		}
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			strings.Compare(a.Key, b.Key), strings.Compare(a.Text, b.Text))
	})
	m = slices.Compact(m)
	if len(m) > maxShown {
		m = append(m[:maxShown:maxShown], Mistake{File: main, Text: "and more mistakes"})
	}
	return m
}

// printable makes text of a file, or of an error about it, fit for one line of a terminal. The key of a paid list may
// stand anywhere in a file that is wrong, and must not be shown; it is masked before the text is cut, or a half of it
// would pass.
func printable(s string, most int) string {
	s = masked(s)
	cut := len(s) > most
	if cut {
		for most > 0 && !utf8.RuneStart(s[most]) {
			most--
		}
		s = s[:most]
	}
	s = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return '?'
		}
		return c
	}, s)
	if cut {
		s += "..."
	}
	return s
}

// masked masks what may be the key of a list in every word that may be the name of one; a masked one stays as it is.
func masked(s string) string {
	if !strings.Contains(s, ".") {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		end := strings.IndexFunc(s, func(c rune) bool { return c != '.' && c != '*' && !bare(byte(min(c, 0x7f))) })
		if end < 0 {
			end = len(s)
		}
		if word := s[:end]; strings.Contains(word, ".") {
			b.WriteString(rbl.Masked(word))
		} else {
			b.WriteString(word)
		}
		_, size := utf8.DecodeRuneInString(s[end:])
		b.WriteString(s[end : end+size])
		s = s[end+size:]
	}
	return b.String()
}

// quoted shows a value of the file.
func quoted(s string) string { return `"` + printable(s, 80) + `"` }
