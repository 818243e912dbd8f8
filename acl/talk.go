package acl

import (
	"net/netip"
	"os"
	"time"

	"eximpolicyd/internal/origin"
	"eximpolicyd/policy"
)

// Talks judges SMTP connections that a listener of our own has accepted, where no Exim stands between: by the same decider
// and the same provider as Server, and with the same decision line. Make it with NewTalks. It is safe for concurrent use.
type Talks struct {
	settings   *Settings
	prover     Prover
	interfaces origin.Interfaces
	ids        *sequence
	uid        uint32 // our own, which stands for Exim's
}

// NewTalks makes one. Of the settings Peers and Prove are not looked at: who listens himself needs no proof that a
// connection exists. A nil prover means that the user behind a connection from this machine is not known.
func NewTalks(s *Settings, p Prover) *Talks {
	return &Talks{settings: s, prover: p, ids: newSequence(), uid: uint32(os.Getuid())}
}

// Talk is one such connection: a Conversation that finds out who is behind it, keeps to the budgets of serve and is logged.
// It is for one goroutine at a time, and nothing of it is left when whoever holds it forgets it.
type Talk struct {
	*Talks
	conversation Conversation
}

// Begin begins a connection.
func (t *Talks) Begin() *Talk {
	return &Talk{t, Conversation{Settings: t.settings, Exim: t.uid}}
}

// Decide judges a request of this connection within the budget of its stage, as if Exim had asked, and writes the decision
// line. With trace, the decision tells every step.
func (t *Talk) Decide(q *policy.Request, trace bool) Decision {
	now := time.Now()
	c := &t.conversation
	c.Interfaces = t.interfaces.Addresses(now)
	if q.Stage == policy.Connect && t.prover != nil && ownAddress(q, c.Interfaces) {
		c.Owner = owner(t.prover, tuple{far: netip.AddrPortFrom(q.Client, port(q.ClientPort)), server: netip.AddrPortFrom(q.Server, port(q.ServerPort))})
	}
	ctx := budget{end: now.Add(Budget(q.Stage))}
	d := c.Decide(&ctx, q, now, trace)
	ctx.stop()
	d.ID = t.ids.next(now)
	logDecision(t.settings, &d, q, c.Owner, time.Since(now))
	return d
}
