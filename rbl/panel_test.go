package rbl

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
)

func TestAFamilyThatAZoneDoesNotListIsNotAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		six := zone(t, "six.example")
		six.IPv4, six.IPv6 = false, true
		r := newRig(zone(t, "four.example"), six, both(zone(t, "both.example")))
		r.run(t)
		for client, want := range map[string][3]string{
			"192.0.2.66":        {"", whyIPv4, ""},
			"::ffff:192.0.2.66": {"", whyIPv4, ""},
			"2001:db8::66":      {whyIPv6, "", ""},
		} {
			rep := r.Check(t.Context(), netip.MustParseAddr(client))
			for i, a := range rep.Answers {
				if a.Why != want[i] || (a.Status == Clear) != (want[i] == "") {
					t.Errorf("%s: %+v", client, a)
				}
			}
		}
		if n := r.dns.asked(badEntry + ".four.example"); n != 1 {
			t.Errorf("a v4-mapped address and its IPv4 address are two: asked %d times", n)
		}
	})
}

func TestOfNoAddressNothingIsKnown(t *testing.T) {
	r := newRig(zone(t, "bl.example"))
	if rep := r.Check(t.Context(), netip.Addr{}); rep.Subject != "" || rep.Answers != nil {
		t.Errorf("%+v", rep)
	}
	if rep := r.CheckName(t.Context(), ""); rep.Subject != "" || rep.Answers != nil {
		t.Errorf("%+v", rep)
	}
}

func TestNamesAreAskedOfZonesOfNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(zone(t, "bl.example"), ofNames(zone(t, "dbl.example")))
		r.run(t)
		r.dns.set("dbl.example", healthy("bad.example.com=127.0.0.2"))
		for _, name := range []string{"bad.example.com", "BAD.Example.COM."} {
			rep := r.CheckName(t.Context(), name)
			if len(rep.Answers) != 1 || rep.Subject != "bad.example.com" || rep.Answers[0].Status != Listed {
				t.Fatalf("%+v", rep)
			}
		}
		if n := r.dns.asked("bad.example.com.dbl.example"); n != 1 {
			t.Errorf("asked %d times", n)
		}
		for _, name := range []string{"192.0.2.1", "[192.0.2.1]", "localhost", "test", "a..b", strings.Repeat("a.", 125) + "example"} {
			if a := r.CheckName(t.Context(), name).Answers[0]; a.Status != Unknown || a.Why != whyUnasked {
				t.Errorf("%s: %+v", name, a)
			}
		}
	})
}

func TestEachZoneHasALaneOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(zone(t, "a.example"), zone(t, "b.example"), ofNames(zone(t, "dbl.example")))
		r.run(t)
		r.Check(t.Context(), bad)
		r.CheckName(t.Context(), "mail.example.com")
		a, b := r.dns.lanes[badEntry+".a.example"], r.dns.lanes[badEntry+".b.example"]
		c := r.dns.lanes["mail.example.com.dbl.example"]
		if a == b || a == c || b == c || a.seats != zoneSeats || c.seats != zoneSeats {
			t.Errorf("%p of %d, %p, and %p of %d", a, a.seats, b, c, c.seats)
		}
	})
}

func TestTheTextOfAListingIsAskedForWhereTheListingWasAndShowsNoKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zone(t, "s3cret.zen.example")
		z.Public = "***.zen.example"
		r := newRig(z)
		r.run(t)
		r.dns.text = "listed at "
		a := &Answer{Zone: z, Status: Listed}
		if got := r.Text(t.Context(), "192.0.2.66", a); got != "listed at 66.2.0.192.***.zen.example" {
			t.Error(got)
		}
		a.Status = Clear
		if got := r.Text(t.Context(), "192.0.2.66", a) + r.Text(t.Context(), "192.0.2.66", nil); got != "" {
			t.Error(got)
		}
	})
}
