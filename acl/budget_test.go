package acl

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestWhatIsMadeOfABudgetEndsWithIt(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(*budget)
		want error
	}{
		{"the decision is made", (*budget).stop, context.Canceled},
		{"the time is over", func(b *budget) { <-b.Done() }, context.DeadlineExceeded},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := &budget{end: time.Now().Add(time.Second)}
			if b.Err() != nil {
				t.Error("it is over before it has begun")
			}
			part, stop := context.WithTimeout(b, time.Minute)
			defer stop()
			c.end(b)
			synctest.Wait()
			if !errors.Is(part.Err(), c.want) || !errors.Is(b.Err(), c.want) {
				t.Errorf("%s: %v, and a part of it %v", c.name, b.Err(), part.Err())
			}
			b.stop()
		})
	}
}
