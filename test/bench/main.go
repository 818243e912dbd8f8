// Command bench measures what eximpolicyd costs and prints one table: what, the figure, what it must be, the verdict.
//
//	make bench                          everything, some ten minutes
//	go run ./test/bench -only session   one part, see -help
//	go run ./test/bench -markdown       the table of the README
//	make bench-peers                    beside other programs that judge clients, some minutes more
//	make soak FOR=24h                   whether anything grows, of a daemon that is asked evenly for so long
//
// What is compared is measured in turns within one run, round by round, and the figure is the median of the rounds'
// ratios: on a machine with noisy neighbours a figure of one minute says little about the next. Nothing is measured
// that did not happen: each part counts the decisions in the daemon's log, and fails if one is missing.
//
// The status is 0 if every must is met, 1 if one is missed, 2 if something could not be measured. All but callout, decision
// and idle need root, for real Exim and real name servers in name spaces of their own (package rig).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// part is one measurement: it returns its rows of the table.
type part struct {
	name string
	run  func(context.Context, *bench) ([]row, error)
}

// parts are in the order of the table.
var parts = []part{
	{"callout", callout},
	{"decision", decision},
	{"idle", idle},
	{"session", session},
	{"lists", slowLists},
	{"warm", warmLists},
	{"dead", deadList},
	{"resolver", resolver},
	{"cache", cache},
	{"counters", counters},
	{"windows", windows},
	{"replay", replays},
	{"trace", tracing},
}

// bench is what the parts share.
type bench struct {
	dir    string // temporary; Exim's user can enter it
	binary string // the daemon, as make build makes it
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == bareServer {
		fmt.Fprintln(os.Stderr, serveBare(os.Args[2], os.Args[3])) // it returns only if it cannot serve
		os.Exit(2)
	}
	if len(os.Args) == 3 && os.Args[1] == quickServer {
		fmt.Fprintln(os.Stderr, serveQuick(os.Args[2]))
		os.Exit(2)
	}
	args, within := os.Args[1:], ""
	if len(args) > 1 && args[0] == insidePeers {
		args, within = args[2:], args[1]
	}
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	only := flags.String("only", "", "run one `PART`: "+partNames())
	beside := flags.Bool("peers", false, "compare with other programs instead")
	long := flags.Duration("soak", 0, "ask evenly for a `TIME` like 24h instead, and look whether anything grows")
	markdown := flags.Bool("markdown", false, "print the table in Markdown")
	_ = flags.Parse(args) // it exits
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var rows []row
	var err error
	switch {
	case within != "":
		rows, err = peersHere(ctx, within)
	case *beside:
		os.Exit(runPeers(ctx, args))
	case *long > 0:
		rows, err = soaked(ctx, *long)
	default:
		rows, err = run(ctx, *only)
	}
	if *markdown {
		printMarkdown(os.Stdout, rows)
	} else {
		printText(os.Stdout, rows)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	if missed(rows) {
		os.Exit(1)
	}
}

func partNames() string {
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	return strings.Join(names, ", ")
}

// newBench makes what the parts share; clean removes it.
func newBench(ctx context.Context) (b *bench, clean func() error, err error) {
	b = &bench{}
	if b.dir, err = os.MkdirTemp("", "eximpolicyd-bench-"); err != nil {
		return nil, nil, err
	}
	clean = func() error { return os.RemoveAll(b.dir) }
	b.binary = filepath.Join(b.dir, "eximpolicyd")
	if err := errors.Join(os.Chmod(b.dir, 0o755), build(ctx, b.binary)); err != nil {
		return nil, nil, errors.Join(err, clean())
	}
	return b, clean, nil
}

// soaked runs a soak with a daemon built for it.
func soaked(ctx context.Context, long time.Duration) (rows []row, err error) {
	b, clean, err := newBench(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, clean()) }()
	return soak(ctx, b, long)
}

// runPeers runs this program again where no packet can leave, and returns its status.
func runPeers(ctx context.Context, args []string) int {
	b, clean, err := newBench(ctx)
	if err == nil {
		err = errors.Join(isolated(ctx, b, args...), clean())
	}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode()
	} else if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 2
	}
	return 0
}

// run runs the parts, or one of them, with a daemon built for it.
func run(ctx context.Context, only string) (rows []row, err error) {
	b, clean, err := newBench(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, clean()) }()
	known := false
	for _, p := range parts {
		if only != "" && only != p.name {
			continue
		}
		known = true
		fmt.Fprintf(os.Stderr, "measuring %s ...\n", p.name)
		part, err := p.run(ctx, b)
		rows = append(rows, part...)
		if err != nil {
			return rows, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	if !known {
		return nil, fmt.Errorf("no part %q: %s", only, partNames())
	}
	return rows, nil
}
