package acl

import (
	"sync/atomic"

	"eximpolicyd/policy"
)

// plan is what follows from the rules of a decider alone: which of them are asked at a stage, for a client of a class. Most
// requests are alike, and to look through all rules four times would take a tenth of a decision. What is found out stays.
type plan struct {
	remembers bool // a rule is on that needs the memory
	choices   [16][16]atomic.Pointer[choice]
	places    map[string]int // of the rules, by name
}

// choice is the rules of one stage and class, by their places, and the facts that they need.
type choice struct {
	rules []uint16
	needs policy.Need
}

// planned returns the plan, which is made when it is asked for first. Several who do so at once make the same.
func (d *Decider) planned() *plan {
	p := d.plan.Load()
	if p != nil {
		return p
	}
	p = &plan{places: make(map[string]int, len(d.Rules))}
	for i := range d.Rules {
		b := &d.Rules[i]
		p.remembers = p.remembers || b.Needs&policy.NeedTried != 0 && b.Mode != policy.Off
		if _, twice := p.places[b.Name]; !twice {
			p.places[b.Name] = i
		}
	}
	d.plan.Store(p)
	return p
}

// choice returns the rules of one stage and class.
func (d *Decider) choice(stage policy.Stage, class policy.Class) *choice {
	at := &d.planned().choices[stage][class]
	if c := at.Load(); c != nil {
		return c
	}
	c := &choice{}
	for i := range d.Rules {
		if b := &d.Rules[i]; asked(b, stage, class) {
			c.rules = append(c.rules, uint16(i))
			c.needs |= b.Needs
		}
	}
	at.Store(c)
	return c
}

// asked reports whether a rule is judged at a stage, for clients of a class.
func asked(b *policy.Bound, stage policy.Stage, class policy.Class) bool {
	return (b.Policy.Stages.Has(stage) || again(b, stage)) && applies(b, class)
}

// again reports whether a rule objected at an earlier stage of the message and is judged once more for the sum.
func again(b *policy.Bound, stage policy.Stage) bool {
	return stage == policy.Data && b.Policy.Cap > 0 && b.Policy.Stages.Has(policy.RCPT)
}

// applies reports whether a rule is on, and not skipped for a class.
func applies(b *policy.Bound, class policy.Class) bool {
	return b.Mode != policy.Off && !b.Policy.Skip.Has(class) && !b.Skip.Has(class)
}
