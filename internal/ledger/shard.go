package ledger

import (
	"hash/maphash"
	"sync"
)

// shard is a part of the table with a lock of its own. Its records lie one after the other in chunks; an index finds
// them.
type shard struct {
	mu     sync.Mutex
	seed   maphash.Seed
	chunks []*[chunkRecords]record
	index  []slot // a power of two of them, at most three quarters are taken
	n      int    // records
	most   int
	hand   int      // the record that may go next, once the shard is full
	_      [64]byte // two shards share no cache line
}

// A slot of the index has 16 bits of the key's hash, by which it has its home, and the place of the record plus one. The
// zero slot is free. Slots are probed one after the other; what is removed is closed up, so that nothing marks the dead.
type slot uint32

func slotOf(tag uint16, place int) slot { return slot(tag)<<16 | slot(place+1) }
func (l slot) tag() uint16              { return uint16(l >> 16) }
func (l slot) place() int               { return int(l&0xffff) - 1 }

// record returns the record at a place. The lock is held, here and below.
func (s *shard) record(place int) *record {
	return &s.chunks[place/chunkRecords][place%chunkRecords]
}

// find returns the record of a key, or nil, and the slot of the index where it is or would be.
func (s *shard) find(tag uint16, k Key) (at int, r *record) {
	if len(s.index) == 0 {
		return 0, nil
	}
	mask := len(s.index) - 1
	for at = int(tag) & mask; s.index[at] != 0; at = (at + 1) & mask {
		if l := s.index[at]; l.tag() == tag {
			if r := s.record(l.place()); r.key == k {
				return at, r
			}
		}
	}
	return at, nil
}

// touch returns the record of a key that is counted in, which is made if there is none. A new one is not touched: it stays
// for one round of the hand, and for another only if it is counted in again.
func (s *shard) touch(tag uint16, k Key) *record {
	at, r := s.find(tag, k)
	if r != nil {
		r.touched = true
		return r
	}
	place := s.n
	if s.n == s.most {
		place = s.evict()
		at, _ = s.find(tag, k) // closing up may have moved the end
	} else {
		if s.n++; s.n > len(s.index)/4*3 {
			s.grow()
			at, _ = s.find(tag, k)
		}
		if place == len(s.chunks)*chunkRecords {
			s.chunks = append(s.chunks, new([chunkRecords]record))
		}
	}
	s.index[at] = slotOf(tag, place)
	r = s.record(place)
	*r = record{key: k}
	return r
}

// evict removes from the index the first record that was not counted in since the hand passed it last, and returns its
// place.
func (s *shard) evict() int {
	for s.record(s.hand).touched {
		s.record(s.hand).touched = false
		s.hand = (s.hand + 1) % s.n
	}
	place := s.hand
	s.hand = (s.hand + 1) % s.n
	s.free(s.slotOf(place))
	return place
}

// slotOf returns which slot has the record at a place.
func (s *shard) slotOf(place int) int {
	k := s.record(place).key
	at, _ := s.find(uint16(maphash.Bytes(s.seed, k[:])), k)
	return at
}

// remove removes the record of a slot; the last one takes its place.
func (s *shard) remove(at int) {
	place, last := s.index[at].place(), s.n-1
	if place != last {
		moved := s.slotOf(last)
		s.index[moved] = slotOf(s.index[moved].tag(), place)
		*s.record(place) = *s.record(last)
	}
	s.free(at)
	s.n = last
	s.chunks[last/chunkRecords][last%chunkRecords] = record{}
	if last%chunkRecords == 0 {
		s.chunks[last/chunkRecords] = nil
		s.chunks = s.chunks[:last/chunkRecords]
	}
}

// free frees a slot. Those behind it that are not at home move up, if they come no nearer than that.
func (s *shard) free(at int) {
	mask := len(s.index) - 1
	for next := (at + 1) & mask; s.index[next] != 0; next = (next + 1) & mask {
		home := int(s.index[next].tag()) & mask
		if (next-home)&mask >= (next-at)&mask {
			s.index[at] = s.index[next]
			at = next
		}
	}
	s.index[at] = 0
}

// grow doubles the index.
func (s *shard) grow() {
	old := s.index
	s.index = make([]slot, max(2*len(old), firstSlots))
	mask := len(s.index) - 1
	for _, l := range old {
		if l == 0 {
			continue
		}
		at := int(l.tag()) & mask
		for s.index[at] != 0 {
			at = (at + 1) & mask
		}
		s.index[at] = l
	}
}
