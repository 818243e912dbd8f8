package rbl

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var bad = netip.MustParseAddr("192.0.2.66") // listed in these tests

const badEntry = "66.2.0.192"

func TestAZoneThatIsNotTestedCountsNothingAndIsNotAsked(t *testing.T) {
	r := newRig(zone(t, "bl.example"))
	r.dns.set("bl.example", healthy(badEntry+"=127.0.0.2"))
	a := r.Check(t.Context(), bad).Answers[0]
	if a.Status != Unknown || !strings.Contains(a.Why, "untested") {
		t.Errorf("%+v", a)
	}
	if n := r.dns.asked(badEntry + ".bl.example"); n != 0 {
		t.Errorf("asked %d times", n)
	}
}

func TestEachKindOfAnswerIsRead(t *testing.T) {
	for _, c := range []struct {
		name  string
		codes string
		then  Outcome
		want  Answer
	}{
		{"a code that is not declared", "127.0.0.99", 0, Answer{Status: Clear, Why: "127.0.0.99: no code that counts here", TTL: 10 * time.Minute}},
		{"an error code", "127.255.255.254", 0, Answer{Why: "127.255.255.254: it was asked through a public resolver"}},
		{"an address of the internet", "192.0.2.1", 0, Answer{Why: "192.0.2.1 is outside of 127.0.0.0/8: no list answers that"}},
		{"no answer", "", TimedOut, Answer{Why: "no answer", TTL: 30 * time.Second}},
		{"server failure", "", Failed, Answer{Why: "server failure", TTL: 30 * time.Second}},
		{"refused", "", Refused, Answer{Why: "refused", TTL: 30 * time.Second}},
		{"no seat", "", Busy, Answer{Why: "too many questions"}},
		{"the server is down", "", Down, Answer{Why: "server is down"}},
		{"not listed", "", 0, Answer{Status: Clear, TTL: 10 * time.Minute}},
		{"listed, one code twice", "127.0.0.4 127.0.0.2 127.0.0.4", 0,
			Answer{Status: Listed, Codes: []Code{{0, 0, 2}, {0, 0, 4}}, TTL: 10 * time.Minute}},
		{"listed, ten codes", "127.0.0.2 127.0.0.3 127.0.0.4 127.0.0.5 127.0.0.6 127.0.0.7 127.0.0.8 127.0.0.9 127.0.0.10 127.0.0.11", 0,
			Answer{Status: Listed, Codes: []Code{{0, 0, 2}, {0, 0, 3}, {0, 0, 4}, {0, 0, 5}, {0, 0, 6}, {0, 0, 7}, {0, 0, 8}, {0, 0, 9}}, TTL: 10 * time.Minute}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := zone(t, "bl.example")
				r := newRig(z)
				r.run(t)
				s := healthy(badEntry + "=" + c.codes)
				s.outcome = c.then
				r.dns.set("bl.example", s)
				c.want.Zone = z
				got := r.Check(t.Context(), bad)
				if d := cmp.Diff([]Answer{c.want}, got.Answers, cmp.AllowUnexported(Pattern{}), cmp.Comparer(sameServer)); d != "" {
					t.Error(d)
				}
				if c.want.TTL == 0 {
					return
				}
				again := r.Check(t.Context(), bad).Answers[0]
				if n := r.dns.asked(badEntry + ".bl.example"); n != 1 || !again.Cached {
					t.Errorf("asked %d times, then %+v", n, again)
				}
				if again.Status != c.want.Status || !cmp.Equal(again.Codes, c.want.Codes) || again.Status == Unknown && again.Why != c.want.Why {
					t.Errorf("first %+v, then %+v", c.want, again)
				}
			})
		})
	}
}

func TestAnAnswerHoldsAsLongAsItsTTLWithinBounds(t *testing.T) {
	for _, c := range []struct {
		name  string
		codes string
		then  Outcome
		ttl   time.Duration
		holds time.Duration
	}{
		{"a listing of a second", "=127.0.0.2", 0, time.Second, time.Minute},
		{"a listing of five minutes", "=127.0.0.2", 0, 5 * time.Minute, 5 * time.Minute},
		{"a listing of a week", "=127.0.0.2", 0, 7 * 24 * time.Hour, time.Hour},
		{"not listed, for no time", "=", 0, 0, time.Minute},
		{"not listed, for a day", "=", 0, 24 * time.Hour, time.Hour},
		{"a failure", "=", Failed, time.Hour, 30 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(zone(t, "bl.example"))
				r.run(t)
				after(700 * time.Millisecond)
				s := healthy(badEntry + c.codes)
				s.ttl, s.outcome = c.ttl, c.then
				r.dns.set("bl.example", s)
				first := r.Check(t.Context(), bad).Answers[0]
				if first.TTL != c.holds {
					t.Errorf("it says it holds %v", first.TTL)
				}
				r.dns.set("bl.example", healthy())
				after(c.holds - time.Second)
				if a := r.Check(t.Context(), bad).Answers[0]; a.Status != first.Status || !a.Cached || a.TTL > time.Second {
					t.Errorf("just before: %+v", a)
				}
				after(time.Second)
				if a := r.Check(t.Context(), bad).Answers[0]; a.Status != Clear || a.Cached {
					t.Errorf("at its end: %+v", a)
				}
			})
		})
	}
}

func TestAThousandAskersForOneNewClientAreOneQuestionAList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var zones []*Zone
		for i := range 8 {
			zones = append(zones, zone(t, fmt.Sprintf("bl%d.example", i)))
		}
		r := newRig(zones...)
		r.run(t)
		for i, z := range zones {
			s := healthy(badEntry + "=127.0.0.2")
			s.delay = time.Duration(i+1) * 20 * time.Millisecond
			r.dns.set(z.Name, s)
		}
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() {
				time.Sleep(time.Duration(i%200) * time.Millisecond)
				if rep := r.Check(t.Context(), bad); len(rep.Answers) != 8 || !rep.Complete() || rep.Strongest() == nil {
					t.Errorf("%+v", rep)
				}
			})
		}
		all.Wait()
		for _, z := range zones {
			if n := r.dns.asked(badEntry + "." + z.Name); n != 1 {
				t.Errorf("%s was asked %d times", z.Name, n)
			}
		}
	})
}

func TestWhatCameInTimeCountsAndTheRestGoesOnIntoTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(zone(t, "fast.example"), zone(t, "slow.example"))
		r.run(t)
		fast, slow := healthy(badEntry+"=127.0.0.2"), healthy(badEntry+"=127.0.0.3")
		fast.delay, slow.delay = 20*time.Millisecond, 2*time.Second
		r.dns.set("fast.example", fast)
		r.dns.set("slow.example", slow)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		begin := time.Now()
		rep := r.Check(ctx, bad)
		if d := time.Since(begin); d != 100*time.Millisecond {
			t.Errorf("it took %v", d)
		}
		if a := rep.Answers; a[0].Status != Listed || a[1].Status != Unknown || a[1].Why != whyLate || !rep.Late {
			t.Errorf("%+v", a)
		}
		after(3 * time.Second)
		rep = r.Check(over, bad)
		if a := rep.Answers; a[0].Status != Listed || !a[0].Cached || a[1].Status != Listed || !a[1].Cached || rep.Late {
			t.Errorf("later: %+v", a)
		}
		if n := r.dns.asked(badEntry + ".slow.example"); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

func TestACheckWhoseTimeIsOverStartsAndDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(zone(t, "bl.example"))
		r.run(t)
		s := healthy(badEntry + "=127.0.0.2")
		s.delay = time.Second
		r.dns.set("bl.example", s)
		begin := time.Now()
		if a := r.Check(over, bad).Answers[0]; a.Status != Unknown || a.Why != whyLate {
			t.Errorf("%+v", a)
		}
		if d := time.Since(begin); d != 0 {
			t.Errorf("it waited %v", d)
		}
		if a := r.Check(t.Context(), bad).Answers[0]; a.Status != Listed {
			t.Errorf("%+v", a)
		}
		if d := time.Since(begin); d != time.Second || r.dns.asked(badEntry+".bl.example") != 1 {
			t.Errorf("the answer came after %v, by %d questions", d, r.dns.asked(badEntry+".bl.example"))
		}
	})
}

func TestAnAskerWhoLeavesDoesNotTakeTheOthersAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(zone(t, "bl.example"))
		r.run(t)
		s := healthy(badEntry + "=127.0.0.2")
		s.held = true
		r.dns.set("bl.example", s)
		ctx, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			if a := r.Check(ctx, bad).Answers[0]; a.Status != Unknown {
				t.Errorf("who left knows %+v", a)
			}
		})
		synctest.Wait()
		all.Go(func() {
			if a := r.Check(t.Context(), bad).Answers[0]; a.Status != Listed {
				t.Errorf("who stayed knows %+v", a)
			}
		})
		synctest.Wait()
		leave()
		synctest.Wait()
		r.dns.release()
		all.Wait()
	})
}

func TestAQuestionThatBecomesDueDuringAFlightJoinsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(zone(t, "minute.example"), zone(t, "failing.example"))
		r.run(t)
		minute, failing := healthy(), healthy()
		minute.ttl, failing.outcome = time.Minute, Failed
		r.dns.set("minute.example", minute)
		r.dns.set("failing.example", failing)
		r.Check(t.Context(), bad)
		after(59 * time.Second)
		held := healthy(badEntry + "=127.0.0.3")
		held.held = true
		r.dns.set("failing.example", held)
		r.Check(over, bad) // failing.example is asked again, minute.example not yet
		after(time.Second)
		r.dns.set("minute.example", healthy(badEntry+"=127.0.0.4"))
		var rep Report
		var all sync.WaitGroup
		all.Go(func() { rep = r.Check(t.Context(), bad) })
		synctest.Wait()
		r.dns.release()
		all.Wait()
		if rep.Answers[0].Status != Listed || rep.Answers[1].Status != Listed {
			t.Errorf("%+v", rep.Answers)
		}
		if n := r.dns.asked(badEntry + ".failing.example"); n != 2 {
			t.Errorf("asked %d times", n)
		}
		if n := r.dns.asked(badEntry + ".minute.example"); n != 2 {
			t.Errorf("asked %d times", n)
		}
	})
}

// relapse makes a zone unhealthy and well again, so that what it said is void.
func (r *listsRig) relapse(t *testing.T, zone string, state State) {
	t.Helper()
	for _, w := range r.watches {
		if w.zone.Name == zone {
			w.mu.Lock()
			w.tripLocked(state, "for a test", "")
			w.set(OK, "", "")
			w.next = w.lists.now().Add(testEvery)
			w.mu.Unlock()
		}
	}
}

func TestAChangeOfStatePurgesWhatThatZoneSaidAndNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(zone(t, "sick.example"), zone(t, "well.example"))
		r.run(t)
		r.dns.set("sick.example", healthy(badEntry+"=127.0.0.2"))
		r.dns.set("well.example", healthy(badEntry+"=127.0.0.2"))
		r.Check(t.Context(), bad)
		r.relapse(t, "sick.example", World)
		r.dns.set("sick.example", healthy())
		r.dns.set("well.example", healthy())
		a := r.Check(t.Context(), bad).Answers
		if a[0].Status != Clear || a[0].Cached || a[1].Status != Listed || !a[1].Cached {
			t.Errorf("%+v", a)
		}
	})
}

func TestAnAnswerAskedForBeforeAChangeOfStateIsVoid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(zone(t, "bl.example"))
		r.run(t)
		s := healthy(badEntry + "=127.0.0.2")
		s.held = true
		r.dns.set("bl.example", s)
		var rep Report
		var all sync.WaitGroup
		all.Go(func() { rep = r.Check(t.Context(), bad) })
		synctest.Wait()
		r.relapse(t, "bl.example", World)
		r.dns.release()
		all.Wait()
		if a := rep.Answers[0]; a.Status != Unknown || a.Why != whyVoid {
			t.Errorf("%+v", a)
		}
		r.dns.set("bl.example", healthy())
		if a := r.Check(t.Context(), bad).Answers[0]; a.Status != Clear || a.Cached {
			t.Errorf("later: %+v", a)
		}
	})
}

func sameServer(a, b netip.AddrPort) bool { return a == b }
