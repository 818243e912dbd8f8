package origin

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// unixPair returns the accepted end of a connection from this process.
func unixPair(t testing.TB) *net.UnixConn {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: filepath.Join(t.TempDir(), "s")})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.DialUnix("unix", nil, l.Addr().(*net.UnixAddr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	server, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server
}

func TestPeerOf(t *testing.T) {
	got, err := PeerOf(unixPair(t))
	if err != nil {
		t.Fatal(err)
	}
	want := Peer{PID: int32(os.Getpid()), UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestPeerOfAnotherUserIsThatUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not root: no process of another user can be started")
	}
	name := fmt.Sprintf("@eximpolicyd-origin-%d", os.Getpid()) // abstract: no folder stands in the child's way
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: name})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.SetDeadline(time.Now().Add(time.Minute)); err != nil { // a child that fails
		t.Fatal(err)
	}
	c := start(t, nobody, "connect", "unix", name)
	server, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	want := Peer{PID: c.pid, UID: nobody, GID: nobody}
	got, err := PeerOf(server)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}

	// The credentials are those of connect(2): they outlive the process, and Started tells that it is gone.
	c.end(t)
	if got, err = PeerOf(server); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if _, err := Started(got.PID); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the peer has ended, but Started says %v", err)
	}
}

func TestPeerOfNobodyIsAnErrorAndNotRoot(t *testing.T) {
	closed := unixPair(t)
	closed.Close()
	alone, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(t.TempDir(), "s")})
	if err != nil {
		t.Fatal(err)
	}
	defer alone.Close()
	for name, c := range map[string]*net.UnixConn{"closed": closed, "not connected": alone} {
		t.Run(name, func(t *testing.T) {
			p, err := PeerOf(c)
			if err == nil || p.UID != NoUID || p.GID != NoUID {
				t.Errorf("PeerOf = %+v, %v; want an error and no uid", p, err)
			}
		})
	}
	if _, err := PeerOf(closed); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v, want net.ErrClosed", err)
	}
}

func BenchmarkPeerOf(b *testing.B) {
	c := unixPair(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := PeerOf(c); err != nil {
			b.Fatal(err)
		}
	}
}
