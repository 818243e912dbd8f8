package acl

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"eximpolicyd/internal/ledger"
	"eximpolicyd/policy"
	"eximpolicyd/rbl"
)

// explained decides and explains, as it is read back from a line.
func explained(t *testing.T, d *Decider, known Provider, words ...string) *Explanation {
	t.Helper()
	return readBack(t, d.decide(t.Context(), rcpt(t, words...), noon, known, false))
}

func readBack(t *testing.T, m *moment) *Explanation {
	t.Helper()
	m.out.ID = "1xWDejTdYC"
	var x Explanation
	if err := json.Unmarshal(m.line(), &x); err != nil {
		t.Fatal(err)
	}
	return &x
}

// changesOf writes what would have changed a decision.
func changesOf(x *Explanation) string {
	var b strings.Builder
	for _, c := range x.Changes {
		fmt.Fprintf(&b, "if %s: %s", c.If, c.Then)
		if c.Do != "" {
			fmt.Fprintf(&b, " [%s]", c.Do)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

const letIn = `if the client were allowed: no rule would have been asked [eximpolicyd allow add 203.0.113.7, or for ever: exempt.allow = ["203.0.113.7"]]` + "\n"

func TestWhatWouldHaveChangedADecision(t *testing.T) {
	p, data := made("p", 99, atRCPT), made("d", 99, atData)
	on, seen := policy.Enforce, policy.Observe
	for _, c := range []struct {
		name  string
		rules []policy.Bound
		words []string
		known *facts
		set   func(*Decider)
		want  string
	}{
		{"nothing was objected to", nil, nil, &facts{}, nil,
			"if 5.0 more were scored: deny 550 5.7.1 by score: 0.0 is that much below reject\n"},
		{"1.0 below reject", []policy.Bound{says(p, "1", on, score(40))}, nil, &facts{}, nil,
			"if 1.0 more were scored: deny 550 5.7.1 by score: 4.0 is that much below reject\n"},
		{"0.5 below the mark", []policy.Bound{says(data, "1", on, score(25))}, []string{"protocol_state=DATA"}, &facts{}, nil,
			"if 2.5 more were scored: deny 550 5.7.1 by score: 2.5 is that much below reject\nif 0.5 more were scored: no opinion, and marked\n"},
		{"it is marked", []policy.Bound{says(data, "1", on, score(35))}, []string{"protocol_state=DATA"}, &facts{}, nil,
			"if 1.5 more were scored: deny 550 5.7.1 by score: 3.5 is that much below reject\nif 0.6 less were scored: no mark\n"},
		{"what is observed would mark", []policy.Bound{says(data, "1", seen, score(30))}, []string{"protocol_state=DATA"}, &facts{}, nil,
			"if 5.0 more were scored: deny 550 5.7.1 by score: 0.0 is that much below reject\nif 3.0 more were scored: no opinion, and marked\n" +
				"if every rule that scored were enforced: no opinion, and marked, score 3.0\n"},
		{"one rule refuses", []policy.Bound{says(p, "1", on, deny), says(p, "2", on, score(20))}, nil, &facts{}, nil,
			"if p.1 only observed: no opinion, would deny by p.1 [policy.p.rules.1 = \"observe\"]\n" + letIn},
		{"a second one refuses behind it", []policy.Bound{says(p, "1", on, later), says(p, "2", on, drop)}, nil, &facts{}, nil,
			"if p.1 only observed: drop 554 5.7.1 by p.2 [policy.p.rules.1 = \"observe\"]\n" +
				"if p.1 and p.2 only observed: no opinion, would defer by p.1 [policy.p.rules.1 = \"observe\" and policy.p.rules.2 = \"observe\"]\n" + letIn},
		{"behind it the score refuses", []policy.Bound{says(p, "1", on, deny), says(p, "2", on, score(55))}, nil, &facts{}, nil,
			"if p.1 only observed: deny 550 5.7.1 by score [policy.p.rules.1 = \"observe\"]\n" +
				"if p.1 and p.2 only observed: no opinion, would deny by p.1 [policy.p.rules.1 = \"observe\" and policy.p.rules.2 = \"observe\"]\n" + letIn},
		{"the score refuses", []policy.Bound{says(p, "1", on, score(20)), says(p, "2", on, score(25)), says(p, "3", on, score(6))}, nil, &facts{}, nil,
			"if p.1 only observed: no opinion, would deny by score [policy.p.rules.1 = \"observe\"]\n" +
				"if p.2 only observed: no opinion, would deny by score [policy.p.rules.2 = \"observe\"]\n" +
				"if p.3 only observed: no opinion, would deny by score [policy.p.rules.3 = \"observe\"]\n" +
				"if 0.2 less were scored: no refusal: 5.1 reaches the 5.0 that is refused\n" + letIn},
		{"the score refuses, and two rules are each not enough", []policy.Bound{says(p, "1", on, score(60)), says(p, "2", on, score(60))}, nil, &facts{}, nil,
			"if 5.0 less were scored: no refusal: 9.9 reaches the 5.0 that is refused\n" + letIn},
		{"it would refuse", []policy.Bound{says(p, "1", seen, deny)}, nil, &facts{}, nil,
			"if p.1 were enforced: deny 550 5.7.1 by p.1 [policy.p.rules.1 = \"enforce\"]\n" +
				"if 5.0 more were scored: deny 550 5.7.1 by score: 0.0 is that much below reject\n" + letIn},
		{"the score would refuse", []policy.Bound{says(p, "1", seen, score(30)), says(p, "2", on, score(20))}, nil, &facts{}, nil,
			"if p.1 were enforced: deny 550 5.7.1 by score [policy.p.rules.1 = \"enforce\"]\n" +
				"if 3.0 more were scored: deny 550 5.7.1 by score: 2.0 is that much below reject\n" + letIn},
		{"a dry run", []policy.Bound{says(p, "1", seen, deny)}, nil, &facts{}, func(d *Decider) { d.Mode = policy.Observe },
			"if p.1 were enforced: deny 550 5.7.1 by p.1\n" +
				"if 5.0 more were scored: deny 550 5.7.1 by score: 0.0 is that much below reject\n" + letIn},
		{"in exempt.allow", []policy.Bound{says(p, "1", on, deny)}, nil, &facts{}, func(d *Decider) { d.Exempt.Allow = prefixes("203.0.113.0/24") },
			"if the client were not in exempt.allow: the rules would have been asked [take its network out of exempt.allow]\n"},
		{"in exempt.deny", []policy.Bound{says(p, "1", on, deny)}, nil, &facts{}, func(d *Decider) { d.Exempt.Deny = prefixes("203.0.113.0/24") },
			"if the client were not in exempt.deny: the rules would have been asked [take its network out of exempt.deny]\n"},
		{"a fact came too late", []policy.Bound{says(p, "1", on, score(10)), unsure(p, "2")}, nil, &facts{late: policy.NeedPTR}, nil,
			"if 4.0 more were scored: deny 550 5.7.1 by score: 1.0 is that much below reject\n" +
				"if every answer of the DNS had come in time: p.2 would have had an opinion\n"},
		{"a bad Message-ID", []policy.Bound{says(made("messageid", 99, atData), "M1", on, deny)}, []string{"protocol_state=DATA"}, &facts{}, nil,
			"if messageid.M1 only observed: no opinion, would deny by messageid.M1 [policy.messageid.rules.M1 = \"observe\"]\n" + letIn +
				`if its sender's domain were an exception: messageid would not have been asked [policy.messageid.except_senders = ["example.com"]]` + "\n"},
		{"before there is a score", []policy.Bound{says(made("h", 99, 1<<policy.Helo), "1", on, drop)}, []string{"protocol_state=HELO"}, &facts{}, nil,
			"if h.1 only observed: no opinion, would drop by h.1 [policy.h.rules.1 = \"observe\"]\n" + letIn},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := deciderOf(c.rules...)
			if c.set != nil {
				c.set(d)
			}
			if got := changesOf(explained(t, d, c.known, c.words...)); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
}

// unsure makes a rule that lacks the client's name.
func unsure(p *policy.Policy, id string) policy.Bound {
	b := says(p, id, policy.Enforce, deny)
	b.Needs = policy.NeedPTR
	b.Judge = func(*policy.Request, *policy.Facts) policy.Verdict {
		return policy.Verdict{Unknown: true, Reason: "the name is not known"}
	}
	return b
}

func TestABanIsExplainedWithItsEnd(t *testing.T) {
	b := newBook()
	b.standing.Enforced = ban(1, "dictionary.window")
	x := explained(t, guards(policy.Enforce), &facts{recall: b.recall(true)})
	want := "if it were after 2026-12-01T13:00:00Z: the rules would have been asked\n" +
		"if the ban were lifted: the rules would have been asked [eximpolicyd ban remove 203.0.113.0/24]\n" +
		"if the client were allowed: no ban and no rule would have been looked at [eximpolicyd allow add 203.0.113.7]\n"
	if got := changesOf(x); got != want || len(x.Bans) != 1 || x.Bans[0].Level != 1 || x.Rule != "ban" {
		t.Errorf("%s\n%+v", got, x.Bans)
	}
	b.standing.Enforced.Enforced = false
	b.standing.Observed, b.standing.Enforced = b.standing.Enforced, nil
	x = explained(t, guards(policy.Enforce), &facts{recall: b.recall(true)})
	if got := changesOf(x); !strings.HasPrefix(got, "if the ban had been made by a rule that is enforced, and still were: defer 451 4.7.1\n") || !strings.Contains(got, "eximpolicyd ban remove") {
		t.Errorf("%s", got)
	}
	b.standing = ledger.Standing{Allowed: &ledger.Allowed{Network: netip.MustParsePrefix("203.0.113.7/32"), Because: "ticket 7"}}
	x = explained(t, guards(policy.Enforce), &facts{recall: b.recall(true)})
	if got := changesOf(x); !strings.Contains(got, "[eximpolicyd allow remove 203.0.113.7/32]") || x.Allowed.Because != "ticket 7" {
		t.Errorf("%s", got)
	}
}

// The lists that refused are named, with what they said and for how long it held, and which of them would have been enough.
func TestListingsAreExplained(t *testing.T) {
	d := deciderOf(table(policy.Enforce, policy.Enforce, policy.Lenient)...)
	fresh := answerOf(rbl.Clear, 2*time.Minute)
	fresh.Cached, fresh.Server = false, netip.MustParseAddrPort("192.0.2.53:53")
	old := answerOf(rbl.Listed, 34*time.Minute)
	old.Age, old.Server = 26*time.Minute, fresh.Server
	x := explained(t, d, &facts{fill: func(f *policy.Facts) {
		f.Lists = rbl.Report{Subject: "203.0.113.7", Answers: []rbl.Answer{old, answerOf(rbl.Unknown, 0)}}
		f.NameLists = []policy.NameReport{{Of: "HELO", Report: rbl.Report{Subject: "mail.example.com", Answers: []rbl.Answer{answerOf(rbl.Clear, time.Minute), fresh}}}}
		f.ListText, f.PTR = "see there", rbl.PTR{Status: rbl.PTRMissing, Origin: rbl.Origin{TTL: time.Hour, Server: fresh.Server}}
		f.HELOAddresses = policy.Addresses{Known: true, List: []netip.Addr{netip.MustParseAddr("198.51.100.1")}, Origin: rbl.Origin{TTL: time.Hour, Age: time.Minute}}
	}})
	if x.Rule != "rbl.L1" || !strings.Contains(changesOf(x), "if list.example did not list 203.0.113.7: no opinion") {
		t.Errorf("%s: %s", x.Rule, changesOf(x))
	}
	got := fmt.Sprintf("%+v", x.DNS)
	for _, want := range []string{
		"{Asked:PTR Of:203.0.113.7 Said:missing What:[] Score:0.0 TTL:3600 Source:server Age:0 Server:192.0.2.53:53 Why:}",
		"{Asked:A, AAAA Of:mail.example.com Said:found What:[198.51.100.1] Score:0.0 TTL:3600 Source:cache Age:60 Server: Why:}",
		"{Asked:list.example Of:203.0.113.7 Said:listed What:[127.0.0.2] Score:5.0 TTL:2040 Source:cache Age:1560 Server:192.0.2.53:53 Why:}",
		"{Asked:list.example Of:203.0.113.7 Said:unknown What:[] Score:0.0 TTL:0 Source: Age:0 Server: Why:no answer in time}",
		"{Asked:list.example Of:mail.example.com Said:clear What:[] Score:0.0 TTL:60 Source:cache Age:0 Server: Why:}",
		"{Asked:list.example Of:mail.example.com Said:clear What:[] Score:0.0 TTL:120 Source:server Age:0 Server:192.0.2.53:53 Why:}",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in\n%s", want, got)
		}
	}
}

func TestWhatWasCountedIsExplained(t *testing.T) {
	b := newBook()
	known := &facts{recall: b.recall(true)}
	d := deciderOf(table(policy.Enforce, policy.Enforce, policy.Lenient)...)
	var x *Explanation
	for range 5 {
		x = explained(t, d, known, "rcpt_verify=unknown")
	}
	if x.Rule != "dictionary.hard" || len(x.Memory) != 3 || x.Memory[0].Bad != 5 || x.Memory[1].Of != "203.0.113.7/32" || x.Memory[1].Bad != 5 || x.Memory[2].Of != "203.0.113.0/24" {
		t.Errorf("%s %+v", x.Rule, x.Memory)
	}
	for _, s := range x.Trace {
		if s.Rule == "dictionary.hard" && !strings.Contains(s.Why, "5 unknown and 0 good recipients") {
			t.Errorf("%+v", s)
		}
	}
	if x = explained(t, d, &facts{unproven: true, recall: b.recall(false)}); !x.Synthetic || x.Memory != nil {
		t.Errorf("of a connection that is not proven: %+v", x)
	}
}

// The class is told with why it applies, and why the others do not; who is exempt is told what did not apply.
func TestAnExemptionIsExplained(t *testing.T) {
	x := explained(t, deciderOf(table(policy.Enforce, policy.Enforce, policy.Strict)...), &facts{}, "sasl_method=plain", "sasl_username=anna", "helo_name=localhost")
	trace := fmt.Sprint(x.Trace)
	if x.Class != "auth" || x.Action != "dunno" || !strings.Contains(trace, "{exempt.auth  applies 0.0 authenticated}") ||
		!strings.Contains(trace, "{exempt.private  no 0.0 not a private address}") || !strings.Contains(trace, "{helo.H7 enforce skip 0.0 skipped for class auth}") {
		t.Errorf("%s %s", x.Class, trace)
	}
}

// Addresses of people stand in it as in the log.
func TestAnExplanationKeepsThePrivacyOfTheLog(t *testing.T) {
	d := deciderOf(table(policy.Enforce, policy.Enforce, policy.RFC)...)
	words := []string{"protocol_state=DATA", "sender=alice@example.com", "recipient=bob@example.org", "msgid=alice@example.com", "msgid_present=1", "msgid_count=1",
		"auth_fail_id=alice", "remote_first=bob@example.org", "rcpt_verify_failure=for bob@example.org", "list_id=<alice@example.com>"}
	for privacy, names := range map[Privacy]bool{Full: true, Hashed: false, None: false} {
		m := d.decide(t.Context(), rcpt(t, words...), noon, &facts{}, false)
		m.privacy = privacy
		line := string(m.line())
		if got := strings.Contains(line, "alice") && strings.Contains(line, "bob"); got != names || !names && (strings.Contains(line, "alice") || strings.Contains(line, "bob")) {
			t.Errorf("%d: %s", privacy, line)
		}
		if privacy == Hashed && !strings.Contains(line, `"sender":"2bd806c9@example.com"`) {
			t.Errorf("%s", line)
		}
	}
}

// A decision that a fact changed while it was made says so.
func TestADecisionThatComesOutOtherwiseSaysSo(t *testing.T) {
	d := deciderOf(says(made("p", 99, atRCPT), "1", policy.Enforce, deny))
	m := d.decide(t.Context(), rcpt(t), noon, &facts{}, false)
	m.out.Action, m.out.Rule, m.out.Code = policy.Dunno, "", ""
	if x := readBack(t, m); !strings.Contains(x.Again, "which is deny 550 5.7.1 by p.1") {
		t.Errorf("%q", x.Again)
	}
}
