package rbl

import (
	"sync"
	"sync/atomic"
	"time"
)

// maxQueue bounds the questions that wait for a seat of one lane.
const maxQueue = 1024

// The inbox of a server holds about 160 packets, and loses what comes then. One that has to ask others holds few in it;
// one that answers at once has no use for more. So while quickUnder questions are under way in all, a lane whose answers
// come within quickAnswer has no more than quickSeats of them.
const (
	quickUnder  = 128
	quickSeats  = 8
	quickAnswer = 5 * time.Millisecond
)

// lane keeps questions of one sort from taking the seats of another: at most so many are under way, up to maxQueue wait
// their turn, and more fail at once with Busy. Resolver.lane makes it.
type lane struct {
	mu      sync.Mutex
	seats   int
	busy    int
	queue   []*query
	streams chan struct{} // taken by questions over TCP
	took    atomic.Int64  // what an answer takes, in nanoseconds: a running mean; 0: nobody knows
	under   *atomic.Int32 // questions under way in all lanes of the resolver
}

// Bounds of the time after which a question is sent once more.
const (
	soonest  = 250 * time.Millisecond // a daemon that a thousand callers ask at once reads an answer late, too
	firstTry = 500 * time.Millisecond // a client of Exim waits no longer than 1.5 s for both
)

// patience is for how long the first try of a question is waited for: four times what answers take. A packet that a busy
// server had no room for then costs a moment, and a list that takes its time is not asked twice.
func (l *lane) patience() time.Duration {
	took := time.Duration(l.took.Load())
	if took == 0 {
		return firstTry
	}
	return min(max(4*took, soonest), firstTry)
}

// learn counts what one answer took.
func (l *lane) learn(took time.Duration) {
	mean := l.took.Load()
	if mean == 0 {
		mean = int64(took)
	}
	l.took.Store(mean + (int64(took)-mean)/8)
}

// lane makes a lane of so many seats.
func (r *Resolver) lane(seats int) *lane {
	return &lane{seats: seats, streams: make(chan struct{}, maxStreams), under: &r.under}
}

// free reports whether one more question may be under way. The lock is held.
func (l *lane) free() bool {
	if took := l.took.Load(); took > 0 && took < int64(quickAnswer) && l.busy >= quickSeats && l.under.Load() >= quickUnder {
		return false
	}
	return l.busy < l.seats
}

// take fills a seat. The lock is held.
func (l *lane) take() {
	l.busy++
	l.under.Add(1)
}

// enter gives a query a seat, or a place in the queue.
func (l *lane) enter(q *query) (seat, queued bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 && l.free() {
		l.take()
		return true, false
	}
	if len(l.queue) >= maxQueue {
		return false, false
	}
	l.queue = append(l.queue, q)
	return false, true
}

// leave gives a seat back.
func (l *lane) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy--
	l.under.Add(-1)
}

// next gives a free seat to the query that waits for it the longest, or returns nil.
func (l *lane) next() *query {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) > 0 && l.free() {
		q := l.queue[0]
		l.queue[0] = nil
		if l.queue = l.queue[1:]; len(l.queue) == 0 {
			l.queue = nil
		}
		if !q.over() {
			l.take()
			return q
		}
	}
	return nil
}
