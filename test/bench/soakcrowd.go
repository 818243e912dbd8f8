package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// An even load, and what else happens meanwhile.
const (
	soakRate    = 1000 // requests a second
	soakVisit   = 7    // requests of one connection
	soakLook    = 90   // samples in all
	soakAdmin   = 10 * time.Second
	soakSample  = 1 << 16 // times that are kept of each caller
	soakGuesser = 2000    // who guess
)

// crowd is those who ask.
type crowd struct {
	to    *unix.SockaddrUnix
	names []string
	next  atomic.Uint32 // client that was never seen
	toll                // of all, when drive has returned
}

// toll is what came of asking.
type toll struct {
	answered, unanswered, fresh, broken int
	times                               []time.Duration
	first                               error // why the first had no answer
}

func (t *toll) add(o *toll) {
	t.answered, t.unanswered, t.fresh, t.broken = t.answered+o.answered, t.unanswered+o.unanswered, t.fresh+o.fresh, t.broken+o.broken
	t.times = append(t.times, o.times...)
	if t.first == nil {
		t.first = o.first
	}
}

func newCrowd(socket string) (*crowd, error) {
	names, err := names()
	return &crowd{to: &unix.SockaddrUnix{Name: socket}, names: names}, err
}

// caller is one of them, on a connection that the kernel knows of: as if a proxy passed on one client after the other.
type caller struct {
	*crowd
	client
	rand  *rand.Rand
	reply []byte
	toll  // its own
}

// each has so many callers do something at once.
func (c *crowd) each(f func(*caller)) ([]*caller, error) {
	clients, hangUp, err := connect(callers)
	if err != nil {
		return nil, err
	}
	defer hangUp()
	all := make([]*caller, callers)
	var wait sync.WaitGroup
	for i := range all {
		all[i] = &caller{crowd: c, client: clients[i], rand: rand.New(rand.NewPCG(uint64(i), 1)), reply: make([]byte, 8192)}
		wait.Go(func() { f(all[i]) }) // ends with its context
	}
	wait.Wait()
	return all, nil
}

// fill makes so many clients known, as fast as can be.
func (c *crowd) fill(ctx context.Context, n int) error {
	all, err := c.each(func(a *caller) {
		for range n / callers {
			if ctx.Err() == nil {
				a.visit(a.never(), "CONNECT", "RCPT")
			}
		}
	})
	if err != nil {
		return err
	}
	for _, a := range all {
		if a.first != nil {
			return a.first
		}
	}
	return ctx.Err()
}

// drive asks evenly for so long, and looks and administers meanwhile.
func (c *crowd) drive(ctx context.Context, long time.Duration, look func() error, administer func(context.Context) error) error {
	ctx, stop := context.WithTimeout(ctx, long)
	defer stop()
	failed := make(chan error, 1)
	go func() { failed <- c.beside(ctx, long, look, administer) }() // ends with ctx
	began, pause := time.Now(), soakVisit*time.Second/soakRate
	all, err := c.each(func(a *caller) {
		turn := began.Add(time.Duration(a.rand.IntN(callers)) * pause)
		for sleep(ctx, time.Until(turn)) == nil {
			a.one()
			turn = later(turn.Add(callers*pause), time.Now().Add(-time.Second))
		}
	})
	for _, a := range all {
		c.add(&a.toll)
	}
	return errors.Join(err, <-failed)
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// beside looks and administers until ctx ends.
func (c *crowd) beside(ctx context.Context, long time.Duration, look func() error, administer func(context.Context) error) error {
	looks, rounds := time.NewTicker(max(long/soakLook, time.Second)), time.NewTicker(soakAdmin)
	defer looks.Stop()
	defer rounds.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-looks.C:
			err = look()
		case <-rounds.C:
			err = administer(ctx)
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// one is one connection of somebody.
func (a *caller) one() {
	switch n := a.rand.IntN(100); {
	case n < 70:
		a.fresh++
		a.visit(a.never(), "CONNECT", "HELO", "MAIL", "RCPT", "RCPT", "DATA", "QUIT")
	case n < 90:
		a.visit(sender(a.rand.IntN(knownClients)), "CONNECT", "HELO", "MAIL", "RCPT", "RCPT", "DATA", "QUIT")
	case n < 98:
		a.visit(sender(firstTried+a.rand.IntN(soakGuesser)), "CONNECT", "HELO", "MAIL", "GUESS", "GUESS", "GUESS", "GUESSED")
	default:
		a.breakOff()
	}
}

// never is a client that was never seen.
func (a *caller) never() sender { return sender(firstNew + a.next.Add(1)) }

// visit asks about a client, at one stage after the other.
func (a *caller) visit(who sender, stages ...string) {
	a.outside = outsider(int(who))
	for _, stage := range stages {
		request := a.at(stage, who)
		asked := time.Now()
		n, err := ask(a.to, request, a.reply)
		if err == nil && !bytes.HasSuffix(a.reply[:n], []byte(" end=1\n")) {
			err = fmt.Errorf("%q", a.reply[:n])
		}
		if err != nil {
			a.fails(err)
			return
		}
		a.answered++
		if took := time.Since(asked); len(a.times) < soakSample {
			a.times = append(a.times, took)
		} else {
			a.times[a.rand.IntN(soakSample)] = took
		}
	}
}

// fails counts a request without an answer.
func (a *caller) fails(err error) {
	if a.unanswered++; a.first == nil {
		a.first = err
	}
}

// at is a request at a stage; GUESS is RCPT of a recipient that does not exist, and GUESSED is QUIT after as many passwords.
func (a *caller) at(stage string, who sender) []byte {
	guess := strings.HasPrefix(stage, "GUESS")
	switch stage {
	case "GUESS":
		stage = "RCPT"
	case "GUESSED":
		stage = "QUIT"
	}
	v := a.values(stage)
	v["client_address"] = who.address().String()
	if guess {
		v["rcpt_verify"], v["recipient"] = "unknown", fmt.Sprintf("nobody%d@lab.example.test", a.rand.IntN(100_000))
		v["command_history"] = "EHLO,AUTH,AUTH,AUTH"
	}
	return write(a.names, v)
}

// breakOff is a caller who sends no whole request, or too much of one, or goes away before the answer.
func (a *caller) breakOff() {
	a.broken++
	fd, err := dial(a.to)
	if err != nil {
		a.fails(err)
		return
	}
	defer unix.Close(fd)
	request := a.at("RCPT", a.never())
	switch a.rand.IntN(3) {
	case 0:
		request = request[:len(request)/2]
	case 1:
		request = bytes.Repeat(request, 100)
	}
	_, _ = unix.Write(fd, request) // the daemon may have had enough
}
