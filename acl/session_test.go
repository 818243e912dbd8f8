package acl

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"eximpolicyd/policy"
)

// seen is a provider that keeps the requests of a session.
type seen struct {
	Given
	requests []policy.Request
}

func (s *seen) Gather(ctx context.Context, needs policy.Need, q *policy.Request, f *policy.Facts) policy.Need {
	if n := len(s.requests); n == 0 || s.requests[n-1].Stage != q.Stage {
		s.requests = append(s.requests, *q)
	}
	return s.Given.Gather(ctx, needs, q, f)
}

func TestASessionPassesTheStagesBefore(t *testing.T) {
	for last, want := range map[string]string{
		"CONNECT": "CONNECT", "HELO": "CONNECT HELO", "MAIL": "CONNECT HELO MAIL", "RCPT": "CONNECT HELO MAIL RCPT", "PREDATA": "CONNECT HELO MAIL RCPT PREDATA",
		"MIME": "CONNECT HELO MAIL RCPT MIME", "DATA": "CONNECT HELO MAIL RCPT DATA", "QUIT": "CONNECT HELO MAIL RCPT DATA QUIT",
		"NOTQUIT": "CONNECT HELO MAIL RCPT DATA NOTQUIT", "NOT_SMTP_START": "NOT_SMTP_START", "NOT_SMTP": "NOT_SMTP",
	} {
		var s seen
		d := deciderOf().Session(t.Context(), rcpt(t, "protocol_state="+last), noon, &s)
		var stages []string
		for _, q := range s.requests {
			stages = append(stages, q.Stage.String())
		}
		if got := strings.Join(stages, " "); got != want || d.Stage.String() != last {
			t.Errorf("%s: %s, decided at %s; want %s", last, got, d.Stage, want)
		}
	}
}

func TestASessionStopsAtTheFirstRefusal(t *testing.T) {
	for stage := policy.Connect; stage <= policy.Data; stage++ {
		if stage == policy.Predata || stage == policy.MIME {
			continue
		}
		d := deciderOf(says(made("p", 99, 1<<stage), "1", policy.Enforce, later), says(made("q", 99, 1<<policy.Quit), "1", policy.Enforce, deny))
		got := d.Session(t.Context(), rcpt(t, "protocol_state=QUIT"), noon, Given{})
		if got.Stage != stage || got.Action != policy.Defer || got.Rule != "p.1" {
			t.Errorf("refused at %s, the session says %s: %s", stage, got.Stage, brief(&got.Decision))
		}
	}
}

func TestASessionThatGoesOnToQuitKeepsItsScoreAndMark(t *testing.T) {
	soft := says(made("s", 99, atRCPT), "1", policy.Enforce, score(20))
	data := says(made("d", 99, atData), "1", policy.Enforce, score(15))
	for _, last := range []string{"DATA", "QUIT"} {
		got := deciderOf(soft, data).Session(t.Context(), rcpt(t, "protocol_state="+last), noon, Given{})
		if got.Score != 35 || !got.Mark || got.Reason != "score 3.5: s.1 2.0, d.1 1.5" {
			t.Errorf("%s: score %s, mark %v, reason %q", last, got.Score, got.Mark, got.Reason)
		}
	}
}

func TestARefusalByTheSumSaysWhatItIsMadeOf(t *testing.T) {
	a := says(made("a", 99, atRCPT), "1", policy.Enforce, score(40))
	b := says(made("b", 99, atRCPT), "2", policy.Enforce, score(15))
	got := deciderOf(a, b).Session(t.Context(), rcpt(t), noon, Given{})
	if got.Rule != "score" || got.Reason != "score 5.5: a.1 4.0, b.2 1.5" {
		t.Errorf("%s: %q", brief(&got.Decision), got.Reason)
	}
}

func TestASessionRemembersWhatWouldHaveBeen(t *testing.T) {
	observed := says(made("p", 99, 1<<policy.Mail), "1", policy.Observe, drop)
	soft := says(made("s", 99, atRCPT), "1", policy.Enforce, score(20))
	data := says(made("d", 99, atData), "1", policy.Observe, later)
	got := deciderOf(observed, soft, data).Session(t.Context(), rcpt(t, "protocol_state=DATA"), noon, Given{})
	if want := "dunno 554 5.7.1 p.1 [p.1 s.1 d.1] 2.0 would drop"; brief(&got.Decision) != want || got.Text != "text of 1" {
		t.Errorf("got  %s\nwant %s", brief(&got.Decision), want)
	}
	if last := got.Trace[len(got.Trace)-1]; last.Rule != "score" {
		t.Errorf("the sum is not last: %+v", got.Trace)
	}
	names := map[string]int{}
	for _, s := range got.Trace {
		if names[s.Rule]++; names[s.Rule] > 1 {
			t.Errorf("%s stands twice in the trace", s.Rule)
		}
	}
	enforced := says(made("e", 99, atData), "1", policy.Enforce, deny)
	got = deciderOf(observed, enforced).Session(t.Context(), rcpt(t, "protocol_state=DATA"), noon, Given{})
	if want := "deny 550 5.7.1 e.1 [p.1 e.1] 0.0"; brief(&got.Decision) != want {
		t.Errorf("got  %s\nwant %s", brief(&got.Decision), want)
	}
}

func TestAnEarlierStageDoesNotKnowTheLater(t *testing.T) {
	q := rcpt(t, "protocol_state=DATA", "recipient_count=1", "sasl_method=plain", "sasl_username=u", "msgid_present=1", "msgid_count=1", "msgid=<a@b>",
		"msgid_size=5", "date_present=1", "date=x", "from_present=1", "list_id=l", "spam_score=1", "queue_id=q", "rcpt_verify_failure=route")
	var s seen
	deciderOf().Session(t.Context(), q, noon, &s)
	for i := range s.requests {
		q := &s.requests[i]
		known := map[string]bool{
			"helo": q.HELO.Known || q.Greeting.Name != "", "sender": q.Sender.Known, "auth": q.AuthAs != "" || q.AuthBy != "",
			"recipient": q.Recipient != "" || q.Verify != policy.VerifyUnasked || q.VerifyFailure != "",
			"header":    q.MessageID != policy.Field{} || q.Date != policy.Field{} || q.From != policy.Field{} || q.MessageIDSize != 0 || q.ListID != "" || q.SpamScore != "" || q.QueueID != "",
			"taken":     q.Recipients != 0,
		}
		for what, from := range map[string]policy.Stage{"helo": policy.Helo, "sender": policy.Mail, "auth": policy.Mail, "recipient": policy.RCPT, "header": policy.Data, "taken": policy.Data} {
			if known[what] != (q.Stage >= from) {
				t.Errorf("%s: %s known is %v", q.Stage, what, known[what])
			}
		}
	}
	if q.Stage != policy.Data || !q.HELO.Known {
		t.Error("the caller's request was changed")
	}
}

// class is a rule that writes down the facts of each stage it is asked at.
func watcher(stages policy.Stages, note func(*policy.Request, *policy.Facts)) policy.Bound {
	b := says(made("w", 99, stages), "1", policy.Observe, policy.Answer{})
	b.Needs = policy.NeedGreetings | policy.NeedAccount | policy.NeedAllMail
	b.Judge = func(q *policy.Request, f *policy.Facts) policy.Verdict { note(q, f); return policy.Verdict{} }
	return b
}

func TestWhatCheckIsGiven(t *testing.T) {
	for _, c := range []struct {
		name  string
		words []string
		want  string
	}{
		{"one greeting", []string{"helo_name=a"}, "outside [{a false}] \"\" false"},
		{"greetings before", []string{"helo_name=a", "helo_history=b,c"}, "outside [{b false} {c false} {a false}] \"\" false"},
		{"greetings before STARTTLS are not those inside", []string{"helo_name=a", "helo_history=b", "tls_cipher=x"}, "outside [{a true}] \"\" false"},
		{"greetings before without one now", []string{"helo_name", "helo_history=b"}, "outside [] \"\" false"},
		{"a name of the client", []string{"helo_name=a", "client_name=C.Example.COM."}, "outside [{a false}] \"c.example.com\" false"},
		{"postmaster alone", []string{"helo_name=a", "recipient=Postmaster@example.org"}, "postmaster [{a false}] \"\" true"},
		{"abuse alone, taken", []string{"helo_name=a", "recipient=ABUSE@example.org", "recipient_count=1"}, "postmaster [{a false}] \"\" true"},
		{"postmaster and another", []string{"helo_name=a", "recipient=postmaster@example.org", "recipient_count=2"}, "outside [{a false}] \"\" false"},
	} {
		var got string
		w := watcher(atData, func(q *policy.Request, f *policy.Facts) {
			got = fmt.Sprintf("%s %v %q %v", f.Class, f.Greetings, f.ClientName, f.OnlyPostmaster)
		})
		deciderOf(w).Session(t.Context(), rcpt(t, append([]string{"protocol_state=DATA"}, c.words...)...), noon, Given{})
		if got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}

// TestTheNamesOfCheckJSON holds the names and types that scripts read.
func TestTheNamesOfCheckJSON(t *testing.T) {
	want := map[string]string{"action": "string", "code": "string", "rule": "string", "rules": "[]interface {}", "score": "float64", "mark": "bool",
		"stage": "string", "text": "string", "would": "string", "trace": "[]interface {}",
		"class": "string", "synthetic": "bool", "degraded": "bool"}
	step := map[string]string{"rule": "string", "mode": "string", "result": "string", "score": "float64", "why": "string"}
	types := func(t *testing.T, object map[string]any, want map[string]string) {
		t.Helper()
		for name, value := range object {
			if got := fmt.Sprintf("%T", value); got != want[name] {
				t.Errorf("%s is %s, want %q", name, got, want[name])
			}
		}
		if len(object) != len(want) {
			t.Errorf("%d names, want %d: %v", len(object), len(want), object)
		}
	}
	for _, words := range [][]string{nil, {"helo_name=mx.example.org"}, {"helo_name=mx.example.org", "protocol_state=DATA", "msgid_present=0"}, {"protocol_state=CONNECT"}, {"client_address=198.51.100.1"}} {
		d := deciderOf(table(policy.Enforce, policy.Enforce, policy.Lenient)...)
		d.Exempt.Allow = prefixes("198.51.100.0/24")
		raw, err := json.Marshal(d.Session(t.Context(), rcpt(t, words...), noon, Given{}))
		if err != nil {
			t.Fatal(err)
		}
		var object map[string]any
		if err := json.Unmarshal(raw, &object); err != nil {
			t.Fatal(err)
		}
		types(t, object, want)
		for _, s := range object["trace"].([]any) {
			types(t, s.(map[string]any), step)
		}
	}
	d := Decision{Action: policy.Deny, Code: "550 5.7.1", Rule: "helo.H3", Rules: []string{"helo.H3"}, Score: 25, Stage: policy.RCPT, Text: "t", Would: would(policy.Drop),
		Trace: []Step{{"helo.H3", "enforce", "hit", 5, "w"}}}
	raw, _ := json.Marshal(d)
	if want := `{"action":"deny","code":"550 5.7.1","rule":"helo.H3","rules":["helo.H3"],"score":2.5,"mark":false,"stage":"RCPT","text":"t","would":"drop",` +
		`"trace":[{"rule":"helo.H3","mode":"enforce","result":"hit","score":0.5,"why":"w"}],"class":"outside","synthetic":false,"degraded":false}`; string(raw) != want {
		t.Errorf("got  %s\nwant %s", raw, want)
	}
	if raw, _ := json.Marshal(Decision{Score: 30}); !strings.Contains(string(raw), `"score":3.0,`) || !strings.Contains(string(raw), `"would":""`) {
		t.Errorf("%s", raw)
	}
	if !slices.Equal(deciderOf().Session(t.Context(), rcpt(t), noon, Given{}).Rules, []string{}) {
		t.Error("rules of nothing")
	}
}

// Of a name that was asked about at several stages the last answer is told.
func TestASessionTellsWhatTheDNSSaidOnce(t *testing.T) {
	var s Judged
	list := func(said string, ttl int64) Heard {
		return Heard{Asked: "list.example", Of: "203.0.113.7", Said: said, TTL: ttl}
	}
	ptr := Heard{Asked: "PTR", Of: "203.0.113.7", Said: "missing"}
	s.hear([]Heard{list("unknown", 0)})
	s.hear([]Heard{ptr, list("clear", 60)})
	s.hear(nil)
	raw, err := json.Marshal(s)
	if want := `"dns":[{"asked":"list.example","of":"203.0.113.7","said":"clear","ttl_s":60},{"asked":"PTR","of":"203.0.113.7","said":"missing"}]}`; err != nil || !strings.HasSuffix(string(raw), want) {
		t.Errorf("%s, %v", raw, err)
	}
}
