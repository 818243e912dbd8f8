package report

import (
	"cmp"
	"slices"
	"strings"

	"eximpolicyd/internal/ledger"
	"eximpolicyd/internal/mainlog"
	"eximpolicyd/policy"
)

// Lengths of the lists of a report.
const (
	longestLost      = 100
	longestAttackers = 100
)

// report puts together what was counted.
func (j *judge) report(r *mainlog.Reader, orphans uint64) *Report {
	t := j.tally
	out := &Report{Log: t.logOf(r, orphans), DNS: j.o.DNS != nil}
	if j.o.Against != nil {
		out.Differences = t.differences.report()
		return out
	}
	t.present.Taken = t.sums.Taken
	if j.same {
		t.present = t.sums
	}
	out.Enforced, out.Present = t.sums, t.present
	out.Unjudged = unjudged(j.o, r.Counts().Seen)
	for i := range t.rules {
		out.Rules = append(out.Rules, j.ruleOf(i, out.Unjudged))
	}
	out.Days = []*Day{}
	for _, d := range t.days {
		d.Rules = map[string]DayRule{}
		for i, n := range d.rules {
			if n != (ruleCount{}) {
				d.Rules[t.names[i]] = DayRule{n.refuses, n.defers, n.bans}
			}
		}
		out.Days = append(out.Days, d)
	}
	out.Lost = t.lost()
	out.Attempts = t.attempts
	out.Attackers, out.Networks = attackers(t.clients), attackers(t.networks)
	out.Exemptions = t.exemptions()
	return out
}

func (t *tally) logOf(r *mainlog.Reader, orphans uint64) Log {
	n := r.Counts()
	l := Log{
		First: t.first, Last: t.last, Lines: n.Lines, Bytes: n.Bytes, Entries: n.Entries(), Unknown: n.Kinds[mainlog.Unknown],
		Doubtful: n.Doubtful, Orphans: orphans, Connections: t.connections, Faults: []string{}, Reasons: []NoEntry{},
	}
	for reason, count := range n.Reasons {
		l.NoEntry += count
		if count > 0 {
			l.Reasons = append(l.Reasons, NoEntry{mainlog.Reason(reason).String(), count})
		}
	}
	for _, f := range r.Faults() {
		l.Faults = append(l.Faults, f.Error())
	}
	return l
}

// ruleOf tells of a rule, and suggests a mode: to enforce what hit nothing that was taken, and something that was not. What could
// not be judged of everything says nothing of what it would have hit, and neither does a log without mail that was taken.
func (j *judge) ruleOf(i int, unjudged []Unjudged) Rule {
	n := &j.tally.rules[i]
	r := Rule{Rule: j.tally.names[i], Taken: n.taken, Hits: n.refused, Refuses: n.refuses, Defers: n.defers, Bans: n.bans}
	if i >= len(j.o.Decider.Rules) {
		return r
	}
	mode := j.o.Decider.Rules[i].Mode
	r.Mode = mode.String()
	switch {
	case mode == policy.Off:
	case j.tally.sums.Taken > 0 && n.taken == 0 && n.refused > 0 && !slices.ContainsFunc(unjudged, func(u Unjudged) bool { return u.Rule == r.Rule }):
		r.Suggested = policy.Enforce.String()
	default:
		r.Suggested = policy.Observe.String()
	}
	return r
}

func (t *tally) lost() []Sender {
	list := []Sender{}
	for _, p := range t.senders.list(strings.Compare) {
		if len(list) == longestLost {
			break
		}
		list = append(list, Sender{p.key, p.n.messages, p.n.refused, p.n.deferred, t.namesOf(p.n.rules), p.n.example})
	}
	return list
}

func exampleOf(c *course, m *mainlog.Message, d *delivery) Example {
	e := Example{
		Time: m.Time, ID: m.ID, PTR: c.PTR, HELO: m.HELO, To: first(recipientsOf(m)),
		Action: d.action.String(), Code: d.code, Rule: d.rule, Reason: d.reason, Trace: d.trace,
	}
	if c.Client.IsValid() {
		e.Client = c.Client.String()
	}
	return e
}

// attackers lists those who tried more than they brought.
func attackers(t *top[ledger.Key, clientCount]) []Client {
	list := []Client{}
	for _, p := range t.list(byKey) {
		if p.n.attempts == 0 || p.n.taken > p.n.attempts {
			continue
		}
		list = append(list, Client{
			Network: networkOf(p.key), PTR: p.n.ptr, HELO: p.n.helo, Attempts: p.n.attempts, Guesses: p.n.guesses, Logins: p.n.logins, Relays: p.n.relays,
			Met: p.n.met, Refused: p.n.refused, First: p.n.firstAt, Last: p.n.lastAt,
		})
	}
	return list[:min(len(list), longestAttackers)]
}

// networkOf writes a client of IPv4 as its address.
func networkOf(k ledger.Key) string {
	p, ok := k.Prefix()
	if ok && p.IsSingleIP() {
		return p.Addr().String()
	}
	return k.String()
}

// byKey orders by the text: it is the same every time.
func byKey(a, b ledger.Key) int { return cmp.Compare(a.String(), b.String()) }
