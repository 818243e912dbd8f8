package origin

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// A system is a source of addresses by hand.
type system struct {
	addrs []string
	err   error
	reads int
}

func (s *system) read() ([]netip.Addr, error) {
	s.reads++
	var out []netip.Addr
	for _, a := range s.addrs {
		out = append(out, netip.MustParseAddr(a))
	}
	return out, s.err
}

func TestInterfacesOverTime(t *testing.T) {
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	broken := errors.New("no netlink today")
	sys := &system{addrs: []string{"192.0.2.2"}}
	i := &Interfaces{source: sys.read}
	for _, step := range []struct {
		name  string
		at    time.Duration
		addrs []string // what the system has from now on
		err   error
		reads int // so far
		want  []string
	}{
		{"the first asks", 0, []string{"192.0.2.2"}, nil, 1, []string{"192.0.2.2"}},
		{"within the minute the old list stands", 59 * time.Second, []string{"192.0.2.3"}, nil, 1, []string{"192.0.2.2"}},
		{"after the minute it is read again", time.Minute, []string{"192.0.2.3"}, nil, 2, []string{"192.0.2.3"}},
		{"an error keeps the last list", 2 * time.Minute, []string{"192.0.2.4"}, broken, 3, []string{"192.0.2.3"}},
		{"and is not repeated at once", 2*time.Minute + time.Second, nil, broken, 3, []string{"192.0.2.3"}},
		{"a minute later it is tried again", 3 * time.Minute, []string{"192.0.2.4"}, nil, 4, []string{"192.0.2.4"}},
		{"a host may lose all", 4 * time.Minute, nil, nil, 5, nil},
		{"a clock set back reads again", -time.Hour, []string{"192.0.2.5"}, nil, 6, []string{"192.0.2.5"}},
	} {
		sys.addrs, sys.err = step.addrs, step.err
		got := i.Addresses(start.Add(step.at))
		if d := cmp.Diff(step.want, texts(got), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s: %s", step.name, d)
		}
		if sys.reads != step.reads {
			t.Errorf("%s: read %d times, want %d", step.name, sys.reads, step.reads)
		}
	}
}

func TestInterfacesThatNeverCouldBeRead(t *testing.T) {
	sys := &system{err: errors.New("no netlink at all")}
	i := &Interfaces{source: sys.read}
	for range 3 {
		if got := i.Addresses(time.Unix(0, 0)); len(got) != 0 {
			t.Errorf("Addresses = %v", got)
		}
	}
	if sys.reads != 1 {
		t.Errorf("read %d times within a minute", sys.reads)
	}
}

func TestInterfacesAreNormal(t *testing.T) {
	sys := &system{addrs: []string{"fe80::1%eth0", "::1", "::ffff:192.0.2.2", "127.0.0.1", "192.0.2.2", "fe80::1%eth1"}}
	i := &Interfaces{source: sys.read}
	want := []string{"127.0.0.1", "192.0.2.2", "::1", "fe80::1"}
	if d := cmp.Diff(want, texts(i.Addresses(time.Unix(0, 0)))); d != "" {
		t.Error(d)
	}
}

func TestInterfacesAreBounded(t *testing.T) {
	i := &Interfaces{source: func() ([]netip.Addr, error) {
		var out []netip.Addr
		for n := range uint32(maxAddresses + 1000) {
			var a [4]byte
			binary.BigEndian.PutUint32(a[:], 10<<24+n)
			out = append(out, netip.AddrFrom4(a))
		}
		slices.Reverse(out)
		return out, nil
	}}
	got := i.Addresses(time.Unix(0, 0))
	if len(got) != maxAddresses || cap(got) != maxAddresses || got[0] != netip.MustParseAddr("10.0.0.0") {
		t.Errorf("%d addresses from %v, room for %d", len(got), got[0], cap(got))
	}
}

func TestInterfacesOfThisHost(t *testing.T) {
	var i Interfaces
	got := i.Addresses(time.Now())
	if !slices.Contains(got, netip.MustParseAddr("127.0.0.1")) || !slices.IsSortedFunc(got, netip.Addr.Compare) {
		t.Errorf("Addresses = %v", got)
	}
	for _, a := range got {
		if a.Zone() != "" || a.Is4In6() {
			t.Errorf("%v is not normal", a)
		}
	}
}

// TestOthersDoNotWaitForAReading: a reader that hangs in the system holds up nobody who has a list.
func TestOthersDoNotWaitForAReading(t *testing.T) {
	reading, goOn := make(chan struct{}), make(chan struct{})
	first := true
	i := &Interfaces{}
	i.source = func() ([]netip.Addr, error) {
		if first {
			first = false
			return []netip.Addr{netip.MustParseAddr("192.0.2.2")}, nil
		}
		close(reading)
		<-goOn
		return []netip.Addr{netip.MustParseAddr("192.0.2.3")}, nil
	}
	now := time.Unix(0, 0)
	i.Addresses(now)
	now = now.Add(time.Hour)
	var wg sync.WaitGroup
	wg.Go(func() {
		if d := cmp.Diff([]string{"192.0.2.3"}, texts(i.Addresses(now))); d != "" {
			t.Errorf("the reader: %s", d)
		}
	})
	<-reading
	if d := cmp.Diff([]string{"192.0.2.2"}, texts(i.Addresses(now))); d != "" {
		t.Errorf("amid the reading: %s", d)
	}
	close(goOn)
	wg.Wait()
	if d := cmp.Diff([]string{"192.0.2.3"}, texts(i.Addresses(now))); d != "" {
		t.Errorf("after the reading: %s", d)
	}
}

func TestManyAskAtTheStartAndOneReads(t *testing.T) {
	sys := &system{addrs: []string{"192.0.2.2"}}
	i := &Interfaces{source: sys.read} // reads is not guarded: the race detector holds that only one reads
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if got := i.Addresses(time.Unix(0, 0)); len(got) != 1 {
				t.Errorf("Addresses = %v", got)
			}
		})
	}
	wg.Wait()
	if sys.reads != 1 {
		t.Errorf("read %d times", sys.reads)
	}
}

func TestAddressesDoesNotAllocate(t *testing.T) {
	var i Interfaces
	now := time.Now()
	i.Addresses(now)
	if n := testing.AllocsPerRun(100, func() { i.Addresses(now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func texts(addrs []netip.Addr) []string {
	var out []string
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return out
}

func BenchmarkAddresses(b *testing.B) {
	var i Interfaces
	now := time.Now()
	b.Run("kept", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			i.Addresses(now)
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			now = now.Add(rereadAfter)
			i.Addresses(now)
		}
	})
}
