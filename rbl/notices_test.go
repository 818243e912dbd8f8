package rbl

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestCodesThatNobodyDeclaredAreToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(zone(t, "bl.example"))
		r.run(t)
		r.dns.set("bl.example", lister("127.0.0.99"))
		for i := range 5 {
			r.Check(t.Context(), client(i))
		}
		synctest.Wait()
		if news := r.told(); len(news) != 1 || news[0].State != OK || !strings.Contains(news[0].Text, "127.0.0.99") {
			t.Errorf("told %+v", news)
		}
	})
}

func TestSeveralZonesHijackedAtOnceAreTheResolversFaultAndToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(zone(t, "a.example"), zone(t, "b.example"), zone(t, "c.example"), zone(t, "d.example"))
		r.run(t)
		for _, z := range []string{"a.example", "b.example", "c.example"} {
			r.dns.set(z, lister("192.0.2.80"))
		}
		r.Check(t.Context(), bad)
		if news := r.told(); len(news) != 0 {
			t.Errorf("told at once: %+v", news)
		}
		after(hijackHold)
		news := r.told()
		if len(news) != 1 || news[0].Zone != "" || news[0].State != Hijacked || !strings.Contains(news[0].Text, "3 of 4 lists, which do not count until it stops: a.example b.example c.example;") {
			t.Errorf("told %+v", news)
		}
		for _, z := range []string{"a.example", "b.example", "c.example"} {
			r.dns.set(z, healthy())
		}
		after(time.Minute)
		news = r.told()
		if len(news) != 1 || news[0].Zone != "" || news[0].State != OK || news[0].Was != Hijacked {
			t.Errorf("told %+v", news)
		}
	})
}

func TestNothingToldOrShownHasAKeyInIt(t *testing.T) {
	for _, s := range []*script{{}, lister("127.0.0.2"), lister("192.0.2.80"), lister("127.255.255.254"), saying(TimedOut)} {
		synctest.Test(t, func(t *testing.T) {
			z := zone(t, "s3cret.zen.example")
			z.Public = "***.zen.example"
			r := newRig(z)
			r.dns.set(z.Name, s)
			r.run(t)
			after(hijackHold)
			for _, n := range r.told() {
				if n.Zone != z.Public || strings.Contains(n.Text+n.Fix, "s3cret") {
					t.Errorf("%+v", n)
				}
			}
			if h := r.state(); h.State == OK || h.Zone != z.Public || strings.Contains(h.Why+h.Fix, "s3cret") {
				t.Errorf("%+v", h)
			}
		})
	}
}

func TestWordOfAZoneThatIsHijackedAndBackComesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(zone(t, "bl.example"))
		r.run(t)
		r.dns.set("bl.example", &script{rest: "192.0.2.80"})
		r.Check(t.Context(), client(1))
		synctest.Wait()
		r.dns.set("bl.example", healthy())
		r.dns.up() // the DNS server is another, and the lists are tested at once
		after(2 * hijackHold)
		if news := r.told(); len(news) != 2 || news[0].State != Hijacked || news[1].State != OK {
			t.Errorf("%+v", news)
		}
	})
}
