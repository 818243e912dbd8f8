package rbl

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/miekg/dns"

	"eximpolicyd/internal/dnstest"
)

// scripted starts a server that has these records, and a resolver that asks it. Both end with the test.
func scripted(t testing.TB, records ...string) (*dnstest.Server, *Resolver) {
	t.Helper()
	srv, err := dnstest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	if err := srv.Add(records...); err != nil {
		t.Fatal(err)
	}
	return srv, asking(t, srv.Addr())
}

func asking(t testing.TB, servers ...netip.AddrPort) *Resolver {
	t.Helper()
	r, _ := counted(t, servers...)
	return r
}

// counted is asking, and tells of the questions.
func counted(t testing.TB, servers ...netip.AddrPort) (*Resolver, *Endings) {
	t.Helper()
	ended := &Endings{}
	r, err := NewResolver(ResolverOptions{Servers: servers, Ended: ended.Ended})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r, ended
}

// Endings hears of a resolver's questions as they end: once of each, however often it was sent.
type Endings struct {
	mu      sync.Mutex
	n       int
	slowest time.Duration
}

// Ended is ResolverOptions.Ended.
func (e *Endings) Ended(_ Outcome, took time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.n, e.slowest = e.n+1, max(e.slowest, took)
}

// Forget begins anew.
func (e *Endings) Forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.n, e.slowest = 0, 0
}

// Were wants exactly so many questions, and one packet of each: a second one only if the first had no answer for as long
// as that is waited for, which is this machine standing still. Then a probe may have been a question, too.
func (e *Endings) Were(t testing.TB, srv *dnstest.Server, want, packets int) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	probed := slices.ContainsFunc(srv.Questions(), func(q dnstest.Question) bool { return q.Name == "." })
	if e.n != want && !(probed && e.n == want+1) || packets < want || packets > want && e.slowest < soonest || packets > maxTries*want {
		t.Errorf("%d questions in %d packets, the slowest in %v, want %d questions", e.n, packets, e.slowest, want)
	}
}

func TestALookupTellsFoundFromEmptyFromMissing(t *testing.T) {
	_, r := scripted(t,
		"mx.example.com. 300 IN A 192.0.2.1", "mx.example.com. 300 IN A 192.0.2.2", "mx.example.com. 600 IN AAAA 2001:db8::1",
		"example.com. 300 IN MX 20 second.example.com.", "example.com. 300 IN MX 10 First.example.com.",
		"www.example.com. 120 IN CNAME web.example.com.", "web.example.com. 300 IN A 192.0.2.3",
		`example.com. 300 IN TXT "a" "quote \" and \\ and \007"`,
		"null.example.com. 300 IN MX 0 .")
	for _, c := range []struct {
		name string
		kind uint16
		want Records
	}{
		{"nothing.example.com", dns.TypeA, Records{Outcome: Missing}},
		{"web.example.com", dns.TypeAAAA, Records{Outcome: Empty}},
		{"not a name.example.com", dns.TypeA, Records{Outcome: Failed, Note: "no name of a host"}},
		{`a\.b.example.com`, dns.TypeA, Records{Outcome: Failed, Note: "no name of a host"}},
		{"a/b.example.com", dns.TypeA, Records{Outcome: Failed, Note: "no name of a host"}},
		{"MX.Example.com.", dns.TypeA, Records{Outcome: Found, Addresses: addresses("192.0.2.1", "192.0.2.2")}},
		{"mx.example.com", dns.TypeAAAA, Records{Outcome: Found, Addresses: addresses("2001:db8::1")}},
		{"www.example.com", dns.TypeA, Records{Outcome: Found, Addresses: addresses("192.0.2.3")}},
		{"example.com", dns.TypeMX, Records{Outcome: Found, Names: []string{"first.example.com", "second.example.com"}}},
		{"example.com", dns.TypeTXT, Records{Outcome: Found, Text: `aquote " and \ and ?`}},
		{"null.example.com", dns.TypeMX, Records{Outcome: Found}},
	} {
		got := r.Lookup(t.Context(), c.name, c.kind)
		if d := cmp.Diff(c.want, got, cmpopts.IgnoreFields(Records{}, "TTL", "Server"), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
			t.Errorf("%s %s: %s", c.name, dns.TypeToString[c.kind], d)
		}
	}
}

func addresses(list ...string) []netip.Addr {
	out := make([]netip.Addr, len(list))
	for i, s := range list {
		out[i] = netip.MustParseAddr(s)
	}
	return out
}

func TestManyAskersOfOneNameAreOneQuestion(t *testing.T) {
	srv, _ := scripted(t, "mx.example.com. 300 IN A 192.0.2.1")
	r, ended := counted(t, srv.Addr())
	var askers sync.WaitGroup
	for range 1000 {
		askers.Go(func() {
			if rec := r.Lookup(t.Context(), "mx.example.com", dns.TypeA); rec.Outcome != Found {
				t.Error(rec)
			}
		})
	}
	askers.Wait()
	ended.Were(t, srv, 1, srv.Count("mx.example.com"))
}

func TestAnAskerWhoDoesNotWaitStartsTheQuestionForTheNext(t *testing.T) {
	srv, _ := scripted(t, "mx.example.com. 300 IN A 192.0.2.1")
	r, ended := counted(t, srv.Addr())
	srv.Delay("mx.example.com", 50*time.Millisecond)
	if rec := r.Lookup(over, "mx.example.com", dns.TypeA); rec.Outcome != Unanswered {
		t.Fatal(rec)
	}
	if rec := r.Lookup(t.Context(), "mx.example.com", dns.TypeA); rec.Outcome != Found {
		t.Fatal(rec)
	}
	if rec := r.Lookup(over, "mx.example.com", dns.TypeA); rec.Outcome != Found {
		t.Fatal("what is remembered needs no waiting:", rec)
	}
	ended.Were(t, srv, 1, srv.Count("mx.example.com"))
}

func TestEveryQuestionHasItsOwnIDAndTheLettersOfItsNameInRandomCase(t *testing.T) {
	srv, r := scripted(t)
	ids, forms := map[uint16]bool{}, map[string]bool{}
	for i := range 200 {
		r.Lookup(t.Context(), fmt.Sprintf("a-rather-long-name-of-a-host-%d.example.com", i), dns.TypeA)
	}
	for _, q := range srv.Questions() {
		ids[q.ID] = true
		forms[q.Name[:28]] = true
	}
	if len(ids) < 150 || len(forms) < 150 {
		t.Errorf("of 200 questions %d ids and %d spellings", len(ids), len(forms))
	}
}

func TestAQuietResolverAsksFromANewPortEachTime(t *testing.T) {
	_, r := scripted(t)
	s := (*r.servers.Load())[0]
	a, err := r.socket(s)
	if err != nil {
		t.Fatal(err)
	}
	a.opened = a.opened.Add(-socketAge)
	r.socket(s) // the other one
	b, err := r.socket(s)
	if err != nil {
		t.Fatal(err)
	}
	if a == b || a.conn.LocalAddr().String() == b.conn.LocalAddr().String() {
		t.Error("the socket is used beyond its age")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.dead {
		t.Error("the old one is not closed")
	}
}

func TestAServerWhereNobodyListensIsPassedOver(t *testing.T) {
	closed, err := dnstest.Start()
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	srv, _ := scripted(t, "mx.example.com. 300 IN A 192.0.2.1")
	r := asking(t, closed.Addr(), srv.Addr())
	if rec := r.Lookup(t.Context(), "mx.example.com", dns.TypeA); rec.Outcome != Found {
		t.Fatal(rec)
	}
	if r.server(0).addr != srv.Addr() {
		t.Error("the server that answered is not asked first")
	}
}

func TestAServerThatFailsIsPassedOverForTheNext(t *testing.T) {
	for what, act := range map[string]dnstest.Act{"SERVFAIL": dnstest.ServFail, "REFUSED": dnstest.Refused} {
		broken, _ := scripted(t)
		broken.Play("", act)
		srv, _ := scripted(t, "mx.example.com. 300 IN A 192.0.2.1")
		r, ended := counted(t, broken.Addr(), srv.Addr())
		for range 2 { // the second time it is asked first
			if rec := lookupNow(r, "mx.example.com"); rec.Outcome != Found {
				t.Error(what, rec)
			}
		}
		if n := broken.Count(""); n != 1 && (n != 2 || ended.slowest < soonest) { // once more if the machine stood still
			t.Errorf("%s: %d questions", what, n)
		}
		if rec := lookupNow(asking(t, broken.Addr()), "mx.example.com"); rec.Outcome.Answered() || rec.Note == "" {
			t.Error(what, "alone:", rec)
		}
	}
}

// lookupNow asks past the cache.
func lookupNow(r *Resolver, name string) Records {
	done := make(chan Records, 1)
	r.ask(r.clients, name, dns.TypeA, func(rec Records) { done <- rec })
	return <-done
}

func TestAReverseLookupIsConfirmedByTheNameOnly(t *testing.T) {
	_, r := scripted(t,
		"1.2.0.192.in-addr.arpa. 300 IN PTR liar.example.com.", "1.2.0.192.in-addr.arpa. 300 IN PTR MX.example.com.",
		"mx.example.com. 300 IN A 192.0.2.1", "liar.example.com. 300 IN A 192.0.2.9",
		"3.2.0.192.in-addr.arpa. 300 IN PTR liar.example.com.", "4.2.0.192.in-addr.arpa. 300 IN PTR nowhere.example.com.",
		"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 IN PTR six.example.com.",
		"six.example.com. 300 IN AAAA 2001:db8::1")
	for _, c := range []struct {
		client string
		status PTRStatus
		names  []string
	}{
		{"192.0.2.1", PTRConfirmed, []string{"mx.example.com"}},
		{"2001:db8::1", PTRConfirmed, []string{"six.example.com"}},
		{"::ffff:192.0.2.1", PTRConfirmed, []string{"mx.example.com"}},
		{"192.0.2.2", PTRMissing, nil},
		{"192.0.2.3", PTRUnconfirmed, []string{"liar.example.com"}},
		{"192.0.2.4", PTRUnconfirmed, []string{"nowhere.example.com"}},
	} {
		for range 2 { // asked, and remembered
			p := r.Confirm(t.Context(), netip.MustParseAddr(c.client))
			if p.Status != c.status || !slices.Equal(p.Names, c.names) || p.Late {
				t.Errorf("%s: %v %v %+v", c.client, p.Status, p.Names, p)
			}
		}
	}
	if p := r.Confirm(t.Context(), netip.Addr{}); p.Status != PTRUnknown {
		t.Error(p)
	}
}

func TestAReverseLookupThatFailsIsUnknown(t *testing.T) {
	srv, r := scripted(t, "1.2.0.192.in-addr.arpa. 300 IN PTR mx.example.com.", "2.2.0.192.in-addr.arpa. 300 IN PTR ok.example.com.")
	srv.Play("2.2.0.192.in-addr.arpa", dnstest.Silent)
	srv.Play("mx.example.com", dnstest.ServFail)
	srv.Play("9.2.0.192.in-addr.arpa", dnstest.Refused)
	for _, client := range []string{"192.0.2.1", "192.0.2.9"} {
		if p := r.Confirm(t.Context(), netip.MustParseAddr(client)); p.Status != PTRUnknown || p.Late || p.Note == "" {
			t.Errorf("%s: %+v", client, p)
		}
	}
	if err := srv.Add("5.2.0.192.in-addr.arpa. 300 IN PTR mx.example.com.", "5.2.0.192.in-addr.arpa. 300 IN PTR web.example.com.",
		"web.example.com. 300 IN A 192.0.2.5"); err != nil {
		t.Fatal(err)
	}
	if p := r.Confirm(t.Context(), netip.MustParseAddr("192.0.2.5")); p.Status != PTRConfirmed || !p.More {
		t.Errorf("one of two names confirmed: %+v", p)
	}
	if p := r.Confirm(over, netip.MustParseAddr("192.0.2.2")); p.Status != PTRUnknown || !p.Late {
		t.Errorf("not waited for: %+v", p)
	}
	srv.Add("3.2.0.192.in-addr.arpa. 300 IN PTR slow.example.com.")
	srv.Play("slow.example.com", dnstest.Silent)
	r.Lookup(t.Context(), "3.2.0.192.in-addr.arpa", dns.TypePTR)
	if p := r.Confirm(over, netip.MustParseAddr("192.0.2.3")); p.Status != PTRUnknown || !p.Late {
		t.Errorf("not waited for the way back: %+v", p)
	}
}

func TestAReverseLookupThatIsCutIsNoProofAgainstTheClient(t *testing.T) {
	srv, r := scripted(t, "3.2.0.192.in-addr.arpa. 300 IN PTR pool.example.com.")
	for i := range maxPTRNames + 1 {
		name := fmt.Sprintf("n%d.example.com.", i)
		srv.Add("2.2.0.192.in-addr.arpa. 300 IN PTR "+name, name+" 300 IN A 192.0.2.9")
	}
	for i := range MaxAddresses + 1 {
		srv.Add(fmt.Sprintf("pool.example.com. 300 IN A 198.51.100.%d", i))
	}
	for _, client := range []string{"192.0.2.2", "192.0.2.3"} {
		if p := r.Confirm(t.Context(), netip.MustParseAddr(client)); p.Status != PTRUnknown || p.Note == "" || p.Late {
			t.Errorf("%s: %+v", client, p)
		}
	}
}

func TestALaneHasSoManySeatsAndAQueue(t *testing.T) {
	srv, r := scripted(t)
	srv.Play("stuck.example", dnstest.Silent)
	l := r.lane(2)
	var got sync.WaitGroup
	outcomes := make(chan Records, 4)
	for i := range 4 {
		got.Add(1)
		r.ask(l, fmt.Sprintf("n%d.stuck.example", i), dns.TypeA, func(rec Records) { outcomes <- rec; got.Done() })
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	if err := srv.Wait(ctx, "stuck.example", 2); err != nil {
		t.Fatal(err)
	}
	r.ask(r.lane(1), "other.example", dns.TypeA, func(rec Records) {
		if rec.Outcome != Missing {
			t.Error("another lane:", rec)
		}
		stop()
	})
	<-ctx.Done()
	full := r.lane(0)
	full.queue = make([]*query, maxQueue)
	r.ask(full, "one.example", dns.TypeA, func(rec Records) {
		if rec.Outcome != Busy {
			t.Error("a full queue:", rec)
		}
	})
	r.Close()
	got.Wait()
	close(outcomes)
	for rec := range outcomes {
		if rec.Outcome != Unanswered {
			t.Error("closed:", rec)
		}
	}
}
