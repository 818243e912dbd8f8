package rbl

import "sync"

// maxQueue bounds the questions that wait for a seat of one lane.
const maxQueue = 1024

// lane keeps questions of one sort from taking the seats of another: at most so many are under way, up to maxQueue wait
// their turn, and more fail at once with Busy. Resolver.lane makes it.
type lane struct {
	mu      sync.Mutex
	seats   int
	queue   []*query
	streams chan struct{} // taken by questions over TCP
}

// lane makes a lane of so many seats.
func (r *Resolver) lane(seats int) *lane {
	return &lane{seats: seats, streams: make(chan struct{}, maxStreams)}
}

// enter gives a query a seat, or a place in the queue.
func (l *lane) enter(q *query) (seat, queued bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seats > 0 {
		l.seats--
		return true, false
	}
	if len(l.queue) >= maxQueue {
		return false, false
	}
	l.queue = append(l.queue, q)
	return false, true
}

// leave gives a seat to the next that waits, which it returns, or back.
func (l *lane) leave() *query {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) > 0 {
		q := l.queue[0]
		l.queue[0] = nil
		if l.queue = l.queue[1:]; len(l.queue) == 0 {
			l.queue = nil
		}
		if !q.over() {
			return q
		}
	}
	l.seats++
	return nil
}
