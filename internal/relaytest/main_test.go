package relaytest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipes is a listener in memory, so that a test's clock is a bubble's.
type pipes struct {
	conns chan net.Conn
	gone  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), gone: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.gone:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.gone) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.gone:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// mailer is a server whose answers a test decides, by go-smtp.
type mailer struct {
	mail, rcpt func(address string) error // nil takes everybody
	data       func() error

	mu    sync.Mutex
	said  []string // MAIL and RCPT, as they came
	when  []time.Time
	texts []string // messages
	names []string // said at EHLO
}

func (m *mailer) NewSession(c *smtp.Conn) (smtp.Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.when, m.names = append(m.when, time.Now()), append(m.names, c.Hostname())
	return &visit{m}, nil
}

type visit struct{ m *mailer }

func (v *visit) note(line string) { v.m.mu.Lock(); v.m.said = append(v.m.said, line); v.m.mu.Unlock() }
func (v *visit) Reset()           {}
func (v *visit) Logout() error    { return nil }
func (v *visit) Mail(from string, _ *smtp.MailOptions) error {
	v.note("MAIL " + from)
	if v.m.mail != nil {
		return v.m.mail(from)
	}
	return nil
}

func (v *visit) Rcpt(to string, _ *smtp.RcptOptions) error {
	v.note("RCPT " + to)
	if v.m.rcpt != nil {
		return v.m.rcpt(to)
	}
	return nil
}

func (v *visit) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	v.m.mu.Lock()
	v.m.texts = append(v.m.texts, string(text))
	v.m.mu.Unlock()
	if err == nil && v.m.data != nil {
		err = v.m.data()
	}
	return err
}

// options are a stranger's.
func options(dial func(context.Context) (net.Conn, error)) Options {
	return Options{Dial: dial, Client: netip.MustParseAddr("203.0.113.7"), Server: netip.MustParseAddr("192.0.2.25"),
		HELO: "client.example", From: "relaytest@www.example.net", Victim: "relaytest@www.example.org", Pace: time.Second}
}

// serve runs a go-smtp server for a function.
func serve(t *testing.T, m *mailer, setup func(*smtp.Server), use func(dial func(context.Context) (net.Conn, error))) {
	t.Helper()
	s := smtp.NewServer(m)
	s.Domain = "mx.example.com"
	s.ErrorLog = silent{}
	if setup != nil {
		setup(s)
	}
	p := newPipes()
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(p) }() // ends with the listener
	use(p.dial)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	_ = p.Close()
	<-done
}

type silent struct{}

func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

// test tests a server.
func test(t *testing.T, m *mailer, setup func(*smtp.Server), change func(*Options)) *Report {
	t.Helper()
	var rep *Report
	serve(t, m, setup, func(dial func(context.Context) (net.Conn, error)) {
		o := options(dial)
		if change != nil {
			change(&o)
		}
		var err error
		if rep, err = Test(context.Background(), o); err != nil {
			t.Fatal(err)
		}
	})
	return rep
}

// ownOnly is a server with one domain and a postmaster.
func ownOnly(to string) error {
	switch to {
	case "postmaster@example.com", "alice@example.com":
		return nil
	}
	if strings.HasSuffix(to, "@example.com") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	}
	return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "relaying denied"}
}

// speaking is a server by script: it has the connection to itself.
func speaking(script func(conn net.Conn, in *bufio.Reader)) (dial func(context.Context) (net.Conn, error), wait func()) {
	var all sync.WaitGroup
	return func(context.Context) (net.Conn, error) {
		ours, theirs := net.Pipe()
		all.Go(func() { // ends when the test closes its end
			defer theirs.Close()
			script(theirs, bufio.NewReader(theirs))
		})
		return ours, nil
	}, all.Wait
}
