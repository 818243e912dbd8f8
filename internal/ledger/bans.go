package ledger

import (
	"container/heap"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/gaissmai/bart"
)

// Bounds of what is kept.
const (
	MaxBans    = 65536 // of all kinds together: 25 MB, and 17 MB on the disk
	MaxAllowed = 4096
)

// class is one of the worlds in which a network can have an entry. They do not change each other: a ban that is only
// observed leaves an enforced one and its level alone, and an administrator's comes on top of both.
type class uint8

const (
	enforced class = iota // banned by a rule
	observed              // banned by a rule that refuses nothing yet
	banned                // banned by an administrator
	allowed               // let in by an administrator
	classes
)

func (c class) String() string { return [...]string{"enforced", "observed", "banned", "allowed"}[c] }

// id is what an entry is found by.
type id struct {
	class   class
	network netip.Prefix
}

// entry is a ban, or a network that is let in. What it points to is never changed, since it is handed out; the entry is,
// under the lock.
type entry struct {
	id
	ban *Ban
	let *Allowed // if there is no ban
	at  int      // its place in its queue
}

func entryOf(b *Ban) *entry {
	e := &entry{id: id{observed, b.Network}, ban: b}
	switch {
	case b.Level == 0:
		e.class = banned
	case b.Enforced:
		e.class = enforced
	}
	return e
}

func entryOfAllowed(a *Allowed) *entry { return &entry{id: id{allowed, a.Network}, let: a} }

// until returns when an entry ends, zero for never.
func (e *entry) until() time.Time {
	if e.ban != nil {
		return e.ban.Until
	}
	return e.let.Until
}

func (e *entry) over(now time.Time) bool {
	until := e.until()
	return !until.IsZero() && !now.Before(until)
}

// settle says that an entry is on the disk. Who has the old value keeps it.
func (e *entry) settle() {
	switch {
	case e.ban != nil && !e.ban.Durable:
		b := *e.ban
		b.Durable = true
		e.ban = &b
	case e.let != nil && !e.let.Durable:
		a := *e.let
		a.Durable = true
		e.let = &a
	}
}

// move moves the times of an entry that nobody has seen yet.
func (e *entry) move(by time.Duration) {
	if e.ban != nil {
		e.ban.move(by)
		return
	}
	e.let.move(by)
}

// entries are all that is kept of networks. The zero entries are empty. Whoever calls holds the engine's lock.
//
// Bound: MaxBans and MaxAllowed. If there is no room, what is over goes first, the oldest first, then the ban of a rule
// that ends soonest, and never what an administrator wants. Nothing is lost on restart but what State calls unsaved. A
// forgotten ban means that the network may come in, and that its next ban is of the first level.
type entries struct {
	table  bart.Table[*place]
	queues [classes]queue
}

// place is the entries of one network. It knows the next place around it: an address is asked about at every request, and to
// look for every network around it takes five times as long as to look for the smallest.
type place struct {
	of     [classes]*entry
	around *place // nil: there is none
}

// queue is the entries of a class, the one that ends first in front.
type queue []*entry

func (q queue) Len() int { return len(q) }

func (q queue) Less(i, j int) bool {
	a, b := q[i].until(), q[j].until()
	if a.Equal(b) {
		return q[i].network.Compare(q[j].network) < 0
	}
	return !a.IsZero() && (b.IsZero() || a.Before(b))
}

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}

// Push is for container/heap.
func (q *queue) Push(x any) {
	e := x.(*entry)
	e.at = len(*q)
	*q = append(*q, e)
}

// Pop is for container/heap.
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return e
}

// get returns an entry, or nil.
func (s *entries) get(i id) *entry { return s.of(i.network)[i.class] }

// of returns the entries of a network.
func (s *entries) of(network netip.Prefix) (all [classes]*entry) {
	if p, ok := s.table.Get(network); ok {
		all = p.of
	}
	return all
}

// put adds an entry, in place of one with the same id.
func (s *entries) put(e *entry) {
	p, ok := s.table.Get(e.network)
	if !ok {
		p = new(place)
		p.around, _ = s.table.LookupPrefix(e.network)
		s.move(e.network, p.around, p)
		s.table.Insert(e.network, p)
	}
	if old := p.of[e.class]; old != nil {
		heap.Remove(&s.queues[e.class], old.at)
	}
	p.of[e.class] = e
	heap.Push(&s.queues[e.class], e)
}

// move gives places within a network that were next to one around them another.
func (s *entries) move(within netip.Prefix, from, to *place) {
	for _, p := range s.table.Subnets(within) {
		if p.around == from {
			p.around = to
		}
	}
}

// remove removes an entry that is there.
func (s *entries) remove(e *entry) {
	p, _ := s.table.Get(e.network)
	p.of[e.class] = nil
	heap.Remove(&s.queues[e.class], e.at)
	if p.of == [classes]*entry{} {
		s.table.Delete(e.network)
		s.move(e.network, p, p.around)
	}
}

// bans returns how many bans there are.
func (s *entries) bans() int {
	return len(s.queues[enforced]) + len(s.queues[observed]) + len(s.queues[banned])
}

// forgotten returns an entry that has been over for so long that nobody asks, or nil.
func (s *entries) forgotten(now time.Time) *entry {
	for _, q := range s.queues {
		if len(q) > 0 && q[0].over(now.Add(-Remembered)) {
			return q[0]
		}
	}
	return nil
}

// surplus returns the entry that goes to make room for one more of a class, nil if there is room. It is an error if there
// is none that may.
func (s *entries) surplus(c class, now time.Time) (*entry, error) {
	if c == allowed {
		q := s.queues[allowed]
		switch {
		case len(q) < MaxAllowed:
			return nil, nil
		case q[0].over(now):
			return q[0], nil
		}
		return nil, errFullAllowed
	}
	if s.bans() < MaxBans {
		return nil, nil
	}
	var first *entry
	for _, c := range []class{enforced, observed, banned} {
		if q := s.queues[c]; len(q) > 0 && (c != banned || q[0].over(now)) && (first == nil || q[0].until().Before(first.until())) {
			first = q[0]
		}
	}
	if first == nil {
		return nil, errFullBans
	}
	return first, nil
}

var (
	errFullAllowed = errors.New("4,096 networks are allowed, which is the most: disallow one first")
	errFullBans    = errors.New("an administrator has banned 65,536 networks, which is the most: unban one first")
)

// standing returns what is in force for an address whose smallest network is this one.
func (p *place) standing(at time.Time) (found Standing) {
	for ; p != nil; p = p.around {
		found.Enforced = stronger(stronger(found.Enforced, p.of[enforced], at), p.of[banned], at)
		found.Observed = stronger(found.Observed, p.of[observed], at)
		if e := p.of[allowed]; e != nil && !e.over(at) && found.Allowed == nil {
			found.Allowed = e.let // the smallest network comes first
		}
	}
	return found
}

// stronger returns the stronger of a ban and an entry, of which either may be none.
func stronger(b *Ban, e *entry, now time.Time) *Ban {
	switch {
	case e == nil || e.over(now):
		return b
	case b == nil || rank(e.ban) > rank(b):
		return e.ban
	case rank(e.ban) == rank(b) && !b.Until.IsZero() && (e.ban.Until.IsZero() || e.ban.Until.After(b.Until)):
		return e.ban
	}
	return b
}

func rank(b *Ban) int {
	if b.Level == 0 {
		return MaxLevel + 1
	}
	return b.Level
}

// all returns the entries of some classes in the order of the networks.
func (s *entries) all(of ...class) []*entry {
	var list []*entry
	for _, c := range of {
		list = append(list, s.queues[c]...)
	}
	slices.SortFunc(list, byNetwork)
	return list
}

func byNetwork(a, b *entry) int {
	if c := a.network.Compare(b.network); c != 0 {
		return c
	}
	return int(a.class) - int(b.class)
}

// within returns the entries of a network and of all inside it.
func (s *entries) within(p netip.Prefix) (list []*entry) {
	for _, in := range s.table.Subnets(p) {
		for _, e := range in.of {
			if e != nil {
				list = append(list, e)
			}
		}
	}
	return list
}
