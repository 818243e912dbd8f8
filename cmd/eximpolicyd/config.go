package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"eximpolicyd/internal/config"
	"eximpolicyd/policy"
)

func configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "print the default configuration, or check a file", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return fail(exUsage, "eximpolicyd config default, or eximpolicyd config check FILE", "config needs default or check")
		},
	}
	cmd.AddCommand(
		&cobra.Command{
			Use: "default", Short: "print a configuration with every key, its default and what it does", Args: cobra.NoArgs,
			Example: "  eximpolicyd config default >eximpolicyd.toml",
			RunE: func(cmd *cobra.Command, _ []string) error {
				_, err := fmt.Fprint(cmd.OutOrStdout(), config.DefaultText(policy.Table()))
				return err
			},
		},
		&cobra.Command{
			Use: "check FILE", Short: "tell every mistake of a configuration, with line and column", Args: cobra.ExactArgs(1),
			Long: `Tell every mistake of a configuration, with line and column: keys that there are not, values out of range, lists that have
died, users and groups that this machine does not have. Nothing is changed, and no daemon is asked.

The exit code is 0 if there is no mistake, 78 if there is one, or no such file, and 77 if it may not be read: that of serve, which
would not start by it.`,
			Example: "  eximpolicyd config check /etc/eximpolicyd/eximpolicyd.toml && systemctl reload eximpolicyd",
			RunE: func(cmd *cobra.Command, args []string) error {
				c, err := load(args[0])
				if err != nil {
					return err
				}
				if _, err := allowedPeers(c.Listen.Peers); err != nil {
					return err
				}
				if _, err := groupID(c.Listen.Group); err != nil {
					return err
				}
				for _, name := range unknownUsers(c) {
					fmt.Fprintf(cmd.ErrOrStderr(), "eximpolicyd: warning: policy.nobody.users: this machine has no user %q\n", name)
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: no mistake\n", args[0])
				return err
			},
		})
	return cmd
}
