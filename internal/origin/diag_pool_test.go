package origin

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdlayher/netlink"
)

func TestAHundredAtATimeGetTheirOwnAnswers(t *testing.T) {
	d, l := newDiag(t), listen(t, "tcp4", "127.0.0.1:0")
	var wg sync.WaitGroup
	for range 100 {
		k := connect(t, net.Dialer{}, l, netip.MustParseAddr("127.0.0.1"))
		client := Socket{uint32(os.Getuid()), inodeOf(t, k.client), Established}
		server := Socket{uint32(os.Getuid()), inodeOf(t, k.server), Established}
		away := netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), k.clientAddr.Port())
		wg.Go(func() {
			for range 20 {
				check(t, d, k.clientAddr, k.serverAddr, client, true)
				check(t, d, k.serverAddr, k.clientAddr, server, true)
				check(t, d, k.serverAddr, away, Socket{UID: NoUID}, false)
			}
		})
	}
	wg.Wait()
}

func TestFindAfterClose(t *testing.T) {
	k := loopback(t)
	closed := newDiag(t)
	for range 2 {
		if err := closed.Close(); err != nil {
			t.Error(err)
		}
	}
	for name, d := range map[string]*Diag{"closed": closed, "the zero value": {}} {
		if s, found, err := d.Find(k.clientAddr, k.serverAddr); !errors.Is(err, net.ErrClosed) || found || s.UID != NoUID {
			t.Errorf("%s: Find = %+v, %t, %v; want net.ErrClosed", name, s, found, err)
		}
		if err := d.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCloseAmidFinds(t *testing.T) {
	d, k := newDiag(t), loopback(t)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for {
				s, found, err := d.findUntil(k.clientAddr, k.serverAddr, time.Now().Add(time.Minute))
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err != nil || !found || !s.Live() {
					t.Errorf("Find = %+v, %t, %v", s, found, err)
					return
				}
			}
		})
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if n := len(d.idle); n != 0 {
		t.Errorf("%d seats are left", n)
	}
}

func TestWaitingForASeatIsBounded(t *testing.T) {
	k := loopback(t)
	synctest.Test(t, func(t *testing.T) {
		d := &Diag{idle: make(chan *netlink.Conn, seats), done: make(chan struct{})} // every seat is taken
		from := time.Now()
		_, found, err := d.Find(k.clientAddr, k.serverAddr)
		if !errors.Is(err, os.ErrDeadlineExceeded) || found {
			t.Errorf("Find: %t, %v; want os.ErrDeadlineExceeded", found, err)
		}
		if took := time.Since(from); took != findTimeout {
			t.Errorf("it took %v", took)
		}
	})
}

func TestASilentKernelIsBoundedAndItsSocketReplaced(t *testing.T) {
	d, k := newDiag(t), loopback(t)
	want := Socket{uint32(os.Getuid()), inodeOf(t, k.client), Established}
	check(t, d, k.clientAddr, k.serverAddr, want, true)

	// A deadline that is over is what a kernel that does not answer looks like.
	for range seats {
		if _, _, err := d.find(k.clientAddr, k.serverAddr, time.Now().Add(-time.Second)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("find: %v, want os.ErrDeadlineExceeded", err)
		}
	}
	for range seats {
		c := <-d.idle
		if c != nil {
			t.Error("a socket that may still bring an answer is kept")
		}
		d.idle <- c
	}
	for range seats + 1 {
		check(t, d, k.clientAddr, k.serverAddr, want, true)
	}
}

func BenchmarkFind(b *testing.B) {
	d, k := newDiag(b), loopback(b)
	away := netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), 9)
	b.Run("found", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, found, err := d.Find(k.clientAddr, k.serverAddr); !found || err != nil {
				b.Fatal(found, err)
			}
		}
	})
	b.Run("not found", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, found, err := d.Find(k.clientAddr, away); found || err != nil {
				b.Fatal(found, err)
			}
		}
	})
	b.Run(fmt.Sprintf("found, %d seats", seats), func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, found, err := d.Find(k.clientAddr, k.serverAddr); !found || err != nil {
					b.Error(found, err)
				}
			}
		})
	})
}
