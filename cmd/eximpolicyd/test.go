package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"eximpolicyd/internal/config"
	"eximpolicyd/internal/prose"
	"eximpolicyd/internal/scenario"
)

// tester is the subcommand test with its flags.
type tester struct {
	verbose, json, update bool
	example               string

	out    io.Writer
	paint  func(result, text string) string
	failed int // files
}

func testCommand() *cobra.Command {
	t := &tester{}
	cmd := &cobra.Command{
		Use:   "test FILE...",
		Short: "play policy tests that are written as text",
		Long: `Play sessions that are written as text with their configuration, what the DNS answers, and what must come back
(eximpolicyd-scenario(5)). What decides is what decides in serve; nothing is sent to a daemon or to a DNS server,
nothing is remembered, and time passes as the text says.

    -- config --                       the configuration of the cases below
    -- dns --                          what the DNS answers
    -- case a guesser --               a session begins, and what is remembered is empty
    > RCPT TO:<b@example.org> unknown  what the client says, and what Exim finds
    < defer 451 4.7.1 rule=ban         what Exim must be told; only what is written is compared
    ! would=deny score=3.0             what must be found
    @ +1h                              time passes
    @ reconnect                        the client connects again

A FILE that is - is what comes in. The exit code is 0 if everything came back as written, 1 if something did not, 65 if
a file is none, and 66 if one can't be read: then nothing of any file is played.`,
		Example: `  eximpolicyd test /etc/eximpolicyd/*.scenario
  eximpolicyd test --update guesser.scenario
  eximpolicyd test --example dictionary >guesser.scenario`,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case cmd.Flags().Changed("example") && len(args) > 0:
				return fail(exUsage, "leave out --example to play them", "--example takes no files")
			case cmd.Flags().Changed("example"):
				return printExample(cmd.OutOrStdout(), t.example)
			case len(args) == 0:
				return fail(exUsage, "eximpolicyd test --example helo prints one", "no file given")
			case t.update && slices.Contains(args, stdin):
				return fail(exUsage, "give the file's name", "--update has nowhere to write to what came by -")
			}
			t.out, t.paint = cmd.OutOrStdout(), painter(cmd.OutOrStdout())
			return t.run(args)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&t.verbose, "verbose", "v", false, "name every case, and show the trace of a decision that is not as written")
	f.BoolVar(&t.json, "json", false, "print one JSON object a file, a line each")
	f.BoolVar(&t.update, "update", false, "write what came back in the place of what was expected")
	f.StringVar(&t.example, "example", "", "print the example of a `POLICY`: "+strings.Join(scenario.Examples(), ", "))
	_ = cmd.RegisterFlagCompletionFunc("example", cobra.FixedCompletions(scenario.Examples(), cobra.ShellCompDirectiveNoFileComp)) // fails only for no flag
	return cmd
}

func printExample(out io.Writer, name string) error {
	text := scenario.Example(name)
	if text == "" {
		return fail(exUsage, "there is one of each policy: "+strings.Join(scenario.Examples(), ", "), "there is no example %q", name)
	}
	_, err := io.WriteString(out, text)
	return err
}

func (t *tester) run(paths []string) error {
	files, err := readScenarios(paths)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT) // not before: who writes into a pipe may keep us waiting
	defer stop()
	for _, f := range files {
		r, err := f.Play(ctx)
		switch {
		case errors.Is(err, context.Canceled):
			return fail(exTemporary, "", "%s: interrupted", f.Name)
		case err != nil:
			return fail(exUnavailable, "", "%w", err)
		case t.update:
			err = t.rewrite(f, &r)
		}
		if err == nil {
			err = t.print(&r)
		}
		if err != nil {
			return err
		}
		if !r.OK {
			t.failed++
		}
	}
	if t.failed > 0 {
		return &failure{code: exNone, err: fmt.Errorf("%d of %s did not come out as written", t.failed, prose.Many(len(files), "file"))}
	}
	return nil
}

// readScenarios reads all files before one is played, and tells the mistakes of all.
func readScenarios(paths []string) (files []*scenario.File, err error) {
	var mistakes config.Mistakes
	for _, path := range paths {
		text, err := readScenario(path)
		if err != nil {
			if at := new(fs.PathError); errors.As(err, &at) {
				err = at.Err
			}
			return nil, fail(exNoInput, "give a file of cases; eximpolicyd test --example helo prints one", "%s: %w", printable(path), err)
		}
		f, err := scenario.Parse(path, text)
		var bad config.Mistakes
		if errors.As(err, &bad) {
			mistakes = append(mistakes, bad...)
			continue
		}
		files = append(files, f)
	}
	if len(mistakes) > 0 {
		return nil, &failure{exData, mistakes, "eximpolicyd test --help shows how a file is written, and --example helo prints one"}
	}
	return files, nil
}

// stdin is what a file is called that comes that way.
const stdin = "-"

// readScenario reads a file, or a little more than one may have.
func readScenario(path string) ([]byte, error) {
	if path == stdin {
		return io.ReadAll(io.LimitReader(os.Stdin, scenario.MaxFile+1))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, scenario.MaxFile+1))
}

// rewrite writes a file anew where that mends it. What it can't mend stays a failure.
func (t *tester) rewrite(f *scenario.File, r *scenario.Result) error {
	text, lines := f.Updated(r)
	if lines == 0 {
		return nil
	}
	switch err := replace(f.Name, f.Text(), text); {
	case errors.Is(err, errChanged):
		return fail(exTemporary, "test it once more", "%s %w: nothing was written", f.Name, err)
	case err != nil:
		return fail(exIO, "", "cannot write %s: %w", f.Name, err)
	}
	r.Mend()
	if t.json {
		return nil
	}
	_, err := fmt.Fprintf(t.out, "updated %s (%s)\n", printable(f.Name), prose.Many(lines, "line"))
	return err
}

// print tells of a file: its failures as a diff, then a line as go test has it.
func (t *tester) print(r *scenario.Result) error {
	if t.json {
		e := jsonTo(t.out)
		e.SetEscapeHTML(false) // every line of a dialogue begins with what it would escape
		return e.Encode(r)
	}
	w := bufio.NewWriter(t.out)
	bad, file := 0, printable(r.File)
	for i := range r.Cases {
		c := &r.Cases[i]
		name := legible(c.Name) // whoever wrote the file may have turned its direction
		if !c.OK {
			bad++
		}
		if t.verbose && c.OK {
			fmt.Fprintf(w, "%s %s:%d: %s\n", t.paint("ok", "ok  "), file, c.Line, name)
		}
		for _, f := range c.Failures {
			fmt.Fprintf(w, "%s:%d: %s\n", file, f.Line, name)
			t.diff(w, &f)
		}
	}
	if r.OK {
		fmt.Fprintf(w, "%s %s (%s)\n", t.paint("ok", "ok  "), file, prose.Many(len(r.Cases), "case"))
	} else {
		fmt.Fprintf(w, "%s %s (%d of %s)\n", t.paint("hit", "FAIL"), file, bad, prose.Many(len(r.Cases), "case"))
	}
	return w.Flush()
}

// diff shows a failure: what was said, what was wanted, what came.
func (t *tester) diff(w io.Writer, f *scenario.Failure) {
	for line := range strings.Lines(f.Said) {
		fmt.Fprintf(w, "      %s\n", legible(strings.TrimRight(line, "\n")))
	}
	for _, d := range f.Diff {
		if d.Want != "" {
			fmt.Fprintln(w, t.paint("hit", "    - "+legible(d.Want)))
		}
		fmt.Fprintln(w, t.paint("ok", "    + "+legible(d.Got)))
	}
	if t.verbose && len(f.Trace) > 0 {
		printTrace(w, f.Trace, "        ", t.paint, isTerminal(t.out))
	}
}
