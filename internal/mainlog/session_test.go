package mainlog_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"eximpolicyd/internal/mainlog"
	"eximpolicyd/test/logs"
)

// connections groups a log, given as lines with the time left out before it: "13:00:01 text".
func connections(t *testing.T, lines ...string) []mainlog.Connection {
	t.Helper()
	text := ""
	for _, l := range lines {
		text += "2026-11-23 " + l + "\n"
	}
	r := mainlog.NewReader([]mainlog.Input{mainlog.Stream("-", strings.NewReader(text))}, in2030())
	defer r.Close()
	s := mainlog.NewSessions(r, 0)
	var all []mainlog.Connection
	for {
		c, err := s.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		all = append(all, *c)
	}
}

// told is a connection in one line.
func told(c *mainlog.Connection) string {
	good, ids, unknown, relay, deferred, refused := 0, "", 0, 0, 0, 0
	for _, m := range c.Messages {
		good += max(len(m.Recipients), 1)
		ids += " " + m.ID[:6] + "(" + strings.Join(m.Recipients, ",") + ")"
	}
	for _, r := range c.Rcpts {
		switch {
		case r.Temporary:
			deferred++
		case r.Cause == mainlog.UnknownUser:
			unknown++
		case r.Cause == mainlog.RelayDenied:
			relay++
		default:
			refused++
		}
	}
	return fmt.Sprintf("%v:%d by %v %s-%s helo=%s good=%d unknown=%d relay=%d deferred=%d refused=%d logins=%d%s", c.Client, c.Port, c.By,
		c.Began.Format("04:05"), c.Ended.Format("04:05"), strings.Join(c.HELOs, ","), good, unknown, relay, deferred, refused, len(c.FailedLogins), ids)
}

func TestEntriesMakeTheConnectionsThatTheyCameOf(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  []string
	}{
		{"by port: two of one address at once", []string{
			`13:00:00 SMTP connection from [192.0.2.1]:1001 (TCP/IP connection count = 1)`,
			`13:00:01 SMTP connection from [192.0.2.1]:1002 (TCP/IP connection count = 2)`,
			`13:00:02 H=(a) [192.0.2.1]:1001 F=<x@y> rejected RCPT <u1@example.net>: Unrouteable address`,
			`13:00:03 H=(b) [192.0.2.1]:1002 F=<x@y> rejected RCPT <u2@other.example>: relay not permitted`,
			`13:00:04 SMTP connection from (a) [192.0.2.1]:1001 closed by QUIT`,
			`13:00:05 SMTP connection from (b) [192.0.2.1]:1002 lost`,
			`13:00:06 SMTP connection from [192.0.2.1]:1001 (TCP/IP connection count = 1)`,
		}, []string{
			"192.0.2.1:1001 by port 00:00-00:04 helo=a good=0 unknown=1 relay=0 deferred=0 refused=0 logins=0",
			"192.0.2.1:1002 by port 00:01-00:05 helo=b good=0 unknown=0 relay=1 deferred=0 refused=0 logins=0",
			"192.0.2.1:1001 by port 00:06-00:06 helo= good=0 unknown=0 relay=0 deferred=0 refused=0 logins=0",
		}},
		{"by port: one that begins where another ended", []string{
			`13:00:00 no MAIL in SMTP connection from [192.0.2.1]:1001 D=1s`,
			`13:00:01 H=(a) [192.0.2.1]:1001 F=<x@y> rejected RCPT <u1@example.net>: Unrouteable address`,
		}, []string{
			"192.0.2.1:1001 by port 00:00-00:00 helo= good=0 unknown=0 relay=0 deferred=0 refused=0 logins=0",
			"192.0.2.1:1001 by port 00:01-00:01 helo=a good=0 unknown=1 relay=0 deferred=0 refused=0 logins=0",
		}},
		{"by port: what is told of an end twice, and what is none", []string{
			`13:00:00 H=(a) [192.0.2.1]:1001 F=<x@y> rejected RCPT <u1@example.net>: Unrouteable address`,
			`13:00:01 H=(a) [192.0.2.1]:1001 incomplete transaction (RSET) from <x@y> for u@example.net`,
			`13:00:02 H=(a) [192.0.2.1]:1001 F=<x@y> rejected RCPT <u2@example.net>: Unrouteable address`,
			`13:00:03 SMTP connection from (a) [192.0.2.1]:1001 closed by QUIT`,
			`13:00:03 no MAIL in SMTP connection from (a) [192.0.2.1]:1001 D=3s C=EHLO,QUIT`,
		}, []string{
			"192.0.2.1:1001 by port 00:00-00:03 helo=a good=0 unknown=2 relay=0 deferred=0 refused=0 logins=0",
		}},
		{"by process: the daemon's tells of a beginning", []string{
			`13:00:01 [10] SMTP connection from [192.0.2.1] (TCP/IP connection count = 1)`,
			`13:00:02 [11] H=(a) [192.0.2.1] F=<x@y> rejected RCPT <u1@example.net>: Unrouteable address`,
			`13:00:03 [12] SMTP connection from [192.0.2.1]`,
			`13:00:04 [12] SMTP connection from [192.0.2.1] lost D=1s`,
		}, []string{
			"192.0.2.1:0 by process 00:02-00:02 helo=a good=0 unknown=1 relay=0 deferred=0 refused=0 logins=0",
			"192.0.2.1:0 by process 00:03-00:04 helo= good=0 unknown=0 relay=0 deferred=0 refused=0 logins=0",
		}},
		{"by process", []string{
			`13:00:02 [11] H=(a) [192.0.2.1] F=<x@y> rejected RCPT <u1@example.net>: Unrouteable address`,
			`13:00:03 [12] H=(b) [192.0.2.1] F=<x@y> temporarily rejected RCPT <u2@example.net>: later`,
			`13:00:04 [11] plain authenticator failed for (a) [192.0.2.1]: 535 Incorrect authentication data (set_id=u)`,
		}, []string{
			"192.0.2.1:0 by process 00:02-00:04 helo=a good=0 unknown=1 relay=0 deferred=0 refused=0 logins=1",
			"192.0.2.1:0 by process 00:03-00:03 helo=b good=0 unknown=0 relay=0 deferred=1 refused=0 logins=0",
		}},
		{"by address, until a pause", []string{
			`13:00:00 1xVTqX-0005xq-2c <= s@example.org H=(a) [192.0.2.1] P=esmtp S=258 id=1@y`,
			`13:00:01 1xVTqX-0005xq-2c => u <u@example.net> R=r T=t`,
			`13:00:01 1xVTqX-0005xq-2c => v <v@example.net> R=r T=t`,
			`13:01:30 H=(a) [192.0.2.1] F=<x@y> rejected RCPT <u1@example.net>: Unrouteable address`,
			`13:04:00 H=(a) [192.0.2.1] F=<x@y> rejected RCPT <u2@example.net>: no`,
		}, []string{
			"192.0.2.1:0 by address 00:00-01:30 helo=a good=2 unknown=1 relay=0 deferred=0 refused=0 logins=0 1xVTqX(u@example.net,v@example.net)",
			"192.0.2.1:0 by address 04:00-04:00 helo=a good=0 unknown=0 relay=0 deferred=0 refused=1 logins=0",
		}},
		{"by address without a pause, ten minutes long; what is delivered later still counts", []string{
			`13:00:00 H=(a) [192.0.2.1] F=<x@y> rejected RCPT <u1@example.net>: Unrouteable address`,
			`13:02:00 H=(a) [192.0.2.1] F=<x@y> rejected RCPT <u1@example.net>: Unrouteable address`,
			`13:04:00 H=(b) [192.0.2.1] F=<x@y> rejected RCPT <u1@example.net>: Unrouteable address`,
			`13:06:00 H=(b) [192.0.2.1] F=<x@y> rejected RCPT <u1@example.net>: Unrouteable address`,
			`13:08:00 H=(b) [192.0.2.1] F=<x@y> rejected RCPT <u1@example.net>: Unrouteable address`,
			`13:10:00 1xVTqX-0005xq-2c <= s@example.org H=(b) [192.0.2.1] P=esmtp S=258 id=1@y`,
			`13:10:01 H=(c) [192.0.2.1] F=<x@y> rejected RCPT <u1@example.net>: Unrouteable address`,
			`13:11:59 1xVTqX-0005xq-2c => u <u@example.net> R=r T=t`,
		}, []string{
			"192.0.2.1:0 by address 00:00-10:00 helo=a,b good=1 unknown=5 relay=0 deferred=0 refused=0 logins=0 1xVTqX(u@example.net)",
			"192.0.2.1:0 by address 10:01-10:01 helo=c good=0 unknown=1 relay=0 deferred=0 refused=0 logins=0",
		}},
		{"by address at two ports of the server", []string{
			`13:00:00 H=(a) [192.0.2.1] I=[192.0.2.25]:587 F=<x@y> rejected RCPT <u1@example.net>: Unrouteable address`,
			`13:00:01 no host name found for IP address 192.0.2.1`,
			`13:00:02 H=(a) [192.0.2.1] I=[192.0.2.25]:25 F=<x@y> rejected RCPT <u1@example.net>: Unrouteable address`,
		}, []string{
			"192.0.2.1:0 by address 00:00-00:01 helo=a good=0 unknown=1 relay=0 deferred=0 refused=0 logins=0",
			"192.0.2.1:0 by address 00:02-00:02 helo=a good=0 unknown=1 relay=0 deferred=0 refused=0 logins=0",
		}},
		{"a local submission with its directory", []string{
			`13:00:00 cwd=/srv/www/x 4 args: /usr/sbin/sendmail -t`,
			`13:00:00 1xVTqX-0005xq-2c <= www@example.net U=www-data P=local S=258 for a@example.org b@example.org`,
		}, []string{"invalid IP:0 by message 00:00-00:00 helo= good=2 unknown=0 relay=0 deferred=0 refused=0 logins=0 1xVTqX(a@example.org,b@example.org)"}},
		{"an entry of two clients is held against nobody", []string{
			`13:00:00 H=(x) [198.51.100.8] F=<a@b> rejected RCPT <c@d>: no (y) [192.0.2.66] F=<e@f> rejected RCPT <g@h>: Unrouteable address`,
		}, []string{"192.0.2.66:0 by address 00:00-00:00 helo= good=0 unknown=0 relay=0 deferred=0 refused=0 logins=0"}},
	} {
		var got []string
		for _, one := range connections(t, c.lines...) {
			got = append(got, told(&one))
		}
		if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%s:\n got %s\nwant %s", c.name, strings.Join(got, "\n     "), strings.Join(c.want, "\n     "))
		}
	}
	local := connections(t, `13:00:00 cwd=/srv/www/x 4 args: /usr/sbin/sendmail -t`, `13:00:00 1xVTqX-0005xq-2c <= www@example.net U=www-data P=local S=258`)
	if local[0].CWD != "/srv/www/x" || local[0].Ident != "www-data" {
		t.Errorf("submission of %q in %q", local[0].Ident, local[0].CWD)
	}
}

func TestConnectionsComeInTheOrderInWhichTheyBeganAndMissNothing(t *testing.T) {
	for _, f := range []logs.Form{{Lines: 30000, Seed: 3}, {Lines: 30000, Seed: 4, PID: true}, {Lines: 30000, Seed: 5, Port: true, Recipients: true}, {Lines: 60000, Seed: 6, Port: true, PerSecond: 20000}} {
		_, events := readForm(t, f)
		var want, got struct{ logins, rcpts, messages, entries int }
		for i := range events {
			switch e := &events[i]; e.Kind {
			case mainlog.AuthFailed:
				want.logins++
			case mainlog.RcptRejected:
				want.rcpts++
			case mainlog.Arrived, mainlog.DataRejected:
				want.messages++
			}
			if events[i].Kind.OfClient() {
				want.entries++
			}
		}
		n := 0
		s := mainlog.SessionsOf(func() (*mainlog.Event, error) {
			if n == len(events) {
				return nil, io.EOF
			}
			n++
			return &events[n-1], nil
		}, 0)
		last := time.Time{}
		for {
			c, err := s.Next()
			if err != nil {
				break
			}
			if c.Began.Before(last) {
				t.Fatalf("a connection of %v after one of %v", c.Began, last)
			}
			last = c.Began
			got.logins += len(c.FailedLogins)
			got.rcpts += len(c.Rcpts)
			got.messages += len(c.Messages)
			got.entries += c.Entries
		}
		if got != want {
			t.Errorf("%+v: got %+v, want %+v", f, got, want)
		}
	}
}

// A busy relay has a thousand messages within minutes, a guesser as many recipients: each is told of, whatever tells their
// connections apart.
func TestWhatOneClientDoesThousandsOfTimesIsToldOfEveryTime(t *testing.T) {
	const each = 3000
	for _, form := range []struct{ name, front, port string }{{"address", "", ""}, {"process", "[4711] ", ""}, {"port", "", ":1001"}} {
		t.Run(form.name, func(t *testing.T) {
			var log strings.Builder
			for n := range each {
				stamp := fmt.Sprintf("2026-11-23 13:%02d:%02d %s", n/600, n/10%60, form.front)
				host := "H=(a) [192.0.2.1]" + form.port
				fmt.Fprintf(&log, "%s1xVT00-%06d-2c <= s@example.org %s P=esmtp S=258 id=%d@example.org\n", stamp, n, host, n)
				fmt.Fprintf(&log, "%s%s F=<s@example.org> rejected RCPT <u%d@example.net>: Unrouteable address\n", stamp, host, n)
				fmt.Fprintf(&log, "%splain authenticator failed for %s: 535 Incorrect authentication data (set_id=u%d)\n", stamp, host[2:], n)
			}
			r := mainlog.NewReader([]mainlog.Input{mainlog.Stream("-", strings.NewReader(log.String()))}, in2030())
			defer r.Close()
			s := mainlog.NewSessions(r, 0)
			messages, rcpts, logins := 0, 0, 0
			for c, err := s.Next(); err == nil; c, err = s.Next() {
				messages, rcpts, logins = messages+len(c.Messages), rcpts+len(c.Rcpts), logins+len(c.FailedLogins)
				if c.By.String() != form.name {
					t.Fatalf("by %s", c.By)
				}
			}
			if messages != each || rcpts != each || logins != each {
				t.Errorf("%d messages, %d recipients, %d logins of %d each", messages, rcpts, logins, each)
			}
		})
	}
}
