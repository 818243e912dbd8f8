package acl

import (
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"eximpolicyd/policy"
)

func TestRulesAreCountedByWhatCameOfThem(t *testing.T) {
	var c counters
	for _, d := range []Decision{
		{Rules: []string{"helo.H8", "rbl.L1"}, Rule: "score", Action: policy.Deny},
		{Rules: []string{"helo.H8", "helo.H3"}, Rule: "helo.H3", Would: would(policy.Deny)},
		{Rules: []string{"helo.H8"}},
		{Rules: []string{"dictionary.delay"}, Rule: "dictionary.delay", Action: policy.Delay},
		{Rules: []string{"ban"}, Rule: "ban", Action: policy.Drop},
		{},
	} {
		c.count(&d, false)
	}
	want := []RuleStats{
		{Rule: "ban", Hits: 1, Refused: 1}, {Rule: "dictionary.delay", Hits: 1}, {Rule: "helo.H3", Hits: 1, Would: 1}, {Rule: "helo.H8", Hits: 3},
		{Rule: "rbl.L1", Hits: 1}, {Rule: "score", Hits: 1, Refused: 1},
	}
	if diff := cmp.Diff(want, c.rules.stats()); diff != "" {
		t.Error(diff)
	}
}

func TestRulesThatAreNewAtTheSameTimeAreAllCounted(t *testing.T) {
	var table ruleTable
	var done sync.WaitGroup
	const callers, rules, times = 8, 40, 50
	for range callers {
		done.Go(func() {
			for i := range rules * times {
				table.of("rule" + strconv.Itoa(i%rules)).hits.Add(1)
			}
		})
	}
	done.Wait()
	got := table.stats()
	if len(got) != rules {
		t.Fatalf("%d rules", len(got))
	}
	for _, r := range got {
		if r.Hits != callers*times {
			t.Errorf("%s has %d hits, not %d", r.Rule, r.Hits, callers*times)
		}
	}
}
