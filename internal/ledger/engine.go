package ledger

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// Options say where an engine keeps what it remembers. The zero Options are a memory that ends with the process.
type Options struct {
	Dir  string       // the folder of the state, made if it is not there; "": none
	Keys int          // how many counters at most; 0: 262,144, which take 25 MB
	Log  *slog.Logger // nil: none

	// Clock reads the wall clock, and one that nobody sets. nil: the system's, and CLOCK_BOOTTIME.
	Clock func() (wall time.Time, steady time.Duration)
}

const defaultKeys = 1 << 18

// Engine is the memory of one daemon: counters, bans and allowed networks in memory, and a goroutine that keeps a folder
// up to date (saver.go). It is safe for concurrent use. What is asked is answered from memory and waits for no disk.
//
// A folder that cannot be used is no error. Then bans last as long as the process, which the log and State say, and it is
// tried again until it can.
type Engine struct {
	clock  *clock
	counts *table
	log    *slog.Logger

	mu      sync.RWMutex
	entries entries
	saver   saver // its fields that are under mu say so
}

var _ Ledger = (*Engine)(nil)

// ErrLocked says that another daemon has the folder.
var ErrLocked = errors.New("another daemon has the folder")

// ErrUnsaved says that something is done in memory, and not on the disk: it is undone if the process ends before that
// has been tried again with success.
var ErrUnsaved = errors.New("done, but not on the disk yet: a restart would undo it")

// Open opens the memory in a folder. The only error is ErrLocked.
func Open(o Options) (*Engine, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = newBootClock().read
	}
	if o.Keys <= 0 {
		o.Keys = defaultKeys
	}
	e := &Engine{log: o.Log, counts: newTable(o.Keys)}
	if o.Dir == "" {
		e.clock = newClock(o.Clock, moment{})
		return e, nil
	}
	if err := e.start(o); err != nil {
		return nil, err
	}
	return e, nil
}

// Now returns the steady time, which every ban is of.
func (e *Engine) Now() time.Time { return e.clock.now() }

// Wall returns what the wall clock says, or will say, at a steady time, if nobody sets it. It is for display.
func (e *Engine) Wall(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	e.look()
	ahead, _ := e.clock.lead()
	return t.Add(ahead)
}

// Count adds to counters and reads them. It never fails.
func (e *Engine) Count(_ context.Context, tallies []Tally) error {
	now, ahead := e.clock.both()
	e.counts.count(now, tallies)
	if ahead == 0 {
		return nil
	}
	for i := range tallies {
		for _, t := range []*time.Time{&tallies[i].Counts.LastGood, &tallies[i].Counts.LastLogin} {
			if !t.IsZero() {
				*t = t.Add(ahead)
			}
		}
	}
	return nil
}

// Standing returns what is in force for an address. It never fails. The bans are shared: they are not to be changed.
func (e *Engine) Standing(_ context.Context, a netip.Addr) (Standing, error) {
	a = a.Unmap().WithZone("")
	if !a.IsValid() {
		return Standing{}, nil
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	p, ok := e.entries.table.Lookup(a)
	if !ok {
		return Standing{}, nil
	}
	now, ahead := e.clock.both()
	s := p.standing(now)
	if s != (Standing{}) {
		s.move(ahead)
	}
	return s, nil
}

// move moves all times. What is pointed to is shared, and copied.
func (s *Standing) move(by time.Duration) {
	if by == 0 {
		return
	}
	for _, b := range []**Ban{&s.Enforced, &s.Observed} {
		if *b != nil {
			moved := **b
			moved.move(by)
			*b = &moved
		}
	}
	if s.Allowed != nil {
		moved := *s.Allowed
		moved.move(by)
		s.Allowed = &moved
	}
}

// Offend bans a network, or returns the ban that is in force. It is an error if the offence says no network or rule.
func (e *Engine) Offend(ctx context.Context, o Offence) (Ban, bool, error) {
	p, err := canonical(o.Network)
	if err != nil {
		return Ban{}, false, err
	}
	rule := printable(o.Rule, maxRule)
	if rule == "" || rule == Admin {
		return Ban{}, false, errors.New("an offence is against a rule")
	}
	c := observed
	if o.Enforced {
		c = enforced
	}
	e.mu.Lock()
	now := e.sweep()
	of := e.entries.of(p)
	last := of[c]
	for _, in := range []*entry{of[banned], last} {
		if in != nil && !in.over(now) && (in.class == c || o.Enforced) {
			b := *in.ban
			e.mu.Unlock()
			_, ahead := e.clock.both()
			b.move(ahead)
			return b, false, nil
		}
	}
	level := 1
	if last != nil {
		level = min(1+last.ban.LevelLeft(now), MaxLevel)
	}
	made := Ban{
		Network: p, Level: level, Enforced: o.Enforced, Rule: rule, Because: printable(o.Because, MaxBecause),
		Made: now, Until: now.Add(Length(level)),
	}
	change, err := e.keep(entryOf(&made), now)
	e.mu.Unlock()
	if err != nil {
		return Ban{}, false, err
	}
	b := made // which is shared from now on
	b.Durable = e.settle(ctx, change)
	_, ahead := e.clock.both()
	b.move(ahead)
	return b, true, nil
}

// sweep forgets what is long over, and returns the time. The lock is held.
func (e *Engine) sweep() time.Time {
	now := e.clock.now()
	for old := e.entries.forgotten(now); old != nil; old = e.entries.forgotten(now) {
		e.drop(old, now)
	}
	return now
}

// room makes room for an entry, for which another may have to go. The lock is held.
func (e *Engine) room(i id, now time.Time) error {
	if e.entries.get(i) != nil {
		return nil
	}
	surplus, err := e.entries.surplus(i.class, now)
	if surplus != nil {
		e.drop(surplus, now)
	}
	return err
}

// keep puts an entry. The lock is held.
func (e *Engine) keep(n *entry, now time.Time) (change uint64, err error) {
	if err := e.room(n.id, now); err != nil {
		return 0, err
	}
	e.entries.put(n)
	return e.saver.changed(n.id, now), nil
}

// drop removes an entry. The lock is held.
func (e *Engine) drop(old *entry, now time.Time) (change uint64) {
	e.entries.remove(old)
	change = e.saver.changed(old.id, now)
	e.saver.thin(func(i id) bool { return e.entries.get(i) == nil })
	return change
}
