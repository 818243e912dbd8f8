package main

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"eximpolicyd/acl"
	"eximpolicyd/internal/control"
	"eximpolicyd/internal/ledger"
	"eximpolicyd/internal/prose"
	"eximpolicyd/rbl"
)

func statusCommand() *cobra.Command {
	a := &admin{}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "show how the running daemon does, and what is wrong with it",
		Long: `Ask the running daemon how it does: which rules refuse, the block lists, what it remembers and whether that is saved, and
what it has decided since it was started. WOULD counts what was only observed, LATE the decisions that took all the
time of their stage, DEGRADED those that lacked a fact that came too late, SYNTHETIC those about a connection that is
not proven to exist, of which nothing is remembered. Every fault stands at the end, with why and what to do.

The exit code is 0 if nothing is wrong and 69 if something is, so that cron tells you with
    eximpolicyd status >/dev/null`,
		Example: `  eximpolicyd status
  eximpolicyd status --json | jq .faults`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var st control.Status
			if err := a.ask(control.Request{Request: control.Stands}, &st); err != nil {
				return err
			}
			var err error
			if asJSON {
				err = jsonTo(cmd.OutOrStdout()).Encode(st)
			} else {
				err = printStatus(cmd.OutOrStdout(), &st, time.Now())
			}
			if err == nil && len(st.Faults) > 0 {
				err = fail(exUnavailable, "", "%s", prose.Many(len(st.Faults), "fault"))
			}
			return err
		},
	}
	a.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return cmd
}

// printStatus writes a page, the faults last.
func printStatus(out io.Writer, st *control.Status, now time.Time) error {
	paint := painter(out)
	w := bufio.NewWriter(out)
	about := func(label, text string) { hanging(w, fmt.Sprintf("%-9s", label), text) }
	up := "up for " + control.Span(time.Duration(st.Uptime)*time.Second)
	if st.Uptime == 0 {
		up = "just started"
	}
	about("version", st.Version+", "+up)
	about("mode", st.Mode)
	about("enforced", orNone(st.Rules.Enforced))
	about("observed", orNone(st.Rules.Observed))
	about("off", orNone(st.Rules.Off))
	about("lists", listsInShort(st))
	about("memory", memoryInShort(st.Memory, now))
	about("caches", cachesInShort(&st.Caches))
	fmt.Fprintln(w)
	printStages(w, st.Door.Stages)
	about("besides", besides(&st.Door))
	if len(st.Faults) > 0 {
		fmt.Fprintln(w)
	}
	for _, f := range st.Faults {
		var lines strings.Builder
		hanging(&lines, "fault    ", f.What)
		fmt.Fprint(w, paint("error-code", "fault"), strings.TrimPrefix(lines.String(), "fault"))
		if f.Why != "" {
			wrapped(w, "why: ", f.Why)
		}
		if f.Fix != "" {
			wrapped(w, "fix: ", f.Fix)
		}
	}
	return w.Flush()
}

// listsInShort counts the lists by state; which of them are not well stands among the faults.
func listsInShort(st *control.Status) string {
	if len(st.Lists) == 0 {
		return map[string]string{control.DNSAsked: "none", control.DNSDown: "none", control.DNSOff: "none, the DNS is off", control.DNSFailed: "none, the DNS is not asked"}[st.DNS]
	}
	var counts [rbl.Timeout + 1]int
	for _, h := range st.Lists {
		counts[min(h.State, rbl.Timeout)]++
	}
	var words []string
	for _, state := range []rbl.State{rbl.OK, rbl.Untested, rbl.ErrorCode, rbl.Inert, rbl.World, rbl.Hijacked, rbl.Timeout} {
		if n := counts[state]; n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, state))
		}
	}
	return strings.Join(words, ", ")
}

// memoryInShort says what is remembered, and whether it is saved.
func memoryInShort(m *ledger.State, now time.Time) string {
	if m == nil {
		return "none"
	}
	text := fmt.Sprintf("%d of %d keys in %d kB; %s in force, %d observed, %d over; %s", m.Keys, m.MostKeys, m.Bytes>>10,
		prose.Many(m.Enforced, "ban"), m.Observed, m.Remembered, prose.Many(m.Allowed, "allowed network"))
	switch {
	case m.Dir == "":
		return text + "; lost when the daemon ends"
	case m.Unsaved > 0:
		text += fmt.Sprintf("; %d not saved for %s", m.Unsaved, ago(m.UnsavedSince, now))
	case m.Fault != "":
		text += "; nothing new can be saved"
	default:
		text += "; all of them saved"
	}
	if m.Snapshot.IsZero() {
		return text + " in " + m.Dir + ", the counters never"
	}
	return text + " in " + m.Dir + ", the counters " + since(m.Snapshot, now)
}

// cachesInShort says how full they are.
func cachesInShort(c *control.Caches) string {
	text := fmt.Sprintf("decisions %d of %d kB", c.DecisionBytes>>10, c.MostDecisionBytes>>10)
	if c.MostAnswerBytes > 0 {
		text += fmt.Sprintf(", clients %d of %d, DNS answers %d of %d kB", c.Clients, c.MostClients, c.AnswerBytes>>10, c.MostAnswerBytes>>10)
	}
	return text
}

// printStages writes a table of at most 80 columns.
func printStages(w io.Writer, stages []acl.StageStats) {
	if len(stages) == 0 {
		fmt.Fprintln(w, "nothing has been asked yet")
		return
	}
	line := func(stage string, columns ...string) {
		fmt.Fprintf(w, "%-9s", stage)
		for i, c := range columns {
			fmt.Fprintf(w, " %*s", []int{10, 9, 9, 9, 9, 7, 7}[i], c)
		}
		fmt.Fprintln(w)
	}
	line("STAGE", "DECISIONS", "REFUSED", "WOULD", "DEGRADED", "SYNTHETIC", "LATE", "BUDGET")
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	for i := range stages {
		s := &stages[i]
		line(s.Stage, number(s.Decisions()), number(s.Refused()), number(s.Would), number(s.Degraded), number(s.Synthetic),
			number(s.Overrun), s.Budget.String())
	}
}

// besides is what was answered and not decided.
func besides(d *acl.Stats) string {
	return fmt.Sprintf("%d malformed, %d without a free seat, %s refused, %d failed, %d bypassed",
		d.Malformed, d.Busy, prose.Many(d.Refused, "caller"), d.Failed, d.Bypassed)
}
