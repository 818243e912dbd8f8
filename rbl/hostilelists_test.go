package rbl_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"eximpolicyd/internal/dnstest"
	"eximpolicyd/rbl"
)

const listed, listedName = "192.0.2.1", "bad.example.com" // by every healthy list; no other is

// clean are clients that no list has.
var clean = []netip.Addr{netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("192.0.2.4")}

// told keeps what an operator is told.
type told struct {
	mu      sync.Mutex
	notices []rbl.Notice
}

func (n *told) tell(notice rbl.Notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.notices = append(n.notices, notice)
}

func (n *told) take() []rbl.Notice {
	n.mu.Lock()
	defer n.mu.Unlock()
	taken := n.notices
	n.notices = nil
	return taken
}

// list puts a healthy list into the server and returns it as a zone that counts 127.0.0.[2..11].
func list(t testing.TB, srv *dnstest.Server, kind rbl.Kind, zone string) *rbl.Zone {
	t.Helper()
	err := srv.List(zone, true, listed)
	if kind == rbl.OfNames {
		err = srv.NameList(zone, listedName)
	}
	var e rbl.Entry
	err = errors.Join(err, e.UnmarshalText([]byte(zone+"=127.0.0.[2..11]*2")))
	zones, wrong := rbl.Zones(kind, []rbl.Entry{e})
	if err := errors.Join(err, wrong); err != nil {
		t.Fatal(err)
	}
	return zones[0]
}

func lists(r *rbl.Resolver, zones ...*rbl.Zone) (*rbl.Lists, *told) {
	n := &told{}
	return rbl.NewLists(r, zones, rbl.ListsOptions{Told: n.tell}), n
}

// failures are what becomes of a list. A list of everybody counts as one until its test or its share shows it.
var failures = []struct {
	name  string
	act   dnstest.Act
	state rbl.State
	world bool
}{
	{"SERVFAIL", dnstest.ServFail, rbl.Timeout, false},
	{"REFUSED", dnstest.Refused, rbl.Timeout, false},
	{"NOTIMP", dnstest.NotImplemented, rbl.Timeout, false},
	{"FORMERR always", dnstest.FormErrAlways, rbl.Timeout, false},
	{"truncated, and TCP hangs up", dnstest.TruncatedNoTCP, rbl.Timeout, false},
	{"a CNAME loop", dnstest.CNAMELoop, rbl.Timeout, false},
	{"a CNAME to itself", dnstest.CNAMESelf, rbl.Timeout, false},
	{"a CNAME chain of 64", dnstest.CNAMEChain(64), rbl.Timeout, false},
	{"after the deadline", dnstest.Late(time.Minute, dnstest.World), rbl.Timeout, false},
	{"a CNAME elsewhere, and records that nobody asked for", dnstest.CNAMEElsewhere, rbl.Inert, false},
	{"records of a stranger", dnstest.Stranger, rbl.Inert, false},
	{"emptied", dnstest.Inert, rbl.Inert, false},
	{"the error 127.255.255.252", dnstest.ErrorCode(252), rbl.ErrorCode, false},
	{"the error 127.255.255.254", dnstest.ErrorCode(254), rbl.ErrorCode, false},
	{"the error 127.255.255.255", dnstest.ErrorCode(255), rbl.ErrorCode, false},
	{"127.0.0.1", always("127.0.0.1"), rbl.ErrorCode, false},
	{"an error beside a listing", always("127.0.0.2", "127.255.255.254"), rbl.ErrorCode, false},
	{"0.0.0.0", always("0.0.0.0"), rbl.Hijacked, false},
	{"255.255.255.255", always("255.255.255.255"), rbl.Hijacked, false},
	{"a public address", dnstest.Hijack(netip.MustParseAddr("198.51.100.1")), rbl.Hijacked, false},
	{"a public address beside a listing", always("127.0.0.2", "198.51.100.1"), rbl.Hijacked, false},
	{"a public address for names that do not exist", dnstest.HijackMissing(netip.MustParseAddr("198.51.100.1")), rbl.Hijacked, false},
	{"a code that it does not declare, for everybody", always("127.0.0.77"), rbl.World, false},
	{"the world", dnstest.World, rbl.World, true},
	{"the world by a CNAME", dnstest.CNAMEChain(4), rbl.World, true},
	{"500 records for everybody", dnstest.ManyRecords(500), rbl.World, true},
}

func always(list ...string) dnstest.Act {
	var addresses []netip.Addr
	for _, a := range list {
		addresses = append(addresses, netip.MustParseAddr(a))
	}
	return dnstest.Always(addresses...)
}

// failing is a list that fails in one way, and what is to be seen of it.
type failing struct {
	name, zone string
	act        dnstest.Act
	state      rbl.State
	world      bool
}

// everyFailure is the failures of lists and, alone, the answers that nobody may use.
func everyFailure(prefix string) (all []failing) {
	for i, c := range failures {
		all = append(all, failing{c.name, fmt.Sprintf("%s%d.example", prefix, i), c.act, c.state, c.world})
	}
	for i, c := range wrong {
		all = append(all, failing{c.name, fmt.Sprintf("%swrong%d.example", prefix, i), c.act, rbl.Timeout, false})
	}
	return all
}

func TestAListThatFailsItsTestIsNamedAndListsNobody(t *testing.T) {
	srv := start(t)
	r := resolver(t, srv)
	stoodStill := standstill(t)
	var all sync.WaitGroup
	for _, kind := range []rbl.Kind{rbl.OfAddresses, rbl.OfNames} {
		for _, c := range everyFailure([]string{"a", "n"}[kind]) {
			zone := list(t, srv, kind, c.zone)
			srv.Play(c.zone, c.act)
			all.Go(func() {
				l, told := lists(r, zone)
				l.Test(t.Context())
				for n := 0; n < 2 && l.States()[0].State != c.state && stoodStill(); n++ {
					l, told = lists(r, zone)
					l.Test(t.Context())
				}
				reported(t, kind.String()+", "+c.name, told, zone, c.state, rbl.Untested)
				asked := srv.Count(c.zone)
				for _, report := range []rbl.Report{l.Check(t.Context(), netip.MustParseAddr(listed)), l.Check(t.Context(), clean[0]),
					l.CheckName(t.Context(), listedName)} {
					for _, a := range report.Answers {
						if a.Status != rbl.Unknown || a.Why == "" || report.Score() != 0 || report.Late {
							t.Errorf("%v, %s: %+v", kind, c.name, a)
						}
					}
				}
				if n := srv.Count(c.zone); n != asked && !stoodStill() { // else the second packet of the test may come only now
					t.Errorf("%v, %s: asked on", kind, c.name)
				}
				for _, name := range []string{"1.2.0.192.", "2.2.0.192.", listedName + "."} {
					if n := srv.Count(name + c.zone); n != 0 {
						t.Errorf("%v, %s: asked %d times for %s", kind, c.name, n, name)
					}
				}
			})
		}
	}
	all.Wait()
}

func TestAListThatBeginsToFailListsNobodyAndIsNamedByTheNextTest(t *testing.T) {
	srv := start(t)
	r := resolver(t, srv)
	stoodStill := standstill(t)
	var all sync.WaitGroup
	for _, c := range everyFailure("f") {
		zone := list(t, srv, rbl.OfAddresses, c.zone)
		all.Go(func() {
			l, told := lists(r, zone)
			l.Test(t.Context())
			for n := 0; n < 2 && l.States()[0].State != rbl.OK && stoodStill(); n++ {
				l.Test(t.Context())
			}
			if h := l.States()[0]; h.State != rbl.OK {
				t.Errorf("%s, before: %+v", c.name, h)
			}
			told.take() // that it is well
			srv.Play(c.zone, c.act)
			var askers sync.WaitGroup
			for _, client := range clean {
				askers.Go(func() {
					a := l.Check(t.Context(), client).Answers[0]
					if (a.Status == rbl.Listed) != c.world {
						t.Errorf("%s: %s is %v %v (%s)", c.name, client, a.Status, a.Codes, a.Why)
					}
				})
			}
			askers.Wait()
			l.Test(t.Context())
			reported(t, c.name, told, zone, c.state, rbl.OK)
			for _, client := range clean {
				if a := l.Check(t.Context(), client).Answers[0]; a.Status != rbl.Unknown {
					t.Errorf("%s, after the test: %s is %v (%s)", c.name, client, a.Status, a.Why)
				}
			}
		})
	}
	all.Wait()
}

// reported checks that an operator was told of one change of a zone, and has been told why.
func reported(t *testing.T, name string, told *told, zone *rbl.Zone, state, was rbl.State) {
	t.Helper()
	var changes []rbl.Notice
	for _, n := range told.take() {
		if n.State != n.Was { // else it is word of a code that nobody declared
			changes = append(changes, n)
		}
	}
	if len(changes) != 1 || changes[0].Zone != zone.Public || changes[0].State != state || changes[0].Was != was ||
		changes[0].Text == "" || changes[0].Fix == "" {
		t.Errorf("%s: told %+v, want %v", name, changes, state)
	}
}

func TestAListAmongForgedAnswersIsAskedAndAnswers(t *testing.T) {
	srv := start(t)
	r := resolver(t, srv)
	stoodStill := standstill(t)
	type row struct {
		name string
		act  dnstest.Act
	}
	rows := []row{{"FORMERR on EDNS", dnstest.FormErrOnEDNS}, {"truncated", dnstest.Truncated}, {"truncated, with a lie", dnstest.TruncatedForged},
		{"twice", dnstest.Twice}, {"slow", dnstest.Late(50*time.Millisecond, dnstest.Plain)},
		{"the first packet is lost", dnstest.First(1, dnstest.Silent, dnstest.Plain)}}
	for _, c := range wrong {
		rows = append(rows, row{c.name + ", then the right answer", dnstest.Then(c.act, dnstest.Late(time.Millisecond, dnstest.Plain))})
	}
	var all sync.WaitGroup
	for i, c := range rows {
		zone := list(t, srv, rbl.OfAddresses, fmt.Sprintf("r%d.example", i))
		srv.Play(zone.Name, c.act)
		all.Go(func() {
			for n := 0; ; n++ {
				l, told := lists(r, zone)
				l.Test(t.Context())
				bad, good := l.Check(t.Context(), netip.MustParseAddr(listed)), l.Check(t.Context(), clean[0])
				if bad.Answers[0].Status == rbl.Listed && bad.Score() == 20 && good.Answers[0].Status == rbl.Clear && good.Complete() {
					return
				}
				if n == 2 || !stoodStill() {
					t.Errorf("%s: %+v %+v %+v", c.name, bad.Answers[0], good.Answers[0], told.take())
					return
				}
			}
		})
	}
	all.Wait()
}

func TestAThousandAskersForOneNewAddressAreOneQuestionAList(t *testing.T) {
	srv := start(t)
	ended := &rbl.Endings{}
	r, err := rbl.NewResolver(rbl.ResolverOptions{Servers: []netip.AddrPort{srv.Addr()}, Ended: ended.Ended})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	var zones []*rbl.Zone
	var hold dnstest.Hold
	for i := range 8 {
		zones = append(zones, list(t, srv, rbl.OfAddresses, fmt.Sprintf("bl%d.example", i)))
	}
	l, _ := lists(r, zones...)
	l.Test(t.Context())
	for _, z := range zones {
		srv.Play("1.2.0.192."+z.Name, hold.Act(dnstest.Plain))
	}
	ended.Forget()
	var askers sync.WaitGroup
	for range 1000 {
		askers.Go(func() {
			if report := l.Check(t.Context(), netip.MustParseAddr(listed)); report.Score() != 160 || !report.Complete() {
				t.Errorf("%v: %+v", report.Score(), report)
			}
		})
	}
	for _, z := range zones {
		if err := srv.Wait(t.Context(), "1.2.0.192."+z.Name, 1); err != nil {
			t.Fatal(err)
		}
	}
	hold.Release()
	askers.Wait()
	packets := 0
	for _, z := range zones {
		packets += srv.Count("1.2.0.192." + z.Name)
	}
	ended.Were(t, srv, len(zones), packets)
}

func TestADeadListIsAskedTwiceAndDoesNotHoldUpTheOthers(t *testing.T) {
	srv := start(t)
	r := resolver(t, srv)
	zones := []*rbl.Zone{list(t, srv, rbl.OfAddresses, "a.example"), list(t, srv, rbl.OfAddresses, "dead.example"),
		list(t, srv, rbl.OfAddresses, "b.example")}
	l, _ := lists(r, zones...)
	l.Test(t.Context())
	srv.Play("dead.example", dnstest.Silent)
	report := l.Check(t.Context(), netip.MustParseAddr(listed))
	if report.Score() != 40 || report.Complete() || report.Answers[1].Status != rbl.Unknown {
		t.Errorf("%v: %+v", report.Score(), report)
	}
	if n := srv.Count("1.2.0.192.dead.example"); n != 2 {
		t.Errorf("%d questions", n)
	}
	if n := srv.Count("1.2.0.192.a.example"); n != 1 {
		t.Errorf("%d questions to a list that answers", n)
	}
}

func TestStuckNamesThatAClientChoseTakeNoSeatFromTheLists(t *testing.T) {
	srv := start(t)
	r := resolver(t, srv)
	l, _ := lists(r, list(t, srv, rbl.OfAddresses, "bl.example"), list(t, srv, rbl.OfNames, "names.example"))
	l.Test(t.Context())
	srv.Play("stuck.example", dnstest.Silent)
	gone, leave := context.WithCancel(t.Context())
	leave()
	const many = 2000 // as many as have a seat or a place in the queue, and more
	for i := range many {
		r.Lookup(gone, fmt.Sprintf("n%d.stuck.example", i), dns.TypeA)
	}
	if err := srv.Wait(t.Context(), "stuck.example", 64); err != nil {
		t.Fatal(err)
	}
	for i, client := range append(clean, netip.MustParseAddr(listed)) {
		report := l.Check(t.Context(), client)
		if !report.Complete() || (report.Score() > 0) != (i == len(clean)) {
			t.Errorf("%+v", report)
		}
	}
	if report := l.CheckName(t.Context(), "mail.example.com"); !report.Complete() {
		t.Errorf("a list of names is held up by servers that are not its own: %+v", report)
	}
	if rec := r.Lookup(gone, "n0.stuck.example", dns.TypeA); rec.Outcome != rbl.Unanswered {
		t.Errorf("the names were not stuck all the time: %+v", rec)
	}
	if n := srv.Count("stuck.example"); n > 2*64 {
		t.Errorf("%d questions about the names", n)
	}
}

func TestAnAnswerAfterTheDeadlineIsThereForTheNext(t *testing.T) {
	srv := start(t)
	r := resolver(t, srv)
	zone := list(t, srv, rbl.OfAddresses, "bl.example")
	l, _ := lists(r, zone)
	l.Test(t.Context())
	var hold dnstest.Hold
	srv.Play(zone.Name, hold.Act(dnstest.Plain))
	ctx, end := context.WithCancel(t.Context())
	first := make(chan rbl.Report)
	go func() { first <- l.Check(ctx, netip.MustParseAddr(listed)) }()
	if err := srv.Wait(t.Context(), "1.2.0.192."+zone.Name, 1); err != nil {
		t.Fatal(err)
	}
	end()
	if report := <-first; !report.Late || report.Complete() || report.Score() != 0 {
		t.Errorf("before the answer: %+v", report)
	}
	hold.Release()
	if report := l.Check(t.Context(), netip.MustParseAddr(listed)); report.Score() != 20 || report.Late {
		t.Errorf("after the answer: %+v", report)
	}
	if report := l.Check(ctx, netip.MustParseAddr(listed)); report.Score() != 20 || !report.Answers[0].Cached {
		t.Errorf("from memory: %+v", report)
	}
	if n := srv.Count("1.2.0.192." + zone.Name); n > 2 {
		t.Errorf("%d questions", n)
	}
}

func TestTheTextOfAListingIsBounded(t *testing.T) {
	srv := start(t)
	r := resolver(t, srv)
	zone := list(t, srv, rbl.OfAddresses, "bl.example")
	l, _ := lists(r, zone)
	l.Test(t.Context())
	report := l.Check(t.Context(), netip.MustParseAddr(listed))
	srv.Play(zone.Name, dnstest.LongText(64000))
	for _, q := range srv.Questions() {
		if q.Type == dns.TypeTXT {
			t.Errorf("asked before somebody wants a text: %v", q)
		}
	}
	text := l.Text(t.Context(), listed, report.Strongest())
	if text != strings.Repeat("x", rbl.MaxText) {
		t.Errorf("%d octets: %q", len(text), text)
	}
}
