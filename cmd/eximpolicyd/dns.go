package main

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"eximpolicyd/acl"
	"eximpolicyd/internal/config"
	"eximpolicyd/policy"
	"eximpolicyd/rbl"
)

// dnsWants is what a configuration says of whom to ask what.
type dnsWants struct {
	servers          []netip.AddrPort
	zones, nameZones []rbl.Entry
	names            acl.Names
}

// wantsOf returns what a configuration wants of the DNS. Lists that no rule asks are not tested either.
func wantsOf(c *config.Config, rules []policy.Bound) dnsWants {
	w := dnsWants{servers: c.DNS.Servers}
	if s := c.Lists(rules); s != nil {
		w.zones, w.nameZones, w.names = s.Zones, s.NameZones, acl.NamesOf(s.Names)
	}
	return w
}

// asking is what asks the DNS: a resolver, the lists and what they learned of them.
type asking struct {
	wants    dnsWants
	resolver *rbl.Resolver
	lists    *rbl.Lists
	zones    []*rbl.Zone
	dns      *acl.DNS

	stop context.CancelFunc // of what runs; nil: nothing does
	runs sync.WaitGroup
}

// newAsking makes one that does not run yet. told and ended, which hears of each question, may be nil. Close it.
func newAsking(w dnsWants, told func(rbl.Notice), ended func(rbl.Outcome, time.Duration)) (*asking, error) {
	zones, err := rbl.Zones(rbl.OfAddresses, w.zones)
	if err != nil {
		return nil, fail(exConfig, "", "policy.rbl.zones: %w", err)
	}
	ofNames, err := rbl.Zones(rbl.OfNames, w.nameZones)
	if err != nil {
		return nil, fail(exConfig, "", "policy.rbl.name_zones: %w", err)
	}
	r, err := rbl.NewResolver(rbl.ResolverOptions{Servers: w.servers, Told: told, Ended: ended, Answers: roomFor(rbl.DefaultAnswers)})
	if err != nil {
		return nil, fail(exConfig, "write the address of a resolver into dns.servers", "no DNS server is known: %w", err)
	}
	a := &asking{wants: w, resolver: r, zones: slices.Concat(zones, ofNames)}
	a.lists = rbl.NewLists(r, a.zones, rbl.ListsOptions{Told: told, Rows: roomFor(rbl.DefaultRows)})
	a.dns = acl.NewDNS(r, a.lists, w.names.Within(len(zones), len(ofNames)))
	return a, nil
}

// run tests the lists from now on, until Close.
func (a *asking) run(ctx context.Context) {
	ctx, a.stop = context.WithCancel(ctx)
	a.runs.Go(func() { a.lists.Run(ctx) }) // Close waits for it; it ends with ctx
}

// Close ends everything. What is still asked stays unanswered.
func (a *asking) Close() error {
	if a == nil {
		return nil
	}
	if a.stop != nil {
		a.stop()
	}
	a.runs.Wait()
	return errors.Join(a.dns.Close(), a.resolver.Close())
}

// own is what looks up our own names and domains while it runs.
type own struct {
	dns  *acl.OwnDNS
	stop context.CancelFunc
	runs sync.WaitGroup
}

// newOwn starts looking up; before, which may be nil, is ended and what it knew is known.
func newOwn(ctx context.Context, a *asking, c *policy.Own, before *own) *own {
	before.Close()
	if a == nil {
		return nil
	}
	o := &own{}
	if before == nil {
		o.dns = acl.NewOwnDNS(a.resolver, c, nil)
	} else {
		o.dns = acl.NewOwnDNS(a.resolver, c, before.dns)
	}
	ctx, o.stop = context.WithCancel(ctx)
	o.runs.Go(func() { o.dns.Run(ctx) }) // Close waits for it; it ends with ctx
	return o
}

// Close ends looking up.
func (o *own) Close() {
	if o != nil {
		o.stop()
		o.runs.Wait()
	}
}

// known returns what has been looked up; nil knows nothing.
func (o *own) known() *acl.OwnDNS {
	if o == nil {
		return nil
	}
	return o.dns
}

// afterwards is how long what asks the DNS is kept when another has taken its place: requests under way use it, none for
// longer than the longest budget.
const afterwards = 2 * time.Second

// attach gives settings what asks the DNS: what runs already, cache, health and all, if the configuration wants the same
// of it, else a new one. It returns the old one then, to be closed when no request uses it any more.
func (s *server) attach(ctx context.Context, c *config.Config, settings *acl.Settings) (old *asking) {
	now := s.asking.Load()
	next := s.nextAsking(ctx, c, settings.Decider.Rules)
	s.asking.Store(next)
	s.own = newOwn(ctx, next, c.Own, s.own)
	settings.Own = s.own.known()
	if next != nil {
		settings.DNS = next.dns
	}
	s.inForce.Store(&inForce{c, settings})
	if n := len(c.Own.Domains); next != nil && n > acl.MaxOwnDomains {
		s.log.Load().Warn("not all MX hosts of own.domains are looked up, it would take too long; name relays in exempt.relay",
			"domains", n, "looked_up", acl.MaxOwnDomains)
	}
	if next == now {
		return nil
	}
	return now
}

// nextAsking returns what asks the DNS from now on, nil if nothing does: a host without a resolver still answers Exim.
func (s *server) nextAsking(ctx context.Context, c *config.Config, rules []policy.Bound) *asking {
	if s.noDNS || !c.DNS.Ask {
		return nil
	}
	wants := wantsOf(c, rules)
	if now := s.asking.Load(); now != nil && reflect.DeepEqual(now.wants, wants) {
		now.resolver.Reread()
		return now
	}
	next, err := newAsking(wants, s.told, s.figures.Ended)
	if err != nil {
		s.log.Load().Error("the DNS is not asked, and no rule that needs it has an opinion", "error", err)
		return nil
	}
	if len(next.zones) > 0 && wants.names != wants.names.Within(len(wants.zones), len(wants.nameZones)) {
		s.log.Load().Warn("lists of names are not asked about the name of the client's address: with fewer lists of addresses " +
			"a client would cost over two questions a list; take a name out of policy.rbl.names")
	}
	next.run(ctx)
	return next
}

// listsLine tells which lists are asked, and where to look how they do.
func (s *server) listsLine(socket string) string {
	switch a := s.asking.Load(); {
	case a == nil:
		return "lists: none, the DNS is not asked, and no rule that needs it has an opinion"
	case len(a.zones) == 0:
		return "lists: none; policy.rbl.zones and name_zones name them"
	default:
		names := make([]string, len(a.zones))
		for i, z := range a.zones {
			names[i] = z.Public
		}
		return "lists: " + strings.Join(names, ", ") + "\neach of them counts from when it has passed its own test: " +
			os.Args[0] + " lists --socket " + controlSocket(socket)
	}
}

// health returns how each list does, for the administrator.
func (s *server) health() []rbl.ZoneHealth {
	if a := s.asking.Load(); a != nil {
		return a.lists.States()
	}
	return nil
}

// told writes what an operator should know of a list or of the resolver, once a change.
func (s *server) told(n rbl.Notice) {
	log := s.log.Load()
	say := log.Warn
	if n.State == rbl.OK && n.Was != rbl.OK {
		say = log.Info
	}
	what := "a list has changed its state"
	about := []any{"list", n.Zone, "state", n.State.String(), "was", n.Was.String(), "why", n.Text}
	switch {
	case n.Zone == "":
		what, about = "the resolver has changed its state", about[2:]
	case n.State == n.Was:
		what = "a list has changed what it answers"
	}
	if n.Fix != "" {
		about = append(about, "fix", n.Fix)
	}
	say(what, about...)
}

// pause waits, and reports whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
