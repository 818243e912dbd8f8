package report

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"eximpolicyd/acl"
	"eximpolicyd/internal/mainlog"
	"eximpolicyd/policy"
	"eximpolicyd/test/logs"
)

// bound returns a decider of a configuration with one mode and preset for all.
func bound(mode policy.Mode, preset policy.Preset) *acl.Decider {
	setups := map[string]policy.Setup{}
	for _, p := range policy.Table() {
		setups[p.Name] = policy.Setup{Mode: policy.Known(mode), Preset: preset}
	}
	deny := &policy.Prefixes{}
	return &acl.Decider{Rules: policy.Bind(policy.Table(), setups, policy.Enforce), Own: &policy.Own{}, Mode: policy.Enforce,
		Exempt: &policy.Exempt{Deny: deny, SubmissionPorts: []int{465, 587}}}
}

// A stage at which nothing can be said is not asked about, nor is a recipient under the same ban, and connections and the room
// for decisions are used again: the report is the same, octet by octet.
func TestWhatIsNotAskedOrUsedTwiceChangesNothing(t *testing.T) {
	client := regexp.MustCompile(`\]:\d+`)
	for _, c := range []struct {
		name   string
		form   logs.Form
		port   string // of the server
		preset policy.Preset
		other  *acl.Decider // to compare with
	}{
		{"the default log", logs.Form{Lines: 15_000, PerSecond: 3}, "", policy.Lenient, nil},
		{"with processes and recipients", logs.Form{Lines: 15_000, PerSecond: 2, PID: true, Recipients: true, Seed: 1}, "", policy.Strict, nil},
		{"with ports, at port 25", logs.Form{Lines: 15_000, PerSecond: 1, Port: true, Seed: 2}, ":25", policy.RFC, nil},
		{"with ports, at a submission port", logs.Form{Lines: 10_000, PerSecond: 1, Port: true, Seed: 3}, ":587", policy.Lenient, nil},
		{"a busy hour", logs.Form{Lines: 15_000, PerSecond: 300, PID: true, Port: true, Seed: 4}, "", policy.RFC, nil},
		{"two configurations", logs.Form{Lines: 15_000, PerSecond: 3, Recipients: true, Seed: 5}, "", policy.Lenient, bound(policy.Enforce, policy.Strict)},
		{"two modes", logs.Form{Lines: 10_000, PerSecond: 2, Port: true, Seed: 6}, ":25", policy.RFC, bound(policy.Observe, policy.RFC)},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log bytes.Buffer
			if err := logs.Write(&log, nil, c.form); err != nil {
				t.Fatal(err)
			}
			text := log.String()
			if c.port != "" {
				text = client.ReplaceAllString(text, "$0 I=[192.0.2.25]"+c.port)
			}
			sameWithPatience(t, text, c.preset, c.other)
		})
	}
}

// sameWithPatience replays a log with shortcuts and without.
func sameWithPatience(t *testing.T, text string, preset policy.Preset, other *acl.Decider) {
	t.Helper()
	one := func(patient bool) string {
		o := Options{Decider: bound(policy.Enforce, preset), Location: time.UTC, Against: other, patient: patient}
		r := mainlog.NewReader([]mainlog.Input{mainlog.Stream("-", strings.NewReader(text))},
			mainlog.Options{Location: time.UTC, Now: logs.Start.AddDate(0, 1, 0)})
		defer r.Close()
		rep, err := Replay(t.Context(), r, o)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case other != nil && rep.Differences.Differ > 0, rep.Enforced.Bans > 0 && rep.Enforced.Refused+rep.Enforced.Deferred > 0:
		default:
			t.Errorf("nothing happens: %+v, %+v", rep.Enforced, rep.Differences)
		}
		for i := range rep.Lost { // whose trace has rules that are off, or not
			rep.Lost[i].Example.Trace = nil
		}
		out, err := json.MarshalIndent(rep, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if quick, slow := one(false), one(true); quick != slow {
		t.Errorf("differs: %s", firstDifference(quick, slow))
	}
}

// A client that is banned writes to postmaster in the same second, goes on when its ban is over, and earns one that answers
// before it has said a word.
func TestABanThatNoLongerAnswersIsNotTakenForTheSame(t *testing.T) {
	var log strings.Builder
	say := func(at time.Duration, port int, to, why string) {
		fmt.Fprintf(&log, "%s H=(x.example.com) [203.0.113.9]:%d I=[192.0.2.25]:25 F=<x@example.com> rejected RCPT <%s@example.net>: %s\n",
			logs.Start.Add(at).Format(time.DateTime), port, to, why)
	}
	port := 100
	earn := func(at time.Duration) {
		for range 6 {
			port++
			say(at, port, "nosuch", "Unrouteable address")
		}
	}
	earn(0) // level 1, for an hour
	for _, to := range []string{"user", "postmaster", "user", "abuse", "user"} {
		say(time.Minute, 7, to, "Sender verify failed")
	}
	for n := range 12 { // one connection, as long as its pauses are short
		say(time.Minute+time.Duration(n)*8*time.Minute+time.Second, 7, "user", "Sender verify failed")
	}
	earn(2 * time.Hour)  // level 2, for four
	earn(7 * time.Hour)  // level 3, for sixteen
	earn(10 * time.Hour) // in vain
	fmt.Fprintf(&log, "%s login authenticator failed for (x.example.com) [203.0.113.9]:99 I=[192.0.2.25]:25: 535 Incorrect authentication data\n",
		logs.Start.Add(11*time.Hour).Format(time.DateTime))
	for _, form := range []string{" I=[192.0.2.25]:25", " I=[192.0.2.25]:587", ""} {
		sameWithPatience(t, strings.ReplaceAll(log.String(), " I=[192.0.2.25]:25", form), policy.Lenient, nil)
	}
}

func TestThePresentModesRefuseWhatTheyRefuse(t *testing.T) {
	var log bytes.Buffer
	if err := logs.Write(&log, nil, logs.Form{Lines: 4000, PerSecond: 1, Port: true}); err != nil {
		t.Fatal(err)
	}
	one := func(d *acl.Decider) *Report {
		r := mainlog.NewReader([]mainlog.Input{mainlog.Stream("-", strings.NewReader(log.String()))},
			mainlog.Options{Location: time.UTC, Now: logs.Start.AddDate(0, 1, 0)})
		defer r.Close()
		rep, err := Replay(t.Context(), r, Options{Decider: d, Location: time.UTC})
		if err != nil {
			t.Fatal(err)
		}
		return rep
	}
	if rep := one(bound(policy.Observe, policy.Strict)); rep.Present != (Sums{Taken: rep.Enforced.Taken}) || rep.Enforced.TakenRefused == 0 {
		t.Errorf("observed: %+v, %+v", rep.Enforced, rep.Present)
	}
	if rep := one(bound(policy.Enforce, policy.Strict)); rep.Present != rep.Enforced || rep.Enforced.Bans == 0 {
		t.Errorf("enforced: %+v, %+v", rep.Enforced, rep.Present)
	}
	some := bound(policy.Observe, policy.Strict)
	for i := range some.Rules {
		if some.Rules[i].Name == "helo.H8" {
			some.Rules[i].Mode = policy.Enforce
		}
	}
	if rep := one(some); rep.Present.TakenRefused == 0 || rep.Present.TakenRefused >= rep.Enforced.TakenRefused || rep.Present.Bans != 0 {
		t.Errorf("one rule: %+v, %+v", rep.Enforced, rep.Present)
	}
	for i := range some.Rules {
		if some.Rules[i].Policy.Name == "dictionary" {
			some.Rules[i].Mode = policy.Enforce
		}
	}
	if rep := one(some); rep.Present.Bans == 0 || rep.Present.Bans > rep.Enforced.Bans {
		t.Errorf("one rule, and bans: %+v, %+v", rep.Enforced, rep.Present)
	}
}

func firstDifference(a, b string) string {
	la, lb := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(la), len(lb)) {
		if la[i] != lb[i] {
			from := max(0, i-8)
			return strings.Join(la[from:i+1], "\n") + "\nnot\n" + lb[i]
		}
	}
	return "their lengths"
}

func TestWhatIsNeededIsNeededByARule(t *testing.T) {
	all, off := wants(), append(slices.Clone(ofConnection), ofHeader...)
	for _, b := range policy.Bind(policy.Table(), nil, policy.Enforce) {
		delete(all, b.Name)
		off = slices.DeleteFunc(off, func(name string) bool { return name == b.Name })
	}
	for name := range all {
		t.Errorf("%s is no rule", name)
	}
	if len(off) > 0 {
		t.Errorf("%v are no rules", off)
	}
}

func TestConnectionsGoOnInTheOrderOfTheirTimes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 8))
	var o order
	var want []*course
	for n := range 500 {
		c := &course{number: n, at: logs.Start.Add(time.Duration(random.IntN(40)) * time.Second)}
		want = append(want, c)
		o.push(c)
	}
	slices.SortFunc(want, func(a, b *course) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.number, b.number)) })
	for i, c := range want {
		if got := o.pop(); got != c {
			t.Fatalf("place %d: %d at %s, not %d at %s", i, got.number, got.at, c.number, c.at)
		}
	}
}

func TestAListKeepsThoseWhoStandOutAndNoMoreThanItMay(t *testing.T) {
	l := newTop[int](100, func(n *int) int { return *n })
	heavy := map[int]bool{}
	random := rand.New(rand.NewPCG(2, 8))
	for n := range 100_000 {
		if n%50 == 0 { // one of ten comes again and again
			k := -1 - n/50%10
			heavy[k] = true
			*l.at(k) += 10
			continue
		}
		*l.at(random.IntN(1_000_000))++
		if len(l.of) > 200 {
			t.Fatalf("%d are kept", len(l.of))
		}
	}
	for i, p := range l.list(cmp.Compare) {
		if i < 10 && (!heavy[p.key] || *p.n != 2000) {
			t.Errorf("place %d is %d with %d", i, p.key, *p.n)
		}
	}
}

func TestADayThatHasNoRoomIsCountedWithTheLast(t *testing.T) {
	w, err := newWorld(bound(policy.Observe, policy.Lenient), &Options{}, new(time.Time))
	if err != nil {
		t.Fatal(err)
	}
	defer w.memory.Close()
	tally := newTally(w, &Options{Location: time.UTC})
	for n := range 1000 {
		tally.at(logs.Start.AddDate(0, 0, n))
		tally.day.Taken++
	}
	sum := 0
	for _, d := range tally.days {
		sum += d.Taken
	}
	if len(tally.days) > mostDays+1 || sum != 1000 {
		t.Errorf("%d days with %d", len(tally.days), sum)
	}
}

// The first and the last day are written at the ends of the scale: their bars stand above them.
func TestTheBarsOfAChartReachFromItsFirstDayToItsLast(t *testing.T) {
	one := part{"bad", "refused", func(*Day) int { return 1 }}
	for _, n := range []int{1, 2, 3, 7, 31, 400} {
		days := slices.Repeat([]*Day{{Day: "2026-11-23"}}, n)
		c := chartOf("", days, one)
		step := float64(chartWidth-chartLeft) / float64(n)
		for i, b := range c.Bars {
			if middle := b.X + b.W/2; middle < chartLeft+float64(i)*step || middle > chartLeft+float64(i+1)*step || b.W > chartBar {
				t.Errorf("%d days: bar %d has its middle at %v", n, i, middle)
			}
		}
	}
}
