package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"eximpolicyd/internal/mainlog"
	"eximpolicyd/test/logs"
)

// A log of a million lines, and for the memory one that is ten times as long.
const (
	replayLines  = 1_000_000
	replayRounds = 5
)

// replays measures how fast a log is read, and judged, beside eximstats, which only counts it, and what memory that takes.
func replays(ctx context.Context, b *bench) (rows []row, err error) {
	if _, err := exec.LookPath("eximstats"); err != nil {
		return nil, fmt.Errorf("eximstats is Debian's exim4-base: %w", err)
	}
	log := filepath.Join(b.dir, "mainlog")
	if err := writeLog(log, replayLines); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.Remove(log)) }()
	var theirs, parsing, whole []time.Duration
	var rss []float64
	err = alternate(replayRounds,
		func() error {
			took, _, err := timed(exec.CommandContext(ctx, "eximstats", log), nil)
			theirs = append(theirs, took)
			return err
		},
		func() error {
			took, err := parse(log)
			parsing = append(parsing, took)
			return err
		},
		func() error {
			took, most, err := timed(exec.CommandContext(ctx, b.binary, "replay", "--zone", "UTC", log), nil)
			whole, rss = append(whole, took), append(rss, most)
			return err
		})
	if err != nil {
		return nil, err
	}
	in, out := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := logs.Write(out, nil, logs.Form{Lines: 10 * replayLines})
		written <- errors.Join(err, out.CloseWithError(err))
	}()
	_, long, err := timed(exec.CommandContext(ctx, b.binary, "replay", "--zone", "UTC", "-"), in)
	if err := errors.Join(err, in.Close(), <-written); err != nil {
		return nil, err
	}
	against := func(ours []time.Duration) float64 {
		ratios := make([]float64, len(ours))
		for i := range ours {
			ratios[i] = float64(theirs[i]) / float64(ours[i])
		}
		return median(ratios)
	}
	speed := func(took []time.Duration) float64 { return replayLines / median(took).Seconds() }
	return []row{
		told("lines/s of a log of a million: eximstats, our parser, a whole replay", "%.0f, %.0f, %.0f", speed(theirs), speed(parsing), speed(whole)),
		least("parsing alone against eximstats", against(parsing), 12, "%.1f", " times"),
		least("a whole replay against eximstats", against(whole), 5, "%.1f", " times"),
		under("RSS of a replay of a million lines", median(rss), 64, "%.1f", " MB"),
		under("the same, ten millions", long, 64, "%.1f", " MB"),
	}, nil
}

func writeLog(name string, lines int) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(logs.Write(file, nil, logs.Form{Lines: lines}), file.Close())
}

// timed runs a command and returns how long it took, and its greatest memory in MB.
func timed(cmd *exec.Cmd, stdin io.Reader) (took time.Duration, mb float64, err error) {
	cmd.Stdin, cmd.Stderr = stdin, os.Stderr
	debug.FreeOSMemory() // the kernel begins a child's greatest memory with ours
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, 0, fmt.Errorf("%s: %w", cmd, err)
	}
	took = time.Since(began)
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		mb = float64(usage.Maxrss) / 1024
	}
	return took, mb, nil
}

// parse reads a log to its end, and does nothing with it.
func parse(name string) (time.Duration, error) {
	began := time.Now()
	r := mainlog.NewReader([]mainlog.Input{mainlog.File(name)}, mainlog.Options{Location: time.UTC})
	defer r.Close()
	for {
		switch _, err := r.Next(); {
		case errors.Is(err, io.EOF) && r.Counts().Entries() != replayLines:
			return 0, fmt.Errorf("%d entries of %d lines", r.Counts().Entries(), replayLines)
		case errors.Is(err, io.EOF):
			return time.Since(began), nil
		case err != nil:
			return 0, err
		}
	}
}
