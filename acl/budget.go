package acl

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"eximpolicyd/policy"
)

// Budget is how long a decision at a stage may take; after it Exim is answered with what is known then. Exim's own
// time-out is 3 s and costs the client as much.
func Budget(stage policy.Stage) time.Duration {
	switch stage {
	case policy.Mail, policy.RCPT:
		return 1500 * time.Millisecond
	case policy.Predata, policy.MIME, policy.Data, policy.NotSMTP:
		return time.Second
	}
	return 200 * time.Millisecond
}

// budget is a context that ends at its time. Unlike one of context.WithTimeout it has no timer until somebody waits for
// its end: most decisions wait for nothing. Call stop when the decision is made.
type budget struct {
	end     time.Time
	once    sync.Once
	timer   context.Context
	cancel  context.CancelFunc
	stopped atomic.Bool
}

var _ context.Context = (*budget)(nil)

// Deadline returns the end.
func (b *budget) Deadline() (time.Time, bool) { return b.end, true }

// Done returns a channel that is closed at the end, and by stop.
func (b *budget) Done() <-chan struct{} {
	b.once.Do(func() { b.timer, b.cancel = context.WithDeadline(context.Background(), b.end) })
	return b.timer.Done()
}

// Err is nil until the end, and not after stop: a context that is made of this one ends the program if it ends without
// an error.
func (b *budget) Err() error {
	switch {
	case b.stopped.Load():
		return context.Canceled
	case time.Now().Before(b.end):
		return nil
	}
	return context.DeadlineExceeded
}

// Value has none.
func (b *budget) Value(any) any { return nil }

// stop ends the timer, if there is one.
func (b *budget) stop() {
	b.stopped.Store(true)
	b.once.Do(func() {})
	if b.cancel != nil {
		b.cancel()
	}
}
