package rbl

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// A wire is a network inside a bubble of testing/synctest: servers that answer, or do not, at times that are exact.
type wire struct {
	mu       sync.Mutex
	silent   map[netip.AddrPort]bool
	stuck    string       // a name that is never answered
	refuse   bool         // nobody listens
	rootless bool         // nor is the root
	cut      string       // a name whose answer does not fit
	streams  atomic.Int32 // over TCP
	asked    []time.Time
	names    []string
}

func (w *wire) dial(network string, server netip.AddrPort) (net.Conn, error) {
	if w.refuse {
		return nil, syscall.ECONNREFUSED
	}
	ours, theirs := net.Pipe()
	if network == "tcp" { // takes everything and says nothing
		w.streams.Add(1)
		go io.Copy(io.Discard, theirs) // ends when the resolver closes its end
		return ours, nil
	}
	go func() { // ends when the resolver closes its end
		buf := make([]byte, 4096)
		for {
			n, err := theirs.Read(buf)
			if err != nil {
				return
			}
			if reply := w.hear(server, buf[:n]); reply != nil {
				theirs.Write(reply)
			}
		}
	}()
	return ours, nil
}

func (w *wire) hear(server netip.AddrPort, raw []byte) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	var m dns.Msg
	if m.Unpack(raw) != nil {
		return nil
	}
	name, _ := hostname(m.Question[0].Name)
	w.asked, w.names = append(w.asked, time.Now()), append(w.names, name)
	if w.silent[server] || name != "" && name == w.stuck || name == "" && w.rootless {
		return nil
	}
	reply := new(dns.Msg).SetReply(&m)
	reply.Truncated = name == w.cut && name != ""
	if name != "" {
		reply.Rcode = dns.RcodeNameError
	}
	packed, _ := reply.Pack()
	return packed
}

func (w *wire) be(silent bool, servers ...netip.AddrPort) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range servers {
		w.silent[s] = silent
	}
}

func (w *wire) count(name string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, asked := range w.names {
		if asked == name {
			n++
		}
	}
	return n
}

// bubble runs a test with a resolver that asks two servers on a wire, and keeps what it tells.
func bubble(t *testing.T, test func(t *testing.T, w *wire, r *Resolver, told *[]Notice)) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{silent: map[netip.AddrPort]bool{}}
		var told []Notice
		r, err := newResolver(ResolverOptions{Servers: []netip.AddrPort{first, second}, Told: func(n Notice) { told = append(told, n) }}, w.dial)
		if err != nil {
			t.Fatal(err)
		}
		test(t, w, r, &told)
		r.Close()
		synctest.Wait()
	})
}

var (
	first  = netip.MustParseAddrPort("192.0.2.53:53")
	second = netip.MustParseAddrPort("198.51.100.53:53")
	third  = netip.MustParseAddrPort("203.0.113.53:53")
)

// lookup asks, past the cache, and returns what came and after how long.
func lookup(r *Resolver, name string) (Records, time.Duration) {
	begin := time.Now()
	done := make(chan Records, 1)
	r.ask(r.clients, name, dns.TypeA, func(rec Records) { done <- rec })
	rec := <-done
	synctest.Wait() // what was told is told
	return rec, time.Since(begin)
}

func TestAServerThatIsSilentIsPassedOverAfterHalfASecondAndThenAskedLast(t *testing.T) {
	bubble(t, func(t *testing.T, w *wire, r *Resolver, _ *[]Notice) {
		w.be(true, first)
		if rec, took := lookup(r, "mx.example.com"); rec.Outcome != Missing || took != firstTry {
			t.Errorf("%v after %v", rec.Outcome, took)
		}
		if rec, took := lookup(r, "mx.example.com"); rec.Outcome != Missing || took != 0 {
			t.Errorf("then %v after %v", rec.Outcome, took)
		}
	})
}

func TestTheSecondTryLeavesSoonWhereAnswersComeSoon(t *testing.T) {
	bubble(t, func(t *testing.T, w *wire, r *Resolver, _ *[]Notice) {
		l := r.lane(1)
		for _, c := range []struct{ takes, patience time.Duration }{
			{0, firstTry}, // nobody knows
			{time.Millisecond, soonest},
			{100 * time.Millisecond, 400 * time.Millisecond},
			{time.Second, firstTry},
		} {
			for range 100 { // the mean follows
				l.learn(c.takes)
			}
			if got := l.patience().Round(time.Millisecond); got != c.patience {
				t.Errorf("answers take %v: the second try leaves after %v, want %v", c.takes, got, c.patience)
			}
		}
		l = r.lane(1)
		l.learn(time.Millisecond)
		w.be(true, first)
		begin := time.Now()
		done := make(chan Records, 1)
		r.ask(l, "mx.example.com", dns.TypeA, func(rec Records) { done <- rec })
		if rec := <-done; rec.Outcome != Missing || time.Since(begin) != soonest {
			t.Errorf("%v after %v", rec.Outcome, time.Since(begin))
		}
	})
}

func TestAQuickServerIsAskedNoMoreAtOnceThanItHasRoomForAndASlowOneIs(t *testing.T) {
	bubble(t, func(t *testing.T, w *wire, r *Resolver, _ *[]Notice) {
		w.stuck = "stuck.example"
		for took, want := range map[time.Duration]int{0: 12, time.Millisecond: quickSeats, 50 * time.Millisecond: 12} {
			for _, others := range []int32{0, quickUnder} {
				r.under.Store(others)
				l := r.lane(12)
				l.took.Store(int64(took))
				before := w.count("stuck.example")
				for range 15 {
					r.ask(l, "stuck.example", dns.TypeA, func(Records) {})
				}
				synctest.Wait()
				if n := w.count("stuck.example") - before; others > 0 && n != want || others == 0 && n != 12 {
					t.Errorf("answers take %v, %d others: %d under way, want %d", took, others, n, want)
				}
				time.Sleep(2 * questionTime)
				if n := r.under.Load(); n != others {
					t.Errorf("%d are left under way of %d", n, others)
				}
			}
		}
	})
}

func TestAQuestionIsSentTwiceAndGivenUpAfterThreeSeconds(t *testing.T) {
	bubble(t, func(t *testing.T, w *wire, r *Resolver, told *[]Notice) {
		w.stuck = "stuck.example"
		rec, took := lookup(r, "stuck.example")
		if rec.Outcome != TimedOut || took != questionTime || w.count("stuck.example") != maxTries {
			t.Errorf("%v after %v, sent %d times", rec.Outcome, took, w.count("stuck.example"))
		}
		if len(*told) != 0 {
			t.Error("a name is stuck, not the server:", *told)
		}
	})
}

func TestStuckNamesDoNotMakeAServerOneThatIsDown(t *testing.T) {
	bubble(t, func(t *testing.T, w *wire, r *Resolver, told *[]Notice) {
		w.stuck = "stuck.example"
		for range 5 {
			lookup(r, "stuck.example")
			if rec, took := lookup(r, "mx.example.com"); rec.Outcome != Missing || took != 0 {
				t.Fatalf("%v after %v", rec.Outcome, took)
			}
		}
		if len(*told) != 0 || w.count("") != 5 {
			t.Errorf("%d probes, told %v", w.count(""), *told)
		}
	})
}

func TestServersThatAnswerNobodyCostNothingUntilTheyAnswerAgain(t *testing.T) {
	bubble(t, func(t *testing.T, w *wire, r *Resolver, told *[]Notice) {
		recovered := 0
		r.whenUp(func() { recovered++ })
		w.be(true, first, second)
		if rec, took := lookup(r, "mx.example.com"); rec.Outcome != Down || took != questionTime {
			t.Fatalf("%v after %v", rec.Outcome, took)
		}
		if rec, took := lookup(r, "mx.example.com"); rec.Outcome != Down || took != 0 {
			t.Fatalf("%v after %v", rec.Outcome, took)
		}
		if len(*told) != 1 || (*told)[0].State != Timeout || (*told)[0].Fix == "" {
			t.Fatalf("told %v", *told)
		}
		time.Sleep(time.Hour)
		before := w.count("")
		if before < 500 || before > 800 {
			t.Errorf("%d probes in an hour", before)
		}
		w.be(false, first, second)
		time.Sleep(lastPause + probeTime)
		if rec, took := lookup(r, "mx.example.com"); rec.Outcome != Missing || took != 0 {
			t.Errorf("back: %v after %v", rec.Outcome, took)
		}
		if len(*told) != 2 || (*told)[1].State != OK || recovered != 1 {
			t.Errorf("told %v, %d times", *told, recovered)
		}
		time.Sleep(time.Hour)
		if n := w.count(""); n > before+1 {
			t.Errorf("%d probes of a server that answers", n-before)
		}
		w.be(true, first, second)
		lookup(r, "mx.example.com")
		w.be(false, first, second)
		time.Sleep(2*firstPause + probeTime)
		if rec, _ := lookup(r, "mx.example.com"); rec.Outcome != Missing {
			t.Errorf("the next time it is not asked soon: %v", rec.Outcome)
		}
	})
}

func TestAServerIsFoundHoweverManyBeforeItAreSilent(t *testing.T) {
	bubble(t, func(t *testing.T, w *wire, r *Resolver, told *[]Notice) {
		r.set([]netip.AddrPort{first, second, third})
		w.be(true, first, second)
		lookup(r, "mx.example.com")
		time.Sleep(firstPause + probeTime)
		if rec, took := lookup(r, "mx.example.com"); rec.Outcome != Missing || took != 0 {
			t.Errorf("%v after %v, told %v", rec.Outcome, took, *told)
		}
	})
}

func TestAServerThatIsDownIsNoFaultOfWhomItIsAskedAbout(t *testing.T) {
	bubble(t, func(t *testing.T, w *wire, r *Resolver, _ *[]Notice) {
		w.refuse = true
		if rec, took := lookup(r, "mx.example.com"); rec.Outcome != Down || took != 0 {
			t.Errorf("where nobody listens: %v after %v", rec.Outcome, took)
		}
		w.refuse = false
	})
	bubble(t, func(t *testing.T, w *wire, r *Resolver, _ *[]Notice) {
		w.be(true, first, second)
		if rec, took := lookup(r, "mx.example.com"); rec.Outcome != Down || took != questionTime {
			t.Errorf("where nobody answers: %v after %v", rec.Outcome, took)
		}
	})
}

func TestTheServersOfResolvConfAreReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := asking(t, first)
	r.file = file
	retests := 0
	r.whenUp(func() { retests++ })
	for i, c := range []struct {
		text    string
		servers string
		retests int
	}{
		{"nameserver 192.0.2.53\n", "[192.0.2.53:53]", 0},
		{"nameserver 2001:db8::53\nnameserver ::ffff:192.0.2.53\noptions edns0\n", "[[2001:db8::53]:53 192.0.2.53:53]", 1},
		{"# nobody\n", "[127.0.0.1:53]", 2},
	} {
		write(c.text)
		r.Reread()
		if got := fmt.Sprint(r.Servers()); got != c.servers || retests != c.retests {
			t.Errorf("%d: %s, tested %d times", i, got, retests)
		}
	}
	r.file = ""
	write("nameserver 192.0.2.53\n")
	if r.Reread(); r.Servers()[0] == first || retests != 2 {
		t.Error("servers that are given are not those of the machine")
	}
}

func TestAQuestionThatFindsNoSeatInTimeIsGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T, w *wire, r *Resolver, _ *[]Notice) {
		w.stuck = "stuck.example"
		l := r.lane(1)
		ended := make(chan Records, 3)
		begin := time.Now()
		for range 3 {
			r.ask(l, "stuck.example", dns.TypeA, func(rec Records) { ended <- rec })
		}
		for range 3 {
			if rec := <-ended; rec.Outcome != TimedOut && rec.Outcome != Busy {
				t.Error(rec)
			}
		}
		if took := time.Since(begin); took != questionTime {
			t.Errorf("after %v", took)
		}
		if l.busy != 0 || l.queue != nil {
			t.Errorf("%d seats are taken, queue %v", l.busy, l.queue)
		}
	})
}

func TestAnswersAreForgottenWithTheirTTL(t *testing.T) {
	bubble(t, func(t *testing.T, w *wire, r *Resolver, _ *[]Notice) {
		r.Lookup(t.Context(), "mx.example.com", dns.TypeA)
		time.Sleep(minTTL - 1)
		if rec := r.Lookup(t.Context(), "mx.example.com", dns.TypeA); rec.TTL != 1 {
			t.Errorf("it holds for %v yet", rec.TTL)
		}
		if n := w.count("mx.example.com"); n != 1 {
			t.Errorf("%d questions within the TTL", n)
		}
		time.Sleep(1 * time.Nanosecond)
		r.Lookup(t.Context(), "mx.example.com", dns.TypeA)
		if n := w.count("mx.example.com"); n != 2 {
			t.Errorf("%d questions after it", n)
		}
	})
}

func TestAQuestionThatWaitedForItsSeatIsNoFaultOfWhomItIsAbout(t *testing.T) {
	bubble(t, func(t *testing.T, w *wire, r *Resolver, _ *[]Notice) {
		w.stuck = "stuck.example"
		l := r.lane(1)
		r.ask(l, "stuck.example", dns.TypeA, func(Records) {})
		time.Sleep(firstTry / 2)
		ended := make(chan Records, 1)
		begin := time.Now()
		r.ask(l, "stuck.example", dns.TypeA, func(rec Records) { ended <- rec })
		if rec := <-ended; rec.Outcome != Busy || time.Since(begin) != questionTime {
			t.Errorf("%+v after %v", rec, time.Since(begin))
		}
	})
}

func TestEachQuestionIsToldOfOnceWhenItHasEndedAndNoneThatTheCacheAnswers(t *testing.T) {
	bubble(t, func(t *testing.T, w *wire, r *Resolver, _ *[]Notice) {
		w.stuck = "stuck.example"
		var mu sync.Mutex
		ended := map[Outcome][]time.Duration{}
		r.ended = func(o Outcome, took time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			ended[o] = append(ended[o], took)
		}
		lookup(r, "mx.example.com")
		for range 2 {
			r.Lookup(t.Context(), "mx.example.com", dns.TypeA) // one that is new to the cache, and one that is not
		}
		lookup(r, "stuck.example")
		l := r.lane(1)
		for range maxQueue + 2 {
			r.ask(l, "stuck.example", dns.TypeA, func(Records) {})
		}
		time.Sleep(questionTime)
		synctest.Wait()
		w.stuck, w.refuse = "", true
		r.health.off.Store(true)
		r.ask(r.clients, "mx.example.com", dns.TypeA, func(Records) {})
		mu.Lock()
		defer mu.Unlock()
		found := append(ended[Found], ended[Empty]...)
		if len(found) != 2 || len(ended[TimedOut]) != 2 || ended[TimedOut][0] != questionTime || len(ended[Busy]) != maxQueue+1 || len(ended[Down]) != 1 {
			t.Errorf("found %v, timed out %v, %d busy, down %v", found, ended[TimedOut], len(ended[Busy]), ended[Down])
		}
		if !r.Down() {
			t.Error("it is not down")
		}
		r.health.off.Store(false)
	})
}
