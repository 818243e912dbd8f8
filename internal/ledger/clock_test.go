package ledger

import (
	"strings"
	"testing"
	"time"
)

func TestAWallClockThatIsSetChangesNothingWhileTheDaemonRuns(t *testing.T) {
	for name, by := range map[string]time.Duration{
		"an hour ahead": time.Hour, "an hour back": -time.Hour, "ten years ahead": 87660 * time.Hour, "ten years back": -87660 * time.Hour,
	} {
		h := newHands()
		log := new(lines)
		e := open(t, Options{Dir: t.TempDir(), Clock: h.read, Log: log.log()})
		b := offend(t, e, offence("192.0.2.1", true))
		client := Of(prefix("192.0.2.1"))
		e.counts.count(e.Now(), []Tally{{Key: client, Add: Delta{Bad: 7}}})
		h.pass(30 * time.Minute)
		h.set(by)
		if s := standing(t, e, "192.0.2.1"); s.Enforced == nil {
			t.Errorf("%s: the ban is over", name)
		}
		if bad := e.counts.read(e.Now(), client).Hour.Bad; bad != 7 {
			t.Errorf("%s: %d bad in the hour", name, bad)
		}
		if until := e.Wall(b.Until); until.Sub(h.wall) != 30*time.Minute {
			t.Errorf("%s: shown as until %s, it is %s", name, until, h.wall)
		}
		if s := e.State(); s.ClockSteps != 1 || strings.Count(log.String(), "the wall clock was set") != 1 {
			t.Errorf("%s: %+v\n%s", name, s, log)
		}
		next := offend(t, e, offence("192.0.2.2", true))
		h.pass(30 * time.Minute)
		if s := standing(t, e, "192.0.2.1"); s.Enforced != nil {
			t.Errorf("%s: the ban goes on", name)
		}
		if s := standing(t, e, "192.0.2.2"); s.Enforced == nil || *s.Enforced != next {
			t.Errorf("%s: a ban made after it: %+v", name, s)
		}
		h.pass(2 * time.Hour)
		if bad := e.counts.read(e.Now(), client).Hour.Bad; bad != 0 {
			t.Errorf("%s: %d bad in the hour, 3 hours later", name, bad)
		}
	}
}

// Across a restart only the wall clock tells how long we were down. What it was set by before is known, what it is set by
// meanwhile is taken for time that has passed: at most 30 days, and never for less than none.
func TestARestartGoesOnWithTheSteadyTime(t *testing.T) {
	const years = 87660 * time.Hour
	for _, c := range []struct {
		name                  string
		running, down, booted time.Duration // the wall clock is set by, and how long we are down
		passed                time.Duration
	}{
		{"set ten years ahead while down", 0, years, time.Minute, longestPause},
		{"set ten years back while down", 0, -years, time.Minute, 0},
		{"set an hour back while down", 0, -time.Hour, 10 * time.Minute, 0},
		{"set an hour ahead while down", 0, time.Hour, 10 * time.Minute, 70 * time.Minute},
		{"set ten years ahead while running", years, 0, 10 * time.Minute, 10 * time.Minute},
		{"set ten years back while running", -years, 0, 10 * time.Minute, 10 * time.Minute},
		{"set an hour ahead while running", time.Hour, 0, 10 * time.Minute, 10 * time.Minute},
		{"nobody sets it", 0, 0, 10 * time.Minute, 10 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, dir := newHands(), t.TempDir()
			e := open(t, Options{Dir: dir, Clock: h.read})
			b := offend(t, e, offence("192.0.2.1", true))
			for ever, err := e.Ban(soon(t), Ban{Network: prefix("198.51.100.0/24")}); err != nil || !ever.Durable; {
				t.Fatal(ever, err)
			}
			e.counts.count(e.Now(), []Tally{{Key: Total, Add: Delta{Bad: 8}}})
			h.set(c.running)
			before := e.Now()
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			h.pass(c.booted)
			h.set(c.down)
			h.boot()
			e = open(t, Options{Dir: dir, Clock: h.read})
			if passed := e.Now().Sub(before); passed != c.passed {
				t.Errorf("%s have passed, not %s", passed, c.passed)
			}
			if over := standing(t, e, "192.0.2.1").Enforced == nil; over != (c.passed >= time.Hour) {
				t.Errorf("the ban is over: %t", over)
			}
			if left := b.Until.Sub(e.Now()); left > Length(1) {
				t.Errorf("the ban lasts for another %s", left)
			}
			if standing(t, e, "198.51.100.1").Enforced == nil {
				t.Error("an administrator's ban is over")
			}
			if bad := e.counts.read(e.Now(), Total).Hour.Bad; (bad > 0) != (c.passed < 2*time.Hour) {
				t.Errorf("%d bad in the hour", bad)
			}
			h.pass(Length(1))
			if standing(t, e, "192.0.2.1").Enforced != nil {
				t.Error("the ban goes on")
			}
		})
	}
}

func TestABanOfAFileIsNeverLongerThanItsLevel(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	n := entryOf(&Ban{Network: prefix("192.0.2.1"), Level: 2, Enforced: true, Rule: "dictionary.window", Made: now.Add(time.Hour), Until: now.Add(5 * time.Hour)})
	if n.cut(now); !n.ban.Made.Equal(now) || !n.ban.Until.Equal(now.Add(4*time.Hour)) {
		t.Errorf("%+v", n.ban)
	}
}

func TestTheSystemsClockMakesNoGarbage(t *testing.T) {
	b := newBootClock()
	if n := testing.AllocsPerRun(100, func() { b.read() }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// While the machine sleeps Go's clock stops, and that of the kernel goes on.
func TestTheSystemsClockCountsSleep(t *testing.T) {
	b := newBootClock()
	_, before := b.read()
	b.start = b.start.Add(time.Hour)     // as if Go's clock had missed an hour
	b.asked.Store(int64(-2 * time.Hour)) // and the kernel had not been asked since
	if _, after := b.read(); (after - before).Abs() > time.Minute {
		t.Errorf("%s, and then %s", before, after)
	}
}

// A decision compares with the wall clock, and shows its times.
func TestWhatADecisionIsToldIsByTheWallClock(t *testing.T) {
	for _, by := range []time.Duration{0, time.Hour, -time.Hour, 87660 * time.Hour} {
		h := newHands()
		e := open(t, Options{Clock: h.read})
		offend(t, e, offence("192.0.2.1", true))
		if _, err := e.Allow(t.Context(), Allowed{Network: prefix("192.0.2.1")}); err != nil {
			t.Fatal(err)
		}
		login := []Tally{{Key: Of(prefix("192.0.2.1")), Add: Delta{Login: true, Good: 1}}}
		if err := e.Count(t.Context(), login); err != nil {
			t.Fatal(err)
		}
		h.pass(20 * time.Minute)
		h.set(by)
		s := standing(t, e, "192.0.2.1")
		login[0].Add = Delta{}
		if err := e.Count(t.Context(), login); err != nil {
			t.Fatal(err)
		}
		made, left := h.wall.Sub(s.Enforced.Made), s.Enforced.Until.Sub(h.wall)
		logged, good := h.wall.Sub(login[0].Counts.LastLogin), h.wall.Sub(login[0].Counts.LastGood)
		if made != 20*time.Minute || left != 40*time.Minute || h.wall.Sub(s.Allowed.Made) != 20*time.Minute {
			t.Errorf("set by %s: made %s ago, %s left, allowed at %s", by, made, left, s.Allowed.Made)
		}
		for _, ago := range []time.Duration{logged, good} {
			if ago.Round(time.Second) != 20*time.Minute {
				t.Errorf("set by %s: a login %s ago, a good recipient %s", by, logged, good)
			}
		}
		next, _, err := e.Offend(t.Context(), offence("192.0.2.2", true))
		if err != nil || next.Until.Sub(h.wall) != time.Hour {
			t.Errorf("set by %s: %v until %s, it is %s", by, err, next.Until, h.wall)
		}
	}
}
