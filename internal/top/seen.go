package top

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"eximpolicyd/internal/control"
)

// What is kept of earlier answers.
const (
	soon          = 10 * time.Second // rates are those of the last ten seconds
	minute        = time.Minute
	mostDecisions = 512
)

// seen is what a daemon has said until now. It is a value: to add to it makes another one.
//
// Bound: the snapshots of a minute, which are counters, and mostDecisions. All of it is lost when the view ends.
type seen struct {
	last      Snapshot
	samples   []sample // the oldest first; the first may be older than a minute, so that there is one to compare with
	decisions []Decision
}

// sample is the counters of a time.
type sample struct {
	at     time.Time
	stages map[string]stage
	rules  map[string]rule
}

// stage is the decisions at one stage, or how many there are in a second.
type stage [last + 1]float64

// What is counted of them.
const (
	all = iota
	dunno
	delayed
	deferred
	denied
	dropped
	frozen
	would
	degraded
	synthetic
	late
	last = late
)

// rule is what one rule has found.
type rule struct {
	name                 string
	hits, refused, would uint64
}

// add takes in an answer. The counters of a daemon that was started again begin anew.
func (s seen) add(next Snapshot) seen {
	if !next.Status.Started.Equal(s.last.Status.Started) {
		s.samples = nil
	}
	samples := append(slices.Clone(s.samples), sampleOf(&next))
	for len(samples) > 2 && next.At.Sub(samples[1].at) >= minute {
		samples = samples[1:]
	}
	decisions := after(s.decisions, next.Decisions)
	return seen{last: next, samples: samples, decisions: decisions[:min(len(decisions), mostDecisions)]}
}

// after puts the last decisions, as the daemon has them, in the place of those of that time that were seen: what it has
// forgotten meanwhile goes. Of one that has none any more nothing is left.
func after(earlier, latest []Decision) []Decision {
	if len(latest) == 0 {
		return nil
	}
	has := make(map[string]bool, len(latest))
	for i := range latest {
		has[latest[i].ID] = true
	}
	oldest := latest[len(latest)-1].ID
	at := slices.IndexFunc(earlier, func(d Decision) bool { return d.ID == oldest })
	decisions := slices.Clone(latest)
	for _, d := range earlier[at+1:] {
		if !has[d.ID] {
			decisions = append(decisions, d)
		}
	}
	return decisions
}

func sampleOf(s *Snapshot) sample {
	out := sample{at: s.At, stages: map[string]stage{}, rules: map[string]rule{}}
	for i := range s.Status.Door.Stages {
		a := &s.Status.Door.Stages[i]
		var n stage
		for i, c := range []uint64{
			a.Decisions(), a.Dunno, a.Delay, a.Defer, a.Deny, a.Drop, a.Freeze, a.Would, a.Degraded, a.Synthetic, a.Overrun,
		} {
			n[i] = float64(c)
		}
		out.stages[a.Stage] = n
	}
	for _, r := range s.Status.Door.Rules {
		out.rules[r.Rule] = rule{r.Rule, r.Hits, r.Refused, r.Would}
	}
	return out
}

// before returns the newest sample that is so old, or else the oldest of all; and false if there is but one.
func (s *seen) before(old time.Duration) (sample, bool) {
	if len(s.samples) < 2 {
		return sample{}, false
	}
	from := s.samples[0]
	for _, a := range s.samples[1 : len(s.samples)-1] {
		if s.last.At.Sub(a.at) >= old {
			from = a
		}
	}
	return from, true
}

// stages returns what is decided a second at each stage and in all, or, while that is not known, what was since the start.
func (s *seen) stages() (names []string, list []stage, sum stage, rates bool) {
	from, rates := s.before(soon)
	now := s.samples[len(s.samples)-1]
	seconds := 1.0
	if rates {
		seconds = max(now.at.Sub(from.at).Seconds(), 0.001)
	}
	for i := range s.last.Status.Door.Stages {
		name := s.last.Status.Door.Stages[i].Stage
		n, was := now.stages[name], from.stages[name]
		for i := range n {
			n[i] = (n[i] - was[i]) / seconds
			sum[i] += n[i]
		}
		names, list = append(names, name), append(list, n)
	}
	return names, list, sum, rates
}

// refused returns those that let nothing in.
func (s *stage) refused() float64 { return s[deferred] + s[denied] + s[dropped] + s[frozen] }

// rules returns what the rules have found in the last minute, or, while that is not known, since the start; the busiest first.
func (s *seen) rules() (list []rule, recent bool) {
	from, recent := s.before(minute)
	for name, now := range s.samples[len(s.samples)-1].rules {
		was := from.rules[name]
		r := rule{name, now.hits - was.hits, now.refused - was.refused, now.would - was.would}
		if r.hits > 0 {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b rule) int { return cmp.Or(cmp.Compare(b.hits, a.hits), cmp.Compare(a.name, b.name)) })
	return list, recent
}

// lists returns the lists, those that count nothing first.
func (s *seen) lists() []int {
	lists := s.last.Status.Lists
	order := make([]int, 0, len(lists))
	for _, well := range []bool{false, true} {
		for i := range lists {
			if (lists[i].State.String() == "ok") == well {
				order = append(order, i)
			}
		}
	}
	return order
}

// busy is a network that clients come from.
type busy struct {
	network       netip.Prefix
	seen, refused int
}

// busiest returns the networks that the decisions of the last minute were about, as far as they are shown.
func (s *seen) busiest() []busy {
	found := map[netip.Prefix]*busy{}
	for i := range s.decisions {
		d := &s.decisions[i]
		if s.last.At.Sub(d.Time) > minute || !d.Client.IsValid() {
			continue
		}
		bits := 24
		if d.Client.Is6() {
			bits = 64
		}
		p, _ := d.Client.Prefix(bits) // an address has so many
		if found[p] == nil {
			found[p] = &busy{network: p}
		}
		found[p].seen++
		if d.refuses() {
			found[p].refused++
		}
	}
	list := make([]busy, 0, len(found))
	for _, b := range found {
		list = append(list, *b)
	}
	slices.SortFunc(list, func(a, b busy) int { return cmp.Or(cmp.Compare(b.seen, a.seen), a.network.Compare(b.network)) })
	return list
}

// refuses reports whether a decision let nothing in.
func (d *Decision) refuses() bool {
	return d.Action != "dunno" && d.Action != "delay" && d.Action != ""
}

// answer says in a word or two what was decided.
func (d *Decision) answer() string {
	switch {
	case d.Action == "dunno" && d.Would != "":
		return "would " + d.Would
	case d.Mark:
		return "mark"
	}
	return d.Action
}

// standing says in a word how a ban stands.
func standing(b *control.Ban) string {
	switch {
	case !b.Refuses:
		return "observed"
	case !b.Durable:
		return "not saved"
	}
	return "in force"
}
