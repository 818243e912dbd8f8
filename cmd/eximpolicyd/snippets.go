package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	eximsnippets "eximpolicyd/exim-snippets"
)

func snippetsCommand() *cobra.Command {
	var flavour, dir, socket, timeout string
	cmd := &cobra.Command{
		Use:   "snippets --flavour NAME",
		Short: "print what Exim's configuration needs to ask the daemon",
		Long: `Print the files of one flavour of Exim configuration, each under its name and the place it goes to, or write them
below --dir, and then the steps that are left for the administrator. Flavours: ` + strings.Join(eximsnippets.All(), ", ") + `.`,
		Example: `  eximpolicyd snippets --flavour debian-unsplit
  eximpolicyd snippets --flavour stock --dir /etc/exim`,
		Args:    cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { return wantFlavour(flavour) },
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir != "" {
				abs, err := filepath.Abs(dir)
				if err != nil {
					return err
				}
				dir = abs
			}
			files, err := eximsnippets.Render(flavour, eximsnippets.Options{Socket: socket, Timeout: timeout, Dir: dir})
			if err != nil {
				return fail(exUsage, "eximpolicyd snippets --help", "%w", err)
			}
			unix.Umask(0o022) // a file that Exim's user cannot read is a 451 for all mail
			for _, f := range files {
				if dir == "" {
					if _, err := fmt.Fprintf(cmd.OutOrStdout(), "# ===== %s\n# ===== %s\n%s\n", f.Name, f.Place, f.Text); err != nil {
						return err
					}
					continue
				}
				path := filepath.Join(dir, filepath.FromSlash(f.Name))
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					return fail(exPermission, "may this user write there?", "%w", err)
				}
				if err := os.WriteFile(path, []byte(f.Text), 0o644); err != nil {
					return fail(exPermission, "may this user write there?", "%w", err)
				}
				place := strings.TrimPrefix(f.Place, "copy it to "+path+"; ") // it is there
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n    %s\n", path, place); err != nil {
					return err
				}
			}
			return printSteps(cmd.OutOrStdout(), flavour, dir)
		},
	}
	f := cmd.Flags()
	f.StringVar(&flavour, "flavour", "", "`NAME` of the flavour: "+strings.Join(eximsnippets.All(), ", "))
	f.StringVar(&dir, "dir", "", "write the files below this `FOLDER`")
	f.StringVar(&socket, "socket", eximsnippets.DefaultSocket, "`PATH` of the daemon's socket")
	f.StringVar(&timeout, "timeout", eximsnippets.DefaultTimeout, "what one question may cost, whole `SECONDS` with their unit")
	// They fail only for no flag.
	_ = cmd.RegisterFlagCompletionFunc("flavour", cobra.FixedCompletions(eximsnippets.All(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.MarkFlagRequired("flavour")
	return cmd
}

// wantFlavour says it before cobra does.
func wantFlavour(flavour string) error {
	if flavour == "" {
		return fail(exUsage, "write --flavour "+strings.Join(eximsnippets.All(), ", or "), "snippets needs to know how Exim is arranged")
	}
	return nil
}

// printSteps writes what is done after the files are in place; a shell and Exim read the lines as comments.
func printSteps(out io.Writer, flavour, dir string) error {
	if _, err := fmt.Fprintln(out, "# ===== then"); err != nil {
		return err
	}
	for i, step := range eximsnippets.Steps(flavour, dir) {
		if _, err := fmt.Fprintf(out, "# %d. %s\n", i+1, step); err != nil {
			return err
		}
	}
	return nil
}
