package report

import (
	"context"
	"fmt"
	"sync"
	"time"

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
	back    stepsBack

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
		sessions := mainlog.SessionsOf(func() (*mainlog.Event, error) {
			e, err := r.Next()
			if err == nil {
				f.back.look(e)
			}
			return e, err
		}, 0)
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

// stepsBack finds where the time of a log goes back, as in one that was put together in a wrong order. The zero value is of a
// log that has not begun.
type stepsBack struct {
	latest int64 // in seconds
	faults []string
}

const (
	stepBack  = 3600 // seconds: Exim's processes overtake each other by less, and so does a clock that is set right
	mostSteps = 3    // that are told of
)

func (b *stepsBack) look(e *mainlog.Event) {
	now := e.Time.Unix()
	if now >= b.latest-stepBack {
		b.latest = max(b.latest, now)
		return
	}
	if len(b.faults) < mostSteps {
		b.faults = append(b.faults, fmt.Sprintf("%s: line %d goes back in time by %s, and what follows is judged as if it were later: give each log as a file of its own, they are put in order",
			e.File, e.Line, span(b.latest-now)))
	}
	b.latest = now
}

// span writes seconds for a reader, as days if they are many.
func span(seconds int64) string {
	if days := seconds / 86400; days > 1 {
		return fmt.Sprintf("%d days", days)
	}
	return (time.Duration(seconds) * time.Second).String()
}

// failed returns why it ended, once batches is closed.
func (f *feeding) failed() error { return f.err }

// close ends it early and waits.
func (f *feeding) close() {
	f.stop()
	f.work.Wait()
}
