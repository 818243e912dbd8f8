package ledger

import (
	"bytes"
	"fmt"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// noon is when the tests begin.
var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// model is the memory told naively: every hour and every day of a key has a bucket for ever, and a count looks two of them
// up. The table keeps two and moves them.
type model map[Key]*modelKey

type modelKey struct {
	origin      int64 // when its first hour began
	reached     int64 // the newest hour that was counted in
	hours       map[int64]*modelHour
	days        map[int64]*modelDay
	good, login int64
}

type modelHour struct {
	good, bad, onlyBad, failed, held int
	seen                             []uint16
}

type modelDay struct{ good, bad, trapped, clean int }

func (h *modelHour) empty() bool {
	return h == nil || h.good+h.bad+h.onlyBad+h.failed+h.held == 0 && len(h.seen) == 0
}

func (d *modelDay) empty() bool { return d == nil || *d == modelDay{} }

// when returns a time as the key sees it, and its hour and day.
func (m *modelKey) when(now time.Time) (at, hour, day int64) {
	at = max(now.Unix(), m.origin+m.reached*3600)
	return at, (at - m.origin) / 3600, (at - m.origin) / 86400
}

func (m *modelKey) empty(now time.Time) bool {
	_, h, d := m.when(now)
	return m.hours[h].empty() && m.hours[h-1].empty() && m.days[d].empty() && m.days[d-1].empty()
}

func (m *modelKey) blank(now time.Time) bool {
	c := m.counts(now)
	return m.empty(now) && c.LastGood.IsZero() && c.LastLogin.IsZero()
}

func (m model) count(now time.Time, k Key, d Delta) {
	if k == (Key{}) || d == (Delta{}) {
		return
	}
	e := m[k]
	if e == nil {
		if d == (Delta{OnlyBad: d.OnlyBad}) && d.OnlyBad < 0 {
			return
		}
		e = &modelKey{origin: now.Unix()}
		m[k] = e
	}
	if e.empty(now) {
		e.origin, e.reached, e.hours, e.days = now.Unix(), 0, map[int64]*modelHour{}, map[int64]*modelDay{}
	}
	at, hour, day := e.when(now)
	e.reached = hour
	if at > e.good+2*86400 {
		e.good = 0 // for good: a clock that then goes back does not bring it back
	}
	if at > e.login+30*86400 {
		e.login = 0
	}
	if e.hours[hour] == nil {
		e.hours[hour] = &modelHour{}
	}
	if e.days[day] == nil {
		e.days[day] = &modelDay{}
	}
	e.hours[hour].add(d)
	e.days[day].add(d)
	if back := -int(d.OnlyBad); back > 0 {
		h := e.hours[hour]
		rest := max(0, back-h.onlyBad)
		h.onlyBad = max(0, h.onlyBad-back)
		if b := e.hours[hour-1]; b != nil {
			b.onlyBad = max(0, b.onlyBad-rest)
		}
	}
	if d.Good > 0 {
		e.good = max(e.good, at)
	}
	if d.Login {
		e.login = max(e.login, at)
	}
}

func (h *modelHour) add(d Delta) {
	all := []*int{&h.good, &h.bad, &h.onlyBad, &h.failed, &h.held}
	for i, n := range []int{int(d.Good), int(d.Bad), max(0, int(d.OnlyBad)), int(d.Failed), int(d.Held)} {
		*all[i] += n
	}
	halved(all...)
	for _, s := range h.seen {
		if s == d.Seen {
			return
		}
	}
	if d.Seen != 0 && len(h.seen) < MaxSeen {
		h.seen = append(h.seen, d.Seen)
	}
}

func (d *modelDay) add(x Delta) {
	d.good += int(x.Good)
	d.bad += int(x.Bad)
	d.trapped += int(x.Trapped)
	d.clean = min(d.clean+int(x.Clean), math.MaxUint32)
	halved(&d.good, &d.bad, &d.trapped)
}

func halved(all ...*int) {
	most := 0
	for _, n := range all {
		most = max(most, *n)
	}
	if most > 65535 {
		for _, n := range all {
			*n /= 2
		}
	}
}

func (m *modelKey) counts(now time.Time) Counts {
	at, hour, day := m.when(now)
	h, hb, d, db := m.hours[hour], m.hours[hour-1], m.days[day], m.days[day-1]
	if h == nil {
		h = &modelHour{}
	}
	if hb == nil {
		hb = &modelHour{}
	}
	if d == nil {
		d = &modelDay{}
	}
	if db == nil {
		db = &modelDay{}
	}
	hourly := func(n, before int) int { return weighted(n, before, m.origin+(hour+1)*3600-at, 3600) }
	daily := func(n, before int) int { return weighted(n, before, m.origin+(day+1)*86400-at, 86400) }
	different := map[uint16]bool{}
	for _, s := range append(append([]uint16{}, h.seen...), hb.seen...) {
		different[s] = true
	}
	c := Counts{
		Hour: Hour{hourly(h.good, hb.good), hourly(h.bad, hb.bad), hourly(h.onlyBad, hb.onlyBad), hourly(h.failed, hb.failed),
			hourly(h.held, hb.held), min(len(different), MaxSeen)},
		Day: Day{daily(d.good, db.good), daily(d.bad, db.bad), daily(d.trapped, db.trapped), daily(d.clean, db.clean)},
	}
	if m.good != 0 && at <= m.good+2*86400 {
		c.LastGood = time.Unix(m.good, 0).UTC()
	}
	if m.login != 0 && at <= m.login+30*86400 {
		c.LastLogin = time.Unix(m.login, 0).UTC()
	}
	return c
}

// weighted adds the share of the bucket before that is left, to the nearest.
func weighted(n, before int, left, span int64) int {
	twice := 2 * int64(before) * left
	whole := twice / (2 * span)
	if twice%(2*span) >= span {
		whole++
	}
	return n + int(whole)
}

// restart is what a save and a load at a time do.
func (m model) restart(now time.Time) {
	for k, e := range m {
		if e.blank(now) {
			delete(m, k)
			continue
		}
		e.origin -= max(0, e.origin+e.reached*3600-now.Unix())
		e.good, e.login = min(e.good, now.Unix()), min(e.login, now.Unix())
	}
}

func modelKeys() []Key {
	keys := []Key{{}, Total, Account("alice"), Domain("example.org"), Of(netip.MustParsePrefix("2001:db8::/48"))}
	for i := range 43 {
		keys = append(keys, Of(netip.MustParsePrefix(fmt.Sprintf("192.0.2.%d/32", i))))
	}
	return keys
}

func drawDelta(t *rapid.T) Delta {
	n := rapid.OneOf(rapid.Just(uint16(0)), rapid.Uint16Range(0, 5), rapid.Uint16Range(30000, 65535))
	return rapid.OneOf(
		rapid.Just(Delta{}),
		rapid.Just(Delta{OnlyBad: -1}),
		rapid.Just(Delta{Bad: 1}),
		rapid.Just(Delta{Login: true}),
		rapid.Custom(func(t *rapid.T) Delta { return Delta{Bad: 1, Seen: rapid.Uint16Range(0, 8).Draw(t, "seen")} }),
		rapid.Custom(func(t *rapid.T) Delta {
			return Delta{
				Good: n.Draw(t, "good"), Bad: n.Draw(t, "bad"), OnlyBad: rapid.OneOf(rapid.Int16Range(-2, 2), rapid.Int16()).Draw(t, "only bad"),
				Failed: n.Draw(t, "failed"), Held: n.Draw(t, "held"), Trapped: n.Draw(t, "trapped"), Clean: n.Draw(t, "clean"),
				Login: rapid.Bool().Draw(t, "login"), Seen: rapid.Uint16Range(0, 8).Draw(t, "seen"),
			}
		}),
	).Draw(t, "delta")
}

func drawStep(t *rapid.T) time.Duration {
	s := rapid.OneOf(rapid.IntRange(0, 10), rapid.IntRange(0, 4000), rapid.SampledFrom([]int{1800, 3599, 3600, 7200, 86399, 86400, 2 * 86400, 30 * 86400}),
		rapid.IntRange(0, 3*86400), rapid.IntRange(-4000, 0)).Draw(t, "step")
	return time.Duration(s) * time.Second
}

func TestTheTableCountsAsANaiveModelDoes(t *testing.T) {
	for _, c := range []struct {
		name string
		most int
		keys []Key
	}{
		{"with room for half of the keys", 24, modelKeys()}, // in an index of 32
		{"with room for all", 1000, modelKeys()[:4]},
	} {
		t.Run(c.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				w := &modelWorld{table: newTable(c.most), model: model{}, now: noon, keys: c.keys, evicts: c.most < len(c.keys)}
				if w.evicts {
					w.fill(t)
				}
				t.Repeat(map[string]func(*rapid.T){
					"count":   w.count,
					"forget":  w.forget,
					"restart": w.restart,
					"travel":  w.travel,
					"":        w.compare,
				})
			})
		})
	}
}

// modelWorld is a table and its model.
type modelWorld struct {
	table  *table
	model  model
	now    time.Time
	keys   []Key
	evicts bool
}

// fill counts all keys, so that the table is full.
func (w *modelWorld) fill(t *rapid.T) {
	for _, k := range w.keys {
		w.counted(t, []Tally{{Key: k, Add: Delta{Bad: 1}}})
		w.evicted(t, k)
	}
}

func (w *modelWorld) count(t *rapid.T) {
	w.now = w.now.Add(drawStep(t))
	var tallies []Tally
	for range rapid.IntRange(1, 4).Draw(t, "tallies") {
		tallies = append(tallies, Tally{Key: rapid.SampledFrom(w.keys).Draw(t, "key"), Add: drawDelta(t)})
	}
	if w.evicts { // one by one, so that the model learns who had to go
		for i := range tallies {
			w.counted(t, tallies[i:i+1])
			w.evicted(t, tallies[i].Key)
		}
		return
	}
	w.counted(t, tallies)
}

// counted counts, and compares what is filled in.
func (w *modelWorld) counted(t *rapid.T, tallies []Tally) {
	w.table.count(w.now, tallies)
	for _, y := range tallies {
		w.model.count(w.now, y.Key, y.Add)
		var want Counts
		if e := w.model[y.Key]; e != nil {
			want = e.counts(w.now)
		}
		if y.Counts != want {
			t.Fatalf("%v as it was counted (-model +table):\n%s", y.Key, cmp.Diff(want, y.Counts))
		}
	}
}

// evicted tells the model who had to go, which is one at most, and not the one counted.
func (w *modelWorld) evicted(t *rapid.T, counted Key) {
	gone := 0
	for k := range w.model {
		if _, there := w.table.copied(k); !there {
			gone++
			if k == counted || !w.evicts {
				t.Fatalf("%v is gone", k)
			}
			delete(w.model, k)
		}
	}
	if gone > 1 {
		t.Fatalf("%d keys went for one", gone)
	}
}

func (w *modelWorld) forget(t *rapid.T) {
	k := rapid.SampledFrom(w.keys).Draw(t, "key")
	_, want := w.model[k]
	if got := w.table.forgetKey(k); got != want {
		t.Fatalf("forgot %v: %v", k, got)
	}
	delete(w.model, k)
}

func (w *modelWorld) restart(t *rapid.T) {
	w.now = w.now.Add(drawStep(t))
	var saved, again bytes.Buffer
	if err := w.table.save(&saved, w.now); err != nil {
		t.Fatal(err)
	}
	next := newTable(w.table.most())
	if err := next.load(bytes.NewReader(saved.Bytes()), w.now); err != nil {
		t.Fatal(err)
	}
	w.table = next
	w.model.restart(w.now)
	if err := w.table.save(&again, w.now); err != nil {
		t.Fatal(err)
	}
	notLater := true // nothing was cut
	for _, e := range w.model {
		notLater = notLater && e.origin+e.reached*3600 < w.now.Unix() && e.good < w.now.Unix() && e.login < w.now.Unix()
	}
	if notLater && !bytes.Equal(saved.Bytes(), again.Bytes()) {
		t.Fatal("what is loaded is not what was saved")
	}
}

// travel takes everything to another table as windows.
func (w *modelWorld) travel(t *rapid.T) {
	next := newTable(w.table.most())
	err := w.table.each(w.now, func(x Windows) error { return next.put(x, w.now) })
	if err != nil {
		t.Fatal(err)
	}
	w.table = next
	w.model.restart(w.now)
}

func (w *modelWorld) compare(t *rapid.T) {
	if n := w.table.keys(); n != len(w.model) || n > w.table.most() {
		t.Fatalf("%d keys, the model has %d, at most %d", n, len(w.model), w.table.most())
	}
	if n := w.table.bytes(); n > 100<<10 {
		t.Fatalf("%d octets", n)
	}
	for _, k := range w.keys {
		var want Counts
		if e := w.model[k]; e != nil {
			want = e.counts(w.now)
		}
		if got := w.table.read(w.now, k); got != want {
			t.Fatalf("%v (-model +table):\n%s", k, cmp.Diff(want, got))
		}
	}
}
