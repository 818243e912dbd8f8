package report

import (
	"cmp"
	"slices"
)

// top keeps who stands out: at most twice most, and those with the greatest weight when there were more. Make it with newTop.
type top[K comparable, V any] struct {
	most   int
	weight func(*V) int
	of     map[K]*V
	fell   int // that were let go
}

func newTop[K comparable, V any](most int, weight func(*V) int) *top[K, V] {
	return &top[K, V]{most: most, weight: weight, of: map[K]*V{}}
}

// at returns what is kept of somebody, a zero V if nothing is.
func (t *top[K, V]) at(k K) *V {
	v := t.of[k]
	if v == nil {
		if len(t.of) >= 2*t.most {
			t.thin()
		}
		v = new(V)
		t.of[k] = v
	}
	return v
}

// thin lets go of the lighter half.
func (t *top[K, V]) thin() {
	weights := make([]int, 0, len(t.of))
	for _, v := range t.of {
		weights = append(weights, t.weight(v))
	}
	slices.Sort(weights)
	least, spare := weights[len(weights)-t.most], 0
	for _, w := range weights[len(weights)-t.most:] {
		if w == least {
			spare++ // so many of the least may stay
		}
	}
	for k, v := range t.of {
		switch w := t.weight(v); {
		case w > least:
		case w == least && spare > 0:
			spare--
		default:
			delete(t.of, k)
			t.fell++
		}
	}
}

// place is one of a list.
type place[K comparable, V any] struct {
	key K
	n   *V
}

// list returns those that stand out, the first first; equals are in the order of less.
func (t *top[K, V]) list(compare func(a, b K) int) []place[K, V] {
	all := make([]place[K, V], 0, len(t.of))
	for k, v := range t.of {
		all = append(all, place[K, V]{k, v})
	}
	slices.SortFunc(all, func(a, b place[K, V]) int {
		return cmp.Or(cmp.Compare(t.weight(b.n), t.weight(a.n)), compare(a.key, b.key))
	})
	return all
}
