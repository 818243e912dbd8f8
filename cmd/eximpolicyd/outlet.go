package main

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"eximpolicyd/internal/prose"
)

// Bounds of the outlet.
const (
	outletSize = 1 << 20         // octets that wait for a slow reader of the log
	outletEnd  = 2 * time.Second // for the last of them, when the daemon stops
	// Between two writes. A line of a quiet daemon is written at once; a busy one writes what came meanwhile in one go,
	// which took 7 % off a callout.
	outletRest = 5 * time.Millisecond
)

// outlet stands between the log and whoever reads it, so that a reader who does not read holds up no answer: lines wait
// in memory up to a bound; beyond it they are dropped, counted, and told of. A crash loses what waits, which with a
// reader who reads is nothing but the last moment.
type outlet struct {
	dropped atomic.Uint64 // lines, since the start

	mu      sync.Mutex
	waiting []byte
	lost    int
	closed  bool
	wake    chan struct{} // holds one token while something waits
	done    chan struct{} // closed when the last line is written
}

// newOutlet starts writing to w. Close ends it.
func newOutlet(w io.Writer) *outlet {
	o := &outlet{wake: make(chan struct{}, 1), done: make(chan struct{})}
	go o.drain(w) // ends with Close, which waits for it as long as outletEnd
	return o
}

// Write takes one line. It never blocks and never fails.
func (o *outlet) Write(line []byte) (int, error) {
	o.mu.Lock()
	first := len(o.waiting) == 0
	if len(o.waiting)+len(line) > outletSize || o.closed {
		o.lost++
		o.dropped.Add(1)
	} else {
		o.waiting = append(o.waiting, line...)
	}
	o.mu.Unlock()
	if first {
		o.rouse()
	}
	return len(line), nil
}

// rouse has drain look what waits.
func (o *outlet) rouse() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// Close writes what waits, and gives up on a reader who does not read.
func (o *outlet) Close() error {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.rouse()
	t := time.NewTimer(outletEnd)
	defer t.Stop()
	select {
	case <-o.done:
	case <-t.C:
	}
	return nil
}

// drain writes what waits, many lines at once where they come faster than they are read.
func (o *outlet) drain(w io.Writer) {
	defer close(o.done)
	var spare []byte
	for range o.wake {
		o.mu.Lock()
		batch, lost, closed := o.waiting, o.lost, o.closed
		o.waiting, o.lost = spare[:0], 0
		o.mu.Unlock()
		if lost > 0 {
			batch = fmt.Appendf(batch, "%s of this log %s lost: it was read too slowly\n", prose.Many(lost, "line"), prose.Form(lost, "was", "were"))
		}
		// A reader that has gone is no reason to stop answering: the error is his.
		_, _ = w.Write(batch)
		spare = batch
		if closed {
			return
		}
		time.Sleep(outletRest)
	}
}
