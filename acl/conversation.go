package acl

import (
	"context"
	"net/netip"
	"sync"
	"time"

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

// Decide judges the next request of the connection. The decision has no ID.
func (c *Conversation) Decide(ctx context.Context, q *policy.Request, now time.Time, trace bool) Decision {
	if q.Client.IsValid() {
		c.conn.proven, c.conn.uid = !c.Unproven, c.Owner
		c.conn.hear(q, now)
	}
	return c.decide(ctx, q, now, trace, false)
}

// Again judges the request once more that was judged last, with a trace, for whoever wants to see only few of them. It
// counts nothing; what the first time did, a ban say, is done already.
func (c *Conversation) Again(ctx context.Context, q *policy.Request, now time.Time) Decision {
	return c.decide(ctx, q, now, true, true)
}

func (c *Conversation) decide(ctx context.Context, q *policy.Request, now time.Time, trace, again bool) Decision {
	s := c.Settings
	known := live{peer: origin.Peer{UID: c.Exim}, dns: s.DNS, own: s.Own, interfaces: c.Interfaces, account: c.Account}
	known.proven = !c.Unproven
	if q.Client.IsValid() {
		known.view = c.conn.view(&c.mu)
	}
	known.recall = Recall{ledger: s.Ledger, proven: known.proven, again: again, here: known.view.here}
	d := s.Decider.Decide(ctx, q, now, &known, trace)
	c.conn.paid = c.conn.paid || known.waited
	return d
}
