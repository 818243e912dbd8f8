package acl

import (
	"context"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"eximpolicyd/policy"
	"eximpolicyd/rbl"
)

// MaxOwnDomains is of how many of own.domains the MX hosts are looked up, the first by alphabet: at 20 ms an answer they
// take a minute of every ten. A site with more of them names its relays in exempt.relay.
const MaxOwnDomains = 1000

// Bounds of what is asked about ourselves. One question at a time takes no seat from those about clients.
const (
	maxOwnNames = 64
	ownPeriod   = 10 * time.Minute // between two rounds
	ownAgain    = time.Minute      // after one that left something unknown, doubling
	ownRound    = 5 * time.Minute  // for one: where the DNS does not answer it ends there
)

// OwnDNS knows what the DNS says of our own names and domains: the addresses of own.names, and those of the MX hosts of
// own.domains, which relay mail to us. Run keeps it fresh; a nil OwnDNS knows nothing. It is safe for concurrent use.
//
// Bound: maxOwnNames names and MaxOwnDomains domains. Lost on restart: until the first round has ended, a host of ours is
// a stranger, whom exempt.relay would let pass at once. A question that is not answered keeps its last answer.
type OwnDNS struct {
	resolver resolver
	names    []string
	domains  []string
	last     map[question]rbl.Records // what was answered; only refresh looks
	answer   atomic.Pointer[ownAnswer]
}

type question struct {
	name string
	kind uint16
}

type ownAnswer struct {
	addresses []netip.Addr
	relays    *policy.Prefixes
}

// NewOwnDNS makes an OwnDNS. Until it has asked for itself it knows what before knew, which may be nil and must not run
// any more: a new configuration must not make strangers of our hosts.
func NewOwnDNS(r *rbl.Resolver, own *policy.Own, before *OwnDNS) *OwnDNS {
	return newOwnDNS(r, own, before)
}

func newOwnDNS(r resolver, own *policy.Own, before *OwnDNS) *OwnDNS {
	o := &OwnDNS{resolver: r, names: firstOf(own.Names, maxOwnNames), domains: firstOf(own.Domains, MaxOwnDomains)}
	if before != nil {
		o.last = before.last
		o.answer.Store(before.answer.Load())
	}
	return o
}

// firstOf returns the first names of a set by alphabet, so that they are the same ones every time. The set may be much
// larger than most.
func firstOf(set map[string]bool, most int) []string {
	list := make([]string, 0, min(len(set), 2*most))
	for name := range set {
		if len(list) == 2*most {
			slices.Sort(list)
			list = list[:most]
		}
		list = append(list, name)
	}
	slices.Sort(list)
	return slices.Clip(list[:min(len(list), most)])
}

// Run asks at once and then every ten minutes, until ctx ends; sooner as long as something has never been answered: the
// resolver may start after us.
func (o *OwnDNS) Run(ctx context.Context) {
	if len(o.names)+len(o.domains) == 0 {
		return
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for again := ownAgain; ; {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if o.Refresh(ctx) {
			timer.Reset(ownPeriod)
			continue
		}
		timer.Reset(again)
		again = min(2*again, ownPeriod)
	}
}

// Refresh makes one round of questions and reports whether all are answered, now or before. It must not be called while
// Run runs.
func (o *OwnDNS) Refresh(ctx context.Context) bool {
	ctx, stop := context.WithTimeout(ctx, ownRound)
	defer stop()
	fresh := make(map[question]rbl.Records)
	now := ownAnswer{relays: &policy.Prefixes{}}
	for _, name := range o.names {
		now.addresses = append(now.addresses, o.addresses(ctx, fresh, name)...)
	}
	for _, domain := range o.domains {
		for _, host := range hosts(o.ask(ctx, fresh, domain, dns.TypeMX)) {
			for _, a := range o.addresses(ctx, fresh, host) {
				now.relays.Add(netip.PrefixFrom(a, a.BitLen()))
			}
		}
	}
	o.last = fresh
	o.answer.Store(&now)
	for _, r := range fresh {
		if !r.Outcome.Answered() {
			return false
		}
	}
	return true
}

func (o *OwnDNS) addresses(ctx context.Context, fresh map[question]rbl.Records, name string) []netip.Addr {
	return slices.Concat(o.ask(ctx, fresh, name, dns.TypeA).Addresses, o.ask(ctx, fresh, name, dns.TypeAAAA).Addresses)
}

// ask asks once a round, and falls back on what was answered before. After the end of the round it asks no more: a
// question would be started all the same.
func (o *OwnDNS) ask(ctx context.Context, fresh map[question]rbl.Records, name string, kind uint16) rbl.Records {
	q := question{name, kind}
	r, asked := fresh[q]
	if asked || name == "" { // a null MX, RFC 7505
		return r
	}
	if ctx.Err() == nil {
		r = o.resolver.Lookup(ctx, name, kind)
	}
	if !r.Outcome.Answered() {
		r = o.last[q]
	}
	fresh[q] = r
	return r
}

// known returns our addresses and our relays.
func (o *OwnDNS) known() ([]netip.Addr, *policy.Prefixes) {
	if o == nil {
		return nil, nil
	}
	now := o.answer.Load()
	if now == nil {
		return nil, nil
	}
	return now.addresses, now.relays
}
