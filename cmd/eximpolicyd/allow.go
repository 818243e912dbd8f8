package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"eximpolicyd/internal/control"
	"eximpolicyd/internal/prose"
)

// allower is the subcommand allow with its flags.
type allower struct {
	admin
	lasts   lasting
	because string
	force   bool
	format  string
}

func allowCommand() *cobra.Command {
	a := &allower{}
	cmd := &cobra.Command{
		Use: "allow", Short: "show who is let in whatever the rules say, allow a network, take that back", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return fail(exUsage, "eximpolicyd allow list, add or remove", "allow needs to know what to do")
		},
	}
	a.flags(cmd)
	list := &cobra.Command{
		Use: "list", Short: "show the allowed networks", Args: cobra.NoArgs,
		Long:    `Show every network that is let in whatever the rules say. Those of exempt.allow stand in the configuration, and not here.`,
		Example: "  eximpolicyd allow list",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.list(cmd.OutOrStdout()) },
	}
	formatFlag(list, &a.format, "table", "json", "plain")
	add := &cobra.Command{
		Use:   "add ADDRESS|PREFIX...",
		Short: "allow a network",
		Long: `Let a network in whatever the rules say, bans included. A client of IPv6 is a /64.

The exit code is 0 if that is in force and on the disk, and 75 if it is in force and not saved: a restart would forget
it. It is then tried again until it is.`,
		Example: `  eximpolicyd allow add 192.0.2.7 --because "a customer's new relay"
  eximpolicyd allow add 2001:db8:0:1::/64 --for 7d`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.add(cmd.OutOrStdout(), cmd.ErrOrStderr(), args)
		},
	}
	f := add.Flags()
	f.Var(&a.lasts, "for", "how long: 90min, 24h, 7d, 1d12h or ever")
	f.StringVar(&a.because, "because", "", "the reason, one line of `TEXT`")
	f.BoolVar(&a.force, "force", false, "allow networks wider than /8 of IPv4 and /16 of IPv6, too")
	cmd.AddCommand(list, add, &cobra.Command{
		Use: "remove ADDRESS|PREFIX...", Short: "let the rules judge exactly this network again",
		Long:    `Take back what allow add did for exactly this network. The exit code is 1 if it was not allowed.`,
		Example: "  eximpolicyd allow remove 192.0.2.7",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.remove(cmd.OutOrStdout(), cmd.ErrOrStderr(), args)
		},
	})
	return cmd
}

func (a *allower) list(out io.Writer) error {
	allowed, err := each[control.Allowed](&a.admin, control.Request{Request: control.Allows})
	if err != nil {
		return err
	}
	switch a.format {
	case "json":
		return printJSON(out, allowed)
	case "plain":
		for _, n := range allowed {
			if _, err := fmt.Fprintln(out, n.Network); err != nil {
				return err
			}
		}
		return nil
	}
	return printAllowed(out, allowed, time.Now())
}

func (a *allower) add(out, errs io.Writer, args []string) error {
	if err := reason(a.because); err != nil {
		return err
	}
	list, err := networks(errs, args)
	if err != nil {
		return err
	}
	for _, p := range list {
		if err := notWide(p, a.force); err != nil {
			return err
		}
	}
	unsaved := 0
	for _, p := range list {
		var made control.Allowed
		q := control.Request{Request: control.Allow, Network: p, Wide: a.force, Seconds: a.lasts.seconds(), Because: a.because}
		if err := a.ask(q, &made); err != nil {
			return err
		}
		saved := ""
		if !made.Durable {
			unsaved++
			saved = ", not saved yet"
		}
		if _, err := fmt.Fprintf(out, "%s is allowed %s%s\n", shown(made.Network), ending(made.Until, made.Left), saved); err != nil {
			return err
		}
	}
	return notSaved(unsaved, "is in force, but not saved yet: a restart would forget it")
}

func (a *allower) remove(out, errs io.Writer, args []string) error {
	list, err := networks(errs, args)
	if err != nil {
		return err
	}
	missing, unsaved := 0, 0
	for _, p := range list {
		var gone control.Disallowed
		if err := a.ask(control.Request{Request: control.Disallow, Network: p}, &gone); err != nil {
			return err
		}
		if gone.Unsaved.Unsaved {
			unsaved++
		}
		if !gone.Known {
			missing++
			fmt.Fprintf(errs, "eximpolicyd: note: %s was not allowed\n", shown(p))
			continue
		}
		if _, err := fmt.Fprintf(out, "%s is no longer allowed\n", shown(p)); err != nil {
			return err
		}
	}
	if unsaved == 0 && missing > 0 {
		return fail(exNone, "", "%d of %s %s not allowed", missing, prose.Many(len(list), "network"), prose.Form(missing, "was", "were"))
	}
	return notSaved(unsaved, "is done, but not saved yet: a restart would allow it again")
}
