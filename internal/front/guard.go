package front

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// guard is the connection as go-smtp sees it: it hands on one command at a time, so that it is known to which mode of the
// dialogue an octet belongs, tells the visit of commands that go-smtp tells nobody of, and looks for the end of data
// itself. go-smtp's own reader would take what is not refused here for the same message: that is tested.
//
// It holds one line of at most maxCommand octets. Close leaves the connection itself open: STARTTLS goes on with it.
type guard struct {
	net.Conn // below which is TLS, or the client
	v        *visit
	in       *bufio.Reader // of Conn
	end      time.Time     // of the session
	offers   bool          // STARTTLS
	mute     bool          // go-smtp greets once more above TLS, where nobody is greeted

	named bool   // the client has said a greeting, or one was said in its place
	rcpt  bool   // the last command was RCPT
	rest  []byte // of a line that go-smtp had no room for
	mode  mode
	dots  dots
	size  int64 // octets of the message, or still to come of a chunk
	code  int   // of the last reply
	shut  bool  // the client has had its last word: nothing is read or written any more
	tls   bool  // STARTTLS was said, and agreed to
	once  sync.Once
	ended chan struct{} // closed by Close
}

type mode uint8

const (
	commands mode = iota
	asking        // the last command was DATA; the reply says whether it is agreed to
	data
	chunk // of BDAT
)

func newGuard(v *visit, c net.Conn, in *bufio.Reader) *guard {
	return &guard{Conn: c, v: v, in: in, end: v.began.Add(sessionTime), ended: make(chan struct{})}
}

// Close ends the dialogue, not the connection.
func (g *guard) Close() error {
	g.once.Do(func() { close(g.ended) })
	return nil
}

// SetReadDeadline keeps the session's.
func (g *guard) SetReadDeadline(t time.Time) error {
	select {
	case <-g.ended:
		return net.ErrClosed
	default:
	}
	if t.After(g.end) {
		t = g.end
	}
	return g.Conn.SetReadDeadline(t)
}

// Write lets a reply through, and remembers its code. go-smtp writes line by line.
func (g *guard) Write(b []byte) (int, error) {
	final := len(b) > 3 && b[3] == ' '
	switch {
	case g.shut:
		return len(b), nil
	case g.mute:
		g.mute = !final
		return len(b), nil
	}
	line := b
	if final {
		if bytes.HasPrefix(b, []byte(noBase64)) {
			line = []byte(errBase64)
		}
		g.code, _ = strconv.Atoi(string(line[:3]))
		g.shut = g.v.dropped
		if g.rcpt && g.code/100 == 5 { // whoever says so, as Exim counts
			g.v.q.RcptFailCount++
		}
		g.rcpt = false
	}
	if _, err := g.Conn.Write(line); err != nil {
		return 0, err
	}
	return len(b), nil
}

// What go-smtp says of an answer to AUTH that is no base64, and what RFC 4954 4 says.
const (
	noBase64  = "454 4.7.0 Invalid base64"
	errBase64 = "501 5.5.2 that is no base64\r\n"
)

// Read hands on a command, or a part of a message.
func (g *guard) Read(b []byte) (n int, err error) {
	switch {
	case g.shut || len(b) == 0:
		return 0, io.EOF
	case len(g.rest) > 0:
		n = copy(b, g.rest)
		g.rest = g.rest[n:]
		return n, nil
	case g.mode == asking && g.code == 354:
		g.mode, g.dots, g.size = data, dots{}, 0
	case g.mode == asking:
		g.mode = commands
	}
	switch g.mode {
	case data, chunk:
		n, err = g.message(b)
	default:
		n, err = g.command(b)
	}
	if err != nil { // go-smtp would read on in another mode
		g.fail(err)
	}
	return n, err
}

// fail remembers why nothing more can be read. Who is late with a command is told so; what is left of a message must not
// be taken for commands.
func (g *guard) fail(err error) {
	late := errors.Is(err, os.ErrDeadlineExceeded)
	switch {
	case g.v.why != "":
	case late && g.mode == commands:
		g.v.why = "command-timeout"
	case late:
		g.v.why, g.shut = "data-timeout", true
	default:
		g.v.why = "connection-lost"
	}
}

// message reads octets of a message, within its end.
func (g *guard) message(b []byte) (int, error) {
	if _, err := g.in.Peek(1); err != nil {
		return 0, err
	}
	p, _ := g.in.Peek(min(g.in.Buffered(), len(b)))
	if g.mode == chunk {
		p = p[:min(int64(len(p)), g.size)]
		n, _ := g.in.Discard(copy(b, p))
		if g.size -= int64(n); g.size == 0 {
			g.mode = commands
		}
		return n, nil
	}
	n, found := g.dots.scan(p)
	copy(b, p[:n])
	if _, err := g.in.Discard(n); err != nil {
		return 0, err
	}
	g.size += int64(n)
	switch {
	case found == smuggled:
		g.v.warn("a message is refused for a bare CR or LF around a line that is but a dot, which others may take for its end")
		return 0, g.hangUp("synchronization-error", 550, "5.5.2 a bare <CR> or <LF> around a lone dot: <CR><LF>.<CR><LF> ends a message")
	case found == ended:
		g.mode = commands
	case g.size > maxMessage:
		return 0, g.hangUp("data-timeout", 552, "5.3.4 the message is too big")
	}
	return n, nil
}

// hangUp says a last word. Exim's reasons are those that its NOTQUIT ACL knows.
func (g *guard) hangUp(why string, code int, text string) error {
	g.v.why = why
	g.say(code, text)
	g.shut = true
	return io.EOF
}

// say replies in go-smtp's place.
func (g *guard) say(code int, text string) {
	g.Conn.SetWriteDeadline(time.Now().Add(writeTime))
	fmt.Fprintf(g.Conn, "%d %s\r\n", code, text) // a client that has gone is found by the next Read
}

// command reads a line and hands it on, unless it is answered here.
func (g *guard) command(b []byte) (int, error) {
	for {
		line, err := g.in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return 0, g.hangUp("bad-commands", 500, "5.5.2 the line is too long")
		}
		if err != nil {
			return 0, err
		}
		if g.code == 334 { // not a command, but an answer to AUTH
			g.code = 0
			return g.hand(b, line), nil
		}
		on, err := g.obey(string(line))
		if err != nil {
			return 0, err
		}
		line = g.qualified(line)
		if on && g.unnamed(string(line)) {
			g.named, g.mute = true, true
			return g.hand(b, append([]byte(stranger), line...)), nil
		}
		if on {
			return g.hand(b, line), nil
		}
	}
}

// stranger is what go-smtp is greeted with in the place of a client that has not: it takes no mail otherwise, and Exim does.
// What becomes of such a client is a rule's to say, helo.H1.
const stranger = "HELO stranger\r\n"

// unnamed reports whether a line is a MAIL before any greeting.
func (g *guard) unnamed(line string) bool {
	verb, _ := verb(line)
	return verb == "MAIL" && !g.named
}

// hand hands on a line, whose rest is handed on before anything else is read.
func (g *guard) hand(b, line []byte) int {
	n := copy(b, line)
	g.rest = line[n:]
	return n
}

// verb takes a command from its argument in the way of go-smtp, so that both see the same one.
func verb(line string) (verb, arg string) {
	line = strings.TrimRight(line, "\r\n")
	switch {
	case strings.HasPrefix(strings.ToUpper(line), "STARTTLS"):
		return "STARTTLS", ""
	case len(line) == 4:
		return strings.ToUpper(line), ""
	case len(line) > 5 && line[4] == ' ':
		return strings.ToUpper(line[:4]), strings.TrimSpace(line[5:])
	}
	return "", line
}

var bareRecipient = regexp.MustCompile(`(?i)^TO: *<postmaster>`)

// qualified gives the postmaster who has no domain one of ours, as Exim does: mail for him is taken everywhere (RFC 5321
// 4.5.1), and go-smtp wants a domain.
func (g *guard) qualified(line []byte) []byte {
	verb, arg := verb(string(line))
	if verb != "RCPT" || !bareRecipient.MatchString(arg) {
		return line
	}
	at := bytes.IndexByte(line, '>')
	return slices.Concat(line[:at], []byte("@"+g.v.home()), line[at:])
}

// obey does what is to be done about a command here, and reports whether go-smtp is to have it.
func (g *guard) obey(line string) (on bool, err error) {
	if strings.IndexByte(line, 0) >= 0 {
		g.say(501, "5.5.2 a command has no NUL in it")
		return false, nil
	}
	verb, arg := verb(line)
	g.v.note(verb)
	switch verb {
	case "":
		if strings.HasPrefix(line, proxyWord) {
			g.v.warn("a PROXY header came too late, or not from a client on loopback")
			return false, g.hangUp("bad-commands", 500, "5.5.1 a PROXY header is taken from loopback only, and before the greeting")
		}
	case "EHLO", "HELO":
		return g.greeted(verb, arg)
	case "QUIT":
		g.v.quits()
	case "STARTTLS":
		if g.offers {
			return false, g.secure()
		}
	case "RCPT":
		g.v.q.RcptCount++
		g.rcpt = true
	case "DATA":
		g.mode = asking
	case "BDAT":
		return g.chunk(arg)
	}
	return true, nil
}

// greeted asks about a greeting, the second one too.
func (g *guard) greeted(verb, arg string) (on bool, err error) {
	if arg == "" {
		return true, nil // go-smtp says what is missing
	}
	no := g.v.greet(arg, verb == "EHLO")
	g.named = true // also if it is refused: then Exim takes no mail before another greeting, and nor does go-smtp
	if no == nil {
		return true, nil
	}
	g.say(no.Code, spelt(no))
	if g.v.dropped {
		return false, io.EOF
	}
	return false, nil
}

// secure agrees to STARTTLS. What came behind it in the clear could be anybody's, and must not count as said above TLS.
func (g *guard) secure() error {
	if g.in.Buffered() > 0 {
		g.v.warn("a client is cut off that sent more behind STARTTLS without waiting")
		return g.hangUp("synchronization-error", 554, "5.5.0 wait for the answer to STARTTLS")
	}
	g.say(220, "2.0.0 go on with TLS")
	g.tls, g.shut = true, true
	return io.EOF
}

// chunk takes BDAT, whose octets go-smtp reads whatever it thinks of the command, if it can read the number.
func (g *guard) chunk(arg string) (on bool, err error) {
	number, last, two := strings.Cut(arg, " ")
	size, err := strconv.ParseUint(number, 10, 32)
	if err != nil || two && !strings.EqualFold(strings.TrimSpace(last), "LAST") {
		return false, g.hangUp("bad-commands", 501, "5.5.4 BDAT needs a number of octets, and LAST or nothing") // octets of nobody knows what may follow
	}
	if size > maxMessage {
		return false, g.hangUp("bad-commands", 552, "5.3.4 the message is too big")
	}
	if size > 0 {
		g.mode, g.size = chunk, int64(size)
	}
	return true, nil
}

// spelt writes a refusal without its code.
func spelt(e *smtp.SMTPError) string {
	c := e.EnhancedCode
	return fmt.Sprintf("%d.%d.%d %s", c[0], c[1], c[2], e.Message)
}
