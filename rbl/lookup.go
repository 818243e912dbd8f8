package rbl

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// For how long answers are remembered (RFC 2308 5, RFC 9520 3.2).
const (
	minTTL     = time.Minute
	maxTTL     = time.Hour
	failureTTL = 30 * time.Second
)

// DefaultAnswers is how many octets the answers remembered by Lookup may take if ResolverOptions do not say otherwise.
const DefaultAnswers = 16 << 20

const (
	answerShards = 16
	answerOctets = 512 // on average
)

// answers remembers what Lookup found, and which questions are under way. Lost on restart; the oldest goes first when a
// bound is reached, and is asked for again.
type answers struct {
	seed   maphash.Seed
	shards [answerShards]answerShard
}

type answerShard struct {
	mu    sync.Mutex
	table *simplelru.LRU[asked, answered]
	bytes int
	most  int
	under map[asked]*underway

	hits, misses uint64
}

type asked struct {
	name string
	kind uint16
}

type answered struct {
	Records
	until time.Time
}

// underway is a question that somebody waits for. The records are set before done is closed.
type underway struct {
	done chan struct{}
	rec  Records
}

// newAnswers makes room for so many octets.
func newAnswers(octets int) *answers {
	if octets <= 0 {
		octets = DefaultAnswers
	}
	a := &answers{seed: maphash.MakeSeed()}
	for i := range a.shards {
		s := &a.shards[i]
		s.under, s.most = make(map[asked]*underway), octets/answerShards
		// The only error is that of a size below 1.
		s.table, _ = simplelru.NewLRU(max(s.most/answerOctets, 1), func(k asked, v answered) { s.bytes -= size(k, v) })
	}
	return a
}

// size is about what an entry takes.
func size(k asked, v answered) int {
	n := 256 + len(k.name) + len(v.Text) + len(v.Note) + 24*len(v.Addresses)
	for _, name := range v.Names {
		n += 16 + len(name)
	}
	return n
}

// Remembered returns how many octets the answers of Lookup take that are remembered, how many they may, and how often they were
// of use.
func (r *Resolver) Remembered() (u Usage) {
	for i := range r.answers.shards {
		s := &r.answers.shards[i]
		s.mu.Lock()
		u.Used += s.bytes
		u.Hits += s.hits
		u.Misses += s.misses
		s.mu.Unlock()
		u.Most += s.most
	}
	return u
}

func (a *answers) shard(k asked) *answerShard {
	return &a.shards[maphash.Comparable(a.seed, k)%answerShards]
}

// Lookup asks for a name that a client may have chosen: it is answered from a cache, one question serves many askers, and
// at most 64 of them are under way. kind is a type of package miekg/dns (A, AAAA, PTR, MX, TXT, NS). When ctx ends first
// the records are Unanswered, and the question goes on into the cache: with a ctx that has ended Lookup starts a question
// and does not wait. An asker who leaves does not take the others along.
func (r *Resolver) Lookup(ctx context.Context, name string, kind uint16) Records {
	name, ok := hostname(name)
	if !ok {
		return Records{Outcome: Failed, Note: "no name of a host"}
	}
	k := asked{name, kind}
	s := r.answers.shard(k)
	now := time.Now()
	s.mu.Lock()
	if v, ok := s.table.Get(k); ok && now.Before(v.until) {
		s.hits++
		s.mu.Unlock()
		left := v.until.Sub(now)
		v.TTL, v.Age = left, v.TTL-left
		return v.Records
	}
	s.misses++
	u, joined := s.under[k]
	if !joined {
		u = &underway{done: make(chan struct{})}
		s.under[k] = u
	}
	s.mu.Unlock()
	if !joined {
		r.ask(r.clients, name, kind, func(rec Records) { s.finish(k, u, rec) })
	}
	select {
	case <-u.done:
		return u.rec
	default:
	}
	select {
	case <-u.done:
		return u.rec
	case <-ctx.Done():
		return Records{Note: "no answer yet"}
	}
}

// finish remembers an answer and wakes who waits for it.
func (s *answerShard) finish(k asked, u *underway, rec Records) {
	ttl := lifetime(&rec)
	rec.TTL = ttl
	u.rec = rec
	s.mu.Lock()
	delete(s.under, k)
	if ttl > 0 {
		s.table.Remove(k) // which takes its bytes off
		v := answered{rec, time.Now().Add(ttl)}
		s.bytes += size(k, v)
		s.table.Add(k, v)
		for s.bytes > s.most {
			s.table.RemoveOldest()
		}
	}
	s.mu.Unlock()
	close(u.done)
}

// lifetime is for how long an answer is remembered; 0 is not at all, for a question that was not asked.
func lifetime(rec *Records) time.Duration {
	switch rec.Outcome {
	case Found, Empty, Missing:
		return min(max(rec.TTL, minTTL), maxTTL)
	case Failed, Refused, TimedOut:
		return failureTTL
	}
	return 0
}
