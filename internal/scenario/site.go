package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"eximpolicyd/acl"
	"eximpolicyd/internal/config"
	"eximpolicyd/internal/ledger"
	"eximpolicyd/policy"
	"eximpolicyd/rbl"
)

// site is what a case is played on: a configuration in force, a memory that is empty, a resolver that knows nothing, and a
// clock that nobody waits for. Close it.
type site struct {
	settings acl.Settings
	now      time.Time
	faults   []string // rules that panicked

	memory   *ledger.Engine
	resolver *rbl.Resolver
}

// Bounds of waiting for a DNS that does not answer: a question of package rbl takes 3 s, and up to three of them follow
// each other.
const (
	testTime   = 4 * time.Second
	decideTime = 10 * time.Second
)

func (c *Case) site(ctx context.Context, world *world) (*site, error) {
	conf := c.config.config
	s := &site{now: start}
	s.settings.Decider = &acl.Decider{
		Rules: policy.Bind(policy.Table(), conf.Policies, conf.Mode), Own: conf.Own, Exempt: &conf.Exempt, Mode: conf.Mode,
		Fault: func(rule string, cause any, _ []byte) {
			s.faults = append(s.faults, fmt.Sprintf("the rule %s failed: %v", rule, cause))
		},
	}
	var err error
	s.memory, err = ledger.Open(ledger.Options{Keys: conf.State.Keys, Clock: s.clock})
	if err != nil {
		return nil, err
	}
	s.settings.Ledger = s.memory
	if c.dns != nil && conf.DNS.Ask {
		server, err := world.of(c.dns)
		if err == nil {
			err = s.ask(ctx, server, conf)
		}
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// clock is the memory's.
func (s *site) clock() (wall time.Time, steady time.Duration) { return s.now, s.now.Sub(start) }

// ask has a DNS asked as in a daemon that has run for a while: lists are tested, and our own names and domains known.
func (s *site) ask(ctx context.Context, server netip.AddrPort, conf *config.Config) (err error) {
	if s.resolver, err = rbl.NewResolver(rbl.ResolverOptions{Servers: []netip.AddrPort{server}}); err != nil {
		return err
	}
	zones, ofNames, names, err := listsOf(conf, s.settings.Decider.Rules)
	if err != nil {
		return err
	}
	lists := rbl.NewLists(s.resolver, slices.Concat(zones, ofNames), rbl.ListsOptions{})
	s.settings.DNS = acl.NewDNS(s.resolver, lists, names.Within(len(zones), len(ofNames)))
	s.settings.Own = acl.NewOwnDNS(s.resolver, conf.Own, nil)
	test, stop := context.WithTimeout(ctx, testTime)
	defer stop()
	lists.Test(test)
	look, stop := context.WithTimeout(ctx, testTime)
	defer stop()
	s.settings.Own.Refresh(look)
	return nil
}

// listsOf returns the lists that a rule asks, and about which names.
func listsOf(conf *config.Config, rules []policy.Bound) (zones, ofNames []*rbl.Zone, names acl.Names, err error) {
	l := conf.Lists(rules)
	if l == nil {
		return nil, nil, names, nil
	}
	zones, err = rbl.Zones(rbl.OfAddresses, l.Zones)
	if err == nil {
		ofNames, err = rbl.Zones(rbl.OfNames, l.NameZones)
	}
	return zones, ofNames, acl.NamesOf(l.Names), err
}

// Close ends it all.
func (s *site) Close() error {
	var errs []error
	if s.settings.DNS != nil {
		errs = append(errs, s.settings.DNS.Close())
	}
	if s.resolver != nil {
		errs = append(errs, s.resolver.Close())
	}
	return errors.Join(append(errs, s.memory.Close())...)
}
