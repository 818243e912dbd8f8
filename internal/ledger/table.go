package ledger

import (
	"bytes"
	"hash/maphash"
	"iter"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
	"unsafe"
)

// Bounds of the table.
const (
	mostShards   = 64      // a lock each; more only if a shard would have more than mostOfShard
	mostOfShard  = 3 << 14 // three quarters of 65,536 slots, since a slot has 16 bits of hash to say where it belongs
	chunkRecords = 128     // 10,752 octets, for which the allocator takes 10,880
	firstSlots   = 32
)

// table is the counters. It is safe for concurrent use, each key is one step.
//
// Bound: so many keys as newTable was told, at 84 octets and an index of 5 to 11; memory is taken as keys come. If a shard
// is full, the key goes that was not counted in for longest, roughly (CLOCK: second chance): whoever comes again and again
// stays, however many others come once. Lost on restart is what was not saved, and of a full table about one key in a
// hundred, of those who came once, since shards are others then. A forgotten key means that nothing is known of it: whoever it is starts
// from 0, and has neither good deeds nor logins to his credit.
//
// A cache is otherwise golang-lru's here. At a million keys with this record it takes 215 octets a key, and 115 to 175 ms of
// every garbage collection since all of it is pointers; maps with the records inside take 181 to 217, and do not say who
// goes. This takes 93 to 96, and 3 ms (TestAKeyTakesLessThanAHundredOctets).
type table struct {
	shards  []shard
	seed    maphash.Seed
	unsaved atomic.Bool
}

// newTable makes room for so many keys, or for a few more so that shards are equal.
func newTable(most int) *table {
	shards := 1
	for shards < mostShards && most/shards >= 2*chunkRecords || most/shards >= mostOfShard {
		shards *= 2
	}
	t := &table{shards: make([]shard, shards), seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].seed, t.shards[i].most = t.seed, max((most+shards-1)/shards, 1)
	}
	return t
}

// count adds, and fills in the counts. A tally that adds nothing leaves no trace.
func (t *table) count(now time.Time, tallies []Tally) {
	at := stamp(now)
	for i := range tallies {
		y := &tallies[i]
		t.one(at, y)
	}
}

// read returns what is known of a key.
func (t *table) read(now time.Time, k Key) Counts {
	y := Tally{Key: k}
	t.one(stamp(now), &y)
	return y.Counts
}

// one counts one key. If there is nothing to add, no record is made, and to take back from what is not there is nothing.
func (t *table) one(now uint32, y *Tally) {
	y.Counts = Counts{}
	if y.Key == (Key{}) {
		return
	}
	s, tag := t.shard(y.Key)
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &y.Add
	var r *record
	if *d != (Delta{OnlyBad: min(d.OnlyBad, 0)}) {
		r = s.touch(tag, y.Key)
	} else if _, r = s.find(tag, y.Key); r == nil {
		return
	}
	if *d == (Delta{}) {
		copied := *r
		copied.counts(copied.roll(now), &y.Counts)
		return
	}
	t.change()
	if into := r.add(now, d); !y.Blind {
		r.counts(into, &y.Counts)
	}
}

// change says that there is something to save. It is called under the lock of what changes: a save first takes the word
// back, then the locks, and so misses nothing.
func (t *table) change() {
	if !t.unsaved.Load() { // else every count would write to what all read
		t.unsaved.Store(true)
	}
}

// changed reports whether there is something to save.
func (t *table) changed() bool { return t.unsaved.Load() }

// forgetKey forgets one key, and reports whether it was there.
func (t *table) forgetKey(k Key) bool {
	s, tag := t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	at, r := s.find(tag, k)
	if r == nil {
		return false
	}
	s.remove(at)
	t.change()
	return true
}

// forget forgets all networks within one, and returns how many there were. It goes through all keys.
func (t *table) forget(within netip.Prefix) (n int) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for place := s.n - 1; place >= 0; place-- { // backwards: the last one moves into the gap
			k := s.record(place).key
			if p, ok := k.Prefix(); ok && p.Bits() >= within.Bits() && within.Contains(p.Addr()) {
				s.remove(s.slotOf(place))
				t.change()
				n++
			}
		}
		s.mu.Unlock()
	}
	return n
}

// keys returns how many there are.
func (t *table) keys() (n int) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		n += s.n
		s.mu.Unlock()
	}
	return n
}

// bytes returns the octets that the records and the index take.
func (t *table) bytes() (n int64) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		n += int64(unsafe.Sizeof(*s)) + int64(len(s.chunks))*int64(unsafe.Sizeof([chunkRecords]record{})) +
			int64(cap(s.chunks))*int64(unsafe.Sizeof(s.chunks[0])) + int64(len(s.index))*int64(unsafe.Sizeof(slot(0)))
		s.mu.Unlock()
	}
	return n
}

// records goes through what is known at a time, in the order of the keys. Locks are held for a shard to list its keys, 9
// octets each, and for a record to be copied: what comes meanwhile may be missed.
func (t *table) records(now uint32) iter.Seq[record] {
	return func(yield func(record) bool) {
		keys := make([]Key, 0, t.keys())
		for i := range t.shards {
			s := &t.shards[i]
			s.mu.Lock()
			for place := range s.n {
				keys = append(keys, s.record(place).key)
			}
			s.mu.Unlock()
		}
		slices.SortFunc(keys, func(a, b Key) int { return bytes.Compare(a[:], b[:]) })
		for _, k := range keys {
			if r, ok := t.copied(k); ok && !r.blank(now) && !yield(r) {
				return
			}
		}
	}
}

func (t *table) copied(k Key) (record, bool) {
	s, tag := t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, r := s.find(tag, k); r != nil {
		return *r, true
	}
	return record{}, false
}

// set puts a record in the place of what was known of its key.
func (t *table) set(r *record) {
	s, tag := t.shard(r.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	*s.touch(tag, r.key) = *r
	t.change()
}

// clear forgets everything.
func (t *table) clear() {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		s.chunks, s.index, s.n, s.hand = nil, nil, 0, 0
		s.mu.Unlock()
	}
	t.change()
}

// most returns how many keys there can be.
func (t *table) most() int { return len(t.shards) * t.shards[0].most }

// shard returns the part that has a key, and 16 other bits of its hash.
func (t *table) shard(k Key) (*shard, uint16) {
	h := maphash.Bytes(t.seed, k[:])
	return &t.shards[(h>>16)&uint64(len(t.shards)-1)], uint16(h)
}
