package rbl_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"eximpolicyd/internal/dnstest"
	"eximpolicyd/rbl"
)

// These tests play every way in which an answer can be late, wrong, forged, cut or missing, through real sockets. Names
// and lists that fail stand side by side, so that all wait for their time-outs together.

const right = "192.0.2.1" // what every name has, if its answer is used

func start(t testing.TB) *dnstest.Server {
	t.Helper()
	srv, err := dnstest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	return srv
}

func resolver(t testing.TB, srv *dnstest.Server) *rbl.Resolver {
	t.Helper()
	r, err := rbl.NewResolver(rbl.ResolverOptions{Servers: []netip.AddrPort{srv.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// standstill watches whether this machine stands still: then a time-out is no fault of the code. The function tells.
func standstill(t testing.TB) (seen func() bool) {
	var longest atomic.Int64
	var watch sync.WaitGroup
	ended := make(chan struct{})
	watch.Go(func() {
		for tick := time.NewTicker(10 * time.Millisecond); ; {
			last := time.Now()
			select {
			case <-ended:
				tick.Stop()
				return
			case <-tick.C:
				longest.Store(max(longest.Load(), int64(time.Since(last))))
			}
		}
	})
	t.Cleanup(func() {
		close(ended)
		watch.Wait()
	})
	return func() bool { return time.Duration(longest.Load()) > 200*time.Millisecond }
}

// wrong are the answers that nobody may use. Before the right one they change nothing, alone they are no answer.
var wrong = []struct {
	name string
	act  dnstest.Act
}{
	{"nothing", dnstest.Silent},
	{"another id", dnstest.WrongID},
	{"another question", dnstest.WrongQuestion},
	{"another type", dnstest.WrongType},
	{"another class", dnstest.WrongClass},
	{"another opcode", dnstest.WrongOpcode},
	{"no question", dnstest.NoQuestion},
	{"two questions", dnstest.TwoQuestions},
	{"a query as answer", dnstest.QueryAsAnswer},
	{"letters in another case", dnstest.OtherCase},
	{"garbage with the right id", dnstest.Garbage},
	{"garbage with another id", dnstest.ForeignGarbage},
	{"an answer that breaks off", dnstest.CutOff},
	{"a record without data", dnstest.Hollow},
	{"three octets", dnstest.ThreeBytes},
	{"an empty packet", dnstest.EmptyPacket},
	{"the world from another port", dnstest.Elsewhere(dnstest.World)},
	{"more than a packet may hold", dnstest.Whole(dnstest.ManyRecords(500))},
}

// used are answers that say something, or fail at once.
var used = []struct {
	name      string
	act       dnstest.Act
	outcome   rbl.Outcome
	addresses string
	questions int // at most, over UDP and TCP
}{
	{"SERVFAIL", dnstest.ServFail, rbl.Failed, "", 2},
	{"REFUSED", dnstest.Refused, rbl.Refused, "", 2},
	{"NOTIMP", dnstest.NotImplemented, rbl.Failed, "", 2},
	{"FORMERR always", dnstest.FormErrAlways, rbl.Failed, "", 2},
	{"truncated, and TCP hangs up", dnstest.TruncatedNoTCP, rbl.Failed, "", 2},
	{"truncated always", dnstest.Then(dnstest.TruncatedAlways, dnstest.OverTCP(dnstest.Silent, dnstest.HangUp)), rbl.Failed, "", 2},
	{"forged over TCP", dnstest.OverTCP(dnstest.Truncated, dnstest.Then(dnstest.WrongID, dnstest.WrongQuestion, dnstest.HangUp)), rbl.Failed, "", 2},
	{"a CNAME loop", dnstest.CNAMELoop, rbl.Failed, "", 1},
	{"a CNAME to itself", dnstest.CNAMESelf, rbl.Failed, "", 1},
	{"a CNAME chain of 64", dnstest.CNAMEChain(64), rbl.Failed, "", 2},
	{"a CNAME elsewhere, and records that nobody asked for", dnstest.CNAMEElsewhere, rbl.Empty, "", 1},
	{"records of a stranger", dnstest.Stranger, rbl.Empty, "", 1},
	{"no such name", dnstest.Inert, rbl.Missing, "", 1},
	{"FORMERR on EDNS", dnstest.FormErrOnEDNS, rbl.Found, right, 2},
	{"truncated", dnstest.Truncated, rbl.Found, right, 2},
	{"truncated, with a part that is a lie", dnstest.TruncatedForged, rbl.Found, right, 2},
	{"twice the same", dnstest.Twice, rbl.Found, right, 1},
	{"the second try", dnstest.First(1, dnstest.Silent, dnstest.Plain), rbl.Found, right, 2},
	{"late", dnstest.Late(time.Second, dnstest.Plain), rbl.Found, right, 2},
	{"a CNAME chain of 4", dnstest.CNAMEChain(4), rbl.Found, "127.0.0.2", 1},
	{"500 records", dnstest.ManyRecords(500), rbl.Found, "127.0.0.2 127.0.0.3 127.0.0.4 127.0.0.5 127.0.0.6 127.0.0.7 127.0.0.8 " +
		"127.0.0.9 127.0.0.10 127.0.0.11 127.0.0.12 127.0.0.13 127.0.0.14 127.0.0.15 127.0.0.16 127.0.0.17", 2},
}

func TestNoForgedAnswerIsUsedAndTheRightOneIs(t *testing.T) {
	type row struct {
		name, domain string
		act          dnstest.Act
		outcome      rbl.Outcome
		addresses    string
		questions    int
	}
	var rows []row
	for i, c := range wrong {
		rows = append(rows,
			row{c.name, fmt.Sprintf("alone%d.example", i), c.act, rbl.TimedOut, "", 2},
			row{c.name + ", then the right one", fmt.Sprintf("before%d.example", i), dnstest.Then(c.act, dnstest.Late(time.Millisecond, dnstest.Plain)), rbl.Found, right, 2})
	}
	for i, c := range used {
		rows = append(rows, row{c.name, fmt.Sprintf("used%d.example", i), c.act, c.outcome, c.addresses, c.questions})
	}
	srv := start(t)
	r := resolver(t, srv)
	stoodStill := standstill(t)
	var asking sync.WaitGroup
	for _, c := range rows {
		if err := srv.Add(c.domain+". 300 IN A "+right, "again."+c.domain+". 300 IN A "+right); err != nil {
			t.Fatal(err)
		}
		srv.Play(c.domain, c.act)
		asking.Go(func() {
			name := c.domain
			rec := r.Lookup(t.Context(), name, dns.TypeA)
			if !rec.Outcome.Answered() && rec.Outcome != c.outcome && stoodStill() {
				name = "again." + name
				rec = r.Lookup(t.Context(), name, dns.TypeA)
			}
			if got := words(rec.Addresses); rec.Outcome != c.outcome || got != c.addresses {
				t.Errorf("%s: %v %q (%s)", c.name, rec.Outcome, got, rec.Note)
			}
			if n := srv.Count(name); n < 1 || n > c.questions {
				t.Errorf("%s: %d questions", c.name, n)
			}
			if !rec.Outcome.Answered() && rec.Note == "" {
				t.Errorf("%s: no word about why", c.name)
			}
		})
	}
	asking.Wait()
}

func words(list []netip.Addr) string {
	var w []string
	for _, a := range list {
		w = append(w, a.String())
	}
	return strings.Join(w, " ")
}

// One name is asked for after the other: a busy machine has a thousand packets to read within the time of a question then,
// and not eight thousand.
func TestTheRightAnswerIsFoundAmongAHundredThousandForgedOnes(t *testing.T) {
	const askers, names, packets = 8, 13, 1000
	srv := start(t)
	srv.Play("junk.example", dnstest.ManyJunk(packets))
	stoodStill := standstill(t)
	for i := range askers {
		r := resolver(t, srv)
		for n := range names {
			var rec rbl.Records
			for _, try := range []string{"first", "second", "third"} {
				name := fmt.Sprintf("%s%d-%d.junk.example", try, i, n)
				if err := srv.Add(name + ". 300 IN A " + right); err != nil {
					t.Fatal(err)
				}
				rec = r.Lookup(t.Context(), name, dns.TypeA)
				if rec.Outcome != rbl.TimedOut || !stoodStill() {
					break
				}
			}
			if words(rec.Addresses) != right {
				t.Errorf("name %d of %d: %v %v (%s)", n, i, rec.Outcome, rec.Addresses, rec.Note)
			}
		}
	}
}

func TestALongTextIsCutAndCleaned(t *testing.T) {
	srv := start(t)
	srv.Play("long.example", dnstest.LongText(64000))
	if err := srv.Add(`dirty.example. 300 IN TXT "a\010b\027[31m\200"`); err != nil {
		t.Fatal(err)
	}
	r := resolver(t, srv)
	if rec := r.Lookup(t.Context(), "long.example", dns.TypeTXT); rec.Text != strings.Repeat("x", rbl.MaxText) {
		t.Errorf("%v, %d octets: %q", rec.Outcome, len(rec.Text), rec.Text)
	}
	if rec := r.Lookup(t.Context(), "dirty.example", dns.TypeTXT); rec.Text != "a?b?[31m?" {
		t.Errorf("%v %q", rec.Outcome, rec.Text)
	}
}

func TestALookUpOfANameIsAHitOnceItHasBeenAnswered(t *testing.T) {
	srv := start(t)
	srv.Play("there.example", dnstest.Always(netip.MustParseAddr(right)))
	r := resolver(t, srv)
	for range 3 {
		r.Lookup(t.Context(), "there.example", dns.TypeA)
	}
	r.Lookup(t.Context(), "no name of a host", dns.TypeA) // which is not looked up
	if u := r.Remembered(); u.Misses != 1 || u.Hits != 2 || u.Used == 0 || u.Most != rbl.DefaultAnswers {
		t.Errorf("%+v", u)
	}
}

func TestTheFirstWhoAsksMayLeaveTheOthersWaiting(t *testing.T) {
	srv := start(t)
	var hold dnstest.Hold
	srv.Play("held.example", hold.Act(dnstest.Always(netip.MustParseAddr(right))))
	r := resolver(t, srv)
	ctx, leave := context.WithCancel(t.Context())
	first := make(chan rbl.Records)
	go func() { first <- r.Lookup(ctx, "held.example", dns.TypeA) }()
	if err := srv.Wait(t.Context(), "held.example", 1); err != nil {
		t.Fatal(err)
	}
	others := make(chan rbl.Records)
	for range 100 {
		go func() { others <- r.Lookup(t.Context(), "held.example", dns.TypeA) }()
	}
	leave()
	if rec := <-first; rec.Outcome != rbl.Unanswered {
		t.Errorf("who left: %+v", rec)
	}
	hold.Release()
	for range 100 {
		if rec := <-others; words(rec.Addresses) != right {
			t.Errorf("who stayed: %+v", rec)
		}
	}
	if n := srv.Count("held.example"); n > 2 {
		t.Errorf("%d questions", n)
	}
}

// sockets counts the files of this process that are sockets.
func sockets(t *testing.T) (n int) {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if to, err := os.Readlink("/proc/self/fd/" + f.Name()); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

func TestAClosedResolverHasNoSocketLeft(t *testing.T) {
	srv := start(t)
	srv.Play("silent.example", dnstest.Silent)
	srv.Play("tcp.example", dnstest.OverTCP(dnstest.Truncated, dnstest.Silent))
	srv.Play("junk.example", dnstest.Junk(1000))
	r := resolver(t, srv)
	before := sockets(t)
	var asking sync.WaitGroup
	for i := range 30 {
		for _, domain := range []string{"silent", "tcp", "junk", "plain"} {
			asking.Go(func() { r.Lookup(t.Context(), fmt.Sprintf("n%d.%s.example", i, domain), dns.TypeA) })
		}
	}
	if err := srv.Wait(t.Context(), "", 64); err != nil {
		t.Fatal(err)
	}
	if sockets(t) == before {
		t.Error("no socket is open: the test sees nothing")
	}
	r.Close()
	asking.Wait()
	srv.Close() // with its own: what is left now was there before it
	if n := sockets(t); n > before-3 {
		t.Errorf("%d sockets before, %d after", before, n+3)
	}
	if rec := r.Lookup(t.Context(), "after.example", dns.TypeA); rec.Outcome.Answered() {
		t.Errorf("a closed resolver answers: %+v", rec)
	}
}
