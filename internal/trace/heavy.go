package trace

import (
	"cmp"
	"slices"
	"strings"
)

// heavy keeps the senders with the most messages of any number of senders, with a bound on what may be missing of each.
//
// Bound: 2*most rows, about 1 kB each with their domains. When they are full, the lighter half is let go, of equals those that
// came last. What a row that is let go had, or may have had before it, is the most that any row that comes later may be
// missing, since whoever is not here has sent no more than that: so a row's Messages and Messages+Missed enclose the truth.
// Space-saving (Metwally 2005) has a tighter bound, but hands one sender's row, domains and examples to the next.
type heavy struct {
	most   int
	rows   map[string]*Row
	came   int
	missed int    // the most that anybody who is not here has sent
	letGo  int    // how often
	keys   sketch // all that came
}

func newHeavy(most int) *heavy { return &heavy{most: most, rows: map[string]*Row{}} }

// row returns the row of a key.
func (h *heavy) row(key string) *Row {
	key = key[:min(len(key), maxText)]
	if r := h.rows[key]; r != nil {
		return r
	}
	if len(h.rows) >= 2*h.most {
		h.thin()
	}
	h.came++
	h.keys.add(key)
	key = strings.Clone(key)
	r := &Row{Key: key, Missed: h.missed, number: h.came}
	h.rows[key] = r
	return r
}

func (h *heavy) thin() {
	all := h.all()
	for _, r := range all[h.most:] {
		h.missed = max(h.missed, r.Messages+r.Missed)
		delete(h.rows, r.Key)
	}
	h.letGo++
}

// all returns the rows, the heaviest first.
func (h *heavy) all() []*Row {
	all := make([]*Row, 0, len(h.rows))
	for _, r := range h.rows {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *Row) int {
		return cmp.Or(cmp.Compare(b.Messages, a.Messages), cmp.Compare(b.Refused, a.Refused), cmp.Compare(a.number, b.number))
	})
	return all
}
