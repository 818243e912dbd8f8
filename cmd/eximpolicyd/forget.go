package main

import (
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"eximpolicyd/internal/control"
	"eximpolicyd/internal/origin"
	"eximpolicyd/internal/prose"
)

func forgetCommand() *cobra.Command {
	a := &admin{}
	var account bool
	cmd := &cobra.Command{
		Use:   "forget ADDRESS|PREFIX|ACCOUNT",
		Short: "remove everything that is remembered of a client, a network or an account",
		Long: `Remove everything that is remembered of a client, of a network and all that is in it, or of an account (its login name, or
its uid): counters, bans, that it is allowed, and decisions about it, in memory and on the disk. It says what was removed.

What is known of a larger network stays, and so does the daemon's log. The exit code is 1 if nothing was remembered.`,
		Example: `  eximpolicyd forget 192.0.2.7
  eximpolicyd forget 2001:db8:0:1::/64
  eximpolicyd forget --account anna`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := control.Request{Request: control.Forget}
			if account || !control.LooksLikeNetwork(args[0]) {
				if args[0] == "" {
					return fail(exUsage, "", "an account has a name")
				}
				q.Account, q.Login = args[0], args[0]
				if uid, ok := origin.UID(args[0]); ok { // accounts of this machine are counted by uid
					q.Account = strconv.FormatUint(uint64(uid), 10)
				}
			} else {
				p, err := network(cmd.ErrOrStderr(), args[0])
				if err != nil {
					return err
				}
				q.Network = p
			}
			var gone control.Erased
			if err := a.ask(q, &gone); err != nil {
				return err
			}
			return tellForgotten(cmd.OutOrStdout(), &q, &gone)
		},
	}
	a.flags(cmd)
	cmd.Flags().BoolVar(&account, "account", false, "the argument is an account, even if it looks like an address")
	return cmd
}

func tellForgotten(out io.Writer, q *control.Request, gone *control.Erased) error {
	switch {
	case q.Account != "" && !gone.Account && gone.Decisions+gone.Names == 0:
		return fail(exNone, "", "nothing was remembered of the account %q", q.Account)
	case gone.Bans+gone.Allowed+gone.Counters+gone.Decisions == 0 && !gone.Account && !gone.Unsaved.Unsaved:
		return fail(exNone, "", "nothing was remembered of %s", shown(q.Network))
	}
	what := fmt.Sprintf(" of %s: %s, %s, %s", shown(q.Network), prose.Many(gone.Bans, "ban"), prose.Many(gone.Allowed, "allowed network"), prose.Many(gone.Counters, "counter"))
	switch {
	case q.Account != "" && gone.Account:
		what = fmt.Sprintf(": the counters of the account %q", q.Account)
	case q.Account != "":
		what = fmt.Sprintf(" of the account %q: no counter", q.Account)
	}
	if gone.Names > 0 {
		what += ", its name in X-Eximpolicyd-Origin"
	}
	if _, err := fmt.Fprintf(out, "forgotten%s, %s\n", what, prose.Many(gone.Decisions, "decision")); err != nil {
		return err
	}
	if !gone.Unsaved.Unsaved {
		return nil
	}
	return notSaved(1, "is done in memory, but not on the disk yet: a restart would bring it back")
}
