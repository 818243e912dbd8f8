package report

import (
	"cmp"
	"slices"
	"time"

	"eximpolicyd/internal/ledger"
	"eximpolicyd/internal/mainlog"
)

// course is a connection that is being replayed: what happened in it, in order, and how far it is.
type course struct {
	*mainlog.Connection
	number          int // in the order in which connections began
	at              time.Time
	key             int64 // at, to compare
	acts            []act
	next            int // act; -1 is the beginning
	who             client
	client, network ledger.Key
	plays           [2]play
}

// act is one thing that happened in a connection.
type act struct {
	at   time.Time
	what deed
	n    int // of the list that what is of
}

// deed says what an act is, in the order of those that happen within one second.
type deed uint8

const (
	refusal deed = iota // of the greeting, of MAIL, of another command
	login               // that failed
	rcpt                // that was refused
	message             // that was taken, or refused after DATA
	end
)

// start puts the acts of a connection in order. A course is used again for another one.
func (c *course) start(of *mainlog.Connection, number int, o *Options) {
	c.Connection, c.number, c.at, c.next, c.acts = of, number, of.Began, -1, c.acts[:0]
	c.key = of.Began.UnixNano()
	c.who = clientOf(of, o)
	if of.Client.IsValid() {
		c.client, c.network = ledger.Of(ledger.Client(of.Client)), ledger.Of(ledger.Networks(of.Client)[0])
	}
	for i := range of.Refusals {
		c.acts = append(c.acts, act{of.Refusals[i].Time, refusal, i})
	}
	for i := range of.Logins {
		c.acts = append(c.acts, act{of.Logins[i].Time, login, i})
	}
	for i := range of.Rcpts {
		c.acts = append(c.acts, act{of.Rcpts[i].Time, rcpt, i})
	}
	for i := range of.Messages {
		c.acts = append(c.acts, act{of.Messages[i].Time, message, i})
	}
	slices.SortFunc(c.acts, func(a, b act) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.what, b.what), cmp.Compare(a.n, b.n))
	})
	if of.FailedLogins > 0 && of.By != mainlog.ByAddress {
		c.acts = append(c.acts, act{of.Ended, end, 0})
	}
}

// step goes on to the next act, and reports whether there is one.
func (c *course) step() bool {
	if c.next++; c.next == len(c.acts) {
		return false
	}
	if at := c.acts[c.next].at; at.After(c.at) {
		c.at, c.key = at, at.UnixNano()
	}
	return true
}

func (c *course) before(o *course) bool {
	return c.key < o.key || c.key == o.key && c.number < o.number
}

// order is a heap of courses, the one whose act comes next first: connections come in the order in which they began, and are
// over at different times.
//
// Bound: the connections that were open at one moment of the log, of which mainlog.Sessions holds some thousand at most.
type order []*course

func (o *order) push(c *course) {
	h := append(*o, c)
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h[i].before(h[up]) {
			break
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
	*o = h
}

// settle puts the first where it belongs after its time has changed.
func (o order) settle() {
	for i := 0; ; {
		least := i
		for _, down := range [2]int{2*i + 1, 2*i + 2} {
			if down < len(o) && o[down].before(o[least]) {
				least = down
			}
		}
		if least == i {
			return
		}
		o[i], o[least] = o[least], o[i]
		i = least
	}
}

// pop removes the first.
func (o *order) pop() *course {
	h := *o
	first, last := h[0], len(h)-1
	h[0], h[last] = h[last], nil
	*o = h[:last]
	o.settle()
	return first
}
