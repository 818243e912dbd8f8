package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	eximsnippets "eximpolicyd/exim-snippets"
	"eximpolicyd/internal/prose"
	"eximpolicyd/internal/setup"
	"eximpolicyd/policy"
)

// installer is the subcommand setup with its flags.
type installer struct {
	add, check, remove bool
	dryRun, json       bool
	config             string // the daemon's
	o                  setup.Options
	out                io.Writer
}

func setupCommand() *cobra.Command {
	i := &installer{}
	cmd := &cobra.Command{
		Use:   "setup --add|--check|--remove",
		Short: "put the snippets into Exim, take them out, or see what is wrong with them",
		Long: `Put what Exim needs to ask the daemon into its configuration: Debian's in many files, Debian's in one, or Exim's own, which
is found out. Only files of ours are made, each with a mark, and no packaged file is edited; in Exim's own configuration,
which is yours, and in exim4.conf.localmacros, lines of ours are added, each below a mark. It is run as root, asks nothing, and says what it does.

--add first makes the whole new configuration in a private folder and has real Exim use it: exim -bV, a dialogue a stage, a
local submission, each of which must ask. Then it makes it real, and tries once more. At any failure, and if it is
interrupted, every file is as before; if it is killed, the next run brings that about. Running Exim is told with --reload. With --dry-run
it goes as far as the private folder, says the same and ends with the same exit code.

--remove takes out what has not been edited since: every file is then as it was, with owner, mode and time.

--check names what is missing or edited, what accepts before us, a time-out that Exim does not read, a socket that it cannot
reach, and more, each with its place and what to do. It works with a control panel too, as far as it can.

The exit code of --check is 0 if all is well and 1 if something was found. Otherwise: 64 a flavour that does not fit, 69 no
Exim, 75 another run or a signal, 77 not root or something that others than root can change, 78 a configuration that Exim
does not take or that does not allow it.`,
		Example: `  eximpolicyd setup --add --dry-run
  eximpolicyd setup --add --reload
  eximpolicyd setup --check`,
		Args:    cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { return i.one() },
		RunE: func(cmd *cobra.Command, _ []string) error {
			i.out = cmd.OutOrStdout()
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
			defer stop()
			runtime.LockOSThread()         // one thread changes the disk, so that a test can count its calls and stop it at any
			signal.Ignore(syscall.SIGPIPE) // what cannot be told must not stop a change half way
			return i.run(ctx, cmd.Flags().Changed("socket"))
		},
	}
	f := cmd.Flags()
	f.BoolVar(&i.add, "add", false, "put the snippets in, or bring them up to date")
	f.BoolVar(&i.check, "check", false, "say what is wrong, and change nothing")
	f.BoolVar(&i.remove, "remove", false, "take them out")
	f.BoolVar(&i.dryRun, "dry-run", false, "with --add: only say and try what would be done")
	f.BoolVar(&i.json, "json", false, "with --check: print a JSON array")
	f.BoolVar(&i.o.Force, "force", false, "with --add and --remove: write or remove files of ours too that somebody has edited")
	f.BoolVar(&i.o.Reload, "reload", false, "tell a running Exim of the change")
	f.StringVar(&i.o.Flavour, "flavour", "", "`NAME` of the flavour, if it is not found out: "+strings.Join(eximsnippets.All(), ", "))
	f.StringVar(&i.o.Exim, "exim", "", "`PATH` of the program Exim")
	f.StringVar(&i.o.Config, "exim-config", "", "Exim's configuration `FILE`, if it is not its own")
	f.StringVar(&i.o.Socket, "socket", eximsnippets.DefaultSocket, "`PATH` of the daemon's socket")
	f.StringVar(&i.o.Timeout, "timeout", eximsnippets.DefaultTimeout, "what one question may cost, whole `SECONDS` with their unit")
	f.StringVar(&i.config, "config", "", "the daemon's configuration `FILE`, for its socket and whether it holds mail")
	_ = cmd.RegisterFlagCompletionFunc("flavour", cobra.FixedCompletions(eximsnippets.All(), cobra.ShellCompDirectiveNoFileComp))
	cmd.MarkFlagsMutuallyExclusive("add", "check", "remove") // for what a shell offers; one says it before cobra does
	cmd.MarkFlagsOneRequired("add", "check", "remove")
	return cmd
}

// one wants one thing to be done.
func (i *installer) one() error {
	const hint = "write eximpolicyd setup --check, or --add, or --remove; --add --dry-run only says what --add would do"
	named := 0
	for _, is := range []bool{i.add, i.check, i.remove} {
		if is {
			named++
		}
	}
	switch {
	case named == 0:
		return fail(exUsage, hint, "setup needs to know what to do")
	case named > 1:
		return fail(exUsage, hint, "setup does one thing at a time")
	case i.dryRun && !i.add:
		return fail(exUsage, hint, "--dry-run is for --add")
	case i.json && !i.check:
		return fail(exUsage, hint, "--json is for --check")
	}
	return nil
}

func (i *installer) run(ctx context.Context, socketNamed bool) error {
	conf, err := load(i.config)
	if err != nil {
		return err
	}
	if !socketNamed && conf.Listen.Socket != "" {
		i.o.Socket = conf.Listen.Socket
	}
	if nobody, ok := conf.Policies["nobody"].Settings.(*policy.Nobody); ok {
		i.o.Freeze = nobody.Action == "freeze"
	}
	i.o.Version = version()
	i.o.Say = func(line string) { fmt.Fprintln(i.out, line) }
	unix.Umask(0o022) // a file that Exim's user cannot read is a 451 for all mail
	s, err := setup.Open(ctx, i.o)
	if err != nil {
		return setupFailure(err)
	}
	err = i.do(ctx, s)
	if cerr := s.Close(); cerr != nil {
		i.o.Say("a private folder is left behind, which does no harm: " + cerr.Error())
	}
	return err
}

func (i *installer) do(ctx context.Context, s *setup.Setup) error {
	switch {
	case i.dryRun:
		return setupFailure(s.Plan(ctx))
	case i.add:
		return setupFailure(s.Add(ctx))
	case i.remove:
		return setupFailure(s.Remove(ctx))
	}
	found, err := s.Check(ctx)
	if err != nil {
		return setupFailure(err)
	}
	if err := i.print(s.Flavour(), found); err != nil {
		return err
	}
	if len(found) > 0 {
		return &failure{code: exNone, err: errors.New(prose.Many(len(found), "finding"))}
	}
	return nil
}

// print writes the findings, each below its place.
func (i *installer) print(flavour string, found []setup.Finding) error {
	if i.json {
		if found == nil {
			found = []setup.Finding{}
		}
		e := jsonTo(i.out)
		e.SetEscapeHTML(false)
		return e.Encode(found)
	}
	w := bufio.NewWriter(i.out)
	paint := painter(i.out)
	if len(found) == 0 {
		fmt.Fprintf(w, "%s: Exim (%s) asks at every stage, and nothing stands in the way\n", paint("ok", "ok"), flavour)
	}
	for _, f := range found {
		fmt.Fprintln(w, paint("hit", f.Place()))
		wrapped(w, "", f.What)
		if f.Fix != "" {
			wrapped(w, "fix: ", f.Fix)
		}
	}
	return w.Flush()
}

// setupFailure gives a fault its exit code.
func setupFailure(err error) error {
	var f *setup.Fault
	if err == nil {
		return nil
	}
	if !errors.As(err, &f) {
		return fail(exIO, "nothing was changed", "%w", err)
	}
	code := map[setup.Kind]int{setup.Failed: exIO, setup.Dirty: exIO, setup.Busy: exTemporary, setup.Usage: exUsage,
		setup.NoExim: exUnavailable, setup.Forbidden: exPermission, setup.BadConfiguration: exConfig}[f.Kind]
	return &failure{code, err, f.Hint}
}
