package trace

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"eximpolicyd/internal/mainlog"
	"eximpolicyd/test/logs"
)

// in2030 is after every stamp of a test.
func in2030() mainlog.Options {
	return mainlog.Options{Location: time.UTC, Now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
}

// readerOf reads lines to which the day is added.
func readerOf(t testing.TB, lines ...string) *mainlog.Reader {
	t.Helper()
	text := "2026-11-23 " + strings.Join(lines, "\n2026-11-23 ") + "\n"
	r := mainlog.NewReader([]mainlog.Input{mainlog.Stream("-", strings.NewReader(text))}, in2030())
	t.Cleanup(r.Close)
	return r
}

func topOf(t *testing.T, o TopOptions, lines ...string) *Top {
	t.Helper()
	top, err := CountTop(context.Background(), readerOf(t, lines...), o)
	if err != nil {
		t.Fatal(err)
	}
	return top
}

// told is the rows of a top in short.
func told(top *Top) string {
	var rows []string
	for _, r := range top.Rows {
		s := fmt.Sprintf("%s %d", r.Key, r.Messages)
		for _, n := range []struct {
			name string
			n    int
		}{{"refused", r.Refused}, {"guessed", r.Guessed}} {
			if n.n > 0 {
				s += fmt.Sprintf(" %s=%d", n.name, n.n)
			}
		}
		rows = append(rows, s)
	}
	return strings.Join(rows, "; ")
}

// sent is a log of everybody who can send.
var sent = []string{
	`13:00:00 cwd=/home/shop/public_html 4 args: /usr/sbin/sendmail -t -i -fwww@example.net`,
	`13:00:00 1xVTqk-0006FJ-1W <= www@example.net U=www-data P=local S=359 T="offer"`,
	`13:00:00 cwd=/var/spool/exim4 3 args: /usr/sbin/exim4 -Mc 1xVTqk-0006FJ-1W`,
	`13:00:01 1xVTqk-0006FJ-1W => a@one.example R=dnslookup T=remote_smtp H=mx.one.example [198.51.100.1] C="250 ok"`,
	`13:00:01 1xVTqk-0006FJ-1W -> b@one.example R=dnslookup T=remote_smtp H=mx.one.example [198.51.100.1] C="250 ok"`,
	`13:00:02 1xVTqk-0006FJ-1W ** c@two.example R=dnslookup T=remote_smtp H=mx.two.example [198.51.100.2]: SMTP error from remote mail server after RCPT TO:<c@two.example>: 550 no`,
	`13:00:02 cwd=/var/spool/exim4 7 args: /usr/sbin/exim4 -t -oem -oi -f <> -E1xVTqk-0006FJ-1W`,
	`13:00:02 1xVTqm-0006FQ-2a <= <> R=1xVTqk-0006FJ-1W U=Debian-exim P=local S=1123 T="Mail delivery failed"`,
	`13:00:02 1xVTqk-0006FJ-1W Completed`,
	`13:00:10 1xVTqu-0006FZ-0q <= alice@example.net H=(pc) [192.0.2.7] P=esmtpsa A=plain:alice S=268 id=1@pc T="hello \"you\"" for x@three.example y@three.example`,
	`13:00:11 1xVTqu-0006FZ-0q == x@three.example R=dnslookup T=remote_smtp defer (-44) H=mx.three.example [198.51.100.3]: 451 later`,
	`13:00:20 1xVTr4-0006Fa-11 <= x@example.net H=localhost (me) [127.0.0.1] P=esmtp S=300`,
	`13:00:30 1xVTrE-0006Fb-12 <= far@example.org H=mx.example.org [203.0.113.5] P=esmtps S=900 id=2@example.org T="news"`,
	`13:00:40 cwd=/tmp/evil 3 args: /usr/sbin/sendmail -t /var/www/x.php`,
	`13:00:40 1xVTrO-0006Fc-13 F=<nobody@example.net> rejected by non-SMTP ACL: rule=nobody.N1 id=1xWHYv0f1A: no`,
}

func TestEverySenderIsCountedByWhatTheLogTellsOfHim(t *testing.T) {
	for _, c := range []struct{ by, want string }{
		{"account", "www-data 1; Debian-exim 1; alice 1; [127.0.0.1] 1"},
		{"directory", "/home/shop/public_html 1 guessed=1; /var/spool/exim4 1; /tmp/evil 0 refused=1 guessed=1"},
		{"script", "/var/www/x.php 0 refused=1 guessed=1"},
		{"uid", "33 www-data 1; ? Debian-exim 1"},
		{"address", "www@example.net 1; <> 1; alice@example.net 1; x@example.net 1; nobody@example.net 0 refused=1"},
		{"subject", `offer 1; Mail delivery failed 1; hello "you" 1`},
		{"client", "this machine 2 refused=1; 192.0.2.7 1; 127.0.0.1 1"},
	} {
		top := topOf(t, TopOptions{By: c.by, UID: func(a string) (uint32, bool) { return 33, a == "www-data" }}, sent...)
		if got := told(top); got != c.want {
			t.Errorf("by %s\n got %s\nwant %s", c.by, got, c.want)
		}
		if top.Messages != 4 || top.Refused != 1 || top.Outside != 1 {
			t.Errorf("by %s: %d messages, %d refused, %d outside", c.by, top.Messages, top.Refused, top.Outside)
		}
	}
}

func TestARowTellsWhatBecameOfWhatWasSent(t *testing.T) {
	rows := topOf(t, TopOptions{By: "account"}, sent...).Rows
	if r := rows[0]; r.Recipients != 3 || r.Delivered != 2 || r.Failed != 1 || r.Domains != 2 || r.Bytes != 359 || len(r.Examples) != 1 {
		t.Errorf("www-data: %+v", r)
	}
	if r := rows[2]; r.Recipients != 2 || r.Deferred != 1 || r.Domains != 1 || r.Failed != 0 {
		t.Errorf("alice: %+v", r)
	}
}

func TestALongLogIsCountedInALittleMemory(t *testing.T) {
	in, out := io.Pipe()
	go func() { out.CloseWithError(logs.Write(out, nil, logs.Form{Lines: 400_000, Hosting: true, Seed: 1})) }() // ends with the reading
	r := mainlog.NewReader([]mainlog.Input{mainlog.Stream("-", in)}, in2030())
	defer r.Close()
	top, err := CountTop(context.Background(), r, TopOptions{By: "address"})
	if err != nil {
		t.Fatal(err)
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	n, held := 0, m.HeapAlloc
	for _, row := range top.Rows {
		n += row.Messages
		if row.Recipients != row.Messages || row.Delivered+row.Failed != row.Messages {
			t.Fatalf("a row that does not add up: %+v", row)
		}
	}
	// More messages than are followed at once, and each was followed to its end.
	if top.Messages < 2*maxOnTheWay || top.Unfollowed != 0 || top.LetGo == 0 || n == 0 || held > 24<<20 {
		t.Errorf("%d messages, %d not followed, %d times let go, %d in rows, %d octets", top.Messages, top.Unfollowed, top.LetGo, n, held)
	}
	t.Logf("FIGURE trace: %d messages of about %d senders: %d kB held", top.Messages, top.Different, held>>10)
}

func TestAMessageThatTakesItsTimeIsFollowedToItsEnd(t *testing.T) {
	var log strings.Builder
	const all, apart = maxOnTheWay + 1000, 100 // ten seconds
	line := func(n, of int, text string) {
		fmt.Fprintf(&log, "%s 1xVTqk-%06d-1W %s\n", logs.Start.Add(time.Duration(n)*time.Second/10).Format("2006-01-02 15:04:05"), of, text)
	}
	for n := range all + apart {
		if n < all {
			line(n, n, "<= www@example.net U=www-data P=local S=1")
		}
		if done := n - apart; done >= 0 {
			line(n, done, "=> a@one.example R=dnslookup T=remote_smtp H=mx.one.example [198.51.100.1]")
			line(n, done, "Completed")
		}
	}
	r := mainlog.NewReader([]mainlog.Input{mainlog.Stream("-", strings.NewReader(log.String()))}, in2030())
	defer r.Close()
	top, err := CountTop(context.Background(), r, TopOptions{By: "account"})
	if err != nil {
		t.Fatal(err)
	}
	if top.Unfollowed != 0 || top.Rows[0].Delivered != all {
		t.Errorf("%d of %d delivered, %d not followed", top.Rows[0].Delivered, all, top.Unfollowed)
	}
}
