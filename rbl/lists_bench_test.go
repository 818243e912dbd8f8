package rbl

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// benchLists makes lists of 8 healthy zones that know so many clients, one in eight of them listed.
func benchLists(b *testing.B, clients int) *Lists {
	var zones []*Zone
	for i := range 8 {
		zones = append(zones, zone(b, fmt.Sprintf("bl%d.example", i)))
	}
	l := newLists(quickDNS{}, zones, ListsOptions{Rows: max(clients*5/4, 1)}) // the shards are not filled evenly
	l.Test(context.Background())
	for i := range clients {
		l.Check(context.Background(), benchClient(i))
	}
	return l
}

// quickDNS answers at once: the test entry and one client in eight are listed, by one zone.
type quickDNS struct{}

func (quickDNS) lane(int) *lane                                     { return nil }
func (quickDNS) whenUp(func())                                      {}
func (quickDNS) Public() string                                     { return "" }
func (quickDNS) Lookup(context.Context, string, uint16) (r Records) { return r }
func (quickDNS) ask(_ *lane, name string, _ uint16, done func(Records)) {
	if name[:9] == "2.0.0.127" || name[0] == '8' && name[len(name)-9] == '3' {
		done(Records{Outcome: Found, TTL: time.Hour, Addresses: listedAs})
		return
	}
	done(Records{Outcome: Missing, TTL: time.Hour})
}

var listedAs = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 2})}

func benchClient(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{20, byte(i >> 16), byte(i >> 8), byte(i)})
}

// BenchmarkClientKnown is a client whose answers are all in the cache.
func BenchmarkClientKnown(b *testing.B) {
	l := benchLists(b, 100_000)
	b.ReportAllocs()
	var n atomic.Uint32
	ctx := context.Background()
	b.SetParallelism(4) // 8 goroutines on 2 cores
	defer reportCPU(b)()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		i := int(n.Add(1)) * 7919
		for pb.Next() {
			if r := l.Check(ctx, benchClient(i%100_000)); !r.Answers[0].Cached {
				b.Fatal("not in the cache")
			}
			i += 7
		}
	})
}

// BenchmarkRowHit is the cache alone: finding a client's row and reading what 8 zones say in it.
func BenchmarkRowHit(b *testing.B) {
	l := benchLists(b, 100_000)
	b.ReportAllocs()
	var n atomic.Uint32
	b.SetParallelism(4) // 8 goroutines on 2 cores
	defer reportCPU(b)()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		i := int(n.Add(1)) * 7919
		answers := make([]Answer, 8)
		for pb.Next() {
			s := subject{addr: benchClient(i % 100_000)}
			s.key = s.addr.As16()
			if l.addresses.read(answers, l.addresses.rows.shard(s.key).get(s.key), s, l.seconds()) != 0 {
				b.Fatal("not in the cache")
			}
			i += 7
		}
	})
}

// BenchmarkClientNew is a client that 8 lists are asked about, without the time of the DNS.
func BenchmarkClientNew(b *testing.B) {
	l := benchLists(b, 0)
	l.addresses.rows = newRows(100_000)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		l.Check(context.Background(), netip.AddrFrom4([4]byte{20, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
}

// BenchmarkOctetsPerClient fills the cache with a million clients of 8 lists and reports the heap that each takes.
func BenchmarkOctetsPerClient(b *testing.B) {
	const clients = 1_000_000
	for range b.N {
		before := heap()
		l := benchLists(b, clients)
		after := heap()
		known := 0
		for i := range l.addresses.rows.shards {
			known += l.addresses.rows.shards[i].lru.Len()
		}
		b.ReportMetric(float64(after-before)/float64(known), "octets/client")
		b.ReportMetric(float64(known), "clients")
		runtime.KeepAlive(l)
	}
}

// BenchmarkFlood remembers ten million clients of 8 lists, where a million have room, and meanwhile looks for a thousand again and
// again: those must stay. It reports how often they were there, and the memory of the process.
func BenchmarkFlood(b *testing.B) {
	const flood, room, hot, every = 10_000_000, 1_000_000, 1000, 10
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(230 << 20)) // the daemon's unit sets one, too
	for range b.N {
		l := benchLists(b, hot)
		keyOf := func(a netip.Addr) key { return key(a.As16()) }
		usual := []byte(l.addresses.rows.shard(keyOf(benchClient(1))).get(keyOf(benchClient(1))))
		r := newRows(room)
		keep := func(k key) {
			s := r.shard(k)
			s.mu.Lock()
			s.put(k, row(usual))
			s.mu.Unlock()
		}
		for i := range hot {
			keep(keyOf(benchClient(i)))
		}
		known := 0
		for i := range flood {
			keep(keyOf(netip.AddrFrom4([4]byte{32 + byte(i>>24), byte(i >> 16), byte(i >> 8), byte(i)})))
			if i%every > 0 {
				continue
			}
			if k := keyOf(benchClient(i / every % hot)); r.shard(k).get(k) != "" {
				known++
			}
		}
		kept := 0
		for i := range r.shards {
			kept += r.shards[i].lru.Len()
		}
		b.ReportMetric(100*float64(known)*every/flood, "known-%")
		b.ReportMetric(float64(kept), "clients")
		b.ReportMetric(float64(mostRSS())/1e6, "MB")
	}
}

// mostRSS is the greatest memory that this process has had, in octets.
func mostRSS() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Maxrss << 10
}

// reportCPU reports the CPU time of an operation, which other programs on the machine change little.
func reportCPU(b *testing.B) func() {
	begin := cpu()
	return func() { b.ReportMetric(float64(cpu()-begin)/float64(b.N), "cpu-ns/op") }
}

func cpu() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
