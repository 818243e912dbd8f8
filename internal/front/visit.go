package front

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"eximpolicyd/acl"
	"eximpolicyd/policy"
)

// visit is one connection: what is known of it, as Exim's variables have it at each stage, and who is asked about it. Only
// one goroutine at a time looks at it.
type visit struct {
	*Server
	ctx     context.Context
	conn    net.Conn
	talk    *acl.Talk
	began   time.Time
	q       policy.Request // what the next request has, but for its stage
	history []string       // the last commands

	extended  bool   // the greeting was EHLO
	inMessage bool   // a sender has been taken
	inChunks  bool   // and a chunk of the message by BDAT, but not the last
	dropped   bool   // a policy cuts the connection off after the reply
	quit      bool   // QUIT has been said, and asked about
	why       string // else: why it ends, in Exim's words

	faults
}

// longHistory is how many commands Exim keeps.
const longHistory = 20

func newVisit(ctx context.Context, s *Server, c net.Conn, number int) *visit {
	v := &visit{Server: s, ctx: ctx, conn: c, talk: s.Talks.Begin(), began: time.Now()}
	v.q = policy.Request{
		Instance: int64(os.Getpid()), UID: policy.Known(uint32(os.Getuid())), Protocol: "smtp", ServerName: s.Name, Primary: s.Name,
		HELO: policy.Known(""), SMTPCount: number,
	}
	v.q.Client, v.q.ClientPort = ends(c.RemoteAddr())
	v.q.Server, v.q.ServerPort = ends(c.LocalAddr())
	if s.Port != 0 {
		v.q.ServerPort = s.Port
	}
	v.clear()
	return v
}

func ends(a net.Addr) (netip.Addr, int) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, 0
	}
	at := tcp.AddrPort()
	return at.Addr().Unmap().WithZone(""), int(at.Port())
}

// home is the domain that a name without one is at: ours by name, or the first by alphabet that is ours.
func (s *Server) home() string {
	if s.Domains[s.Name] || len(s.Domains) == 0 {
		return s.Name
	}
	return slices.Min(slices.Collect(maps.Keys(s.Domains)))
}

// clear forgets the message.
func (v *visit) clear() {
	v.inMessage, v.inChunks = false, false
	v.q.Sender = policy.Known("")
	v.q.Recipient, v.q.RcptCount, v.q.RcptFailCount, v.q.Recipients = "", 0, 0, 0
	v.q.Verify, v.q.VerifyFailure = policy.VerifyNone, ""
	v.q.Size = -1
	none := policy.Field{Present: policy.Known(false), Count: policy.Known(0)}
	v.q.MessageID, v.q.Date, v.q.From, v.q.MessageIDSize, v.q.ListID = none, none, none, 0, ""
}

// run speaks with the client until one of both ends it.
func (v *visit) run() {
	in := bufio.NewReaderSize(v.conn, maxCommand)
	if err := v.introduce(in); err != nil {
		v.warn(err.Error())
		return
	}
	v.q.Size = 0 // so Exim says at CONNECT only
	no := v.judge(policy.Connect)
	v.q.Size = -1
	g := newGuard(v, v.conn, in)
	if no != nil {
		g.say(no.Code, spelt(no))
	} else {
		g = v.speak(g)
	}
	if !v.quit {
		v.leaves()
		v.linger()
	}
	g.Conn.Close() // with a word of TLS, if there is any
}

// leaves asks about a connection that ends without QUIT.
func (v *visit) leaves() {
	v.q.NotQuitReason = v.why
	switch {
	case v.dropped:
		v.q.NotQuitReason = "acl-drop"
	case v.ctx.Err() != nil:
		v.q.NotQuitReason = "signal-exit"
	case v.why == "": // go-smtp ends a dialogue by itself for nothing else
		v.q.NotQuitReason = "bad-commands"
	case v.why == tooManyFaults: // before 4.99 Exim asks nobody then (its bug 3092)
		return
	}
	v.judge(policy.NotQuit)
}

// linger reads what a client still sends that has been cut off: closing over it would take back our last word.
func (v *visit) linger() {
	if c, ok := v.conn.(*net.TCPConn); ok {
		c.CloseWrite()
		c.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.CopyN(io.Discard, c, maxLinger)
	}
}

// speak has go-smtp lead the dialogue, and once more above TLS if the client wants that. It returns the last guard.
func (v *visit) speak(g *guard) *guard {
	g.offers = v.Secure != nil
	v.lead(g)
	if !g.tls {
		return g
	}
	secured := tls.Server(v.conn, v.Secure)
	ctx, stop := context.WithTimeout(v.ctx, writeTime)
	defer stop()
	if err := secured.HandshakeContext(ctx); err != nil {
		v.why = "tls-failed"
		return g
	}
	v.why = ""
	v.forget(secured.ConnectionState())
	g = newGuard(v, secured, bufio.NewReaderSize(secured, maxCommand))
	g.mute = true
	v.lead(g)
	return g
}

// forget discards what was said in the clear.
func (v *visit) forget(s tls.ConnectionState) {
	v.clear()
	v.q.HELO, v.q.Protocol, v.extended = policy.Known(""), "smtps", false
	v.q.AuthAs, v.q.AuthBy = "", ""
	bits := "128"
	if strings.Contains(tls.CipherSuiteName(s.CipherSuite), "256") {
		bits = "256"
	}
	v.q.TLSCipher = strings.ReplaceAll(tls.VersionName(s.Version), " ", "") + ":" + tls.CipherSuiteName(s.CipherSuite) + ":" + bits
}

// lead runs one dialogue of go-smtp, which has a server of its own for each: its hooks know no connection.
func (v *visit) lead(g *guard) {
	srv := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{v}, nil }))
	srv.Domain = v.Name
	srv.ErrorLog = complaints{v}
	srv.ReadTimeout, srv.WriteTimeout = commandTime, writeTime
	srv.MaxLineLength = maxMessage // a line of a message may be as long as that, in Exim too; the guard bounds commands
	srv.MaxMessageBytes = maxMessage
	srv.MaxRecipients = maxRecipients
	srv.AllowInsecureAuth = true // a test user
	if g.offers {
		srv.TLSConfig = v.Secure // to be offered; the guard does it
	}
	_ = srv.Serve(&single{conn: g})        // its error is single's
	_ = srv.Shutdown(context.Background()) // waits for the dialogue, which has ended with the guard
}

// single is a listener that accepts one connection, and ends with it.
type single struct {
	conn *guard
	used bool
}

// Accept returns the connection, and io.EOF when it is closed.
func (s *single) Accept() (net.Conn, error) {
	if !s.used {
		s.used = true
		return s.conn, nil
	}
	<-s.conn.ended
	return nil, io.EOF
}

// Close does nothing: Accept ends with the connection.
func (s *single) Close() error { return nil }

// Addr returns the address of our end.
func (s *single) Addr() net.Addr { return s.conn.LocalAddr() }

// complaints is go-smtp's log.
type complaints struct{ v *visit }

// Printf logs what go-smtp says of itself.
func (c complaints) Printf(format string, args ...any) { c.v.warn(fmt.Sprintf(format, args...)) }

// Println logs likewise.
func (c complaints) Println(args ...any) { c.v.warn(strings.TrimSuffix(fmt.Sprintln(args...), "\n")) }

func (v *visit) warn(what string) {
	v.Log.Warn(what, "client_address", v.q.Client.String(), "client_port", v.q.ClientPort)
}

// note remembers a command, as Exim's smtp_command_history does.
func (v *visit) note(verb string) {
	if len(v.history) == longHistory {
		v.history = append(v.history[:0], v.history[1:]...)
	}
	v.history = append(v.history, verb)
}

// judge asks about a stage, and returns what the client is told if that is an objection.
func (v *visit) judge(stage policy.Stage) *smtp.SMTPError {
	no, _ := v.decide(stage)
	return no
}

func (v *visit) decide(stage policy.Stage) (no *smtp.SMTPError, d acl.Decision) {
	q := v.q
	q.Stage = stage
	q.History = strings.Join(v.history, ",")
	q.Settle()
	d = v.talk.Decide(&q, v.Explain != nil)
	if v.Explain != nil {
		v.Explain(Decision{&q, d})
	}
	switch d.Action {
	case policy.Delay:
		pause(v.ctx, time.Duration(d.Delay)*time.Second)
	case policy.Deny, policy.Defer, policy.Drop:
		if stage == policy.Quit || stage == policy.NotQuit { // too late for one
			break
		}
		v.uncounted, v.dropped = true, d.Action == policy.Drop
		return refusal(&d), d
	}
	return nil, d
}

// refusal is what the client is told of an objection.
func refusal(d *acl.Decision) *smtp.SMTPError {
	e := &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}}
	// A code that is none is a mistake of a rule; what stands there is a refusal.
	_, _ = fmt.Sscanf(d.Code, "%d %d.%d.%d", &e.Code, &e.EnhancedCode[0], &e.EnhancedCode[1], &e.EnhancedCode[2])
	e.Message = printable(strings.TrimPrefix(d.Message(), d.Code+" "))
	return e
}

// printable keeps what a client sent from being a line of a reply.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
