package rbl

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// hijackHold is how long the word of a hijacked zone is held back, to see whether the others are too: the answers to one
// client, and to one round of tests, are complete by then.
const hijackHold = questionTime

// idle is when Run looks again though nothing is due.
const idle = time.Hour

// notices are the changes of state that are to be told. If several zones are hijacked the resolver is, and one notice says so
// instead of one a zone.
type notices struct {
	told func(Notice)

	mu    sync.Mutex
	queue []Notice
	hold  time.Time // until when word of hijacked zones is held back
	loud  bool      // the resolver has been named
	turn  sync.Mutex
}

// change puts a change of a zone's state in force. What was asked for before is void: the epoch that the zone notes is
// above that of all such answers. It is noted before others can see it: who writes a row reads the epoch first, and then
// what is void.
func (l *Lists) change(w *watch, n Notice) {
	l.mu.Lock()
	epoch := l.epoch.Load() + 1
	w.purged.Store(epoch)
	l.epoch.Store(epoch)
	w.state.Store(uint32(n.State))
	l.mu.Unlock()
	l.enqueue(n)
}

// enqueue has Run tell a notice.
func (l *Lists) enqueue(n Notice) {
	q := &l.notices
	q.mu.Lock()
	q.queue = append(q.queue, n)
	if n.State == Hijacked && q.hold.IsZero() {
		q.hold = l.now().Add(hijackHold)
	}
	q.mu.Unlock()
	l.stir()
}

// hijacked returns the public names of the zones that are.
func (l *Lists) hijacked() (names []string) {
	for _, w := range l.watches {
		if State(w.state.Load()) == Hijacked {
			names = append(names, w.zone.Public)
		}
	}
	return names
}

// tell tells what has changed, and returns when there is more to tell.
func (l *Lists) tell(now time.Time) (next time.Time) {
	l.notices.turn.Lock() // keeps the order, without holding up change
	defer l.notices.turn.Unlock()
	out, next := l.collect(now)
	if l.notices.told != nil {
		for _, n := range out {
			l.notices.told(n)
		}
	}
	return next
}

// collect returns the notices that are due.
func (l *Lists) collect(now time.Time) (out []Notice, next time.Time) {
	q := &l.notices
	q.mu.Lock()
	defer q.mu.Unlock()
	hijacked := l.hijacked()
	holding := !q.hold.IsZero() && now.Before(q.hold)
	next = now.Add(idle)
	if holding {
		next = q.hold
	} else {
		q.hold = time.Time{}
	}
	kept := q.queue[:0]
	for _, n := range q.queue {
		switch {
		case holding && (n.State == Hijacked || n.Was == Hijacked):
			kept = append(kept, n)
		case n.State == Hijacked && (q.loud || len(hijacked) > 1):
			if !q.loud {
				q.loud = true
				out = append(out, l.loudly(n, hijacked))
			}
		case n.Was == Hijacked && n.State == OK && q.loud:
		default:
			out = append(out, n)
		}
	}
	q.queue = kept
	if q.loud && len(hijacked) == 0 && !holding {
		q.loud = false
		out = append(out, Notice{State: OK, Was: Hijacked, Text: "the DNS server answers in no list's place any more"})
	}
	return out, next
}

// loudly says of the resolver what several zones show.
func (l *Lists) loudly(n Notice, hijacked []string) Notice {
	fix := "run a resolver of your own (unbound), or ask whoever runs this one to stop it"
	if name := l.resolver.Public(); name != "" {
		fix = "your resolver is public (" + name + "): run one of your own (unbound)"
	}
	return Notice{State: Hijacked, Was: OK, Fix: fix,
		Text: fmt.Sprintf("the DNS server answers in the place of %d of %d lists, which do not count until it stops: %s; of %s: %s",
			len(hijacked), len(l.watches), strings.Join(hijacked, " "), n.Zone, n.Text)}
}
