package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"eximpolicyd/acl"
	"eximpolicyd/internal/ledger"
)

// Of the file of decisions.
const (
	decisionsFile = "decisions"      // below the folder of the memory, whose lock guards it
	decisionsRest = time.Minute      // between two saves, if something has changed: what a crash may lose
	maxDecisions  = 2 * (16<<20 + 1) // octets that are read; the ring writes half of it
)

// decisions keeps the ring of recent decisions on the disk. Saving is nobody's wait but its own: what can't be saved is told of
// once, and tried again every minute.
type decisions struct {
	*acl.Ring
	state func() ledger.State
	log   func() *slog.Logger

	mu      sync.Mutex // one save at a time
	saved   uint64     // the edition that is on the disk
	failing bool
}

// load reads what an earlier daemon has left. What it can't read is lost, and told of.
func (d *decisions) load() {
	dir := d.state().Dir
	if dir == "" {
		return
	}
	left, _ := filepath.Glob(filepath.Join(dir, "."+decisionsFile+"[0-9]*")) // of a save that was cut off
	for _, name := range left {
		os.Remove(name)
	}
	taken, damaged, err := d.read(filepath.Join(dir, decisionsFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		d.log().Error("earlier decisions can't be explained", "error", err)
	case damaged > 0:
		d.log().Warn("some earlier decisions can't be explained: their lines are damaged", "file", filepath.Join(dir, decisionsFile),
			"damaged", damaged, "read", taken)
	}
	d.saved = d.Edition()
}

func (d *decisions) read(path string) (taken, damaged int, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return 0, 0, fmt.Errorf("%s is no file: %w", path, err)
	}
	return d.Load(io.LimitReader(f, maxDecisions))
}

// keep writes out and saves until ctx ends. Call save once more then.
func (d *decisions) keep(ctx context.Context) {
	t := time.NewTicker(decisionsRest)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		d.save()
	}
}

// save replaces the file, if something has changed.
func (d *decisions) save() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.Settle()
	edition := d.Edition()
	if edition == d.saved {
		return nil
	}
	err := d.write()
	switch {
	case err == nil:
		d.saved, d.failing = edition, false
	case !d.failing:
		d.failing = true
		d.log().Error("recent decisions are not saved: explain knows them only until the daemon ends; this is tried again every minute",
			"error", err)
	}
	return err
}

// write writes the file, whose folder must be ours: another daemon may have taken it over.
func (d *decisions) write() error {
	st := d.state()
	switch {
	case st.Dir == "":
		return nil
	case st.Fault != "":
		return errors.New(st.Fault)
	}
	f, err := renameio.NewPendingFile(filepath.Join(st.Dir, decisionsFile), renameio.WithTempDir(st.Dir), renameio.WithStaticPermissions(0o600))
	if err != nil {
		return err
	}
	defer f.Cleanup()
	if err := d.Save(f); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}

// Forget removes decisions from memory and from the disk.
func (d *decisions) Forget(match func(*acl.Explanation) bool) (int, error) {
	n := d.Ring.Forget(match)
	return n, d.save()
}
