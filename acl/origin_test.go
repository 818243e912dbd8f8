package acl

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"eximpolicyd/internal/origin"
	"eximpolicyd/policy"
)

// local is what a script submits by sendmail -t.
func local(t testing.TB, words ...string) *policy.Request {
	return rcpt(t, overlay([]string{"protocol_state=NOT_SMTP", "client_address", "uid=65534", "remote_count=0", "cwd=/home/site", "recipient",
		"queue_id=1xVTqk-0006FJ-1W", "msgid=<1@example.org>", "msgid_count=1", "date=today", "date_count=1", "from=a@example.org", "from_count=1"}, words...)...)
}

// showing is a table whose origin shows all it can.
func showing(mode policy.Mode) []policy.Bound {
	setups := map[string]policy.Setup{"origin": {Mode: policy.Known(mode), Settings: &policy.Origin{Header: true, XSource: true, XSourceDir: true, XSourceArgs: true}}}
	return policy.Bind(policy.Table(), setups, policy.Enforce)
}

// stamping are settings with a key.
func stamping(t *testing.T, d *Decider) (*Settings, *origin.Stamps) {
	t.Helper()
	by := &origin.Stamps{}
	if err := by.Open(filepath.Join(t.TempDir(), "keys"), noon); err != nil {
		t.Fatal(err)
	}
	return &Settings{Decider: d, Stamps: by, Strip: true, Log: slog.New(slog.DiscardHandler)}, by
}

func TestWhatEximIsToldOfTheOriginOfAMessage(t *testing.T) {
	const stamp, shown = origin.FieldName, "X-Source-Dir"
	nobodyDenied := append(showing(policy.Observe), says(made("z", 0, 1<<policy.NotSMTP), "1", policy.Enforce, deny))
	held := append(showing(policy.Observe), says(made("z", 0, 1<<policy.NotSMTP), "1", policy.Enforce, policy.Answer{Action: policy.Freeze}))
	for _, c := range []struct {
		name  string
		rules []policy.Bound
		mode  policy.Mode
		q     *policy.Request
		has   []string
		strip bool
	}{
		{"nothing of a message that is refused", nobodyDenied, policy.Enforce, local(t), nil, true},
		{"nothing in a dry run", showing(policy.Observe), policy.Observe, local(t), nil, false},
		{"nothing where all is off", showing(policy.Observe), policy.Off, local(t), nil, false},
		{"nothing where the policy is off", showing(policy.Off), policy.Enforce, local(t), nil, true},
		{"nothing of mail from elsewhere", showing(policy.Observe), policy.Enforce, rcpt(t, "protocol_state=DATA"), nil, false},
		{"nothing at MAIL but that copies go", showing(policy.Observe), policy.Enforce, rcpt(t, "protocol_state=MAIL"), nil, true},
		{"nothing at RCPT", showing(policy.Observe), policy.Enforce, rcpt(t, "sasl_method=plain", "sasl_username=anna"), nil, false},
		{"only the stamp as it comes", table(policy.Enforce, policy.Observe, policy.Lenient), policy.Enforce, local(t), []string{stamp}, true},
		{"a message of a script", showing(policy.Observe), policy.Enforce, local(t), []string{stamp, shown}, true},
		{"the same, enforced", showing(policy.Enforce), policy.Enforce, local(t), []string{stamp, shown}, true},
		{"a message on hold is still one", held, policy.Enforce, local(t), []string{stamp, shown}, true},
		{"a login from elsewhere", showing(policy.Observe), policy.Enforce, rcpt(t, "protocol_state=DATA", "sasl_method=plain", "sasl_username=anna"), []string{stamp}, false},
	} {
		d := deciderOf(c.rules...)
		d.Mode = c.mode
		s, by := stamping(t, d)
		decision := d.Decide(t.Context(), c.q, noon, Given{}, false)
		r := decision.Reply(c.q)
		s.tell(&r, &decision, c.q, noon)
		line := string(r.Append(nil))
		header, _ := extract(line, "hdr")
		for _, name := range []string{stamp, shown} {
			if want := len(c.has) > 0 && (c.has[0] == name || len(c.has) > 1); strings.Contains(header, name+":") != want {
				t.Errorf("%s: %s is there: %v: %s", c.name, name, !want, line)
			}
		}
		if _, strips := extract(line, "strip"); strips != c.strip {
			t.Errorf("%s: strip: %v", c.name, strips)
		}
		if len(c.has) == 0 {
			continue
		}
		field := strings.SplitN(strings.ReplaceAll(header, "\n ", " "), "\n", 2)[0]
		got, err := origin.ParseStamp(field)
		if told := by.Tell(&got); err != nil || !told.Sealed || c.q.Stage == policy.NotSMTP && (told.Dir != "/home/site" || *told.UID != 65534 || got.Queue != c.q.QueueID) {
			t.Errorf("%s: %v %+v", c.name, err, told)
		}
		if c.q.Stage == policy.NotSMTP && (!got.Fits("<1@example.org>", "today", "a@example.org") || got.Bound != "idf" || got.Fits("<2@example.org>", "today", "a@example.org")) {
			t.Errorf("%s: it binds %+v", c.name, got)
		}
	}
}

// Whoever makes Exim ask about a connection of somebody else's (exim -bh) must not get a stamp for it.
func TestAConnectionThatIsNotProvenGetsNoStamp(t *testing.T) {
	d := deciderOf(showing(policy.Observe)...)
	s, by := stamping(t, d)
	q := rcpt(t, "protocol_state=DATA", "client_address=127.0.0.1", "sasl_method=plain", "sasl_username=anna")
	for _, proven := range []bool{false, true} {
		c := Conversation{Settings: &Settings{Decider: d}, Owner: policy.Known(uint32(65534)), Unproven: !proven}
		decision := c.Decide(t.Context(), q, noon, false)
		var r Reply
		s.tell(&r, &decision, q, noon)
		if (r.Header != "") != proven || decision.Source == nil {
			t.Errorf("proven %v: %q, %+v", proven, r.Header, decision.Source)
		}
	}
	if n := by.Book.Edition(); n != 1 {
		t.Errorf("%d names are written down", n)
	}
	s.Stamps = nil // no key, or none wanted
	decision := d.Decide(t.Context(), local(t), noon, Given{}, false)
	var r Reply
	if s.tell(&r, &decision, local(t), noon); strings.Contains(r.Header, origin.FieldName) || !strings.Contains(r.Header, "X-Source-Dir: /home/site") {
		t.Errorf("%q", r.Header)
	}
}

// Fields that may be cut, or put together by whoever looks later, bind nothing.
func TestOnlyAFieldThatCameWholeAndOnceIsBound(t *testing.T) {
	for _, c := range []struct {
		name, want string
		words      []string
	}{
		{"two Message-IDs", "df", []string{"msgid_count=2"}},
		{"no Message-ID", "df", []string{"msgid", "msgid_count=0"}},
		{"counts that are not known", "", []string{"msgid_count", "date_count", "from_count"}},
		{"a From as long as the snippet cuts", "id", []string{"from=" + strings.Repeat("x", maxHeaderValue)}},
		{"a Message-ID as long as the snippet cuts", "df", []string{"msgid=" + strings.Repeat("x", maxMessageID)}},
		{"all of them", "idf", nil},
	} {
		d := deciderOf(showing(policy.Observe)...)
		s, _ := stamping(t, d)
		q := local(t, c.words...)
		decision := d.Decide(t.Context(), q, noon, Given{}, false)
		var r Reply
		s.tell(&r, &decision, q, noon)
		stamp, err := origin.ParseStamp(strings.SplitN(strings.ReplaceAll(r.Header, "\n ", " "), "\n", 2)[0])
		if err != nil || stamp.Bound != c.want {
			t.Errorf("%s: %q, %v", c.name, stamp.Bound, err)
		}
	}
}

// lookers finds a program, or hangs.
type lookers struct {
	hangs bool
	asked []uint32
}

func (l *lookers) Program(ctx context.Context, pid int32, uid uint32) policy.Program {
	l.asked = append(l.asked, uint32(pid), uid)
	if l.hangs {
		<-ctx.Done()
		return policy.Program{}
	}
	return policy.Program{Name: "/usr/bin/php", Args: "php send.php"}
}

func TestAProgramIsLookedForOnThisMachineAndNotForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		look := func(l *lookers, ctx context.Context, q *policy.Request) (policy.Program, time.Duration) {
			known := live{peer: origin.Peer{PID: 4321, UID: 103}, programs: l}
			var f policy.Facts
			began := time.Now()
			if late := known.Gather(ctx, policy.NeedProgram, q, &f); late != 0 {
				t.Errorf("%b is late: a program refuses nobody", late)
			}
			return f.Program, time.Since(began)
		}
		found, hung := &lookers{}, &lookers{hangs: true}
		if p, _ := look(found, t.Context(), local(t)); p.Name != "/usr/bin/php" || len(found.asked) != 2 || found.asked[0] != 4321 || found.asked[1] != 65534 {
			t.Errorf("%+v %v", p, found.asked)
		}
		if p, took := look(hung, t.Context(), local(t)); p != (policy.Program{}) || took != programTime {
			t.Errorf("%+v after %s", p, took)
		}
		over, stop := context.WithCancel(t.Context())
		stop()
		none := &lookers{}
		look(none, over, local(t))
		unknown := local(t)
		unknown.UID = policy.Maybe[uint32]{}
		look(none, t.Context(), unknown)
		look(none, t.Context(), rcpt(t, "protocol_state=DATA", "client_address=127.0.0.1"))
		if len(none.asked) > 0 {
			t.Errorf("asked about %v", none.asked)
		}
	})
}

func TestTheOriginIsExplained(t *testing.T) {
	d := deciderOf(showing(policy.Observe)...)
	q := local(t)
	known := madeUpFacts{Facts: policy.Facts{Account: "nobody", Program: policy.Program{Name: "/usr/bin/php", Args: "php send.php"}}, recall: &Recall{proven: true}}
	x := d.decide(t.Context(), q, noon, known, false).explain()
	for _, s := range x.Trace {
		if s.Rule == "origin.N5" {
			if want := `by sendmail of "nobody", uid 65534, in "/home/site", from "/usr/bin/php" as "php send.php"`; s.Why != want || s.Result != "pass" {
				t.Errorf("%+v", s)
			}
			return
		}
	}
	t.Errorf("%+v", x.Trace)
}
