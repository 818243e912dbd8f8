package rbl

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestADeadZoneIsLeftAloneForAMinuteThenTwiceAsLongEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(zone(t, "bl.example"))
		r.run(t)
		dead := saying(TimedOut)
		r.dns.set("bl.example", dead)
		after(time.Minute) // its test is 29 minutes away
		for i := range 2 {
			r.Check(t.Context(), client(i))
		}
		if r.state().State != OK {
			t.Fatal("two questions are enough")
		}
		r.Check(t.Context(), client(3))
		if h := r.state(); h.State != Timeout || h.Timeouts != 3 || h.Asked != 3 {
			t.Fatalf("%+v", h)
		}
		begin, tests := time.Now(), r.dns.asked("2.0.0.127.bl.example")
		for _, pause := range []int{60, 120, 240, 480, 960, 1200, 1200} {
			until := begin.Add(time.Duration(pause) * time.Second)
			if a := r.Check(t.Context(), client(9)).Answers[0]; a.Status != Unknown || !strings.Contains(a.Why, "timeout") {
				t.Errorf("%+v", a)
			}
			if h := r.state(); !h.Next.Equal(until) {
				t.Errorf("next test %v after the last, want %ds", h.Next.Sub(begin), pause)
			}
			after(time.Until(until) - time.Second)
			if n := r.dns.asked("2.0.0.127.bl.example"); n != tests {
				t.Fatalf("tested before %d s", pause)
			}
			after(time.Second)
			if n := r.dns.asked("2.0.0.127.bl.example"); n != tests+1 {
				t.Fatalf("%d tests after %d s", n-tests, pause)
			}
			begin, tests = until, tests+1
		}
		if r.dns.asked("9.100.51.198.bl.example") != 0 {
			t.Error("a client was used for a trial")
		}
		if news := r.told(); len(news) != 1 || news[0].State != Timeout || news[0].Was != OK {
			t.Errorf("told %+v", news)
		}
		r.dns.set("bl.example", healthy())
		after(20 * time.Minute)
		if r.state().State != OK {
			t.Error("it does not come back")
		}
		if news := r.told(); len(news) != 1 || news[0].State != OK || news[0].Was != Timeout || news[0].Text == "" {
			t.Errorf("told %+v", news)
		}
	})
}

func TestTheBreakerBeginsAnewOnlyAfterHalfAnHourOfHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(zone(t, "bl.example"))
		r.run(t)
		n := 0
		kill := func(want time.Duration) {
			t.Helper()
			r.dns.set("bl.example", saying(Failed))
			for range maxFailed {
				n++
				r.Check(t.Context(), client(n))
			}
			if h := r.state(); h.State != Timeout || time.Until(h.Next) != want {
				t.Errorf("%v for %v, want %v", h.State, time.Until(h.Next), want)
			}
			r.dns.set("bl.example", healthy())
			after(want)
			if h := r.state(); h.State != OK {
				t.Fatalf("%+v", h)
			}
		}
		kill(time.Minute)
		kill(2 * time.Minute)
		after(29 * time.Minute)
		kill(4 * time.Minute)
		after(31 * time.Minute)
		kill(time.Minute)
	})
}

func TestTwoFailuresAfterARecoveryAreTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(zone(t, "bl.example"))
		r.run(t)
		n := 0
		fail := func(times int, want State) {
			t.Helper()
			s := healthy()
			s.outcome = TimedOut
			r.dns.set("bl.example", s)
			for range times {
				n++
				r.Check(t.Context(), client(n))
			}
			if h := r.state(); h.State != want {
				t.Errorf("%+v", h)
			}
		}
		fail(3, Timeout)
		r.dns.set("bl.example", healthy())
		after(time.Minute)
		fail(2, OK)
	})
}

func TestAnswersToQuestionsFromBeforeAChangeDoNotTrip(t *testing.T) {
	for name, s := range map[string]*script{"no answer": saying(TimedOut), "an error code": lister("127.255.255.254")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(zone(t, "bl.example"))
				r.run(t)
				s.held = true
				r.dns.set("bl.example", s)
				for i := range maxFailed {
					r.Check(over, client(i))
				}
				r.relapse(t, "bl.example", World)
				r.dns.release()
				synctest.Wait()
				if h := r.state(); h.State != OK {
					t.Errorf("%+v", h)
				}
			})
		})
	}
}

func TestWhatIsNoFaultOfTheZoneDoesNotOpenItsBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(zone(t, "bl.example"))
		r.run(t)
		n := 0
		ask := func(o Outcome, times int) {
			s := healthy()
			s.outcome = o
			r.dns.set("bl.example", s)
			for range times {
				n++
				r.Check(t.Context(), client(n))
			}
		}
		ask(Busy, 10)
		ask(Down, 10)
		ask(TimedOut, 2)
		ask(Missing, 1)
		ask(Refused, 2)
		ask(Missing, 1)
		if h := r.state(); h.State != OK || h.Timeouts != 2 || h.Failures != 2 {
			t.Errorf("%+v", h)
		}
	})
}

func TestOneAnswerThatNoListGivesTripsAtOnce(t *testing.T) {
	for codes, want := range map[string]State{"127.255.255.254": ErrorCode, "192.0.2.80": Hijacked, "0.0.0.0": Hijacked, "127.0.0.1": ErrorCode} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(zone(t, "bl.example"))
			r.run(t)
			r.dns.set("bl.example", lister(codes))
			if a := r.Check(t.Context(), bad).Answers[0]; a.Status != Unknown || !strings.Contains(a.Why, codes) {
				t.Errorf("%s: %+v", codes, a)
			}
			h := r.state()
			if h.State != want || time.Until(h.Next) != time.Minute {
				t.Errorf("%s: %+v", codes, h)
			}
			r.Check(t.Context(), client(1))
			if n := r.dns.asked("1.100.51.198.bl.example"); n != 0 {
				t.Errorf("%s: asked on", codes)
			}
		})
	}
}

func TestErrorCodesAreRememberedTheNewestLast(t *testing.T) {
	w := newRig(zone(t, "bl.example")).watches[0]
	w.mu.Lock()
	for _, c := range strings.Fields("a b c d e f g h i i") {
		w.noteError(c)
	}
	w.mu.Unlock()
	if got := strings.Join(w.health().Errors, ""); got != "bcdefghi" {
		t.Error(got)
	}
}

func TestWhoTestsByHandDoesNotMakeTheBreakerLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(zone(t, "bl.example"))
		r.dns.set("bl.example", &script{})
		r.run(t)
		next := r.state().Next
		for range 3 {
			r.Test(t.Context())
		}
		if h := r.state(); h.State != Inert || !h.Next.Equal(next) {
			t.Errorf("%+v", h)
		}
		if news := r.told(); len(news) != 1 {
			t.Errorf("told %+v", news)
		}
	})
}

func TestAListThatAnswersOthersMeanwhileIsNotGivenUpForPacketsThatAreLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(zone(t, "bl.example"))
		r.run(t)
		lost := func(clients int) {
			silent := saying(TimedOut)
			silent.delay = questionTime
			r.dns.set("bl.example", silent)
			for i := range clients {
				r.Check(over, client(i))
			}
			after(time.Second)
		}
		lost(8)
		r.dns.set("bl.example", healthy())
		r.Check(t.Context(), client(9))
		after(questionTime)
		if h := r.state(); h.State != OK || h.Timeouts != 8 {
			t.Errorf("%+v", h)
		}
		after(failureTTL)
		lost(3)
		after(questionTime)
		if h := r.state(); h.State != Timeout {
			t.Errorf("nobody has been answered for so long: %+v", h)
		}
	})
}
