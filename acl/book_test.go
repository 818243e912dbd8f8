package acl

import (
	"context"
	"errors"
	"net/netip"
	"sync"

	"eximpolicyd/internal/ledger"
)

// book is a ledger without time: what is counted stays, and a ban lasts.
type book struct {
	mu        sync.Mutex
	counts    map[ledger.Key]ledger.Counts
	standing  ledger.Standing
	offences  []ledger.Offence
	tallied   int // that added something
	gone      bool
	undurable bool
}

func newBook() *book { return &book{counts: map[ledger.Key]ledger.Counts{}} }

// recall is the memory of a new connection.
func (b *book) recall(proven bool) *Recall {
	return &Recall{ledger: b, proven: proven, here: kept{&sync.Mutex{}, &deeds{}}}
}

var errNoMemory = errors.New("the memory is gone")

func (b *book) Count(_ context.Context, tallies []ledger.Tally) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gone {
		return errNoMemory
	}
	for i := range tallies {
		t := &tallies[i]
		c := b.counts[t.Key]
		if t.Add != (ledger.Delta{}) {
			b.tallied++
			h, d := &c.Hour, &c.Day
			h.Good += int(t.Add.Good)
			h.Bad += int(t.Add.Bad)
			h.OnlyBad += int(t.Add.OnlyBad)
			h.Failed += int(t.Add.Failed)
			h.Held += int(t.Add.Held)
			if t.Add.Seen != 0 {
				h.Seen++
			}
			d.Good += int(t.Add.Good)
			d.Bad += int(t.Add.Bad)
			d.Trapped += int(t.Add.Trapped)
			d.Clean += int(t.Add.Clean)
			if t.Add.Login {
				c.LastLogin = noon
			}
			b.counts[t.Key] = c
		}
		t.Counts = c
	}
	return nil
}

func (b *book) Standing(context.Context, netip.Addr) (ledger.Standing, error) {
	if b.gone {
		return ledger.Standing{}, errNoMemory
	}
	return b.standing, nil
}

func (b *book) Offend(_ context.Context, o ledger.Offence) (ledger.Ban, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gone {
		return ledger.Ban{}, false, errNoMemory
	}
	b.offences = append(b.offences, o)
	return ledger.Ban{Network: o.Network, Level: 1, Enforced: o.Enforced, Rule: o.Rule, Because: o.Because, Made: noon,
		Until: noon.Add(ledger.Length(1)), Durable: !b.undurable}, true, nil
}
