package ledger

import (
	"bytes"
	"runtime"
	"testing"
	"time"
	"unsafe"
)

// With 800,000 keys the indexes have just grown, and are at their emptiest.
func TestAKeyTakesLessThanAHundredOctets(t *testing.T) {
	if size := unsafe.Sizeof(record{}); size != 84 {
		t.Errorf("a record has %d octets", size)
	}
	scale := uint32(1)
	if raceDetector {
		scale = 4
	}
	for _, keys := range []uint32{600_000 / scale, 800_000 / scale, 1_000_000 / scale} {
		before := inUse()
		table := newTable(1 << 20 / int(scale))
		for n := range keys {
			counting(table, noon, nth64(n), Delta{Bad: 1})
		}
		taken := float64(inUse()-before) / float64(table.keys())
		said := float64(table.bytes()) / float64(table.keys())
		t.Logf("FIGURE memory of counters: %d keys, %.1f octets a key on the heap, %.1f as it says", table.keys(), taken, said)
		if taken >= 100 || said >= 100 || said < taken*0.95 {
			t.Errorf("%d keys: %.1f octets a key, it says %.1f", keys, taken, said)
		}
		if lost := int(keys) - table.keys(); lost > int(keys)/100 {
			t.Errorf("%d keys of %d went, with room for all", lost, keys)
		}
		runtime.KeepAlive(table)
	}
}

// inUse returns the octets in use, after what is unused is gone.
func inUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestAnAttackIsCountedHoweverManyOthersCome(t *testing.T) {
	others, most := uint32(10_000_000), 1<<18
	if raceDetector {
		others = 1_000_000
		most = 1 << 15
	}
	table := newTable(most)
	attack := Key{kindV6 + 48, 0x20, 0x01, 0x0d, 0xb8, 0xff, 0xff}
	var last Counts
	events := 0
	for n := range others {
		now := noon.Add(time.Duration(n) * 300 * time.Microsecond) // 10 million in 50 minutes
		if n%1000 == 0 {
			last = counting(table, now, attack, Delta{Bad: 1})
			events++
		}
		counting(table, now, nth64(n), Delta{Bad: 1})
	}
	octets := table.bytes()
	t.Logf("FIGURE flood of keys: %d distinct ones, %d kept, %d octets, %.1f a key; of %d events of one /48 among them %d count",
		others, table.keys(), octets, float64(octets)/float64(table.keys()), events, last.Hour.Bad)
	if last.Hour.Bad != events {
		t.Errorf("%d of %d events count", last.Hour.Bad, events)
	}
	if table.keys() > most || octets > int64(most)*100 {
		t.Errorf("%d keys, %d octets", table.keys(), octets)
	}
}

func TestAFullTableLosesFewInARestartAndNobodyWhoCameAgain(t *testing.T) {
	table, next := newTable(1<<17), newTable(1<<17)
	for n := range uint32(1 << 18) {
		counting(table, noon, nth64(n), Delta{Bad: 1})
		if n%100 == 0 {
			counting(table, noon, nth64(n), Delta{Bad: 1})
		}
		counting(table, noon, Total, Delta{Bad: 1})
	}
	if err := next.load(bytes.NewReader(snapshotOf(t, table, noon)), noon); err != nil {
		t.Fatal(err)
	}
	lost := table.keys() - next.keys()
	t.Logf("FIGURE restart with a full table: %d of %d keys lost", lost, table.keys())
	if lost > table.keys()/50 {
		t.Errorf("%d of %d keys were lost", lost, table.keys())
	}
	again := 0
	for r := range table.records(stamp(noon)) {
		if r.touched {
			again++
			if _, there := next.copied(r.key); !there {
				t.Errorf("%v came again, and is lost", r.key)
			}
		}
	}
	if again < 1000 {
		t.Errorf("only %d came again", again)
	}
}
