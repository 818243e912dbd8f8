package relaytest

import (
	"bufio"
	"crypto/tls"
	"errors"
	"net"
	"net/textproto"
	"strings"
	"time"
)

// A wire is a connection to a server that may be hostile, as go-smtp's client wants it. It bounds a reply in octets and the
// conversation in time, remembers the last reply as text, and hands out one line at a time, so that it sees an answer which
// came before its question: whoever believed that one would take it for the next form's.
type wire struct {
	net.Conn
	in       *bufio.Reader
	rest     []byte // of a line that did not fit
	end      time.Time
	room     int      // octets that the reply may still have
	said     []string // the lines of the last reply, the first maxLines
	asked    bool     // something was said to the server
	greeting string   // its text
}

const (
	maxReply = 64 << 10 // a reply line has 512 octets (RFC 5321 4.5.3.1.5): 128 lines, and EHLO's are the longest reply
	maxLines = 4        // remembered of a reply
)

var (
	errMuch  = errors.New("a reply of over 64 kB")
	errEarly = errors.New("it answered before it was asked")
)

func newWire(conn net.Conn, end time.Time) *wire {
	return &wire{Conn: conn, in: bufio.NewReader(conn), end: end, room: maxReply}
}

// Read returns at most one line.
func (w *wire) Read(p []byte) (int, error) {
	if len(w.rest) == 0 {
		line, err := w.in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return 0, err
		}
		if w.room -= len(line); w.room < 0 {
			return 0, errMuch
		}
		if len(w.said) < maxLines {
			w.said = append(w.said, string(line[:min(len(line), maxText)]))
		}
		w.rest = line
	}
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

// Write begins a question: what was said is forgotten.
func (w *wire) Write(p []byte) (int, error) {
	if len(w.rest) > 0 || w.in.Buffered() > 0 {
		return 0, errEarly
	}
	if !w.asked {
		_, w.greeting = w.reply()
	}
	w.room, w.said, w.asked = maxReply, nil, true
	return w.Conn.Write(p)
}

// SetDeadline sets one, but no later than the end of the conversation.
func (w *wire) SetDeadline(t time.Time) error {
	if t.IsZero() || t.After(w.end) {
		t = w.end
	}
	return w.Conn.SetDeadline(t)
}

// reply returns the code and the text of the last reply; without one the code is 0.
func (w *wire) reply() (code int, text string) {
	var b strings.Builder
	for _, line := range w.said {
		if len(line) < 3 || strings.Trim(line[:3], "0123456789") != "" {
			return 0, clean(line)
		}
		code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
		b.WriteString(strings.TrimRight(line[min(4, len(line)):], "\r\n") + " ")
	}
	return code, clean(b.String())
}

// secure begins TLS and returns its version. go-smtp can't: for its StartTLS it says EHLO localhost first, which a good
// policy refuses.
func (w *wire) secure() (string, error) {
	// Nothing said here is a secret, and a server's certificate says nothing about relays.
	conn := tls.Client(w.Conn, &tls.Config{InsecureSkipVerify: true})
	if err := conn.Handshake(); err != nil {
		return "", err
	}
	w.Conn = conn
	w.in.Reset(conn)
	return tls.VersionName(conn.ConnectionState().Version), nil
}

// startTLS asks for TLS and begins it. Another Hello has to follow.
func (w *wire) startTLS() (string, error) {
	if err := w.SetDeadline(time.Now().Add(commandTime)); err != nil {
		return "", err
	}
	text := textproto.NewConn(w)
	if _, err := text.Cmd("STARTTLS"); err != nil {
		return "", err
	}
	if _, _, err := text.ReadResponse(220); err != nil {
		return "", err
	}
	if w.in.Buffered() > 0 {
		return "", errEarly // or a plain answer would count as one that came by TLS (RFC 3207 6)
	}
	return w.secure()
}
