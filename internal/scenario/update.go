package scenario

import (
	"slices"
	"strings"
)

// Text returns the file as it was read.
func (f *File) Text() string { return f.text }

// Updated returns the text of the file with the expectations that failed written anew, and how many these are. A line
// keeps its comment, unless it would be too long to be read; a failure that no expectation can mend stays one.
func (f *File) Updated(r *Result) (text string, lines int) {
	fixed := map[int]string{}
	for _, c := range r.Cases {
		for _, f := range c.Failures {
			for _, d := range f.Diff {
				if d.mends() {
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
		if why := comment(body); len(fix)+len(why) <= maxLine {
			fix += why
		}
		b.WriteString(fix + line[len(body):])
	}
	return b.String(), len(fixed)
}

// mends reports whether what came can be written for what was expected: where the case can't go on nothing was, and a line
// that is too long could not be read.
func (d *Diff) mends() bool { return d.Want != "" && len(d.Got) <= maxLine }

// comment returns what follows the last word of a line, blanks and all, and at least one of them.
func comment(line string) string {
	words, _ := wordsOf(line, 1)
	end := 1
	if n := len(words); n > 0 {
		end = words[n-1].column - 1 + len(words[n-1].text)
	}
	rest := strings.TrimRight(line[end:], " \t")
	if strings.HasPrefix(rest, "#") { // behind a word that was not there it would belong to it
		return " " + rest
	}
	return rest
}

// Mend takes away the failures that Updated has written into the text.
func (r *Result) Mend() {
	r.OK = true
	for i := range r.Cases {
		c := &r.Cases[i]
		for i := range c.Failures {
			f := &c.Failures[i]
			if f.Diff = slices.DeleteFunc(f.Diff, func(d Diff) bool { return d.mends() }); len(f.Diff) > 0 {
				f.Line = f.Diff[0].Line
			}
		}
		c.Failures = slices.DeleteFunc(c.Failures, func(f Failure) bool { return len(f.Diff) == 0 })
		c.OK = len(c.Failures) == 0
		r.OK = r.OK && c.OK
	}
}
