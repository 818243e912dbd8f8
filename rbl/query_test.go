package rbl

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"eximpolicyd/internal/dnstest"
)

// heldQuery is a query that has sent these packets on one socket, and what it ends with.
func heldQuery(t *testing.T, ids ...uint16) (*query, *socket, *[]Records) {
	t.Helper()
	r := asking(t, first)
	k := &socket{r: r, server: r.server(0), conn: mute{}, waiting: map[uint16]*query{}}
	var ended []Records
	q := &query{r: r, lane: r.lane(1), name: "mx.example.com", kind: dns.TypeA, done: func(rec Records) { ended = append(ended, rec) }}
	for _, id := range ids {
		p, err := pack(id, q.name, q.kind, true, uint64(id))
		if err != nil {
			t.Fatal(err)
		}
		q.tries[q.sent] = try{packet: p, on: k}
		q.sent++
		k.waiting[id] = q
	}
	return q, k, &ended
}

// answerTo is an answer to packet n of a query.
func (q *query) answerTo(n, rcode int) []byte {
	raw := slices.Clone(q.tries[n].raw[:q.tries[n].end])
	raw[2], raw[3], raw[11] = 0x81, 0x80|byte(rcode), 0
	return raw
}

// mute is a connection that takes nothing and closes.
type mute struct{ net.Conn }

func (mute) Write([]byte) (int, error) { return 0, errors.New("no buffer space available") }
func (mute) Close() error              { return nil }

func TestAnAnswerToTheFirstOfTwoPacketsOnOneSocketIsUsed(t *testing.T) {
	q, k, ended := heldQuery(t, 7, 8)
	q.hear(k, []byte{0, 7, 0})
	if len(*ended) > 0 || !strings.Contains(q.note, "no message") {
		t.Errorf("junk: %+v, %q", *ended, q.note)
	}
	q.hear(k, q.answerTo(0, dns.RcodeNameError))
	if len(*ended) != 1 || (*ended)[0].Outcome != Missing || len(k.waiting) != 0 {
		t.Errorf("%+v, %d wait", *ended, len(k.waiting))
	}
}

func TestAMachineThatStoodStillHasTimeToReadWhatCameMeanwhile(t *testing.T) {
	bubble(t, func(t *testing.T, w *wire, r *Resolver, _ *[]Notice) {
		w.be(true, first)
		w.stuck = "stuck.example"
		ended := make(chan Records, 1)
		q := &query{r: r, lane: r.lane(1), name: "mx.example.com", kind: dns.TypeA, done: func(rec Records) { ended <- rec }}
		q.last = time.Now().Add(questionTime)
		q.begin()
		q.mu.Lock()
		q.last = time.Now() // over before the first try is: that of the second is left
		q.mu.Unlock()
		if rec := <-ended; rec.Outcome != Missing {
			t.Errorf("through the first try: %+v", rec)
		}

		begin := time.Now()
		q = &query{r: r, lane: r.lane(1), name: w.stuck, kind: dns.TypeA, done: func(rec Records) { ended <- rec }}
		q.last = begin.Add(questionTime)
		q.begin()
		time.Sleep(2 * firstTry) // the second try is under way
		q.mu.Lock()
		q.last = begin // long over
		q.mu.Unlock()
		if rec := <-ended; rec.Outcome != TimedOut || time.Since(begin) != questionTime*3/2 {
			t.Errorf("through the second: %+v after %v", rec, time.Since(begin))
		}
	})
}

func TestAFormErrToTheLastPacketEndsTheQuestion(t *testing.T) {
	q, k, ended := heldQuery(t, 7, 8)
	q.hear(k, q.answerTo(0, dns.RcodeFormatError))
	if len(*ended) != 1 || (*ended)[0].Outcome != Failed {
		t.Errorf("%+v", *ended)
	}
}

func TestAQuestionOverTCPOutlivesItsSocket(t *testing.T) {
	q, k, ended := heldQuery(t, 7, 8)
	q.overTCP = true
	k.fail()
	if len(*ended) != 0 {
		t.Errorf("%+v", *ended)
	}
	if _, ok := k.enter(q, func() uint16 { return 9 }); ok {
		t.Error("a question waits on a socket that has failed")
	}
}

func TestAQueryThatEndedInTheQueueGivesItsSeatBack(t *testing.T) {
	q, _, _ := heldQuery(t)
	q.finished, q.lane.busy = true, 1 // it was called, and its time was over just then
	q.begin()
	if q.lane.busy != 0 {
		t.Errorf("%d seats are taken", q.lane.busy)
	}
}

func TestASocketEndsWhenItHasServedAndNobodyWaits(t *testing.T) {
	q, k, _ := heldQuery(t, 7)
	now := time.Now()
	k.opened = now
	if !k.use(now) {
		t.Fatal("a new socket is not used")
	}
	k.sent = socketQuestions
	if k.use(now) || !k.retired || k.dead {
		t.Errorf("after so many questions, with one that waits: %+v", k)
	}
	k.leave(7, &query{})
	if k.dead {
		t.Error("one that does not wait there closes it")
	}
	k.leave(7, q)
	if !k.dead {
		t.Error("it is not closed")
	}
	if (&socket{dead: true, opened: now}).use(now) {
		t.Error("a dead socket is used")
	}
}

func TestAPacketThatCannotBeSentIsNotWaitedFor(t *testing.T) {
	r := asking(t, first)
	k := &socket{r: r, server: r.server(0), conn: mute{}, waiting: map[uint16]*query{}, opened: time.Now()}
	for i := range k.server.in {
		k.server.in[i] = k
	}
	if rec := lookupNow(r, "mx.example.com"); rec.Outcome != Down || len(k.waiting) != 0 {
		t.Errorf("%+v, %d wait", rec, len(k.waiting))
	}
}

func TestAServerWhereNobodyListensIsToldOf(t *testing.T) {
	closed, err := dnstest.Start()
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	told := make(chan Notice, 1)
	r, err := NewResolver(ResolverOptions{Servers: []netip.AddrPort{closed.Addr()}, Told: func(n Notice) { told <- n }})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if rec := lookupNow(r, "mx.example.com"); rec.Outcome != Down {
		t.Errorf("%+v", rec)
	}
	if n := <-told; n.State != Timeout {
		t.Errorf("%+v", n)
	}
	r.Close()
	if len(r.open) != 0 {
		t.Errorf("%d connections are kept", len(r.open))
	}
}

func TestAQuestionThatIsSeatedLateEndsInItsTime(t *testing.T) {
	bubble(t, func(t *testing.T, w *wire, r *Resolver, _ *[]Notice) {
		w.stuck = "stuck.example"
		l := r.lane(1)
		r.ask(l, "stuck.example", dns.TypeA, func(Records) {})
		time.Sleep(firstTry / 2)
		begin, ended := time.Now(), make(chan time.Duration, 1)
		r.ask(l, "stuck.example", dns.TypeA, func(Records) { ended <- time.Since(begin) })
		if took := <-ended; took != questionTime {
			t.Errorf("after %v", took)
		}
	})
}

func TestWhileOthersAreAnsweredNobodyIsProbed(t *testing.T) {
	bubble(t, func(t *testing.T, w *wire, r *Resolver, _ *[]Notice) {
		w.stuck = "stuck.example"
		r.ask(r.clients, "stuck.example", dns.TypeA, func(Records) {})
		time.Sleep(firstTry / 2)
		lookup(r, "mx.example.com")
		time.Sleep(questionTime)
		if n := w.count(""); n != 0 {
			t.Errorf("%d probes", n)
		}
	})
}

func TestAServerThatAnswersSomebodyIsNotDown(t *testing.T) {
	bubble(t, func(t *testing.T, w *wire, r *Resolver, told *[]Notice) {
		w.stuck, w.rootless = "stuck.example", true
		r.ask(r.clients, "stuck.example", dns.TypeA, func(Records) {})
		time.Sleep(firstTry + 1) // the probe is under way
		lookup(r, "mx.example.com")
		time.Sleep(questionTime)
		if rec, _ := lookup(r, "mx.example.com"); rec.Outcome != Missing || len(*told) != 0 {
			t.Errorf("%+v, told %v", rec, *told)
		}
	})
}

func TestServersThatAreDownAreReplacedByThoseOfResolvConf(t *testing.T) {
	bubble(t, func(t *testing.T, w *wire, r *Resolver, _ *[]Notice) {
		r.file = filepath.Join(t.TempDir(), "resolv.conf")
		if err := os.WriteFile(r.file, []byte("nameserver "+third.Addr().String()+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		w.be(true, first, second)
		lookup(r, "mx.example.com")
		if rec, took := lookup(r, "mx.example.com"); rec.Outcome != Missing || took != 0 {
			t.Errorf("%v after %v", rec.Outcome, took)
		}
	})
}

func TestClosingWhileServersAreSilentIsNotToldAsTheirFault(t *testing.T) {
	bubble(t, func(t *testing.T, w *wire, r *Resolver, told *[]Notice) {
		w.be(true, first, second)
		ended := make(chan Records, 1)
		r.ask(r.clients, "mx.example.com", dns.TypeA, func(rec Records) { ended <- rec })
		time.Sleep(time.Second)
		r.Close()
		if rec := <-ended; rec.Outcome != Unanswered {
			t.Errorf("%+v", rec)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(*told) != 0 {
			t.Errorf("told %v", *told)
		}
	})
}

func TestOnlyWhatWasAskedIsRemembered(t *testing.T) {
	for o := Unanswered; o <= Down; o++ {
		want := failureTTL
		switch o {
		case Unanswered, Busy, Down:
			want = 0
		case Found, Empty, Missing:
			want = minTTL
		}
		if got := lifetime(&Records{Outcome: o}); got != want {
			t.Errorf("%v: %v", o, got)
		}
	}
	if got := lifetime(&Records{Outcome: Found, TTL: 24 * time.Hour}); got != maxTTL {
		t.Error(got)
	}
}

func TestTheAnswersRememberedAreBounded(t *testing.T) {
	for octets, want := range map[int]int{0: DefaultAnswers, 1 << 20: 1 << 20} {
		sum := 0
		for i := range newAnswers(octets).shards {
			sum += newAnswers(octets).shards[i].most
		}
		if sum != want {
			t.Errorf("%d octets, want %d", sum, want)
		}
	}
	s := &newAnswers(0).shards[0]
	keep := func(name string, octets int) {
		s.finish(asked{name, dns.TypeTXT}, &underway{done: make(chan struct{})}, Records{Outcome: Found, Text: strings.Repeat("x", octets)})
	}
	keep("a.example", 1000)
	once := s.bytes
	if keep("a.example", 1000); s.bytes != once {
		t.Errorf("%d octets, then %d of the same", once, s.bytes)
	}
	for _, name := range []string{"b.example", "c.example", "d.example"} {
		keep(name, s.most/3)
	}
	if s.bytes > s.most || s.table.Contains(asked{"a.example", dns.TypeTXT}) || !s.table.Contains(asked{"d.example", dns.TypeTXT}) {
		t.Errorf("%d octets of %d", s.bytes, s.most)
	}
}

func TestWhoDoesNotWaitHearsWhatIsKnownAtOnce(t *testing.T) {
	r := asking(t, first)
	r.health.off.Store(true)
	for range 50 { // a choice of two would be made at random
		if rec := r.Lookup(over, "mx.example.com", dns.TypeA); rec.Outcome != Down {
			t.Fatalf("%+v", rec)
		}
	}
}

func TestQuestionsOverTCPThatAreNotAnsweredEndInTheirTime(t *testing.T) {
	bubble(t, func(t *testing.T, w *wire, r *Resolver, _ *[]Notice) {
		w.cut = "long.example"
		l := r.lane(64)
		ended := make(chan Records, 2*maxStreams)
		for range maxStreams {
			r.ask(l, "long.example", dns.TypeA, func(rec Records) { ended <- rec })
		}
		synctest.Wait()
		for range maxStreams { // these wait for a stream in vain
			r.askFor(time.Second, l, "long.example", dns.TypeA, func(rec Records) { ended <- rec })
		}
		begin := time.Now()
		for range 2 * maxStreams {
			if rec := <-ended; rec.Outcome.Answered() {
				t.Errorf("%+v", rec)
			}
		}
		if took := time.Since(begin); took != questionTime {
			t.Errorf("after %v", took)
		}
		synctest.Wait()
		if len(l.streams) != 0 || w.streams.Load() != maxStreams || w.count("long.example") != 2*maxStreams {
			t.Errorf("%d streams are left of %d, and %d packets were sent", len(l.streams), w.streams.Load(), w.count("long.example"))
		}
	})
}
