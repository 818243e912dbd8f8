package origin

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestAConnectionNobodyAcceptedIsNotLive(t *testing.T) {
	d, l := newDiag(t), listen(t, "tcp4", "127.0.0.1:0")
	c, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	local, remote := c.LocalAddr().(*net.TCPAddr).AddrPort(), l.Addr().(*net.TCPAddr).AddrPort()
	check(t, d, remote, local, Socket{NoUID, 0, Established}, true)
	s, err := l.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	check(t, d, remote, local, Socket{uint32(os.Getuid()), inodeOf(t, s), Established}, true)
}

// TestAClientThatClosedHasNoOwner is the attack: a client that writes its dialogue at once and closes is asked about
// while Exim still reads. The kernel then says uid 0.
func TestAClientThatClosedHasNoOwner(t *testing.T) {
	d, k := newDiag(t), loopback(t)
	if err := k.client.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := k.server.Read(make([]byte, 1)); err == nil { // the end has arrived
		t.Fatal("the server reads something")
	}
	got, found, err := d.findUntil(k.clientAddr, k.serverAddr, time.Now().Add(time.Minute))
	if err != nil || !found || (got != Socket{NoUID, 0, FinWait1} && got != Socket{NoUID, 0, FinWait2}) {
		t.Errorf("Find = %+v, %t, %v; want nobody's, in FIN-WAIT", got, found, err)
	}

	// The server's end still stands, and proves the connection.
	server := Socket{uint32(os.Getuid()), inodeOf(t, k.server), CloseWait}
	check(t, d, k.serverAddr, k.clientAddr, server, true)
	if !server.Live() {
		t.Error("CLOSE-WAIT is not live")
	}

	if err := k.server.Close(); err != nil {
		t.Fatal(err)
	}
	s, _, err := d.findUntil(k.clientAddr, k.serverAddr, time.Now().Add(time.Minute)) // TIME-WAIT, or nothing if the host keeps none
	if err != nil || s.Live() || s.UID != NoUID || s.Inode != 0 {
		t.Errorf("Find = %+v, %v; want a socket of nobody", s, err)
	}
	check(t, d, k.serverAddr, k.clientAddr, Socket{UID: NoUID}, false)
}

func TestAClientThatResetIsNotFound(t *testing.T) {
	d, k := newDiag(t), loopback(t)
	if err := k.client.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	if err := k.client.Close(); err != nil {
		t.Fatal(err)
	}
	check(t, d, k.clientAddr, k.serverAddr, Socket{UID: NoUID}, false)
	s, _, err := d.findUntil(k.serverAddr, k.clientAddr, time.Now().Add(time.Minute))
	if err != nil || s.Live() {
		t.Errorf("the server's end is %+v, %v", s, err)
	}
}

func TestAClientOfAnotherUserIsThatUsers(t *testing.T) {
	for _, c := range []struct {
		name, role string
		server     bool // speaks MPTCP, as Go's listeners do and Exim does not
	}{
		{"TCP", "connect", false},
		{"MPTCP that falls back to TCP", "mptcp", false},
		{"MPTCP", "mptcp", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if os.Getuid() != 0 {
				t.Skip("not root: no process of another user can be started")
			}
			var config net.ListenConfig
			config.SetMultipathTCP(c.server)
			d, l := newDiag(t), listenWith(t, config, "tcp4", "127.0.0.1:0")
			client := start(t, nobody, c.role, "tcp4", l.Addr().String())
			s, err := l.AcceptTCP()
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			local, err := netip.ParseAddrPort(client.line(t))
			if err != nil {
				t.Fatal(err)
			}
			remote := l.Addr().(*net.TCPAddr).AddrPort()
			got, found, err := d.findUntil(local, remote, time.Now().Add(time.Minute))
			if err != nil || !found || got.UID != nobody || !got.Live() {
				t.Errorf("Find = %+v, %t, %v; want uid %d, live", got, found, err, nobody)
			}
			// Its other end is ours: one end says nothing about the other.
			check(t, d, remote, local, Socket{0, inodeOf(t, s), Established}, true)

			// MPTCP keeps its owner in the kernel's tables beyond close(2), and where both sides speak it even
			// ESTABLISHED, since its end is told otherwise. The owner is the true one, so nothing is lost.
			gone := func(when string) {
				got, _, err := d.findUntil(local, remote, time.Now().Add(time.Minute))
				if err != nil || got.UID != NoUID && (c.role != "mptcp" || got.UID != nobody) {
					t.Errorf("%s Find = %+v, %v; want nobody's", when, got, err)
				}
				if got.Live() && !c.server {
					t.Errorf("%s %+v is live", when, got)
				}
			}
			client.tell(t, "close")
			gone("after close")
			client.end(t)
			gone("after exit")
			s.Close()
			gone("after the server's close")
		})
	}
}

// TestASocketBoundToAnInterfaceIsNotFound holds what the comment of Find says: such a client is unknown.
func TestASocketBoundToAnInterfaceIsNotFound(t *testing.T) {
	d := newDiag(t)
	bind := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var bindErr error
		err := c.Control(func(fd uintptr) { bindErr = unix.BindToDevice(int(fd), "lo") })
		return errors.Join(err, bindErr)
	}}
	k := connect(t, bind, listen(t, "tcp4", "127.0.0.1:0"), netip.MustParseAddr("127.0.0.1"))
	check(t, d, k.clientAddr, k.serverAddr, Socket{UID: NoUID}, false)
	check(t, d, k.serverAddr, k.clientAddr, Socket{uint32(os.Getuid()), inodeOf(t, k.server), Established}, true)
}
