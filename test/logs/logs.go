// Package logs writes Exim logs for tests and figures: the same seed gives the same log. The shares are those of a small site on
// the open net: four of ten lines are of mail that is taken and delivered, the rest is of those who guess and try.
package logs

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// Form says what a log looks like. The zero value is Exim's default log_selector.
type Form struct {
	Lines      int
	Seed       uint64
	PID        bool // +pid
	Port       bool // +incoming_port
	Recipients bool // +received_recipients
	PerSecond  int  // lines; 0 is 10
	Hosting    bool // a web host: most lines are of what its users and their scripts send, with +arguments +subject
}

// Start is the time of the first line, in UTC.
var Start = time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC)

// Write writes a main log, and to reject, which may be nil, the reject log of the same time.
func Write(main, reject io.Writer, f Form) error {
	w := &writer{Form: f, rand: rand.New(rand.NewPCG(f.Seed, 8)), main: bufio.NewWriterSize(main, 1<<16)}
	if reject != nil {
		w.reject = bufio.NewWriterSize(reject, 1<<16)
	}
	if w.PerSecond == 0 {
		w.PerSecond = 10
	}
	for w.n < w.Lines {
		w.one()
	}
	if reject != nil {
		if err := w.reject.Flush(); err != nil {
			return err
		}
	}
	return w.main.Flush()
}

type writer struct {
	Form
	rand         *rand.Rand
	main, reject *bufio.Writer
	n            int
	messages     int
	second       int
	stamp        string
	pid          int
}

// one writes what one client, or Exim itself, makes.
func (w *writer) one() {
	w.pid = 1000 + w.rand.IntN(30000)
	if w.Hosting && w.rand.IntN(10) < 7 {
		w.hosted()
		return
	}
	switch n := w.rand.IntN(100); {
	case n < 20:
		w.message()
	case n < 23:
		w.submission()
	case n < 47:
		w.guesser()
	case n < 65:
		w.login()
	case n < 72:
		w.line("no host name found for IP address %s", w.bad())
	case n < 78:
		w.line("unexpected disconnection while reading SMTP command from %s D=%ds", w.host(w.bad()), w.rand.IntN(30))
	case n < 82:
		w.line("TLS error on connection from %s (gnutls_handshake): The TLS connection was non-properly terminated.", w.host(w.bad()))
	case n < 85:
		w.line(`SMTP protocol error in "AUTH LOGIN" H=%s AUTH command used when not advertised`, w.host(w.bad()))
	case n < 87:
		w.line(`SMTP protocol synchronization error (input sent without waiting for greeting): rejected connection from H=[%s] input="GET / HTTP/1.1\r\n"`, w.bad())
	case n < 89:
		w.line("no MAIL in SMTP connection from %s D=%ds C=EHLO,QUIT", w.host(w.bad()), w.rand.IntN(30))
	case n < 91:
		w.line("rejected EHLO from [%s]: syntactically invalid argument(s): bad_name!%d", w.bad(), w.rand.IntN(99))
	case n < 93:
		w.line("Start queue run: pid=%d", w.pid)
		w.line("End queue run: pid=%d", w.pid)
	default:
		w.headers()
	}
}

func (w *writer) message() {
	id, addr := w.id(), w.good()
	to := fmt.Sprintf("user%d@example.net", w.rand.IntN(300))
	list := ""
	if w.Recipients {
		list = " for " + to
	}
	w.line("%s <= sender%d@example.org H=%s P=esmtps X=TLS1.3:TLS_AES_256_GCM_SHA384:256 CV=no S=%d id=%d.%d@mail.example.org%s",
		id, w.rand.IntN(5000), w.host(addr), 2000+w.rand.IntN(90000), w.rand.IntN(1e9), w.rand.IntN(1e9), list)
	w.line("%s => %s <%s> R=local_user T=maildir_home", id, to[:len(to)-len("@example.net")], to)
	w.line("%s Completed", id)
}

func (w *writer) submission() {
	id := w.id()
	w.line("cwd=/srv/www/site%d 4 args: /usr/sbin/sendmail -t -i -fwww@example.net", w.rand.IntN(20))
	w.line("%s <= www@example.net U=www-data P=local S=%d", id, 500+w.rand.IntN(3000))
	w.line(`%s => someone%d@example.com R=dnslookup T=remote_smtp H=mx.example.com [198.51.100.25] X=TLS1.3:TLS_AES_256_GCM_SHA384:256 CV=yes DN="CN=mx.example.com" C="250 2.0.0 Ok: queued as %X"`,
		id, w.rand.IntN(900), w.rand.Uint32())
	w.line("%s Completed", id)
}

// hosted is a message of a script or of somebody who logged in. Few send much, and every other subject stands there once.
func (w *writer) hosted() {
	id := w.id()
	site := w.rand.IntN(1 + w.rand.IntN(2000))
	subject := fmt.Sprintf("offer %d", w.messages)
	if w.rand.IntN(2) == 0 {
		subject = fmt.Sprintf("contact form of site %d", site)
	}
	if w.rand.IntN(4) == 0 {
		w.line(`%s <= user%d@example.net H=(pc) [203.0.113.%d] P=esmtpsa X=TLS1.3:TLS_AES_256_GCM_SHA384:256 CV=no A=plain:user%d S=%d id=%d@pc T="%s"`,
			id, site, 1+w.rand.IntN(250), site, 500+w.rand.IntN(9000), w.messages, subject)
	} else {
		w.line("cwd=/home/site%d/public_html 3 args: /usr/sbin/sendmail -t -i", site)
		w.line(`%s <= site%d-%d@example.net U=www-data P=local S=%d T="%s"`, id, site, w.messages, 500+w.rand.IntN(9000), subject)
	}
	to := fmt.Sprintf("someone%d@d%d.example", w.rand.IntN(900), w.rand.IntN(5000))
	if w.rand.IntN(12) == 0 {
		w.line("%s ** %s R=dnslookup T=remote_smtp H=mx.example.com [198.51.100.25]: SMTP error from remote mail server after RCPT TO:<%s>: 550 5.1.1 no such user", id, to, to)
	} else {
		w.line(`%s => %s R=dnslookup T=remote_smtp H=mx.example.com [198.51.100.25] C="250 2.0.0 Ok: queued as %X"`, id, to, w.rand.Uint32())
	}
	w.line("%s Completed", id)
}

// guesser tries several recipients.
func (w *writer) guesser() {
	host := w.host(w.bad())
	reasons := [...]string{"Unrouteable address", "Unrouteable address", "relay not permitted", "Sender verify failed",
		"rejected because the client is in a black list at list.example.net"}
	reason := reasons[w.rand.IntN(len(reasons))]
	for range 1 + w.rand.IntN(4) {
		w.refused("H=%s F=<%s> rejected RCPT <name%d@example.net>: %s", host, "x@example.com", w.rand.IntN(9000), reason)
	}
}

func (w *writer) login() {
	w.refused("login authenticator failed for %s: 535 Incorrect authentication data (set_id=user%d@example.net)", w.host(w.bad()), w.rand.IntN(400))
}

// headers is a message that is refused after DATA, with its header in the reject log.
func (w *writer) headers() {
	id := w.id()
	addr := w.bad()
	w.refused("%s H=%s F=<x%d@example.com> rejected after DATA: there is no valid sender in any header line", id, w.host(addr), w.rand.IntN(99))
	if w.reject != nil {
		fmt.Fprintf(w.reject, "Envelope-from: <x@example.com>\nEnvelope-to: <user@example.net>\nP Received: from [%s] (helo=x)\n\tby mx.example.net with esmtp (Exim 4.98)\n\tid %s\n\tfor user@example.net;\n\tMon, 23 Nov 2026 13:00:00 +0000\nF From: \"x\" <>\nI Message-ID: <%d@example.com>\n  Subject: hello\n", addr, id, w.rand.Uint32())
	}
}

func (w *writer) line(format string, args ...any) {
	w.n++
	w.print(w.main, format, args)
}

func (w *writer) refused(format string, args ...any) {
	w.line(format, args...)
	if w.reject != nil {
		w.print(w.reject, format, args)
	}
}

func (w *writer) print(to *bufio.Writer, format string, args []any) {
	if s := w.n / w.PerSecond; s != w.second || w.stamp == "" {
		w.second, w.stamp = s, Start.Add(time.Duration(s)*time.Second).Format("2006-01-02 15:04:05 ")
	}
	to.WriteString(w.stamp)
	if w.PID {
		fmt.Fprintf(to, "[%d] ", w.pid)
	}
	fmt.Fprintf(to, format, args...)
	to.WriteByte('\n')
}

// id returns Exim's id of a new message.
func (w *writer) id() string {
	w.messages++
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	b := []byte("1xVT00-0000A0-2c")
	for n, i := w.messages, 0; i < 6; i++ {
		at := [...]int{12, 11, 10, 9, 5, 4}[i]
		b[at] = digits[n%62]
		n /= 62
	}
	return string(b)
}

// host is a client as Exim shows it.
func (w *writer) host(addr string) string {
	port := ""
	if w.Port {
		port = fmt.Sprintf(":%d", 1024+w.rand.IntN(60000))
	}
	switch w.rand.IntN(5) {
	case 0:
		return fmt.Sprintf("(User) [%s]%s", addr, port)
	case 1:
		return fmt.Sprintf("([192.168.2.%d]) [%s]%s", w.rand.IntN(250), addr, port)
	case 2:
		return fmt.Sprintf("host-%d.example.com (mail.example.com) [%s]%s", w.rand.IntN(250), addr, port)
	case 3:
		return fmt.Sprintf("mail%d.example.org [%s]%s", w.rand.IntN(250), addr, port)
	}
	return fmt.Sprintf("[%s]%s", addr, port)
}

func (w *writer) good() string { return fmt.Sprintf("198.51.100.%d", 1+w.rand.IntN(250)) }

// bad is an attacker: one of a few hundred, some of a network of IPv6.
func (w *writer) bad() string {
	if w.rand.IntN(12) == 0 {
		return fmt.Sprintf("2001:db8:%x::%x", w.rand.IntN(40), 1+w.rand.IntN(9))
	}
	return fmt.Sprintf("203.0.113.%d", 1+w.rand.IntN(250))
}
