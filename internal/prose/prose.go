// Package prose makes lines of what a person reads on a terminal: paragraphs behind a label, and counts with their word.
//
// It escapes nothing: whoever prints what others chose makes it legible before.
package prose

import (
	"fmt"
	"io"
	"strings"
)

// Columns is how wide a line may be. What is printed is also read in mails and tickets, so that the terminal is not asked.
const Columns = 80

// narrow is the room behind a label in which a word is not broken: it stands beyond the edge.
const narrow = 20

// Hang writes a label and behind it a text in lines of at most 80 columns, all but the first indented as far as the label.
// A word that is longer than a line is broken. Blanks and ends of lines in the text separate words. Errors are the writer's to keep.
func Hang(w io.Writer, label, text string) {
	indent := strings.Repeat(" ", width(label))
	line, at, room := label, len(indent), Columns-len(indent)
	for i, word := range strings.Fields(text) {
		long := width(word)
		if i > 0 && at+1+long > Columns {
			fmt.Fprintln(w, line)
			line, at = indent, len(indent)
		} else if i > 0 {
			line, at = line+" ", at+1
		}
		for long > room && room > narrow {
			end := fitting(word, room)
			fmt.Fprintln(w, line+word[:end])
			long -= width(word[:end])
			line, at, word = indent, len(indent), word[end:]
		}
		line, at = line+word, at+long
	}
	fmt.Fprintln(w, strings.TrimRight(line, " "))
}

// width is how many columns a text takes at most. Of the letters that terminals draw two columns wide the first is U+1100; some
// behind it are narrow, and an exact table is not worth a library.
func width(s string) int {
	n := 0
	for _, r := range s {
		n += columnsOf(r)
	}
	return n
}

func columnsOf(r rune) int {
	if r < 0x1100 {
		return 1
	}
	return 2
}

// fitting returns how many octets at the beginning of a longer word fit into so many columns.
func fitting(word string, room int) int {
	for i, r := range word {
		if room -= columnsOf(r); room < 0 {
			return i
		}
	}
	return len(word)
}
