package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"eximpolicyd/internal/manual"
	"eximpolicyd/policy"
)

func manCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "man [PAGE]",
		Short: "print a manual page, or write all of them",
		Long: `Print a manual page in the macros of mdoc, which man -l and mandoc read, name all pages if none is given, or write all
of them into the folders man5, man7 and man8 below --dir. They are made of what the program itself works by.`,
		Example: `  eximpolicyd man replay | man -l -
  eximpolicyd man eximpolicyd.toml | man -l -
  eximpolicyd man --dir /usr/local/share/man`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			pages, err := manualPages(cmd.Root())
			switch {
			case err != nil:
				return err
			case dir != "":
				return writePages(dir, pages)
			case len(args) == 0:
				for _, p := range pages {
					if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s(%d)  %s\n", p.Name, p.Section, p.About); err != nil {
						return err
					}
				}
				return nil
			}
			for _, p := range pages {
				if p.Name == args[0] || p.Name == cmd.Root().Name()+"-"+args[0] {
					_, err := fmt.Fprint(cmd.OutOrStdout(), p.Text)
					return err
				}
			}
			return fail(exNone, "eximpolicyd man names all of them", "there is no page %q", args[0])
		},
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			pages, _ := manualPages(cmd.Root())
			var names []string
			for _, p := range pages {
				names = append(names, strings.TrimPrefix(p.Name, cmd.Root().Name()+"-"))
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "write all pages below this `FOLDER`")
	return cmd
}

// manualPages makes the pages of this program.
func manualPages(root *cobra.Command) ([]manual.Page, error) {
	day, err := time.Parse(time.DateOnly, released)
	return manual.Pages(root, policy.Table(), day), err
}

func writePages(dir string, pages []manual.Page) error {
	for _, p := range pages {
		folder := filepath.Join(dir, "man"+strconv.Itoa(p.Section))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return fail(exPermission, "may this user write there?", "%w", err)
		}
		if err := os.WriteFile(filepath.Join(folder, p.File()), []byte(p.Text), 0o644); err != nil {
			return fail(exPermission, "may this user write there?", "%w", err)
		}
	}
	return nil
}
