package main

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

// printHelp prints the help of a command so that it fits a terminal of 80 columns. The texts are written for the manual pages
// too, which break their lines themselves.
func printHelp(cmd *cobra.Command, _ []string) {
	fmt.Fprint(cmd.OutOrStdout(), fitted(cmp.Or(cmd.Long, cmd.Short)+"\n\n"+cmd.UsageString()))
}

// item is a line of a list: a word, an option or a command, at least two blanks, and what there is to say of it.
var item = regexp.MustCompile(`^( +\S.*?\S {2,})(\S.*)`)

// fitted breaks the paragraphs and list items of a text into lines of at most 80 columns. What else is indented is to be typed,
// and stays as it is.
func fitted(text string) string {
	var b, paragraph strings.Builder
	end := func() {
		if paragraph.Len() > 0 {
			hanging(&b, "", paragraph.String())
			paragraph.Reset()
		}
	}
	for line := range strings.Lines(text) {
		if line != "\n" && line[0] != ' ' {
			paragraph.WriteString(line)
			continue
		}
		end()
		if said := item.FindStringSubmatch(line); said != nil && len(line) > 81 {
			hanging(&b, said[1], said[2])
		} else {
			b.WriteString(line)
		}
	}
	end()
	return b.String()
}
