// Command eximpolicyd is a policy daemon for Exim: it refuses forged HELOs, bad Message-IDs and mail from the web
// server's user, or, in dry run, only says what it would have done.
//
// This file is the wiring, and the only one that knows all packages. Every subcommand has a file of its own.
package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"eximpolicyd/acl"
	"eximpolicyd/internal/config"
	"eximpolicyd/internal/origin"
	"eximpolicyd/policy"
)

// defaultConfig is read when no --config is given and it exists.
const defaultConfig = "/etc/eximpolicyd/eximpolicyd.toml"

// Exit codes of sysexits(3), and one of grep's.
const (
	exNone        = 1 // what was looked for is not there, as grep says it
	exUsage       = 64
	exData        = 65
	exNoInput     = 66
	exUnavailable = 69
	exIO          = 74
	exTemporary   = 75
	exPermission  = 77
	exConfig      = 78
)

// failure is an error with its exit code and, on a line of its own, what to do about it.
type failure struct {
	code int
	err  error
	hint string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func fail(code int, hint, format string, args ...any) error {
	return &failure{code, fmt.Errorf(format, args...), hint}
}

func main() { os.Exit(run(os.Args[1:], os.Stderr)) }

// run runs a command, says on errs what went wrong, and returns the exit code.
func run(args []string, errs io.Writer) int {
	root := command()
	root.SetArgs(args)
	cmd, err := root.ExecuteC()
	if err == nil {
		return 0
	}
	err = misread(root, args, err)
	f := &failure{code: exUsage, err: err, hint: "see " + cmd.CommandPath() + " --help"}
	var path *fs.PathError
	if !errors.As(err, &f) && errors.As(err, &path) {
		f = &failure{code: exIO, err: err} // what we print could not be written
	}
	var mistakes config.Mistakes
	if errors.As(err, &mistakes) {
		for _, m := range mistakes {
			fmt.Fprintln(errs, "eximpolicyd:", legible(m.Error()))
		}
	} else {
		fmt.Fprintln(errs, "eximpolicyd:", legible(f.Error()))
	}
	if f.hint != "" {
		fmt.Fprintln(errs, "eximpolicyd: hint:", f.hint)
	}
	return f.code
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:           "eximpolicyd",
		Short:         "a policy daemon for Exim: refuse forged HELOs, bad Message-IDs, mail from the web server's user",
		Version:       versionLine(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	for _, g := range []struct {
		title    string
		commands []*cobra.Command
	}{
		{"Judge Exim's mail:", []*cobra.Command{serveCommand(), setupCommand(), snippetsCommand(), configCommand()}},
		{"Before anything is refused:", []*cobra.Command{replayCommand(), checkCommand(), testCommand(), smtpCommand()}},
		{"Look into the running daemon:", []*cobra.Command{statusCommand(), topCommand(), explainCommand(), listsCommand(), askCommand()}},
		{"What it remembers:", []*cobra.Command{banCommand(), allowCommand(), forgetCommand(), stateCommand()}},
		{"Who sent this, and who may:", []*cobra.Command{newTrace(), originCommand(), relaytestCommand()}},
		{"Besides:", []*cobra.Command{manCommand(), completionCommand(), peekCommand(), versionCommand()}},
	} {
		root.AddGroup(&cobra.Group{ID: g.title, Title: g.title})
		for _, c := range g.commands {
			c.GroupID = g.title
		}
		root.AddCommand(g.commands...)
	}
	root.SetVersionTemplate("{{.Version}}\n")
	completeFiles(root)
	inOurWords(root)
	root.SetHelpCommandGroupID("Besides:") // of the command that inOurWords has set
	root.SetHelpFunc(printHelp)
	return root
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print the version", Args: cobra.NoArgs,
		Example: "  eximpolicyd version",
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), versionLine())
			return err
		},
	}
}

// versionLine is what version and --version print.
func versionLine() string {
	return fmt.Sprintf("eximpolicyd %s (%s %s/%s)", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// release is the version of the source; a build from a tagged module knows better, and make VERSION= says another. Its day
// is that of the manual.
var release = "0.1.0"

const released = "2026-11-25"

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return release
}

// configFile returns the file to read: the one named, else the default file if it exists, else none.
func configFile(named string) string {
	if named == "" {
		if _, err := os.Stat(defaultConfig); !errors.Is(err, fs.ErrNotExist) {
			return defaultConfig
		}
	}
	return named
}

const readable = 4 // R_OK of access(2)

// load reads a configuration: the file named, else the default file, else the embedded defaults.
func load(file string) (*config.Config, error) {
	if file = configFile(file); file == "" {
		return config.Default(), nil
	}
	c, err := config.Load(file)
	if err != nil && syscall.Access(file, readable) == syscall.EACCES {
		return nil, &failure{exPermission, err, "run it as root, or as a user who may read that file"}
	}
	if err != nil {
		return nil, &failure{exConfig, err, "eximpolicyd config default prints a file with every key"}
	}
	return c, nil
}

// unknownUsers returns the users of policy.nobody.users that this machine does not have: a misspelt one would pass.
func unknownUsers(c *config.Config) []string {
	nobody, ok := c.Policies["nobody"].Settings.(*policy.Nobody)
	if !ok {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(nobody.Users), func(name string) bool {
		_, known := origin.UID(name)
		return known
	})
}

// decider puts a configuration into force, at most in the mode given.
func decider(c *config.Config, most policy.Mode) *acl.Decider {
	mode := c.Mode.Cap(most)
	return &acl.Decider{
		Rules: policy.Bind(policy.Table(), c.Policies, mode), Own: c.Own, Exempt: &c.Exempt, Mode: mode,
	}
}

// most is the mode that --dry-run leaves.
func most(dryRun bool) policy.Mode {
	if dryRun {
		return policy.Observe
	}
	return policy.Enforce
}
