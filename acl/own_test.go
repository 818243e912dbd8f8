package acl

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"eximpolicyd/policy"
	"eximpolicyd/rbl"
)

func TestOurOwnNamesKeepTheirLastAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &slowDNS{takes: time.Second, records: map[question]rbl.Records{
			{"mail.example.com", dns.TypeA}:    found("192.0.2.1"),
			{"mail.example.com", dns.TypeAAAA}: found("2001:db8::1"),
			{"example.com", dns.TypeMX}:        {Outcome: rbl.Found, Names: []string{"backup.example.org", ""}},
			{"backup.example.org", dns.TypeA}:  found("192.0.2.9"),
		}}
		own := &policy.Own{Names: map[string]bool{"mail.example.com": true}, Domains: map[string]bool{"example.com": true, "none.example": true}}
		o := newOwnDNS(w, own, nil)
		if list, relays := o.known(); list != nil || relays.Has(netip.MustParseAddr("192.0.2.9")) {
			t.Error("known before it was asked")
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); o.Run(ctx) }()
		expect := func(when string, relay bool) {
			t.Helper()
			synctest.Wait()
			list, relays := o.known()
			if want := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}; !slices.Equal(list, want) {
				t.Errorf("%s: our addresses are %v", when, list)
			}
			if relays.Has(netip.MustParseAddr("192.0.2.9")) != relay {
				t.Errorf("%s: relay %v", when, !relay)
			}
		}
		time.Sleep(10 * time.Second)
		expect("after the first round", true)

		failing := map[question]rbl.Records{
			{"mail.example.com", dns.TypeA}: {Outcome: rbl.Failed}, {"mail.example.com", dns.TypeAAAA}: {Outcome: rbl.Down},
			{"example.com", dns.TypeMX}: {Outcome: rbl.TimedOut}, {"backup.example.org", dns.TypeA}: {Outcome: rbl.Refused},
		}
		w.say(failing)
		time.Sleep(ownPeriod)
		expect("with a DNS that fails", true)

		gone := maps.Clone(failing)
		delete(gone, question{"example.com", dns.TypeMX})
		w.say(gone)
		time.Sleep(ownPeriod)
		expect("with a domain that has no MX any more", false)
		stop()
		<-done

		again := newOwnDNS(w, own, o)
		if list, _ := again.known(); len(list) != 2 {
			t.Errorf("after a reload it knows %v", list)
		}
		var none *OwnDNS
		if list, relays := none.known(); list != nil || relays != nil {
			t.Error("nothing knows something")
		}
	})
}

func TestWhatIsNotKnownOfOurselvesIsAskedForSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name, relay := question{"mail.example.com", dns.TypeA}, netip.MustParseAddr("192.0.2.9")
		w := &slowDNS{records: map[question]rbl.Records{name: {Outcome: rbl.Down}}} // at the start of the machine
		o := newOwnDNS(w, &policy.Own{Names: map[string]bool{name.name: true}}, nil)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); o.Run(ctx) }()
		expect := func(what string, known bool) {
			t.Helper()
			synctest.Wait()
			if list, _ := o.known(); slices.Contains(list, relay) != known {
				t.Errorf("%s: known are %v", what, list)
			}
		}
		expect("while the resolver is down", false)
		w.say(map[question]rbl.Records{name: {Outcome: rbl.Found, Addresses: []netip.Addr{relay}}})
		time.Sleep(ownAgain)
		expect("when it is up", true)
		w.say(map[question]rbl.Records{name: {Outcome: rbl.Missing}})
		time.Sleep(ownPeriod - 1)
		expect("all is known, and it is not yet time", true)
		time.Sleep(time.Nanosecond)
		expect("in time", false)
		stop()
		<-done
	})
}

func TestARoundOfQuestionsEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &slowDNS{never: "MX"}
		own := &policy.Own{Domains: map[string]bool{}}
		for i := range 3 * MaxOwnDomains {
			own.Domains[fmt.Sprintf("d%05d.example", i)] = true
		}
		o := newOwnDNS(w, own, nil)
		if n := len(o.domains); n != MaxOwnDomains || o.domains[n-1] != fmt.Sprintf("d%05d.example", MaxOwnDomains-1) {
			t.Errorf("%d domains are asked about, the last is %s", n, o.domains[n-1])
		}
		start := time.Now()
		o.Refresh(t.Context())
		if took := time.Since(start); took != ownRound {
			t.Errorf("a round took %v", took)
		}
		if asked := w.questions(); len(asked) != 1 {
			t.Errorf("%d questions were begun after the end", len(asked)-1)
		}
	})
	w := &slowDNS{}
	newOwnDNS(w, &policy.Own{}, nil).Run(t.Context()) // nothing to ask: it ends
}
