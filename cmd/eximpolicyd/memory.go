package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"time"

	"eximpolicyd/internal/config"
	"eximpolicyd/internal/ledger"
)

// defaultState is where the memory is kept if neither the configuration nor systemd says otherwise.
const defaultState = "/var/lib/eximpolicyd"

// Of a daemon that is ending, whose folder another waits for: it lets go of its socket first, and then saves.
const (
	lockWait  = 3 * time.Second
	lockAgain = 50 * time.Millisecond
)

// openMemory opens the memory across connections, and waits a little for a daemon that is ending. A folder that can't be used is no reason not to answer: the memory then
// lives as long as the daemon. That another daemon has the folder is one, since two would write over each other.
func openMemory(ctx context.Context, c config.State, log *slog.Logger) (*ledger.Engine, error) {
	dir := stateDir(c)
	o := ledger.Options{Dir: dir, Keys: keysWithin(c.Keys, log), Log: log}
	memory, err := ledger.Open(o)
	for began := time.Now(); errors.Is(err, ledger.ErrLocked) && time.Since(began) < lockWait && ctx.Err() == nil; {
		pause(ctx, lockAgain)
		memory, err = ledger.Open(o)
	}
	if errors.Is(err, ledger.ErrLocked) {
		return nil, fail(exTemporary, "stop the other daemon, or give this one a folder of its own: state.dir",
			"another daemon keeps its memory in %s", dir)
	}
	return memory, err
}

// stateDir returns the folder, or nothing if nothing is saved. systemd names several with colons between them.
func stateDir(c config.State) string {
	if !c.Save {
		return ""
	}
	if c.Dir != "" {
		return c.Dir
	}
	if dir, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":"); dir != "" {
		return dir
	}
	return defaultState
}
