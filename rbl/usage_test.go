package rbl

import (
	"net/netip"
	"testing"
	"testing/synctest"
)

func TestALookUpIsAHitOnlyIfAllWasKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(zone(t, "bl.example"), ofNames(zone(t, "names.example")))
		r.run(t)
		if clients, names := r.Remembered(); clients.Hits+clients.Misses+names.Hits+names.Misses != 0 {
			t.Errorf("before anybody: %+v, %+v", clients, names)
		}
		for range 3 { // asked once, known twice
			r.Check(t.Context(), client(1))
			synctest.Wait()
		}
		r.Check(t.Context(), client(2))
		r.Check(t.Context(), netip.MustParseAddr("2001:db8::1")) // no list is of IPv6: there is nothing to look up
		for range 2 {
			r.CheckName(t.Context(), "mail.example.net")
			synctest.Wait()
		}
		clients, names := r.Remembered()
		if clients.Hits != 2 || clients.Misses != 2 || clients.Used != 2 || clients.Most < 1000 {
			t.Errorf("clients: %+v", clients)
		}
		if names.Hits != 1 || names.Misses != 1 || names.Used != 1 || names.Most < 250 || names.Most >= clients.Most {
			t.Errorf("names: %+v", names)
		}
	})
}
