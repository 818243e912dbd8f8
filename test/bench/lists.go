package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"eximpolicyd/internal/dnstest"
)

const (
	listRounds = 15
	listGrace  = 20 * time.Millisecond // of the pause, over what the lookups take
	mostLists  = 16
)

// listDelays and listNumbers are what is gone through.
var (
	listDelays  = []time.Duration{20 * time.Millisecond, 50 * time.Millisecond}
	listNumbers = []int{1, 4, 8, mostLists}
)

// slowly is what the part "lists" shares.
type slowly struct {
	*bench
	server *dnstest.Server
	none   *door // our daemon, with no question to the DNS
	own    *door // Exim by itself
	next   atomic.Uint32
}

// slowLists compares sessions of new clients in real Exim: with lists that take their time, with none, and with Exim's
// own dnslists.
func slowLists(ctx context.Context, b *bench) (rows []row, err error) {
	s := &slowly{bench: b}
	if s.server, err = script(mostLists); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.server.Close()) }()
	if s.none, err = b.open(ctx, "log = {level = \"info\", format = \"text\"}\ndns.ask = \"off\"\n", 0, &s.next); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.none.close()) }()
	if s.own, err = native(s.server.Addr().Addr().String(), listNumbers, &s.next); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.own.close()) }()

	for _, delay := range listDelays {
		var exims []string
		for _, n := range listNumbers {
			f, err := s.compare(ctx, n, delay, false)
			if err != nil {
				return nil, err
			}
			rows = append(rows, most(fmt.Sprintf("%d lists of %v, new client: time added, in lookups", n, delay), f.ours, 1.3, "%.2f", ""))
			exims = append(exims, fmt.Sprintf("%.2f", f.exims))
			if n == 8 {
				rows = append(rows, under(fmt.Sprintf("the same, after a pause of %v: RCPT", delay+listGrace), f.rcpt, 2, "%.2f", " ms"))
			}
		}
		rows = append(rows, told(fmt.Sprintf("Exim's own dnslists, 1, 4, 8, 16 lists of %v: time added, in lookups", delay), "%s", strings.Join(exims, ", ")))
		f, err := s.compare(ctx, 8, delay, true)
		if err != nil {
			return nil, err
		}
		rows = append(rows,
			most(fmt.Sprintf("8 lists of %v and a chain of 3 for the reverse name: time added, in chains", delay), f.ours/3, 1.3, "%.2f", ""),
			under(fmt.Sprintf("the same, after a pause of %v: RCPT", 3*delay+listGrace), f.rcpt, 2, "%.2f", " ms"))
	}
	return rows, nil
}

// added is what lists add to a session, in times of their delay, and the time of RCPT after a pause.
type added struct{ ours, exims, rcpt float64 }

// compare goes through the rounds with so many lists of one delay.
func (s *slowly) compare(ctx context.Context, n int, delay time.Duration, chain bool) (a added, err error) {
	s.server.Delay("", 0) // the lists' tests need not wait
	healthy := n
	if chain {
		healthy++
	}
	with, err := s.open(ctx, listSettings(s.server.Addr(), n, chain), healthy, &s.next)
	if err != nil {
		return a, err
	}
	defer func() { err = errors.Join(err, with.close()) }()
	s.server.Delay("", delay)
	s.own.sender = fmt.Sprint("n", n)
	s.server.Forget()

	var ours, exims, rcpts []float64
	steps := []func() error{
		func() error { return s.pair(with, s.none, 0, chain, &ours, nil) },
		func() error { return s.pair(with, s.none, delay*depth(chain)+listGrace, chain, nil, &rcpts) },
	}
	if !chain {
		steps = append(steps, func() error { return s.pairOwn(&exims) })
	}
	if err := alternate(listRounds, steps...); err != nil {
		return a, err
	}
	askers := listRounds * len(steps)
	for i := range n {
		if got := s.server.Count(listZone(i)); got != askers {
			return a, fmt.Errorf("%s was asked %d times for %d clients", listZone(i), got, askers)
		}
	}
	if got := s.server.Count(nameZone); chain && got != 2*listRounds {
		return a, fmt.Errorf("%s was asked %d times for %d clients", nameZone, got, 2*listRounds)
	}
	if err := errors.Join(with.daemon.expect("RCPT", 2*listRounds), with.daemon.expect("DATA", 2*listRounds)); err != nil {
		return a, err
	}
	a = added{ours: median(ours) / ms(delay), rcpt: median(rcpts)}
	if !chain {
		a.exims = median(exims) / ms(delay)
	}
	return a, nil
}

// depth is how many lookups wait for each other.
func depth(chain bool) time.Duration {
	if chain {
		return 3
	}
	return 1
}

// pair makes a session of a new client with lists and one without, and keeps the difference, and the time of RCPT with.
func (s *slowly) pair(with, without *door, pause time.Duration, chain bool, differences, rcpts *[]float64) error {
	client := with.fresh()
	if chain {
		if err := s.name(client); err != nil {
			return err
		}
	}
	v, err := with.visit(client, pause, []string{"alice"})
	if err != nil {
		return err
	}
	if rcpts != nil {
		*rcpts = append(*rcpts, ms(v.rcpt[0]))
		return nil
	}
	w, err := without.visit(without.fresh(), pause, []string{"alice"})
	*differences = append(*differences, ms(v.whole-w.whole))
	return err
}

// pairOwn does the same with Exim's own lists.
func (s *slowly) pairOwn(differences *[]float64) error {
	v, err := s.own.visit(s.own.fresh(), 0, []string{"alice"})
	if err != nil {
		return err
	}
	lists := s.own.sender
	s.own.sender = "n0"
	w, err := s.own.visit(s.own.fresh(), 0, []string{"alice"})
	s.own.sender = lists
	*differences = append(*differences, ms(v.whole-w.whole))
	return err
}

// name gives a client a reverse name that has its address.
func (s *slowly) name(client netip.Addr) error {
	b := client.As4()
	host := fmt.Sprintf("mta-%d-%d-%d.news.example.com.", b[1], b[2], b[3])
	return s.server.Add(fmt.Sprintf("%d.%d.%d.%d.in-addr.arpa. 300 IN PTR %s", b[3], b[2], b[1], b[0], host),
		fmt.Sprintf("%s 300 IN A %s", host, client))
}
