package main

import (
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"eximpolicyd/internal/control"
	"eximpolicyd/internal/ledger"
	"eximpolicyd/internal/prose"
)

// banner is the subcommand ban with its flags.
type banner struct {
	admin
	lasts   lasting
	because string
	force   bool
	all     bool
	format  string
}

func banCommand() *cobra.Command {
	b := &banner{lasts: lasting(ledger.Longest)}
	cmd := &cobra.Command{
		Use: "ban", Short: "show who is banned, ban a network, lift a ban, say why", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return fail(exUsage, "eximpolicyd ban list, add, remove or why", "ban needs to know what to do")
		},
	}
	b.flags(cmd)
	cmd.AddCommand(b.listCommand(), b.addCommand(), b.removeCommand(), b.whyCommand())
	return cmd
}

func (b *banner) listCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "show the bans",
		Long: `Show every ban in force, and those that only observe, which refuse nothing: the ban was made while its rule was not
enforced, the rule is not now, or the whole daemon only observes.

    table, json   all of them; with --all also those that are over, which are remembered for 30 days
    plain         a network a line
    nft           a script for nft -f, which fills the sets banned4 and banned6 of the table inet eximpolicyd
    ipset         a script for ipset restore, which fills the sets eximpolicyd4 and eximpolicyd6

The last three feed a firewall. They leave out bans that only observe, allowed networks, exempt.allow, exempt.relay and the
addresses of this machine, and their networks do not overlap. A firewall does not know who authenticates, and it drops
what level 1 and 2 only defer: use them for port 25. Run them every few minutes, for a ban that is lifted stays in a
firewall until then.`,
		Example: `  eximpolicyd ban list
  eximpolicyd ban list --format nft | nft -f -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return b.list(cmd.OutOrStdout()) },
	}
	formatFlag(cmd, &b.format, "table", "json", "plain", "nft", "ipset")
	cmd.Flags().BoolVar(&b.all, "all", false, "show also those that are over")
	return cmd
}

func (b *banner) addCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add ADDRESS|PREFIX...",
		Short: "ban a network",
		Long: `Ban a network, in place of an earlier ban of yours; what rules have done stays beneath it. A client of IPv6 is a /64.
Users who authenticate on a submission port, relays of the configuration and allowed networks stay in.

The exit code is 0 if the ban is in force and on the disk, and 75 if it is in force and not saved: a restart would
forget it. It is then tried again until it is.`,
		Example: `  eximpolicyd ban add 192.0.2.7
  eximpolicyd ban add 2001:db8:0:1::/64 --for ever --because "sells lists of addresses"`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return b.add(cmd.OutOrStdout(), cmd.ErrOrStderr(), args)
		},
	}
	f := cmd.Flags()
	f.Var(&b.lasts, "for", "how long: 90min, 24h, 7d, 1d12h or ever")
	f.StringVar(&b.because, "because", "", "the reason, one line of `TEXT`")
	f.BoolVar(&b.force, "force", false, "ban networks wider than /8 of IPv4 and /16 of IPv6, too")
	return cmd
}

func (b *banner) removeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "remove ADDRESS|PREFIX...",
		Short: "lift the bans of exactly this network",
		Long: `Lift every ban of exactly this network, yours and those of rules, with their levels and with what is counted of it: else
the next bad recipient would ban it again. A ban of a network around it stays; the exit code is 1 if there was none.`,
		Example: "  eximpolicyd ban remove 192.0.2.7",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return b.remove(cmd.OutOrStdout(), cmd.ErrOrStderr(), args)
		},
	}
}

func (b *banner) list(out io.Writer) error {
	bans, err := each[control.Ban](&b.admin, control.Request{Request: control.Bans, All: b.all})
	if err != nil {
		return err
	}
	switch b.format {
	case "table":
		return printBans(out, bans, time.Now())
	case "json":
		return printJSON(out, bans)
	}
	in, err := b.letIn()
	if err != nil {
		return err
	}
	write := map[string]func(io.Writer, []control.Barred) error{"plain": control.Plain, "nft": control.NFT, "ipset": control.IPSet}
	return write[b.format](out, control.Flatten(bans, in))
}

// letIn returns the networks that no firewall should shut out.
func (b *banner) letIn() ([]netip.Prefix, error) {
	in, err := each[netip.Prefix](&b.admin, control.Request{Request: control.Spares})
	if err != nil {
		return nil, err
	}
	allowed, err := each[control.Allowed](&b.admin, control.Request{Request: control.Allows})
	for _, a := range allowed {
		in = append(in, a.Network)
	}
	return in, err
}

// printJSON writes an array, one that is empty for nothing.
func printJSON[T any](out io.Writer, things []T) error {
	if things == nil {
		things = []T{}
	}
	return jsonTo(out).Encode(things)
}

func (b *banner) add(out, errs io.Writer, args []string) error {
	if err := reason(b.because); err != nil {
		return err
	}
	list, err := networks(errs, args)
	if err != nil {
		return err
	}
	own := ownAddresses()
	for _, p := range list {
		if err := notWide(p, b.force); err != nil {
			return err
		}
		warn(errs, p, own)
	}
	unsaved := 0
	for _, p := range list {
		var made control.Ban
		q := control.Request{Request: control.Bar, Network: p, Wide: b.force, Seconds: b.lasts.seconds(), Because: b.because}
		if err := b.ask(q, &made); err != nil {
			return err
		}
		if err := b.tellAdded(out, errs, &made); err != nil {
			return err
		}
		if !made.Durable {
			unsaved++
		}
	}
	return notSaved(unsaved, "is in force, but not saved yet: a restart would forget it")
}

// tellAdded says what is banned now, and who of it is let in all the same.
func (b *banner) tellAdded(out, errs io.Writer, made *control.Ban) error {
	saved := ""
	if !made.Durable {
		saved = ", not saved yet"
	}
	if _, err := fmt.Fprintf(out, "%s is banned %s%s\n", shown(made.Network), ending(made.Until, made.Left), saved); err != nil {
		return err
	}
	if !made.Refuses {
		fmt.Fprintln(errs, "eximpolicyd: note: the daemon only observes, so nobody is refused for it yet")
	}
	var r control.Reasons
	if err := b.ask(control.Request{Request: control.Why, Network: made.Network}, &r); err != nil {
		return err
	}
	for _, a := range r.Allowed {
		fmt.Fprintf(errs, "eximpolicyd: note: %s is allowed and stays in; eximpolicyd allow remove %s takes that back\n", shown(a.Network), shown(a.Network))
	}
	return nil
}

// notSaved is the failure of what is done and not on the disk, so often.
func notSaved(n int, what string) error {
	if n == 0 {
		return nil
	}
	return fail(exTemporary, "it is tried again until it is saved; eximpolicyd status says what is wrong", "what you asked for %s", what)
}

func (b *banner) remove(out, errs io.Writer, args []string) error {
	list, err := networks(errs, args)
	if err != nil {
		return err
	}
	missing, unsaved := 0, 0
	for _, p := range list {
		var lifted control.Lifted
		if err := b.ask(control.Request{Request: control.Unban, Network: p}, &lifted); err != nil {
			return err
		}
		if lifted.Unsaved.Unsaved {
			unsaved++
		}
		if len(lifted.Bans) == 0 {
			missing++
			if err := b.tellAround(errs, p); err != nil {
				return err
			}
			continue
		}
		for _, ban := range lifted.Bans {
			if _, err := fmt.Fprintf(out, "%s is no longer banned by %s\n", shown(ban.Network), ban.Rule); err != nil {
				return err
			}
		}
	}
	if unsaved == 0 && missing > 0 {
		return fail(exNone, "", "%d of %s had no ban", missing, prose.Many(len(list), "network"))
	}
	return notSaved(unsaved, "is done, but not saved yet: a restart would ban it again")
}

// tellAround says which bans cover a network, or lie in it, when it has none itself.
func (b *banner) tellAround(errs io.Writer, p netip.Prefix) error {
	fmt.Fprintf(errs, "eximpolicyd: note: there is no ban of %s\n", shown(p))
	var r control.Reasons
	if err := b.ask(control.Request{Request: control.Why, Network: p}, &r); err != nil {
		return err
	}
	for _, ban := range r.Bans {
		where := "lies in it"
		if ban.Network.Bits() < p.Bits() {
			where = "covers it"
		}
		fmt.Fprintf(errs, "eximpolicyd: note: %s, which %s, has one\n", shown(ban.Network), where)
	}
	return nil
}

// ending says until when something lasts, on the clock of this machine.
func ending(until time.Time, left int64) string {
	if until.IsZero() {
		return "for ever"
	}
	return fmt.Sprintf("until %s (in %s)", clock(until), control.Span(time.Duration(left)*time.Second))
}

func clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }
