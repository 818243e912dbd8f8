package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"eximpolicyd/acl"
	"eximpolicyd/internal/ledger"
)

// Of the file of decisions.
const (
	decisionsFile = "decisions"
	decisionsRest = time.Minute      // between two saves, if something has changed: what a crash may lose
	maxDecisions  = 2 * (16<<20 + 1) // octets that are read; the ring writes half of it
)

// decisions keeps the ring of recent decisions on the disk. Saving is nobody's wait but its own: what can't be saved is told of
// once, stands in status, and is tried again every minute.
//
// A minute in which nothing was added costs a look at a number. Else the file is written anew, whole: that is 12 MB for 2,048
// ordinary decisions, and 16 MB at most. To append would save most of that, and cost a second form of the file, with a half line
// at its end after each crash.
type decisions struct {
	*acl.Ring
	state func() ledger.State
	log   func() *slog.Logger

	loading sync.WaitGroup // until what an earlier daemon has left is there; whoever looks for a decision waits for it

	mu    sync.Mutex             // one save at a time
	saved uint64                 // the edition that is on the disk
	wrong atomic.Pointer[string] // why the last save failed; nil: it did not
}

// fault says why they are not saved, or nothing.
func (d *decisions) fault() string {
	if why := d.wrong.Load(); why != nil {
		return *why
	}
	return ""
}

func (d *decisions) file() *stateFile { return &stateFile{decisionsFile, maxDecisions, d.state} }

// load reads what an earlier daemon has left, while new ones are made. What it can't read is lost, and told of.
func (d *decisions) load() {
	d.saved = d.Edition()
	var taken, damaged int
	err := d.file().read(func(r io.Reader) (err error) {
		taken, damaged, err = d.Load(r)
		d.saved++
		return err
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		d.log().Error("earlier decisions can't be explained", "error", err)
	case damaged > 0:
		d.log().Warn("some earlier decisions can't be explained: their lines are damaged", "file", d.file().path(),
			"damaged", damaged, "read", taken)
	}
}

// Find returns a decision.
func (d *decisions) Find(id string) (json.RawMessage, bool) {
	d.loading.Wait()
	return d.Ring.Find(id)
}

// Last returns the last decisions.
func (d *decisions) Last(most int) []json.RawMessage {
	d.loading.Wait()
	return d.Ring.Last(most)
}

// Kept returns how many there are, and the id of the oldest.
func (d *decisions) Kept() (n int, oldest string) {
	d.loading.Wait()
	return d.Ring.Kept()
}

// outlive loads what an earlier daemon has left, keeps it with what comes, and saves it when ctx ends. Requests are answered
// all the while: with a full ring both take a quarter of a second, for which Exim would wait at a restart.
func (d *decisions) outlive(ctx context.Context) {
	d.load()
	d.loading.Done()
	d.keep(ctx)
	d.save()
}

// keep writes out and saves until ctx ends. Call save once more then.
func (d *decisions) keep(ctx context.Context) {
	for pause(ctx, decisionsRest) {
		d.save()
	}
}

// save replaces the file, if something has changed.
func (d *decisions) save() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	edition := d.Edition()
	if edition == d.saved { // all of it is written out, too
		return nil
	}
	d.Settle()
	err := d.file().write(d.Save)
	if err == nil {
		d.saved = edition
		d.wrong.Store(nil)
		return nil
	}
	why := err.Error()
	if d.wrong.Swap(&why) == nil {
		d.log().Error("recent decisions are not saved: explain knows them only until the daemon ends; this is tried again every minute",
			"error", err)
	}
	return err
}

// Forget removes decisions from memory and from the disk.
func (d *decisions) Forget(match func(*acl.Explanation) bool) (int, error) {
	d.loading.Wait()
	n := d.Ring.Forget(match)
	return n, d.save()
}
