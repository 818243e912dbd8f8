package ledger

import (
	"bytes"
	"encoding/binary"
	"math"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// aClient is the key of most tests.
func aClient() Key { return Of(netip.MustParsePrefix("192.0.2.1/32")) }

// counting counts one delta and returns what the key has then.
func counting(t *table, now time.Time, k Key, d Delta) Counts {
	tallies := []Tally{{Key: k, Add: d}}
	t.count(now, tallies)
	return tallies[0].Counts
}

// nth64 returns one of many distinct /64.
func nth64(n uint32) Key {
	k := Of(netip.MustParsePrefix("2001:db8::/64"))
	binary.BigEndian.PutUint32(k[5:], n)
	return k
}

func snapshotOf(t testing.TB, table *table, now time.Time) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := table.save(&b, now); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestTwentyEventsWithinTheFirstHourAreTwenty(t *testing.T) {
	table := newTable(1000)
	for i := range 20 {
		c := counting(table, noon.Add(time.Duration(i)*179*time.Second), aClient(), Delta{Bad: 1})
		if c.Hour.Bad != i+1 || c.Day.Bad != i+1 {
			t.Fatalf("event %d: %+v", i+1, c)
		}
	}
}

func TestACountDecaysEvenlyOverTheNextSpanAndIsGoneThen(t *testing.T) {
	table := newTable(1000)
	for range 20 {
		counting(table, noon, aClient(), Delta{Bad: 1, Clean: 1})
	}
	for after, want := range map[time.Duration][2]int{
		time.Hour - time.Second:               {20, 20},
		time.Hour:                             {20, 20},
		time.Hour + 15*time.Minute:            {15, 20},
		time.Hour + 30*time.Minute:            {10, 20},
		time.Hour + 45*time.Minute:            {5, 20},
		2*time.Hour - 91*time.Second:          {1, 20}, // 0.51
		2*time.Hour - 89*time.Second:          {0, 20}, // 0.49
		2 * time.Hour:                         {0, 20},
		24 * time.Hour:                        {0, 20},
		24*time.Hour + 12*time.Hour:           {0, 10},
		24*time.Hour + 18*time.Hour:           {0, 5},
		48*time.Hour - time.Second:            {0, 0},
		48 * time.Hour:                        {0, 0},
		100 * 365 * 24 * time.Hour:            {0, 0},
		-time.Hour:                            {20, 20}, // before it began it is as at its start
		-100 * 365 * 24 * time.Hour:           {20, 20},
		200 * 365 * 24 * time.Hour:            {0, 0}, // past the end of the stamps
		24*time.Hour + 23*time.Hour:           {0, 1},
		24*time.Hour + 23*time.Hour + 1801e9:  {0, 0},
		24*time.Hour + 11*time.Hour + 1801e9:  {0, 10},
		24*time.Hour + 10*time.Hour + 1801e9:  {0, 11},
		time.Hour + 30*time.Minute - 91*1e9:   {11, 20},
		time.Hour + 30*time.Minute - 89*1e9:   {10, 20},
		time.Hour + 30*time.Minute + 500*1e6:  {10, 20},
		time.Hour + 59*time.Minute + 59.9*1e9: {0, 20},
	} {
		c := table.read(noon.Add(after), aClient())
		if got := [2]int{c.Hour.Bad, c.Day.Bad}; got != want || c.Day.Clean != want[1] {
			t.Errorf("after %v: %v, want %v", after, got, want)
		}
	}
}

// However events come, a count has all of the present bucket, and of the one before neither less than nothing nor more
// than all.
func TestACountIsOffByNoMoreThanTheBucketBefore(t *testing.T) {
	table := newTable(1000)
	var events []time.Time
	since := func(start time.Time) (n int) {
		for _, at := range events {
			if !at.Before(start) {
				n++
			}
		}
		return n
	}
	now := noon
	for i := range 1000 {
		now = now.Add(time.Duration(i*i%601) * time.Second) // bursts and gaps
		if i%97 == 0 {
			now = now.Add(time.Duration(i) * time.Minute)
		}
		events = append(events, now)
		c := counting(table, now, aClient(), Delta{Failed: 1, Trapped: 1})
		var w Windows
		_ = table.each(now, func(is Windows) error { w = is; return nil })
		hour, day := w.Start, w.Start.Add(-time.Duration(w.Hours)*time.Hour)
		if now.Before(hour) || now.Sub(hour) >= time.Hour || now.Sub(day) >= 24*time.Hour {
			t.Fatalf("%v is in the hour of %v and the day of %v", now, hour, day)
		}
		if least, most := since(hour), since(hour.Add(-time.Hour)); c.Hour.Failed < least || c.Hour.Failed > most {
			t.Fatalf("%v: %d within an hour, and %d to %d came", now, c.Hour.Failed, least, most)
		}
		if least, most := since(day), since(day.Add(-24*time.Hour)); c.Day.Trapped < least || c.Day.Trapped > most {
			t.Fatalf("%v: %d within a day, and %d to %d came", now, c.Day.Trapped, least, most)
		}
	}
}

func TestWhatIsTakenBackIsNeverBelowNothing(t *testing.T) {
	table := newTable(1000)
	if counting(table, noon, aClient(), Delta{OnlyBad: -1}); table.keys() != 0 || table.changed() {
		t.Error("taking back from nobody left a trace")
	}
	counting(table, noon, aClient(), Delta{OnlyBad: 1})
	counting(table, noon, aClient(), Delta{OnlyBad: 1})
	later := noon.Add(time.Hour) // the bucket before has two, all of which still count
	for i, want := range []int{1, 0, 0} {
		if c := counting(table, later, aClient(), Delta{OnlyBad: -1}); c.Hour.OnlyBad != want {
			t.Errorf("after taking back %d: %d", i+1, c.Hour.OnlyBad)
		}
	}
	if c := counting(table, later, aClient(), Delta{OnlyBad: 1}); c.Hour.OnlyBad != 1 {
		t.Errorf("one more is %d", c.Hour.OnlyBad)
	}
}

func TestACounterThatIsFullHalvesItsBucketAndRatiosStay(t *testing.T) {
	table := newTable(1000)
	var c Counts
	for range 120_000 {
		c = counting(table, noon, aClient(), Delta{Bad: 3, Good: 1, Clean: 40000})
	}
	if c.Hour.Bad < 32768 || c.Hour.Bad > 65535 || math.Abs(float64(c.Hour.Bad)/float64(c.Hour.Good)-3) > 0.01 {
		t.Errorf("an hour: %+v", c.Hour)
	}
	if c.Day.Bad != c.Hour.Bad || c.Day.Clean != math.MaxUint32 {
		t.Errorf("a day: %+v", c.Day)
	}
}

func TestWhoIsSeenIsToldApartUpToMaxSeen(t *testing.T) {
	table := newTable(1000)
	for i, want := range []int{1, 1, 2, 3, 4, 5, 5, 5} {
		who := []uint16{7, 7, 8, 9, 10, 11, 12, 13}[i]
		if c := counting(table, noon, aClient(), Delta{Bad: 1, Seen: who}); c.Hour.Seen != want {
			t.Errorf("%d of them: %d", i+1, c.Hour.Seen)
		}
	}
	if c := counting(table, noon.Add(time.Hour), aClient(), Delta{Seen: 7}); c.Hour.Seen != 5 {
		t.Errorf("an hour later: %d", c.Hour.Seen)
	}
	if c := counting(table, noon.Add(2*time.Hour), aClient(), Delta{Seen: 8}); c.Hour.Seen != 2 {
		t.Errorf("two hours later: %d", c.Hour.Seen)
	}
}

func TestGoodAndLoginAreRememberedForTheirTime(t *testing.T) {
	table := newTable(1000)
	counting(table, noon, aClient(), Delta{Good: 1, Login: true})
	for after, want := range map[time.Duration]Counts{
		2 * 24 * time.Hour:               {LastGood: noon, LastLogin: noon},
		2*24*time.Hour + time.Second:     {LastLogin: noon},
		30 * 24 * time.Hour:              {LastLogin: noon},
		30*24*time.Hour + time.Second:    {},
		30*24*time.Hour + 24*time.Hour*9: {},
	} {
		if diff := cmp.Diff(want, table.read(noon.Add(after), aClient())); diff != "" {
			t.Errorf("after %v: %s", after, diff)
		}
	}
}

func TestAClockThatGoesBackTakesNothingBack(t *testing.T) {
	table := newTable(1000)
	later := noon.Add(30 * time.Minute)
	counting(table, noon, aClient(), Delta{Bad: 1})
	counting(table, later, aClient(), Delta{Good: 1, Login: true})
	c := counting(table, noon.Add(-time.Hour), aClient(), Delta{Good: 1, Login: true})
	if want := (Counts{Hour: Hour{Good: 2, Bad: 1}, Day: Day{Good: 2, Bad: 1}, LastGood: later, LastLogin: later}); c != want {
		t.Error(cmp.Diff(want, c))
	}
}

func TestAKeyOfWhichNothingIsLeftBeginsAnew(t *testing.T) {
	table := newTable(1000)
	counting(table, noon, aClient(), Delta{Bad: 1})
	anew := noon.Add(50*time.Hour - time.Second) // the old hours would end a second later
	for i := range 20 {
		if c := counting(table, anew.Add(time.Duration(i)*3*time.Minute), aClient(), Delta{Bad: 1}); c.Hour.Bad != i+1 {
			t.Fatalf("event %d: %d", i+1, c.Hour.Bad)
		}
	}
}

func TestATallyThatAddsNothingLeavesNoTrace(t *testing.T) {
	table := newTable(2) // one shard, so that it is known who goes
	first, second, third := nth64(1), nth64(2), nth64(3)
	counting(table, noon, first, Delta{Bad: 1})
	counting(table, noon, second, Delta{Bad: 1})
	now := noon.Add(90 * time.Minute)
	before := snapshotOf(t, table, now)
	for range 10 {
		for _, k := range []Key{first, third, Total, {}} {
			counting(table, now, k, Delta{})
			table.read(now, k)
		}
	}
	counting(table, now, Key{}, Delta{Bad: 1})
	if table.changed() || !bytes.Equal(before, snapshotOf(t, table, now)) {
		t.Error("what was only read has changed")
	}
	counting(table, now, third, Delta{Bad: 1})
	if !table.changed() {
		t.Error("what was counted has not changed")
	}
	if table.read(now, first).Day.Bad != 0 || table.read(now, second).Day.Bad != 1 {
		t.Error("who was only read was taken for one that came again")
	}
}

func TestWhoComesAgainStaysAndWhoCameOnceGoes(t *testing.T) {
	table := newTable(4)
	for _, n := range []uint32{1, 2, 3, 4, 1, 3} {
		counting(table, noon, nth64(n), Delta{Bad: 1})
	}
	for n := uint32(5); n < 7; n++ {
		counting(table, noon, nth64(n), Delta{Bad: 1})
	}
	for n, want := range []int{0, 2, 0, 2, 0, 1, 1} {
		if got := table.read(noon, nth64(uint32(n))).Hour.Bad; got != want {
			t.Errorf("key %d: %d, want %d", n, got, want)
		}
	}
}

func TestForgettingANetworkForgetsAllWithinAndNothingElse(t *testing.T) {
	table := newTable(100_000)
	keys := []string{"192.0.2.1/32", "192.0.2.0/24", "198.51.100.1/32", "2001:db8::/48", "2001:db8::/56", "2001:db8:1::/48"}
	fill := func() {
		for _, p := range keys {
			counting(table, noon, Of(netip.MustParsePrefix(p)), Delta{Bad: 1})
		}
		for n := range uint32(5_000) {
			counting(table, noon, nth64(1<<31+n), Delta{Bad: 1})
		}
		counting(table, noon, Account("alice"), Delta{Failed: 1})
		counting(table, noon, Total, Delta{Failed: 1})
	}
	all := len(keys) + 5_002
	for within, want := range map[string]int{
		"192.0.2.0/24":       2,
		"192.0.2.0/25":       1,
		"192.0.2.1/32":       1,
		"203.0.113.0/24":     0,
		"0.0.0.0/0":          3,
		"2001:db8::/48":      2,
		"2001:db8:1::/48":    1,
		"2001:db8:8000::/33": 5_000,
		"::/0":               5_003,
	} {
		table.clear()
		fill()
		snapshotOf(t, table, noon)
		p := netip.MustParsePrefix(within)
		if got := table.forget(p); got != want || table.keys() != all-want || table.changed() != (want > 0) {
			t.Errorf("%s: %d, want %d; %d left", within, got, want, table.keys())
		}
		for i := range table.shards {
			for place := table.shards[i].n; place < len(table.shards[i].chunks)*chunkRecords; place++ {
				if *table.shards[i].record(place) != (record{}) {
					t.Fatalf("%s: what was forgotten is still in memory", within)
				}
			}
		}
		for _, k := range keys {
			kept := table.read(noon, Of(netip.MustParsePrefix(k))).Hour.Bad
			inside := p.Overlaps(netip.MustParsePrefix(k)) && p.Bits() <= netip.MustParsePrefix(k).Bits()
			if (kept == 0) != inside {
				t.Errorf("%s without %s: %d", k, within, kept)
			}
		}
	}
	if table.forget(netip.Prefix{}) != 0 {
		t.Error("no network is within none")
	}
	if !table.forgetKey(Account("alice")) || table.forgetKey(Account("alice")) {
		t.Error("an account is forgotten once")
	}
}

func TestManyCountersAtOnceLoseNothing(t *testing.T) {
	table := newTable(10_000)
	const workers, rounds = 8, 1000
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for i := range rounds {
				now := noon.Add(time.Duration(i) * time.Millisecond)
				table.count(now, []Tally{
					{Key: Total, Add: Delta{Bad: 1}},
					{Key: nth64(uint32(i % 100)), Add: Delta{Bad: 1}},
					{Key: nth64(uint32(1000 + w*rounds + i)), Add: Delta{Bad: 1}},
				})
				switch i % 500 {
				case 100:
					_ = table.save(&bytes.Buffer{}, now)
				case 200:
					_ = table.each(now, func(Windows) error { return nil })
				case 300:
					table.forget(netip.MustParsePrefix("192.0.2.0/24"))
				case 400:
					table.bytes()
				}
			}
		})
	}
	group.Wait()
	if n := table.read(noon, Total).Hour.Bad; n != workers*rounds {
		t.Errorf("%d of %d", n, workers*rounds)
	}
	if n := table.keys(); n > table.most() {
		t.Errorf("%d keys of %d", n, table.most())
	}
}
