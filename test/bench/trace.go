package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"eximpolicyd/test/logs"
)

// tracing measures who sent what of a million lines, by what few have and by what every other message has alone, and the story
// of one message among them. The memory of the second is that of the bound.
func tracing(ctx context.Context, b *bench) (rows []row, err error) {
	log := filepath.Join(b.dir, "mainlog")
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(logs.Write(file, nil, logs.Form{Lines: replayLines, Hosting: true}), file.Close()); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.Remove(log)) }()
	ways := []struct {
		what string
		args []string
		took []time.Duration
		rss  []float64
	}{
		{what: "trace top --by directory", args: []string{"top", "--by", "directory"}},
		{what: "trace top --by subject", args: []string{"top", "--by", "subject"}},
		{what: "trace top --by address --all", args: []string{"top", "--by", "address", "--all"}},
		{what: "trace MESSAGE-ID, with what else its sender sent", args: []string{"1xVT00-000001-2c"}},
	}
	var turns []func() error
	for i := range ways {
		w := &ways[i]
		turns = append(turns, func() error {
			took, most, err := timed(exec.CommandContext(ctx, b.binary, append(append([]string{"trace", "--zone", "UTC"}, w.args...), log)...), nil)
			w.took, w.rss = append(w.took, took), append(w.rss, most)
			return err
		})
	}
	if err := alternate(replayRounds, turns...); err != nil {
		return nil, err
	}
	for i := range ways {
		w := &ways[i]
		rows = append(rows,
			under(w.what+", a million lines", median(w.took).Seconds(), 10, "%.2f", " s"),
			under("the same, RSS", median(w.rss), 128, "%.1f", " MB"))
	}
	in, out := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := logs.Write(out, nil, logs.Form{Lines: 10 * replayLines, Hosting: true})
		written <- errors.Join(err, out.CloseWithError(err))
	}()
	_, long, err := timed(exec.CommandContext(ctx, b.binary, "trace", "--zone", "UTC", "top", "--by", "subject", "-"), in)
	if err := errors.Join(err, in.Close(), <-written); err != nil {
		return nil, err
	}
	return append(rows, under("trace top --by subject, ten million lines, RSS", long, 128, "%.1f", " MB")), nil
}
