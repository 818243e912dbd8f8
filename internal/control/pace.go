package control

import (
	"net"
	"sync"
	"time"
)

// paced is a connection whose time grows with what comes and goes: whoever neither reads nor writes loses his seat. It is
// the time that he is waited for: what we do meanwhile, however long a busy machine takes for it, is not his.
type paced struct {
	*net.UnixConn
	moved  int64         // octets, both ways; only the handler counts
	waited time.Duration // for the other side; only the handler counts

	mu   sync.Mutex
	last time.Time // the end, when the server ends; zero: it does not
}

func newPaced(c *net.UnixConn) *paced { return &paced{UnixConn: c} }

// end is when the time is up that has been won so far, if he is waited for from now on. The lock is held.
func (p *paced) end(now time.Time) time.Time {
	end := now.Add(deadline + time.Duration(p.moved)*(time.Second/pace) - p.waited)
	if !p.last.IsZero() && p.last.Before(end) {
		return p.last
	}
	return end
}

// extend sets the deadline for the next octets.
func (p *paced) extend(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.SetDeadline(p.end(now))
}

// Read reads what comes in time.
func (p *paced) Read(b []byte) (int, error) { return p.wait(p.UnixConn.Read, b) }

// Write writes as fast as it is read.
func (p *paced) Write(b []byte) (int, error) { return p.wait(p.UnixConn.Write, b) }

func (p *paced) wait(move func([]byte) (int, error), b []byte) (int, error) {
	begin := time.Now()
	p.extend(begin)
	n, err := move(b)
	p.moved += int64(n)
	p.waited += time.Since(begin)
	return n, err
}

// again gives the time of a new connection, for an answer that took long to find.
func (p *paced) again() { p.moved, p.waited = 0, 0 }

// hurry leaves no more than the time of a short connection.
func (p *paced) hurry() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = time.Now().Add(deadline)
	p.SetDeadline(p.last)
}
