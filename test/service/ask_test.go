package service

import (
	"fmt"
	"io"
	"net"
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

// caller is a Perl program that has a client at the other end of a real connection. It asks at a socket about it by a fork of
// its own, as Exim's daemon does; by that about one that is made up; and about the real one itself, which a user started. It
// prints the replies.
const caller = `
use IO::Socket::INET; use IO::Socket::UNIX;
my $listening = IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 1) or die "$!\n";
my $client = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $listening->sockport) or die "$!\n";
my $server = $listening->accept;
$| = 1;
sub ask {
	my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "$!\n";
	print $s qq(request=exim_acl\nv=1\nprotocol_state=CONNECT\nclient_address=$_[0]\nclient_port=$_[1]\nserver_address=127.0.0.1\nserver_port=), $server->sockport, "\n\n";
	print <$s>;
}
my $forked = fork // die "$!\n";
if (!$forked) { ask("127.0.0.1", $client->sockport); ask("203.0.113.7", 4321); exit; }
waitpid $forked, 0;
exit 1 if $?;
ask("127.0.0.1", $client->sockport);`
