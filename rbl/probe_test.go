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

		{"no seat for the test", plain, saying(Busy), "", Untested, "too many questions", "wait"},
		{"a server that is down", plain, saying(Down), "", Untested, "the DNS server answers nobody", "start the DNS server"},

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
	for listed, want := range map[int]State{0: OK, 1: OK, maxStrangers - 1: OK, maxStrangers: World} {
		if got := v(listed); got != want {
			t.Errorf("%d random addresses listed: %v", listed, got)
		}
	}
	for _, a := range strangers() { // a list of everybody need not have those that nobody has
		if !public(a) {
			t.Errorf("%v is no address of a client", a)
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

func TestIPv6StaysAsItWasIfItsTestIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRig(both(zone(t, "bl.example"))).watches[0]
		questions := testQuestions(w.zone)
		for i := range questions {
			switch q := &questions[i]; {
			case q.part >= mustList6:
				q.rec = Records{Outcome: TimedOut}
			case q.part == mustList:
				q.rec = Records{Outcome: Found, Addresses: addresses("127.0.0.2")}
			default:
				q.rec = Records{Outcome: Missing}
			}
		}
		if v := w.judge(questions); v.state != OK || v.six || !strings.Contains(v.why, "IPv6 addresses are not asked: no answer") {
			t.Errorf("off: %+v", v)
		}
		w.six.Store(true)
		if v := w.judge(questions); v.state != OK || !v.six || v.why != "" {
			t.Errorf("on: %+v", v)
		}
	})
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
		if news := r.told(); len(news) != 1 || news[0].Text == "" {
			t.Errorf("told %+v", news)
		}
	})
}

func TestWithoutAnAnswerAboutIPv6ItStaysAsItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, was := range []bool{false, true} {
			w := newRig(both(zone(t, "bl.example"))).watches[0]
			w.six.Store(was)
			questions := testQuestions(w.zone)
			for i := range questions {
				q := &questions[i]
				q.rec.Outcome = Missing
				switch {
				case q.part == mustList:
					q.rec = Records{Outcome: Found, Addresses: []netip.Addr{client4(127, 0, 0, 2)}}
				case q.part >= mustList6:
					q.rec.Outcome = TimedOut
				}
			}
			if v := w.judge(questions); !v.sure || v.state != OK || v.six != was {
				t.Errorf("it was %v: %+v", was, v)
			}
			questions[0].rec.Outcome = Unanswered
			if v := w.judge(questions); v.sure {
				t.Errorf("of a resolver that was closed: %+v", v)
			}
		}
	})
}

func TestATestThatCouldNotBeMadeIsMadeSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(zone(t, "bl.example"))
		r.run(t)
		r.dns.set("bl.example", saying(Down))
		after(testEvery)
		if h := r.state(); h.State != OK || time.Until(h.Next) != testAgain {
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
