package ledger

import (
	"io"
	"net/netip"
	"sync"
	"time"
)

// table is a stand-in.
type table struct {
	mu sync.Mutex
	m  map[Key]Counts
}

// Windows is a stand-in, until the table of counters is here.
type Windows struct {
	Key                        Key    `json:"key"`
	Counts                     Counts `json:"counts"`
	Start, LastGood, LastLogin time.Time
}

func newTable(most int) *table { return &table{m: map[Key]Counts{}} }
func (t *table) count(now time.Time, y []Tally) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range y {
		c := t.m[y[i].Key]
		c.Hour.Bad += int(y[i].Add.Bad)
		t.m[y[i].Key] = c
		y[i].Counts = c
	}
}
func (t *table) read(now time.Time, k Key) Counts { t.mu.Lock(); defer t.mu.Unlock(); return t.m[k] }
func (t *table) forget(p netip.Prefix) int        { return 0 }
func (t *table) forgetKey(k Key) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.m[k]
	delete(t.m, k)
	return ok
}
func (t *table) keys() int                                       { return len(t.m) }
func (t *table) bytes() int64                                    { return 0 }
func (t *table) changed() bool                                   { return true }
func (t *table) save(w io.Writer, now time.Time) error           { return nil }
func (t *table) load(r io.Reader, most time.Time) error          { return nil }
func (t *table) each(now time.Time, f func(Windows) error) error { return nil }
func (t *table) put(w Windows, now time.Time) error              { return nil }
func (t *table) most() int                                       { return 262144 }
