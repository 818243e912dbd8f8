package main

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"eximpolicyd/internal/control"
	"eximpolicyd/internal/ledger"
	"eximpolicyd/internal/prose"
)

func (b *banner) whyCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "why ADDRESS|PREFIX",
		Short: "say why somebody is banned, and what is counted of him",
		Long: `Show every ban that covers an address or lies within a network, those that are over too, every allowed network likewise,
and what is counted of the client and of the networks around it.

The exit code is that of grep: 0 if one of the bans is in force and refuses, and no allowed network covers what was asked
about; else 1. A ban refuses if neither it nor its rule nor the whole daemon only observes.`,
		Example: "  eximpolicyd ban why 192.0.2.7",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := network(cmd.ErrOrStderr(), args[0])
			if err != nil {
				return err
			}
			var r control.Reasons
			if err := b.ask(control.Request{Request: control.Why, Network: p}, &r); err != nil {
				return err
			}
			if asJSON {
				err = jsonTo(cmd.OutOrStdout()).Encode(r)
			} else {
				err = printReasons(cmd.OutOrStdout(), &r, time.Now())
			}
			if err != nil {
				return err
			}
			return shutOut(&r)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return cmd
}

// shutOut is nothing if somebody is shut out, and else says that nobody is.
func shutOut(r *control.Reasons) error {
	for _, a := range r.Allowed {
		if a.Network.Bits() <= r.Network.Bits() {
			return fail(exNone, "", "%s is let in: %s is allowed", shown(r.Network), shown(a.Network))
		}
	}
	if slices.ContainsFunc(r.Bans, func(b control.Ban) bool { return b.Refuses }) {
		return nil
	}
	return fail(exNone, "", "no ban is in force for %s", shown(r.Network))
}

// printReasons writes a paragraph for each ban and network.
func printReasons(out io.Writer, r *control.Reasons, now time.Time) error {
	paint := painter(out)
	w := bufio.NewWriter(out)
	for i := range r.Bans {
		b := &r.Bans[i]
		what := map[string]string{"over": "was banned", "observed": "would be banned", "in force": "is banned", "not saved": "is banned"}
		fmt.Fprintf(w, "%s %s\n", shown(b.Network), paint(standing(b), what[standing(b)]))
		wrapped(w, "by: ", maker(b))
		entry(w, b.Because, b.Made, b.Until, b.Left, b.Durable, now)
	}
	for i := range r.Allowed {
		a := &r.Allowed[i]
		fmt.Fprintf(w, "%s is %s\n", shown(a.Network), paint("ok", "allowed"))
		entry(w, a.Because, a.Made, a.Until, a.Left, a.Durable, now)
	}
	if r.More {
		fmt.Fprintln(w, "and more networks within, which eximpolicyd ban list --all shows")
	}
	for i := range r.Counts {
		c := &r.Counts[i]
		fmt.Fprintf(w, "%s is counted\n", shown(c.Network))
		counts(w, &c.Counts, now)
	}
	return w.Flush()
}

// maker says who has made a ban.
func maker(b *control.Ban) string {
	if b.Level == 0 {
		return "an administrator"
	}
	return fmt.Sprintf("%s, level %d of %d", b.Rule, b.Level, ledger.MaxLevel)
}

// entry writes what a ban and an allowed network have in common.
func entry(w io.Writer, because string, made, until time.Time, left int64, durable bool, now time.Time) {
	if because != "" {
		wrapped(w, "because: ", because)
	}
	wrapped(w, "since: ", clock(made)+" ("+since(made, now)+")")
	switch {
	case until.IsZero():
		wrapped(w, "until: ", "for ever")
	case left > 0:
		wrapped(w, "until: ", fmt.Sprintf("%s (in %s)", clock(until), control.Span(time.Duration(left)*time.Second)))
	default:
		wrapped(w, "until: ", clock(until)+" ("+since(until, now)+")")
	}
	saved := "yes"
	if !durable {
		saved = "not yet: a restart would forget it"
	}
	wrapped(w, "on the disk: ", saved)
}

// counts writes what is not zero.
func counts(w io.Writer, c *ledger.Counts, now time.Time) {
	list := func(label string, of ...tally) {
		if words := tallied(of...); len(words) > 0 {
			wrapped(w, label, strings.Join(words, ", "))
		}
	}
	h, d := &c.Hour, &c.Day
	list("last hour: ", tally{h.Good, "good recipient", "good recipients"}, tally{h.Bad, "bad recipient", "bad recipients"},
		tally{h.OnlyBad, "connection with only bad ones", "connections with only bad ones"}, tally{h.Failed, "failed login", "failed logins"},
		tally{h.Held, "message held", "messages held"}, tally{h.Seen, "different member or name", "different members or names"})
	list("last day: ", tally{d.Good, "good recipient", "good recipients"}, tally{d.Bad, "bad recipient", "bad recipients"},
		tally{d.Trapped, "message to traps", "messages to traps"}, tally{d.Clean, "clean message", "clean messages"})
	if !c.LastGood.IsZero() {
		wrapped(w, "last good recipient: ", since(c.LastGood, now))
	}
	if !c.LastLogin.IsZero() {
		wrapped(w, "last login: ", since(c.LastLogin, now))
	}
}

// tally is a number of things, with their word for one and for more.
type tally struct {
	n         int
	one, more string
}

// tallied writes those that are not of nothing.
func tallied(list ...tally) (words []string) {
	for _, t := range list {
		if t.n > 0 {
			words = append(words, fmt.Sprintf("%d %s", t.n, prose.Form(t.n, t.one, t.more)))
		}
	}
	return words
}
