package rbl

import (
	"net/netip"

	"github.com/miekg/dns"
)

// flight is the questions about one subject that are under way, for all who ask about it: however many there are, each
// zone is asked once. It lives as long as its questions do, at most questionTime after the last was added, and nobody has
// to wait for it: an answer that nobody waits for goes into the row. How many there are is bounded by the seats and
// queues of the lanes; a question that finds none is answered Busy at once.
type flight struct {
	subject subject
	slots   []slot
	pending int
	done    chan struct{} // closed when no question is left
}

// slot is one zone's place in a flight.
type slot struct {
	entry
	asked, answered bool
	why             string         // for those who wait, in more words than the row keeps
	server          netip.AddrPort // that answered, likewise
}

// join returns the flight for a subject with all questions in it that are open. Those that are new go out.
func (p *panel) join(shard *rowShard, s subject, now uint32) *flight {
	epoch := p.lists.epoch.Load() // before the states are looked at: a change in between voids the answer
	shard.mu.Lock()
	f := shard.flights[s.key]
	if f == nil {
		f = &flight{subject: s, slots: make([]slot, len(p.watches)), done: make(chan struct{})}
		shard.flights[s.key] = f
	}
	v, _ := shard.lru.Peek(s.key)
	in := v.reader(len(p.watches))
	ask := make([]int, 0, len(p.watches))
	for i, w := range p.watches {
		e, codes := in.next()
		if f.slots[i].asked || w.closed(s) != "" {
			continue
		}
		if w.fresh(e, now) { // written after we looked, by a flight that has just ended
			e.codes = unpackCodes(codes)
			f.slots[i] = slot{entry: e, answered: true}
			continue
		}
		f.slots[i] = slot{asked: true, entry: entry{epoch: epoch}}
		ask = append(ask, i)
	}
	f.pending += len(ask)
	if f.pending == 0 {
		p.land(shard, f)
	}
	shard.mu.Unlock()
	for _, i := range ask {
		p.ask(shard, f, i)
	}
	return f
}

// ask sends one question of a flight.
func (p *panel) ask(shard *rowShard, f *flight, i int) {
	w := p.watches[i]
	name, ok := f.subject.question(w.zone)
	if !ok {
		p.answered(shard, f, i, slot{why: whyUnasked})
		return
	}
	w.asked.Add(1)
	epoch := f.slots[i].epoch
	p.lists.resolver.ask(w.lane, name, dns.TypeA, func(rec Records) {
		e, why := w.hear(f.subject, rec, epoch)
		e.by = p.lists.servers.number(rec.Server, e.at)
		p.answered(shard, f, i, slot{entry: e, why: why, server: rec.Server})
	})
}

// answered takes the answer to one question, and ends the flight with the last.
func (p *panel) answered(shard *rowShard, f *flight, i int, said slot) {
	shard.mu.Lock()
	defer shard.mu.Unlock()
	said.asked, said.answered = f.slots[i].asked, true
	f.slots[i] = said
	if f.pending--; f.pending == 0 {
		p.land(shard, f)
	}
}

// land ends a flight: what it brought goes into the row, over what is there. The shard's lock is held.
func (p *panel) land(shard *rowShard, f *flight) {
	delete(shard.flights, f.subject.key)
	defer close(f.done)
	now, epoch := p.lists.seconds(), p.lists.epoch.Load() // epoch first, then what is void: see Lists.change
	old, _ := shard.lru.Peek(f.subject.key)
	in := old.reader(len(p.watches))
	entries := make([]entry, len(p.watches))
	anything := false
	for i, w := range p.watches {
		e, codes := in.next()
		if slot := &f.slots[i]; slot.asked {
			e = slot.entry
		} else {
			e.codes = unpackCodes(codes)
		}
		if w.fresh(e, now) {
			entries[i], anything = e, true
		}
	}
	if anything {
		shard.put(f.subject.key, packRow(entries, now, epoch))
	}
}
