package mainlog_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"

	"eximpolicyd/internal/mainlog"
)

// FuzzEntry holds that any text after a time is one event, all of whose parts stand in it.
func FuzzEntry(f *testing.F) {
	for _, c := range entryCases {
		f.Add(c.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.ContainsAny(text, "\n") {
			return
		}
		r := mainlog.NewReader([]mainlog.Input{mainlog.Stream("-", strings.NewReader("2026-11-23 13:12:37 "+text+"\n"))}, in2030())
		defer r.Close()
		e, err := r.Next()
		if err != nil {
			c := r.Counts()
			if c.Lines != 1 && c.Cut == 0 {
				t.Fatalf("%q: %v, %d lines", text, err, c.Lines)
			}
			return
		}
		for _, part := range []string{e.ID, e.PTR, e.HELO, e.Ident, e.Protocol, e.TLS, e.Auth, e.Login, e.Sender, e.Recipient, e.Original, e.Host, e.Response, e.For, e.MessageID, e.Subject, e.Command, e.Arguments, e.Rule, e.Reason, e.Text} {
			if !strings.Contains(text, part) {
				t.Fatalf("%q is not in %q", part, text)
			}
		}
		for to := range e.Recipients() {
			if to == "" || !strings.Contains(text, to) {
				t.Fatalf("recipient %q of %q", to, text)
			}
		}
		mainlog.Unescape(e.Subject)
	})
}

// FuzzClient holds that whatever a client greets with, logs in with and writes for addresses, the address is its own, or the
// entry is doubtful.
func FuzzClient(f *testing.F) {
	f.Add("x) [198.51.100.8] F=<a@b> rejected RCPT <c@d>: no (y", `"a> b"@example.org`, `"c>: d"@example.net`, "u) [198.51.100.8]: 535 x (set_id=")
	f.Add("a.example", "a@example.org", "b@example.net", "user")
	f.Add(`a" H=(b) [198.51.100.8]`, "", "", `"`)
	f.Add(`" H=[198.51.100.8] `, "a@example.org", "b@example.net", "0")
	f.Add(" received from [198.51.100.8] H=[198.51.100.8] U=x ", "a@example.org", "b@example.net", "0")
	f.Add("x) [::1]:25 I=[::2]:25", "x@[192.0.2.1]", "a@b", "\\n")
	f.Fuzz(func(t *testing.T, helo, sender, recipient, login string) {
		for _, s := range []string{helo, sender, recipient, login} {
			if strings.ContainsAny(s, "\n\r\x00") || len(s) > 2000 {
				return
			}
		}
		if helo == "" || !mailAddress(sender) || !mailAddress(recipient) {
			return
		}
		const real = "192.0.2.66"
		for _, text := range []string{
			fmt.Sprintf("H=(%s) [%s]:25 F=<%s> rejected RCPT <%s>: Unrouteable address", helo, real, sender, recipient),
			fmt.Sprintf("H=host.example (%s) [%s]:25 I=[192.0.2.1]:25 temporarily rejected MAIL <%s>: no", helo, real, sender),
			fmt.Sprintf("H=(%s) [%s] rejected EHLO or HELO %.100s: no", helo, real, helo),
			fmt.Sprintf("1xVTqX-0005xq-2c <= %s H=(%s) [%s] P=esmtp S=258 id=1@y.example", sender, helo, real),
			fmt.Sprintf("plain authenticator failed for (%s) [%s]:99: 535 Incorrect authentication data (set_id=%s)", helo, real, login),
			fmt.Sprintf("SMTP connection from (%s) [%s]:99 closed by QUIT", helo, real),
			fmt.Sprintf(`SMTP protocol error in "%s" H=(%s) [%s] AUTH command used when not advertised`, login, helo, real),
			fmt.Sprintf("unexpected disconnection while reading SMTP command from (%s) [%s] D=0s", helo, real),
			fmt.Sprintf("unqualified recipient rejected: <%s> H=(%s) [%s]", recipient, helo, real),
			fmt.Sprintf("rejected MAIL FROM:<%s> H=(%s) [%s]: message too big", sender, helo, real),
			fmt.Sprintf("ETRN %s received from (%s) [%s]", recipient, helo, real),
		} {
			e := one(t, "2026-11-23 13:12:37 "+text)
			if e.Client != netip.MustParseAddr(real) && !e.Doubtful {
				t.Errorf("client %v of %s (%v)", e.Client, text, e.Kind)
			}
		}
	})
}

// mailAddress reports whether Exim would take an address: blanks and angles only within quotes, brackets only around an address
// for a domain.
func mailAddress(s string) bool {
	if i := strings.LastIndex(s, "@["); i >= 0 && strings.HasSuffix(s, "]") {
		a, err := netip.ParseAddr(strings.TrimPrefix(s[i+2:len(s)-1], "IPv6:"))
		if err == nil && a.Zone() == "" {
			s = s[:i]
		}
	}
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && strings.IndexByte(" <>()[],;:\\\t", c) >= 0:
			return false
		}
	}
	return !quoted
}

// FuzzReader holds that any octets are read to the end, and every line is counted once.
func FuzzReader(f *testing.F) {
	f.Add([]byte("2026-11-23 13:00:00 Start queue run: pid=1\nmore\n\nNov 23 13:00:00 h exim[1]: x\n"), uint8(3))
	f.Add([]byte("\x1f\x8b\x08\x00"), uint8(1))
	f.Add([]byte("\xff\xfe2\x000\x00\n\x00"), uint8(200))
	f.Fuzz(func(t *testing.T, text []byte, times uint8) {
		text = bytes.Repeat(text, int(times)+1)
		if len(text) > 1<<20 {
			return
		}
		r := mainlog.NewReader([]mainlog.Input{mainlog.Stream("-", bytes.NewReader(text))}, in2030())
		defer r.Close()
		entries := uint64(0)
		for {
			e, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			entries++
			for range e.HeaderFields() {
				continue
			}
		}
		c := r.Counts()
		sum := c.Entries()
		if sum != entries {
			t.Fatalf("%d entries, %d are counted", entries, sum)
		}
		for _, n := range c.Reasons {
			sum += n
		}
		if sum != c.Lines {
			t.Fatalf("%d lines, %d are counted", c.Lines, sum)
		}
	})
}
