package front

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"eximpolicyd/acl"
	"eximpolicyd/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// played is a front for one test, and what it was asked.
type played struct {
	t    *testing.T
	addr string
	mu   sync.Mutex
	all  []Decision
	log  bytes.Buffer
}

// byName are rules that do what the client's greeting says at the stage that it says: drop-mail.example.
func byName() []policy.Bound {
	all := policy.Stages(0)
	for s := policy.Connect; s <= policy.NotQuit; s++ {
		all |= 1 << s
	}
	judge := func(q *policy.Request, _ *policy.Facts) policy.Verdict {
		verb, stage, _ := strings.Cut(strings.TrimSuffix(q.HELO.Value, ".example"), "-")
		a := map[string]policy.Answer{
			"drop":  {Action: policy.Drop, Code: "554 5.7.1"},
			"deny":  {Action: policy.Deny, Code: "550 5.7.1"},
			"defer": {Action: policy.Defer, Code: "451 4.7.1"},
			"mark":  {Score: policy.MarkAt},
		}[verb]
		if a == (policy.Answer{}) || stage != strings.ToLower(q.Stage.String()) {
			return policy.Pass()
		}
		return policy.Verdict{Hit: true, Answers: &policy.Answers{a, a, a}, Text: "as you \x01wish\r\n250 ok", Reason: "by name"}
	}
	refuses := &policy.Policy{Name: "test", Stages: all}
	scores := &policy.Policy{Name: "scores", Stages: 1 << policy.Data, Cap: policy.MarkAt}
	return []policy.Bound{
		{Rule: policy.Rule{ID: "T1", Judge: judge}, Policy: refuses, Name: "test.T1", Mode: policy.Enforce},
		{Rule: policy.Rule{ID: "S1", Judge: judge}, Policy: scores, Name: "scores.S1", Mode: policy.Enforce},
	}
}

// play starts a front, changed for the test, on loopback.
func play(t *testing.T, change func(*Server)) *played {
	t.Helper()
	p := &played{t: t}
	deny := &policy.Prefixes{}
	deny.Add(netip.MustParsePrefix("198.51.100.0/24"))
	log := slog.New(slog.NewTextHandler(&p.log, nil))
	decider := &acl.Decider{
		Rules: byName(), Own: &policy.Own{}, Exempt: &policy.Exempt{Deny: deny}, Mode: policy.Enforce,
	}
	s := &Server{
		Talks: acl.NewTalks(&acl.Settings{Decider: decider, Log: slog.New(slog.DiscardHandler)}, nil), Log: log,
		Name: "mx.example.com", Domains: map[string]bool{"example.com": true}, Known: map[string]bool{"alice@example.com": true},
		User: "test", Password: "secret", Client: netip.MustParseAddr("203.0.113.7"), Port: 25,
		Explain: func(d Decision) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.all = append(p.all, d)
		},
	}
	var err error
	if s.Secure, err = SelfMade(s.Name, time.Now()); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(s)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.addr = l.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("%s", p.log.String())
		}
	})
	return p
}

// asked returns the stages asked about so far.
func (p *played) asked() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []string
	for _, d := range p.all {
		list = append(list, d.Request.Stage.String())
	}
	return strings.Join(list, " ")
}

// at returns the requests of a stage.
func (p *played) at(stage policy.Stage) (list []*policy.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.all {
		if d.Request.Stage == stage {
			list = append(list, d.Request)
		}
	}
	return list
}

// client is a raw one.
type client struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	from netip.Addr // of a visit that the test began itself: who it was last asked about
}

// dial connects, after which it has not read the greeting.
func (p *played) dial() *client {
	p.t.Helper()
	c, err := net.Dial("tcp4", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute)) // a test that hangs says where
	return &client{t: p.t, conn: c, in: bufio.NewReader(c)}
}

// raw sends octets as they are. That the front has closed shows when they are answered.
func (c *client) raw(s string) { _, _ = io.WriteString(c.conn, s) }

// reply reads one reply; "" is the end of the connection.
func (c *client) reply() string {
	c.t.Helper()
	var all strings.Builder
	for {
		line, err := c.in.ReadString('\n')
		var late net.Error
		if errors.As(err, &late) && late.Timeout() {
			c.t.Fatalf("no reply after %q", all.String())
		}
		if err != nil {
			return ""
		}
		all.WriteString(line)
		if len(line) < 4 || line[3] != '-' {
			return strings.TrimSuffix(all.String(), "\r\n")
		}
	}
}

// say sends lines and wants their replies to begin so.
func (c *client) say(pairs ...string) {
	c.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] != "" {
			c.raw(pairs[i] + "\r\n")
		}
		if got := c.reply(); !strings.HasPrefix(got, pairs[i+1]) || pairs[i+1] == "" && got != "" {
			c.t.Fatalf("%q is answered %q, want %q", pairs[i], got, pairs[i+1])
		}
	}
}

// toData speaks up to the 354.
func (c *client) toData(helo string) {
	c.t.Helper()
	c.say("", "220", "EHLO "+helo, "250", "MAIL FROM:<a@example.org>", "250", "RCPT TO:<alice@example.com>", "250", "DATA", "354")
}
