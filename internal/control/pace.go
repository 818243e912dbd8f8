package control

import (
	"net"
	"sync"
	"time"
)

// paced is a connection whose time grows with what comes and goes: whoever neither reads nor writes loses his seat.
type paced struct {
	*net.UnixConn
	start time.Time
	moved int64 // octets, both ways; only the handler counts

	mu   sync.Mutex
	last time.Time // the end, when the server ends; zero: it does not
}

func newPaced(c *net.UnixConn) *paced { return &paced{UnixConn: c, start: time.Now()} }

// end is when the time is up that has been won so far. The lock is held.
func (p *paced) end() time.Time {
	end := p.start.Add(deadline + time.Duration(p.moved)*(time.Second/pace))
	if !p.last.IsZero() && p.last.Before(end) {
		return p.last
	}
	return end
}

// extend sets the deadline for the next octets.
func (p *paced) extend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.SetDeadline(p.end())
}

// Read reads what comes in time.
func (p *paced) Read(b []byte) (int, error) {
	p.extend()
	n, err := p.UnixConn.Read(b)
	p.moved += int64(n)
	return n, err
}

// Write writes as fast as it is read.
func (p *paced) Write(b []byte) (int, error) {
	p.extend()
	n, err := p.UnixConn.Write(b)
	p.moved += int64(n)
	return n, err
}

// again gives the time of a new connection, for an answer that took long to find.
func (p *paced) again() { p.start, p.moved = time.Now(), 0 }

// hurry leaves no more than the time of a short connection.
func (p *paced) hurry() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = time.Now().Add(deadline)
	p.SetDeadline(p.last)
}
