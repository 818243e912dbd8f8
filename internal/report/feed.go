package report

import (
	"context"
	"sync"

	"eximpolicyd/internal/mainlog"
)

// feeding groups a log to connections, and makes them ready, ahead of whoever judges them.
//
// Bound: ahead batches of batchSize connections, and twice as many that are done with and wait for another connection, 6 kB
// each.
type feeding struct {
	batches chan []*course // closed at the end
	spare   chan []*course // that are done with
	stop    context.CancelFunc
	work    sync.WaitGroup
	err     error  // why it ended; good when batches is closed
	lost    uint64 // likewise

	idle []*course // of spare, the feeder's
	over []*course // that go there, of who judges
}

const (
	ahead     = 4
	batchSize = 64
	mostSpare = 4 << 10 // octets of the entries of a connection that is used again: an ordinary one has a tenth
)

// feed starts it. It ends with the log, with ctx, or when it is closed.
func feed(ctx context.Context, r *mainlog.Reader, o *Options) *feeding {
	f := &feeding{batches: make(chan []*course, ahead), spare: make(chan []*course, ahead)}
	ctx, f.stop = context.WithCancel(ctx)
	f.work.Go(func() { // close waits for it
		defer close(f.batches)
		sessions := mainlog.NewSessions(r, 0)
		defer func() { f.lost = sessions.Lost }()
		for number := 0; f.err == nil; {
			batch := make([]*course, 0, batchSize)
			for len(batch) < batchSize && f.err == nil {
				var of *mainlog.Connection
				if of, f.err = sessions.Next(); f.err == nil {
					c := f.course(sessions)
					c.start(of, number, o)
					batch = append(batch, c)
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

// course returns one that is done with, whose connection goes back, or a new one.
func (f *feeding) course(sessions *mainlog.Sessions) *course {
	if len(f.idle) == 0 {
		select {
		case f.idle = <-f.spare:
		default:
			return new(course)
		}
	}
	last := len(f.idle) - 1
	c := f.idle[last]
	f.idle = f.idle[:last]
	if c.Connection != nil {
		sessions.Reuse(c.Connection)
	}
	return c
}

// done takes a course back.
func (f *feeding) done(c *course) {
	if c.Octets > mostSpare {
		c.Connection = nil
	}
	if f.over = append(f.over, c); len(f.over) < batchSize {
		return
	}
	select {
	case f.spare <- f.over:
		f.over = make([]*course, 0, batchSize)
	default:
		clear(f.over)
		f.over = f.over[:0]
	}
}

// failed returns why it ended, once batches is closed.
func (f *feeding) failed() error { return f.err }

// close ends it early and waits.
func (f *feeding) close() {
	f.stop()
	f.work.Wait()
}
