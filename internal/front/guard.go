package front

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"
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
	last  string // the last command, until it is answered
	prev  string // the command before it, unless that was in the wrong place
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
		line = corrected(b)
		g.code, _ = strconv.Atoi(string(line[:3]))
		g.shut = g.v.dropped
		switch {
		case (g.last == "MAIL" || g.last == "RCPT") && g.code == 250 && !g.v.extended && g.in.Buffered() > 0:
			g.v.warn("a client is cut off that was offered no PIPELINING and sent more behind " + g.last + " without waiting")
			_ = g.hangUp("synchronization-error", 554, "5.5.0 wait for the answer to "+g.last+", or begin with EHLO") // as Exim does
			return len(b), nil
		case g.last == "RCPT" && g.code == 250:
			g.v.q.Recipients++
		case g.last == "RCPT" && g.code/100 == 5: // whoever says so, as Exim counts
			g.v.q.RcptFailCount++
		case g.last == "BDAT" && g.code == 250:
			g.v.inChunks = true // until the message is forgotten, which it is behind its last chunk
		}
		line = g.tally(line)
	}
	if _, err := g.Conn.Write(line); err != nil {
		return 0, err
	}
	return len(b), nil
}

// corrected writes a reply of go-smtp's with the code that it should have: 503 for a command in the wrong place, as RFC 5321
// 4.2.2 says and Exim does, and 501 for an answer to AUTH that is no base64 (RFC 4954 4) and for AUTH of nothing.
func corrected(line []byte) []byte {
	switch {
	case bytes.HasPrefix(line, []byte("502 5.5.1 ")) && !bytes.Contains(line, []byte("not implemented")):
		return append([]byte("503"), line[3:]...)
	case bytes.HasPrefix(line, []byte("502 5.5.4 ")):
		return append([]byte("501"), line[3:]...)
	case bytes.HasPrefix(line, []byte("454 4.7.0 Invalid base64")):
		return []byte("501 5.5.2 that is no base64\r\n")
	}
	return line
}

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

// message reads octets of a message, within its end. A connection that ends before it is no end of one: go-smtp would take
// half of a last chunk for all of it.
func (g *guard) message(b []byte) (int, error) {
	switch _, err := g.in.Peek(1); {
	case err == io.EOF:
		return 0, io.ErrUnexpectedEOF
	case err != nil:
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

// answer answers a command in go-smtp's place, as if that did.
func (g *guard) answer(code int, text string) error {
	g.Conn.SetWriteDeadline(time.Now().Add(writeTime))
	_, err := g.Write(fmt.Appendf(nil, "%d %s\r\n", code, text))
	return err
}

// say replies in go-smtp's place.
func (g *guard) say(code int, text string) {
	g.Conn.SetWriteDeadline(time.Now().Add(writeTime))
	fmt.Fprintf(g.Conn, "%d %s\r\n", code, text) // a client that has gone is found by the next Read
}
