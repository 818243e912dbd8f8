package rbl

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// When a zone is tested, and for how long an unhealthy one is left alone.
const (
	testEvery  = 30 * time.Minute
	testAgain  = 10 * time.Second // after a test that could not be made
	firstBreak = time.Minute      // doubling
	lastBreak  = 20 * time.Minute
	maxFailed  = 3 // questions in a row
	maxErrors  = 8 // error codes shown
)

// zoneSeats is how many questions to one zone are under way at once: a dead zone holds up itself. A list that takes 50 ms
// is asked about 1,280 clients a second so. More at once would only fill the inbox of a local resolver, which holds at most
// 270 packets: what it has no room for is lost, and asked again.
const zoneSeats = 64

// watch is one zone with its health. Between two tests a breaker watches its answers: three questions in a row without
// an answer of use, or one answer that no list gives, and the zone is asked no more until a test finds it well. No
// client is used for a trial.
type watch struct {
	lists *Lists
	zone  *Zone
	lane  *lane // of the questions to the zone, and of nothing else

	state  atomic.Uint32 // a State
	purged atomic.Uint32 // Lists.epoch when the state last changed: answers asked for before are void
	six    atomic.Bool   // IPv6 addresses are asked

	asked, timeouts, failures, listed atomic.Uint64

	mu       sync.Mutex
	since    time.Time // of the state
	tested   time.Time
	next     time.Time     // test
	pause    time.Duration // of the breaker when it opened last; 0: closed for long
	why      string
	fix      string
	errors   []string
	wondered []string  // undeclared codes that were told of
	failed   int       // questions in a row
	answered time.Time // a question, with something of use
	share    share
	test     *test // under way
}

// closedWhy says in which state a zone is that does not count.
var closedWhy = [...]string{
	Untested:  "untested: no test of the list has ended yet",
	OK:        "",
	ErrorCode: "error-code: the list refuses us",
	Inert:     "inert: the list has lost its test entry",
	World:     "world: the list lists everybody",
	Hijacked:  "hijacked: somebody else answers for the list",
	Timeout:   "timeout: the list does not answer",
}

// closed says why the zone is not asked about a subject, or nothing.
func (w *watch) closed(s subject) string {
	if why := closedWhy[min(w.state.Load(), uint32(Timeout))]; why != "" {
		return why
	}
	switch {
	case s.addr.Is4() && !w.zone.IPv4:
		return whyIPv4
	case s.addr.Is6() && !w.six.Load():
		return whyIPv6
	}
	return ""
}

// fresh reports whether an answer still counts.
func (w *watch) fresh(e entry, now uint32) bool {
	return e.what != whatNothing && now < e.expires && e.epoch >= w.purged.Load()
}

// hear judges the answer to a question about a subject, and what it says of the zone. An entry of nothing is not kept.
func (w *watch) hear(s subject, rec Records, epoch uint32) (e entry, why string) {
	e.epoch = epoch
	ttl := min(max(rec.TTL, minTTL), maxTTL)
	switch rec.Outcome {
	case Found, Empty, Missing:
		reading := w.zone.Read(rec.Addresses)
		if reading.Fault == ErrorCode || reading.Fault == Hijacked {
			w.trip(epoch, reading.Fault, reading.Why, w.fixOf(reading.Fault, rec.Addresses), w.errorCode(rec.Addresses))
			return entry{}, reading.Why
		}
		why = w.take(s, &e, reading)
	case Failed, Refused, TimedOut:
		ttl = failureTTL
		e.what, why = w.fail(rec, epoch)
	default:
		return entry{}, rec.Outcome.String()
	}
	e.at = w.lists.seconds()
	e.expires = e.at + uint32(ttl/time.Second)
	return e, why
}

// take fills an entry with an answer of use, and counts it.
func (w *watch) take(s subject, e *entry, reading Reading) (why string) {
	e.what, why = whatClear, reading.Why
	score := Score(0)
	if reading.Status == Listed {
		e.codes = reading.Codes[:min(len(reading.Codes), maxCodes)]
		e.what, why = whatListed+what(len(e.codes)), ""
		score, _ = w.zone.Weigh(e.codes)
		w.listed.Add(1)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wonder(reading.Why)
	if e.epoch < w.purged.Load() {
		return why
	}
	now := w.lists.now()
	w.failed, w.answered = 0, now
	if w.zone.Kind != OfAddresses || !public(s.addr) { // whoever chooses the names could have the list off by listed ones
		return why
	}
	w.share.add(w.lists.addresses.rows.hash(s.holder()), score > 0)
	if w.share.world() && !now.Before(w.share.quiet) && State(w.state.Load()) == OK {
		w.share.quiet, w.next = now.Add(testEvery), now
		w.set(World, w.share.String(), w.fixOf(World, nil))
	}
	return why
}

// wonder tells, once, of codes that nobody declared: the list may have new ones. The lock is held.
func (w *watch) wonder(why string) {
	if why == "" || len(w.wondered) == maxErrors || slices.Contains(w.wondered, why) {
		return
	}
	w.wondered = append(w.wondered, why)
	w.lists.enqueue(Notice{Zone: w.zone.Public, State: OK, Was: OK, Text: "answered " + why})
}

// fail counts a question without an answer of use.
func (w *watch) fail(rec Records, epoch uint32) (what, string) {
	kept := whatFailed
	switch rec.Outcome {
	case TimedOut:
		kept = whatTimedOut
		w.timeouts.Add(1)
	case Refused:
		kept = whatRefused
		w.failures.Add(1)
	default:
		w.failures.Add(1)
	}
	why := rec.Outcome.String()
	w.mu.Lock()
	defer w.mu.Unlock()
	// One that has answered others in the meantime is there: on a busy machine packets get lost, several at once.
	if epoch < w.purged.Load() || rec.Outcome == TimedOut && w.lists.now().Sub(w.answered) < questionTime {
		return kept, why
	}
	if w.failed++; w.failed >= maxFailed {
		w.tripLocked(Timeout, "no answer of use to 3 questions in a row, the last: "+w.mask(why, rec.Note), w.fixOf(Timeout, nil))
	}
	return kept, why
}

// mask joins an outcome with its note, and shows no key.
func (w *watch) mask(outcome, note string) string {
	if note == "" {
		return outcome
	}
	return outcome + " (" + w.zone.hide(note) + ")"
}

// trip opens the breaker because of an answer to a question of an epoch.
func (w *watch) trip(epoch uint32, state State, why, fix, code string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.noteError(code)
	if epoch >= w.purged.Load() {
		w.tripLocked(state, why, fix)
	}
}

// tripLocked opens the breaker of a healthy zone.
func (w *watch) tripLocked(state State, why, fix string) {
	if State(w.state.Load()) == OK {
		w.open()
		w.set(state, why, fix)
	}
}

// open sets when the breaker ends: after a minute at first, then twice as long each time, until the zone has been well
// for as long as between two tests.
func (w *watch) open() {
	now := w.lists.now()
	if State(w.state.Load()) == OK && now.Sub(w.since) >= testEvery {
		w.pause = 0
	}
	w.pause = min(max(2*w.pause, firstBreak), lastBreak)
	w.next = now.Add(w.pause)
}

// noteError keeps an error code for a reader.
func (w *watch) noteError(code string) {
	if code == "" || len(w.errors) > 0 && w.errors[len(w.errors)-1] == code {
		return
	}
	if len(w.errors) == maxErrors {
		w.errors = slices.Delete(w.errors, 0, 1)
	}
	w.errors = append(w.errors, code)
}

// set changes the state, or the reason for it. The lock is held.
func (w *watch) set(state State, why, fix string) {
	was := State(w.state.Load())
	told := w.why
	w.why, w.fix = why, fix
	if state != was {
		w.since = w.lists.now()
		w.failed = 0
		w.share.clear()
	}
	if state != was || state == OK && why != told {
		n := Notice{Zone: w.zone.Public, State: state, Was: was, Text: why, Fix: fix}
		if state == OK && why == "" {
			n.Text = "it answers its test as it should"
		}
		w.lists.change(w, n)
	}
}

// errorCode returns the first address that is no listing but an error of the zone, as text.
func (w *watch) errorCode(addresses []netip.Addr) string {
	for i, a := range addresses {
		if w.zone.Read(addresses[i:i+1]).Fault == ErrorCode {
			return a.String()
		}
	}
	return ""
}

// due reports whether it is time for a test.
func (w *watch) due(now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.test == nil && !now.Before(w.next)
}

// sooner returns the earlier of t and the next test. While one is under way its end stirs Run.
func (w *watch) sooner(t time.Time) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.test == nil && w.next.Before(t) {
		return w.next
	}
	return t
}

// hasten makes a test due.
func (w *watch) hasten() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next = w.lists.now()
}

// health tells a reader.
func (w *watch) health() ZoneHealth {
	w.mu.Lock()
	defer w.mu.Unlock()
	return ZoneHealth{
		Zone: w.zone.Public, Kind: w.zone.Kind.String(), State: State(w.state.Load()), Since: w.since, Tested: w.tested, Next: w.next,
		Why: w.why, Fix: w.fix, Errors: slices.Clone(w.errors), Asked: w.asked.Load(), Timeouts: w.timeouts.Load(),
		Failures: w.failures.Load(), Listed: w.listed.Load(), Share: w.share.value(),
	}
}
