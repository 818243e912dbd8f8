package acl

import (
	"context"
	"net/netip"

	"eximpolicyd/internal/origin"
	"eximpolicyd/policy"
)

// live is the provider of serve: what the connection table, the interfaces and the peer say of one request.
type live struct {
	peer       origin.Peer
	view       view
	interfaces []netip.Addr
	proven     bool
}

// Gather fills facts from memory; only the account of a local caller costs a look into the password file.
func (l *live) Gather(ctx context.Context, needs policy.Need, q *policy.Request, f *policy.Facts) {
	f.Interfaces = l.interfaces
	f.EximUID = policy.Known(l.peer.UID)
	f.OnlyPostmaster = l.view.onlyPostmaster
	if needs&policy.NeedGreetings != 0 {
		f.Greetings = l.view.greetings
	}
	if needs&policy.NeedAccount != 0 && ctx.Err() == nil {
		f.Account = account(q)
	}
}

// Proven reports what was found at CONNECT.
func (l *live) Proven() bool { return l.proven }

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
