package acl

import (
	"slices"
	"strings"
	"time"

	"eximpolicyd/policy"
	"eximpolicyd/rbl"
)

// Change is something that would have changed a decision. What has no Do is nobody's to do.
type Change struct {
	If   string `json:"if"`
	Then string `json:"then"`
	Do   string `json:"do,omitempty"` // a command, or a line of the configuration
}

// maxChanges is how many rules are looked at in a row; who breaks more has more to do than to read on.
const maxChanges = 4

// changes says what would have changed a decision. It does not guess: each rule, and each list, is left out in turn, and the
// decision made again.
func (m *moment) changes(again *Decision) (list []Change) {
	const asked = "the rules would have been asked"
	d, client := &m.out, m.q.Client.String()
	switch {
	case m.Exempt.Allow.Has(m.q.Client):
		return []Change{{"the client were not in exempt.allow", asked, "take its network out of exempt.allow"}}
	case m.standing.Allowed != nil:
		return []Change{{"an administrator had not allowed " + m.standing.Allowed.Network.String(), asked,
			"eximpolicyd allow remove " + m.standing.Allowed.Network.String()}}
	case d.Rule == "deny":
		return []Change{{"the client were not in exempt.deny", asked, "take its network out of exempt.deny"}}
	case d.Rule == "ban":
		return m.banChanges(asked)
	case d.Action != policy.Dunno:
		list = m.without()
	case d.Would != would(policy.Dunno):
		list = m.enforcing()
	}
	list = append(list, m.distance()...)
	if d.Action != policy.Dunno || d.Would != would(policy.Dunno) {
		list = append(list, m.unlisted()...)
		if m.q.Client.IsValid() && d.Action != policy.Delay {
			list = append(list, Change{"the client were allowed", "no rule would have been asked",
				"eximpolicyd allow add " + client + `, or for ever: exempt.allow = ["` + client + `"]`})
		}
		list = append(list, m.exception()...)
	}
	if d.Degraded {
		list = append(list, tooLate(again))
	}
	return list
}

// banChanges says when a ban ends and how to end it.
func (m *moment) banChanges(asked string) (list []Change) {
	b := m.standing.Enforced
	if b == nil || m.out.Action == policy.Dunno && m.standing.Observed != nil {
		b = m.standing.Observed
	}
	if b == nil {
		return nil
	}
	if m.out.Action == policy.Dunno {
		answer := policy.Answer{Action: policy.Action(m.out.Would), Code: m.out.Code}
		list = append(list, Change{"the ban had been made by a rule that is enforced, and still were", answer.String(), ""})
	}
	if !b.Until.IsZero() {
		list = append(list, Change{"it were after " + b.Until.UTC().Format(time.RFC3339), asked, ""})
	}
	network := b.Network.String()
	if b.Network.IsSingleIP() {
		network = b.Network.Addr().String()
	}
	return append(list, Change{"the ban were lifted", asked, "eximpolicyd ban remove " + network},
		Change{"the client were allowed", "no ban and no rule would have been looked at", "eximpolicyd allow add " + m.q.Client.String()})
}

// without leaves out what refuses, rule by rule, until nothing does.
func (m *moment) without() (list []Change) {
	var left []string
	for d := &m.out; len(left) < maxChanges && d.Action != policy.Dunno; {
		if d.Rule == "score" {
			return append(list, m.scoring(left)...)
		}
		left = append(left, d.Rule)
		next := m.again(false, m.observing(left))
		list = append(list, Change{strings.Join(left, " and ") + " only observed", next.outcome(), lineOf(left, policy.Observe)})
		d = &next
	}
	return list
}

// observing has rules only observe.
func (m *moment) observing(rules []string) func(*policy.Bound) {
	return func(b *policy.Bound) {
		if slices.Contains(rules, b.Name) {
			b.Mode = b.Mode.Cap(policy.Observe)
		}
	}
}

// scoring leaves out each rule that scored, besides those that are left out, and says where that is enough.
func (m *moment) scoring(left []string) (list []Change) {
	for i := range m.Rules {
		b := &m.Rules[i]
		if len(list) == maxChanges || b.Mode != policy.Enforce || !slices.Contains(m.out.Rules, b.Name) || slices.Contains(left, b.Name) {
			continue
		}
		rules := append(left[:len(left):len(left)], b.Name)
		if next := m.again(false, m.observing(rules)); next.Action == policy.Dunno {
			list = append(list, Change{strings.Join(rules, " and ") + " only observed", next.outcome(), lineOf(rules, policy.Observe)})
		}
	}
	return list
}

// enforcing says what would be refused if what only observes were enforced.
func (m *moment) enforcing() []Change {
	rules := []string{m.out.Rule}
	if m.out.Rule == "score" {
		rules = m.out.Rules
	}
	var named []string
	next := m.again(false, func(b *policy.Bound) {
		if slices.Contains(rules, b.Name) && b.Mode == policy.Observe {
			b.Mode, named = policy.Enforce, append(named, b.Name)
		}
	})
	if next.Action == policy.Dunno || len(named) == 0 {
		return nil // it observes by itself, and its reason says why
	}
	do := lineOf(named, policy.Enforce)
	if m.Mode != policy.Enforce {
		do = "" // it takes more: the whole daemon only observes
	}
	return []Change{{strings.Join(named, " and ") + " were enforced", next.outcome(), do}}
}

// distance says how far the enforced score is from what refuses and marks.
func (m *moment) distance() []Change {
	d := &m.out
	switch {
	case m.q.Stage != policy.RCPT && m.q.Stage != policy.Data:
		return nil
	case d.Rule == "score" && d.Action != policy.Dunno:
		return []Change{{(m.weighed - policy.RefuseAt + 1).String() + " less were scored", "no refusal: " + m.weighed.String() +
			" reaches the " + policy.RefuseAt.String() + " that is refused", ""}}
	case d.Action != policy.Dunno:
		return nil
	}
	more := func(limit policy.Score, then string) Change {
		return Change{(limit - m.weighed).String() + " more were scored", then, ""}
	}
	list := []Change{more(policy.RefuseAt, "deny 550 5.7.1 by score: "+m.weighed.String()+" is that much below reject")}
	switch {
	case d.Mark:
		list = append(list, Change{(m.weighed - policy.MarkAt + 1).String() + " less were scored", "no mark", ""})
	case m.q.Stage == policy.Data:
		list = append(list, more(policy.MarkAt, "no opinion, and marked"))
	}
	if d.Score != m.weighed && d.Rule == "" { // what is observed of it is not enough to be told of
		next := m.again(false, func(b *policy.Bound) {
			if slices.Contains(d.Rules, b.Name) && b.Mode == policy.Observe {
				b.Mode = policy.Enforce
			}
		})
		list = append(list, Change{"every rule that scored were enforced", next.outcome(), ""})
	}
	return list
}

// unlisted leaves out each list that objects, and says where that is enough.
func (m *moment) unlisted() (list []Change) {
	reports := []*rbl.Report{&m.f.Lists}
	for i := range m.f.NameLists {
		reports = append(reports, &m.f.NameLists[i].Report)
	}
	for n, r := range reports {
		for i := range r.Answers {
			a := &r.Answers[i]
			if a.Score() <= 0 || len(list) == maxChanges {
				continue
			}
			next := m.clear(n, i).again(false, nil)
			if next.Action != m.out.Action || next.Would != m.out.Would || next.Rule != m.out.Rule {
				list = append(list, Change{a.Zone.Public + " did not list " + printable(r.Subject, 100), next.outcome(), a.Zone.URL})
			}
		}
	}
	return list
}

// clear is a moment in which a list had said nothing against the client.
func (m *moment) clear(report, answer int) *moment {
	c := *m
	r := &c.f.Lists
	if report > 0 {
		c.f.NameLists = slices.Clone(c.f.NameLists)
		r = &c.f.NameLists[report-1].Report
	}
	r.Answers = slices.Clone(r.Answers)
	r.Answers[answer].Status, r.Answers[answer].Codes = rbl.Clear, nil
	return &c
}

// exception is what a policy has for those whom it should pass by.
func (m *moment) exception() []Change {
	name, _, _ := strings.Cut(m.out.Rule, ".")
	sender := senderDomain(m.q)
	switch {
	case name == "messageid" && sender != "":
		return []Change{{"its sender's domain were an exception", "messageid would not have been asked",
			`policy.messageid.except_senders = ["` + sender + `"]`}}
	case name == "nobody":
		return []Change{{"its user, its sender or its directory were an exception", "nobody would not have been asked",
			"policy.nobody.allow_users, allow_senders or allow_dirs"}}
	}
	return nil
}

// tooLate tells of the rules that had no opinion for want of facts that might have come.
func tooLate(again *Decision) Change {
	var rules []string
	for _, s := range again.Trace {
		if s.Result == "unknown" {
			rules = append(rules, s.Rule)
		}
	}
	then := "the rules might have said more"
	if len(rules) > 0 {
		then = strings.Join(rules, " and ") + " would have had an opinion"
	}
	return Change{"every answer of the DNS had come in time", then, ""}
}

// lineOf is the configuration that puts rules into a mode.
func lineOf(rules []string, mode policy.Mode) string {
	var lines []string
	for _, r := range rules {
		name, id, ok := strings.Cut(r, ".")
		if !ok {
			continue
		}
		lines = append(lines, "policy."+name+".rules."+id+` = "`+mode.String()+`"`)
	}
	return strings.Join(lines, " and ")
}
