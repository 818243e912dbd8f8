package ledger

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// start loads what is in a folder, saves the time, and starts the goroutine.
func (e *Engine) start(o Options) error {
	s := &e.saver
	s.store = &store{dir: o.Dir, log: e.log, wall: func() time.Time { wall, _ := o.Clock(); return wall }}
	s.wake, s.soon = make(chan struct{}, 1), make(chan struct{}, 1)
	s.quit, s.done = make(chan struct{}), make(chan struct{})
	s.dirty, s.round = make(map[id]struct{}), make(chan struct{})

	found, err := s.store.load()
	if errors.Is(err, ErrLocked) {
		return fmt.Errorf("%s: %w", o.Dir, err)
	}
	e.clock = newClock(o.Clock, found.moment)
	if err != nil {
		s.unread = true
		e.failed(&s.bansFault, "bans", err)
	} else {
		e.take(found, 0)
		e.save()
	}
	go e.run() // Close waits for it, no longer than closeTime; it ends when quit is closed
	return nil
}

// take takes in what was found in the folder, by so much later. What has happened since is newer.
func (e *Engine) take(found found, by time.Duration) {
	s := &e.saver
	e.mu.Lock()
	now := e.clock.now()
	for _, n := range found.entries {
		if _, newer := s.dirty[n.id]; newer || e.entries.get(n.id) != nil {
			continue
		}
		if e.room(n.id, now) != nil {
			s.changed(n.id, now) // away with it
			continue
		}
		n.move(by)
		n.cut(now)
		e.entries.put(n)
	}
	s.unread = false
	e.mu.Unlock()
	if err := s.store.readCounters(func(r io.Reader) error { return e.load(r, now) }); err != nil {
		e.failed(&s.countersFault, "counters", err)
	}
	e.mu.Lock()
	s.asides, s.shot = s.store.asides(), now
	e.mu.Unlock()
}

// load takes in counters. A table that is in use takes them one by one.
func (e *Engine) load(r io.Reader, now time.Time) error {
	if e.counts.keys() == 0 {
		return e.counts.load(r, now)
	}
	t := newTable(e.counts.most())
	if err := t.load(r, now); err != nil {
		return err
	}
	return t.each(now, func(w Windows) error {
		if e.counts.read(now, w.Key) != (Counts{}) { // what was counted since is newer
			return nil
		}
		return e.counts.put(w, now)
	})
}
