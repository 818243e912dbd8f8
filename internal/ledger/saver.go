package ledger

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// Rhythms of the saver.
const (
	retryEvery    = 5 * time.Second // so that all is saved 10 s after there is room again
	snapshotEvery = time.Minute     // what kill -9 loses of the counters
	momentEvery   = time.Hour       // for how long a file of bans that does not change says nothing of the time
	closeTime     = 10 * time.Second

	mostDirty = 2 * (MaxBans + MaxAllowed)
)

// saver keeps the folder up to date with what is in memory. One goroutine does it: all that waits goes into one
// transaction, then whoever waits for it is told. A write that fails is tried again until it succeeds; meanwhile nobody
// waits, and nobody is told that anything is on the disk.
//
// The zero saver saves nothing, for a memory that ends with the process.
type saver struct {
	store *store        // the goroutine's, and start's before it
	wake  chan struct{} // there is something to save
	soon  chan struct{} // the counters shall be saved now
	quit  chan struct{} // closed by Close
	done  chan struct{} // closed by the goroutine

	// Under the engine's lock:
	dirty  map[id]struct{} // what the disk does not have, or has and should not
	since  time.Time       // when the first of it became so, steady
	last   uint64          // change of the memory
	saved  uint64          // change that the disk has
	anew   uint64          // change with which the file is written anew
	round  chan struct{}   // closed after each attempt, and replaced
	writes time.Time       // the last transaction, steady
	shot   time.Time       // the last save of the counters, steady
	asides []string        // files that were moved aside
	unread bool            // the folder could not be read yet
	closed bool            // by Close, or given up

	bansFault, countersFault fault

	once sync.Once // Close
}

// changed notes that an entry has changed, and returns the number of the change. The engine's lock is held.
func (s *saver) changed(i id, now time.Time) uint64 {
	if s.store == nil {
		return 0
	}
	if len(s.dirty) == 0 {
		s.since = now
	}
	s.dirty[i] = struct{}{}
	return s.change()
}

// thin bounds what is dirty while the disk does not answer, and bans come and go: a file that is written anew does not
// have what is gone.
func (s *saver) thin(gone func(id) bool) {
	if len(s.dirty) <= mostDirty {
		return
	}
	for i := range s.dirty {
		if gone(i) {
			delete(s.dirty, i)
		}
	}
	s.rewrite()
}

// rewrite asks for the file to be written anew, and returns the number of that change. The engine's lock is held.
func (s *saver) rewrite() uint64 {
	if s.store == nil {
		return 0
	}
	s.anew = s.change()
	return s.anew
}

func (s *saver) change() uint64 {
	s.last++
	select {
	case s.wake <- struct{}{}:
	default: // it is woken already, and will see this change, too
	}
	return s.last
}

// settle waits until a change is on the disk, and reports whether it is: not if ctx ends, or an attempt fails.
func (e *Engine) settle(ctx context.Context, change uint64) bool {
	for change > 0 {
		e.mu.RLock()
		saved, round := e.saver.saved >= change, e.saver.round
		hopeless := e.saver.closed || e.saver.bansFault != fault{}
		e.mu.RUnlock()
		if saved || hopeless || ctx.Err() != nil {
			return saved
		}
		select {
		case <-round:
		case <-ctx.Done():
		}
	}
	return false
}

// saved waits likewise for what is not said of a ban. A memory that ends with the process has nothing to save.
func (e *Engine) saved(ctx context.Context, change uint64) error {
	if change == 0 || e.settle(ctx, change) {
		return nil
	}
	return ErrUnsaved
}

// snapshotSoon has the counters saved now.
func (e *Engine) snapshotSoon() {
	select {
	case e.saver.soon <- struct{}{}:
	default: // nobody saves, or it is asked for already
	}
}

// run is the goroutine.
func (e *Engine) run() {
	s := &e.saver
	defer close(s.done)
	tick := time.NewTicker(snapshotEvery)
	defer tick.Stop()
	var retry <-chan time.Time
	for {
		bans, counters := e.troubles()
		if retry == nil && (bans || counters) {
			retry = time.After(retryEvery)
		}
		select {
		case <-s.wake:
			if !bans && e.behind() {
				e.save()
			}
		case <-s.soon:
			e.snapshot()
		case <-tick.C:
			e.tick()
		case <-retry:
			retry = nil
			if bans {
				e.save()
			}
			if counters {
				e.snapshot()
			}
		case <-s.quit:
			e.save()
			e.snapshot()
			s.store.close()
			e.mu.Lock()
			s.closed = true
			close(s.round)
			s.round = make(chan struct{})
			e.mu.Unlock()
			return
		}
	}
}

func (e *Engine) troubles() (bans, counters bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.saver.bansFault != fault{}, e.saver.countersFault != fault{}
}

// behind reports whether there is something to save: the last round may have seen what it was woken for.
func (e *Engine) behind() bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.saver.last > e.saver.saved
}

// tick does what is done every minute.
func (e *Engine) tick() {
	_, set := e.look()
	asides := e.saver.store.asides()
	e.mu.Lock()
	e.saver.asides = asides
	now := e.sweep()
	if set != 0 || now.Sub(e.saver.writes) > momentEvery {
		e.saver.change()
	}
	e.mu.Unlock()
	e.snapshot()
}

// look compares the clocks, and says so if the wall clock was set.
func (e *Engine) look() (m moment, set time.Duration) {
	if m, set = e.clock.look(); set != 0 {
		e.log.Warn("the wall clock was set: bans and counters go on by the time that has really passed",
			"by", set.Round(time.Second).String(), "wall_clock", m.Wall.Format(time.RFC3339))
	}
	return m, set
}

// save writes what the disk does not have, and tells those who wait.
func (e *Engine) save() {
	s := &e.saver
	list, last, err := e.write()
	now := e.clock.now()
	if err != nil {
		e.failed(&s.bansFault, "bans", err)
	} else {
		e.over(&s.bansFault, "bans")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil {
		s.saved, s.writes = last, now
		if s.anew <= last {
			s.anew = 0
		}
		for i := range list {
			e.settled(&list[i])
		}
	}
	close(s.round)
	s.round = make(chan struct{})
}

// write writes what the disk does not have, or all if the file is written anew. It returns what it wrote, and the number
// of the change up to which the disk has everything then.
func (e *Engine) write() (list []change, last uint64, err error) {
	s := &e.saver
	if s.store.lost() || !s.store.loaded {
		found, err := s.store.load()
		if err != nil {
			return nil, 0, err
		}
		e.take(found, e.clock.since(found.moment))
		e.mu.Lock()
		s.rewrite() // what is there is of another time, or nothing
		e.mu.Unlock()
	}
	fit := s.store.fit()
	m, _ := e.look()
	e.mu.RLock()
	last = s.last
	anew := !fit || s.anew > 0
	if anew {
		list = e.everything()
	} else {
		for i := range s.dirty {
			list = append(list, changeOf(i, e.entries.get(i)))
		}
	}
	e.mu.RUnlock()
	if anew {
		return list, last, s.store.rewrite(m, list)
	}
	return list, last, s.store.write(m, list)
}

// everything returns all entries, and what is no more. The lock is held.
func (e *Engine) everything() (list []change) {
	for _, q := range e.entries.queues {
		for _, n := range q {
			list = append(list, changeOf(n.id, n))
		}
	}
	for i := range e.saver.dirty {
		if e.entries.get(i) == nil {
			list = append(list, change{id: i})
		}
	}
	return list
}

// settled notes that a change is on the disk, if it is still the last one of its entry. The lock is held.
func (e *Engine) settled(c *change) {
	n := e.entries.get(c.id)
	if changeOf(c.id, n) != *c {
		return
	}
	delete(e.saver.dirty, c.id)
	if n != nil {
		n.settle()
	}
}

// snapshot saves the counters, if there is anything new.
func (e *Engine) snapshot() {
	s := &e.saver
	if _, again := e.troubles(); !s.store.loaded || !again && !e.counts.changed() {
		return
	}
	now := e.clock.now()
	if err := s.store.writeCounters(func(w io.Writer) error { return e.counts.save(w, now) }); err != nil {
		e.failed(&s.countersFault, "counters", err)
		return
	}
	e.over(&s.countersFault, "counters")
	e.mu.Lock()
	s.shot = now
	e.mu.Unlock()
}

// Close saves what it can and ends the goroutine. It returns after closeTime at the latest; a disk that does not answer
// then has the goroutine, and the lock of the folder, until the process ends. The error says what is not saved.
func (e *Engine) Close() error {
	s := &e.saver
	if s.store == nil {
		return nil
	}
	s.once.Do(func() { close(s.quit) })
	late := time.NewTimer(closeTime)
	defer late.Stop()
	select {
	case <-s.done:
	case <-late.C:
		return fmt.Errorf("%s does not answer: what was not saved yet is lost", s.store.dir)
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	if n := len(s.dirty); n > 0 {
		return fmt.Errorf("bans and allowed networks (%d) are lost: %s", n, s.bansFault.text)
	}
	if s.countersFault != (fault{}) {
		return fmt.Errorf("the counters of the last minutes are lost: %s", s.countersFault.text)
	}
	return nil
}
