package service

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"eximpolicyd/acl"
)

// patience bounds a wait for an answer. It is no measurement: who needs it has failed.
const patience = 60 * time.Second

// request is a callout at RCPT of the nth client. Every other one greets as localhost, which is refused.
func request(n int) (raw []byte, action string) {
	helo, action := "mail.example.com", "dunno"
	if n%2 == 1 {
		helo, action = "localhost", "deny"
	}
	return acl.AppendRequest(nil, []acl.Pair{
		{Name: "protocol_state", Value: "RCPT"}, {Name: "client_address", Value: fmt.Sprintf("2001:db8::%x", 1+n%0xffff)},
		{Name: "client_port", Value: "4321"}, {Name: "server_address", Value: "192.0.2.2"}, {Name: "server_port", Value: "25"},
		{Name: "helo_name", Value: helo}, {Name: "sender", Value: "a@example.com"}, {Name: "recipient", Value: "b@example.org"},
		{Name: "rcpt_verify", Value: "ok"},
	}), action
}

// dial connects as Exim does, but does not wait for room in the backlog.
func dial(path string) (*net.UnixConn, error) {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(time.Now().Add(patience))
}

// hear reads a reply to its end. What Exim could use ends in end=1 and has the action that is right.
func hear(c *net.UnixConn, action string) error {
	reply, err := io.ReadAll(c)
	if err != nil {
		return err
	}
	if len(reply) == 0 {
		return io.EOF
	}
	if _, err := acl.ParseReply(string(reply)); err != nil {
		return err
	}
	if !strings.HasPrefix(string(reply), "action="+action+" ") {
		return fmt.Errorf("want %s: %q", action, reply)
	}
	return nil
}

// call has a client at the other end of a real connection, and asks about it, and then about one that is made up. It
// prints both replies.
func call(socket string) error {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	client, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		return err
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		return err
	}
	defer server.Close()
	at := server.LocalAddr().(*net.TCPAddr)
	for _, from := range []*net.TCPAddr{server.RemoteAddr().(*net.TCPAddr), {IP: net.IPv4(203, 0, 113, 7), Port: 4321}} {
		c, err := dial(socket)
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := c.Write(acl.AppendRequest(nil, []acl.Pair{
			{Name: "protocol_state", Value: "CONNECT"},
			{Name: "client_address", Value: from.IP.String()}, {Name: "client_port", Value: strconv.Itoa(from.Port)},
			{Name: "server_address", Value: at.IP.String()}, {Name: "server_port", Value: strconv.Itoa(at.Port)},
		})); err != nil {
			return err
		}
		reply, err := io.ReadAll(c)
		if err != nil {
			return err
		}
		fmt.Printf("%s", reply)
	}
	return nil
}
