package acl

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"eximpolicyd/policy"
	"eximpolicyd/rbl"
)

const second = time.Second

// needing is a rule at RCPT that needs facts and says whether it had them.
func needing(needs policy.Need) policy.Bound {
	b := says(made("p", 99, atRCPT), "dns", policy.Observe, policy.Answer{})
	b.Needs = needs
	b.Judge = func(*policy.Request, *policy.Facts) policy.Verdict { return policy.Pass() }
	return b
}

// liveOf is the provider of serve with a DNS.
func liveOf(d *DNS) *live { return &live{proven: true, dns: d} }

func TestAnAnswerTakesNoLongerThanItsLongestChain(t *testing.T) {
	own := &policy.Own{Domains: map[string]bool{"hosted.example": true}}
	noPTR := Names{HELO: true, Sender: true}
	for _, c := range []struct {
		name, helo string
		names      Names
		needs      policy.Need
		want       int // answers one after the other
	}{
		{"nothing needed", "mail.example.com", allNames, 0, 0},
		{"block lists, names and greeting", "mail.example.com", noPTR, policy.NeedLists | policy.NeedNameLists | policy.NeedHELOAddresses, 1},
		{"a reverse name and its confirmation", "mail.example.com", noPTR, policy.NeedLists | policy.NeedPTR | policy.NeedNameLists, 2},
		{"the list of a reverse name", "mail.example.com", allNames, policy.NeedLists | policy.NeedNameLists, 3},
		{"the MX hosts of a hosted domain", "a.hosted.example", allNames, policy.NeedHosted | policy.NeedHELOAddresses, 2},
		{"all of it at once", "a.hosted.example", allNames, policy.NeedDNS &^ policy.NeedListText, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &slowDNS{takes: second, names: []string{"mail.example.net"}, records: map[question]rbl.Records{
					{"hosted.example", dns.TypeMX}: {Outcome: rbl.Found, Names: []string{"mx1.example.org", "mx2.example.org"}}}}
				d := newDNS(w, w, c.names)
				defer d.Close()
				start := time.Now()
				q := rcpt(t, "helo_name="+c.helo)
				f := policy.Facts{Own: own}
				if late := d.gather(t.Context(), c.needs, q, &f); late != 0 {
					t.Errorf("late: %b", late)
				}
				if took := time.Since(start); took != time.Duration(c.want)*second {
					t.Errorf("took %v, want %d answers", took, c.want)
				}
			})
		})
	}
}

func TestWhatWasStartedAtConnectIsThereAtRCPT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &slowDNS{takes: 20 * time.Millisecond, names: []string{"mail.example.net"}}
		d := newDNS(w, w, allNames)
		defer d.Close()
		decider := deciderOf(needing(policy.NeedDNS &^ policy.NeedListText))
		start := time.Now()
		for _, stage := range []string{"CONNECT", "HELO", "MAIL"} {
			decider.Decide(t.Context(), until(ask(t, "protocol_state="+stage).Stage, rcpt(t)), start, liveOf(d), false)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("the stages before RCPT waited %v", took)
		}
		time.Sleep(60 * time.Millisecond) // three answers: the reverse name, its address, the list of the name
		synctest.Wait()
		before := w.questions()
		start = time.Now()
		got := decider.Decide(t.Context(), rcpt(t), start, liveOf(d), false)
		if took := time.Since(start); took != 0 || got.Degraded {
			t.Errorf("RCPT waited %v, degraded %v", took, got.Degraded)
		}
		if after := w.questions(); !slices.Equal(before, after) {
			t.Errorf("RCPT asked what was not started:\n%s", cmp.Diff(before, after))
		}
		want := []string{"A mail.example.com", "AAAA mail.example.com", "PTR 203.0.113.7", "list 203.0.113.7",
			"names example.com", "names mail.example.com", "names mail.example.net"}
		if diff := cmp.Diff(want, before); diff != "" {
			t.Error(diff)
		}
	})
}

func TestTheMXHostsOfAHostedDomainAreLookedUpEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &slowDNS{takes: 20 * time.Millisecond, records: map[question]rbl.Records{
			{"hosted.example", dns.TypeMX}: {Outcome: rbl.Found, Names: []string{"mx.example.org"}}}}
		d := newDNS(w, w, allNames)
		defer d.Close()
		decider := deciderOf(needing(policy.NeedHosted))
		decider.Own.Domains = map[string]bool{"hosted.example": true}
		q := rcpt(t, "helo_name=a.hosted.example")
		decider.Decide(t.Context(), until(policy.Helo, q), time.Now(), liveOf(d), false)
		time.Sleep(40 * time.Millisecond)
		synctest.Wait()
		start := time.Now()
		decider.Decide(t.Context(), q, start, liveOf(d), false)
		if took := time.Since(start); took != 0 {
			t.Errorf("RCPT waited %v", took)
		}
	})
}

// impatient never has an answer and counts who would have waited for one.
type impatient struct {
	lists
	waited atomic.Int32
}

func (i *impatient) Check(ctx context.Context, _ netip.Addr) rbl.Report {
	if ctx.Err() == nil {
		i.waited.Add(1)
	}
	return rbl.Report{Late: true}
}

// The clock stands still while a socket is waited for: no budget ends because the machine is slow.
func TestTheServerRemembersWhoHasPaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lists := &impatient{}
		dns := newDNS(&slowDNS{}, lists, Names{})
		defer dns.Close()
		d := open(t, 0, func(s *Settings) { s.DNS, s.Decider = dns, deciderOf(needing(policy.NeedLists)) })
		for i, want := range []int32{0, 0, 1, 1} {
			stage := []string{"CONNECT", "MAIL", "RCPT", "RCPT"}[i]
			d.say(t, wire(overlay(ordinary, "protocol_state="+stage)...))
			if got := lists.waited.Load(); got != want {
				t.Errorf("request %d at %s: waited %d times", i, stage, got)
			}
		}
	})
}

func TestWhoIsNotJudgedCostsNoQuestion(t *testing.T) {
	for _, c := range []struct {
		name  string
		words []string
		edit  func(*Decider)
	}{
		{"allowed", nil, func(d *Decider) { d.Exempt.Allow = prefixes("203.0.113.0/24") }},
		{"denied", nil, func(d *Decider) { d.Exempt.Deny = prefixes("203.0.113.0/24") }},
		{"denied, on another port than 25", []string{"server_port=2525"}, func(d *Decider) { d.Exempt.Deny = prefixes("203.0.113.0/24") }},
		{"denied in a dry run", nil, func(d *Decider) { d.Exempt.Deny = prefixes("203.0.113.0/24"); d.Mode = policy.Observe }},
		{"a rule that is off", nil, func(d *Decider) { d.Rules[0].Mode = policy.Off }},
		{"a loopback address", []string{"client_address=127.0.0.1"}, nil},
		{"a private address", []string{"client_address=10.0.0.1"}, nil},
		{"a relay of ours", []string{"relay_host=1"}, nil},
		{"a submission port", []string{"server_port=587"}, nil},
		{"authenticated", []string{"sasl_method=plain"}, nil},
		{"local", []string{"client_address="}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := &slowDNS{}
			dns := newDNS(w, w, allNames)
			rule := needing(policy.NeedDNS)
			rule.Policy.Skip = skipped
			d := deciderOf(rule)
			if c.edit != nil {
				c.edit(d)
			}
			for _, stage := range []policy.Stage{policy.Connect, policy.Helo, policy.Mail, policy.RCPT} {
				q := until(stage, rcpt(t, c.words...))
				if q.AuthBy = ""; len(c.words) > 0 && strings.HasPrefix(c.words[0], "sasl") {
					q.AuthBy = "plain"
				}
				d.Decide(t.Context(), q, noon, liveOf(dns), false)
			}
			if asked := w.questions(); len(asked) > 0 {
				t.Errorf("asked %v", asked)
			}
			if err := dns.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// skipped are the classes that policy rbl skips.
const skipped = policy.Classes(1<<policy.Local | 1<<policy.Loopback | 1<<policy.Auth | 1<<policy.Submission | 1<<policy.PrivateNet |
	1<<policy.RelayHost | 1<<policy.RelayNet | 1<<policy.Postmaster)

func TestAWaitInVainIsPaidOnceAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &slowDNS{takes: time.Millisecond, never: "list"}
		d := newDNS(w, w, allNames)
		defer d.Close()
		decider := deciderOf(needing(policy.NeedLists | policy.NeedHELOAddresses))
		table := newConns(nowhere{})
		request := func(stage policy.Stage) (time.Duration, bool) {
			q := until(stage, rcpt(t, "protocol_state=DATA"))
			known := live{dns: d, proven: true, view: table.note(exim(7), q, false, time.Now())}
			start := time.Now()
			ctx := budget{end: start.Add(Budget(stage))}
			got := decider.Decide(&ctx, q, start, &known, false)
			ctx.stop()
			if known.waited {
				table.pay(7, q)
			}
			return time.Since(start), got.Degraded
		}
		for i, c := range []struct {
			stage    policy.Stage
			took     time.Duration
			degraded bool
		}{
			{policy.Connect, 0, false}, {policy.Helo, 0, false}, {policy.Mail, 0, false},
			{policy.RCPT, 1500 * time.Millisecond, true}, {policy.RCPT, 0, true}, {policy.Mail, 0, false}, {policy.RCPT, 0, true},
		} {
			if took, degraded := request(c.stage); took != c.took || degraded != c.degraded {
				t.Errorf("request %d at %s: %v, degraded %v", i, c.stage, took, degraded)
			}
		}
		w.never = "" // the list answers again, and the connection reads it
		if took, degraded := request(policy.RCPT); took != 0 || degraded {
			t.Errorf("with a list that answers: %v, degraded %v", took, degraded)
		}
		if _, ok := table.find(connKey{8, netip.AddrPort{}}); ok {
			t.Error("a connection that is not known was made by paying")
		}
		table.pay(8, rcpt(t))
	})
}

func TestWhatTheDNSSaysIsNotDegraded(t *testing.T) {
	w := &slowDNS{records: map[question]rbl.Records{
		{"mail.example.com", dns.TypeA}: {Outcome: rbl.Down}, {"mail.example.com", dns.TypeAAAA}: {Outcome: rbl.Busy}}}
	d := newDNS(w, w, allNames)
	defer d.Close()
	got := deciderOf(needing(policy.NeedHELOAddresses)).Decide(over, rcpt(t), noon, liveOf(d), false)
	if got.Degraded {
		t.Error("a server that is down is no wait")
	}
	var f policy.Facts
	d.gather(t.Context(), policy.NeedHELOAddresses, rcpt(t), &f)
	if f.HELOAddresses.Known {
		t.Error("what is not answered is known")
	}
}

func TestTheFactsOfTheDNS(t *testing.T) {
	hosts := func(n int) rbl.Records {
		r := rbl.Records{Outcome: rbl.Found}
		for i := range n {
			r.Names = append(r.Names, fmt.Sprintf("mx%d.example.org", i))
		}
		return r
	}
	w := &slowDNS{names: []string{"mail.example.net", "www.example.net"}, records: map[question]rbl.Records{
		{"mail.example.com", dns.TypeA}:   found("192.0.2.1"),
		{"half.example.com", dns.TypeA}:   found("192.0.2.1"),
		{"hosted.example", dns.TypeA}:     found("192.0.2.3"),
		{"hosted.example", dns.TypeMX}:    hosts(2),
		{"mx0.example.org", dns.TypeA}:    found("192.0.2.4"),
		{"mx1.example.org", dns.TypeAAAA}: found("2001:db8::5"),
		{"many.example", dns.TypeMX}:      hosts(maxHosts + 1),
	}}
	var pool []string
	for i := range rbl.MaxAddresses { // as many as are kept of one answer: there may be more
		pool = append(pool, fmt.Sprintf("198.51.100.%d", i))
	}
	w.records[question{"pool.example.com", dns.TypeA}] = found(pool...)
	own := &policy.Own{Domains: map[string]bool{"hosted.example": true, "many.example": true}}
	for _, c := range []struct {
		name, helo, sender string
		addresses, hosted  string
		names              string
	}{
		{"no greeting that the DNS can know", "localhost", "a@example.com", "false", "false", "sender example.com, PTR mail.example.net"},
		{"an address literal", "[192.0.2.1]", "", "false", "false", "PTR mail.example.net"},
		{"an illegal name", "a..example.com", "a@b..example", "false", "false", "PTR mail.example.net"},
		{"a sender with a Kelvin sign", "mail.example.com", "a@\u212aelvin.example", "192.0.2.1 true", "false", "HELO mail.example.com, PTR mail.example.net"},
		{"a name and a sender", "mail.example.com", "a@EXAMPLE.com.", "192.0.2.1 true", "false", "HELO mail.example.com, sender example.com, PTR mail.example.net"},
		{"one name for all", "mail.example.net", "a@mail.example.net", "true", "false", "HELO mail.example.net"},
		{"a hosted domain", "a.hosted.example", "", "true", "192.0.2.3 192.0.2.4 2001:db8::5 true", "HELO a.hosted.example, PTR mail.example.net"},
		{"a name of a whole pool", "pool.example.com", "", strings.Join(pool, " ") + " false", "false", "HELO pool.example.com, PTR mail.example.net"},
		{"one with too many MX hosts to look at", "many.example", "", "true", "192.0.2.4 2001:db8::5 false", "HELO many.example, PTR mail.example.net"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDNS(w, w, allNames)
			defer d.Close()
			f := policy.Facts{Own: own}
			q := rcpt(t, "helo_name="+c.helo, "sender="+c.sender)
			d.gather(t.Context(), policy.NeedDNS, q, &f)
			if f.ClientName != "mail.example.net" || f.PTR.Status != rbl.PTRConfirmed || f.Lists.Subject != "203.0.113.7" {
				t.Errorf("PTR %v %q, lists of %q", f.PTR, f.ClientName, f.Lists.Subject)
			}
			var names []string
			for _, n := range f.NameLists {
				names = append(names, n.Of+" "+n.Report.Subject)
			}
			if got := strings.Join(names, ", "); got != c.names {
				t.Errorf("names: %s", got)
			}
			if got := addressesOf(f.HELOAddresses); got != c.addresses {
				t.Errorf("HELO addresses: %s", got)
			}
			if got := addressesOf(f.Hosted); got != c.hosted {
				t.Errorf("hosted: %s", got)
			}
		})
	}
	for _, d := range []*DNS{nil, {}} {
		f := policy.Facts{Own: own}
		d.start(policy.NeedDNS, rcpt(t), own, true, noon)
		if late := d.gather(t.Context(), policy.NeedDNS, rcpt(t), &f); late != 0 || f.ClientName != "" || f.Lists.Answers != nil {
			t.Errorf("without a DNS: late %b, %+v", late, f)
		}
	}
}

func TestANewClientCostsAtMostTwiceAsManyQuestionsAsThereAreLists(t *testing.T) {
	for ofAddresses := range 5 {
		for ofNames := range 5 {
			for _, n := range []Names{{}, {PTR: true}, {HELO: true, PTR: true}, {Sender: true, PTR: true}, allNames} {
				got := n.Within(ofAddresses, ofNames)
				asked := ofAddresses
				for _, one := range []bool{got.HELO, got.Sender, got.PTR} {
					if one {
						asked += ofNames
					}
				}
				if asked > 2*(ofAddresses+ofNames) {
					t.Errorf("%d and %d lists: %v asks %d questions", ofAddresses, ofNames, got, asked)
				}
				if fits := ofNames <= ofAddresses || n != allNames; fits && got != n {
					t.Errorf("%d and %d lists: %v is %v", ofAddresses, ofNames, n, got)
				}
			}
		}
	}
}

func addressesOf(a policy.Addresses) string {
	var words []string
	for _, addr := range a.List {
		words = append(words, addr.String())
	}
	return strings.Join(append(words, fmt.Sprint(a.Known)), " ")
}

func TestCloseEndsWhatIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &slowDNS{takes: time.Millisecond, never: "PTR"}
		d := newDNS(w, w, allNames)
		start := time.Now()
		for range 3 { // of one client there is one
			d.start(policy.NeedPTR|policy.NeedNameLists, rcpt(t), &policy.Own{}, true, noon)
		}
		for i := range 2 * maxFollow {
			d.follow(fmt.Sprint(i), func(ctx context.Context) { <-ctx.Done() })
		}
		if n := len(d.following); n != maxFollow {
			t.Errorf("%d are followed", n)
		}
		d.Close()
		if took := time.Since(start); took != 0 {
			t.Errorf("Close took %v", took)
		}
		d.follow("late", func(context.Context) { t.Error("followed after Close") })
	})
	synctest.Test(t, func(t *testing.T) {
		w := &slowDNS{takes: time.Millisecond, never: "PTR"}
		d := newDNS(w, w, allNames)
		start := time.Now()
		d.start(policy.NeedPTR|policy.NeedNameLists, rcpt(t), &policy.Own{}, true, noon)
		d.followers.Wait()
		if took := time.Since(start); took != followFor {
			t.Errorf("a lookup without an answer was followed for %v", took)
		}
		d.Close()
	})
}

func TestALookupIsFollowedOnceAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDNS(&slowDNS{}, &slowDNS{}, allNames)
		defer d.Close()
		follows := 0
		for range 2 {
			for range 3 {
				d.follow("192.0.2.1", func(ctx context.Context) { follows++; <-ctx.Done() })
				synctest.Wait()
			}
			time.Sleep(followFor)
			synctest.Wait()
		}
		if follows != 2 {
			t.Errorf("followed %d times", follows)
		}
	})
}

func TestANameIsTheClientsOnlyIfConfirmed(t *testing.T) {
	for status, want := range map[rbl.PTRStatus]string{rbl.PTRUnknown: "", rbl.PTRMissing: "", rbl.PTRUnconfirmed: "", rbl.PTRConfirmed: "mx.example.com"} {
		if got := reverseName(rbl.PTR{Status: status, Names: []string{"mx.example.com"}}); got != want {
			t.Errorf("%v: %q", status, got)
		}
	}
	w := &slowDNS{}
	d := newDNS(w, w, allNames)
	defer d.Close()
	q := rcpt(t)
	q.ClientName = "given.example.com" // by hand, to check
	d.gather(t.Context(), policy.NeedPTR, q, &policy.Facts{Own: &policy.Own{}})
	if asked := w.questions(); len(asked) != 0 {
		t.Errorf("asked %q", asked)
	}
}

func TestWhatIsLateOrFailsIsNotKnown(t *testing.T) {
	w := &slowDNS{never: "AAAA", records: map[question]rbl.Records{{"hosted.example", dns.TypeMX}: {Outcome: rbl.Failed}}}
	d := newDNS(w, w, allNames)
	defer d.Close()
	f := policy.Facts{Own: &policy.Own{Domains: map[string]bool{"hosted.example": true}}}
	q := rcpt(t, "helo_name=mail.example.com")
	if late := d.gather(over, policy.NeedHELOAddresses, q, &f); late != policy.NeedHELOAddresses || f.HELOAddresses.Known {
		t.Errorf("late %b, %+v", late, f.HELOAddresses)
	}
	w.never = ""
	if d.gather(t.Context(), policy.NeedHosted, rcpt(t, "helo_name=hosted.example"), &f); f.Hosted.Known {
		t.Errorf("its MX hosts are not known: %+v", f.Hosted)
	}
}

func TestANetworkIsA24OrA56(t *testing.T) {
	for _, c := range []struct {
		one, other string
		same       bool
	}{
		{"192.0.2.1", "192.0.2.255", true},
		{"192.0.2.1", "192.0.3.1", false},
		{"2001:db8:0:100::1", "2001:db8:0:1ff::1", true},
		{"2001:db8:0:100::1", "2001:db8:0:200::1", false},
	} {
		same := 0
		for range 3 { // by chance, two share a counter
			a := newAllowance()
			if a.slot(netip.MustParseAddr(c.one), true) == a.slot(netip.MustParseAddr(c.other), true) {
				same++
			}
		}
		if (same == 3) != c.same {
			t.Errorf("%s and %s", c.one, c.other)
		}
	}
}
