package rbl

import (
	"context"
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// panel is the zones of one kind, with what they said of the last subjects.
type panel struct {
	lists   *Lists
	watches []*watch
	rows    *rows
	seeds   [2]maphash.Seed // of the keys of names
}

func newPanel(l *Lists, most int) *panel {
	return &panel{lists: l, rows: newRows(most), seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
}

// subject is what a panel is asked about: a client's address, or a name.
type subject struct {
	text string
	addr netip.Addr // invalid: a name
	key  key
}

// holder is the key of whoever holds an address: an IPv6 host has a /64.
func (s *subject) holder() key {
	k := s.key
	if s.addr.Is6() {
		clear(k[8:])
	}
	return k
}

// subjectOf reads the subject of a report on a zone.
func subjectOf(z *Zone, text string) subject {
	if z.Kind == OfNames {
		return subject{text: text}
	}
	a, _ := netip.ParseAddr(text)
	return subject{text: text, addr: a}
}

// question returns the name to ask a zone for, unless there is none.
func (s *subject) question(z *Zone) (string, bool) {
	var name string
	var err error
	switch {
	case z.Kind == OfAddresses:
		name, err = QueryAddress(s.addr, z.Name)
	case !strings.Contains(s.text, "."):
		return "", false
	default:
		name, err = QueryName(s.text, z.Name)
	}
	return name, err == nil
}

// ofAddress makes a subject of a client. A v4-mapped address is its IPv4 address, and a zone of a link means nothing here.
func ofAddress(a netip.Addr) subject {
	a = a.Unmap().WithZone("")
	return subject{text: a.String(), addr: a, key: a.As16()}
}

// ofName makes a subject of a name. The key is a hash that nobody outside can aim at: 128 bits, with seeds of this
// process, so that a row has the same size for every name.
func (p *panel) ofName(name string) subject {
	s := subject{text: strings.TrimSuffix(strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, name), ".")}
	for i, seed := range p.seeds {
		binary.LittleEndian.PutUint64(s.key[8*i:], maphash.String(seed, s.text))
	}
	return s
}

// Why an answer is Unknown, where it is not the state of the zone.
const (
	whyLate    = "no answer in time"
	whyIPv4    = "it lists no IPv4 addresses"
	whyIPv6    = "it lists no IPv6 addresses"
	whyUnasked = "it can't be asked about this name"
	whyVoid    = "its state changed meanwhile"
)

// check asks about a subject what is not known yet, and waits for it or for ctx.
func (p *panel) check(ctx context.Context, s subject) Report {
	r := Report{Subject: s.text, Answers: make([]Answer, len(p.watches))}
	now := p.lists.seconds()
	shard := p.rows.shard(s.key)
	if p.read(r.Answers, shard.get(s.key), s, now) == 0 {
		if slices.ContainsFunc(r.Answers, func(a Answer) bool { return a.Cached }) { // else there was nothing to ask
			shard.hits.Add(1)
		}
		return r
	}
	shard.misses.Add(1)
	f := p.join(shard, s, now)
	if ctx.Err() == nil { // else not even a timer is made to wait for
		select {
		case <-f.done:
		case <-ctx.Done():
		}
	}
	shard.mu.Lock()
	defer shard.mu.Unlock()
	r.Late = p.overlay(r.Answers, f, p.lists.seconds())
	return r
}

// read fills answers from a row and returns how many questions are open.
func (p *panel) read(answers []Answer, v row, s subject, now uint32) (open int) {
	in := v.reader(len(p.watches))
	for i, w := range p.watches {
		a := &answers[i]
		a.Zone = w.zone
		e, codes := in.next()
		if why := w.closed(s); why != "" {
			a.Why = why
			continue
		}
		if !w.fresh(e, now) {
			a.Why = whyLate
			open++
			continue
		}
		e.answer(a, now)
		a.Codes, a.Cached, a.Server = unpackCodes(codes), true, p.lists.servers.called(e.by)
	}
	return open
}

// answer fills in what an entry says, but for its codes.
func (e *entry) answer(a *Answer, now uint32) {
	a.TTL, a.Age = time.Duration(e.expires-now)*time.Second, time.Duration(now-e.at)*time.Second
	switch e.what {
	case whatClear:
		a.Status = Clear
	case whatFailed:
		a.Why = Failed.String()
	case whatRefused:
		a.Why = Refused.String()
	case whatTimedOut:
		a.Why = TimedOut.String()
	default:
		a.Status = Listed
	}
}

// overlay puts what a flight brought over what was known before, and reports whether it is still under way. The shard's
// lock is held.
func (p *panel) overlay(answers []Answer, f *flight, now uint32) (late bool) {
	for i, w := range p.watches {
		a := &answers[i]
		if why := w.closed(f.subject); why != "" {
			*a = Answer{Zone: w.zone, Why: why}
			if slot := &f.slots[i]; slot.why != "" {
				a.Why = slot.why
			}
			continue
		}
		slot := &f.slots[i]
		if !slot.answered || a.Cached {
			continue
		}
		*a = Answer{Zone: w.zone, Why: slot.why, Server: slot.server}
		switch {
		case w.fresh(slot.entry, now):
			slot.answer(a, now)
			a.Codes = slot.codes
			if slot.why != "" {
				a.Why = slot.why
			}
		case slot.what != whatNothing:
			a.Why = whyVoid
		}
	}
	return f.pending > 0
}
