package test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"eximpolicyd/acl"
	"eximpolicyd/internal/front"
	"eximpolicyd/policy"
	"eximpolicyd/test/rig"
)

// frontDialogues are spoken word for word. A line that is STARTTLS goes on above TLS, and one that is - ends the connection
// without a word. Where neither that nor QUIT is the last, the server ends it, and asks nobody.
func frontDialogues() map[string][]string {
	plain := func(user, password string) string {
		return "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+password))
	}
	alice := "RCPT TO:<Alice@" + strings.ToUpper(rig.Domain) + ">"
	chunk := func(text, last string) string {
		return fmt.Sprintf("BDAT %d%s\r\n", len(text), last) + strings.TrimSuffix(text, "\r\n")
	}
	letter := "Message-ID: <1@a.example>\r\nFrom: x@a.example\r\nDate: Mon, 23 Nov 2026 12:00:00 +0000\r\nList-Id: a\r\n <b.example>\r\n\r\ntext\r\n."
	return map[string][]string{
		"every kind of recipient, two messages": {"EHLO client.example", "MAIL FROM:<X@A.example> SIZE=300", "RCPT TO:<nosuch@" + rig.Domain + ">",
			"RCPT TO:<x@elsewhere.example>", alice, "RCPT TO:<bob@" + rig.Domain + ">", "DATA", letter, "NOOP", "MAIL FROM:<>", "RCPT TO:<postmaster@" + rig.Domain + ">",
			"RSET", "MAIL FROM:<x@a.example>", alice, "DATA", letter, "QUIT"},
		"an unknown recipient, and another message": {"EHLO client.example", "MAIL FROM:<x@a.example>", "RCPT TO:<nosuch@" + rig.Domain + ">", "RSET",
			"MAIL FROM:<x@a.example>", "RCPT TO:<x@elsewhere.example>", "QUIT"},
		"a connection that is lost":          {"HELO client.example", "MAIL FROM:<x@a.example>", alice, "-"},
		"nothing but a connection":           {"-"},
		"QUIT within a message":              {"EHLO client.example", "MAIL FROM:<x@a.example>", alice, "QUIT"},
		"a second greeting within a message": {"EHLO client.example", "MAIL FROM:<x@a.example>", alice, "HELO other.example", "MAIL FROM:<y@a.example>", "QUIT"},
		"a login, after one that failed": {"EHLO client.example", plain("alice", "wrong"), plain("alice", rig.Password), "MAIL FROM:<x@a.example>",
			"RCPT TO:<x@elsewhere.example>", "QUIT"},
		"logins that fail":                   {"EHLO client.example", plain("alice", "wrong"), plain("bob", "wrong"), "-"},
		"STARTTLS":                           {"EHLO before.example", "STARTTLS", "EHLO client.example", "MAIL FROM:<x@a.example>", alice, "DATA", letter, "QUIT"},
		"STARTTLS and a login":               {"EHLO before.example", "STARTTLS", "EHLO client.example", plain("alice", rig.Password), "MAIL FROM:<x@a.example>", alice, "QUIT"},
		"mail of a client that never greets": {"MAIL FROM:<x@a.example>", alice, "DATA", letter, "QUIT"},
		"mail of a client that greets late":  {"MAIL FROM:<x@a.example>", alice, "EHLO client.example", alice, "MAIL FROM:<x@a.example>", alice, "QUIT"},
		"mail behind STARTTLS without a new greeting": {"EHLO before.example", "STARTTLS", "MAIL FROM:<x@a.example>", alice, "DATA", letter,
			"EHLO client.example", "MAIL FROM:<x@a.example>", alice, "QUIT"},
		"a login behind STARTTLS without a new greeting": {"EHLO before.example", "STARTTLS", plain("alice", rig.Password), "MAIL FROM:<x@a.example>", alice, "QUIT"},
		"HELO behind STARTTLS":                           {"EHLO before.example", "STARTTLS", "HELO client.example", "MAIL FROM:<x@a.example>", alice, "QUIT"},
		"STARTTLS within a message":                      {"EHLO before.example", "MAIL FROM:<y@a.example>", alice, "STARTTLS", alice, "MAIL FROM:<x@a.example>", alice, "QUIT"},
		"a login before STARTTLS, and a relay behind it": {"EHLO before.example", plain("alice", rig.Password), "STARTTLS", "EHLO client.example",
			"MAIL FROM:<x@a.example>", "RCPT TO:<x@elsewhere.example>", "QUIT"},
		"a second STARTTLS":     {"EHLO before.example", "STARTTLS", "EHLO client.example", "STARTTLS ", "MAIL FROM:<x@a.example>", alice, "QUIT"},
		"commands out of order": {"EHLO client.example", "RCPT TO:<a@b.example>", "DATA", "MAIL FROM:<x@a.example>", "MAIL FROM:<y@a.example>", alice, "QUIT"},
		"odd greetings": {"EHLO under_score.example", "EHLO [203.0.113.7]", "EHLO [IPv6:2001:db8::7]", "EHLO [203.0.113.7", "EHLO a b", "HELO a.example.", "ehlo bad!name",
			"EHLO 203.0.113.7", "helo Client.Example", "MAIL FROM:<x@a.example>", alice, "QUIT"},
		"odd senders": {"EHLO client.example", "MAIL FROM:x@a.example", "RSET", "MAIL FROM: <x@a.example>", "RSET", "MAIL FROM:<x@a.example> BODY=8BITMIME", "RSET",
			"MAIL FROM:<@b.example:x@a.example>", "RSET", "MAIL FROM:<X@A.EXAMPLE>", alice, "QUIT"},
		"odd recipients": {"EHLO client.example", "MAIL FROM:<x@a.example>", "RCPT TO:<>", "RCPT TO:<@" + rig.Domain + ">", "RCPT TO: <alice@" + rig.Domain + ">",
			"RCPT TO:bob@" + rig.Domain, "RCPT TO:<@b.example:alice@" + rig.Domain + ">", "RCPT TO:<postmaster>", "QUIT"},
		"logins that are none": {"EHLO client.example", "AUTH PLAIN", "*", "AUTH NONE", "AUTH PLAIN =", plain("alice", rig.Password), plain("alice", rig.Password), "MAIL FROM:<x@a.example>", alice, "QUIT"},
		"AUTH and STARTTLS of a client that has not greeted": {plain("alice", rig.Password), "STARTTLS ", "EHLO client.example", "MAIL FROM:<x@a.example>",
			"RCPT TO:<x@elsewhere.example>", "QUIT"},
		"AUTH and STARTTLS behind HELO": {"EHLO client.example", "HELO client.example", plain("alice", rig.Password), "STARTTLS ", "MAIL FROM:<x@a.example>",
			"RCPT TO:<x@elsewhere.example>", "QUIT"},
		"a login within a message": {"EHLO client.example", "MAIL FROM:<x@a.example>", plain("alice", rig.Password), "RCPT TO:<x@elsewhere.example>", "QUIT"},
		"blanks behind commands":   {"EHLO client.example \t", "MAIL FROM:<x@a.example> ", alice + " ", "DATA \t", letter, "RSET ", "NOOP ", "QUIT "},
		"a message in chunks": {"EHLO client.example", "MAIL FROM:<x@a.example>", alice, chunk("Message-ID: <1@a.example>\r\n", ""), chunk("Date: x\r\n", ""), "NOOP",
			chunk("\r\ntext\r\n", " LAST"), "MAIL FROM:<x@a.example>", alice, chunk("Message-ID: <2@a.example>\r\n", " LAST"), "QUIT"},
		"chunks that are given up": {"EHLO client.example", "MAIL FROM:<x@a.example>", alice, chunk("Message-ID: <1@a.example>\r\n", ""), "RSET",
			"MAIL FROM:<y@a.example>", alice, chunk("Message-ID: <2@a.example>\r\n\r\n", " LAST"), "QUIT"},
		"a chunk too early": {"EHLO client.example", chunk("QUIT\r\n", " LAST"), "MAIL FROM:<x@a.example>", chunk("QUIT\r\n", " LAST"), "QUIT"},
		"a header in chunks whose first line ends by LF": {"EHLO client.example", "MAIL FROM:<x@a.example>", alice,
			chunk("A: b\nMessage-ID: <1@a.example>\r\n\r\ntext\r\n", " LAST"), "MAIL FROM:<y@a.example>", alice, "QUIT"},
		"lines that end by LF behind one that does not": {"EHLO client.example", "MAIL FROM:<x@a.example>", alice,
			"DATA", "A: b\r\nC: d\nMessage-ID: <1@a.example>\r\nDate: none\r\n\r\ntext\r\n.", "MAIL FROM:<x@a.example>", alice,
			"DATA", "A: b\r\nMessage-ID: <1@a.example>\n\r\nDate: none\r\n\r\ntext\r\n.", "MAIL FROM:<x@a.example>", alice,
			chunk("A: b\r\n\nMessage-ID: <1@a.example>\r\n\r\n", " LAST"), "QUIT"},
		"lines that end by LF from the first": {"EHLO client.example", "MAIL FROM:<x@a.example>", alice,
			"DATA", "A: b\nC: d\nMessage-ID: <1@a.example>\r\nDate: none\n\ntext\r\n.", "QUIT"},
		"several commands behind HELO": {"HELO client.example", "MAIL FROM:<x@a.example>\r\n" + alice, "-"},
		"recipients behind HELO":       {"HELO client.example", "MAIL FROM:<x@a.example>", alice + "\r\n" + alice, "-"},
		"several commands ungreeted":   {"MAIL FROM:<x@a.example>\r\n" + alice, "-"},
		"addresses that are too long": {"EHLO client.example", "MAIL FROM:<a@" + strings.Repeat("a.", 127) + "example>", "MAIL FROM:<x@a.example>",
			"RCPT TO:<" + strings.Repeat("a", 600-len("@"+rig.Domain)) + "@" + rig.Domain + ".elsewhere.example>", "QUIT"},
		"domains that are none": {"EHLO client.example", "MAIL FROM:<x@a_b.example>", "MAIL FROM:<x@a..example>", "MAIL FROM:<x@a-.example>", "RCPT TO:<x@[203.0.113.7]>", "QUIT"},
		"domains that are one":  {"EHLO client.example", "MAIL FROM:<x@1.2.3.4>", "RCPT TO:<a@b--c.example>", "RCPT TO:<a@b>", "QUIT"},
		"letters outside ASCII": {"EHLO client.example", "MAIL FROM:<\xc3\x89@a.example>", "RCPT TO:<\xc3\x89\xff@" + rig.Domain + ">", "RCPT TO:<x@\u212a.example>", "QUIT"},
		"quoted senders": {"EHLO client.example", `MAIL FROM:<"a b"@a.example>`, "RSET", `MAIL FROM:<"ab"@A.example>`, "RSET", `MAIL FROM:<"a\"b\\c\d"@a.example>`, "RSET",
			`MAIL FROM:<""@a.example>`, "RSET", `MAIL FROM:"a b"@a.example`, "RSET", `MAIL FROM:<"a@b"@a.example> SIZE=100`, "RSET", `MAIL FROM:<"a>b"@a.example>`, "RSET",
			`MAIL FROM:<a."b c".d@a.example>`, alice, "QUIT"},
		"quotes that do not end, and an unquoted blank": {"EHLO client.example", `MAIL FROM:<"ab@a.example>`, `MAIL FROM:<a"b"@a.example>`, "MAIL FROM:<a b@a.example>", "QUIT"},
		"senders with a route": {"EHLO client.example", "MAIL FROM:<@a.example,@b.example:c@d.example>", "RSET", `MAIL FROM:<@a.example:"c d"@d.example>`, "RSET", "MAIL FROM:@a.example:c@d.example", "RSET",
			"MAIL FROM:<@a.example>", "MAIL FROM:<@a.example:c>", "MAIL FROM:<@a_b.example:c@d.example>", "QUIT"},
		"senders with comments and blanks": {"EHLO client.example", "MAIL FROM:<a(b (c) \\))@a.example>", "RSET", "MAIL FROM:<(b)a@a.example>", "RSET", "MAIL FROM:<a@a.(b)example(b)>", "RSET",
			"MAIL FROM:(b)<a@a.example>(b)", "RSET", "MAIL FROM:< a @ a.example >", "RSET", "MAIL FROM:<(b)>", "RSET", "MAIL FROM:a@a.example (b)", "RSET", "MAIL FROM:<a(b@a.example>", "QUIT"},
		"odd local parts": {"EHLO client.example", `MAIL FROM:<a\@b@a.example>`, "RSET", "MAIL FROM:<a..b@a.example>", "RSET", "MAIL FROM:<.a.@a.example>", "RSET", "MAIL FROM:<a%b!c@a.example>", "RSET",
			"MAIL FROM:A a@a.example", "MAIL FROM:<a[b@a.example>", "MAIL FROM:<a\x01b@a.example>", "QUIT"},
		"what stands around a sender": {"EHLO client.example", "MAIL FROM:A. B <a@a.example>", "RSET", "MAIL FROM:<<a@a.example>>", "MAIL FROM:<a@a.example", "MAIL FROM:a@a.example>", "QUIT"},
		"what stands behind a sender": {"EHLO client.example", "MAIL FROM:<a@a.example> junk", "MAIL FROM:<a>", "MAIL FROM:<a@a.example.>", "MAIL FROM:", "QUIT"},
		"senders behind HELO":         {"HELO client.example", `MAIL FROM:<"a b"@a.example>`, "RSET", `MAIL FROM:<"a b\"c"@a.example>`, "RSET", "MAIL FROM:<a@a.example> SIZE=100", "QUIT"},
		"senders outside ASCII":       {"EHLO client.example", "MAIL FROM:<\"\xc3\x89 x\"@a.example>", "RSET", "MAIL FROM:<x@\xc3\xa9.example>", "MAIL FROM:<\xc3\xa9@a.example> SMTPUTF8", "QUIT"},
		"quoted recipients": {"EHLO client.example", "MAIL FROM:<x@a.example>", `RCPT TO:<"A b"@` + rig.Domain + ">", `RCPT TO:<"Alice"@` + rig.Domain + ">", `RCPT TO:<"a\"b\\c\d"@` + rig.Domain + ">",
			`RCPT TO:<al\ice@` + rig.Domain + ">", `RCPT TO:<a."b c".d@` + rig.Domain + ">", `RCPT TO:<"a@b"@` + rig.Domain + ">", `RCPT TO:<"a>b"@` + rig.Domain + ">", `RCPT TO:<""@` + rig.Domain + ">", "QUIT"},
		"recipients with routes and comments": {"EHLO client.example", "MAIL FROM:<x@a.example>", "RCPT TO:<@a.example,@b.example:alice@" + rig.Domain + ">", `RCPT TO:<@a.example:"c d"@` + rig.Domain + ">",
			"RCPT TO:<alice(c)@" + rig.Domain + "(c)>", "RCPT TO:(c)Alice B<alice@" + rig.Domain + ">", "RCPT TO:<al(c)ice@" + rig.Domain + ">", "QUIT"},
		"recipients without a domain": {"EHLO client.example", "MAIL FROM:<x@a.example>", "RCPT TO:<alice>", "RCPT TO:alice", "RCPT TO:PostMaster", "RCPT TO:<a>", "RCPT TO:<b>", "RCPT TO:<c>", alice, "QUIT"},

		"four commands that are none":  {"EHLO client.example", "FOO", "MAIL", "RCPT TO alice", "MAIL FROM a@a.example", "-"},
		"four faults":                  {"EHLO client.example", "DATA", "MAIL FROM:<x@a.example", "FOO", "RCPT TO:<x@a.example>"},
		"four faults of a login":       {"EHLO client.example", "AUTH NONE", "AUTH PLAIN !", plain("alice", "wrong"), "MAIL FROM:<x@a.example>", plain("alice", rig.Password), "AUTH NONE", "AUTH NONE"},
		"four faults around STARTTLS":  {"EHLO before.example", "DATA", "NOOP\x00", "STARTTLS", "EHLO client.example", "DATA", "STARTTLS "},
		"four faults in two messages":  {"EHLO client.example", "MAIL FROM:<x@a.example>", "MAIL FROM:<y@a.example>", "DATA", alice, "RCPT TO:<>", "DATA", letter, "FOO"},
		"what was sent ahead":          {"EHLO client.example", "MAIL FROM:<x@a.example", alice, alice, alice, "DATA", "DATA", "NOOP", alice, "RSET", "FOO"},
		"what was sent ahead too late": {"HELO client.example", "MAIL FROM:<x@a.example", alice, alice, "DATA"},
		"DATA behind a recipient":      {"EHLO client.example", "MAIL FROM:<x@a.example>", "RCPT TO:<nosuch@" + rig.Domain + ">", "DATA", "RCPT TO:<>", "DATA", "DATA", "FOO", "FOO"},

		"more commands than are kept": append(append([]string{"EHLO client.example", "MAIL FROM:<x@a.example>"}, slices.Repeat([]string{alice}, 22)...), "QUIT"),
	}
}

// speakLines speaks a dialogue, and returns how each line was answered, by the first digit of the code but for 503: of others
// that say no for good, Exim and go-smtp choose differently now and then.
func speakLines(t *testing.T, at addressed, port int, lines []string) (heard []string) {
	t.Helper()
	c, r, err := rig.DialAt(at.Addr(), fmt.Sprintf("203.0.113.7:%d", port))
	if err != nil || r.Code != 220 {
		t.Fatal(err, r)
	}
	defer c.Close()
	for _, line := range lines {
		switch line {
		case "-":
			return heard
		case "STARTTLS":
			if err := c.StartTLS(); err != nil {
				t.Fatal(err)
			}
		default:
			r := c.Say(line)
			if r.Code == 0 {
				t.Fatalf("%s: cut off\n%s", line, c.Transcript())
			}
			code := fmt.Sprintf("%dxx", r.Code/100)
			if r.Code == 503 {
				code = "503"
			}
			heard = append(heard, fmt.Sprintf("%.60s: %s", line, code))
		}
	}
	if r := c.Reply(); r.Code != 0 {
		t.Errorf("more than was asked for: %s\n%s", r.Text, c.Transcript())
	}
	return heard
}

// listener is a front within the test, and what it asked.
type listener struct {
	net.Listener
	mu    sync.Mutex
	asked []*policy.Request
}

func (l *listener) Addr() string { return l.Listener.Addr().String() }

// byPort returns what was asked of each client, in order.
func (l *listener) byPort() map[int][]*policy.Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	return byClientPort(l.asked)
}

func byClientPort(list []*policy.Request) map[int][]*policy.Request {
	by := map[int][]*policy.Request{}
	for _, q := range list {
		by[q.ClientPort] = append(by[q.ClientPort], q)
	}
	return by
}

// frontWithin starts a front that objects to nothing.
func frontWithin(t *testing.T) *listener {
	t.Helper()
	inner, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{Listener: inner}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	decider := &acl.Decider{Own: &policy.Own{}, Exempt: &policy.Exempt{}, Mode: policy.Enforce}
	secure, err := front.SelfMade(rig.Domain, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s := front.Server{
		Talks: acl.NewTalks(&acl.Settings{Decider: decider, Log: quiet}, nil), Log: quiet, Secure: secure, Name: rig.Domain,
		Domains: map[string]bool{rig.Domain: true}, Known: map[string]bool{"alice@" + rig.Domain: true, "bob@" + rig.Domain: true},
		User: "alice", Password: rig.Password, ProxyWait: time.Minute,
		Explain: func(d front.Decision) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.asked = append(l.asked, d.Request)
		},
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, inner) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l
}

// told is a request without what cannot be the same: who asks, where, and the names of ciphers, authenticators and of a
// message that nobody queues.
func told(q *policy.Request) policy.Request {
	c := *q
	c.Instance, c.UID, c.CWD, c.QueueID, c.SMTPCount, c.Server, c.ServerPort, c.ProxyLocal = 0, policy.Maybe[uint32]{}, "", "", 0, netip.Addr{}, 0, netip.AddrPort{}
	c.Greeting = policy.HELOName{}                                                    // is made of HELO
	c.AuthFail = strings.TrimSuffix(strings.TrimPrefix(c.AuthFail, " (set_id="), ")") // so Exim 4.96 writes it
	for _, word := range []*string{&c.TLSCipher, &c.AuthBy} {
		if *word != "" {
			*word = "some"
		}
	}
	return c
}

func TestTheFrontAsksWhatEximAsks(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "debian-split", Queue: true, TLS: true, Main: setMain})
	f := fake(t, s, rig.Always(rig.Dunno()))
	l := frontWithin(t)
	dialogues := frontDialogues()
	for _, o := range oddHeaders() {
		text := strings.ReplaceAll(o.header+"\ntext\nMessage-ID: <body@a.example>\n", "\n", "\r\n")
		dialogues["header: "+o.name] = []string{"EHLO client.example", "MAIL FROM:<x@a.example>", "RCPT TO:<alice@" + rig.Domain + ">", "DATA", text + ".", "QUIT"}
	}
	ports := map[string]int{}
	for name, lines := range dialogues {
		ports[name] = firstLetterPort + len(ports)
		inExim, inFront := speakLines(t, s, ports[name], lines), speakLines(t, l, ports[name], lines)
		if diff := cmp.Diff(inExim, inFront); diff != "" {
			t.Errorf("%s: Exim (-) and the front (+) answer differently:\n%s", name, diff)
		}
	}
	var inExim map[int][]*policy.Request
	total := 0
	err := rig.Await("Exim to have asked as often as the front", func() bool {
		var list []*policy.Request
		for _, raw := range f.Requests() {
			q, err := acl.ParseRequest(raw)
			if err != nil {
				t.Errorf("%v: %q", err, raw)
				return true
			}
			list = append(list, q)
		}
		inExim = byClientPort(list)
		total = len(list)
		for name, port := range ports {
			lines := dialogues[name]
			ends := slices.Contains([]string{"QUIT", "-"}, strings.TrimSpace(lines[len(lines)-1]))
			if n := len(inExim[port]); n == 0 || ends && !strings.Contains(inExim[port][n-1].Stage.String(), "QUIT") {
				return false
			}
		}
		return true
	})
	if err != nil {
		t.Error(err)
	}
	inFront := l.byPort()
	for name, port := range ports {
		var want, got []policy.Request
		for _, q := range inExim[port] {
			want = append(want, told(q))
		}
		for _, q := range inFront[port] {
			got = append(got, told(q))
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}), cmpopts.IgnoreUnexported(policy.HELOName{})); diff != "" {
			t.Errorf("%s: Exim (-) and the front (+) ask differently:\n%s", name, diff)
		}
	}
	t.Logf("FIGURE the front asks what Exim asks in %d dialogues, %d questions, field by field", len(dialogues), total)
}

// STARTTLS makes a stranger of who has greeted (RFC 3207 4.2), and what Exim's ACLs are told of him then is no greeting.
func TestMailWithoutAGreetingMeetsTheSameRuleInTheFrontAsInExim(t *testing.T) {
	t.Parallel()
	const config = "policy.helo.mode = \"enforce\"\n"
	s := started(t, rig.Config{Flavour: "debian-split", Queue: true, TLS: true, Main: setMain})
	daemon(t, s, config)
	for name, at := range map[string]addressed{"Exim": s, "the front": frontOf(t, config)} {
		for _, secure := range []bool{false, true} {
			c, r, err := rig.DialAt(at.Addr(), "203.0.113.7")
			if err != nil || r.Code != 220 {
				t.Fatal(err, r)
			}
			defer c.Close()
			if secure {
				say(t, c, "EHLO mail.client.example", 250)
				if err := c.StartTLS(); err != nil {
					t.Fatal(err)
				}
			}
			say(t, c, "MAIL FROM:<x@client.example>", 250)
			if r := say(t, c, "RCPT TO:<alice@"+rig.Domain+">", 503); !strings.Contains(r.Text, "(helo.H1 ") {
				t.Errorf("%s, TLS %v: %s", name, secure, r.Text)
			}
			say(t, c, "EHLO mail.client.example", 250)
			say(t, c, "MAIL FROM:<x@client.example>", 250)
			say(t, c, "RCPT TO:<alice@"+rig.Domain+">", 250)
			say(t, c, "QUIT", 221)
		}
	}
}
