package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"

	"eximpolicyd/internal/top"
)

func topCommand() *cobra.Command {
	a := &admin{}
	var interval time.Duration
	var once, asJSON bool
	cmd := &cobra.Command{
		Use:   "top",
		Short: "watch what the running daemon decides",
		Long: `Watch the running daemon: what it decides a second at each stage, what the rules have found in the last minute, how the
block lists do, who was banned last and who comes most, and the last decisions, of those that the log tells of at info.

q quits, p pauses, tab and 1 to 4 choose what is looked at, the arrows scroll, ? shows all keys. While the daemon is away, what
was last seen stays, and it is asked again and again.

Where the output is no terminal, or with --once, it is printed once as text, with what was counted since the daemon was started.

--json prints it once too: the status as status --json has it, the newest 200 bans as ban list has them, and what is shown of the
last 256 decisions, in the words of explain --json; the newest first.`,
		Example: `  eximpolicyd top
  eximpolicyd top --json | jq '.decisions[] | select(.action == "deny") | .client'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if interval < top.Shortest || interval > top.Longest {
				return fail(exUsage, "", "--interval: %s is not from %s to %s", interval, top.Shortest, top.Longest)
			}
			var poller top.Poller
			poll := func() (s top.Snapshot, err error) {
				err = a.at(func(socket string) error {
					s, err = poller.Poll(socket)
					return err
				})
				return s, err
			}
			first, err := poll()
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if asJSON {
				return jsonTo(out).Encode(first)
			}
			if once || !isTerminal(out) || os.Getenv("TERM") == "dumb" {
				width := 120 // in a pipe: no column of a table is left out
				if isTerminal(out) {
					width = columns(out)
				}
				return top.Print(out, first, width)
			}
			err = top.Run(top.Options{Poll: poll, Interval: interval, Colour: os.Getenv("NO_COLOR") == ""}, first)
			if err != nil {
				return fail(exUnavailable, "eximpolicyd top --once needs no terminal", "cannot use the terminal: %w", err)
			}
			return nil
		},
	}
	a.flags(cmd)
	cmd.Flags().DurationVar(&interval, "interval", time.Second, "`DURATION` between two questions")
	cmd.Flags().BoolVar(&once, "once", false, "print it once, as text")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it once, as a JSON object")
	return cmd
}
