package acl

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"eximpolicyd/policy"
)

func TestANetworkStartsOnlySoMuch(t *testing.T) {
	a := newAllowance()
	takes := func(client string, proven bool, now time.Time) int {
		n := 0
		for n < 2*earlyMost && a.take(netip.MustParseAddr(client), proven, now) {
			n++
		}
		return n
	}
	if n := takes("203.0.113.7", true, noon); n != earlyMost {
		t.Errorf("a network may start %d", n)
	}
	if n := takes("203.0.113.200", true, noon.Add(earlySpan-1)); n != 0 {
		t.Errorf("another address of it may start %d", n)
	}
	if n := takes("203.0.113.200", true, noon.Add(earlySpan)); n != earlyMost {
		t.Errorf("a span later it may start %d", n)
	}
	a = newAllowance()
	if n := takes("2001:db8:1:200::1", true, noon); n != earlyMost {
		t.Errorf("a network of IPv6 may start %d", n)
	}
	if n := takes("2001:db8:1:2ff::1", true, noon); n != 0 {
		t.Errorf("another /64 of its /56 may start %d", n)
	}
	a = newAllowance() // one network and another may share a counter by chance
	if n := takes("192.0.2.1", false, noon) + takes("198.51.100.1", false, noon); n != earlyMost {
		t.Errorf("connections that are not proven may start %d together", n)
	}
	if a.take(netip.Addr{}, true, noon) {
		t.Error("nobody may start")
	}

	w := &slowDNS{}
	d := newDNS(w, w, allNames)
	defer d.Close()
	for range earlyMost {
		d.early.take(netip.MustParseAddr("203.0.113.1"), true, noon)
	}
	d.start(policy.NeedLists, rcpt(t), &policy.Own{}, true, noon)
	if asked := w.questions(); len(asked) != 0 {
		t.Errorf("over its share it started %v", asked)
	}
	deciderOf(needing(policy.NeedLists)).Decide(t.Context(), rcpt(t), noon, liveOf(d), false)
	if asked := w.questions(); !slices.Equal(asked, []string{"list 203.0.113.7"}) {
		t.Errorf("RCPT asked %v", asked)
	}
}
