package acl

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"eximpolicyd/internal/ledger"
	"eximpolicyd/internal/origin"
	"eximpolicyd/policy"
)

// Conversation is one connection that no Exim tells of: that of the dry-run front, or one that a scenario plays. It is
// judged as serve judges, and remembers of itself what the connection table remembers of one of Exim's: how it greeted,
// whom it wrote to, what it tried. A message that is submitted on this machine is a request without a client, of no
// connection.
//
// The zero Conversation is a proven one that has not said anything yet; it needs Settings. It is for one goroutine. What
// it remembers besides the ledger ends with it.
type Conversation struct {
	Settings   *Settings            // of which Decider, DNS, Own and Ledger are used
	Interfaces []netip.Addr         // of this machine
	Exim       uint32               // the uid of whoever asks
	Owner      policy.Maybe[uint32] // of the other end of a connection from this machine
	Unproven   bool                 // judged, and nothing is remembered

	// Account returns the login name of a uid; nil: this machine's.
	Account func(uid uint32) (name string, ok bool)

	mu   sync.Mutex
	conn conn
}

// Room is what a decision is made in, 4 kB, for conversations that are judged one request after the other: it is used again
// and again. The zero Room is ready. It is for one goroutine.
type Room struct {
	known    live
	moment   moment
	deciding deciding
	tallies  [4]ledger.Tally
}

// Decide judges the next request of the connection. The decision has no ID.
func (c *Conversation) Decide(ctx context.Context, q *policy.Request, now time.Time, trace bool) Decision {
	return *c.DecideIn(ctx, new(Room), q, now, trace)
}

// DecideIn does so in a room, where the decision is good until the next one.
func (c *Conversation) DecideIn(ctx context.Context, room *Room, q *policy.Request, now time.Time, trace bool) *Decision {
	s := c.Settings
	if room.deciding.told == nil {
		room.deciding.told = make(map[*ledger.Ban]string)
	}
	known := &room.known // filled in one by one: most of it is room for tallies
	known.peer, known.dns, known.own = origin.Peer{UID: c.Exim}, s.DNS, s.Own
	known.interfaces, known.account = c.Interfaces, c.Account
	known.view, known.waited, known.proven = view{}, false, !c.Unproven
	if q.Client.IsValid() {
		c.conn.proven, c.conn.uid = known.proven, c.Owner
		c.conn.hear(q, now)
		known.view = c.conn.view(&c.mu)
	}
	r := &known.recall
	r.ledger, r.proven, r.here, r.room = s.Ledger, known.proven, known.view.here, room.tallies[:0]
	room.deciding.moment = &room.moment
	m := s.Decider.decideIn(&room.deciding, ctx, q, now, known, trace)
	c.conn.paid = c.conn.paid || known.waited
	return &m.out
}

// Again makes the last decision in a room once more, with a trace, for whoever wants to see only few of them: with what was
// known then, and by the rules of d, which may ask more. Nothing is counted.
func (r *Room) Again(d *Decider) Decision {
	last := r.moment
	last.Decider = d
	return last.again(true, nil)
}

// Hear takes in a request and does not judge it: for whoever knows that at its stage no rule is asked, and that nothing is in
// force for the client.
func (c *Conversation) Hear(q *policy.Request, now time.Time) {
	c.conn.proven, c.conn.uid = !c.Unproven, c.Owner
	c.conn.hear(q, now)
	if q.Stage == policy.Mail {
		c.conn.deeds.begin()
	}
}
