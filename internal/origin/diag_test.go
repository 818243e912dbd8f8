package origin

import (
	"net"
	"net/netip"
	"os"
	"testing"
)

func TestBothEndsAreFoundWithTheirOwner(t *testing.T) {
	v4, v6 := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")
	for name, dial := range map[string]func(t *testing.T) link{
		"IPv4":                      func(t *testing.T) link { return connect(t, net.Dialer{}, listen(t, "tcp4", "127.0.0.1:0"), v4) },
		"IPv6":                      func(t *testing.T) link { return connect(t, net.Dialer{}, listen(t, "tcp6", "[::1]:0"), v6) },
		"the server's is v4-mapped": func(t *testing.T) link { return connect(t, net.Dialer{}, listen(t, "tcp", "[::]:0"), v4) },
		"the client's is v4-mapped": func(t *testing.T) link { return mappedClient(t, listen(t, "tcp4", "127.0.0.1:0")) },
		"both are v4-mapped":        func(t *testing.T) link { return mappedClient(t, listen(t, "tcp", "[::]:0")) },
	} {
		t.Run(name, func(t *testing.T) {
			d, k := newDiag(t), dial(t)
			me := uint32(os.Getuid())
			check(t, d, k.clientAddr, k.serverAddr, Socket{me, inodeOf(t, k.client), Established}, true)
			check(t, d, k.serverAddr, k.clientAddr, Socket{me, inodeOf(t, k.server), Established}, true)
			if k.clientAddr.Addr().Is4() { // asked in the other form, it is the same socket
				mapped := func(a netip.AddrPort) netip.AddrPort {
					return netip.AddrPortFrom(netip.AddrFrom16(a.Addr().As16()), a.Port())
				}
				check(t, d, mapped(k.clientAddr), k.serverAddr, Socket{me, inodeOf(t, k.client), Established}, true)
				check(t, d, k.clientAddr, mapped(k.serverAddr), Socket{me, inodeOf(t, k.client), Established}, true)
			}
		})
	}
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	d, k := newDiag(t), loopback(t)
	none := Socket{UID: NoUID}
	port := func(a netip.AddrPort, by int) netip.AddrPort {
		return netip.AddrPortFrom(a.Addr(), uint16(int(a.Port())+by))
	}
	addr := func(a netip.AddrPort, s string) netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr(s), a.Port())
	}
	for name, q := range map[string][2]netip.AddrPort{
		// The kernel answers these with the listening socket: an invented client must not be proven by it.
		"an invented client port":    {k.serverAddr, port(k.clientAddr, 1)},
		"an invented client address": {k.serverAddr, addr(k.clientAddr, "192.0.2.1")},
		"another loopback address":   {k.serverAddr, addr(k.clientAddr, "127.0.0.2")},
		"no client port":             {k.serverAddr, port(k.clientAddr, -int(k.clientAddr.Port()))},

		"a server port that is closed":   {port(k.serverAddr, 1), k.clientAddr},
		"a server address that is not":   {addr(k.serverAddr, "127.0.0.2"), k.clientAddr},
		"the wrong port at the server":   {k.clientAddr, port(k.serverAddr, 1)},
		"the wrong port at the client":   {port(k.clientAddr, 1), k.serverAddr},
		"the client twice":               {k.clientAddr, k.clientAddr},
		"addresses of some other host":   {addr(k.serverAddr, "192.0.2.2"), addr(k.clientAddr, "203.0.113.7")},
		"IPv6 addresses of another host": {addr(k.serverAddr, "2001:db8::2"), addr(k.clientAddr, "2001:db8::1")},
	} {
		t.Run(name, func(t *testing.T) { check(t, d, q[0], q[1], none, false) })
	}
}

func TestAddressesThatDoNotBelongTogetherAreAnError(t *testing.T) {
	d, k := newDiag(t), loopback(t)
	v6 := netip.MustParseAddrPort("[2001:db8::1]:25")
	for name, q := range map[string][2]netip.AddrPort{
		"of two families":    {k.serverAddr, v6},
		"of two families, 2": {v6, k.serverAddr},
		"no local":           {netip.AddrPort{}, k.serverAddr},
		"no remote":          {k.serverAddr, netip.AddrPort{}},
		"none":               {},
	} {
		t.Run(name, func(t *testing.T) {
			if s, found, err := d.Find(q[0], q[1]); err == nil || found || s.UID != NoUID || s.Live() {
				t.Errorf("Find = %+v, %t, %v; want an error", s, found, err)
			}
		})
	}
}

func TestAListeningSocketIsNotLive(t *testing.T) {
	d := newDiag(t)
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(addr, func(t *testing.T) {
			l := listen(t, "tcp", addr)
			local := l.Addr().(*net.TCPAddr).AddrPort()
			none := netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
			if local.Addr().Is4() {
				none = netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
			}
			want := Socket{uint32(os.Getuid()), inodeOf(t, l), Listen}
			check(t, d, local, none, want, true)
			if want.Live() {
				t.Error("a listening socket is live")
			}
		})
	}
}
