package report

import (
	"cmp"
	"slices"
)

// top keeps who stands out: at most twice most, and those with the greatest weight when there were more, of equals those who
// came first. Make it with newTop.
type top[K comparable, V any] struct {
	most   int
	weight func(*V) int
	of     map[K]*kept[V]
	came   int
	thins  int // how often some were let go of: until then, what at returned stays
}

// kept is one of them.
type kept[V any] struct {
	n      V
	number int // in the order in which they came
}

func newTop[K comparable, V any](most int, weight func(*V) int) *top[K, V] {
	return &top[K, V]{most: most, weight: weight, of: map[K]*kept[V]{}}
}

// at returns what is kept of somebody, a zero V if nothing is.
func (t *top[K, V]) at(k K) *V {
	v := t.of[k]
	if v == nil {
		if len(t.of) >= 2*t.most {
			t.thin()
		}
		t.came++
		v = &kept[V]{number: t.came}
		t.of[k] = v
	}
	return &v.n
}

// known returns what is kept of somebody, or nil.
func (t *top[K, V]) known(k K) *V {
	if v := t.of[k]; v != nil {
		return &v.n
	}
	return nil
}

// thin lets go of the lighter half.
func (t *top[K, V]) thin() {
	t.thins++
	all := make([]*kept[V], 0, len(t.of))
	for _, v := range t.of {
		all = append(all, v)
	}
	before := func(a, b *kept[V]) int {
		return cmp.Or(cmp.Compare(t.weight(&b.n), t.weight(&a.n)), cmp.Compare(a.number, b.number))
	}
	slices.SortFunc(all, before)
	last := all[t.most-1]
	for k, v := range t.of {
		if before(v, last) > 0 {
			delete(t.of, k)
		}
	}
}

// place is one of a list.
type place[K comparable, V any] struct {
	key K
	n   *V
}

// list returns those that stand out, the first first; equals are in the order of compare.
func (t *top[K, V]) list(compare func(a, b K) int) []place[K, V] {
	all := make([]place[K, V], 0, len(t.of))
	for k, v := range t.of {
		all = append(all, place[K, V]{k, &v.n})
	}
	slices.SortFunc(all, func(a, b place[K, V]) int {
		return cmp.Or(cmp.Compare(t.weight(b.n), t.weight(a.n)), compare(a.key, b.key))
	})
	return all
}
