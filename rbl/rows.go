package rbl

import (
	"encoding/binary"
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// DefaultRows is how many clients are remembered if ListsOptions do not say otherwise: about 50 MB when all are there.
const DefaultRows = 1 << 18

// Bounds of the rows. A client with 8 zones takes 184 octets (BenchmarkOctetsPerClient), three of four for list and map.
const (
	rowOverhead = 144 // list entry 96, place in the map about 48
	rowOctets   = 256 // on average, with overhead: with very many zones fewer rows fit
	maxCodes    = 8   // of one zone; a bit mask has one code, a list that answers more than 8 has more than it needs
)

// what is the gist of one answer, in four bits of a row. Listings with 1 to 8 codes are whatListed and above.
type what uint8

const (
	whatNothing what = iota // never asked
	whatClear
	whatFailed
	whatRefused
	whatTimedOut
	whatListed // whatListed + n: n codes
)

// entry is one zone's answer in a row.
type entry struct {
	what    what
	expires uint32 // in seconds of the process clock; past it the answer is none
	epoch   uint32 // when it was asked for, see watch.purged
	at      uint32 // when it was answered
	by      uint8  // who answered, as servers numbers them; 0 if that is not known
	codes   []Code
}

// A row is all that the zones said of one subject, packed, since most of them say no:
//
//	base    4 octets  seconds of the process clock when it was written
//	epoch   4 octets  when it was written: what a zone said before its state changed is void
//	entry   2 octets  for each zone: what in the upper 4 bits, in the lower 12 the seconds after base when it expires
//	source  1 octet   for each zone: in the upper 5 bits when it was answered, in steps of 128 s before that of base, and
//	                  in the lower 3 by whom
//	codes   3 octets each, for each listing in the order of the zones
//
// It is a string: it has no pointers for the garbage collector to follow, and who has read it may keep it.
type row string

const (
	rowHead  = 8
	rowEntry = 3

	stepBits = 7 // a step is 128 s: 31 of them are more than maxTTL
	byBits   = 3
)

// packRow writes a row of entries that hold; one of nothing is none. A maxTTL of 4,096 seconds or more would not fit.
func packRow(entries []entry, now, epoch uint32) row {
	b := make([]byte, rowHead+rowEntry*len(entries), rowHead+rowEntry*len(entries)+4*len(Code{}))
	binary.LittleEndian.PutUint32(b, now)
	binary.LittleEndian.PutUint32(b[4:], epoch)
	for i, e := range entries {
		if e.what == whatNothing {
			continue
		}
		at := b[rowHead+rowEntry*i:]
		binary.LittleEndian.PutUint16(at, uint16(e.what)<<12|uint16(e.expires-now))
		at[2] = uint8(now>>stepBits-e.at>>stepBits)<<byBits | e.by
		for _, c := range e.codes {
			b = append(b, c[:]...)
		}
	}
	return row(b)
}

// rowReader reads a row of n zones, entry by entry.
type rowReader struct {
	row         row
	base, epoch uint32
	i, codes    int
}

func (r row) reader(n int) rowReader {
	if len(r) < rowHead+rowEntry*n {
		return rowReader{}
	}
	return rowReader{row: r, base: r.uint32(0), epoch: r.uint32(4), codes: rowHead + rowEntry*n}
}

func (r row) uint32(i int) uint32 {
	return uint32(r[i]) | uint32(r[i+1])<<8 | uint32(r[i+2])<<16 | uint32(r[i+3])<<24
}

// next returns the entry of the next zone without its codes, and where those are in the row.
func (r *rowReader) next() (e entry, codes row) {
	if r.row == "" {
		return entry{}, ""
	}
	at := rowHead + rowEntry*r.i
	r.i++
	v := uint16(r.row[at]) | uint16(r.row[at+1])<<8
	source := r.row[at+2]
	e = entry{what: what(v >> 12), expires: r.base + uint32(v&0xfff), epoch: r.epoch, at: r.base, by: source & (1<<byBits - 1)}
	if steps := uint32(source >> byBits); steps > 0 { // the last second of its step, so that to write it again changes nothing
		e.at = (r.base>>stepBits-steps+1)<<stepBits - 1
	}
	if e.what > whatListed {
		end := r.codes + int(e.what-whatListed)*len(Code{})
		codes, r.codes = r.row[r.codes:end], end
	}
	return e, codes
}

// unpackCodes returns the codes of a listing.
func unpackCodes(r row) []Code {
	if r == "" {
		return nil
	}
	codes := make([]Code, len(r)/len(Code{}))
	for i := range codes {
		copy(codes[i][:], r[i*len(Code{}):])
	}
	return codes
}

// key is what a row is found by: an address as 16 octets, or a hash of a name.
type key [16]byte

// rows remembers what the zones said of the last subjects asked about, the least recently used go first. It is bounded in
// entries and in octets. What is lost is asked again.
type rows struct {
	shards []rowShard
	seed   maphash.Seed
}

// rowShard is a part of the rows with a lock of its own, and the flights under way for its keys.
type rowShard struct {
	mu      sync.Mutex
	lru     *simplelru.LRU[key, row]
	octets  int
	most    int
	flights map[key]*flight

	hits, misses atomic.Uint64

	_ [64]byte // two shards share no cache line
}

// newRows makes room for so many rows.
func newRows(most int) *rows {
	shards := 1
	for shards < 16 && most/shards >= 256 {
		shards *= 2
	}
	r := &rows{shards: make([]rowShard, shards), seed: maphash.MakeSeed()}
	each := max((most+shards-1)/shards, 1)
	for i := range r.shards {
		s := &r.shards[i]
		s.most, s.flights = each*rowOctets, make(map[key]*flight)
		s.lru, _ = simplelru.NewLRU(each, func(_ key, v row) { s.octets -= rowOverhead + len(v) }) // fails only without size
	}
	return r
}

// usage returns how many rows there are, how many there may be, and how often they were of use.
func (r *rows) usage() (u Usage) {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		u.Used += s.lru.Len()
		s.mu.Unlock()
		u.Most += s.most / rowOctets
		u.Hits += s.hits.Load()
		u.Misses += s.misses.Load()
	}
	return u
}

// shard returns the part that has a key.
func (r *rows) shard(k key) *rowShard {
	return &r.shards[r.hash(k)%uint64(len(r.shards))]
}

func (r *rows) hash(k key) uint64 { return maphash.Bytes(r.seed, k[:]) }

// get returns the row of a key, or none.
func (s *rowShard) get(k key) row {
	s.mu.Lock()
	v, _ := s.lru.Get(k)
	s.mu.Unlock()
	return v
}

// put keeps a row. The lock is held.
func (s *rowShard) put(k key, v row) {
	old, known := s.lru.Peek(k)
	s.octets += len(v) - len(old)
	if !known {
		s.octets += rowOverhead
	}
	s.lru.Add(k, v)
	for s.octets > s.most && s.lru.Len() > 1 {
		s.lru.RemoveOldest()
	}
}
