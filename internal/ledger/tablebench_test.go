package ledger

import (
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"testing"
)

// bare is what a table cannot be faster than: a counter a key in a map of Go, in as many shards.
type bare struct {
	seed   maphash.Seed
	shards [mostShards]struct {
		mu sync.Mutex
		m  map[Key]*counter
		_  [64]byte
	}
}

type counter struct{ bad uint64 }

func newBare() *bare {
	b := &bare{seed: maphash.MakeSeed()}
	for i := range b.shards {
		b.shards[i].m = map[Key]*counter{}
	}
	return b
}

func (b *bare) count(k Key) uint64 {
	s := &b.shards[maphash.Bytes(b.seed, k[:])%mostShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.m[k]
	if c == nil {
		c = &counter{}
		s.m[k] = c
	}
	c.bad++
	return c.bad
}

// BenchmarkCount counts one event of one key of 262,144, which nearly all are not in the processor's cache.
func BenchmarkCount(b *testing.B) {
	const keys = 1 << 18
	all := make([]Key, keys)
	for i := range all {
		all[i] = nth64(uint32(i) * 2654435761)
	}
	for _, goroutines := range []int{2, 32} {
		each := func(b *testing.B, one func(Key)) {
			for _, k := range all {
				one(k)
			}
			var next atomic.Uint32
			b.SetParallelism(goroutines / 2)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(p *testing.PB) {
				for i := next.Add(1 << 20); p.Next(); i += 12345 {
					one(all[i%keys])
				}
			})
		}
		b.Run(fmt.Sprintf("bare map, %d goroutines", goroutines), func(b *testing.B) {
			m := newBare()
			each(b, func(k Key) { m.count(k) })
		})
		b.Run(fmt.Sprintf("table, %d goroutines", goroutines), func(b *testing.B) {
			t := newTable(2 * keys)
			each(b, func(k Key) { t.count(noon, []Tally{{Key: k, Add: Delta{Bad: 1}}}) })
		})
	}
}
