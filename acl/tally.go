package acl

import "eximpolicyd/policy"

// tally adds up scores: of one group the highest counts, of one policy no more than its cap.
type tally struct {
	total  policy.Score // of the policies before
	policy *policy.Policy
	part   policy.Score // of this policy
	group  string
	most   policy.Score // of this group
	graced bool         // a rule in its grace is among them
}

// add takes the scores policy by policy, and group by group, as the table has them. A negative one, of a list of good
// senders, makes the sum less, and there is nothing in it to be graced.
func (t *tally) add(b *policy.Bound, s policy.Score, graced bool) {
	if t.policy != b.Policy {
		*t = tally{total: t.sum(), policy: b.Policy, graced: t.graced}
	}
	t.graced = t.graced || graced && s > 0
	switch {
	case b.Group == "":
		t.part += s
	case b.Group != t.group:
		t.part, t.group, t.most = t.part+s, b.Group, s
	case s > t.most:
		t.part, t.most = t.part+s-t.most, s
	}
}

func (t *tally) sum() policy.Score {
	if t.policy == nil {
		return t.total
	}
	return t.total + min(t.part, t.policy.Cap)
}

// refusal is the answer to a sum that is too high.
func (t *tally) refusal() policy.Answer {
	a := policy.Answer{Action: policy.Deny, Code: "550 5.7.1"}
	if t.graced {
		a = a.Graced()
	}
	return a
}
