package ledger

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Ban bans a network for an administrator, in place of an earlier ban of his; what rules have done stays beneath it. Of b
// are Network, Because and Until, a steady time or zero for ever. It waits for the disk until ctx ends, and the ban says
// whether it is there.
func (e *Engine) Ban(ctx context.Context, b Ban) (Ban, error) {
	b = Ban{Network: b.Network, Enforced: true, Rule: Admin, Because: printable(b.Because, MaxBecause), Until: plain(b.Until)}
	change, err := e.decree(b.Network, b.Until, func(p netip.Prefix, now time.Time) *entry {
		b.Network, b.Made = p, now
		made := b
		return entryOf(&made)
	})
	if err != nil {
		return Ban{}, err
	}
	b.Durable = e.settle(ctx, change)
	return b, nil
}

// Allow lets a network in for an administrator, in place of what he said of it before. Of a are Network, Because and
// Until, as of Ban.
func (e *Engine) Allow(ctx context.Context, a Allowed) (Allowed, error) {
	a = Allowed{Network: a.Network, Because: printable(a.Because, MaxBecause), Until: plain(a.Until)}
	change, err := e.decree(a.Network, a.Until, func(p netip.Prefix, now time.Time) *entry {
		a.Network, a.Made = p, now
		made := a
		return entryOfAllowed(&made)
	})
	if err != nil {
		return Allowed{}, err
	}
	a.Durable = e.settle(ctx, change)
	return a, nil
}

// decree puts what an administrator wants until a time.
func (e *Engine) decree(p netip.Prefix, until time.Time, made func(netip.Prefix, time.Time) *entry) (change uint64, err error) {
	p, err = canonical(p)
	if err != nil {
		return 0, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.sweep()
	switch {
	case until.IsZero():
	case !until.After(now):
		return 0, errors.New("it would be over already")
	case until.Year() > lastYear:
		return 0, fmt.Errorf("it would end in the year %d: say no end, which is for ever", until.Year())
	}
	return e.keep(made(p, now), now)
}

// Unban removes every ban of exactly this network, enforced and observed, with its level, and what is counted of it: else
// the next bad recipient would ban it again. It returns what was removed. The error may be ErrUnsaved.
func (e *Engine) Unban(ctx context.Context, p netip.Prefix) ([]Ban, error) {
	p, err := canonical(p)
	if err != nil {
		return nil, err
	}
	gone, change := e.dropAll(p, banned, enforced, observed)
	if e.counts.forgetKey(Of(p)) {
		e.snapshotSoon()
	}
	var bans []Ban
	for _, old := range gone {
		bans = append(bans, *old.ban)
	}
	return bans, e.saved(ctx, change)
}

// Disallow takes back what Allow did, and reports whether there was anything. The error may be ErrUnsaved.
func (e *Engine) Disallow(ctx context.Context, p netip.Prefix) (bool, error) {
	p, err := canonical(p)
	if err != nil {
		return false, err
	}
	gone, change := e.dropAll(p, allowed)
	return len(gone) > 0, e.saved(ctx, change)
}

// dropAll removes the entries of some classes of exactly this network.
func (e *Engine) dropAll(p netip.Prefix, of ...class) (gone []*entry, change uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.sweep()
	for _, c := range of {
		old := e.entries.get(id{c, p})
		switch {
		case old != nil:
			gone = append(gone, old)
			change = e.drop(old, now)
		case e.saver.unread: // it may be on the disk
			change = e.saver.changed(id{c, p}, now)
		}
	}
	return gone, change
}

// Forgotten is how much Forget has removed.
type Forgotten struct {
	Bans     int `json:"bans"`
	Allowed  int `json:"allowed"`
	Counters int `json:"counters"`
}

// Forget removes everything of a network and of all inside it, from memory and from the disk: the files are written anew,
// so that not even their free space holds it. What is of a larger network stays, and so do files that were moved aside,
// which State names. The error may be ErrUnsaved.
func (e *Engine) Forget(ctx context.Context, p netip.Prefix) (f Forgotten, err error) {
	p, err = canonical(p)
	if err != nil {
		return f, err
	}
	e.mu.Lock()
	now := e.clock.now()
	for _, old := range e.entries.within(p) {
		if e.drop(old, now); old.class == allowed {
			f.Allowed++
		} else {
			f.Bans++
		}
	}
	change := e.saver.rewrite()
	e.mu.Unlock()
	f.Counters = e.counts.forget(p)
	e.snapshotSoon()
	return f, e.saved(ctx, change)
}

// ForgetAccount removes what is counted of an account, and reports whether there was anything. The disk follows at once.
func (e *Engine) ForgetAccount(name string) bool {
	known := e.counts.forgetKey(Account(name))
	if known {
		e.snapshotSoon()
	}
	return known
}

// Bans returns every ban, also those that are over and remembered, in the order of the networks.
func (e *Engine) Bans() []Ban {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sweep()
	list := e.entries.all(enforced, observed, banned)
	bans := make([]Ban, len(list))
	for i, n := range list {
		bans[i] = *n.ban
	}
	return bans
}

// Allows returns every network that an administrator lets in, likewise.
func (e *Engine) Allows() []Allowed {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sweep()
	list := e.entries.all(allowed)
	lets := make([]Allowed, len(list))
	for i, n := range list {
		lets[i] = *n.let
	}
	return lets
}

// maxWhy bounds how many bans, and how many allowed networks, Why returns.
const maxWhy = 256

// Why is what is known that has to do with a network.
type Why struct {
	Network netip.Prefix `json:"network"`
	Bans    []Ban        `json:"bans"`    // that it is in, and that are in it, the largest networks first
	Allowed []Allowed    `json:"allowed"` // likewise
	More    bool         `json:"more"`    // there are others inside it
	Counts  []Counted    `json:"counts"`  // of the client that it is or is in, and of the networks around
}

// Counted is the counts of one network.
type Counted struct {
	Network netip.Prefix `json:"network"`
	Counts  Counts       `json:"counts"`
}

// Why returns what has to do with a network. An invalid one has nothing.
func (e *Engine) Why(p netip.Prefix) (w Why) {
	p, err := canonical(p)
	if err != nil {
		return w
	}
	w.Network = p
	e.mu.RLock()
	now := e.clock.now()
	around := slices.Collect(func(yield func(*[classes]*entry) bool) {
		for q, of := range e.entries.table.Supernets(p) {
			if q != p && !yield(&of.of) {
				return
			}
		}
	})
	slices.Reverse(around)
	for _, of := range around {
		w.add(of)
	}
	for _, of := range e.entries.table.Subnets(p) {
		if w.add(&of.of); w.More {
			break
		}
	}
	e.mu.RUnlock()
	for _, q := range append([]netip.Prefix{p, Client(p.Addr())}, Networks(p.Addr())...) {
		k := Of(q)
		q, _ = k.Prefix()
		known := slices.ContainsFunc(w.Counts, func(c Counted) bool { return c.Network == q })
		if counts := e.counts.read(now, k); q.Bits() <= p.Bits() && q.IsValid() && !known && counts != (Counts{}) {
			w.Counts = append(w.Counts, Counted{q, counts})
		}
	}
	return w
}

// add adds the entries of a network, as long as there is room.
func (w *Why) add(of *[classes]*entry) {
	for _, n := range of {
		switch {
		case n == nil:
		case n.ban != nil && len(w.Bans) < maxWhy:
			w.Bans = append(w.Bans, *n.ban)
		case n.let != nil && len(w.Allowed) < maxWhy:
			w.Allowed = append(w.Allowed, *n.let)
		default:
			w.More = true
		}
	}
}
