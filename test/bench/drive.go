package main

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// sender is a client by its number. Numbers below knownClients are the known ones.
type sender uint32

const (
	knownClients = 1000
	firstTried   = 1 << 18 // those that a peer is tried with
	firstNew     = 1 << 20
)

// address spreads the numbers over 240.0.0.0/4, so that hardly two are of one network. Nobody has an address there (RFC
// 1112 4), and no program here takes it for a private one.
func (s sender) address() netip.Addr {
	const spread, bits = 0x9e3779b1, 1<<28 - 1 // odd, so that no two numbers meet
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 0xf0000000|uint32(s)*spread&bits)
	return netip.AddrFrom4(b)
}

// listed reports whether three of the lists have the client: one in sixteen is in 240.0.0.0/8.
func (s sender) listed() bool { return s.address().As4()[0] == 240 }

// somebody is a client that is listed, or one that is not.
func somebody(listed bool) sender {
	s := sender(firstTried)
	for s.listed() != listed {
		s++
	}
	return s
}

// known gives each caller the known clients again and again; no two begin with the same.
func known(caller, i int) (sender, bool) {
	return sender((caller*knownClients/callers + i) % knownClients), true
}

// fresh gives clients that this peer was never asked about.
func (c *contender) fresh(_, _ int) (sender, bool) {
	return sender(firstNew + atomic.AddUint32(&c.seen, 1)), true
}

func (c *contender) freshUpTo(n uint32) func(int, int) (sender, bool) {
	return func(_, _ int) (sender, bool) {
		if atomic.LoadUint32(&c.seen) >= n { // a caller too many is one client more
			return 0, false
		}
		return c.fresh(0, 0)
	}
}

// drive lets all callers ask for so long.
func (c *contender) drive(ctx context.Context, turn time.Duration, next func(caller, i int) (sender, bool)) (load, error) {
	if err := ctx.Err(); err != nil {
		return load{}, err
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2 * len(c.askers))) // see fire
	var wait sync.WaitGroup
	var wrong atomic.Int64
	times := make([][]time.Duration, len(c.askers))
	rates := make([]float64, len(c.askers))
	failed := make([]error, len(c.askers))
	begin := time.Now()
	for caller, a := range c.askers {
		wait.Go(func() { // ends with the turn
			defer func() { rates[caller] = float64(len(times[caller])) / time.Since(begin).Seconds() }()
			for i := 0; time.Since(begin) < turn; i++ {
				s, more := next(caller, i)
				if !more {
					return
				}
				asked := time.Now()
				listed, err := a.ask(s)
				if err != nil {
					failed[caller] = err
					return
				}
				times[caller] = append(times[caller], time.Since(asked))
				if c.lists && listed != s.listed() {
					wrong.Add(1)
				}
			}
		})
	}
	wait.Wait()
	// What a caller makes in its own time counts: one that waits for an answer behind the end of the turn holds up nobody.
	l, rate := load{}, 0.0
	for caller, t := range times {
		l.each, rate = append(l.each, t...), rate+rates[caller]
	}
	l.total = time.Duration(float64(len(l.each)) / rate * float64(time.Second))
	c.asked, c.wrong = c.asked+len(l.each), c.wrong+int(wrong.Load())
	return l, errors.Join(failed...)
}
