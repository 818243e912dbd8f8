package acl

import (
	"runtime/debug"

	"eximpolicyd/policy"
)

// choose picks the rules that are asked, and returns the facts that they need.
func (c *deciding) choose() (needs policy.Need) {
	choice := c.choice(c.q.Stage, c.f.Class)
	c.chosen = choice.rules
	return choice.needs
}

// judge asks the rules chosen, in their order. A trace tells of the others of this stage, too.
func (c *deciding) judge() {
	for i := 0; i < len(c.chosen); {
		i = c.judgeFrom(i)
	}
	c.passOver(len(c.Rules))
}

// judgeFrom asks the chosen from one on, and returns where to go on: behind the last, or behind one that panicked. Such a rule
// has no opinion: a mistake of ours must not cost mail.
func (c *deciding) judgeFrom(i int) (next int) {
	var b *policy.Bound
	asking := false
	defer func() {
		if !asking {
			return // whatever it is, no rule did it
		}
		if cause := recover(); cause != nil {
			v := c.failed(b, cause)
			c.weigh(b, &v)
			next = i + 1
		}
	}()
	var v policy.Verdict
	for ; i < len(c.chosen); i++ {
		b = &c.Rules[c.chosen[i]]
		if c.trace {
			c.passOver(int(c.chosen[i]))
		}
		asking = true
		v = b.Judge(c.q, &c.f)
		asking = false
		if v.Wants&(policy.NeedPTR|policy.NeedLists) != 0 || v.Wants != 0 && c.refuses(b, &v) {
			v = c.askMore(b, v)
		}
		if v.Source != nil {
			c.out.Source = v.Source
		}
		if v.Hit || c.trace || len(v.Effects) > 0 { // of most rules there is nothing to weigh
			c.weigh(b, &v)
		}
	}
	return i
}

// failed is the verdict of a rule that panicked.
func (c *deciding) failed(b *policy.Bound, cause any) policy.Verdict {
	if c.Fault != nil {
		c.Fault(b.Name, cause, debug.Stack())
	}
	return policy.Verdict{Unknown: true, Reason: "the rule failed, see the log"}
}

// passOver tells of the rules of this stage that are not asked, up to one.
func (c *deciding) passOver(to int) {
	if !c.trace {
		return
	}
	for ; c.passed < to; c.passed++ {
		switch b := &c.Rules[c.passed]; {
		case !b.Policy.Stages.Has(c.q.Stage):
		case b.Mode == policy.Off:
			c.step(Step{Rule: b.Name, Mode: b.Mode.String(), Result: "off"})
		default:
			c.step(Step{Rule: b.Name, Mode: b.Mode.String(), Result: "skip", Why: "skipped for class " + c.f.Class.String()})
		}
	}
	c.passed++
}

// ask calls one judge.
func (c *deciding) ask(b *policy.Bound) (v policy.Verdict) {
	defer func() {
		if cause := recover(); cause != nil {
			v = c.failed(b, cause)
		}
	}()
	return b.Judge(c.q, &c.f)
}

// refuses reports whether a verdict is the one that the client will be refused for.
func (c *deciding) refuses(b *policy.Bound, v *policy.Verdict) bool {
	return v.Hit && !v.Observe && b.Mode == policy.Enforce && c.out.Action == policy.Dunno && !again(b, c.q.Stage) &&
		b.Answer(v, c.q.Stage, c.f.Now).Action != policy.Dunno
}

// askMore asks a judge once more, with the facts that may speak for the client, or say more to one who is refused in any
// case.
func (c *deciding) askMore(b *policy.Bound, first policy.Verdict) policy.Verdict {
	late := c.known.Gather(c.ctx, first.Wants, c.q, &c.f)
	v := c.ask(b)
	if !v.Hit && first.Wants == policy.NeedListText {
		return first
	}
	c.out.Degraded = c.out.Degraded || late&(policy.NeedPTR|policy.NeedLists) != 0
	return v
}
