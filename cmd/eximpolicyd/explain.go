package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"eximpolicyd/acl"
	"eximpolicyd/internal/control"
	"eximpolicyd/internal/prose"
	"eximpolicyd/policy"
)

// explaining is the subcommand explain with its flags.
type explaining struct {
	admin
	json, last bool
}

func explainCommand() *cobra.Command {
	e := &explaining{}
	cmd := &cobra.Command{
		Use:   "explain ID|--last [N]",
		Short: "say why something was decided, and what would have changed it",
		Long: `Show everything about one decision of the running daemon: what Exim said, which class of clients that was, each rule with
what it found, what the DNS answered, which server, and for how long that holds, what was counted, and what would have changed
the answer. It is judged once more for that, with what was known then and the configuration of then; nothing is asked or counted.

The id stands in every refusal, (helo.H3 1xWDejTdYC), and in every line of the log. The last 2,048 decisions of those that
the log tells of at info are kept, in at most 16 MB, and across restarts where the memory is saved.

--json prints the same; its inputs can be judged by other rules:
    eximpolicyd explain --json ID | jq -c .inputs | eximpolicyd check --jsonl -

The exit code is 1 if the decision is not kept.`,
		Example: `  eximpolicyd explain 1xWDejTdYC
  eximpolicyd explain --last 20`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case e.last:
				return e.list(cmd.OutOrStdout(), args)
			case len(args) == 0:
				return fail(exUsage, "eximpolicyd explain --last shows the latest ids", "explain needs the id of a decision")
			}
			return e.one(cmd.OutOrStdout(), pasted(args[0]))
		},
	}
	e.flags(cmd)
	cmd.Flags().BoolVar(&e.json, "json", false, "print a JSON object; with --last an array")
	cmd.Flags().BoolVar(&e.last, "last", false, "show the last 10 decisions, or as many as the argument says, the newest last")
	return cmd
}

// pasted is the id in what was copied from a refusal or from the log: "(helo.H3 1xWDejTdYC)", "id=1xWDejTdYC".
func pasted(text string) string {
	words := strings.Fields(strings.Trim(text, "()"))
	if len(words) == 0 {
		return ""
	}
	return strings.TrimPrefix(words[len(words)-1], "id=")
}

func (e *explaining) one(out io.Writer, id string) error {
	made, ok := acl.TimeOfID(id)
	if !ok {
		return fail(exUsage, "it has ten letters and digits, and stands at the end of a refusal and as id= in the log", "%.40q is no id of a decision", id)
	}
	var r control.Explained
	if err := e.ask(control.Request{Request: control.Explain, ID: id}, &r); err != nil {
		return err
	}
	if r.Decision == nil {
		return fail(exNone, notKept(id, &r), "the decision %s, of %s, is not kept", id, clock(made))
	}
	if e.json {
		return jsonTo(out).Encode(r.Decision)
	}
	var x acl.Explanation
	if err := json.Unmarshal(r.Decision, &x); err != nil {
		return fail(exUnavailable, "is it of another version?", "the daemon's explanation can't be read: %w", err)
	}
	return printPage(out, &x)
}

// notKept says where else to look.
func notKept(id string, r *control.Explained) string {
	kept := "none is kept yet"
	if oldest, ok := acl.TimeOfID(r.Oldest); ok {
		kept = prose.Many(r.Kept, "decision") + " since " + clock(oldest) + " can be explained, of those that the log tells of at info"
	}
	return kept + "; the daemon's log has a line for it, unless it is mistyped: grep id=" + id
}

func (e *explaining) list(out io.Writer, args []string) error {
	most := 10
	if len(args) > 0 {
		var err error
		if most, err = strconv.Atoi(args[0]); err != nil || most < 1 {
			return fail(exUsage, "eximpolicyd explain --last 20", "%.40q is no number of decisions", args[0])
		}
	}
	q := control.Request{Request: control.Recent, Last: most}
	if e.json {
		list, err := each[json.RawMessage](&e.admin, q)
		if err != nil {
			return err
		}
		return printJSON(out, list)
	}
	list, err := each[acl.Explanation](&e.admin, q)
	if err != nil {
		return err
	}
	return printRecent(out, list, time.Now())
}

// printRecent writes a line for each; a client that does not fit stands below.
func printRecent(out io.Writer, list []acl.Explanation, now time.Time) error {
	paint := painter(out)
	w := bufio.NewWriter(out)
	if len(list) == 0 {
		fmt.Fprintln(w, "nothing has been decided yet that the log tells of at info")
	}
	for i := range list {
		x := &list[i]
		answer, result := x.Action, "hit"
		switch {
		case x.Action == policy.Dunno.String() && x.Would != "":
			answer, result = "would "+x.Would, "observed"
		case x.Mark:
			answer = "mark"
		case x.Action == policy.Dunno.String():
			result = "no"
		}
		client := "this machine"
		if x.Client.IsValid() {
			client = plain(x.Client.String()) // a zone may be any text
		}
		if len(client) > 18 { // what is left of 80 columns
			client = "\n            " + client
		}
		fmt.Fprintf(w, "%s  %5s  %-8s  %s  %-17s  %s\n", x.ID, ago(x.Time, now), plain(x.Stage),
			paint(result, fmt.Sprintf("%-12s", plain(answer))), orDash(plain(x.Rule)), client)
	}
	return w.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
