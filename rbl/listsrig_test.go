package rbl

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// script is how one list behaves.
type script struct {
	has     map[string]string // entry, as in the query name, to addresses, blanks between
	rest    string            // what it answers for all else; nothing: there is no such name
	outcome Outcome           // of every question, if not Unanswered
	ttl     time.Duration
	delay   time.Duration
	held    bool // no answer before release
}

// six2 is the test entry of a list of IPv6 addresses.
const six2 = "2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0"

// healthy is a list that passes its test, and lists some entries.
func healthy(entries ...string) *script {
	s := &script{has: map[string]string{"2.0.0.127": "127.0.0.2", six2: "127.0.0.2", "test": "127.0.0.2"}, ttl: 10 * time.Minute}
	for _, e := range entries {
		name, codes, _ := strings.Cut(e, "=")
		s.has[name] = codes
	}
	return s
}

// fakeDNS is a resolver that plays lists.
type fakeDNS struct {
	mu      sync.Mutex
	lists   map[string]*script
	count   map[string]int // questions by name
	lanes   map[string]*lane
	waiting []func()
	up      func()
	public  string
	text    string
}

func (d *fakeDNS) lane(seats int) *lane { return &lane{seats: seats} }
func (d *fakeDNS) whenUp(f func())      { d.up = f }
func (d *fakeDNS) Public() string       { return d.public }

func (d *fakeDNS) Lookup(_ context.Context, name string, _ uint16) Records {
	return Records{Outcome: Found, Text: d.text + name}
}

func (d *fakeDNS) ask(l *lane, name string, _ uint16, done func(Records)) {
	d.mu.Lock()
	d.count[name]++
	d.lanes[name] = l
	rec, delay, held := d.answer(name)
	if held {
		d.waiting = append(d.waiting, func() { done(rec) })
		d.mu.Unlock()
		return
	}
	d.mu.Unlock()
	if delay > 0 {
		time.AfterFunc(delay, func() { done(rec) })
		return
	}
	done(rec)
}

// answer is what the list that a name is of says.
func (d *fakeDNS) answer(name string) (rec Records, delay time.Duration, held bool) {
	for zone, s := range d.lists {
		entry, of := strings.CutSuffix(name, "."+zone)
		if !of {
			continue
		}
		rec = Records{Outcome: Missing, TTL: s.ttl}
		codes, listed := s.has[entry]
		if !listed {
			codes = s.rest
		}
		for _, a := range strings.Fields(codes) {
			rec.Outcome = Found
			rec.Addresses = append(rec.Addresses, netip.MustParseAddr(a))
		}
		if s.outcome != Unanswered {
			rec = Records{Outcome: s.outcome, Note: "no answer for " + name}
		}
		return rec, s.delay, s.held
	}
	return Records{Outcome: Failed}, 0, false
}

// set changes a list.
func (d *fakeDNS) set(zone string, s *script) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lists[zone] = s
}

// release answers all questions held.
func (d *fakeDNS) release() {
	d.mu.Lock()
	waiting := d.waiting
	d.waiting = nil
	d.mu.Unlock()
	for _, answer := range waiting {
		answer()
	}
}

// asked returns how often a name was asked for.
func (d *fakeDNS) asked(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.count[name]
}

// listsRig is Lists over a fake, with what they told.
type listsRig struct {
	*Lists
	dns *fakeDNS
	mu  sync.Mutex
	all []Notice
}

// told returns the notices since the last call, but for those of zones found well for the first time.
func (r *listsRig) told() []Notice {
	r.mu.Lock()
	defer r.mu.Unlock()
	var news []Notice
	for _, n := range r.all {
		if n.Was != Untested || n.State != OK {
			news = append(news, n)
		}
	}
	r.all = nil
	return news
}

// newRig makes lists of zones, all healthy.
func newRig(zones ...*Zone) *listsRig {
	r := &listsRig{dns: &fakeDNS{lists: map[string]*script{}, count: map[string]int{}, lanes: map[string]*lane{}}}
	for _, z := range zones {
		r.dns.lists[z.Name] = healthy()
	}
	r.Lists = newLists(r.dns, zones, ListsOptions{Rows: 1000, Told: func(n Notice) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.all = append(r.all, n)
	}})
	return r
}

// run runs the lists until the test ends, and waits until the first test has.
func (r *listsRig) run(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	synctest.Wait()
}

// state returns the health of the first zone.
func (r *listsRig) state() ZoneHealth { return r.States()[0] }

// zone makes a zone of IPv4 addresses with one weight.
func zone(t testing.TB, name string) *Zone {
	t.Helper()
	p, err := ParsePattern("127.0.0.[2..11]")
	if err != nil {
		t.Fatal(err)
	}
	return &Zone{Name: name, Public: name, IPv4: true, Weights: []Weight{{Codes: p, Score: 20}}}
}

// both makes it a zone of IPv6 addresses too.
func both(z *Zone) *Zone {
	z.IPv6 = true
	return z
}

// ofNames makes it a zone of names.
func ofNames(z *Zone) *Zone {
	z.Kind, z.IPv4 = OfNames, false
	return z
}

// after waits for a time of the bubble to pass and all to come to rest.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// client is client number n of the tests.
func client(n int) netip.Addr { return client4(198, 51, byte(100+n>>8), byte(n)) }

func client4(a, b, c, d byte) netip.Addr { return netip.AddrFrom4([4]byte{a, b, c, d}) }
