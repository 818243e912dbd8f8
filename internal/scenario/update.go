package scenario

import (
	"slices"
	"strings"
)

// Text returns the file as it was read.
func (f *File) Text() string { return f.text }

// Updated returns the text of the file with the expectations that failed written anew, and how many these are. A line
// keeps its comment; a failure that no expectation can mend stays one.
func (f *File) Updated(r *Result) (text string, lines int) {
	fixed := map[int]string{}
	for _, c := range r.Cases {
		for _, f := range c.Failures {
			for _, d := range f.Diff {
				if d.Want != "" {
					fixed[d.Line] = d.Got
				}
			}
		}
	}
	var b strings.Builder
	n := 0
	for line := range strings.Lines(f.text) {
		n++
		fix, is := fixed[n]
		if !is {
			b.WriteString(line)
			continue
		}
		body := strings.TrimRight(line, "\r\n")
		b.WriteString(fix + comment(body) + line[len(body):])
	}
	return b.String(), len(fixed)
}

// comment returns what follows the last word of a line, blanks and all.
func comment(line string) string {
	words, _ := wordsOf(line, 1)
	end := 1
	if n := len(words); n > 0 {
		end = words[n-1].column - 1 + len(words[n-1].text)
	}
	return strings.TrimRight(line[end:], " \t")
}

// Mend takes away the failures that Updated has written into the text.
func (r *Result) Mend() {
	r.OK = true
	for i := range r.Cases {
		c := &r.Cases[i]
		c.Failures = slices.DeleteFunc(c.Failures, func(f Failure) bool { return f.Diff[0].Want != "" })
		c.OK = len(c.Failures) == 0
		r.OK = r.OK && c.OK
	}
}
