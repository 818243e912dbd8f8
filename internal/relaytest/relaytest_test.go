package relaytest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"
)

func TestAServerIsAskedOnceASecondAndGetsNoMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mailer{rcpt: ownOnly}
		rep := test(t, m, nil, nil)
		if rep.Verdict != Closed || rep.Domain != "example.com" || len(m.texts) > 0 {
			t.Errorf("%s: %s for %s, %d messages", rep.Verdict, rep.Why, rep.Domain, len(m.texts))
		}
		for i, at := range m.when[1:] {
			if gap := at.Sub(m.when[i]); gap < time.Second {
				t.Errorf("connection %d came after %v", i+1, gap)
			}
		}
		t.Logf("FIGURE relaytest: %d connections in %v, 0 messages", len(m.when), m.when[len(m.when)-1].Sub(m.when[0]))
	})
}

func TestAServersDomainIsTheOneWhosePostmasterItTakes(t *testing.T) {
	for _, c := range []struct {
		name, known, given, want string
		asked                    int
	}{
		{"the one behind its name", "", "", "example.com", 2},
		{"the one that somebody gives, though it is refused", "", "example.org", "example.org", 1},
		{"the one it goes by", "example.com", "", "example.com", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &mailer{rcpt: ownOnly}
				rep := test(t, m, nil, func(o *Options) { o.Name, o.Domain = c.known, c.given })
				asked := strings.Count(strings.Join(m.said, "\n"), "RCPT postmaster@") - 1 // and once at the end
				if rep.Domain != c.want || asked != c.asked {
					t.Errorf("%s after %d questions", rep.Domain, asked)
				}
			})
		})
	}
}

func TestAnAnswerMeansWhatTheServerIsKnownToDo(t *testing.T) {
	refuse := func(code int, text string) error { return &smtp.SMTPError{Code: code, Message: text} }
	const nothing = "it refuses its own postmaster@mx.example.com, so that what it refuses proves nothing"
	for _, c := range []struct {
		name         string
		rcpt, mail   func(string) error
		want         Verdict
		why          string // how it begins
		form, result string
		remark       string
	}{
		{name: "everything is refused, which proves nothing", rcpt: func(string) error { return refuse(550, "go away") },
			want: Untested, why: nothing, form: "stranger", result: Refused},
		{name: "greylisted", rcpt: func(string) error { return refuse(451, "greylisted, come back") },
			want: Untested, why: "35 of 46 forms have no answer: 35 deferred, 0 failed", form: "stranger", result: Deferred},
		{name: "everybody at its own domain is taken, which may be mailboxes", rcpt: func(to string) error {
			if strings.HasSuffix(to, "@mx.example.com") || !strings.Contains(to, "@") {
				return nil
			}
			return ownOnly(to)
		}, want: Unclear, why: "9 of 46 recipients were taken that may be mailboxes", form: "percent hack", result: Accepted},
		{name: "a percent hack by who knows his mailboxes", rcpt: func(to string) error {
			if user, ok := strings.CutSuffix(to, "@example.com"); ok && strings.Contains(user, "%") {
				return nil
			}
			return ownOnly(to)
		}, want: Open, why: "5 of 50 forms relay", form: "percent hack", result: Relays},
		{name: "bounces refused, so that a stranger stands for them", rcpt: ownOnly, mail: func(from string) error {
			if from == "" {
				return refuse(550, "no bounces")
			}
			return nil
		}, want: Closed, why: "none of 46 forms relays", form: "percent hack", result: Refused, remark: "it refuses the null sender"},
		{name: "the sender refused, which says nothing of the recipient", rcpt: ownOnly, mail: func(from string) error {
			if strings.HasSuffix(from, "example.net") {
				return refuse(553, "sender domain does not exist")
			}
			return nil
		}, want: Closed, why: "none of 46 forms relays", form: "stranger", result: Refused, remark: "it refuses relaytest@www.example.net as sender"},
		{name: "anybody may relay", rcpt: func(string) error { return nil }, want: Open, why: "21 of 46 forms relay", form: "stranger", result: Relays},
		{name: "one form alone", rcpt: func(to string) error {
			if to == "relaytest%www.example.org%example.com@example.com" {
				return nil
			}
			return ownOnly(to)
		}, want: Open, why: "1 of 50 forms relays", form: "percent hack", result: Refused},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &mailer{rcpt: c.rcpt, mail: c.mail}
				rep := test(t, m, nil, nil)
				if rep.Verdict != c.want || !strings.HasPrefix(rep.Why, c.why) {
					t.Errorf("%s: %s", rep.Verdict, rep.Why)
				}
				r := of(t, rep, c.form)
				if r.Result != c.result || strings.HasPrefix(c.name, "bounces") && r.Mail != "relaytest@www.example.net" {
					t.Errorf("%s: %+v", c.form, r)
				}
				if !strings.Contains(strings.Join(rep.Remarks, "\n"), c.remark) || c.remark == "" && rep.Remarks != nil {
					t.Errorf("remarks: %q", rep.Remarks)
				}
			})
		})
	}
}

// of returns the result of a form.
func of(t *testing.T, rep *Report, form string) Result {
	t.Helper()
	for _, r := range rep.Forms {
		if r.Form == form {
			return r
		}
	}
	t.Fatalf("no answer to %q", form)
	return Result{}
}

func TestAClientThatMayBeTheServersOwnFindsARightAndNoHole(t *testing.T) {
	loopback := func(o *Options) {
		o.Client, o.Server = netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.1")
	}
	for _, c := range []struct {
		name  string
		rcpt  func(from, to string) bool // whether an address elsewhere is taken
		want  Verdict
		forms int
	}{
		{"whoever it says it is", func(string, string) bool { return true }, Permitted, 3},
		{"whoever it says it is, but a stranger who does not exist", func(from, _ string) bool { return !strings.Contains(from, "example.net") }, Permitted, 3},
		{"bounces only, which is a hole", func(from, _ string) bool { return from == "" }, Open, 50},
		{"its own senders only, which is a hole", func(from, _ string) bool { return strings.HasSuffix(from, "example.com") }, Open, 50},
		{"nobody", func(string, string) bool { return false }, Closed, 50},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var from string
				m := &mailer{mail: func(f string) error { from = f; return nil }}
				m.rcpt = func(to string) error {
					if err := ownOnly(to); err == nil || strings.HasSuffix(to, "example.com") || !c.rcpt(from, to) {
						return err
					}
					return nil
				}
				var all []Result
				rep := test(t, m, nil, func(o *Options) { loopback(o); o.Each = func(r Result) { all = append(all, r) } })
				if rep.Verdict != c.want || len(rep.Forms) != c.forms {
					t.Errorf("%s after %d forms: %s", rep.Verdict, len(rep.Forms), rep.Why)
				}
				if c.want == Permitted && (rep.Count(Relays) > 0 || rep.Count(Allowed) < 2) {
					t.Errorf("%d relay, %d are allowed", rep.Count(Relays), rep.Count(Allowed))
				}
				if told := len(rep.Controls) + len(rep.Forms); len(all) != told || all[len(all)-1].Form == rep.Forms[0].Form {
					t.Errorf("%d were told, not %d", len(all), told)
				}
			})
		})
	}
}

func TestWhoIsNear(t *testing.T) {
	own := []netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::2")}
	for _, c := range []struct {
		name, client, server string
		want                 bool
	}{
		{"a stranger", "203.0.113.7", "192.0.2.25", false},
		{"one of ours to a server elsewhere", "192.0.2.2", "192.0.2.25", false},
		{"behind a gateway: the server sees that", "10.0.0.2", "192.0.2.25", false},
		{"a stranger to a private network", "203.0.113.7", "10.0.0.3", false},
		{"a stranger who is played here", "192.0.2.1", "192.0.2.2", false},
		{"loopback", "127.0.0.1", "127.0.0.1", true},
		{"loopback, mapped", "::ffff:127.0.0.1", "192.0.2.25", true},
		{"loopback that is played, of a server without an address", "::1", "", true},
		{"this machine", "192.0.2.2", "10.0.0.2", true},
		{"this machine, IPv6", "2001:db8::2", "2001:db8::2", true},
		{"the same private network", "10.0.0.2", "10.0.0.3", true},
		{"a private one that is played here", "172.16.0.9", "192.0.2.2", true},
	} {
		client, _ := netip.ParseAddr(c.client)
		server, _ := netip.ParseAddr(c.server)
		if got := Near(client, server, own); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestUTF8IsAskedOnlyWhereItIsOffered(t *testing.T) {
	for _, offered := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			m := &mailer{rcpt: ownOnly}
			rep := test(t, m, func(s *smtp.Server) { s.EnableSMTPUTF8 = offered }, nil)
			asked := false
			for _, line := range m.said {
				asked = asked || strings.Trim(line, "\x00\x01-~ !\"#$%&'()*+,") != "" && strings.IndexFunc(line, func(r rune) bool { return r > '~' }) >= 0
			}
			if asked != offered || rep.Count(Skipped) > 0 == offered {
				t.Errorf("offered %v: asked %v, %d skipped", offered, asked, rep.Count(Skipped))
			}
		})
	}
}

func TestAMessageIsSentOnlyToTheVictimAndSaysHowItCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mailer{}
		rep := test(t, m, func(s *smtp.Server) { s.EnableSMTPUTF8 = true }, func(o *Options) { o.Victim, o.Deliver = "me@example.org", true })
		sent := 0
		for _, r := range rep.Forms {
			if !r.Sent {
				continue
			}
			sent++
			if !strings.Contains(r.Rcpt, "me") || !strings.Contains(r.Rcpt, "example.org") {
				t.Errorf("%s went to %s", r.Form, r.Rcpt)
			}
		}
		if sent == 0 || sent != len(m.texts) {
			t.Errorf("%d sent, %d came", sent, len(m.texts))
		}
		for _, r := range rep.Controls {
			if r.Sent {
				t.Errorf("sent to %s", r.Rcpt)
			}
		}
		for _, stray := range []string{"lookalike domain", "literal elsewhere", "number elsewhere", "UTF-8 local part"} {
			if of(t, rep, stray).Sent {
				t.Errorf("%s was sent", stray)
			}
		}
		if text := m.texts[0]; !strings.Contains(text, "Subject: relay test "+rep.Token+": null sender\r\n") || !strings.Contains(text, "To: <me@example.org>\r\n") {
			t.Errorf("%q", text)
		}
	})
}

func TestAMessageThatIsRefusedIsNoRelay(t *testing.T) {
	for _, c := range []struct {
		code int
		want string
	}{{550, Refused}, {451, Deferred}} {
		synctest.Test(t, func(t *testing.T) {
			m := &mailer{data: func() error { return &smtp.SMTPError{Code: c.code, Message: "not after all"} }}
			rep := test(t, m, nil, func(o *Options) { o.Deliver = true })
			if r := of(t, rep, "stranger"); r.Result != c.want || r.Stage != "data" || r.Sent {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestAServerThatBansWhoAsksSoMuchIsNotCalledClosed(t *testing.T) {
	for _, answer := range []string{"5.7.1 banned", "no such user"} { // to everybody, or but the postmaster
		synctest.Test(t, func(t *testing.T) {
			n := 0
			m := &mailer{rcpt: func(to string) error {
				if n++; n < 20 || strings.HasPrefix(to, "postmaster@example.com") && answer == "5.7.1 banned" {
					return ownOnly(to)
				}
				return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.NoEnhancedCode, Message: answer}
			}}
			rep := test(t, m, nil, nil)
			if rep.Verdict != Untested || !strings.Contains(rep.Why, "as if it had banned us") {
				t.Errorf("%s: %s", rep.Verdict, rep.Why)
			}
		})
	}
}

func TestAServerThatTakesMoreLaterHasNotBannedUs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		rep := test(t, &mailer{rcpt: func(to string) error {
			if time.Since(start) < 10*time.Second {
				return &smtp.SMTPError{Code: 451, Message: "greylisted"}
			}
			return ownOnly(to)
		}}, nil, nil)
		if rep.Verdict != Untested || !strings.Contains(rep.Why, " deferred, 0 failed") {
			t.Errorf("%s: %s", rep.Verdict, rep.Why)
		}
	})
}

func TestAVictimAtTheServerProvesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mailer{rcpt: ownOnly}
		rep := test(t, m, nil, func(o *Options) { o.Victim, o.Deliver = "alice@Example.com", true })
		if rep.Verdict != Untested || rep.Why != "<alice@Example.com> is not elsewhere, but at the server" || len(m.texts) > 0 {
			t.Errorf("%s: %s", rep.Verdict, rep.Why)
		}
	})
}

func TestATestThatIsStoppedEndsAtOnce(t *testing.T) {
	for _, after := range []time.Duration{500 * time.Millisecond, 90 * time.Second} { // in the pause, and in a silence
		synctest.Test(t, func(t *testing.T) {
			n := 0
			dial, wait := speaking(func(conn net.Conn, in *bufio.Reader) {
				if n++; after > time.Minute {
					fmt.Fprint(conn, "220 mx.example.com\r\n")
				}
				_, _ = in.ReadString(0)
			})
			ctx, stop := context.WithTimeout(context.Background(), after)
			defer stop()
			start := time.Now()
			if _, err := Test(ctx, options(dial)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
			if took := time.Since(start); took != after {
				t.Errorf("it took %v", took)
			}
			wait()
		})
	}
}

func TestAnAddressThatCouldChangeACommandIsNoVictim(t *testing.T) {
	for _, bad := range []string{"", "me", "me@", "@example.org", "me@example.org>\r\nDATA", "me@example.org\n", "a b@example.org", "{ip}@example.org",
		"me@[192.0.2.1]", "me@192.0.2.1", "me%x@example.org", "a@b@example.org", "me@exa mple.org", "mé@example.org", "me@example..org",
		strings.Repeat("a", 300) + "@example.org"} {
		if CheckAddress(bad) == nil {
			t.Errorf("%q is taken", bad)
		}
		o := options(nil)
		o.Victim = bad
		if _, err := Test(context.Background(), o); err == nil {
			t.Errorf("%q is tested", bad)
		}
	}
	for _, good := range []string{"me@example.org", "Me.And-You_+tag@sub.Example.org", "postmaster@localhost"} {
		if err := CheckAddress(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}
