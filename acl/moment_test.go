package acl

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"eximpolicyd/internal/ledger"
	"eximpolicyd/policy"
	"eximpolicyd/rbl"
)

// madeUpFacts is a provider that tells what costs only to whom it must, and has a memory that counts.
type madeUpFacts struct {
	policy.Facts
	recall *Recall
}

func (p madeUpFacts) Gather(_ context.Context, needs policy.Need, _ *policy.Request, f *policy.Facts) policy.Need {
	f.Account, f.Greetings, f.ClientUID, f.OnlyPostmaster = p.Account, p.Greetings, p.ClientUID, p.OnlyPostmaster
	f.EximUID, f.Interfaces, f.HELOAddresses = p.EximUID, p.Interfaces, p.HELOAddresses
	if needs&policy.NeedPTR != 0 {
		f.PTR, f.ClientName = p.PTR, p.ClientName
	}
	if needs&policy.NeedLists != 0 {
		f.Lists = p.Lists
	}
	if needs&policy.NeedListText != 0 {
		f.ListText = p.ListText
	}
	if needs&policy.NeedProgram != 0 {
		f.Program = p.Program
	}
	if needs&policy.NeedHold != 0 {
		f.Held = p.Held
	}
	return 0
}

func (p madeUpFacts) Start(policy.Need, *policy.Request, *policy.Facts) {}

func (p madeUpFacts) Proven() bool { return p.recall.proven }

func (p madeUpFacts) Recall() *Recall { return p.recall }

// pick returns one of a list.
func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// madeUp makes a request, facts, a memory and a decider, at random and so that much is objected to.
func madeUp(t *testing.T, r *rand.Rand) (*Decider, *policy.Request, madeUpFacts, *book) {
	q := rcpt(t,
		"protocol_state="+pick(r, "RCPT", "RCPT", "RCPT", "DATA", "CONNECT", "HELO", "MAIL", "NOTQUIT", "NOT_SMTP"),
		"client_address="+pick(r, "203.0.113.7", "203.0.113.7", "203.0.113.7", "203.0.113.7", "203.0.113.7", "203.0.113.7", "127.0.0.1", "10.0.0.1", "2001:db8::7", "", ""),
		"helo_name="+pick(r, "mail.example.com", "localhost", "mx.example.org", "ylmf-pc", "a_b", "hosted.example", "203.0.113.7", "[192.0.2.9]"),
		"sender="+pick(r, "alice@example.com", "bob@example.net", ""), "recipient="+pick(r, "bob@example.org", "bob@example.org", "bob@example.org", "postmaster@example.org"),
		"rcpt_verify="+pick(r, "ok", "unknown", "unknown", "none"), "server_port="+pick(r, "25", "25", "25", "587"), "command_history="+pick(r, "", "AUTH,AUTH,AUTH"),
		"msgid_present="+pick(r, "", "0", "1"), "msgid_count="+pick(r, "", "2"), "msgid="+pick(r, "", "x", "<a@b.example>"), "date_present="+pick(r, "", "0"),
		"sasl_method="+pick(r, "", "", "", "", "", "plain"), "relay_host="+pick(r, "0", "0", "0", "0", "0", "1"), "remote_count="+pick(r, "0", "3", "3"), "uid="+pick(r, "99", "33"))
	f := policy.Facts{
		Account: pick(r, "", "nobody", "nobody", "www-data"), Greetings: []policy.Greeting{{Name: "one.example"}, {Name: q.HELO.Value}},
		ClientUID: policy.Maybe[uint32]{Value: 33, Known: r.IntN(2) == 0}, PTR: pick(r, rbl.PTR{}, rbl.PTR{Status: rbl.PTRMissing},
			rbl.PTR{Status: rbl.PTRUnconfirmed, Names: []string{"x.example"}}, rbl.PTR{Status: rbl.PTRConfirmed, Names: []string{"mail.example.com"}}),
		HELOAddresses: policy.Addresses{Known: r.IntN(2) == 0, List: pick(r, nil, []netip.Addr{netip.MustParseAddr("198.51.100.1")})},
		Lists:         rbl.Report{Subject: "203.0.113.7", Answers: []rbl.Answer{answerOf(pick(r, rbl.Unknown, rbl.Clear, rbl.Listed), pick(r, time.Duration(0), time.Minute))}},
		ListText:      pick(r, "", "see there"), Held: policy.Maybe[int]{Value: pick(r, 1, 30), Known: true}, OnlyPostmaster: r.IntN(5) == 0,
	}
	if f.PTR.Status == rbl.PTRConfirmed {
		f.ClientName = f.PTR.Names[0]
	}
	b := newBook()
	b.gone = r.IntN(6) == 0
	for _, k := range []ledger.Key{ledger.Of(ledger.Client(q.Client)), ledger.Total} {
		b.counts[k] = ledger.Counts{Hour: ledger.Hour{Bad: pick(r, 0, 4, 19, 30), OnlyBad: pick(r, 0, 5), Failed: pick(r, 0, 20), Seen: r.IntN(6)},
			Day: ledger.Day{Clean: pick(r, 0, 30), Trapped: r.IntN(4)}}
	}
	if r.IntN(8) == 0 {
		b.standing.Enforced = ban(1+r.IntN(4), pick(r, "dictionary.window", "auth.AU1", ledger.Admin))
	}
	if r.IntN(8) == 0 {
		b.standing.Observed = ban(1+r.IntN(4), "dictionary.spread")
		b.standing.Observed.Enforced = false
	}
	setups := map[string]policy.Setup{"nobody": {Settings: &policy.Nobody{Users: []string{"nobody"}, Action: pick(r, "deny", "freeze", "freeze")}}}
	preset := pick(r, policy.Lenient, policy.RFC, policy.Strict)
	for _, p := range policy.Table() {
		setups[p.Name] = policy.Setup{Preset: preset, Settings: setups[p.Name].Settings}
	}
	rules := policy.Bind(policy.Table(), setups, policy.Enforce)
	for i := range rules {
		rules[i].Mode = pick(r, policy.Off, policy.Observe, policy.Observe, policy.Enforce, policy.Enforce)
		if r.IntN(10) == 0 {
			rules[i].GraceUntil = noon.Add(time.Hour)
		}
	}
	d := deciderOf(rules...)
	d.Mode = pick(r, policy.Enforce, policy.Enforce, policy.Observe)
	d.Own.Domains = map[string]bool{"hosted.example": true}
	if r.IntN(12) == 0 {
		d.Exempt.Deny = prefixes("203.0.113.0/24")
	}
	recall := b.recall(r.IntN(5) > 0)
	recall.here.deeds.here.Bad = pick(r, 0, 0, 4)
	return d, q, madeUpFacts{f, recall}, b
}

func answerOf(status rbl.Status, ttl time.Duration) rbl.Answer {
	a := rbl.Answer{Zone: testZone(), Status: status, TTL: ttl, Cached: true}
	switch status {
	case rbl.Listed:
		a.Codes = []rbl.Code{{0, 0, 2}}
	case rbl.Unknown:
		a.Why = "no answer in time"
	}
	return a
}

// Whatever was decided is decided again by what is kept of it, and nothing is counted or banned for that.
func TestADecisionIsMadeAgainByWhatIsKeptOfIt(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 7))
	seen := map[string]int{}
	const most = 3000
	for i := range most {
		d, q, known, b := madeUp(t, r)
		was := d.decide(t.Context(), q, noon, known, false)
		tallied, offences := b.tallied, len(b.offences)
		again := was.again(true, nil)
		got, want := brief(&again)+again.Reason+again.Text, brief(&was.out)+was.out.Reason+was.out.Text
		if got != want || again.Delay != was.out.Delay || again.Class != was.out.Class || again.Synthetic != was.out.Synthetic {
			t.Fatalf("%d: %s\nwant %s\n%v", i, got, want, Pairs(q))
		}
		line := was.line()
		if b.tallied != tallied || len(b.offences) != offences {
			t.Fatalf("%d: explaining counts or bans", i)
		}
		if strings.Contains(string(line), `"again"`) {
			t.Fatalf("%d: %s", i, line)
		}
		seen[was.out.Action.String()]++
		seen["by "+was.out.Rule]++
	}
	for _, what := range []string{"dunno", "defer", "deny", "drop", "by ban", "by deny", "by score", "by rbl.L1", "by helo.H17", "by dictionary.window",
		"by dictionary.hard", "by messageid.M2", "freeze"} {
		if seen[what] < 5 {
			t.Errorf("only %d are %s: %v", seen[what], what, seen)
		}
	}
	t.Logf("FIGURE decisions made again as they were: %d of %d", most, most)
}
