package acl

import (
	"context"
	"net/netip"

	"eximpolicyd/internal/origin"
	"eximpolicyd/policy"
)

// live is the provider of serve: what the connection table, the interfaces, the peer and the DNS say of one request.
type live struct {
	peer       origin.Peer
	view       view
	interfaces []netip.Addr
	proven     bool
	dns        *DNS
	own        *OwnDNS
	recall     Recall
	name       [1]string                       // room for the client's, if the request says it
	account    func(uid uint32) (string, bool) // nil: this machine's
	programs   Programs                        // nil: none is known
	waited     bool                            // for the DNS, and in vain: the connection has paid
}

// Gather fills facts from memory. The account of a local caller costs a look into the password file, and what the DNS
// says may cost the rest of the time; a connection that has paid it once in vain reads what is there.
func (l *live) Gather(ctx context.Context, needs policy.Need, q *policy.Request, f *policy.Facts) (late policy.Need) {
	f.Interfaces = l.interfaces
	f.EximUID = policy.Known(l.peer.UID)
	f.OnlyPostmaster = l.view.onlyPostmaster
	f.OwnAddresses, f.Relays = l.own.known()
	f.ClientUID = l.view.uid
	l.name[0] = q.ClientName
	believe(l.name[:], f)
	if needs&policy.NeedGreetings != 0 {
		f.Greetings = l.view.greetings
	}
	if needs&policy.NeedAccount != 0 {
		if ctx.Err() == nil {
			f.Account = account(q, f, l.account)
		} else {
			late |= policy.NeedAccount
		}
	}
	if needs&policy.NeedHold != 0 {
		f.Held = l.recall.Held(ctx, q, f)
	}
	if needs&policy.NeedProgram != 0 {
		f.Program = l.program(ctx, q)
	}
	if l.view.paid {
		ctx = over
	}
	missed := l.dns.gather(ctx, needs, q, f)
	l.waited = l.waited || missed != 0 && !l.view.paid
	return late | missed
}

// Start asks the DNS for what RCPT will need.
func (l *live) Start(needs policy.Need, q *policy.Request, f *policy.Facts) {
	l.dns.start(needs, q, f.Own, l.proven, f.Now)
}

// Proven reports what was found at CONNECT.
func (l *live) Proven() bool { return l.proven }

// Recall returns the memory as this request sees it.
func (l *live) Recall() *Recall { return &l.recall }

// ownAddress reports whether a client is this machine.
func ownAddress(q *policy.Request, interfaces []netip.Addr) bool {
	if q.Client.IsLoopback() || q.Client.IsValid() && q.Client == q.Server {
		return true
	}
	for _, a := range interfaces {
		if a == q.Client {
			return true
		}
	}
	return false
}
