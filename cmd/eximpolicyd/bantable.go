package main

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"eximpolicyd/internal/control"
)

// formatFlag gives a command --format with the words it knows, the first of which is the default.
func formatFlag(cmd *cobra.Command, format *string, words ...string) {
	*format = words[0]
	cmd.Flags().Var(&choice{format, words}, "format", "as "+strings.Join(words[:len(words)-1], ", ")+" or "+words[len(words)-1])
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)) // fails only for no flag
}

// choice is one of some words.
type choice struct {
	value *string
	words []string
}

// String returns the word.
func (c *choice) String() string { return *c.value }

// Type is what the help calls it.
func (c *choice) Type() string { return "FORMAT" }

// Set takes one of the words.
func (c *choice) Set(word string) error {
	if !slices.Contains(c.words, word) {
		return fmt.Errorf("it is one of %s", strings.Join(c.words, ", "))
	}
	*c.value = word
	return nil
}

// netWidth is of the column with the networks: 2001:db8:1234:5678::/64 fits.
const netWidth = 24

// standing says in a word how a ban stands.
func standing(b *control.Ban) string {
	switch {
	case !b.Active:
		return "over"
	case !b.Refuses:
		return "observed"
	case !b.Durable:
		return "not saved"
	}
	return "in force"
}

// printBans writes a table.
func printBans(out io.Writer, bans []control.Ban, now time.Time) error {
	if len(bans) == 0 {
		_, err := fmt.Fprintln(out, "nobody is banned")
		return err
	}
	paint := painter(out)
	w := bufio.NewWriter(out)
	line := func(network, state, level, since, left, rule string) {
		if len(network) > netWidth {
			fmt.Fprintln(w, network)
			network = ""
		}
		fmt.Fprintf(w, "%-*s  %s  %5s  %5s  %5s  %s\n", netWidth, network, paint(state, fmt.Sprintf("%-9s", state)), level, since, left, rule)
	}
	line("NETWORK", "STATE", "LEVEL", "SINCE", "LEFT", "RULE")
	for i := range bans {
		b := &bans[i]
		level := "-"
		if b.Level > 0 {
			level = strconv.Itoa(b.Level)
		}
		line(shown(b.Network), standing(b), level, ago(b.Made, now), left(b.Active, b.Left), b.Rule)
		if b.Because != "" {
			wrapped(w, "because: ", b.Because)
		}
	}
	return w.Flush()
}

// left writes what is left of something.
func left(active bool, seconds int64) string {
	switch {
	case !active:
		return "-"
	case seconds == 0:
		return "ever"
	}
	return control.Span(time.Duration(seconds) * time.Second)
}

// printAllowed writes a table.
func printAllowed(out io.Writer, allowed []control.Allowed, now time.Time) error {
	if len(allowed) == 0 {
		_, err := fmt.Fprintln(out, "no network is allowed but those of exempt.allow")
		return err
	}
	w := bufio.NewWriter(out)
	line := func(network, since, left, saved string) {
		if len(network) > netWidth {
			fmt.Fprintln(w, network)
			network = ""
		}
		fmt.Fprintf(w, "%-*s  %5s  %5s  %s\n", netWidth, network, since, left, saved)
	}
	line("NETWORK", "SINCE", "LEFT", "SAVED")
	for i := range allowed {
		a := &allowed[i]
		saved := "yes"
		if !a.Durable {
			saved = "no"
		}
		line(shown(a.Network), ago(a.Made, now), left(true, a.Left), saved)
		if a.Because != "" {
			wrapped(w, "because: ", a.Because)
		}
	}
	return w.Flush()
}
