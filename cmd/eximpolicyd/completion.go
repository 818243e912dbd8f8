package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"eximpolicyd/acl"
)

// completionCommand is in the place of cobra's own, whose help text speaks of other systems.
func completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "print what a shell needs to complete commands, options and their values",
		Long: `Print a script for a shell. The packages have them in place; by hand it is put where the shell looks for it, or read in
the shell at hand. That of bash needs the package bash-completion.`,
		Example: `  eximpolicyd completion bash >/etc/bash_completion.d/eximpolicyd
  eximpolicyd completion zsh >/usr/local/share/zsh/site-functions/_eximpolicyd
  eximpolicyd completion fish >/etc/fish/completions/eximpolicyd.fish`,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"bash", "zsh", "fish"},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch args[0] {
			case "bash":
				return cmd.Root().GenBashCompletionV2(cmd.OutOrStdout(), true)
			case "zsh":
				return cmd.Root().GenZshCompletion(cmd.OutOrStdout())
			}
			return cmd.Root().GenFishCompletion(cmd.OutOrStdout(), true)
		},
	}
}

// completeFiles has a shell offer files where a help text says FILE, LOG, PATH or FOLDER, the names of the wire protocol
// where it says NAME=VALUE, and else nothing but what a command itself says.
func completeFiles(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) { completeFlag(cmd, f) })
	cmd.PersistentFlags().VisitAll(func(f *pflag.Flag) { completeFlag(cmd, f) })
	if cmd.ValidArgsFunction == nil && cmd.ValidArgs == nil {
		switch {
		case strings.Contains(cmd.Use, "NAME=VALUE"):
			cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
				names := acl.WireNames()
				for i := range names {
					names[i] += "="
				}
				return names, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
			}
		case !namesFile(cmd.Use):
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
	}
	for _, sub := range cmd.Commands() {
		completeFiles(sub)
	}
}

func completeFlag(cmd *cobra.Command, f *pflag.Flag) {
	value, _ := pflag.UnquoteUsage(f)
	if _, has := cmd.GetFlagCompletionFunc(f.Name); has || value == "" || namesFile(value) {
		return
	}
	// It fails only for a flag that the command does not have.
	_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions)
}

func namesFile(use string) bool {
	for _, word := range []string{"FILE", "LOG", "PATH", "FOLDER"} {
		if strings.Contains(use, word) {
			return true
		}
	}
	return false
}
