package rig

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// A Session is one SMTP connection, spoken line by line and byte for byte. For
// anything ordinary use a real client on Connect's connection.
type Session struct {
	conn net.Conn
	in   *bufio.Reader
	all  strings.Builder
}

// Reply is one answer of the server: its code and all of its text, lines joined
// by LF, codes included. Code 0 means that the connection has ended.
type Reply struct {
	Code int
	Text string
}

// Connect opens a connection to a site. With a client address Exim believes it
// comes from there (PROXY protocol); without one it comes from 127.0.0.1.
func (s *Site) Connect(client netip.AddrPort) (net.Conn, error) { return connect(s.Addr(), client) }

func connect(addr string, client netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{Timeout: patience}
	if client.IsValid() {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(ProxyFrom)}
	}
	conn, err := d.Dial("tcp4", addr)
	if err != nil {
		return nil, fmt.Errorf("rig: %w", err)
	}
	if client.IsValid() {
		family, server := "TCP4", "192.0.2.25"
		if client.Addr().Is6() {
			family, server = "TCP6", "2001:db8::25"
		}
		if _, err := fmt.Fprintf(conn, "PROXY %s %s %s %d 25\r\n", family, client.Addr(), server, client.Port()); err != nil {
			return nil, join(fmt.Errorf("rig: %w", err), conn.Close())
		}
	}
	return conn, nil
}

// Dial opens a session and reads the greeting. client is "" for 127.0.0.1, or
// an address, or address:port.
func (s *Site) Dial(client string) (*Session, Reply, error) { return DialAt(s.Addr(), client) }

// DialAt opens a session at another address of a site, likewise.
func DialAt(addr, client string) (*Session, Reply, error) {
	var from netip.AddrPort
	if client != "" {
		var err error
		if from, err = netip.ParseAddrPort(client); err != nil {
			addr, err := netip.ParseAddr(client)
			if err != nil {
				return nil, Reply{}, fmt.Errorf("rig: client: %w", err)
			}
			from = netip.AddrPortFrom(addr, 40000)
		}
	}
	conn, err := connect(addr, from)
	if err != nil {
		return nil, Reply{}, err
	}
	return Talk(conn)
}

// Talk makes a session of a connection and reads the greeting.
func Talk(conn net.Conn) (*Session, Reply, error) {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, Reply{}, join(err, conn.Close())
	}
	c := &Session{conn: conn, in: bufio.NewReader(conn)}
	return c, c.Reply(), nil
}

// Raw sends bytes as they are.
func (c *Session) Raw(data string) {
	// A failed write is a closed connection, and that is what the next Reply says.
	_, _ = c.conn.Write([]byte(data))
	c.all.WriteString("> " + data + "\n")
}

// Write sends bytes as they are, without a place in the transcript.
func (c *Session) Write(data []byte) (int, error) { return c.conn.Write(data) }

// Say sends one line, CR LF added, and returns the answer.
func (c *Session) Say(line string) Reply {
	c.Raw(line + "\r\n")
	return c.Reply()
}

// Reply reads one answer.
func (c *Session) Reply() Reply {
	var r Reply
	for {
		line, err := c.in.ReadString('\n')
		line = strings.TrimRight(line, "\r\n")
		c.all.WriteString("< " + line + "\n")
		if err != nil || len(line) < 4 {
			return Reply{Text: r.Text + line}
		}
		r.Text += line
		if line[3] != '-' {
			if _, err := fmt.Sscanf(line[:3], "%d", &r.Code); err != nil {
				return Reply{Text: r.Text}
			}
			return r
		}
		r.Text += "\n"
	}
}

// Message sends a whole mail in this session and returns the answer that
// decided: the first that is no success, or that to the final dot.
func (c *Session) Message(from string, to []string, text string) Reply {
	if r := c.Say("MAIL FROM:<" + from + ">"); r.Code != 250 {
		return r
	}
	for _, rcpt := range to {
		if r := c.Say("RCPT TO:<" + rcpt + ">"); r.Code != 250 {
			return r
		}
	}
	if r := c.Say("DATA"); r.Code != 354 {
		return r
	}
	return c.Say(strings.ReplaceAll(text, "\n", "\r\n") + "\r\n.")
}

// From is our end of the connection.
func (c *Session) From() netip.AddrPort { return c.conn.LocalAddr().(*net.TCPAddr).AddrPort() }

// Transcript returns all that was said so far.
func (c *Session) Transcript() string { return c.all.String() }

// Close drops the connection without a word; say QUIT first to be polite.
func (c *Session) Close() error { return c.conn.Close() }
