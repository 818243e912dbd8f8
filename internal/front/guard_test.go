package front

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"strings"
	"testing"

	"eximpolicyd/policy"
)

// hidden is what a smuggler wants to be taken for a second message.
const hidden = "MAIL FROM:<root@example.com>\r\nRCPT TO:<alice@example.com>\r\nDATA\r\nhidden\r\n.\r\n"

func TestAMessageWithAnAmbiguousEndIsRefusedAndWhatIsHiddenBehindItIsNeverRead(t *testing.T) {
	for _, secure := range []bool{false, true} {
		for _, e := range endings() {
			if e.want != smuggled {
				continue
			}
			t.Run(fmt.Sprintf("%s, TLS %v", e.name, secure), func(t *testing.T) {
				p := play(t, nil)
				c := p.dial()
				if secure {
					c.startTLS()
				} else {
					c.say("", "220")
				}
				c.say("EHLO client.example", "250", "MAIL FROM:<a@example.org>", "250", "RCPT TO:<alice@example.com>", "250", "DATA", "354")
				c.raw("Subject: x\r\n\r\ntext" + e.end + hidden + "QUIT\r\n")
				c.say("", "550 5.5.2 a bare <CR> or <LF>", "", "")
				if n := len(p.at(policy.Mail)); n != 1 {
					t.Errorf("asked about %d senders", n)
				}
				if n := len(p.at(policy.Data)); n != 0 {
					t.Errorf("asked about %d messages", n)
				}
			})
		}
	}
}

func TestTextWithDotsOfItsOwnArrivesWhole(t *testing.T) {
	p := play(t, nil)
	c := p.dial()
	c.toData("client.example")
	c.raw("Message-ID: <1@a.example>\r\n\r\n..\r\n..\n a\rb\nc\r\n.\r\n")
	c.say("", "250 2.0.0 38 octets judged and thrown away: nothing is delivered", "QUIT", "221")
	if got := p.asked(); got != "CONNECT HELO MAIL RCPT DATA QUIT" {
		t.Error(got)
	}
}

// startTLS goes on above TLS.
func (c *client) startTLS() {
	c.t.Helper()
	c.say("", "220", "EHLO before.example", "250", "STARTTLS", "220")
	secured := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true}) // nobody vouches for it
	c.conn, c.in = secured, bufio.NewReader(secured)
}

func TestAfterSTARTTLSWhatTheClientSaidIsForgotten(t *testing.T) {
	p := play(t, nil)
	c := p.dial()
	c.startTLS()
	c.say("MAIL FROM:<a@example.org>", "250", "STARTTLS", "503", "EHLO after.example", "250",
		"MAIL FROM:<a@example.org>", "250", "RCPT TO:<alice@example.com>", "250", "QUIT", "221")
	if got := p.asked(); got != "CONNECT HELO MAIL HELO MAIL RCPT QUIT" {
		t.Error(got)
	}
	if q := p.at(policy.Mail)[0]; q.HELO != policy.Known("") {
		t.Errorf("before it greeted again: %q", q.HELO.Value)
	}
	q := p.at(policy.RCPT)[0]
	if q.HELO.Value != "after.example" || q.Protocol != "esmtps" || !strings.HasPrefix(q.TLSCipher, "TLS1.3:TLS_") || q.History != "EHLO,STARTTLS,MAIL,STARTTLS,EHLO,MAIL,RCPT" {
		t.Errorf("%q %q %q %q", q.HELO.Value, q.Protocol, q.TLSCipher, q.History)
	}
	if q := p.at(policy.Helo)[1]; q.Protocol != "smtps" || q.HELO.Value != "after.example" {
		t.Errorf("at the second greeting: %q", q.Protocol)
	}
}

func TestWhatIsSentBehindSTARTTLSInTheClearEndsTheConnection(t *testing.T) {
	p := play(t, nil)
	c := p.dial()
	c.say("", "220", "EHLO client.example", "250")
	c.raw("STARTTLS\r\nMAIL FROM:<root@example.com>\r\n")
	c.say("", "554 5.5.0", "", "")
	if len(p.at(policy.Mail)) != 0 {
		t.Error("it was read")
	}
}

func TestALoginIsForgottenBySTARTTLS(t *testing.T) {
	p := play(t, nil)
	c := p.dial()
	c.say("", "220", "EHLO client.example", "250", "AUTH PLAIN AHRlc3QAc2VjcmV0", "235", "STARTTLS", "220")
	secured := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
	c.conn, c.in = secured, bufio.NewReader(secured)
	c.say("EHLO client.example", "250", "MAIL FROM:<a@example.org>", "250", "RCPT TO:<x@elsewhere.example>", "550 5.7.1 relay not permitted")
	if q := p.at(policy.RCPT)[0]; q.AuthAs != "" || q.AuthBy != "" {
		t.Errorf("%q by %q", q.AuthAs, q.AuthBy)
	}
}

func TestLinesThatAreTooLongEndTheConnection(t *testing.T) {
	p := play(t, nil)
	c := p.dial()
	c.say("", "220")
	c.raw("EHLO " + strings.Repeat("a", maxCommand) + "\r\n")
	c.say("", "500 5.5.2", "", "")
}

// As Exim does: what a log or a list takes for the end of a name must not stand in one.
func TestACommandWithANULIsNone(t *testing.T) {
	p := play(t, nil)
	c := p.dial()
	c.say("", "220", "EHLO client\x00.example", "501 5.5.2", "MAIL FROM:<a@example.org>\x00", "501", "EHLO client.example", "250",
		"RCPT TO:<alice\x00@example.com>", "501", "QUIT", "221")
	if got := p.asked(); got != "CONNECT HELO QUIT" || p.at(policy.Quit)[0].History != "EHLO,QUIT" {
		t.Error(got, p.at(policy.Quit)[0].History)
	}
}

func TestBDATIsCountedByOctetsAndItsChunksAreNoCommands(t *testing.T) {
	p := play(t, nil)
	c := p.dial()
	c.say("", "220", "EHLO client.example", "250")
	c.raw("BDAT 6 LAST\r\nQUIT\r\n") // in the wrong place, and its octets are octets still
	c.say("", "503", "MAIL FROM:<a@example.org>", "250", "RCPT TO:<alice@example.com>", "250")
	c.raw("BDAT 31\r\nMessage-ID: <1@a.example>\r\n\r\n.\r" + "BDAT 14 LAST\r\n\nEHLO x\r\nQUIT\n")
	c.say("", "250", "", "250 2.0.0 41 octets", "NOOP", "250")
	if q := p.at(policy.Data); len(q) != 1 || q[0].MessageID.Value != " <1@a.example>\n" {
		t.Errorf("%v", q)
	}
	if len(p.at(policy.Helo)) != 1 {
		t.Error("a chunk was taken for a greeting")
	}
	for _, bad := range []string{"BDAT", "BDAT x", "BDAT -1", "BDAT 5 FIRST", "BDAT 5 LAST LAST", "BDAT 99999999999"} {
		c := p.dial()
		c.say("", "220", "EHLO client.example", "250", bad, "501", "", "")
	}
}

func TestAMessageThatIsTooBigEndsTheConnection(t *testing.T) {
	p := play(t, nil)
	c := p.dial()
	c.say("", "220", "EHLO client.example", "250", fmt.Sprintf("MAIL FROM:<a@example.org> SIZE=%d", maxMessage+1), "552",
		"MAIL FROM:<a@example.org> SIZE=1000", "250", "RCPT TO:<alice@example.com>", "250", fmt.Sprintf("BDAT %d LAST", maxMessage+1), "552", "", "")
}

func TestACommandInTheWrongPlaceIsAnsweredAsRFC5321Says(t *testing.T) {
	const login = "AUTH PLAIN AHRlc3QAc2VjcmV0"
	p := play(t, nil)
	c := p.dial()
	c.say("", "220", login, "503 5.5.1", "STARTTLS", "503 5.5.1", "EHLO client.example", "250", "DATA", "503 5.5.1", "QUIT", "221")
	c = p.dial()
	c.say("", "220", "HELO client.example", "250", login, "503 5.5.1", "STARTTLS", "503 5.5.1", "EHLO client.example", "250", "RCPT TO:<alice@example.com>", "503 5.5.1", "QUIT", "221")
	c = p.dial()
	c.say("", "220", "EHLO client.example", "250", "MAIL FROM:<a@example.org>", "250", login, "503 5.5.1", "MAIL FROM:<b@example.org>", "503 5.5.1", "DATA", "503 5.5.1", "QUIT", "221")
	c = p.dial()
	c.say("", "220", "EHLO client.example", "250", "MAIL FROM:<a@example.org>", "250", "BDAT 0 LAST", "503 5.5.1", "HELP", "502 5.5.1", "AUTH", "501 5.5.4",
		"RCPT TO:<x@elsewhere.example>", "550 5.7.1 relay not permitted", "QUIT", "221")
	for _, q := range p.at(policy.Quit) {
		if q.AuthAs != "" || q.TLSCipher != "" {
			t.Errorf("%q %q", q.AuthAs, q.TLSCipher)
		}
	}
}

func TestABDATToWhomItIsNotOfferedEndsTheConnectionForItsOctetsCouldBeAnything(t *testing.T) {
	p := play(t, nil)
	c := p.dial()
	c.say("", "220", "HELO client.example", "250", "MAIL FROM:<a@example.org>", "250", "RCPT TO:<alice@example.com>", "250")
	c.raw("BDAT 6 LAST\r\nQUIT\r\n")
	c.say("", "503 5.5.1", "", "")
	if got := p.asked(); got != "CONNECT HELO MAIL RCPT NOTQUIT" {
		t.Error(got)
	}
}

func TestWhoIsOfferedNoPIPELININGAndDoesNotWaitIsCutOffAsByExim(t *testing.T) {
	const mail, rcpt = "MAIL FROM:<a@example.org>\r\n", "RCPT TO:<alice@example.com>\r\n"
	for _, c := range []struct {
		name, lines, asked string
	}{
		{"MAIL behind HELO", "HELO client.example\r\n" + mail + rcpt, "CONNECT HELO MAIL NOTQUIT"},
		{"RCPT behind HELO", "HELO client.example\r\n" + mail, "CONNECT HELO MAIL NOTQUIT"},
		{"ungreeted", mail + rcpt, "CONNECT MAIL NOTQUIT"},
		{"HELO behind EHLO", "EHLO client.example\r\nHELO client.example\r\n" + mail + rcpt, "CONNECT HELO HELO MAIL NOTQUIT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := play(t, nil)
			client := p.dial()
			client.say("", "220")
			client.raw(c.lines + "NOOP\r\n")
			answer := ""
			for r := client.reply(); r != ""; r = client.reply() {
				answer = r
			}
			if !strings.HasPrefix(answer, "554 5.5.0 ") || p.asked() != c.asked {
				t.Errorf("%q, asked at %s, want %s", answer, p.asked(), c.asked)
			}
			if q := p.at(policy.NotQuit); len(q) != 1 || q[0].NotQuitReason != "synchronization-error" || q[0].Sender.Value != "a@example.org" {
				t.Errorf("%+v", q)
			}
		})
	}
	p := play(t, nil)
	c := p.dial()
	c.say("", "220")
	c.raw("EHLO client.example\r\n" + mail + rcpt + "DATA\r\n")
	c.say("", "250", "", "250", "", "250", "", "354")
}

func TestAnotherCommandBetweenChunksGivesTheMessageUp(t *testing.T) {
	for _, command := range []string{"RCPT TO:<alice@example.com>", "MAIL FROM:<b@example.org>", "EHLO other.example", "STARTTLS", "DATA", "AUTH PLAIN AHRlc3QAc2VjcmV0", "XXXX"} {
		t.Run(command, func(t *testing.T) {
			p := play(t, nil)
			c := p.dial()
			c.say("", "220", "EHLO client.example", "250", "MAIL FROM:<a@example.org>", "250", "RCPT TO:<alice@example.com>", "250")
			c.raw("BDAT 9\r\nDate: x\r\n")
			c.say("", "250", "NOOP", "250", command, "503 5.5.1 only BDAT", "BDAT 0 LAST", "503", "NOOP", "250", "MAIL FROM:<a@example.org>", "250", "QUIT", "221")
			if got := p.asked(); got != "CONNECT HELO MAIL RCPT MAIL QUIT" {
				t.Error(got)
			}
			if q := p.at(policy.Quit)[0]; q.History != "EHLO,MAIL,RCPT,BDAT,NOOP,BDAT,NOOP,MAIL,QUIT" {
				t.Error(q.History)
			}
		})
	}
}
