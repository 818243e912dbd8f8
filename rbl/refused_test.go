package rbl

import (
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// closing is a socket to a port where nobody listens: the first packet leaves, and a moment later the kernel says so to
// whoever comes first, once: the next writer, or the reader.
type closing struct {
	net.Conn
	mu      sync.Mutex
	written bool
	told    bool
}

func (c *closing) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.written && !c.told {
		c.told = true
		return 0, syscall.ECONNREFUSED
	}
	c.written = true
	return len(b), nil
}

func (c *closing) Read(b []byte) (int, error) {
	time.Sleep(time.Millisecond)
	c.mu.Lock()
	told := c.told
	c.told = true
	c.mu.Unlock()
	if told {
		return c.Conn.Read(b)
	}
	return 0, syscall.ECONNREFUSED
}

func TestWhoWaitsOnASocketHearsWhatAnotherWasToldOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := newResolver(ResolverOptions{Servers: []netip.AddrPort{first}}, func(string, netip.AddrPort) (net.Conn, error) {
			ours, _ := net.Pipe() // nobody is at the other end
			return &closing{Conn: ours}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		ended := make(chan Records, 4)
		for _, name := range []string{"a.example.com", "b.example.com", "c.example.com", "d.example.com"} {
			r.ask(r.clients, name, dns.TypeA, func(rec Records) { ended <- rec })
		}
		for range cap(ended) {
			if rec := <-ended; rec.Outcome.Answered() {
				t.Error(rec)
			}
		}
		if took := time.Since(begin); took > 10*time.Millisecond {
			t.Errorf("they waited for %v", took)
		}
		r.Close()
	})
}
