package acl

import (
	"math"
	"regexp"
	"sync"
	"testing"
	"time"
)

func TestDecisionIDs(t *testing.T) {
	form := regexp.MustCompile(`\A[0-9A-Za-z]{10}\z`)
	s := newSequence()
	if a, b := newSequence().next(noon), newSequence().next(noon); a == b {
		t.Errorf("two processes of one second begin with %s", a)
	}
	seen := make(map[string]bool, 1_000_000)
	for range 1_000_000 {
		id := s.next(noon)
		if seen[id] {
			t.Fatalf("%s twice in one second", id)
		}
		seen[id] = true
	}
	before := ""
	for i := range 100_000 {
		id := s.next(noon.Add(time.Duration(i) * time.Second))
		if !form.MatchString(id) || id <= before {
			t.Fatalf("%s behind %s", id, before)
		}
		before = id
	}
	for _, at := range []time.Time{{}, time.Unix(-1, 0), time.Unix(math.MaxInt32, 0), time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if id := s.next(at); !form.MatchString(id) {
			t.Errorf("%s at %v", id, at)
		}
	}
}

func TestDecisionIDsSideBySide(t *testing.T) {
	s := &sequence{}
	s.n.Store(math.MaxUint32 - 5000) // over the end of the counter
	var mu sync.Mutex
	seen := map[string]bool{}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 2000 {
				id := s.next(noon)
				mu.Lock()
				if seen[id] {
					t.Errorf("%s twice", id)
				}
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
}
