package acl

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"eximpolicyd/policy"
)

// line is the decision line of a request under the real rules.
func line(t *testing.T, q *policy.Request, privacy Privacy, handler func(*bytes.Buffer) slog.Handler) (string, *Decision) {
	t.Helper()
	return lineIn(t, policy.Enforce, q, privacy, handler)
}

func lineIn(t *testing.T, most policy.Mode, q *policy.Request, privacy Privacy, handler func(*bytes.Buffer) slog.Handler) (string, *Decision) {
	t.Helper()
	var b bytes.Buffer
	d := deciderOf(table(most, policy.Enforce, policy.RFC)...).Decide(t.Context(), q, noon, Given{}, false)
	d.ID = "1vK3n8QZ4t"
	logDecision(&Settings{Log: slog.New(handler(&b)), Privacy: privacy}, &d, q, policy.Known(uint32(65534)), 42*time.Microsecond)
	return b.String(), &d
}

func inJSON(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) }
func inText(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) }

// TestTheLineHasTheNamesOfCheck holds that one word means one thing in check --json and in the log.
func TestTheLineHasTheNamesOfCheck(t *testing.T) {
	for _, words := range [][]string{
		{"helo_name=mx.example.org"}, {"helo_name=dotless", "protocol_state=DATA", "msgid_present=0"}, {"sasl_username=u", "sasl_method=plain"},
		{"protocol_state=NOT_SMTP", "client_address", "uid=65534", "remote_count=1", "remote_first=x@example.net", "cwd=/home/site"},
		{"helo_name=mx.example.org", "queue_id=observed"},
	} {
		most := policy.Enforce
		if words[len(words)-1] == "queue_id=observed" {
			most = policy.Observe
		}
		text, d := lineIn(t, most, rcpt(t, words...), Full, inJSON)
		if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") {
			t.Errorf("not one line: %q", text)
		}
		var logged, checked map[string]any
		if err := json.Unmarshal([]byte(text), &logged); err != nil {
			t.Fatal(err)
		}
		raw, _ := json.Marshal(d)
		if err := json.Unmarshal(raw, &checked); err != nil {
			t.Fatal(err)
		}
		delete(checked, "trace") // of check alone
		for name, want := range checked {
			got, there := logged[name]
			if empty := want == "" || name == "class" && want == "outside"; empty && !there {
				continue // left out of the line
			}
			a, _ := json.Marshal(got)
			b, _ := json.Marshal(want)
			if !bytes.Equal(a, b) {
				t.Errorf("%s is %s in the log and %s in check", name, a, b)
			}
		}
		for name := range logged { // and the rest by the protocol's names
			_, check := checked[name]
			_, protocol := placeOf[name]
			own := map[string]bool{"time": true, "level": true, "msg": true, "id": true, "reason": true, "client_uid": true, "us": true}
			if !check && !protocol && !own[name] {
				t.Errorf("%s is a name of its own", name)
			}
		}
		if (d.Would.String() == "deny") != (most == policy.Observe) {
			t.Errorf("would %s in mode %s", d.Would, most)
		}
		plain, _ := lineIn(t, most, rcpt(t, words...), Full, inText)
		for _, want := range []string{" score=" + d.Score.String() + " ", " us=42\n", " client_uid=65534 "} {
			if !strings.Contains(plain, want) {
				t.Errorf("no %q in %s", want, plain)
			}
		}
	}
}

func TestAHostileClientStaysOnItsLine(t *testing.T) {
	for _, evil := range []string{
		"x\nlevel=INFO msg=decision action=deny client_address=8.8.8.8", "\x1b[2J\x1b[31mx", "(x) [8.8.8.8]", "x\" action=\"deny", "a\rb\x00c\x7f", "\xff\xfe", "\u2028\u202e", "x client_address=8.8.8.8", "\u009b31m",
	} {
		q := rcpt(t, "helo_name="+evil, "recipient="+evil, "sender="+evil, "sasl_username="+evil, "queue_id="+evil)
		for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{"json": inJSON, "text": inText} {
			text, d := line(t, q, Full, handler)
			if strings.Count(text, "\n") != 1 || strings.ContainsAny(text, "\x1b\r\x00") {
				t.Errorf("%s of %q: %q", name, evil, text)
			}
			first := strings.Index(text, "203.0.113.7")
			if forged := strings.Index(text, "8.8.8.8"); first < 0 || forged >= 0 && forged < first {
				t.Errorf("%s: the client's own address is not first: %s", name, text)
			}
			if name == "text" && strings.Contains(text, " client_address=8.8.8.8") && !quotedAt(text, strings.Index(text, " client_address=8.8.8.8")) {
				t.Errorf("a forged field: %s", text)
			}
			r := d.Reply(q)
			if log := r.Log + r.Note; strings.ContainsAny(log, "\n\r\x1b\x00") {
				t.Errorf("Exim's log gets %q", log)
			} else if i, j := strings.Index(log, "client=203.0.113.7"), strings.Index(log, "8.8.8.8"); log != "" && (i < 0 || j >= 0 && j < i) {
				t.Errorf("the client's own address is not first for Exim's log: %q", log)
			}
		}
	}
}

// quotedAt reports whether a place of a text line is within quotes.
func quotedAt(line string, at int) bool {
	return strings.Count(strings.ReplaceAll(line[:at], `\"`, ""), `"`)%2 == 1
}

func TestPrivacy(t *testing.T) {
	q := rcpt(t, "sender=carol@example.com", "recipient=bob@example.org", "sasl_username=dave@example.net")
	local := rcpt(t, "protocol_state=NOT_SMTP", "client_address", "uid=65534", "remote_count=1", "remote_first=erin@example.net", "cwd=/home/site", "sender=carol@example.com", "recipient")
	for _, c := range []struct {
		privacy    Privacy
		word       string
		has, hides []string
	}{
		{Full, "full", []string{"carol@example.com", "bob@example.org", "dave@example.net", "erin@example.net"}, nil},
		{Hashed, "hashed", []string{"4c26d9074c27d89ede59270c0ac14b71e071b15239519f75474b2f3ba63481f5"[:8] + "@example.com", "81b637d8@example.org", "@example.net"}, []string{"carol", "bob", "dave", "erin"}},
		{None, "none", []string{"sender=-", "recipient=-"}, []string{"carol", "bob", "dave", "erin", "@"}},
	} {
		if p, ok := ParsePrivacy(c.word); !ok || p != c.privacy {
			t.Errorf("%s is %v", c.word, p)
		}
		a, _ := line(t, q, c.privacy, inText)
		b, d := line(t, local, c.privacy, inText)
		if d.Rule != "nobody.N1" || !strings.Contains(b, "in \\\"/home/site\\\" sends to") {
			t.Errorf("the reason of the local submission: %s", b)
		}
		for _, word := range c.has {
			if !strings.Contains(a+b, word) {
				t.Errorf("%s: no %s in %s%s", c.word, word, a, b)
			}
		}
		for _, word := range c.hides {
			if strings.Contains(a+b, word) {
				t.Errorf("%s: %s in %s%s", c.word, word, a, b)
			}
		}
	}
	for privacy, want := range map[Privacy]string{Full: "account=dave@example.net program=/srv/x args=\"send.php erin@example.net\"", Hashed: "@example.net program=/srv/x args=",
		None: "account=- program=/srv/x args=-"} {
		var b bytes.Buffer
		d := &Decision{Stage: policy.Data, Source: &policy.Source{How: policy.Login, Account: "dave@example.net", Program: policy.Program{Name: "/srv/x", Args: "send.php erin@example.net"}}}
		logDecision(&Settings{Log: slog.New(inText(&b)), Privacy: privacy}, d, rcpt(t), policy.Maybe[uint32]{}, 0)
		if text := b.String(); !strings.Contains(text, want) || privacy != Full && (strings.Contains(text, "dave") || strings.Contains(text, "erin")) {
			t.Errorf("%d: %s", privacy, text)
		}
	}
	if p, ok := ParsePrivacy("some"); ok || p != Full {
		t.Error("a fourth level")
	}
}

func TestTheLevelOfALine(t *testing.T) {
	for _, c := range []struct {
		name string
		d    Decision
		want slog.Level
	}{
		{"a connection", Decision{Stage: policy.Connect}, slog.LevelDebug},
		{"a greeting", Decision{Stage: policy.Helo}, slog.LevelDebug},
		{"MAIL", Decision{Stage: policy.Mail}, slog.LevelDebug},
		{"QUIT", Decision{Stage: policy.Quit}, slog.LevelDebug},
		{"the start of a local submission", Decision{Stage: policy.NotSMTPStart}, slog.LevelDebug},
		{"a recipient", Decision{Stage: policy.RCPT}, slog.LevelInfo},
		{"a message", Decision{Stage: policy.Data}, slog.LevelInfo},
		{"a local submission", Decision{Stage: policy.NotSMTP}, slog.LevelInfo},
		{"an objection at CONNECT", Decision{Stage: policy.Connect, Action: policy.Drop}, slog.LevelInfo},
		{"one that was only observed", Decision{Stage: policy.Helo, Would: would(policy.Deny)}, slog.LevelInfo},
		{"a decision out of time", Decision{Stage: policy.Mail, Degraded: true}, slog.LevelInfo},
	} {
		if got := c.d.level(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		var b bytes.Buffer
		s := &Settings{Log: slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelInfo}))}
		logDecision(s, &c.d, rcpt(t), policy.Maybe[uint32]{}, 0)
		if (b.Len() > 0) != (c.want == slog.LevelInfo) {
			t.Errorf("%s: %q at level info", c.name, b.String())
		}
	}
}

func TestWhatEximIsTold(t *testing.T) {
	q := rcpt(t)
	of := func(d Decision) string {
		d.ID, d.Text, d.Reason, d.Code = "1vK3n8QZ4t", "no", "because", "550 5.7.1"
		r := d.Reply(q)
		return string(r.Append(nil))
	}
	for _, c := range []struct {
		name string
		d    Decision
		want string
	}{
		{"no opinion", Decision{Stage: policy.RCPT}, "action=dunno id=1vK3n8QZ4t end=1\n"},
		{"a denial", Decision{Stage: policy.RCPT, Action: policy.Deny, Rule: "helo.H3"}, `action=deny msg="550 5.7.1 no (helo.H3 1vK3n8QZ4t)" log="rule=helo.H3 id=1vK3n8QZ4t client=203.0.113.7: because" rule=helo.H3 id=1vK3n8QZ4t end=1` + "\n"},
		{"what would have been", Decision{Stage: policy.RCPT, Would: would(policy.Deny), Rule: "helo.H3"}, `action=dunno rule=helo.H3 id=1vK3n8QZ4t note="would=deny rule=helo.H3 id=1vK3n8QZ4t client=203.0.113.7: because" end=1` + "\n"},
		{"a mark", Decision{Stage: policy.Data, Mark: true, Score: 35, Rules: []string{"a.1", "b.2"}}, `action=dunno id=1vK3n8QZ4t hdr="X-Eximpolicyd: score=3.5 rules=a.1,b.2 id=1vK3n8QZ4t" note="marked score=3.5 rules=a.1,b.2 id=1vK3n8QZ4t" end=1` + "\n"},
		{"an objection where it is too late", Decision{Stage: policy.Quit, Action: policy.Drop, Rule: "a.1"}, "action=dunno rule=a.1 id=1vK3n8QZ4t end=1\n"},
		{"out of time", Decision{Stage: policy.RCPT, Degraded: true, Synthetic: true}, "action=dunno id=1vK3n8QZ4t synthetic=1 degraded=1 end=1\n"},
	} {
		if got := of(c.d); got != c.want {
			t.Errorf("%s:\ngot  %swant %s", c.name, got, c.want)
		}
	}
}
