package front

import (
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"eximpolicyd/acl"
	"eximpolicyd/policy"
)

func TestAnObjectionIsToldWithItsRuleAtEveryStageThatCanHaveOne(t *testing.T) {
	for _, c := range []struct {
		name, helo string
		say        []string
		asked      string
		why        string
	}{
		{"drop at HELO", "drop-helo.example", []string{"EHLO drop-helo.example", "554 5.7.1 as you ?wish??250 ok (test.T1 ", "", ""}, "CONNECT HELO NOTQUIT", "acl-drop"},
		{"deny at HELO", "deny-helo.example", []string{"EHLO deny-helo.example", "550 5.7.1 ", "MAIL FROM:<>", "503", "QUIT", "221"}, "CONNECT HELO QUIT", ""},
		{"defer at HELO", "defer-helo.example", []string{"HELO defer-helo.example", "451 4.7.1 ", "EHLO good.example", "250"}, "CONNECT HELO HELO NOTQUIT", "connection-lost"},
		{"deny at a second HELO", "", []string{"EHLO good.example", "250", "EHLO deny-helo.example", "550 5.7.1 ", "QUIT", "221"}, "CONNECT HELO HELO QUIT", ""},
		{"drop at MAIL", "", []string{"EHLO drop-mail.example", "250", "MAIL FROM:<>", "554 5.7.1 as you ", "", ""}, "CONNECT HELO MAIL NOTQUIT", "acl-drop"},
		{"deny at MAIL", "", []string{"EHLO deny-mail.example", "250", "MAIL FROM:<>", "550", "RCPT TO:<alice@example.com>", "503", "QUIT", "221"}, "CONNECT HELO MAIL QUIT", ""},
		{"drop at RCPT", "", []string{"EHLO drop-rcpt.example", "250", "MAIL FROM:<>", "250", "RCPT TO:<alice@example.com>", "554", "", ""}, "CONNECT HELO MAIL RCPT NOTQUIT", "acl-drop"},
		{"defer at RCPT", "", []string{"EHLO defer-rcpt.example", "250", "MAIL FROM:<>", "250", "RCPT TO:<alice@example.com>", "451 4.7.1 ", "DATA", "503", "QUIT", "221"}, "CONNECT HELO MAIL RCPT QUIT", ""},
		{"drop at DATA", "", []string{"EHLO drop-data.example", "250", "MAIL FROM:<>", "250", "RCPT TO:<alice@example.com>", "250", "DATA", "354", "\r\n.", "554", "", ""}, "CONNECT HELO MAIL RCPT DATA NOTQUIT", "acl-drop"},
		{"deny at DATA", "", []string{"EHLO deny-data.example", "250", "MAIL FROM:<>", "250", "RCPT TO:<alice@example.com>", "250", "DATA", "354", "\r\n.", "550", "MAIL FROM:<>", "250"}, "CONNECT HELO MAIL RCPT DATA MAIL NOTQUIT", "connection-lost"},
		{"drop at QUIT is too late", "", []string{"EHLO drop-quit.example", "250", "QUIT", "221"}, "CONNECT HELO QUIT", ""},
		{"four bad commands", "", []string{"EHLO good.example", "250", "XXXX", "500 5.5.2 unrecognized command", "MAIL", "500 5.5.2 ", "RCPT alice@example.com", "500 5.5.2 ", "XXXX", "500 5.5.2 Too many unrecognized commands", "", ""},
			"CONNECT HELO NOTQUIT", "bad-commands"},
		{"four faults of every kind", "", []string{"EHLO good.example", "250", "DATA", "503", "MAIL FROM:<a@", "501", "EHLO", "501", "XXXX", "500-5.5.2 unrecognized command\r\n500 5.5.0 Too many syntax or protocol errors", "", ""},
			"CONNECT HELO", ""},
		{"four faults before STARTTLS could be offered", "", []string{"STARTTLS", "503", "AUTH PLAIN", "503", "NOOP\x00", "501", "STARTTLS", "503-5.5.1 STARTTLS is offered to who says EHLO\r\n503 ", "", ""},
			"CONNECT", ""},
		{"objections, failed logins and addresses without a domain are no faults", "", []string{"EHLO deny-mail.example", "250", "AUTH PLAIN !", "501", "AUTH PLAIN =", "535", "MAIL FROM:<a>", "501",
			"EHLO deny-rcpt.example", "250", "MAIL FROM:<>", "250", "RCPT TO:<a>", "501", "RCPT TO:<b>", "501", "RCPT TO:<c>", "501", "RCPT TO:<alice@example.com>", "550", "QUIT", "221"},
			"CONNECT HELO HELO MAIL RCPT QUIT", ""},
		{"what a client may send ahead is no fault", "", []string{"EHLO deny-mail.example", "250", "MAIL FROM:<>", "550", "RCPT TO:<a@example.com>", "503", "RCPT TO:<b@example.com>", "503", "RCPT TO:<c@example.com>", "503",
			"RCPT TO:<d@example.com>", "503", "DATA", "503", "DATA", "503", "DATA", "503", "RCPT TO:<a@example.com>", "503", "DATA", "503-", "", ""}, "CONNECT HELO MAIL", ""},
		{"but not behind HELO", "", []string{"HELO deny-mail.example", "250", "MAIL FROM:<>", "550", "RCPT TO:<a@example.com>", "503", "RCPT TO:<b@example.com>", "503", "RCPT TO:<c@example.com>", "503",
			"DATA", "503-", "", ""}, "CONNECT HELO MAIL", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := play(t, nil)
			client := p.dial()
			client.say("", "220")
			client.say(c.say...)
			client.conn.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, client.in) // the front closes when it has asked
			if got := p.asked(); got != c.asked {
				t.Errorf("asked at %s, want %s", got, c.asked)
			}
			if list := p.at(policy.NotQuit); len(list) > 0 && list[0].NotQuitReason != c.why {
				t.Errorf("%q, want %q", list[0].NotQuitReason, c.why)
			}
		})
	}
}

func TestADropAtCONNECTTakesThePlaceOfTheGreeting(t *testing.T) {
	p := play(t, func(s *Server) { s.Client = netip.MustParseAddr("198.51.100.9") })
	c := p.dial()
	c.say("", "554 5.7.1 mail from your address is not taken here (deny ", "", "")
	if got := p.asked(); got != "CONNECT NOTQUIT" {
		t.Error(got)
	}
}

func TestARecipientIsOursKnownUnknownOrARelay(t *testing.T) {
	p := play(t, nil)
	c := p.dial()
	c.say("", "220", "EHLO client.example", "250", "MAIL FROM:<a@example.org>", "250",
		"RCPT TO:<nobody@example.com>", "550 5.1.1 there is no such recipient here",
		"RCPT TO:<x@elsewhere.example>", "550 5.7.1 relay not permitted",
		"RCPT TO:<alice@sub.example.com>", "550 5.7.1 relay",
		`RCPT TO:<"alice@example.com@elsewhere.example">`, "501",
		`RCPT TO:<"x@example.com"@elsewhere.example>`, "550 5.7.1 relay",
		"RCPT TO:<x%elsewhere.example@example.com>", "550 5.1.1",
		"RCPT TO:<@example.com:x@elsewhere.example>", "550 5.7.1 relay",
		"RCPT TO:<Alice@Example.COM>", "250", "RCPT TO:<POSTMASTER@example.com>", "250",
		"RCPT TO:<Postmaster>", "250", "rcpt to: <postmaster> NOTIFY=NEVER", "504", "RCPT TO:<alice>", "501", "RCPT TO:<postmaster>", "250")
	got := [][]any{}
	for _, q := range p.at(policy.RCPT) {
		got = append(got, []any{q.Recipient, q.Verify.String(), q.VerifyFailure, q.RcptCount, q.RcptFailCount, q.Recipients})
	}
	want := [][]any{
		{"nobody@example.com", "unknown", "route", 1, 0, 0},
		{"x@elsewhere.example", "none", "route", 2, 1, 0},
		{"alice@sub.example.com", "none", "route", 3, 2, 0},
		{"x@example.com@elsewhere.example", "none", "route", 5, 4, 0},
		{"x%elsewhere.example@example.com", "unknown", "route", 6, 5, 0},
		{"x@elsewhere.example", "none", "route", 7, 6, 0},
		{"alice@example.com", "ok", "", 8, 7, 0},
		{"postmaster@example.com", "ok", "", 9, 7, 1},
		{"postmaster@example.com", "ok", "", 10, 7, 2},
		{"postmaster@example.com", "ok", "", 13, 9, 3},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOnlyTheTestUserLogsInAndMayRelayToNowhere(t *testing.T) {
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, c := range []struct {
		name string
		say  []string
		by   string
	}{
		{"a wrong password", []string{"AUTH PLAIN " + encode("\x00test\x00wrong"), "535"}, ""},
		{"a wrong name", []string{"AUTH PLAIN " + encode("\x00root\x00secret"), "535"}, ""},
		{"no base64", []string{"AUTH PLAIN !", "501"}, ""},
		{"an answer that is none", []string{"AUTH PLAIN =", "535", "AUTH PLAIN", "334", encode("test"), "535", "AUTH LOGIN", "334", "!", "501"}, ""},
		{"no such mechanism", []string{"AUTH CRAM-MD5", "504"}, ""},
		{"given up", []string{"AUTH LOGIN", "334", "*", "501"}, ""},
		{"commands for an answer", []string{"AUTH LOGIN", "334", "QUIT", "334", "EHLO x.example", "501"}, ""},
		{"PLAIN at once", []string{"AUTH PLAIN " + encode("\x00test\x00secret"), "235"}, "plain"},
		{"PLAIN in two steps", []string{"AUTH PLAIN", "334", encode("\x00test\x00secret"), "235"}, "plain"},
		{"LOGIN in two steps", []string{"AUTH LOGIN", "334 " + encode("Username:"), encode("test"), "334 " + encode("Password:"), encode("secret"), "235"}, "login"},
		{"LOGIN with a name", []string{"AUTH LOGIN " + encode("test"), "334", encode("secret"), "235", "AUTH LOGIN", "503"}, "login"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := play(t, nil)
			client := p.dial()
			client.say("", "220", "EHLO client.example", "250")
			client.say(c.say...)
			answer := "550 5.7.1 relay not permitted"
			if c.by != "" {
				answer = "250"
			}
			client.say("MAIL FROM:<a@example.org>", "250", "RCPT TO:<x@elsewhere.example>", answer, "QUIT", "221")
			q := p.at(policy.RCPT)[0]
			if q.AuthBy != c.by || (q.AuthAs == "test") != (c.by != "") || (q.Protocol == "esmtpa") != (c.by != "") {
				t.Errorf("%q by %q, %s", q.AuthAs, q.AuthBy, q.Protocol)
			}
			if len(p.at(policy.Helo)) != 1 {
				t.Error("an answer to AUTH was taken for a greeting")
			}
		})
	}
}

func TestWithoutATestUserAUTHIsNotOffered(t *testing.T) {
	p := play(t, func(s *Server) { s.User, s.Password = "", "" })
	c := p.dial()
	c.say("", "220")
	c.raw("EHLO client.example\r\n")
	if r := c.reply(); strings.Contains(r, "AUTH") {
		t.Error(r)
	}
	c.say("AUTH PLAIN AAA=", "502")
}

func TestRSETAndANewGreetingForgetTheMessageAndASecondSenderIsRefused(t *testing.T) {
	p := play(t, nil)
	c := p.dial()
	c.say("", "220", "EHLO client.example", "250", "MAIL FROM:<a@example.org> SIZE=77", "250", "MAIL FROM:<b@example.org>", "503",
		"RCPT TO:<alice@example.com>", "250", "RSET", "250", "DATA", "503", "MAIL FROM:<b@example.org> SIZE=78", "250",
		"RCPT TO:<alice@example.com>", "250", "HELO other.example", "250", "DATA", "503", "MAIL FROM:<>", "250", "RCPT TO:<alice@example.com>", "250")
	var got []string
	for _, q := range p.at(policy.RCPT) {
		got = append(got, fmt.Sprint(q.Sender.Value, " ", q.HELO.Value, " ", q.Protocol, " ", q.Size, " ", q.RcptCount, q.Recipients))
	}
	want := []string{"a@example.org client.example esmtp 77 1 0", "b@example.org client.example esmtp 78 1 0", " other.example smtp -1 1 0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAMarkedMessageIsTaken(t *testing.T) {
	p := play(t, nil)
	c := p.dial()
	c.toData("mark-data.example")
	c.raw("\r\n.\r\n")
	c.say("", "250 2.0.0 1 octet judged and thrown away: nothing is delivered (marked, score 3.0, ")
}

// Exim takes MAIL of a client that has not greeted, and so a rule may object, at RCPT; go-smtp would not.
func TestMailBeforeAGreetingIsForTheRulesToJudge(t *testing.T) {
	setups := map[string]policy.Setup{"helo": {Mode: policy.Known(policy.Enforce)}}
	p := play(t, func(s *Server) {
		decider := &acl.Decider{Rules: policy.Bind(policy.Table(), setups, policy.Enforce), Own: &policy.Own{}, Exempt: &policy.Exempt{}, Mode: policy.Enforce}
		s.Talks = acl.NewTalks(&acl.Settings{Decider: decider, Log: slog.New(slog.DiscardHandler)}, nil)
	})
	c := p.dial()
	c.say("", "220", "MAIL FROM:<a@example.org>", "250", "RCPT TO:<alice@example.com>", "503 5.5.1", "RSET", "250",
		"EHLO mail.example.org", "250", "MAIL FROM:<a@example.org>", "250", "RCPT TO:<alice@example.com>", "250", "QUIT", "221")

	if got := p.asked(); got != "CONNECT MAIL RCPT HELO MAIL RCPT QUIT" {
		t.Errorf("asked at %s", got)
	}
	if q := p.at(policy.RCPT); q[0].HELO != policy.Known("") || q[1].HELO != policy.Known("mail.example.org") {
		t.Errorf("greeted with %v, then %v", q[0].HELO, q[1].HELO)
	}
}

func TestAMessageThatIsLostWithItsConnectionIsThereAtNOTQUIT(t *testing.T) {
	for _, ends := range []string{"DATA\r\nSubject: x\r\n", "DATA\r\n\r\n.\n", "BDAT 100\r\nSubject: x\r\n", "BDAT 100 LAST\r\nSubject: x\r\n", ""} {
		p := play(t, nil)
		c := p.dial()
		c.say("", "220", "EHLO client.example", "250", "MAIL FROM:<a@example.org>", "250", "RCPT TO:<alice@example.com>", "250")
		c.raw(ends)
		c.conn.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, c.in)
		if q := p.at(policy.NotQuit); len(q) != 1 || q[0].Sender.Value != "a@example.org" || q[0].RcptCount != 1 || q[0].Recipients != 1 {
			t.Errorf("%q: %+v", ends, q)
		}
		if got := p.asked(); got != "CONNECT HELO MAIL RCPT NOTQUIT" {
			t.Errorf("%q: %s", ends, got)
		}
	}
}

// The snippet sends 600 octets of an address; cut there, a stranger's could end in a domain of ours.
func TestAnAddressThatEximTakesForNoneIsAskedAboutNowhere(t *testing.T) {
	ours := strings.Repeat("a", 600-len("@example.com")) + "@example.com"
	p := play(t, func(s *Server) { s.Known = nil })
	bad := []string{ours, ours + ".elsewhere.example", "a@" + strings.Repeat("a.", 127) + "example", "a@example..com", "a@.example.com", "a@example.com.",
		"a@under_score.example", "a@[203.0.113.7]", "a@example.com\x80", "a@exam\u212ale.com"}
	for _, address := range bad {
		c := p.dial()
		c.say("", "220", "EHLO client.example", "250", "MAIL FROM:<"+address+">", "501", "MAIL FROM:<>", "250", "RCPT TO:<"+address+">", "501", "QUIT", "221")
	}
	if got, want := p.asked(), strings.Repeat(" CONNECT HELO MAIL QUIT", len(bad))[1:]; got != want {
		t.Error(got)
	}
}

func TestInARecipientOnlyASCIIIsLowered(t *testing.T) {
	p := play(t, func(s *Server) { s.Known = map[string]bool{"kim@example.com": true} })
	c := p.dial()
	c.say("", "220", "EHLO client.example", "250", "MAIL FROM:<>", "250", "RCPT TO:<\u212aim@example.com>", "550 5.1.1", "RCPT TO:<KIM\xff@example.com>", "550 5.1.1",
		"RCPT TO:<KIM@EXAMPLE.COM>", "250")
	if q := p.at(policy.RCPT); q[0].Recipient != "\u212aim@example.com" || q[1].Recipient != "kim\xff@example.com" || q[2].Recipient != "kim@example.com" {
		t.Errorf("%q %q %q", q[0].Recipient, q[1].Recipient, q[2].Recipient)
	}
}

// go-smtp has the end of chunks that are given up written to where the end of the next message is read, if it comes late.
func TestChunksThatAreGivenUpLeaveNothingToTheNextMessage(t *testing.T) {
	p := play(t, nil)
	c := p.dial()
	c.say("", "220", "EHLO client.example", "250")
	for range 200 {
		for _, text := range []string{"Date: x\r\n", "A: xyz\n\r\n"} { // the second is refused already
			c.say("MAIL FROM:<>", "250", "RCPT TO:<alice@example.com>", "250")
			c.raw("BDAT 9\r\n" + text)
			c.say("", "250", "RSET", "250")
		}
		c.say("MAIL FROM:<>", "250", "RCPT TO:<alice@example.com>", "250", "BDAT 0 LAST", "250 2.0.0 0 octets")
	}
}

func TestAHeaderInChunksWhoseFirstLineEndsByABareLFIsRefusedAsByExim(t *testing.T) {
	p := play(t, nil)
	c := p.dial()
	c.say("", "220", "EHLO client.example", "250", "MAIL FROM:<>", "250", "RCPT TO:<alice@example.com>", "250")
	c.raw("BDAT 27 LAST\r\nMessage-ID: <1@a.example>\n\n")
	c.say("", "552 5.6.0", "MAIL FROM:<>", "250", "QUIT", "221")
	if got := p.asked(); got != "CONNECT HELO MAIL RCPT MAIL QUIT" {
		t.Error(got)
	}
}
