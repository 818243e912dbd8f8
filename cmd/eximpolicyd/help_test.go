package main

import (
	"bytes"
	"cmp"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Only what is to be typed may be longer, as it is pasted.
func TestEveryHelpFitsEightyColumnsAndKeepsItsWords(t *testing.T) {
	seen := 0
	var look func(cmd *cobra.Command)
	look = func(cmd *cobra.Command) {
		seen++
		var b bytes.Buffer
		cmd.SetOut(&b)
		if err := cmd.Help(); err != nil {
			t.Fatal(err)
		}
		help := b.String()
		for line := range strings.Lines(help) {
			if len(line) > 81 && !strings.HasPrefix(line, "  eximpolicyd ") {
				t.Errorf("%s: %s", cmd.CommandPath(), line)
			}
		}
		if !slices.Equal(strings.Fields(help), strings.Fields(cmp.Or(cmd.Long, cmd.Short)+" "+cmd.UsageString())) {
			t.Errorf("%s: other words:\n%s", cmd.CommandPath(), help)
		}
		for _, sub := range cmd.Commands() {
			look(sub)
		}
	}
	if look(command()); seen < 35 {
		t.Errorf("only %d commands", seen)
	}
}

func TestHelpKeepsListsAndWhatIsToBeTyped(t *testing.T) {
	const long = "this is said of it, in more words than a line of eighty columns has room for, twice"
	got := fitted("a paragraph\nin two lines\n\n  word   " + long + "\n  short  fine\n\nthen\n    eximpolicyd x | y " + strings.Repeat("z", 80) + "\n")
	want := "a paragraph in two lines\n\n  word   this is said of it, in more words than a line of eighty columns has\n         room for, twice\n" +
		"  short  fine\n\nthen\n    eximpolicyd x | y " + strings.Repeat("z", 80) + "\n"
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestHelpListsEveryCommandUnderATitleAndNamesNoTypeOfGo(t *testing.T) {
	root := command()
	var all func(cmd *cobra.Command)
	all = func(cmd *cobra.Command) {
		var b strings.Builder
		cmd.SetOut(&b)
		cmd.InitDefaultHelpCmd()
		printHelp(cmd, nil)
		text := b.String()
		if strings.Contains(text, "Additional Commands") {
			t.Errorf("%s has commands under no title", cmd.CommandPath())
		}
		if found := regexp.MustCompile(`(?m)^ +(-\w, )?--[a-z-]+ (int|duration|string\w*|uint\w*) .*`).FindAllString(text, -1); len(found) > 0 {
			t.Errorf("%s: %s", cmd.CommandPath(), strings.Join(found, "\n"))
		}
		for _, sub := range cmd.Commands() {
			all(sub)
		}
	}
	all(root)
}
