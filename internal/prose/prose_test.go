package prose

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestATextHangsBehindItsLabelInLinesOf80Columns(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct{ name, label, text, want string }{
		{"no text leaves no blank at the end", "why: ", "", "why:\n"},
		{"a word that just fits stays", "why: ", "of " + x(72), "why: of " + x(72) + "\n"},
		{"a word that is one too long goes to the next line", "why: ", "of " + x(73), "why: of\n     " + x(73) + "\n"},
		{"the first word that is longer than a line is broken behind the label", "why: ", x(76), "why: " + x(75) + "\n     x\n"},
		{"a later one begins a line of its own", "why: ", "of " + x(151) + " so", "why: of\n     " + x(75) + "\n     " + x(75) + "\n     x so\n"},
		{"where a label leaves no room a word is not broken", x(60), x(30) + " so", x(60) + x(30) + "\n" + strings.Repeat(" ", 60) + "so\n"},
		{"blanks and ends of lines separate words, and no more", "", " a \n  b\t", "a b\n"},
		{"a narrow letter of two octets is one column", "", strings.Repeat("ж", 81), strings.Repeat("ж", 80) + "\nж\n"},
		{"a wide letter is two, and is not cut in half", "ab ", strings.Repeat("郵", 39), "ab " + strings.Repeat("郵", 38) + "\n   郵\n"},
		{"a label indents as far as it is wide", "郵 ", x(78), "郵 " + x(77) + "\n   x\n"},
	} {
		var out strings.Builder
		Hang(&out, c.label, c.text)
		if out.String() != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, out.String(), c.want)
		}
	}
}

func TestALongWordIsBrokenBetweenLettersOfAnyLanguage(t *testing.T) {
	for _, c := range []struct {
		word    string
		columns int // of one letter
	}{
		{strings.Repeat("\u6f22\u5b57", 100), 2}, {strings.Repeat("\u00e9", 200) + "x", 1}, {strings.Repeat("\U0001f4a9", 80), 2}, {strings.Repeat("x", 300), 1},
	} {
		var out strings.Builder
		Hang(&out, "because: ", c.word)
		for line := range strings.Lines(out.String()) {
			label, word := line[:9], strings.TrimSuffix(line[9:], "\n")
			if len(label)+c.columns*utf8.RuneCountInString(word) > Columns || !utf8.ValidString(word) {
				t.Errorf("%q", line)
			}
		}
		if got := strings.Join(strings.Fields(strings.TrimPrefix(out.String(), "because: ")), ""); got != c.word {
			t.Errorf("%q is shown as %q", c.word, got)
		}
	}
}
