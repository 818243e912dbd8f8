package report

import (
	"context"
	"sync"

	"eximpolicyd/internal/mainlog"
)

// feeding groups a log to connections ahead of whoever judges them.
//
// Bound: ahead batches of batchSize connections.
type feeding struct {
	batches chan []*mainlog.Connection // closed at the end
	stop    context.CancelFunc
	work    sync.WaitGroup
	err     error  // why it ended; good when batches is closed
	lost    uint64 // likewise
}

const (
	ahead     = 4
	batchSize = 64
)

// feed starts it. It ends with the log, with ctx, or when it is closed.
func feed(ctx context.Context, r *mainlog.Reader) *feeding {
	f := &feeding{batches: make(chan []*mainlog.Connection, ahead)}
	ctx, f.stop = context.WithCancel(ctx)
	f.work.Go(func() { // close waits for it
		defer close(f.batches)
		sessions := mainlog.NewSessions(r, 0)
		defer func() { f.lost = sessions.Lost }()
		for f.err == nil {
			batch := make([]*mainlog.Connection, 0, batchSize)
			for len(batch) < batchSize && f.err == nil {
				var c *mainlog.Connection
				if c, f.err = sessions.Next(); f.err == nil {
					batch = append(batch, c)
				}
			}
			select {
			case f.batches <- batch:
			case <-ctx.Done():
				f.err = ctx.Err()
			}
		}
	})
	return f
}

// failed returns why it ended, once batches is closed.
func (f *feeding) failed() error { return f.err }

// close ends it early and waits.
func (f *feeding) close() {
	f.stop()
	f.work.Wait()
}
