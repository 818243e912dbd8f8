package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"
)

// The loads of the peers. A client that is known is one of a set that is gone through again and again; one that is new
// was never asked about before.
const (
	peerRounds   = 7
	peerTurn     = time.Second      // of one peer in one round
	peerClients  = 100_000          // that a peer has seen when its memory is measured
	peerFill     = 30 * time.Second // at most, to get there
	peerPatience = time.Minute      // to start: rspamd compiles its rules
)

// peer is one program that is asked about clients, ours or another.
type peer struct {
	name    string
	lists   bool // it asks block lists; else it only remembers
	start   func(*site) error
	connect func(*site) (asker, error)
}

// asker is one caller's way to ask: a connection that stays, where the peer's protocol has that.
type asker interface {
	// ask says whether the answer is that the client is listed.
	ask(s sender) (listed bool, err error)
	close()
}

// contender is a peer at work.
type contender struct {
	*peer
	site       *site
	askers     []asker
	seen       uint32 // new clients asked about so far
	warm, cold []round
	asked      int
	wrong      int // answers that are not what the lists have
	pss        float64
}

// peers compares our daemon with what else a postmaster can install, in one network name space that has nothing but a
// loopback interface. Whoever asks block lists asks the same eight of the same server, rbldnsd, with no cache between.
func peers(ctx context.Context, b *bench) (rows []row, err error) {
	at := netip.AddrFrom4([4]byte{127, 0, 0, 1}) // all read it in resolv.conf
	lists, err := serveLists(ctx, b, at)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lists.end()) }()
	var all []*contender
	for _, p := range []*peer{ours(b.binary, at), rspamd(), postfwd(), policydWeight(), postgrey(), greylistd(), bareBeside()} {
		progress("starting", p.name)
		c := &contender{peer: p}
		if c.site, err = newSite(ctx, b, p.name); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, c.end()) }()
		if err := c.begin(lists); err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		all = append(all, c)
	}
	if err := contend(ctx, all); err != nil {
		return nil, err
	}
	for _, c := range all {
		if err := c.fill(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return peerRows(all), nil
}

func progress(what, name string) { fmt.Fprintf(os.Stderr, "%s %s ...\n", what, name) }

// begin starts the peer, connects all callers, and holds that it does what it is measured for: it asks every list, and
// believes it.
func (c *contender) begin(lists *listServer) error {
	if err := c.start(c.site); err != nil {
		return err
	}
	first, err := c.await()
	if err != nil {
		return err
	}
	c.askers = append(c.askers, first)
	if err := c.holds(first, lists); err != nil {
		return err
	}
	for range callers - 1 {
		a, err := c.connect(c.site)
		if err != nil {
			return err
		}
		c.askers = append(c.askers, a)
	}
	return nil
}

func (c *contender) end() error {
	for _, a := range c.askers {
		a.close()
	}
	return c.site.end()
}

// await connects as soon as the peer listens.
func (c *contender) await() (asker, error) {
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		a, err := c.connect(c.site)
		switch {
		case err == nil:
			return a, nil
		case time.Since(begin) > peerPatience:
			return nil, fmt.Errorf("it does not listen: %w: %s", err, c.site.output())
		}
	}
}

func (c *contender) holds(a asker, lists *listServer) error {
	before, err := lists.counts()
	if err != nil {
		return err
	}
	for _, s := range []sender{somebody(true), somebody(false)} {
		listed, err := a.ask(s)
		if err != nil {
			return err
		}
		if c.lists && listed != s.listed() {
			return fmt.Errorf("it says of %v: listed %t, and should say %t", s.address(), listed, s.listed())
		}
	}
	if !c.lists {
		return nil
	}
	after, err := lists.counts()
	for i := range after {
		if after[i] < before[i]+2 {
			return errors.Join(err, fmt.Errorf("it asked %s %d times about 2 clients", listZone(i), after[i]-before[i]))
		}
	}
	return err
}

// contend drives all peers in turns: with clients that they know, then with clients that are new.
func contend(ctx context.Context, all []*contender) error {
	for _, c := range all {
		progress("warming", c.name)
		for range 3 { // the first second is that of new processes, too
			if _, err := c.drive(ctx, peerTurn, known); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	turns := func(load func(*contender) error) error {
		var each []func() error
		for _, c := range all {
			each = append(each, func() error {
				if err := load(c); err != nil {
					return fmt.Errorf("%s: %w", c.name, err)
				}
				return nil
			})
		}
		return alternate(peerRounds, each...)
	}
	progress("measuring", "known clients")
	err := turns(func(c *contender) error {
		l, err := c.drive(ctx, peerTurn, known)
		c.warm = append(c.warm, digest(l))
		return err
	})
	if err != nil {
		return err
	}
	progress("measuring", "new clients")
	return turns(func(c *contender) error {
		l, err := c.drive(ctx, peerTurn, c.fresh)
		c.cold = append(c.cold, digest(l))
		return err
	})
}

// fill asks about new clients until the peer has seen so many, and measures its memory.
func (c *contender) fill(ctx context.Context) error {
	progress("filling", c.name)
	for begin := time.Now(); c.seen < peerClients && time.Since(begin) < peerFill; {
		if _, err := c.drive(ctx, peerTurn, c.freshUpTo(peerClients)); err != nil {
			return err
		}
	}
	if c.wrong > c.asked/100 {
		return fmt.Errorf("%d of %d answers are not what the lists have", c.wrong, c.asked)
	}
	var err error
	c.pss, err = c.site.pss()
	return err
}

func peerRows(all []*contender) []row {
	var rows []row
	warm, cold := func(c *contender) []round { return c.warm }, func(c *contender) []round { return c.cold }
	add := func(title string, lists bool, load func(*contender) []round) {
		for _, c := range all {
			if c.lists == lists {
				rows = append(rows, told(title+": "+c.name, "%s", figures(load(c))))
			}
		}
	}
	add("8 lists, known clients, 32 callers", true, warm)
	rows = append(rows, least("known clients, requests/s against the best peer", ahead(all, warm), 10, "%.1f", " times"))
	add("8 lists, every client new, 32 callers", true, cold)
	rows = append(rows, least("new clients, requests/s against the best peer", ahead(all, cold), 3, "%.1f", " times"))
	add("memory only, known clients, 32 callers", false, warm)
	add("memory only, every client new, 32 callers", false, cold)
	for _, c := range all {
		rows = append(rows, told(fmt.Sprintf("PSS of %s, %d clients seen", c.name, c.seen), "%.1f MB", c.pss/1e6))
		if c.wrong > 0 {
			rows = append(rows, told(c.name+", answers that are not what the lists have", "%d of %d", c.wrong, c.asked))
		}
	}
	return append(rows, most("PSS against rspamd's", all[0].pss/all[1].pss, 1, "%.2f", " times"))
}

// ahead is the median over the rounds of our rate by that of the peer that was best in the round.
func ahead(all []*contender, load func(*contender) []round) float64 {
	var ratios []float64
	for i := range peerRounds {
		var rates []float64
		for _, c := range all {
			if c.lists {
				rates = append(rates, load(c)[i].rate())
			}
		}
		ratios = append(ratios, rates[0]/slices.Max(rates[1:]))
	}
	return median(ratios)
}
