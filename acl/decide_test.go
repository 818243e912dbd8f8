package acl

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"eximpolicyd/policy"
)

// made is a policy for tests; its rules are at RCPT and capped at 9.9 unless a test says otherwise.
func made(name string, limit policy.Score, stages policy.Stages) *policy.Policy {
	return &policy.Policy{Name: name, Cap: limit, Stages: stages}
}

const (
	atRCPT = policy.Stages(1 << policy.RCPT)
	atData = policy.Stages(1 << policy.Data)
)

// says makes a rule that always answers so.
func says(p *policy.Policy, id string, mode policy.Mode, a policy.Answer) policy.Bound {
	return policy.Bound{Policy: p, Name: p.Name + "." + id, Mode: mode, Rule: policy.Rule{
		ID: id, Answers: policy.Answers{a, a, a},
		Judge: func(*policy.Request, *policy.Facts) policy.Verdict {
			return policy.Verdict{Hit: true, Text: "text of " + id, Reason: "reason of " + id, Effects: []policy.Effect{{Kind: policy.Ban}}}
		},
	}}
}

var (
	deny  = policy.Answer{Action: policy.Deny, Code: "550 5.7.1"}
	drop  = policy.Answer{Action: policy.Drop, Code: "554 5.7.1"}
	later = policy.Answer{Action: policy.Defer, Code: "451 4.7.1"}
)

func score(tenths policy.Score) policy.Answer { return policy.Answer{Score: tenths} }

func decide(d *Decider, q *policy.Request) Decision {
	return d.Decide(context.Background(), q, noon, &facts{}, true)
}

// brief says in one line what was decided.
func brief(d *Decision) string {
	s := fmt.Sprintf("%s %s %s %v %s", d.Action, d.Code, d.Rule, d.Rules, d.Score)
	if w := d.Would.String(); w != "" {
		s += " would " + w
	}
	if d.Mark {
		s += " mark"
	}
	return s
}

func TestObjectionsAndScores(t *testing.T) {
	p, p2 := made("p", 99, atRCPT), made("q", 99, atRCPT)
	data := made("d", 99, atData)
	tight, tight2 := made("t", 40, atRCPT), made("u", 40, atRCPT)
	grouped := func(b policy.Bound, group string) policy.Bound { b.Group = group; return b }
	graced := func(b policy.Bound) policy.Bound { b.GraceUntil = noon.Add(time.Second); return b }
	over := func(b policy.Bound) policy.Bound { b.GraceUntil = noon; return b }
	on, seen, off := policy.Enforce, policy.Observe, policy.Off
	for _, c := range []struct {
		name  string
		rules []policy.Bound
		stage string
		want  string
	}{
		{"a hard objection decides and the later ones are listed", []policy.Bound{says(p, "1", on, deny), says(p, "2", on, drop)}, "RCPT", "deny 550 5.7.1 p.1 [p.1 p.2] 0.0"},
		{"the order of the table decides, not the hardness", []policy.Bound{says(p, "1", on, later), says(p2, "2", on, deny)}, "RCPT", "defer 451 4.7.1 p.1 [p.1 q.2] 0.0"},
		{"an observed objection is only noted", []policy.Bound{says(p, "1", seen, drop)}, "RCPT", "dunno 554 5.7.1 p.1 [p.1] 0.0 would drop"},
		{"the first observed objection is noted", []policy.Bound{says(p, "1", seen, later), says(p, "2", seen, drop)}, "RCPT", "dunno 451 4.7.1 p.1 [p.1 p.2] 0.0 would defer"},
		{"an enforced one behind an observed one decides", []policy.Bound{says(p, "1", seen, drop), says(p, "2", on, deny)}, "RCPT", "deny 550 5.7.1 p.2 [p.1 p.2] 0.0"},
		{"an observed one behind an enforced one is listed", []policy.Bound{says(p, "1", on, deny), says(p, "2", seen, drop)}, "RCPT", "deny 550 5.7.1 p.1 [p.1 p.2] 0.0"},
		{"a rule that is off is not asked", []policy.Bound{says(p, "1", off, deny)}, "RCPT", "dunno   [] 0.0"},
		{"a score below 5.0 refuses nothing", []policy.Bound{says(p, "1", on, score(49))}, "RCPT", "dunno   [p.1] 4.9"},
		{"a score of 5.0 refuses", []policy.Bound{says(p, "1", on, score(50))}, "RCPT", "deny 550 5.7.1 score [p.1] 5.0"},
		{"scores of two policies add up", []policy.Bound{says(p, "1", on, score(25)), says(p2, "1", on, score(25))}, "RCPT", "deny 550 5.7.1 score [p.1 q.1] 5.0"},
		{"observed scores refuse nothing", []policy.Bound{says(p, "1", seen, score(25)), says(p, "2", on, score(25))}, "RCPT", "dunno 550 5.7.1 score [p.1 p.2] 5.0 would deny"},
		{"a hard observed objection is noted before the sum", []policy.Bound{says(p, "1", seen, drop), says(p, "2", seen, score(60))}, "RCPT", "dunno 554 5.7.1 p.1 [p.1 p.2] 6.0 would drop"},
		{"the enforced sum decides over an observed objection", []policy.Bound{says(p, "1", seen, drop), says(p, "2", on, score(60))}, "RCPT", "deny 550 5.7.1 score [p.1 p.2] 6.0"},
		{"a group counts its highest once, lower first", []policy.Bound{grouped(says(p, "1", on, score(10)), "g"), grouped(says(p, "2", on, score(30)), "g"), grouped(says(p, "3", on, score(20)), "g")}, "RCPT", "dunno   [p.1 p.2 p.3] 3.0"},
		{"two groups count each", []policy.Bound{grouped(says(p, "1", on, score(10)), "g"), grouped(says(p, "2", on, score(20)), "h")}, "RCPT", "dunno   [p.1 p.2] 3.0"},
		{"groups of two policies of one name are two", []policy.Bound{grouped(says(p, "1", on, score(10)), "g"), grouped(says(p2, "2", on, score(20)), "g")}, "RCPT", "dunno   [p.1 q.2] 3.0"},
		{"a group and one outside it", []policy.Bound{grouped(says(p, "1", on, score(10)), "g"), says(p, "2", on, score(15)), grouped(says(p, "3", on, score(20)), "h")}, "RCPT", "dunno   [p.1 p.2 p.3] 4.5"},
		{"a policy's cap holds", []policy.Bound{says(tight, "1", on, score(30)), says(tight, "2", on, score(30))}, "RCPT", "dunno   [t.1 t.2] 4.0"},
		{"two capped policies refuse together", []policy.Bound{says(tight, "1", on, score(60)), says(tight2, "1", on, score(10))}, "RCPT", "deny 550 5.7.1 score [t.1 u.1] 5.0"},
		{"a negative score makes the sum less", []policy.Bound{says(p, "1", on, score(60)), says(p2, "1", on, score(-20))}, "RCPT", "dunno   [p.1 q.1] 4.0"},
		{"a negative score first", []policy.Bound{says(p, "1", on, score(-11)), says(p2, "1", on, score(60))}, "RCPT", "dunno   [p.1 q.1] 4.9"},
		{"a negative sum of a capped policy", []policy.Bound{says(tight, "1", on, score(-30)), says(tight, "2", on, score(10)), says(p2, "1", on, score(69))}, "RCPT", "dunno   [t.1 t.2 q.1] 4.9"},
		{"a sum below nothing", []policy.Bound{says(tight, "1", on, score(-25))}, "RCPT", "dunno   [t.1] -2.5"},
		{"a negative score takes nothing from a hard objection", []policy.Bound{says(p, "1", on, score(-60)), says(p2, "1", on, deny)}, "RCPT", "deny 550 5.7.1 q.1 [p.1 q.1] -6.0"},
		{"an observed negative score takes nothing from the enforced sum", []policy.Bound{says(p, "1", seen, score(-20)), says(p2, "1", on, score(50))}, "RCPT", "deny 550 5.7.1 score [p.1 q.1] 3.0"},
		{"a negative score in its grace does not soften the sum", []policy.Bound{graced(says(p, "1", on, score(-10))), says(p2, "1", on, score(60))}, "RCPT", "deny 550 5.7.1 score [p.1 q.1] 5.0"},
		{"a negative score keeps a message from its mark", []policy.Bound{says(data, "1", on, score(30)), says(p, "1", on, score(-1))}, "DATA", "dunno   [d.1 p.1] 2.9"},
		{"of a group with a negative score the highest counts", []policy.Bound{grouped(says(p, "1", on, score(-10)), "g"), grouped(says(p, "2", on, score(30)), "g")}, "RCPT", "dunno   [p.1 p.2] 3.0"},
		{"observed and enforced sums have caps of their own", []policy.Bound{says(tight, "1", seen, score(40)), says(tight, "2", on, score(40)), says(tight2, "1", on, score(10))}, "RCPT", "deny 550 5.7.1 score [t.1 t.2 u.1] 5.0"},
		{"grace makes a denial temporary", []policy.Bound{graced(says(p, "1", on, deny))}, "RCPT", "defer 451 4.7.1 p.1 [p.1] 0.0"},
		{"grace does not soften a drop", []policy.Bound{graced(says(p, "1", on, drop))}, "RCPT", "drop 554 5.7.1 p.1 [p.1] 0.0"},
		{"a grace that is over", []policy.Bound{over(says(p, "1", on, deny))}, "RCPT", "deny 550 5.7.1 p.1 [p.1] 0.0"},
		{"a score in its grace makes the sum's refusal temporary", []policy.Bound{graced(says(p, "1", on, score(25))), says(p2, "1", on, score(25))}, "RCPT", "defer 451 4.7.1 score [p.1 q.1] 5.0"},
		{"an observed sum in its grace would defer", []policy.Bound{graced(says(p, "1", seen, score(25))), says(p2, "1", seen, score(25))}, "RCPT", "dunno 451 4.7.1 score [p.1 q.1] 5.0 would defer"},
		{"an observed score in its grace does not soften the enforced sum", []policy.Bound{graced(says(p, "1", seen, score(25))), says(p2, "1", on, score(50))}, "RCPT", "deny 550 5.7.1 score [p.1 q.1] 7.5"},
		{"no mark at RCPT", []policy.Bound{says(p, "1", on, score(30))}, "RCPT", "dunno   [p.1] 3.0"},
		{"a mark at DATA from 3.0", []policy.Bound{says(data, "1", on, score(30))}, "DATA", "dunno   [d.1] 3.0 mark"},
		{"no mark below 3.0", []policy.Bound{says(data, "1", on, score(29))}, "DATA", "dunno   [d.1] 2.9"},
		{"no mark of observed scores", []policy.Bound{says(data, "1", seen, score(30)), says(data, "2", on, score(29))}, "DATA", "dunno 550 5.7.1 score [d.1 d.2] 5.9 would deny"},
		{"no mark of a refused message", []policy.Bound{says(data, "1", on, score(50))}, "DATA", "deny 550 5.7.1 score [d.1] 5.0"},
		{"a score of RCPT counts at DATA again", []policy.Bound{says(p, "1", on, score(25)), says(data, "1", on, score(25))}, "DATA", "deny 550 5.7.1 score [p.1 d.1] 5.0"},
		{"a hard objection of RCPT has had its stage at DATA", []policy.Bound{says(p, "1", on, deny), says(data, "1", on, score(10))}, "DATA", "dunno   [p.1 d.1] 1.0"},
		{"a rule of DATA is not asked at RCPT", []policy.Bound{says(data, "1", on, deny)}, "RCPT", "dunno   [] 0.0"},
		{"no sum at MAIL", []policy.Bound{says(made("m", 99, 1<<policy.Mail), "1", on, score(60))}, "MAIL", "dunno   [m.1] 6.0"},
		{"an objection at MAIL", []policy.Bound{says(made("m", 99, 1<<policy.Mail), "1", on, deny)}, "MAIL", "deny 550 5.7.1 m.1 [m.1] 0.0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := decide(deciderOf(c.rules...), rcpt(t, "protocol_state="+c.stage))
			if got := brief(&d); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestAllowAndDeny(t *testing.T) {
	rule := says(made("p", 99, atRCPT|1<<policy.Connect), "1", policy.Enforce, later)
	for _, c := range []struct {
		name  string
		words []string
		allow bool
		mode  policy.Mode
		want  string
	}{
		{"allow wins over deny and rules", []string{"protocol_state=RCPT"}, true, policy.Enforce, "dunno   [] 0.0"},
		{"a drop at CONNECT to port 25", []string{"protocol_state=CONNECT", "helo_name"}, false, policy.Enforce, "drop 554 5.7.1 deny [deny] 0.0"},
		{"a drop at HELO to port 25", []string{"protocol_state=HELO"}, false, policy.Enforce, "drop 554 5.7.1 deny [deny] 0.0"},
		{"not at CONNECT to port 587", []string{"protocol_state=CONNECT", "server_port=587"}, false, policy.Enforce, "defer 451 4.7.1 p.1 [p.1] 0.0"},
		{"not at CONNECT to a port that is not known", []string{"protocol_state=CONNECT", "server_port=-1"}, false, policy.Enforce, "defer 451 4.7.1 p.1 [p.1] 0.0"},
		{"not at MAIL", []string{"protocol_state=MAIL"}, false, policy.Enforce, "dunno   [] 0.0"},
		{"a denial at RCPT on port 587", []string{"server_port=587"}, false, policy.Enforce, "deny 554 5.7.1 deny [deny] 0.0"},
		{"a denial at RCPT on port 25", nil, false, policy.Enforce, "deny 554 5.7.1 deny [deny] 0.0"},
		{"not of an authenticated user", []string{"sasl_method=plain"}, false, policy.Enforce, "defer 451 4.7.1 p.1 [p.1] 0.0"},
		{"not of a relay of Exim's", []string{"relay_host=1"}, false, policy.Enforce, "defer 451 4.7.1 p.1 [p.1] 0.0"},
		{"not of a relay of ours at CONNECT", []string{"protocol_state=CONNECT", "client_address=203.0.113.200"}, false, policy.Enforce, "defer 451 4.7.1 p.1 [p.1] 0.0"},
		{"not at DATA", []string{"protocol_state=DATA"}, false, policy.Enforce, "dunno   [p.1] 0.0"},
		{"observed at RCPT, with the rules left out as if it were enforced", nil, false, policy.Observe, "dunno 554 5.7.1 deny [deny] 0.0 would deny"},
		{"observed at CONNECT", []string{"protocol_state=CONNECT"}, false, policy.Observe, "dunno 554 5.7.1 deny [deny] 0.0 would drop"},
		{"off", nil, false, policy.Off, "defer 451 4.7.1 p.1 [p.1] 0.0"},
		{"another client", []string{"client_address=198.51.100.1"}, false, policy.Enforce, "defer 451 4.7.1 p.1 [p.1] 0.0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := deciderOf(rule)
			d.Mode, d.Exempt.Deny, d.Exempt.Relay = c.mode, prefixes("203.0.113.0/24"), prefixes("203.0.113.200/32")
			if c.allow {
				d.Exempt.Allow = prefixes("203.0.113.7/32")
			}
			got := decide(d, rcpt(t, c.words...))
			if brief(&got) != c.want {
				t.Errorf("got  %s\nwant %s", brief(&got), c.want)
			}
		})
	}
}

func TestTheTraceIsInTheOrderAsked(t *testing.T) {
	d := decide(deciderOf(says(made("p", 99, atRCPT), "1", policy.Enforce, score(10)), says(made("p", 99, atRCPT), "2", policy.Off, deny)), rcpt(t, "relay_host=1"))
	var names []string
	for _, s := range d.Trace {
		names = append(names, s.Rule+" "+s.Result)
	}
	want := "allow no, exempt.local no, exempt.loopback no, exempt.auth no, exempt.submission no, exempt.private no, exempt.relay applies, " +
		"exempt.postmaster no, exempt.null no, deny no, ban unknown, p.1 hit, p.2 off, score pass"
	if got := strings.Join(names, ", "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestARuleThatPanicsIsSkipped(t *testing.T) {
	p := made("p", 99, atRCPT)
	broken := says(p, "broken", policy.Enforce, deny)
	broken.Judge = func(*policy.Request, *policy.Facts) policy.Verdict {
		var none *policy.Bound
		return none.Judge(nil, nil)
	}
	d := deciderOf(says(p, "before", policy.Enforce, score(10)), broken, says(p, "behind", policy.Enforce, later))
	var told []string
	d.Fault = func(rule string, cause any, stack []byte) {
		told = append(told, rule)
		if cause == nil || !strings.Contains(string(stack), "TestARuleThatPanicsIsSkipped") {
			t.Errorf("%v without a stack: %s", cause, stack)
		}
	}
	got := decide(d, rcpt(t))
	if want := "defer 451 4.7.1 p.behind [p.before p.behind] 1.0"; brief(&got) != want || !slices.Equal(told, []string{"p.broken"}) {
		t.Errorf("%s, told of %v; want %s", brief(&got), told, want)
	}
	if i := slices.IndexFunc(got.Trace, func(s Step) bool { return s.Rule == "p.broken" }); got.Trace[i].Result != "unknown" {
		t.Errorf("%+v", got.Trace[i])
	}
	d.Fault = nil
	if got := decide(d, rcpt(t)); got.Action != policy.Defer {
		t.Errorf("without anybody to tell: %s", brief(&got))
	}
}

func TestABudgetEndsTheWait(t *testing.T) {
	budgets := map[policy.Stage]time.Duration{
		policy.Connect: 200 * time.Millisecond, policy.Helo: 200 * time.Millisecond, policy.Mail: 1500 * time.Millisecond, policy.RCPT: 1500 * time.Millisecond,
		policy.Predata: time.Second, policy.MIME: time.Second, policy.Data: time.Second, policy.NotSMTP: time.Second,
		policy.Quit: 200 * time.Millisecond, policy.NotQuit: 200 * time.Millisecond, policy.NotSMTPStart: 200 * time.Millisecond,
	}
	for stage, want := range budgets {
		synctest.Test(t, func(t *testing.T) {
			slow := says(made("p", 99, 1<<stage), "slow", policy.Enforce, deny)
			slow.Needs = policy.NeedGreetings
			slow.Judge = func(_ *policy.Request, f *policy.Facts) policy.Verdict {
				return policy.Verdict{Unknown: len(f.Greetings) == 0}
			}
			known := &facts{late: policy.NeedGreetings, wait: func(ctx context.Context, needs policy.Need) {
				if needs&policy.NeedGreetings != 0 {
					<-ctx.Done()
				}
			}}
			ctx, cancel := context.WithTimeout(t.Context(), Budget(stage))
			defer cancel()
			start := time.Now()
			d := deciderOf(slow, says(made("p", 99, 1<<stage), "quick", policy.Enforce, deny)).Decide(ctx, ask(t, "protocol_state="+stage.String()), start, known, false)
			if took := time.Since(start); took != want || !d.Degraded || d.Rule != "p.quick" {
				t.Errorf("%s: %v, degraded %v, %s; want %v", stage, took, d.Degraded, brief(&d), want)
			}
		})
	}
	if d := decide(deciderOf(), rcpt(t)); d.Degraded {
		t.Error("degraded without cause")
	}
}

func TestEffectsAreOfProvenConnectionsOnly(t *testing.T) {
	d := deciderOf(says(made("p", 99, atRCPT), "1", policy.Observe, deny))
	for _, c := range []struct {
		name     string
		unproven bool
		words    []string
		bans     int
		flag     bool
	}{
		{"one that is not proven", true, nil, 0, true},
		{"a local submission, which has no client", true, []string{"client_address"}, 0, false},
		{"DATA, where a rule of RCPT is asked again", false, []string{"protocol_state=DATA"}, 0, false},
		{"a proven connection", false, nil, 1, false},
	} {
		memory := newBook()
		known := &facts{unproven: c.unproven, recall: memory.recall(!c.unproven)}
		got := d.Decide(t.Context(), rcpt(t, c.words...), noon, known, false)
		if len(got.Bans) != c.bans || len(memory.offences) != c.bans || got.Synthetic != c.flag {
			t.Errorf("%s: %d bans, synthetic %v", c.name, len(got.Bans), got.Synthetic)
		}
		q := rcpt(t, c.words...)
		r := got.Reply(q)
		if value, _ := extract(string(r.Append(nil)), "synthetic"); (value == "1") != c.flag {
			t.Errorf("%s: synthetic=%q in the reply", c.name, value)
		}
	}
}
func TestTheReasonTellsTheSumThatRefused(t *testing.T) {
	p, p2 := made("p", 99, atRCPT), made("q", 99, atRCPT)
	d := decide(deciderOf(says(p, "1", policy.Observe, score(-20)), says(p2, "1", policy.Enforce, score(55))), rcpt(t, "protocol_state=RCPT"))
	if d.Reason != "score 5.5: p.1 -2.0, q.1 5.5" || d.Score != 35 {
		t.Errorf("%s, in all %s", d.Reason, d.Score)
	}
}
