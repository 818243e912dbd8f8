package report

import (
	"cmp"
	"strings"

	"eximpolicyd/internal/ledger"
	"eximpolicyd/policy"
)

// Differences are what two configurations decide differently, each with a memory of its own.
type Differences struct {
	Events int          `json:"events"` // recipients, messages, submissions and failed logins that were judged by both
	Differ int          `json:"differ"`
	Taken  int          `json:"taken"` // of them, messages that were really taken
	Kinds  []Difference `json:"kinds"`
	Others int          `json:"others"` // of further kinds
}

// Difference is one kind of them.
type Difference struct {
	This     string    `json:"this"`
	That     string    `json:"that"`
	Count    int       `json:"count"`
	Taken    int       `json:"taken"`
	Examples []Differs `json:"examples"`
}

// Differs is one event that is decided differently.
type Differs struct {
	Time   string `json:"time"`
	What   string `json:"what"` // recipient, message, submission, login
	ID     string `json:"id"`
	Client string `json:"client"`
	HELO   string `json:"helo"`
	Sender string `json:"sender"`
	To     string `json:"to"`
	This   string `json:"this_because"`
	That   string `json:"that_because"`
}

// Bounds of what is told of differences.
const (
	mostKinds    = 256
	mostExamples = 3
)

// differences counts them.
type differences struct {
	on     bool
	events int
	differ int
	taken  int
	kinds  *top[[2]string, Difference]
}

func newDifferences(o *Options) *differences {
	return &differences{on: o.Against != nil, kinds: newTop[[2]string](mostKinds, func(d *Difference) int { return d.Count + 16*d.Taken })}
}

// event is what both configurations judged.
type event struct {
	what, id, sender, to string
	taken                bool
}

// compare counts an event that two configurations decide differently.
func (j *judge) compare(c *course, e *event, both *[2]verdict) {
	t := j.tally.differences
	if !t.on {
		if len(j.worlds) > 1 {
			j.tally.present.second(e, &both[1])
		}
		return
	}
	t.events++
	this, that := both[0].String(), both[1].String()
	if this == that {
		return
	}
	t.differ++
	k := t.kinds.at([2]string{this, that})
	k.Count++
	if e.taken {
		t.taken++
		k.Taken++
	}
	if len(k.Examples) == mostExamples {
		return
	}
	x := Differs{Time: c.at.In(j.tally.where).Format("2006-01-02 15:04:05"), What: e.what, ID: e.id, HELO: c.who.name, Sender: e.sender, To: e.to,
		This: both[0].reason, That: both[1].reason}
	if c.Client.IsValid() {
		x.Client = c.Client.String()
	}
	k.Examples = append(k.Examples, x)
}

// banned counts bans that the second world made. One that is only observed is none: it refuses nobody.
func (s *Sums) banned(bans []ledger.Ban) {
	for i := range bans {
		if bans[i].Enforced {
			s.Bans++
		}
	}
}

// second counts what the second world says.
func (s *Sums) second(e *event, v *verdict) {
	s.count(v, 1)
	switch {
	case !e.taken:
	case v.action == policy.Defer:
		s.TakenDeferred++
	case v.refuses():
		s.TakenRefused++
	}
	if e.taken && v.mark {
		s.Marked++
	}
}

// String tells a verdict in a few words: what is compared.
func (v *verdict) String() string {
	switch {
	case v.action != policy.Dunno:
		return v.action.String() + " by " + v.rule
	case v.would != policy.Dunno:
		return "would " + v.would.String() + " by " + v.rule
	case v.mark:
		return "marked"
	}
	return "passed"
}

func (t *differences) report() *Differences {
	d := &Differences{Events: t.events, Differ: t.differ, Taken: t.taken, Kinds: []Difference{}}
	told := 0
	for _, p := range t.kinds.list(func(a, b [2]string) int { return cmp.Or(strings.Compare(a[0], b[0]), strings.Compare(a[1], b[1])) }) {
		k := *p.n
		k.This, k.That = p.key[0], p.key[1]
		d.Kinds = append(d.Kinds, k)
		told += k.Count
	}
	d.Others = t.differ - told
	return d
}
