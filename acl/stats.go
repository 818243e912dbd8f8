package acl

import (
	"slices"
	"sync/atomic"
	"time"

	"eximpolicyd/policy"
)

// Stats are counts of what a server has done since it was made. A restart begins at zero; a reload goes on counting.
type Stats struct {
	Stages    []StageStats `json:"stages"`           // in the order of a session; only those that were asked
	Rules     []RuleStats  `json:"rules"`            // by name; only those that found something
	Malformed uint64       `json:"malformed"`        // requests that are none; a connection that sends nothing does not count
	Busy      uint64       `json:"busy"`             // turned away for want of a seat
	Refused   uint64       `json:"refused"`          // callers whose uid is not in listen.peers
	Failed    uint64       `json:"failed"`           // requests on which we failed ourselves
	Bypassed  uint64       `json:"bypassed"`         // answered with no opinion because of the bypass file
	Bypass    string       `json:"bypass,omitempty"` // the bypass file, while it stands there
}

// StageStats are the decisions at one stage.
type StageStats struct {
	Stage     string        `json:"stage"`
	Dunno     uint64        `json:"dunno"`
	Delay     uint64        `json:"delay"`
	Defer     uint64        `json:"defer"`
	Deny      uint64        `json:"deny"`
	Drop      uint64        `json:"drop"`
	Freeze    uint64        `json:"freeze"`
	Would     uint64        `json:"would"`     // of those with no opinion: an objection was observed
	Degraded  uint64        `json:"degraded"`  // a fact that a rule needs came too late
	Synthetic uint64        `json:"synthetic"` // about a connection that is not proven
	Budget    time.Duration `json:"budget_ns"` // how long a decision may take
	Overrun   uint64        `json:"overrun"`   // decisions that took all of it
}

// Decisions returns how many there were.
func (s *StageStats) Decisions() uint64 { return s.Dunno + s.Delay + s.Refused() }

// Refused returns how many of them let nothing in.
func (s *StageStats) Refused() uint64 { return s.Defer + s.Deny + s.Drop + s.Freeze }

// RuleStats are the decisions in which one rule, or the sum of scores, found something.
type RuleStats struct {
	Rule    string `json:"rule"`
	Hits    uint64 `json:"hits"`
	Refused uint64 `json:"refused"` // of those, the ones that it refused
	Would   uint64 `json:"would"`   // of those, the ones that it would have refused, or kept waiting
}

// Stages returns all stages at which Exim can ask, in the order of a session.
func Stages() []policy.Stage {
	var list []policy.Stage
	for s := policy.Connect; s <= policy.NotSMTP; s++ {
		list = append(list, s)
	}
	return list
}

// Observer is told of each decision when Exim has its answer: which, and how long it took to make. It is on the way of every
// callout: it must not block, nor keep the decision. It may be called from several goroutines.
type Observer interface {
	Observe(d *Decision, took time.Duration)
}

// counters is what Stats are read from. Each counter is right for itself; together they are not of one instant.
type counters struct {
	rules                                      ruleTable
	stages                                     [policy.NotSMTP + 1]stageCounters
	malformed, busy, refused, failed, bypassed atomic.Uint64
}

// stageCounters are those of one stage. A decision adds to one of them, seldom to more.
type stageCounters struct {
	actions                             [policy.Freeze + 1]atomic.Uint64
	would, degraded, synthetic, overrun atomic.Uint64
}

// count takes one decision.
func (c *counters) count(d *Decision, overrun bool) {
	s := &c.stages[min(d.Stage, policy.NotSMTP)]
	s.actions[min(d.Action, policy.Freeze)].Add(1)
	if d.Would != would(policy.Dunno) {
		s.would.Add(1)
	}
	if d.Degraded {
		s.degraded.Add(1)
	}
	if d.Synthetic {
		s.synthetic.Add(1)
	}
	if overrun {
		s.overrun.Add(1)
	}
	for _, name := range d.Rules {
		c.rules.of(name).hits.Add(1)
	}
	if d.Rule == "" {
		return
	}
	r := c.rules.of(d.Rule)
	if !slices.Contains(d.Rules, d.Rule) { // the sum of scores
		r.hits.Add(1)
	}
	switch {
	case d.Action > policy.Delay:
		r.refused.Add(1)
	case d.Would != would(policy.Dunno):
		r.would.Add(1)
	}
}

// Seats returns how many seats are taken, by connections that are judged or waited for, and how many there are.
func (s *Server) Seats() (taken, all int) { return len(s.seats), cap(s.seats) }

// Stats returns what has been counted so far. It is safe for concurrent use.
func (s *Server) Stats() Stats {
	c := &s.counters
	out := Stats{
		Malformed: c.malformed.Load(), Busy: c.busy.Load(), Refused: c.refused.Load(),
		Failed: c.failed.Load(), Bypassed: c.bypassed.Load(), Stages: []StageStats{},
		Rules: c.rules.stats(),
	}
	if s.bypassStands() {
		out.Bypass = s.bypass
	}
	for i := range c.stages {
		stage := policy.Stage(i)
		at := &c.stages[i]
		done := func(a policy.Action) uint64 { return at.actions[a].Load() }
		line := StageStats{
			Stage: stage.String(), Dunno: done(policy.Dunno), Delay: done(policy.Delay), Defer: done(policy.Defer),
			Deny: done(policy.Deny), Drop: done(policy.Drop), Freeze: done(policy.Freeze), Would: at.would.Load(), Degraded: at.degraded.Load(),
			Synthetic: at.synthetic.Load(), Budget: Budget(stage), Overrun: at.overrun.Load(),
		}
		if line.Decisions() > 0 {
			out.Stages = append(out.Stages, line)
		}
	}
	return out
}
