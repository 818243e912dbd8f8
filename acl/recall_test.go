package acl

import (
	"fmt"
	"testing"

	"eximpolicyd/internal/ledger"
	"eximpolicyd/policy"
)

// memory is one connection that remembers, in front of a decider whose rules object to nothing.
type memory struct {
	*book
	recall *Recall
	d      *Decider
	t      *testing.T
}

func remembering(t *testing.T) *memory {
	m := &memory{book: newBook(), d: guards(policy.Enforce), t: t}
	m.d.Rules[0].Needs = policy.NeedTried
	m.connect()
	return m
}

// connect begins another connection.
func (m *memory) connect() { m.recall = m.book.recall(true) }

// ask decides, and returns what the rules were told.
func (m *memory) ask(words ...string) (seen policy.Facts) {
	m.d.Rules[0].Judge = func(_ *policy.Request, f *policy.Facts) policy.Verdict {
		seen = *f
		return policy.Pass()
	}
	m.d.Rules[0].Policy.Stages = 1<<policy.RCPT | 1<<policy.Data | 1<<policy.Quit | 1<<policy.NotQuit
	m.d.Decide(m.t.Context(), rcpt(m.t, words...), noon, &facts{recall: m.recall}, false)
	return seen
}

func (m *memory) of(key ledger.Key) ledger.Counts { return m.counts[key] }

func (m *memory) client() ledger.Counts { return m.of(ledger.Of(ledger.Client(rcpt(m.t).Client))) }

// summary is good, bad, connections with only bad, failed logins, names or members.
func summary(c ledger.Counts) string {
	h := c.Hour
	return fmt.Sprint(h.Good, h.Bad, h.OnlyBad, h.Failed, h.Seen)
}

func TestAGuessIsCountedBeforeItIsJudged(t *testing.T) {
	m := remembering(t)
	for i := 1; i <= 7; i++ {
		f := m.ask("rcpt_verify=unknown")
		if !f.Memory || f.Here.Bad != i || f.Client.Bad != i || f.Client.OnlyBad != 1 || len(f.Networks) != 1 || f.Networks[0].Bad != i {
			t.Fatalf("guess %d: %+v %+v %+v", i, f.Here, f.Client, f.Networks)
		}
	}
	if got := summary(m.client()); got != "0 7 1 0 1" {
		t.Error(got)
	}
	if n := m.of(ledger.Of(ledger.Networks(rcpt(t).Client)[0])); summary(n) != "0 7 0 0 7" { // the book does not tell members apart
		t.Error(summary(n))
	}
}

func TestRSETDoesNotForgetAGuess(t *testing.T) {
	m := remembering(t)
	for i := 1; i <= 5; i++ {
		m.ask("protocol_state=MAIL")
		if f := m.ask("rcpt_verify=unknown", "rcpt_count=1"); f.Here.Bad != i {
			t.Errorf("message %d: %d in this connection", i, f.Here.Bad)
		}
	}
}

func TestWhatIsAnEvent(t *testing.T) {
	const bad = "rcpt_verify=unknown"
	for _, c := range []struct {
		name  string
		words []string
		want  string
	}{
		{"a recipient who is not there", []string{bad}, "0 1 1 0 1"},
		{"one who is", []string{"rcpt_verify=ok"}, "1 0 0 0 1"},
		{"one who is not ours", []string{"rcpt_verify=none"}, "0 0 0 0 1"},
		{"one that Exim was not asked about", []string{"rcpt_verify="}, "0 0 0 0 1"},
		{"a probe with the null sender", []string{bad, "sender="}, "0 0 0 0 1"},
		{"an authenticated user", []string{bad, "sasl_method=plain", "sasl_username=anna"}, "0 0 0 0 1"},
		{"a submission port, not logged in", []string{bad, "server_port=587"}, "0 1 1 0 1"},
		{"a relay of ours", []string{bad, "relay_host=1"}, "0 0 0 0 0"},
		{"a recipient who is not there, at DATA", []string{"protocol_state=DATA", bad}, "0 0 0 0 0"},
		{"QUIT without a login", []string{"protocol_state=QUIT", "command_history=EHLO,MAIL,RCPT,QUIT"}, "0 0 0 0 0"},
		{"failed logins", []string{"protocol_state=QUIT", "command_history=EHLO,AUTH,AUTH,AUTH,QUIT"}, "0 0 0 3 0"},
		{"a connection that was lost", []string{"protocol_state=NOTQUIT", "command_history=EHLO,AUTH"}, "0 0 0 1 0"},
		{"a login after two mistakes", []string{"protocol_state=QUIT", "command_history=EHLO,AUTH,AUTH,AUTH,MAIL,QUIT", "sasl_username=anna", "sasl_method=plain"}, "0 0 0 2 0"},
		{"a login without an id", []string{"protocol_state=QUIT", "command_history=EHLO,AUTH,MAIL,QUIT", "sasl_method=plain"}, "0 0 0 0 0"},
		{"a command that is called almost so", []string{"protocol_state=QUIT", "command_history=EHLO,AUTHX,XAUTH"}, "0 0 0 0 0"},
	} {
		m := remembering(t)
		m.ask(c.words...)
		if got := summary(m.client()); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestNothingIsCountedOfAConnectionThatIsNotProven(t *testing.T) {
	m := remembering(t)
	m.recall = m.book.recall(false)
	for _, words := range [][]string{{"rcpt_verify=unknown"}, {"rcpt_verify=ok"}, {"protocol_state=DATA"}, {"protocol_state=QUIT", "command_history=AUTH,AUTH"}} {
		if f := m.ask(words...); f.Memory {
			t.Errorf("%v: the memory says something", words)
		}
	}
	if m.tallied != 0 || len(m.counts) != 0 {
		t.Errorf("%d counts", m.tallied)
	}
}

func TestAConnectionThatDoesBetterIsTakenBack(t *testing.T) {
	m := remembering(t)
	m.ask("rcpt_verify=unknown")
	m.ask("rcpt_verify=ok")
	m.ask("rcpt_verify=unknown")
	if got := summary(m.client()); got != "1 2 0 0 1" {
		t.Error(got)
	}
	m.connect()
	m.ask("rcpt_verify=unknown")
	m.ask("rcpt_verify=unknown")
	if got := summary(m.client()); got != "1 4 1 0 2" {
		t.Error(got)
	}
}

func TestABounceIsNobodysOffence(t *testing.T) {
	m := remembering(t)
	m.recall.Offence(t.Context(), rcpt(t, "sender="), &policy.Facts{})
	if m.tallied != 0 {
		t.Errorf("%d counts", m.tallied)
	}
}

func TestAnOffenceIsNotTakenBack(t *testing.T) {
	m := remembering(t)
	q, f := rcpt(t), &policy.Facts{}
	for range 3 {
		m.recall.Offence(t.Context(), q, f)
	}
	m.ask("rcpt_verify=ok")
	if got := summary(m.client()); got != "1 0 1 0 1" || !f.Here.Offended || f.Client.OnlyBad != 1 {
		t.Errorf("%s, %+v %+v", got, f.Here, f.Client)
	}
}

// What we object to is no good recipient, and no clean message, even if the objection is only observed.
func TestOnlyWhatNobodyObjectsToIsGood(t *testing.T) {
	for _, mode := range []policy.Mode{policy.Observe, policy.Enforce} {
		m := remembering(t)
		m.d.Rules = append(m.d.Rules, says(made("p", 0, atRCPT|atData), "1", mode, deny))
		m.d.Rules[2].Judge = func(*policy.Request, *policy.Facts) policy.Verdict {
			return policy.Verdict{Hit: true, Text: "t", Reason: "r"}
		}
		m.ask("rcpt_verify=ok")
		m.ask("protocol_state=DATA")
		if c := m.client(); c.Hour.Good != 0 || c.Day.Clean != 0 {
			t.Errorf("%s: %+v", mode, c)
		}
	}
	m := remembering(t)
	m.ask("rcpt_verify=ok")
	m.ask("protocol_state=DATA")
	if c, all := m.client(), m.of(ledger.Total); c.Hour.Good != 1 || c.Day.Clean != 1 || all.Day.Clean != 1 {
		t.Errorf("%+v, of all %+v", c, all)
	}
}

// A delay is no objection: the recipient is taken.
func TestARecipientThatWaitedIsGood(t *testing.T) {
	for _, mode := range []policy.Mode{policy.Observe, policy.Enforce} {
		m := remembering(t)
		slow := says(made("p", 99, atRCPT), "1", mode, policy.Answer{Action: policy.Delay})
		slow.Judge = func(*policy.Request, *policy.Facts) policy.Verdict {
			return policy.Verdict{Hit: true, Delay: 3, Reason: "r"}
		}
		m.d.Rules = append(m.d.Rules, slow)
		got := m.d.Decide(t.Context(), rcpt(t, "rcpt_verify=ok"), noon, &facts{recall: m.recall}, false)
		r := got.Reply(rcpt(t))
		value, _ := extract(string(r.Append(nil)), "delay")
		if c := m.client(); c.Hour.Good != 1 || (value == "3s") != (mode == policy.Enforce) || (got.Would.String() == "delay") != (mode == policy.Observe) {
			t.Errorf("%s: %+v, delay %q, would %s", mode, c.Hour, value, got.Would)
		}
	}
}

func TestALoginIsRememberedOnceAConnection(t *testing.T) {
	m := remembering(t)
	for range 3 {
		m.ask("protocol_state=MAIL", "sasl_method=plain", "sasl_username=anna")
	}
	if m.client().LastLogin.IsZero() || m.of(ledger.Of(ledger.Networks(rcpt(t).Client)[0])).LastLogin.IsZero() {
		t.Errorf("%+v", m.counts)
	}
	if m.tallied != 2 { // the client and its network
		t.Errorf("%d counts", m.tallied)
	}
}

func TestATrapCountsWhenTheMessageIsThere(t *testing.T) {
	for _, c := range []struct {
		name  string
		words []string
		want  int
	}{
		{"mail of a list", []string{"list_id= <list.example.com>"}, 0},
		{"a bounce", []string{"sender="}, 0},
		{"a message", nil, 1},
	} {
		m := remembering(t)
		m.recall.Trap(rcpt(t), &policy.Facts{})
		f := m.ask(append([]string{"protocol_state=DATA"}, c.words...)...)
		if got := m.client().Day.Trapped; got != c.want || f.Here.Trapped != true {
			t.Errorf("%s: %d, %+v", c.name, got, f.Here)
		}
		m.ask("protocol_state=MAIL")
		if m.ask("protocol_state=DATA"); m.client().Day.Trapped != c.want {
			t.Errorf("%s: the next message is counted", c.name)
		}
	}
}

func TestTheOnlyWayInIsKnown(t *testing.T) {
	for _, c := range []struct {
		clean, total int
		want         bool
	}{{19, 19, false}, {20, 40, false}, {20, 39, true}, {1000, 1500, true}, {1000, 5000, false}} {
		m := remembering(t)
		m.counts[ledger.Of(ledger.Client(rcpt(t).Client))] = ledger.Counts{Day: ledger.Day{Clean: c.clean}}
		m.counts[ledger.Total] = ledger.Counts{Day: ledger.Day{Clean: c.total}}
		if f := m.ask("rcpt_verify=unknown"); f.OnlyWayIn != c.want {
			t.Errorf("%d of %d: %v", c.clean, c.total, f.OnlyWayIn)
		}
	}
}

func TestEachNetworkHasItsFactor(t *testing.T) {
	m := remembering(t)
	f := m.ask("client_address=2001:db8:1:2::7", "rcpt_verify=unknown")
	got := fmt.Sprint(len(f.Networks))
	for _, n := range f.Networks {
		got += fmt.Sprint(" ", n.Prefix, " ", n.Factor, " ", n.Bad, " ", n.Seen)
	}
	if got != "2 2001:db8:1::/56 3 1 1 2001:db8:1::/48 9 1 1" {
		t.Error(got)
	}
}

func TestAMessageIsPutOnHoldOnce(t *testing.T) {
	b := newBook()
	recall := b.recall(true)
	q := rcpt(t, "client_address=127.0.0.1")
	f := &policy.Facts{ClientUID: policy.Known(uint32(65534)), Class: policy.Loopback}
	for range 3 { // its recipients
		if got := recall.Held(t.Context(), q, f); got != policy.Known(1) {
			t.Errorf("%+v", got)
		}
	}
	recall.Count(t.Context(), rcpt(t, "protocol_state=MAIL", "client_address=127.0.0.1"), f)
	if got := recall.Held(t.Context(), q, f); got != policy.Known(2) {
		t.Errorf("the next message: %+v", got)
	}
	if got := b.recall(false).Held(t.Context(), q, f); got != policy.Known(2) {
		t.Errorf("of a connection that is not proven: %+v", got)
	}
	if got := b.recall(false).Held(t.Context(), rcpt(t, "protocol_state=NOT_SMTP", "client_address", "uid=65534"), &policy.Facts{}); got != policy.Known(3) {
		t.Errorf("of no connection at all: %+v", got)
	}
	b.gone = true
	for name, got := range map[string]policy.Maybe[int]{
		"a user that is not known": recall.Held(t.Context(), q, &policy.Facts{}),
		"a memory that is gone":    recall.Held(t.Context(), q, f),
		"without a memory":         (*Recall)(nil).Held(t.Context(), q, f),
	} {
		if got.Value < 1000 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// The guess that makes a connection an offender may be the one that is too many of its network as well.
func TestAnOffenceDoesNotHideTheNetworkFromTheRulesBehindIt(t *testing.T) {
	b := newBook()
	around := ledger.Networks(rcpt(t).Client)[0]
	b.counts[ledger.Of(around)] = ledger.Counts{Hour: ledger.Hour{Bad: 55, Seen: 5}}
	known := &facts{recall: b.recall(true)}
	d := deciderOf(table(policy.Enforce, policy.Enforce, policy.Lenient)...)
	for range 5 {
		d.Decide(t.Context(), rcpt(t, "rcpt_verify=unknown"), noon, known, false)
	}
	if len(b.offences) != 1 || b.offences[0].Network != around {
		t.Errorf("%+v", b.offences)
	}
}
