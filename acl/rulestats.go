package acl

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// ruleTable counts by the name of a rule. It is replaced when a name is new, so that whoever counts one that is known,
// which is on the way of every decision that finds something, waits for nobody.
//
// Bound: the names of the rules, of all configurations since the start. Lost on restart. The zero table is empty.
type ruleTable struct {
	known atomic.Pointer[map[string]*ruleCounters]
	mu    sync.Mutex // held to add a name
}

// ruleCounters are those of one rule.
type ruleCounters struct {
	hits, refused, would atomic.Uint64
}

func (t *ruleTable) names() map[string]*ruleCounters {
	if known := t.known.Load(); known != nil {
		return *known
	}
	return nil
}

// of returns the counters of a rule.
func (t *ruleTable) of(rule string) *ruleCounters {
	if c := t.names()[rule]; c != nil {
		return c
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.names()[rule]; c != nil { // another has added it
		return c
	}
	more := maps.Clone(t.names())
	if more == nil {
		more = make(map[string]*ruleCounters)
	}
	c := &ruleCounters{}
	more[rule] = c
	t.known.Store(&more)
	return c
}

// stats returns what has been counted so far, by name.
func (t *ruleTable) stats() []RuleStats {
	list := []RuleStats{}
	for name, c := range t.names() {
		list = append(list, RuleStats{Rule: name, Hits: c.hits.Load(), Refused: c.refused.Load(), Would: c.would.Load()})
	}
	slices.SortFunc(list, func(a, b RuleStats) int { return cmp.Compare(a.Rule, b.Rule) })
	return list
}
