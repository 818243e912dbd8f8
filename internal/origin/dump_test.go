package origin

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

func TestConnectionsAreFoundWithWhoHoldsThem(t *testing.T) {
	here4 := connect(t, net.Dialer{}, listen(t, "tcp4", "127.0.0.1:0"), netip.MustParseAddr("127.0.0.1"))
	here6 := connect(t, net.Dialer{}, listen(t, "tcp6", "[::1]:0"), netip.MustParseAddr("::1"))
	mapped := mappedClient(t, listen(t, "tcp4", "127.0.0.1:0"))
	server := listen(t, "tcp4", "127.0.0.1:0")
	child := start(t, os.Getuid(), "connect", "tcp4", server.Addr().String())
	other := netip.MustParseAddrPort(child.line(t))

	ports := []uint16{here4.serverAddr.Port(), here6.serverAddr.Port(), mapped.serverAddr.Port(), server.Addr().(*net.TCPAddr).AddrPort().Port()}
	all, err := Connections(ports...)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(all, func(a, b Connection) int { return a.Remote.Compare(b.Remote) }) {
		t.Error("they are in no order")
	}
	inodes := map[uint32]bool{}
	for _, c := range all {
		inodes[c.Inode] = true
		if !c.Live() || c.UID != uint32(os.Getuid()) {
			t.Errorf("%+v", c)
		}
	}
	holders, whole, err := Holders(inodes)
	if err != nil || whole != (os.Getuid() == 0) {
		t.Fatal(whole, err)
	}
	for name, want := range map[string]struct {
		local netip.AddrPort
		pid   int32
	}{
		"IPv4": {here4.clientAddr, int32(os.Getpid())}, "IPv6": {here6.clientAddr, int32(os.Getpid())},
		"v4-mapped": {mapped.clientAddr, int32(os.Getpid())}, "another process's": {other, child.pid},
	} {
		t.Run(name, func(t *testing.T) {
			i := slices.IndexFunc(all, func(c Connection) bool { return c.Local == want.local })
			if i < 0 {
				t.Fatalf("%v is not among %+v", want.local, all)
			}
			if got := holders[all[i].Inode]; !slices.Equal(got, []int32{want.pid}) {
				t.Errorf("%v is held by %v, not %d", want.local, got, want.pid)
			}
		})
	}
	if len(all) != 4 {
		t.Errorf("%d connections", len(all))
	}
}

func TestAConnectionToAnotherPortIsNotTold(t *testing.T) {
	k := loopback(t)
	all, err := Connections(k.clientAddr.Port(), 0)
	if err != nil {
		t.Fatal(err)
	}
	// The server's own end has the client's port as its other one.
	for _, c := range all {
		if c.Local != k.serverAddr {
			t.Errorf("%+v", c)
		}
	}
	if len(all) != 1 {
		t.Errorf("%d connections", len(all))
	}
}

func TestANobodyDoesNotSeeTheHolders(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to be somebody else")
	}
	k := loopback(t)
	var stat unix.Stat_t
	f, err := k.client.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fstat(int(f.Fd()), &stat); err != nil {
		t.Fatal(err)
	}
	if got := start(t, nobody, "holders", strconv.FormatUint(stat.Ino, 10)).line(t); got != "0 false <nil>" {
		t.Errorf("nobody sees %s", got)
	}
}
