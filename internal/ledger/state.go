package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"
)

// State is how an engine is, for an administrator. Its times are of the wall clock.
type State struct {
	Dir      string    `json:"dir,omitempty"` // "": nothing is saved
	Keys     int       `json:"keys"`          // counted
	MostKeys int       `json:"most_keys"`
	Bytes    int64     `json:"bytes"`             // of the counters in memory
	Snapshot time.Time `json:"snapshot,omitzero"` // when they were saved last, or loaded

	Enforced   int `json:"enforced"`   // bans in force, an administrator's included
	Observed   int `json:"observed"`   // bans in force that refuse nothing
	Remembered int `json:"remembered"` // bans that are over
	// The bans in force by their level, an administrator's at 0.
	EnforcedAt [MaxLevel + 1]int `json:"enforced_at"`
	ObservedAt [MaxLevel + 1]int `json:"observed_at"`
	Allowed    int               `json:"allowed"` // networks let in

	Unsaved      int       `json:"unsaved"` // bans and allowed networks that wait for the disk
	UnsavedSince time.Time `json:"unsaved_since,omitzero"`
	Fault        string    `json:"fault,omitempty"` // of the folder
	Fix          string    `json:"fix,omitempty"`   // what to do
	Aside        []string  `json:"aside,omitempty"` // damaged files that were moved aside
	ClockSteps   int       `json:"clock_steps"`     // how often the wall clock was set since the start
}

// State returns how the engine is.
func (e *Engine) State() State {
	s := State{Keys: e.counts.keys(), MostKeys: e.counts.most(), Bytes: e.counts.bytes()}
	e.look()
	ahead, steps := e.clock.lead()
	s.ClockSteps = steps
	e.mu.Lock()
	now := e.sweep()
	e.mu.Unlock()
	e.mu.RLock() // to go through all bans takes a millisecond, for which no decision waits
	defer e.mu.RUnlock()
	for c, q := range e.entries.queues {
		for _, n := range q {
			switch {
			case n.over(now) && class(c) != allowed:
				s.Remembered++
			case n.over(now):
			case class(c) == allowed:
				s.Allowed++
			case class(c) == observed:
				s.Observed++
				s.ObservedAt[n.ban.Level]++
			default:
				s.Enforced++
				s.EnforcedAt[n.ban.Level]++
			}
		}
	}
	k := &e.saver
	if k.store == nil {
		return s
	}
	s.Dir, s.Snapshot, s.Aside = k.store.dir, k.shot.Add(ahead), k.asides
	if s.Unsaved = len(k.dirty); s.Unsaved > 0 {
		s.UnsavedSince = k.since.Add(ahead)
	}
	for _, f := range []fault{k.bansFault, k.countersFault} {
		if f != (fault{}) {
			s.Fault, s.Fix = f.text, f.fix
			break
		}
	}
	return s
}

// fault is what keeps something from being saved. The zero fault is none.
type fault struct{ text, fix string }

// diagnose says what to do.
func diagnose(dir string, err error) fault {
	f := fault{text: err.Error(), fix: "see the system's log; " + dir + " must be a folder that the daemon's user may write to"}
	var crash panicked
	switch is := func(targets ...error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}; {
	case is(unix.ENOSPC, unix.EDQUOT):
		f.fix = "make room on the file system of " + dir
	case is(unix.EROFS):
		f.fix = "mount the file system of " + dir + " for writing; if the system has made it read-only, its disk may fail"
	case is(fs.ErrPermission):
		f.fix = fmt.Sprintf("give %s and its files to the daemon's user, uid %d: mode 0750, files 0600", dir, unix.Getuid())
	case is(unix.EIO):
		f.fix = "the disk of " + dir + " fails: see the kernel's log, and replace it"
	case is(ErrLocked):
		f.fix = "end the other daemon, or give each a state folder of its own"
	case errors.As(err, &crash):
		f.fix = "report this with the text of the fault; the file is written anew"
	}
	return f
}

// failed notes a fault, and says so unless it is known.
func (e *Engine) failed(slot *fault, what string, err error) {
	f := diagnose(e.saver.store.dir, err)
	e.mu.Lock()
	known := slot.fix == f.fix
	*slot = f
	e.mu.Unlock()
	if !known {
		e.log.Error("the memory is not saved: its new "+what+" last only until the daemon ends; this is tried again until it works",
			"folder", e.saver.store.dir, "error", f.text, "fix", f.fix)
	}
}

// over notes that there is no fault any more, and says so if there was one.
func (e *Engine) over(slot *fault, what string) {
	e.mu.Lock()
	was := *slot
	*slot = fault{}
	e.mu.Unlock()
	if was != (fault{}) {
		e.log.Info("the memory is saved again, with all "+what+" of the meantime", "folder", e.saver.store.dir)
	}
}
