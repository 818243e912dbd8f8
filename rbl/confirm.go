package rbl

import (
	"context"
	"net/netip"
	"slices"

	"github.com/miekg/dns"
)

// maxPTRNames is how many names of an address are looked at: whoever owns it may give it any number.
const maxPTRNames = 4

// PTR is the outcome of a forward-confirmed reverse lookup (RFC 8601 2.7.3, "iprev").
type PTR struct {
	Status PTRStatus
	Names  []string // confirmed ones if Confirmed, else those that the address has; at most 4
	Note   string   // why Unknown, for a reader
	More   bool     // it may have more names: some were not looked at, or not answered
	Late   bool     // Unknown because the asking ended first; ask again and the rest is there
	Origin          // of all that was answered
}

// PTRStatus says what a reverse lookup found.
type PTRStatus uint8

// The outcomes of a reverse lookup, in the words of RFC 8601.
const (
	PTRUnknown     PTRStatus = iota // none confirmed, and some lookup was not answered, or had more than is looked at
	PTRMissing                      // the address has no name ("permerror")
	PTRUnconfirmed                  // it has names, none of which has the address ("fail")
	PTRConfirmed                    // a name of it has the address ("pass")
)

// String returns the outcome for a reader.
func (s PTRStatus) String() string {
	return [...]string{"unknown", "missing", "unconfirmed", "confirmed"}[min(s, PTRConfirmed)]
}

// Confirm looks up the names of an address and whether they have it: at most 4 names, MaxAddresses addresses each. It
// waits as Lookup does, and starts without waiting likewise.
func (r *Resolver) Confirm(ctx context.Context, addr netip.Addr) PTR {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() {
		return PTR{Note: "no address"}
	}
	p := r.confirm(over, addr) // what is remembered
	if !p.Late {
		return p
	}
	// Not tied to the one who asks first: others wait for it as well. It takes no longer than two questions.
	done := r.proofs.DoChan(addr.String(), func() (any, error) {
		if !r.enter() {
			return PTR{Note: "the resolver is closed"}, nil
		}
		defer r.work.Done()
		ctx, stop := context.WithTimeout(context.Background(), 2*questionTime)
		defer stop()
		return r.confirm(ctx, addr), nil
	})
	select {
	case result := <-done:
		return result.Val.(PTR)
	case <-ctx.Done():
		return p
	}
}

// over is a context that has ended: a question that is asked with it is started and not waited for.
var over = func() context.Context {
	ctx, end := context.WithCancel(context.Background())
	end()
	return ctx
}()

// confirm looks both ways.
func (r *Resolver) confirm(ctx context.Context, addr netip.Addr) PTR {
	back := r.Lookup(ctx, ReverseName(addr), dns.TypePTR)
	from := back.Origin()
	switch {
	case back.Outcome == Missing || back.Outcome == Empty:
		return PTR{Status: PTRMissing, Origin: from}
	case back.Outcome != Found:
		return PTR{Note: "its name: " + back.Note, Late: back.Outcome == Unanswered, Origin: from}
	}
	p := PTR{Status: PTRUnconfirmed, Names: back.Names, Origin: from}
	if len(p.Names) > maxPTRNames {
		p = PTR{Note: "it has more names than are looked at", Names: p.Names[:maxPTRNames], More: true, Origin: from}
	}
	kind := dns.TypeAAAA
	if addr.Is4() {
		kind = dns.TypeA
	}
	for _, name := range p.Names {
		r.Lookup(over, name, kind) // all side by side
	}
	var confirmed []string
	for _, name := range p.Names {
		forth := r.Lookup(ctx, name, kind)
		p.Origin = p.Origin.And(forth.Origin())
		switch {
		case slices.Contains(forth.Addresses, addr):
			confirmed = append(confirmed, name)
		case len(forth.Addresses) == MaxAddresses:
			p.Status, p.Note, p.More = PTRUnknown, name+" has more addresses than are looked at", true
		case !forth.Outcome.Answered():
			p.Status, p.Note, p.More = PTRUnknown, "the address of "+name+": "+forth.Note, true
			p.Late = p.Late || forth.Outcome == Unanswered
		}
	}
	if len(confirmed) > 0 {
		return PTR{Status: PTRConfirmed, Names: confirmed, More: p.More, Origin: p.Origin}
	}
	return p
}
