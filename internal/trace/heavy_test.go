package trace

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"pgregory.net/rapid"
)

func TestWhatARowSaysOfASenderEnclosesTheTruth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHeavy(rapid.IntRange(1, 8).Draw(t, "most"))
		truth := map[string]int{}
		for _, key := range rapid.SliceOfN(rapid.IntRange(0, 30), 0, 400).Draw(t, "keys") {
			k := fmt.Sprint(key * key / 20) // some come often
			truth[k]++
			h.row(k).Messages++
		}
		for key, n := range truth {
			switch r := h.rows[key]; {
			case r == nil && n > h.missed:
				t.Fatalf("%s has sent %d and is not there; at most %d should be missing", key, n, h.missed)
			case r != nil && (r.Messages > n || r.Messages+r.Missed < n):
				t.Fatalf("%s has sent %d, not %d to %d", key, n, r.Messages, r.Messages+r.Missed)
			}
		}
		if len(h.rows) > 2*h.most {
			t.Fatalf("%d rows", len(h.rows))
		}
	})
}

func TestTheBusiestAreFoundAmongAMillionOthers(t *testing.T) {
	h := newHeavy(mostSenders)
	random := rand.New(rand.NewPCG(1, 2))
	const busy, each = 20, 500
	for i := range 1_000_000 {
		h.row(fmt.Sprintf("subject %d, and what makes it as long as subjects are", i)).Messages++
		if random.IntN(1_000_000) < busy*each {
			h.row(fmt.Sprintf("busy %d", random.IntN(busy))).Messages++
		}
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	found, missed := 0, 0
	for _, r := range h.all()[:busy] {
		if len(r.Key) < 8 {
			found++
			missed = max(missed, r.Missed)
		}
	}
	if found != busy || missed > 10 || m.HeapAlloc > 32<<20 {
		t.Errorf("%d of %d busy ones found, %d may be missing, %d octets", found, busy, missed, m.HeapAlloc)
	}
	t.Logf("FIGURE trace: 1,000,000 senders of one message and %d of %d: all found, at most %d of each missing, %d kB held", busy, each, missed, m.HeapAlloc>>10)
}

func TestDifferentTextsAreCountedExactlyWhileTheyAreFewAndThenAbout(t *testing.T) {
	worst := 0.0
	for _, n := range []int{0, 1, sketchSize - 1, 1000, 30_000, 1_000_000} {
		var s sketch
		for i := range n {
			s.add(fmt.Sprintf("d%d.example", i))
			s.add(fmt.Sprintf("D%d.EXAMPLE", i))
		}
		got, about := s.count()
		if about != (n >= sketchSize) || !about && got != n {
			t.Errorf("%d: %d, about: %v", n, got, about)
		}
		if off := float64(got-n) / float64(max(n, 1)); about {
			worst = max(worst, off, -off)
		}
	}
	if worst > 0.25 {
		t.Errorf("an estimate is off by %.0f %%", 100*worst)
	}
	t.Logf("FIGURE trace: domains are exact up to %d, then off by at most %.0f %%", sketchSize-1, 100*worst)
}
