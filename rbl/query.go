package rbl

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// The time of one question: from asked to given up, and how often it is sent. When the second try leaves is the lane's
// to say; its time begins then, so that a machine that stood still through the first has it left.
const (
	questionTime = 3 * time.Second
	maxTries     = 2
)

// query is one question under way. It waits in a lane, is sent, perhaps a second time to another server, and ends once:
// with an answer, or when its time is over. Nothing waits for it but its callback.
type query struct {
	r    *Resolver
	lane *lane
	name string
	kind uint16
	done func(Records)
	from time.Time // when it was asked

	mu       sync.Mutex
	last     time.Time     // the end
	rest     time.Duration // the part of its time that is the second try's, until that begins
	stood    bool          // its end came so late that the machine stood still, and was put off once
	finished bool
	seated   bool
	hasty    bool // it had to wait for its seat for nearly all its time
	overTCP  bool
	stream   net.Conn // over TCP
	tries    [maxTries]try
	sent     int
	timer    *time.Timer
	note     string // what was wrong with the last packet that was no answer
}

// try is one packet that was sent.
type try struct {
	packet
	on *socket
	at time.Time
}

// ask sends a question past the cache. done is called exactly once, perhaps before ask returns, from whatever goroutine
// has the answer: it must not block. The records are complete within questionTime, on a machine that does not stand still.
func (r *Resolver) ask(l *lane, name string, kind uint16, done func(Records)) {
	r.askFor(questionTime, l, name, kind, done)
}

// askFor is ask with a time of its own.
func (r *Resolver) askFor(most time.Duration, l *lane, name string, kind uint16, done func(Records)) {
	if r.health.down() && l != r.health.lane {
		r.ended(Down, 0)
		done(Records{Outcome: Down, Note: "the DNS server answers nobody at present"})
		return
	}
	now := time.Now()
	q := &query{r: r, lane: l, name: name, kind: kind, done: done, from: now, last: now.Add(most)}
	seat, queued := l.enter(q)
	switch {
	case seat:
		q.begin()
	case queued:
		q.mu.Lock()
		if !q.finished && q.timer == nil {
			q.timer = time.AfterFunc(most, q.late)
		}
		q.mu.Unlock()
	default:
		r.ended(Busy, 0)
		done(Records{Outcome: Busy, Note: "too many questions are under way"})
	}
}

// over reports whether a query has ended while it waited, or is about to: its timer ends it.
func (q *query) over() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.finished || !time.Now().Before(q.last)
}

// ended reports whether a query has ended.
func (q *query) ended() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.finished
}

// begin sends the question for the first time. The query has a seat.
func (q *query) begin() {
	q.mu.Lock()
	if q.finished { // it ended between the queue and here
		q.mu.Unlock()
		q.r.leave(q.lane)
		return
	}
	q.seated = true
	left := time.Until(q.last)
	wait := min(q.lane.patience(), left)
	q.hasty, q.rest = left < firstTry, left-wait
	if q.timer == nil {
		q.timer = time.AfterFunc(wait, q.late)
	} else {
		q.timer.Reset(wait)
	}
	q.mu.Unlock()
	q.send()
}

// send sends the question once more: to the server that last answered, then to the next. If it can't, and no packet sent
// before waits for its answer, the query ends.
func (q *query) send() {
	for !q.r.closed.Load() {
		q.mu.Lock()
		n, waits := q.sent, q.waits()
		if q.finished || n == maxTries && waits {
			q.mu.Unlock()
			return
		}
		q.sent = min(n+1, maxTries)
		q.mu.Unlock()
		if n == maxTries {
			q.end(Records{Outcome: Down, Note: "nobody listens at the DNS server's address"})
			return
		}
		if q.try(n, q.r.server(n), true) {
			return
		}
		q.r.health.suspect()
	}
	q.end(Records{Note: "the resolver is closed"})
}

// waits reports whether an answer may still come. The lock is held.
func (q *query) waits() bool {
	for i := range q.tries {
		if q.tries[i].on != nil {
			return true
		}
	}
	return q.overTCP
}

// drop forgets the tries on a socket that failed.
func (q *query) drop(k *socket) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.tries {
		if q.tries[i].on == k {
			q.tries[i].on = nil
		}
	}
}

// try sends packet n of a query and reports whether it left.
func (q *query) try(n int, s *server, edns bool) bool {
	var random [16]byte
	rand.Read(random[:]) // never fails
	draws := 0
	draw := func() uint16 {
		draws++
		return binary.BigEndian.Uint16(random[:]) + uint16(draws*draws)
	}
	k, err := q.r.socket(s)
	if err != nil {
		return false
	}
	id, ok := k.enter(q, draw)
	if !ok { // another has retired it meanwhile
		if k, err = q.r.socket(s); err != nil {
			return false
		}
		if id, ok = k.enter(q, draw); !ok {
			return false
		}
	}
	p, err := pack(id, q.name, q.kind, edns, binary.BigEndian.Uint64(random[8:]))
	if err != nil {
		k.leave(id, q)
		q.end(Records{Outcome: Failed, Note: "no name that the DNS can be asked for"})
		return true
	}
	q.mu.Lock()
	if q.finished {
		q.mu.Unlock()
		k.leave(id, q)
		return true
	}
	q.tries[n] = try{p, k, time.Now()}
	q.mu.Unlock()
	_, err = k.conn.Write(p.raw)
	if err == nil {
		return true
	}
	k.leave(id, q)
	q.drop(k)
	if errors.Is(err, syscall.ECONNREFUSED) {
		k.conn.Close() // the kernel tells it once: others who wait there would not hear of it
	}
	return false
}

// late is called when a try, or the whole query, has taken its time.
func (q *query) late() {
	q.mu.Lock()
	if q.rest > 0 {
		q.last, q.rest = time.Now().Add(q.rest), 0
	}
	left := time.Until(q.last)
	if q.seated && left < -soonest && !q.stood { // what came meanwhile has yet to be read
		left = questionTime / 2
		q.stood, q.last = true, time.Now().Add(left)
	}
	switch {
	case q.finished:
		q.mu.Unlock()
	case !q.seated:
		q.mu.Unlock()
		q.end(Records{Outcome: Busy, Note: "too many questions are under way"})
	case left <= 0:
		note := "no answer in time"
		if q.note != "" {
			note += "; last came " + q.note
		}
		q.mu.Unlock()
		outcome := TimedOut
		switch {
		case q.r.health.down(): // found out since it was asked: no fault of whom it is about
			outcome = Down
		case q.hasty: // nor is that we had no seat
			outcome = Busy
		}
		q.end(Records{Outcome: outcome, Note: note})
	default:
		q.timer.Reset(left)
		again := q.sent < maxTries && !q.overTCP
		q.mu.Unlock()
		q.r.health.suspect()
		if again {
			q.send()
		}
	}
}

// hear takes a datagram that came on a socket under the query's id.
func (q *query) hear(k *socket, raw []byte) {
	q.mu.Lock()
	var t *try
	for i := range q.tries[:q.sent] {
		if q.tries[i].on == k && len(q.tries[i].raw) > 0 && q.tries[i].raw[0] == raw[0] && q.tries[i].raw[1] == raw[1] {
			t = &q.tries[i]
		}
	}
	if t == nil || q.finished {
		q.mu.Unlock()
		return
	}
	if fault := t.fits(raw); fault != "" {
		q.note = fault
		q.mu.Unlock()
		return
	}
	edns := t.edns
	if q.sent == 1 { // else nobody knows which try is answered
		q.lane.learn(time.Since(t.at))
	}
	q.mu.Unlock()
	q.answer(k, raw, edns)
}

// answer uses a message that fits.
func (q *query) answer(k *socket, raw []byte, edns bool) {
	q.r.health.heard()
	switch {
	case rcode(raw) == formErr && edns:
		q.plain(k)
	case truncated(raw):
		q.tcp(k.server)
	default:
		rec, ok := read(raw, q.name, q.kind)
		if !ok {
			q.mu.Lock()
			q.note = "an answer that can't be read"
			q.mu.Unlock()
			return
		}
		rec.Server = k.server.addr
		if rec.Outcome.Answered() {
			q.r.prefer(k.server)
		} else if q.another(k) {
			q.send()
			return
		}
		q.end(rec)
	}
}

// another reports whether another server is left to ask, after this one has failed.
func (q *query) another(k *socket) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.finished && q.sent < maxTries && q.r.server(q.sent) != k.server
}

// formErr is what a server says that can't read our EDNS (RFC 6891 7).
const formErr = 1

// plain asks the same server again without EDNS. It takes the place of the second try.
func (q *query) plain(k *socket) {
	q.mu.Lock()
	again := !q.finished && q.sent < maxTries
	n := q.sent
	if again {
		q.sent++
	}
	q.mu.Unlock()
	if !again || !q.try(n, k.server, false) {
		q.end(Records{Outcome: Failed, Note: "the server can't read our questions"})
	}
}

// refused is called when a socket failed on which the query waits.
func (q *query) refused(k *socket) {
	q.r.health.suspect()
	q.drop(k)
	q.send()
}

// end finishes a query, once: its seat goes to the next, and whoever asked is told.
func (q *query) end(rec Records) {
	q.mu.Lock()
	if q.finished {
		q.mu.Unlock()
		return
	}
	q.finished = true
	if q.timer != nil {
		q.timer.Stop()
	}
	tries, seated, stream := q.tries, q.seated, q.stream
	q.mu.Unlock()
	if stream != nil {
		stream.Close()
	}
	for i := range tries {
		if t := &tries[i]; t.on != nil {
			t.on.leave(t.id(), q)
		}
	}
	if seated {
		q.r.leave(q.lane)
	}
	q.r.ended(rec.Outcome, time.Since(q.from))
	q.done(rec)
}

// leave passes a seat on. The next queries are begun here, on the goroutine of the one that ended.
func (r *Resolver) leave(l *lane) {
	l.leave()
	for next := l.next(); next != nil; next = l.next() {
		next.begin()
	}
}
