package scenario

import "strings"

// word is a part of a line between blanks. Blanks in double quotes belong to it.
type word struct {
	text   string // as it stands there
	column int    // from 1, in octets
}

// wordsOf splits a line, up to a word that begins with #. open says that a quote is not closed, and where.
func wordsOf(line string, from int) (list []word, open int) {
	for i := from; ; {
		for i < len(line) && (line[i] == ' ' || line[i] == '\t') {
			i++
		}
		if i == len(line) || line[i] == '#' {
			return list, 0
		}
		begin, quote := i, -1
		for ; i < len(line) && (quote >= 0 || line[i] != ' ' && line[i] != '\t'); i++ {
			switch {
			case line[i] == '"' && quote < 0:
				quote = i
			case line[i] == '"':
				quote = -1
			case line[i] == '\\' && quote >= 0 && i+1 < len(line):
				i++
			}
		}
		if quote >= 0 {
			return list, quote + 1
		}
		list = append(list, word{line[begin:i], begin + 1})
	}
}

// unquoted returns the value of a word: itself, or what stands in its quotes.
func unquoted(s string) (value string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		return s, !strings.Contains(s, `"`)
	}
	if len(s) < 2 {
		return "", false
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), i == len(s)-1
		case c == '\\' && i+1 < len(s):
			i++
			switch s[i] {
			case 'n':
				b.WriteByte('\n')
			case 'r':
				b.WriteByte('\r')
			case '\\', '"':
				b.WriteByte(s[i])
			default:
				return "", false
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

// quoted writes a value so that unquoted reads it.
func quoted(s string) string {
	if s != "" && s[0] != '#' && !strings.ContainsAny(s, " \t\"\n\r") {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`).Replace(s) + `"`
}
