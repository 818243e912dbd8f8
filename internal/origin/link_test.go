package origin

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// A link is a TCP connection of this process with itself.
type link struct {
	client, server         *net.TCPConn
	clientAddr, serverAddr netip.AddrPort // unmapped
	listener               *net.TCPListener
}

// listen returns a listener that ends with the test, of plain TCP like Exim's. A host without the address is a reason
// to skip.
func listen(t testing.TB, network, addr string) *net.TCPListener {
	t.Helper()
	var plain net.ListenConfig
	plain.SetMultipathTCP(false)
	return listenWith(t, plain, network, addr)
}

func listenWith(t testing.TB, c net.ListenConfig, network, addr string) *net.TCPListener {
	t.Helper()
	l, err := c.Listen(t.Context(), network, addr)
	if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT) {
		t.Skipf("this host has no %s: %v", addr, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if err := l.(*net.TCPListener).SetDeadline(time.Now().Add(time.Minute)); err != nil { // a child that fails
		t.Fatal(err)
	}
	return l.(*net.TCPListener)
}

// connect connects to the listener, at addr.
func connect(t testing.TB, d net.Dialer, l *net.TCPListener, addr netip.Addr) link {
	t.Helper()
	to := netip.AddrPortFrom(addr, l.Addr().(*net.TCPAddr).AddrPort().Port())
	c, err := d.Dial("tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s, err := l.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return link{
		client: c.(*net.TCPConn), clientAddr: unmap(c.LocalAddr().(*net.TCPAddr).AddrPort()),
		server: s, serverAddr: unmap(s.LocalAddr().(*net.TCPAddr).AddrPort()), listener: l,
	}
}

func loopback(t testing.TB) link {
	t.Helper()
	return connect(t, net.Dialer{}, listen(t, "tcp4", "127.0.0.1:0"), netip.MustParseAddr("127.0.0.1"))
}

func newDiag(t testing.TB) *Diag {
	t.Helper()
	d, err := NewDiag()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// inodeOf is the inode by another way: fstat(2).
func inodeOf(t testing.TB, c syscall.Conn) uint32 {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	var statErr error
	if err := errors.Join(raw.Control(func(fd uintptr) { statErr = unix.Fstat(int(fd), &st) }), statErr); err != nil {
		t.Fatal(err)
	}
	return uint32(st.Ino)
}

// check asks for a socket and compares all that the kernel says.
func check(t *testing.T, d *Diag, local, remote netip.AddrPort, want Socket, wantFound bool) {
	t.Helper()
	got, found, err := d.findUntil(local, remote, time.Now().Add(time.Minute)) // a machine that stands still is no fault of the kernel's
	if err != nil {
		t.Error(err)
	}
	if found != wantFound {
		t.Errorf("Find(%v, %v): found = %t, want %t", local, remote, found, wantFound)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Find(%v, %v): %s", local, remote, diff)
	}
}

// mappedClient connects to 127.0.0.1 with an IPv6 socket, as a client in C that has AF_INET6 for everything does. Go
// would make an IPv4 socket, hence by hand.
func mappedClient(t *testing.T, l *net.TCPListener) link {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Skipf("this host has no IPv6: %v", err)
	}
	f := os.NewFile(uintptr(fd), "mapped")
	defer f.Close()
	port := l.Addr().(*net.TCPAddr).Port
	to := &unix.SockaddrInet6{Port: port, Addr: netip.MustParseAddr("::ffff:127.0.0.1").As16()}
	if err := unix.Connect(fd, to); err != nil {
		t.Fatal(err)
	}
	c, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s, err := l.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return link{
		client: c.(*net.TCPConn), clientAddr: unmap(s.RemoteAddr().(*net.TCPAddr).AddrPort()),
		server: s, serverAddr: unmap(s.LocalAddr().(*net.TCPAddr).AddrPort()), listener: l,
	}
}
