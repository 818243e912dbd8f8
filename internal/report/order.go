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
	acts            []act
	next            int    // act; -1 is the beginning
	room            [4]act // for acts: most have fewer
	who             client
	client, network ledger.Key
	counted         counted
	plays           [2]play
}

// act is one thing that happened in a connection.
type act struct {
	at   time.Time
	what deed
	n    int32 // of the list that what is of
}

// deed says what an act is, in the order of those that happen within one second.
type deed uint8

const (
	login   deed = iota // that failed
	rcpt                // that was refused
	message             // that was taken, or refused after DATA
	end
)

// start puts the acts of a connection in order, and has its client greet. A course is used again for another one.
func (c *course) start(of *mainlog.Connection, number int, o *Options) {
	c.Connection, c.number, c.at, c.next, c.acts = of, number, of.Began, -1, c.room[:0]
	c.counted = counted{}
	c.who = clientOf(of, o)
	if of.Client.IsValid() {
		keys, _ := ledger.Keys(of.Client)
		c.client, c.network = keys[0], keys[1]
	}
	for i, at := range of.FailedLogins {
		c.acts = append(c.acts, act{at, login, int32(i)})
	}
	for i := range of.Rcpts {
		c.acts = append(c.acts, act{of.Rcpts[i].Time, rcpt, int32(i)})
	}
	for i := range of.Messages {
		c.acts = append(c.acts, act{of.Messages[i].Time, message, int32(i)})
	}
	slices.SortFunc(c.acts, func(a, b act) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.what, b.what), cmp.Compare(a.n, b.n))
	})
	if len(of.FailedLogins) > 0 && of.By != mainlog.ByAddress {
		c.acts = append(c.acts, act{of.Ended, end, 0})
	}
	c.who.greets(c.first()) // here, where all of it is at hand, and not where it is judged
}

// step goes on to the next act, and reports whether there is one.
func (c *course) step() bool {
	if c.next++; c.next == len(c.acts) {
		return false
	}
	if at := c.acts[c.next].at; at.After(c.at) {
		c.at = at
	}
	return true
}

// order is a heap of courses, the one whose act comes next first: connections come in the order in which they began, and are
// over at different times.
//
// Bound: the connections that were open at one moment of the log, of which mainlog.Sessions holds some thousand at most.
type order []turn

// turn is a course with what it is compared by, which need not be fetched from it then.
type turn struct {
	at     int64 // of its next act
	number int
	*course
}

func turnOf(c *course) turn { return turn{c.at.UnixNano(), c.number, c} }

func (t *turn) before(o *turn) bool { return t.at < o.at || t.at == o.at && t.number < o.number }

func (o *order) push(c *course) {
	h := append(*o, turnOf(c))
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h[i].before(&h[up]) {
			break
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
	*o = h
}

// settle puts the first where it belongs after its time has changed.
func (o order) settle() {
	o[0] = turnOf(o[0].course)
	o.sink()
}

// sink puts the first where it belongs.
func (o order) sink() {
	if len(o) == 0 {
		return
	}
	first := o[0]
	i := 0
	for {
		least := 2*i + 1
		if least >= len(o) {
			break
		}
		if least+1 < len(o) && o[least+1].before(&o[least]) {
			least++
		}
		if !o[least].before(&first) {
			break
		}
		o[i] = o[least]
		i = least
	}
	o[i] = first
}

// pop removes the first.
func (o *order) pop() *course {
	h := *o
	first, last := h[0].course, len(h)-1
	h[0], h[last] = h[last], turn{}
	*o = h[:last]
	o.sink()
	return first
}
