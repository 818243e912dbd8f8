package rbl

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// lister is a healthy list that lists everything else too.
func lister(codes string) *script {
	s := healthy()
	s.rest = codes
	return s
}

// without is a healthy list without an entry.
func without(entry string) *script {
	s := healthy()
	delete(s.has, entry)
	return s
}

// saying is a list with this outcome to all.
func saying(o Outcome) *script { return &script{outcome: o} }

func TestATestFindsEachStateAndSaysWhatToDo(t *testing.T) {
	plain := func(t *testing.T) *Zone { return zone(t, "bl.example") }
	dual := func(t *testing.T) *Zone { return both(zone(t, "bl.example")) }
	six := func(t *testing.T) *Zone {
		z := both(zone(t, "bl.example"))
		z.IPv4 = false
		return z
	}
	names := func(t *testing.T) *Zone { return ofNames(zone(t, "bl.example")) }
	with := func(entry string) func(t *testing.T) *Zone {
		return func(t *testing.T) *Zone {
			z := zone(t, "bl.example")
			z.Test = entry
			return z
		}
	}
	for _, c := range []struct {
		name   string
		zone   func(*testing.T) *Zone
		list   *script
		public string
		want   State
		why    string
		fix    string
	}{
		{"an emptied list", plain, &script{}, "", Inert, "127.0.0.2", "take bl.example out"},
		{"an emptied list of names", names, &script{}, "", Inert, "TEST", "take bl.example out"},
		{"an emptied list of IPv6 addresses", six, without(six2), "", Inert, "127.0.0.2", "take bl.example out"},
		{"a list of everybody by a wildcard", plain, lister("127.0.0.2"), "", World, "does not exist", "take bl.example out"},
		{"a list that lists 127.0.0.1", plain, healthy("1.0.0.127=127.0.0.2"), "", World, "127.0.0.1", "take bl.example out"},
		{"a list of names that lists INVALID", names, healthy("invalid=127.0.0.2"), "", World, "INVALID", "take bl.example out"},
		{"a list of all names", names, lister("127.0.0.2"), "", World, "INVALID", "take bl.example out"},
		{"a name server that answers all with its own address", plain, lister("192.0.2.80"), "", Hijacked, "192.0.2.80", "unbound"},
		{"a parked name", plain, &script{rest: "192.0.2.80"}, "", Hijacked, "192.0.2.80", "been sold"},
		{"a list that has forbidden the resolver", plain, &script{rest: "127.255.255.254"}, "", ErrorCode, "127.255.255.254",
			"your resolver is public: run a resolver of your own (unbound), that forwards to none, or use a keyed zone"},
		{"a public resolver that we know", plain, &script{rest: "127.255.255.254"}, "Example Public DNS", ErrorCode, "127.255.255.254",
			"your resolver is public (Example Public DNS)"},
		{"too many questions", plain, &script{rest: "127.255.255.255"}, "", ErrorCode, "127.255.255.255", "you ask more than"},
		{"a misspelt zone", plain, &script{rest: "127.255.255.252"}, "", ErrorCode, "127.255.255.252", "misspelt"},
		{"an error of the list's own", plain, &script{rest: "127.255.255.9"}, "", ErrorCode, "127.255.255.9", "ask the operator"},
		{"a list that refuses by 127.0.0.1", names, &script{rest: "127.0.0.1"}, "", ErrorCode, "127.0.0.1", "register"},
		{"no answer", plain, saying(TimedOut), "", Timeout, "no answer", "take bl.example out"},
		{"server failure", names, saying(Failed), "", Timeout, "server failure", "take bl.example out"},
		{"refused", six, saying(Refused), "", Timeout, "refused", "take bl.example out"},
		{"another test entry that is missing too", with("127.0.0.9"), &script{}, "", Inert, "127.0.0.9", "take bl.example out"},

		{"no seat for the test", plain, saying(Busy), "", Untested, "too many questions", ""},
		{"a server that is down", plain, saying(Down), "", Untested, "server is down", ""},

		{"a healthy list", plain, healthy(), "", OK, "", ""},
		{"a healthy list of both families", dual, healthy(), "", OK, "", ""},
		{"a healthy list of IPv6 addresses", six, healthy(), "", OK, "", ""},
		{"a healthy list of names", names, healthy(), "", OK, "", ""},
		{"a test entry with a code that is not asked for", plain, healthy("2.0.0.127=127.0.10.77"), "", OK, "", ""},
		{"another test entry besides", with("127.0.0.9"), healthy(), "", OK, "", ""},
		{"another test entry", with("127.0.0.9"), &script{has: map[string]string{"9.0.0.127": "127.0.0.2"}}, "", OK, "", ""},
		{"no test entry, and said so", with(NoTest), &script{}, "", OK, "", ""},
		{"a list without IPv6 that was said to have it", dual, without(six2), "", OK, "IPv6 addresses are not asked: its test entry", "nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(c.zone(t))
				r.dns.public = c.public
				r.dns.set("bl.example", c.list)
				r.run(t)
				h := r.state()
				if h.State != c.want || !strings.Contains(h.Why, c.why) || !strings.Contains(h.Fix, c.fix) || (h.Fix == "") != (c.fix == "") {
					t.Errorf("%+v", h)
				}
				if c.want == ErrorCode && (len(h.Errors) != 1 || !strings.Contains(h.Why, h.Errors[0])) {
					t.Errorf("errors %q", h.Errors)
				}
				if (h.Tested.IsZero()) != (c.want == Untested) {
					t.Errorf("tested %v", h.Tested)
				}
				after(hijackHold)
				news := r.told()
				if c.want == OK || c.want == Untested {
					if len(news) > 0 {
						t.Errorf("told %+v", news)
					}
				} else if len(news) != 1 || news[0] != (Notice{"bl.example", c.want, Untested, h.Why, h.Fix}) {
					t.Errorf("told %+v", news)
				}
			})
		})
	}
}

func TestAListOfDialupRangesIsNoListOfEverybody(t *testing.T) {
	v := func(listed int) State {
		w := newRig(zone(t, "bl.example")).watches[0]
		qs := testQuestions(w.zone)
		for i := range qs {
			qs[i].rec.Outcome = Missing
			if qs[i].part == mustList || qs[i].part == stranger && listed > 0 {
				if qs[i].part == stranger {
					listed--
				}
				qs[i].rec.Outcome, qs[i].rec.Addresses = Found, []netip.Addr{client4(127, 0, 0, 2)}
			}
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.judge(qs).state
	}
	for listed, want := range map[int]State{0: OK, 1: OK, 4: OK, 5: World} {
		if got := v(listed); got != want {
			t.Errorf("%d of 5 random addresses listed: %v", listed, got)
		}
	}
}

func TestAZoneIsTestedEveryHalfHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(zone(t, "bl.example"))
		r.run(t)
		for i := range 5 {
			if n := r.dns.asked("2.0.0.127.bl.example"); n != i+1 {
				t.Fatalf("%d tests after %v", n, time.Duration(i)*testEvery)
			}
			after(testEvery - time.Second)
			if n := r.dns.asked("2.0.0.127.bl.example"); n != i+1 {
				t.Fatalf("tested early: %d", n)
			}
			after(time.Second)
		}
	})
}

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
		if news := r.told(); len(news) != 1 || news[0].State != OK || news[0].Was != Timeout {
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
			if h := r.state(); h.State != Timeout || h.Next.Sub(time.Now()) != want {
				t.Errorf("%v for %v, want %v", h.State, h.Next.Sub(time.Now()), want)
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
			if h.State != want || h.Next.Sub(time.Now()) != time.Minute {
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
	for _, c := range strings.Fields("a b b c d e f g h i") {
		w.noteError(c)
	}
	w.mu.Unlock()
	if got := strings.Join(w.health().Errors, ""); got != "bcdefghi" {
		t.Error(got)
	}
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
		if len(news) != 1 || news[0].Zone != "" || news[0].State != Hijacked || !strings.Contains(news[0].Text, "3 of 4 lists") {
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

func TestIPv6IsSwitchedWithoutTheZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(both(zone(t, "bl.example")))
		r.run(t)
		six := func(want string) {
			t.Helper()
			if a := r.Check(t.Context(), netip.AddrFrom16(randomIPv6())).Answers[0]; a.Why != want {
				t.Errorf("%+v", a)
			}
		}
		six("")
		r.dns.set("bl.example", without(six2))
		after(testEvery)
		six(whyIPv6)
		if news := r.told(); len(news) != 1 || news[0].State != OK || news[0].Was != OK || !strings.Contains(news[0].Text, "IPv6") {
			t.Errorf("told %+v", news)
		}
		after(testEvery)
		if news := r.told(); len(news) != 0 {
			t.Errorf("told again %+v", news)
		}
		r.dns.set("bl.example", healthy())
		after(testEvery)
		six("")
	})
}

func TestATestThatCouldNotBeMadeIsMadeSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(zone(t, "bl.example"))
		r.run(t)
		r.dns.set("bl.example", saying(Down))
		after(testEvery)
		if h := r.state(); h.State != OK || h.Next.Sub(time.Now()) != testAgain {
			t.Errorf("%+v", h)
		}
		r.dns.set("bl.example", &script{})
		after(testAgain)
		if h := r.state(); h.State != Inert {
			t.Errorf("%+v", h)
		}
	})
}

func TestWhenTheResolverAnswersAgainAllZonesAreTested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(zone(t, "bl.example"))
		r.dns.set("bl.example", saying(TimedOut))
		r.run(t)
		r.dns.set("bl.example", healthy())
		r.dns.up()
		synctest.Wait()
		if h := r.state(); h.State != OK {
			t.Errorf("%+v", h)
		}
	})
}

func TestATestByHandWaitsForAllZonesAndJoinsOneUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(zone(t, "a.example"), zone(t, "b.example"))
		for _, z := range []string{"a.example", "b.example"} {
			s := healthy()
			s.delay = time.Second
			r.dns.set(z, s)
		}
		r.run(t)
		begin := time.Now()
		r.Test(over)
		if time.Since(begin) != 0 || r.state().State != Untested {
			t.Error("it waited, though its time was over")
		}
		r.Test(t.Context())
		if d := time.Since(begin); d != time.Second {
			t.Errorf("it took %v", d)
		}
		for _, h := range r.States() {
			if h.State != OK || r.dns.asked("2.0.0.127."+h.Zone) != 1 {
				t.Errorf("%+v, %d tests", h, r.dns.asked("2.0.0.127."+h.Zone))
			}
		}
	})
}

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
		h := r.state()
		if h.State != World || !strings.Contains(h.Why, "46 of the last 51 clients") || h.Next.Sub(time.Now()) != time.Minute {
			t.Fatalf("%+v", h)
		}
		after(time.Minute)
		if h := r.state(); h.State != OK || h.Share != -1 {
			t.Errorf("its test finds it well: %+v", h)
		}
		visit(100, 300, "127.0.0.2")
		if h := r.state(); h.State != OK || h.Share != 1 {
			t.Errorf("a host that only listed clients visit loses its list: %+v", h)
		}
		after(testEvery)
		visit(300, 301, "127.0.0.2")
		if h := r.state(); h.State != World {
			t.Errorf("half an hour later: %+v", h)
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
