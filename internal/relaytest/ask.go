package relaytest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/emersion/go-smtp"
)

// talk is one conversation about one form.
type talk struct {
	*wire
	client *smtp.Client
	form   Form
	result Result
}

// ask has a conversation about a form; another, if this one shows that TLS is broken here, or that the null sender is refused and
// the stranger has to stand for it. Its error is that the test can't go on.
func (t *tester) ask(ctx context.Context, f Form) (Result, error) {
	for {
		if err := t.wait(ctx); err != nil {
			return Result{}, err
		}
		if took := time.Since(t.start); took > testTime {
			return Result{}, fmt.Errorf("after %s it is not through: it answers too slowly", took.Round(time.Minute))
		}
		plain, noNull := t.noTLS, t.noNull
		c := &talk{form: f, result: Result{Form: f.Name, Stage: "connect", Exploits: f.Exploits, Source: f.Source}}
		err := t.converse(ctx, c)
		if ctx.Err() != nil {
			return Result{}, ctx.Err()
		}
		if t.noTLS != plain {
			continue
		}
		err = t.grade(c, err)
		if r := &c.result; r.Result == Refused && r.Stage == "mail" && r.Mail == "" {
			t.noNull = true
		}
		if err != nil || t.noNull == noNull || f.Mail != nullSender {
			return c.result, err
		}
	}
}

// grade says what an answer means for its form. Its error is that the server has not come to MAIL for too long.
func (t *tester) grade(c *talk, err error) error {
	r := &c.result
	var said *smtp.SMTPError
	switch {
	case err == nil:
		r.Result = Accepted
	case errors.Is(err, errSkip):
		r.Result, r.Code, r.Reply = Skipped, 0, err.Error()
	case errors.As(err, &said) && said.Code/100 == 4:
		r.Result = Deferred
	case errors.As(err, &said) && said.Code/100 == 5:
		r.Result = Refused
	case errors.As(err, &said):
		r.Result = Failed
	default:
		r.Result, r.Code, r.Reply = Failed, 0, problem(err)
	}
	switch r.Stage {
	case "connect", "helo", "starttls":
		t.dead++
	default:
		t.dead = 0
	}
	if t.dead == deadInARow {
		return fmt.Errorf("%d connections in a row came to nothing: %s: %s", t.dead, r.Stage, r.answer())
	}
	return nil
}

// answer is what was said, the code first if there is one.
func (r *Result) answer() string {
	if r.Code == 0 {
		return r.Reply
	}
	return strings.TrimSpace(strconv.Itoa(r.Code) + " " + r.Reply)
}

var errSkip = errors.New("SMTPUTF8 is not offered")

// problem says what went wrong with a connection.
func problem(err error) string {
	var late net.Error
	switch {
	case errors.As(err, &late) && late.Timeout():
		return "no answer in time"
	case errors.Is(err, smtp.ErrTooLongLine):
		return "a line of over 2000 octets"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the connection ended"
	}
	return clean(err.Error())
}

// converse connects, asks and says goodbye. The result's stage is how far it came.
func (t *tester) converse(ctx context.Context, c *talk) error {
	dial, dialed := context.WithTimeout(ctx, dialTime)
	conn, err := t.Dial(dial)
	dialed()
	if err != nil {
		return err
	}
	t.ends(conn)
	c.wire = newWire(conn, time.Now().Add(talkTime))
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })() // a test that is stopped waits for nobody
	if err = c.SetDeadline(time.Time{}); err == nil && t.Wrapped {
		err = t.secured(c.secure())
	}
	if err != nil {
		return err
	}
	c.client = smtp.NewClient(c.wire)
	c.client.CommandTimeout, c.client.SubmissionTimeout = commandTime, commandTime
	if err = t.greet(c); err == nil {
		err = t.transact(c)
	}
	c.result.Code, c.result.Reply = c.reply()
	if _, played := conn.(*batch); !played { // Exim waits 0.2 s at QUIT, and one that plays misses nothing
		c.client.CommandTimeout = quitTime
		_ = c.client.Quit() // what it says to that changes nothing
	}
	return err
}

// ends takes the addresses of both ends from the first connection, where nobody knows better.
func (t *tester) ends(conn net.Conn) {
	for end, addr := range map[*netip.Addr]net.Addr{&t.Client: conn.LocalAddr(), &t.Server: conn.RemoteAddr()} {
		if tcp, ok := addr.(*net.TCPAddr); ok && !end.IsValid() {
			*end = tcp.AddrPort().Addr().Unmap()
		}
	}
	if t.Client.IsValid() {
		t.report.Client = t.Client.String()
	}
	if t.report.Server == "" {
		t.report.Server = conn.RemoteAddr().String()
	}
}

// secured notes which TLS a server speaks.
func (t *tester) secured(version string, err error) error {
	if err == nil {
		t.report.TLS = version
	}
	return err
}

// bracketed writes an address as it stands in a literal (RFC 5321 4.1.3).
func bracketed(a netip.Addr) string {
	switch {
	case !a.IsValid():
		return "127.0.0.1"
	case a.Is6():
		return "IPv6:" + a.WithZone("").String()
	}
	return a.String()
}

// greet reads the greeting, says who we are, and begins TLS where it is wanted and offered.
func (t *tester) greet(c *talk) error {
	err := c.client.Hello(t.HELO)
	if c.asked {
		c.result.Stage = "helo"
	}
	if err != nil {
		return err
	}
	t.name(c)
	if offered, _ := c.client.Extension("STARTTLS"); !offered || !t.TLS || t.noTLS {
		return nil
	}
	c.result.Stage = "starttls"
	if err = c.client.Reset(); err == nil { // after it another Hello may follow
		err = t.secured(c.startTLS())
	}
	if err != nil {
		t.noTLS = true
		return err
	}
	c.result.Stage = "helo"
	return c.client.Hello(t.HELO)
}

// name learns the server's name: its greeting and its answer to EHLO begin with it (RFC 5321 4.2, 4.1.1.1), but some write
// other words there.
func (t *tester) name(c *talk) {
	if t.report.Host == "" {
		_, text := c.reply()
		greeting, hello := firstWord(c.greeting), firstWord(text)
		t.report.Host = "localhost"
		switch {
		case IsName(greeting) && (strings.Contains(greeting, ".") || greeting == hello):
			t.report.Host = greeting
		case IsName(hello) && strings.Contains(hello, "."):
			t.report.Host = hello
		}
	}
	if t.report.Domain == "" {
		t.report.Domain = t.candidate(0)
	}
}

func firstWord(s string) string {
	first, _, _ := strings.Cut(strings.ToLower(s), " ")
	return first
}

// transact says who writes to whom. Without Deliver that is all.
func (t *tester) transact(c *talk) error {
	fill, r := t.filler(), &c.result
	r.Stage, r.Mail, r.Rcpt = "mail", fill.Replace(c.form.Mail), fill.Replace(c.form.Rcpt)
	if offered, _ := c.client.Extension("SMTPUTF8"); c.form.UTF8 && !offered {
		return errSkip
	}
	if err := c.client.Mail(r.Mail, &smtp.MailOptions{UTF8: c.form.UTF8}); err != nil {
		return err
	}
	r.Stage = "rcpt"
	if err := c.client.Rcpt(r.Rcpt, nil); err != nil || !t.Deliver || c.form.Stray {
		return err
	}
	r.Stage = "data"
	return t.deliver(c)
}

// deliver sends the message that shows, where it arrives, by which form it came.
func (t *tester) deliver(c *talk) error {
	w, err := c.client.Data()
	if err != nil {
		return err
	}
	now, r := time.Now(), &c.result
	_, err = fmt.Fprintf(w, "From: <%s>\r\nTo: <%s>\r\nDate: %s\r\nMessage-ID: <%s.%d@%s>\r\nSubject: relay test %s: %s\r\n"+
		"Auto-Submitted: auto-generated\r\n\r\n"+
		"eximpolicyd relaytest, started by the owner of this address, sent this through\r\n%s\r\n"+
		"Where it arrives, that server relays for strangers by this form:\r\nMAIL FROM:<%s>\r\nRCPT TO:<%s>\r\n",
		t.Victim, t.Victim, now.Format(time.RFC1123Z), t.report.Token, now.UnixNano(), isOr(t.HELO, "relaytest.invalid"),
		t.report.Token, c.form.Name, t.report.Server, ascii(r.Mail), ascii(r.Rcpt))
	if err != nil {
		return err
	}
	_, err = w.CloseWithResponse()
	r.Sent = err == nil
	return err
}

// isOr returns a name that may stand in a Message-ID.
func isOr(name, other string) string {
	if IsName(name) {
		return name
	}
	return other
}

// ascii writes what is not ASCII as Go does.
func ascii(s string) string {
	q := strconv.QuoteToASCII(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}
