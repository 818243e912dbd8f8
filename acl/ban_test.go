package acl

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"eximpolicyd/internal/ledger"
	"eximpolicyd/policy"
)

// ban is one of the client's /24, in force for a while.
func ban(level int, rule string) *ledger.Ban {
	return &ledger.Ban{Network: netip.MustParsePrefix("203.0.113.0/24"), Level: level, Enforced: true, Rule: rule,
		Because: "20 unknown and 0 good recipients", Made: noon, Until: noon.Add(ledger.Length(level)), Durable: true}
}

// guards is a decider with the rules that bans come from, in a mode.
func guards(mode policy.Mode) *Decider {
	p := made("dictionary", 0, atRCPT)
	window := says(p, "window", mode, later)
	window.Judge = func(*policy.Request, *policy.Facts) policy.Verdict { return policy.Pass() }
	au1 := window
	au1.Name = "auth.AU1"
	return deciderOf(window, au1)
}

func TestWhatABanAnswers(t *testing.T) {
	const window, au1 = "dictionary.window", "auth.AU1"
	observed := func(b *ledger.Ban) *ledger.Ban { b.Enforced = false; return b }
	for _, c := range []struct {
		name  string
		ban   *ledger.Ban
		mode  policy.Mode
		words []string
		want  string // action and code, or would
	}{
		{"level 1 at RCPT", ban(1, window), policy.Enforce, nil, "defer 451 4.7.1"},
		{"level 2 at RCPT", ban(2, window), policy.Enforce, nil, "defer 451 4.7.1"},
		{"level 2 at CONNECT", ban(2, window), policy.Enforce, []string{"protocol_state=CONNECT"}, "dunno"},
		{"level 2 at HELO", ban(2, window), policy.Enforce, []string{"protocol_state=HELO"}, "dunno"},
		{"level 3 at CONNECT", ban(3, window), policy.Enforce, []string{"protocol_state=CONNECT"}, "drop 554 5.7.1"},
		{"level 3 at HELO, where Exim has no hook at CONNECT", ban(3, window), policy.Enforce, []string{"protocol_state=HELO"}, "drop 554 5.7.1"},
		{"level 3 at RCPT", ban(3, window), policy.Enforce, nil, "deny 554 5.7.1"},
		{"level 3 at DATA, which it never comes to", ban(3, window), policy.Enforce, []string{"protocol_state=DATA"}, "dunno"},
		{"level 3 at QUIT", ban(3, window), policy.Enforce, []string{"protocol_state=QUIT"}, "dunno"},
		{"an administrator's at CONNECT", ban(0, ledger.Admin), policy.Enforce, []string{"protocol_state=CONNECT"}, "drop 554 5.7.1"},
		{"an administrator's at RCPT", ban(0, ledger.Admin), policy.Enforce, nil, "deny 554 5.7.1"},
		{"level 5 at CONNECT on a submission port", ban(5, window), policy.Enforce, []string{"protocol_state=CONNECT", "server_port=587"}, "dunno"},
		{"level 5 at RCPT there, not logged in", ban(5, window), policy.Enforce, []string{"server_port=587"}, "deny 554 5.7.1"},
		{"level 5 at CONNECT on another port", ban(5, window), policy.Enforce, []string{"protocol_state=CONNECT", "server_port=2525"}, "dunno"},
		{"of failed logins, level 3, on a submission port", ban(3, au1), policy.Enforce, []string{"protocol_state=CONNECT", "server_port=465"}, "drop 554 5.7.1"},
		{"of failed logins, level 2, on a submission port", ban(2, au1), policy.Enforce, []string{"protocol_state=CONNECT", "server_port=465"}, "dunno"},
		{"logged in", ban(5, window), policy.Enforce, []string{"server_port=587", "sasl_method=plain", "sasl_username=anna"}, "dunno"},
		{"logged in on port 25", ban(5, window), policy.Enforce, []string{"sasl_method=plain", "sasl_username=anna"}, "dunno"},
		{"a relay of ours", ban(5, window), policy.Enforce, []string{"relay_host=1"}, "dunno"},
		{"a relay of ours that an administrator banned", ban(0, ledger.Admin), policy.Enforce, []string{"relay_host=1"}, "dunno"},
		{"a private address", ban(5, window), policy.Enforce, []string{"client_address=10.0.0.7"}, "dunno"},
		{"a private address that an administrator banned", ban(0, ledger.Admin), policy.Enforce, []string{"client_address=10.0.0.7"}, "deny 554 5.7.1"},
		{"ourselves", ban(5, window), policy.Enforce, []string{"client_address=127.0.0.1"}, "dunno"},
		{"to postmaster alone, level 2", ban(2, window), policy.Enforce, []string{"recipient=postmaster@example.org", "recipient_count=0"}, "dunno"},
		{"to postmaster alone, level 3", ban(3, window), policy.Enforce, []string{"recipient=postmaster@example.org", "recipient_count=0"}, "deny 554 5.7.1"},
		{"a bounce", ban(1, window), policy.Enforce, []string{"sender="}, "defer 451 4.7.1"},
		{"made while its rule observed", observed(ban(3, window)), policy.Enforce, nil, "dunno would deny"},
		{"made while its rule observed, at CONNECT", observed(ban(3, window)), policy.Enforce, []string{"protocol_state=CONNECT"}, "dunno would drop"},
		{"its rule only observes now", ban(3, window), policy.Observe, nil, "dunno would deny"},
		{"its rule is off now", ban(3, window), policy.Off, nil, "dunno"},
		{"of a rule that there is not any more", ban(1, "dictionary.gone"), policy.Enforce, nil, "defer 451 4.7.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBook()
			b.standing.Enforced = c.ban
			if !c.ban.Enforced {
				b.standing = ledger.Standing{Observed: c.ban}
			}
			got := guards(c.mode).Decide(t.Context(), rcpt(t, c.words...), noon, &facts{recall: b.recall(true)}, true)
			what := got.Action.String()
			if got.Action != policy.Dunno {
				what += " " + got.Code
			}
			if got.Would != would(policy.Dunno) {
				what += " would " + got.Would.String()
			}
			if what != c.want {
				t.Errorf("got %s, want %s (%s)", what, c.want, got.Reason)
			}
			if got.Rule != "" && (got.Rule != "ban" || !strings.Contains(got.Reason, "203.0.113.0/24 is banned until 2026-") || !strings.Contains(got.Reason, c.ban.Rule)) {
				t.Errorf("rule %s, reason %q", got.Rule, got.Reason)
			}
			if strings.Contains(got.Text, "203.0") || strings.Contains(got.Text, "level") {
				t.Errorf("the client is told %q", got.Text)
			}
		})
	}
}

func TestADryRunBansNobody(t *testing.T) {
	b := newBook()
	b.standing.Enforced = ban(0, ledger.Admin)
	d := guards(policy.Enforce)
	d.Mode = policy.Observe
	got := d.Decide(t.Context(), rcpt(t), noon, &facts{recall: b.recall(true)}, false)
	if got.Action != policy.Dunno || got.Would.String() != "deny" {
		t.Errorf("%s, would %s", got.Action, got.Would)
	}
}

// A network in which somebody has logged in lately is not shut out of the submission ports.
func TestALoginKeepsTheSubmissionPortsOpen(t *testing.T) {
	for _, c := range []struct {
		name string
		last time.Time
		want policy.Action
	}{
		{"a login 31 days ago", noon.Add(-31 * 24 * time.Hour), policy.Drop},
		{"none that is known", time.Time{}, policy.Drop},
		{"a login 29 days ago", noon.Add(-29 * 24 * time.Hour), policy.Dunno},
	} {
		b := newBook()
		b.standing.Enforced = ban(4, "auth.AU1")
		b.counts[ledger.Of(b.standing.Enforced.Network)] = ledger.Counts{LastLogin: c.last}
		got := guards(policy.Enforce).Decide(t.Context(), rcpt(t, "protocol_state=CONNECT", "server_port=587"), noon, &facts{recall: b.recall(true)}, false)
		if got.Action != c.want {
			t.Errorf("%s: %s", c.name, got.Action)
		}
		got = guards(policy.Enforce).Decide(t.Context(), rcpt(t, "protocol_state=CONNECT"), noon, &facts{recall: b.recall(true)}, false)
		if got.Action != policy.Drop {
			t.Errorf("%s, on port 25: %s", c.name, got.Action)
		}
	}
}

// While a ban answers, nothing is counted, no rule is asked and no question sent: a client that only waits for its end
// would make it longer.
func TestABannedClientCostsNothingAndIsNotCounted(t *testing.T) {
	for _, stage := range []string{"CONNECT", "HELO", "MAIL", "RCPT"} {
		b := newBook()
		b.standing.Enforced = ban(1, "dictionary.window")
		known := &facts{recall: b.recall(true)}
		d := deciderOf(table(policy.Enforce, policy.Enforce, policy.RFC)...)
		got := d.Decide(t.Context(), rcpt(t, "protocol_state="+stage, "rcpt_verify=unknown"), noon, known, false)
		if (got.Rule == "ban") != (stage == "RCPT") {
			t.Errorf("%s: %s", stage, brief(&got))
		}
		if known.started&policy.NeedDNS != 0 || known.asked&policy.NeedDNS != 0 {
			t.Errorf("%s: %b was started and %b asked", stage, known.started, known.asked)
		}
		if stage == "RCPT" && b.tallied != 0 {
			t.Errorf("%d counts", b.tallied)
		}
	}
}

// An observed ban does not keep enforced rules from refusing.
func TestAnObservedBanDoesNotHideWhatIsEnforced(t *testing.T) {
	b := newBook()
	b.standing.Observed = ban(3, "dictionary.window")
	b.standing.Observed.Enforced = false
	d := deciderOf(says(made("p", 99, atRCPT), "1", policy.Enforce, deny))
	got := d.Decide(t.Context(), rcpt(t), noon, &facts{recall: b.recall(true)}, false)
	if got.Rule != "p.1" || got.Action != policy.Deny {
		t.Errorf("%s", brief(&got))
	}
}

// The neighbours of the only way in must not shut it out with them; an administrator may.
func TestABanOfItsNetworkPassesTheOnlyWayInBy(t *testing.T) {
	for _, c := range []struct {
		rule  string
		clean int
		want  policy.Action
	}{
		{"dictionary.spread", 100, policy.Dunno}, {"dictionary.spread", 10, policy.Deny}, {ledger.Admin, 100, policy.Deny},
	} {
		b := newBook()
		b.standing.Enforced = ban(4, c.rule)
		b.counts[ledger.Of(ledger.Client(rcpt(t).Client))] = ledger.Counts{Day: ledger.Day{Clean: c.clean}}
		b.counts[ledger.Total] = ledger.Counts{Day: ledger.Day{Clean: 150}}
		got := guards(policy.Enforce).Decide(t.Context(), rcpt(t), noon, &facts{recall: b.recall(true)}, true)
		if got.Action != c.want {
			t.Errorf("%s, %d of 150: %s", c.rule, c.clean, got.Action)
		}
	}
}

func TestAGraceMakesABanTemporary(t *testing.T) {
	b := newBook()
	b.standing.Enforced = ban(3, "dictionary.window")
	d := guards(policy.Enforce)
	d.Rules[0].GraceUntil = noon.Add(time.Hour)
	got := d.Decide(t.Context(), rcpt(t), noon, &facts{recall: b.recall(true)}, false)
	if got.Action != policy.Defer || got.Code != "451 4.7.1" {
		t.Errorf("%s", brief(&got))
	}
}

func TestWhomAnAdministratorAllowsNoRuleApplies(t *testing.T) {
	b := newBook()
	b.standing = ledger.Standing{Enforced: ban(0, ledger.Admin), Allowed: &ledger.Allowed{Network: netip.MustParsePrefix("203.0.113.7/32"), Because: "ticket 7"}}
	d := deciderOf(says(made("p", 99, atRCPT), "1", policy.Enforce, deny))
	got := d.Decide(t.Context(), rcpt(t), noon, &facts{recall: b.recall(true)}, true)
	if got.Action != policy.Dunno || got.Trace[0].Why != "an administrator allowed 203.0.113.7/32: ticket 7" {
		t.Errorf("%s: %+v", brief(&got), got.Trace)
	}
}

func TestAMemoryThatDoesNotAnswerRefusesNobody(t *testing.T) {
	b := newBook()
	b.gone = true
	d := deciderOf(table(policy.Enforce, policy.Enforce, policy.Lenient)...)
	for range 30 {
		got := d.Decide(t.Context(), rcpt(t, "rcpt_verify=unknown"), noon, &facts{recall: b.recall(true)}, true)
		if got.Action != policy.Dunno {
			t.Fatalf("%s", brief(&got))
		}
	}
}

// An offence of a rule that only observes must not lead to a ban that refuses.
func TestOffencesOfObservedRulesCountOnlyForObservedBans(t *testing.T) {
	for _, c := range []struct {
		name          string
		robot, window policy.Mode
		want          int
	}{
		{"an observed offence, an enforced ban", policy.Observe, policy.Enforce, 0},
		{"both observed", policy.Observe, policy.Observe, 1},
		{"both enforced", policy.Enforce, policy.Enforce, 1},
		{"an enforced offence, an observed ban", policy.Enforce, policy.Observe, 1},
	} {
		robot := says(made("helo", 40, atRCPT), "H17", c.robot, deny)
		robot.Judge = func(*policy.Request, *policy.Facts) policy.Verdict {
			return policy.Verdict{Hit: true, Effects: []policy.Effect{{Kind: policy.Offence}}}
		}
		d := guards(c.window)
		d.Rules = append([]policy.Bound{robot}, d.Rules...)
		d.Rules[1].Needs = policy.NeedTried
		b := newBook()
		recall := b.recall(true)
		for range 3 {
			d.Decide(t.Context(), rcpt(t), noon, &facts{recall: recall}, false)
		}
		key := ledger.Of(ledger.Client(rcpt(t).Client))
		if got := b.counts[key].Hour.OnlyBad; got != c.want {
			t.Errorf("%s: %d connections", c.name, got)
		}
	}
}

func TestABanIsLoggedWithWhetherItIsOnTheDisk(t *testing.T) {
	for _, undurable := range []bool{false, true} {
		b := newBook()
		b.undurable = undurable
		d := deciderOf(says(made("p", 99, atRCPT), "1", policy.Enforce, deny))
		log := &lockedBuffer{}
		got := d.Decide(t.Context(), rcpt(t), noon, &facts{recall: b.recall(true)}, false)
		logDecision(&Settings{Log: slog.New(slog.NewTextHandler(log, nil))}, &got, rcpt(t), policy.Maybe[uint32]{}, time.Millisecond)
		want := "ban.network=203.0.113.7/32 ban.level=1 ban.mode=enforce ban.until=2026-12-01T13:00:00Z ban.rule=p.1 ban.durable=yes"
		if undurable {
			want = strings.TrimSuffix(want, "yes") + "no"
		}
		if !strings.Contains(log.String(), want) {
			t.Errorf("got %s", log.String())
		}
	}
}

func TestABanRefusesNoMoreThanItsRuleDoes(t *testing.T) {
	enforced := says(made("p", 99, atRCPT), "enforced", policy.Enforce, deny)
	observed := says(made("p", 99, atRCPT), "observed", policy.Observe, deny)
	all, dry := deciderOf(enforced, observed), deciderOf(enforced, observed)
	dry.Mode = policy.Observe
	for _, c := range []struct {
		name string
		d    *Decider
		ban  ledger.Ban
		want bool
	}{
		{"one that was made to observe", all, ledger.Ban{Rule: enforced.Name}, false},
		{"one of a rule that observes now", all, ledger.Ban{Rule: observed.Name, Enforced: true}, false},
		{"one of a daemon that observes", dry, ledger.Ban{Rule: enforced.Name, Enforced: true}, false},
		{"an administrator's, of a daemon that observes", dry, ledger.Ban{Rule: ledger.Admin, Enforced: true}, false},
		{"one of a rule that refuses", all, ledger.Ban{Rule: enforced.Name, Enforced: true}, true},
		{"an administrator's", all, ledger.Ban{Rule: ledger.Admin, Enforced: true}, true},
	} {
		if got := c.d.Refuses(&c.ban); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestTwoBansOfOneDecisionHaveNamesOfTheirOwn(t *testing.T) {
	var b bytes.Buffer
	d := Decision{Bans: []ledger.Ban{*ban(1, "auth.AU1"), *ban(2, "auth.AU1")}}
	logDecision(&Settings{Log: slog.New(slog.NewJSONHandler(&b, nil))}, &d, rcpt(t), policy.Maybe[uint32]{}, time.Millisecond)
	var line struct{ Ban, Ban2 struct{ Level int } }
	if err := json.Unmarshal(b.Bytes(), &line); err != nil || line.Ban.Level != 1 || line.Ban2.Level != 2 {
		t.Errorf("%v: %s", err, b.String())
	}
}
