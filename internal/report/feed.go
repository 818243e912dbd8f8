package report

import (
	"context"
	"sync"

	"eximpolicyd/internal/mainlog"
)

// feeding groups a log to connections, and makes them ready, ahead of whoever judges them.
//
// Bound: ahead batches of batchSize connections, and spares that wait for another connection, 3 kB each.
type feeding struct {
	batches chan []*course // closed at the end
	spare   chan *course   // that are done with
	stop    context.CancelFunc
	work    sync.WaitGroup
	err     error  // why it ended; good when batches is closed
	lost    uint64 // likewise
}

const (
	ahead     = 4
	batchSize = 64
	spares    = 128
)

// feed starts it. It ends with the log, with ctx, or when it is closed.
func feed(ctx context.Context, r *mainlog.Reader, o *Options) *feeding {
	f := &feeding{batches: make(chan []*course, ahead), spare: make(chan *course, spares)}
	ctx, f.stop = context.WithCancel(ctx)
	f.work.Go(func() { // close waits for it
		defer close(f.batches)
		sessions := mainlog.NewSessions(r, 0)
		defer func() { f.lost = sessions.Lost }()
		for number := 0; f.err == nil; {
			batch := make([]*course, 0, batchSize)
			for len(batch) < batchSize && f.err == nil {
				var c *mainlog.Connection
				if c, f.err = sessions.Next(); f.err == nil {
					batch = append(batch, f.course())
					batch[len(batch)-1].start(c, number, o)
					number++
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

// course returns one that is done with, or a new one.
func (f *feeding) course() *course {
	select {
	case c := <-f.spare:
		return c
	default:
		return new(course)
	}
}

// done takes a course back.
func (f *feeding) done(c *course) {
	c.Connection = nil
	select {
	case f.spare <- c:
	default:
	}
}

// failed returns why it ended, once batches is closed.
func (f *feeding) failed() error { return f.err }

// close ends it early and waits.
func (f *feeding) close() {
	f.stop()
	f.work.Wait()
}
