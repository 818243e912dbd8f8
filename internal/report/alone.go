package report

import (
	"net/netip"
	"strings"

	"eximpolicyd/acl"
	"eximpolicyd/internal/mainlog"
	"eximpolicyd/policy"
)

// alone judges a message that was taken and would be refused once more, by itself: as if its client had done nothing before, and
// whatever an earlier stage said. A ban, or a rule at RCPT, keeps others from having their say: they would seem to hit nothing
// that was taken, and would be suggested. It also tries which exemption helps. It remembers nothing. Make it with newAlone.
type alone struct {
	plain [variants]*acl.Settings
	relay [variants]*acl.Settings // everybody is in exempt.relay
	spare [variants]*acl.Settings // policy.messageid passes everybody by
	room  acl.Room
}

// second is what it finds.
type second struct {
	hits  set
	relay bool // exempt.relay helps
	spare bool // policy.messageid.except_senders does
}

func newAlone(w *world) *alone {
	var a alone
	everybody := &policy.Prefixes{}
	everybody.Add(netip.PrefixFrom(netip.IPv4Unspecified(), 0))
	everybody.Add(netip.PrefixFrom(netip.IPv6Unspecified(), 0))
	var ofMessageID []string
	for i := range w.rules {
		if strings.HasPrefix(w.rules[i].Name, "messageid.") {
			ofMessageID = append(ofMessageID, w.rules[i].Name)
		}
	}
	for v, s := range w.settings {
		with := func(d *acl.Decider) *acl.Settings { return &acl.Settings{Decider: d, DNS: s.DNS, Own: s.Own} }
		relay, exempt := without(s.Decider, nil), *s.Decider.Exempt
		exempt.Relay = everybody
		relay.Exempt = &exempt
		a.plain[v], a.relay[v], a.spare[v] = with(s.Decider), with(relay), with(without(s.Decider, ofMessageID))
	}
	return &a
}

// again judges a message for which a rule would refuse.
func (j *judge) again(c *course, m *mainlog.Message, recipients []string, rule string) (s second) {
	if j.alone == nil {
		j.alone = newAlone(j.worlds[0])
	}
	hits, by := j.sayAll(c, m, recipients, &j.alone.plain)
	s.hits = hits
	_, still := j.sayAll(c, m, recipients, &j.alone.relay)
	s.relay = still == ""
	if by == rule {
		_, still = j.sayAll(c, m, recipients, &j.alone.spare)
		s.spare = still == ""
	}
	return s
}

// sayAll asks about a message at every stage, whatever an earlier one said. It returns what hits, and what refuses first.
func (j *judge) sayAll(c *course, m *mainlog.Message, recipients []string, settings *[variants]*acl.Settings) (hits set, by string) {
	talk := &acl.Conversation{Interfaces: j.o.Interfaces, Exim: j.o.Exim, Account: j.o.Account}
	ask := func(v variant, q *policy.Request) {
		talk.Settings = settings[v]
		d := talk.DecideIn(j.ctx, &j.alone.room, q, j.now, false)
		hits.all(j.tally.hitsOf(d))
		if said := verdictOf(d); said.refuses() && by == "" {
			by = d.Rule
		}
	}
	v := c.variant()
	j.ask.greet()
	if j.ask.HELO.Known {
		if c.oneDialogue() {
			for _, name := range c.before(c.who.name) {
				ask(0, j.ask.earlier(name))
			}
		}
		ask(0, j.ask.helo())
	}
	ask(v, j.ask.mail(m.Sender))
	for n := range max(len(recipients), 1) {
		to := ""
		if n < len(recipients) {
			to = recipients[n]
		}
		ask(v, j.ask.rcpt(to, j.ask.taken(), n))
	}
	ask(v|headless, j.ask.data(m, max(len(recipients), 1)))
	return hits, by
}
