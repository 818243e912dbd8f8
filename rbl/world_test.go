package rbl

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAZoneThatListsOverNineTenthsOfItsClientsIsOffUntilATest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(zone(t, "bl.example"))
		r.run(t)
		visit := func(from, to int, codes string) {
			s := healthy()
			for i := from; i < to; i++ {
				a, _ := QueryAddress(client(i), "")
				s.has[strings.TrimSuffix(a, ".")] = codes
			}
			r.dns.set("bl.example", s)
			for i := from; i < to; i++ {
				r.Check(t.Context(), client(i))
			}
		}
		visit(0, 5, "")
		visit(5, 50, "127.0.0.2") // 45 of 50 are 90 %
		if h := r.state(); h.State != OK || h.Share != 0.9 {
			t.Fatalf("%v at %v", h.State, h.Share)
		}
		visit(5, 50, "127.0.0.2") // the same again are no more
		visit(50, 51, "127.0.0.2")
		synctest.Wait() // the test is made at once: whoever has a network could keep a list off otherwise
		if news := r.told(); len(news) != 2 || news[0].State != World || !strings.Contains(news[0].Text, "46 of the last 51 clients") {
			t.Fatalf("%+v", news)
		}
		if h := r.state(); h.State != OK || h.Share != -1 {
			t.Errorf("its test finds it well: %+v", h)
		}
		visit(100, 300, "127.0.0.2")
		if h := r.state(); h.State != OK || h.Share != 1 {
			t.Errorf("a host that only listed clients visit loses its list: %+v", h)
		}
		after(testEvery)
		r.dns.set("bl.example", lister("127.0.0.2"))
		r.Check(t.Context(), client(300))
		synctest.Wait()
		if h := r.state(); h.State != World || time.Until(h.Next) != time.Minute {
			t.Errorf("half an hour later its test finds that it lists everybody: %+v", h)
		}
	})
}

func TestAnIPv6NetworkOfOneHolderIsOneClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(both(zone(t, "bl.example")))
		r.run(t)
		s := lister("127.0.0.2")
		s.has = healthy().has
		r.dns.set("bl.example", s)
		for i := range 250 {
			a := netip.MustParseAddr("2001:db8::").As16()
			a[15] = byte(i)
			r.Check(t.Context(), netip.AddrFrom16(a))
		}
		if h := r.state(); h.State != OK || h.Listed == 0 || h.Share != -1 {
			t.Errorf("%+v", h)
		}
	})
}

func TestAListOfGoodSendersAndPrivateClientsMakeNoWorld(t *testing.T) {
	for _, c := range []struct {
		name   string
		score  Score
		client func(int) netip.Addr
	}{
		{"good senders", -20, client},
		{"private clients", 20, func(n int) netip.Addr { return client4(10, 0, 0, byte(n)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := zone(t, "wl.example")
				z.Weights[0].Score = c.score
				r := newRig(z)
				r.run(t)
				r.dns.set("wl.example", lister("127.0.0.2"))
				for i := range 250 {
					r.Check(t.Context(), c.client(i))
				}
				if h := r.state(); h.State != OK || h.Listed == 0 {
					t.Errorf("%+v", h)
				}
			})
		})
	}
}

func TestTheShareIsOfTheLastTwoHundred(t *testing.T) {
	var s share
	for i := range 200 {
		s.add(uint64(i+1), i < 100)
	}
	if s.value() != 0.5 {
		t.Error(s.value())
	}
	s.add(150, true) // was clear
	if s.value() != 0.505 {
		t.Error(s.value())
	}
	for i := range 100 { // the first hundred go
		s.add(uint64(i+1001), false)
	}
	if s.n != shareSize || s.count != 1 {
		t.Errorf("%d of %d", s.count, s.n)
	}
}

func TestWhatWasAskedBeforeAChangeIsNoPartOfTheShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(zone(t, "bl.example"))
		r.run(t)
		s := healthy()
		s.held = true
		r.dns.set("bl.example", s)
		r.Check(over, client(1))
		r.dns.set("bl.example", &script{rest: "192.0.2.80"})
		r.Check(t.Context(), client(2))
		r.dns.release()
		if w := r.watches[0]; w.share.n != 0 {
			t.Errorf("%d clients", w.share.n)
		}
	})
}
