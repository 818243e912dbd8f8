package test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"eximpolicyd/test/rig"
)

// invented runs a session of exim4 -bh as nobody with ends of his choosing.
func invented(t *testing.T, s *rig.Site, server, client netip.AddrPort) {
	t.Helper()
	talk := "EHLO localhost\r\nMAIL FROM:<x@example.org>\r\nRCPT TO:<nosuch@" + rig.Domain + ">\r\nRCPT TO:<alice@" + rig.Domain + ">\r\nQUIT\r\n"
	out, err := s.As("nobody", "/tmp", talk, "exim4", "-oMi", dotted(server), "-bh", dotted(client))
	if err != nil || !strings.Contains(out, "\n221 ") {
		t.Fatalf("%v %s", err, out)
	}
}

// dotted is how Exim writes an address with a port.
func dotted(a netip.AddrPort) string { return fmt.Sprintf("%s.%d", a.Addr(), a.Port()) }

// linesOf waits for the end of a session and returns its decision lines.
func linesOf(t *testing.T, d *rig.Daemon, end string, fits func(rig.Decision) bool) []rig.Decision {
	t.Helper()
	decided(t, d, end, "of the session", fits)
	check(t, d.Settle())
	lines, err := d.Decisions()
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(lines, func(l rig.Decision) bool { return !fits(l) })
}

func TestAnInventedConnectionIsSynthetic(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "stock"})
	d := daemon(t, s, enforcing("lenient"))
	real := netip.MustParseAddrPort(s.Addr())
	for i := range 20 {
		server := real // Exim does listen there
		if i%2 == 0 {
			server = netip.MustParseAddrPort("192.0.2.2:25")
		}
		client := netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(i + 1)}), uint16(4000+i))
		invented(t, s, server, client)
		for _, l := range linesOf(t, d, "QUIT", ofClient(client.Addr().String())) {
			if !l.Synthetic || l.ClientUID != nil {
				t.Errorf("%s at %s: %+v", client, l.Stage, l)
			}
			if want := map[bool]string{true: "deny", false: "dunno"}[l.Stage == "RCPT"]; l.Action != want {
				t.Errorf("%s at %s: %s, want it judged like any other", client, l.Stage, l.Action)
			}
		}
	}
}

func TestARealConnectionIsProvenAndACopyOfItIsNot(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "stock"})
	d := daemon(t, s, enforcing("lenient"))
	conn, err := s.Connect(netip.AddrPort{})
	if err != nil {
		t.Fatal(err)
	}
	client := conn.LocalAddr().(*net.TCPAddr).AddrPort()
	c, r, err := rig.Talk(conn)
	if err != nil || r.Code != 220 {
		t.Fatal(err, r)
	}
	defer c.Close()
	mine := func(l rig.Decision) bool { return l.ClientPort == int(client.Port()) }
	decided(t, d, "CONNECT", "of the real one", mine)
	before, err := d.Decisions()
	if err != nil {
		t.Fatal(err)
	}
	invented(t, s, netip.MustParseAddrPort(s.Addr()), client)
	copies := linesOf(t, d, "QUIT", mine)[len(before):]
	if len(copies) < 5 {
		t.Fatalf("%d lines of the copy", len(copies))
	}
	for _, l := range copies {
		if !l.Synthetic {
			t.Errorf("the copy at %s: %+v", l.Stage, l)
		}
	}
	say(t, c, "EHLO mx.example.org", 250)
	say(t, c, "QUIT", 221)
	root := uint32(os.Getuid())
	real := decided(t, d, "HELO", "of the real one", func(l rig.Decision) bool { return mine(l) && l.HELO == "mx.example.org" })
	if real.Synthetic || real.ClientUID == nil || *real.ClientUID != root {
		t.Errorf("the real one after the copy: %+v", real)
	}
}

func TestTheUserOfALoopbackConnectionIsKnown(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "stock"})
	d := daemon(t, s, enforcing("lenient"))
	_, port, err := net.SplitHostPort(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range []struct {
		name string
		uid  uint32
	}{{"nobody", nobodyUID}, {"12002", 12002}} {
		helo := "of-" + user.name + ".example.org"
		out, err := s.As(user.name, "/tmp", "", "/usr/bin/swaks", "--server", "127.0.0.1", "--port", port, "--helo", helo,
			"--from", "x@example.org", "--to", "alice@"+rig.Domain)
		if err != nil {
			t.Fatalf("%v %s", err, out)
		}
		for _, l := range linesOf(t, d, "QUIT", func(l rig.Decision) bool { return l.HELO == helo }) {
			if l.Synthetic || l.ClientUID == nil || *l.ClientUID != user.uid || l.Class != "loopback" {
				t.Errorf("%s at %s: %+v", user.name, l.Stage, l)
			}
		}
	}
}

// throughProxy is a PHP program that gives exim4 -bh a socket for standard
// input, from which it will read a line of the PROXY protocol.
const throughProxy = `
$pair = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
$p = proc_open(array_slice($argv, 2), [0 => $pair[1], 1 => ["pipe", "w"], 2 => ["file", "/dev/null", "w"]], $pipes);
fclose($pair[1]);
foreach (explode("|", $argv[1]) as $line) { fwrite($pair[0], "$line\r\n"); }
echo stream_get_contents($pipes[1]);
proc_close($p);`

func TestACopyOfAProxiedConnectionIsSyntheticWhateverClientItNames(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "stock"})
	d := daemon(t, s, enforcing("lenient"))
	conn, err := s.Connect(netip.MustParseAddrPort("203.0.113.7:40000"))
	if err != nil {
		t.Fatal(err)
	}
	proxy := conn.LocalAddr().(*net.TCPAddr).AddrPort()
	c, r, err := rig.Talk(conn)
	if err != nil || r.Code != 220 {
		t.Fatal(err, r)
	}
	defer c.Close()
	if one := decided(t, d, "CONNECT", "of the real one", ofClient("203.0.113.7")); one.Synthetic {
		t.Fatalf("the real one: %+v", one)
	}
	server := netip.MustParseAddrPort(s.Addr())
	// The proxy's own connection, as if it had not been one: of the address of the proxy.
	invented(t, s, server, proxy)
	for _, l := range linesOf(t, d, "QUIT", ofClient(proxy.Addr().String())) {
		if !l.Synthetic {
			t.Errorf("in the proxy's name at %s: %+v", l.Stage, l)
		}
	}
	// The same, with a line of the PROXY protocol that names a victim.
	talk := "PROXY TCP4 198.51.100.66 192.0.2.25 41000 25|EHLO localhost|MAIL FROM:<x@example.org>|RCPT TO:<alice@" + rig.Domain + ">|QUIT"
	out, err := s.As("nobody", "/tmp", "", "/usr/bin/php", "-r", throughProxy, "--", talk,
		"/usr/sbin/exim4", "-oMi", dotted(server), "-bh", dotted(proxy))
	if err != nil || !strings.Contains(out, "221 ") {
		t.Fatalf("%v %s", err, out)
	}
	for _, l := range linesOf(t, d, "QUIT", ofClient("198.51.100.66")) {
		if !l.Synthetic {
			t.Errorf("in a victim's name at %s: %+v", l.Stage, l)
		}
	}
}

// Exim ends a connection some time before its process ends, and a client's port, which may be a proxy's, is free to be used
// again at once.
func TestAConnectionFromAPortThatIsUsedAgainIsProven(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "stock"})
	d := daemon(t, s, enforcing("lenient"))
	const times = 25
	from := &net.TCPAddr{IP: net.ParseIP(rig.ProxyFrom)}
	for i := range times {
		var conn net.Conn
		var err error
		check(t, rig.Await("a free port", func() bool { // the last octet of the connection before may still be on its way
			conn, err = (&net.Dialer{LocalAddr: from}).Dial("tcp4", s.Addr())
			return !errors.Is(err, syscall.EADDRINUSE)
		}))
		if err != nil {
			t.Fatal(err)
		}
		from = conn.LocalAddr().(*net.TCPAddr)
		fmt.Fprintf(conn, "PROXY TCP4 203.0.113.7 192.0.2.25 %d 25\r\n", 40000+i)
		c, r, err := rig.Talk(conn)
		if err != nil || r.Code != 220 {
			t.Fatal(err, r)
		}
		say(t, c, "EHLO mx.example.org", 250)
		say(t, c, "QUIT", 221)
		if r := c.Reply(); r.Code != 0 {
			t.Fatal(r)
		}
		check(t, c.Close())
	}
	lines := linesOf(t, d, "QUIT", ofClient("203.0.113.7"))
	synthetic := 0
	for _, l := range lines {
		if l.Synthetic {
			synthetic++
		}
	}
	if len(lines) < 2*times || synthetic > 0 {
		t.Errorf("of %d decisions about %d connections %d are not proven", len(lines), times, synthetic)
	}
}

// ownConnection is a PHP program that opens a TCP connection of its user's own, to a port of its own, and runs Exim in a
// session that names it, while it stands.
const ownConnection = `
$listening = stream_socket_server("tcp://127.0.0.1:0");
$calling = stream_socket_client("tcp://" . stream_socket_get_name($listening, false));
$called = stream_socket_accept($listening);
$ends = [stream_socket_get_name($called, false), stream_socket_get_name($called, true)];
foreach ([$ends, array_reverse($ends)] as [$server, $client]) {
	$p = proc_open(["/usr/sbin/exim4", "-oMi", strtr($server, ":", "."), "-bh", strtr($client, ":", ".")],
		[0 => ["pipe", "r"], 1 => ["pipe", "w"], 2 => ["file", "/dev/null", "w"]], $pipes);
	fwrite($pipes[0], $argv[1]);
	fclose($pipes[0]);
	echo stream_get_contents($pipes[1]);
	proc_close($p);
}`

func TestAConnectionThatIsNoConnectionOfEximsIsSynthetic(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "stock"})
	d := daemon(t, s, enforcing("lenient"))
	talk := "EHLO own-connection.example.org\r\nMAIL FROM:<x@example.org>\r\nRCPT TO:<nosuch@" + rig.Domain + ">\r\nQUIT\r\n"
	out, err := s.As("nobody", "/tmp", "", "/usr/bin/php", "-r", ownConnection, "--", talk)
	if err != nil || strings.Count(out, "\n221 ") != 2 {
		t.Fatalf("%v %s", err, out)
	}
	lines := linesOf(t, d, "QUIT", func(l rig.Decision) bool { return l.HELO == "own-connection.example.org" })
	for _, l := range lines {
		if !l.Synthetic {
			t.Errorf("at %s: %+v", l.Stage, l)
		}
	}
	if len(lines) < 6 {
		t.Errorf("%d lines", len(lines))
	}
}

// belowAnExim is a shell program that does what throughProxy does, in a child of an Exim of its user's: PHP starts exim4 -bh
// by a shell that waits until PHP itself has become exim4 -bs, and so has Exim's uid.
const belowAnExim = `
d=$(mktemp -d) && mkfifo $d/in $d/out || exit
php -r '
$pair = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
$shell = "while [ \$(stat -c %U /proc/\$PPID) != Debian-exim ]; do :; done; exec \"\$@\"";
proc_open(array_merge(["sh", "-c", $shell, "sh"], array_slice($argv, 3)), [0 => $pair[1], 1 => ["file", $argv[1], "w"], 2 => ["file", "/dev/null", "w"]], $pipes);
foreach (explode("|", $argv[2]) as $line) { fwrite($pair[0], "$line\r\n"); }
pcntl_exec("/usr/sbin/exim4", ["-bs"]);' -- $d/out "$@" 0<>$d/in >/dev/null &
cat $d/out
echo QUIT >$d/in
wait`

// A proxy may open a connection and say nothing yet: until its line of the PROXY protocol comes, Exim does not ask.
func TestAConnectionThatEximHasNotAskedAboutYetIsNobodyElses(t *testing.T) {
	for name, program := range map[string][]string{
		"a child of a user's program": {"/usr/bin/php", "-r", throughProxy, "--"},
		"a child of a user's Exim":    {"bash", "-c", belowAnExim, "bash"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := started(t, rig.Config{Flavour: "stock"})
			d := daemon(t, s, enforcing("lenient"))
			conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(rig.ProxyFrom)}}).Dial("tcp4", s.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			proxy := conn.LocalAddr().(*net.TCPAddr).AddrPort()
			talk := "PROXY TCP4 198.51.100.66 192.0.2.25 41000 25|EHLO localhost|MAIL FROM:<x@example.org>|RCPT TO:<alice@" + rig.Domain + ">|QUIT"
			out, err := s.As("nobody", "/tmp", "", append(program, talk, "/usr/sbin/exim4", "-oMi", dotted(netip.MustParseAddrPort(s.Addr())), "-bh", dotted(proxy))...)
			if err != nil || !strings.Contains(out, "221 ") {
				t.Fatalf("%v %s", err, out)
			}
			for _, l := range linesOf(t, d, "QUIT", ofClient("198.51.100.66")) {
				if !l.Synthetic {
					t.Errorf("at %s: %+v", l.Stage, l)
				}
			}
		})
	}
}
