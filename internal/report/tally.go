package report

import (
	"slices"
	"strings"
	"time"

	"eximpolicyd/acl"
	"eximpolicyd/internal/ledger"
	"eximpolicyd/internal/mainlog"
	"eximpolicyd/policy"
)

// Bounds of what is kept of a log: at most twice as many of each, and about 8 MB of all.
const (
	mostClients  = 8192
	mostNetworks = 4096
	mostSenders  = 512
	mostDays     = 400
)

// Rules besides those of the table.
const (
	ofBan   = "ban"
	ofDeny  = "deny"
	ofScore = "score"
)

// tally counts what the first world says, and a little of what the second does. It is for one goroutine.
type tally struct {
	world *world
	names []string // of the rules, and of what else refuses
	rules []ruleCount

	lastRule  string // that place was asked for
	lastPlace int

	connections int
	first, last time.Time
	where       *time.Location
	day         *Day
	dayEnds     time.Time
	days        []*Day

	sums, present Sums
	attempts      Attempts
	senders       *top[string, senderCount]
	clients       *top[ledger.Key, clientCount]
	networks      *top[ledger.Key, clientCount]
	differences   *differences
}

// ruleCount is of one rule.
type ruleCount struct {
	taken   int // messages that were taken and that it hit
	refused int // what was refused and what it hit: recipients, messages, logins
	refuses int // for good
	defers  int
	bans    int
}

// senderCount is of a sender some of whose mail was taken and would be refused.
type senderCount struct {
	messages, refused, deferred, recipients int
	spared                                  int // would not be lost if policy.messageid passed it by
	rules                                   set
	example                                 Example
}

// clientCount is of a client, or of a network.
type clientCount struct {
	attempts                int // guesses of recipients and of passwords, tries to relay
	guesses, logins, relays int
	met, refused            int                // attempts
	taken, lost             int                // messages
	relayed                 int                // that are lost, and would not be if it were in exempt.relay
	domains                 [minDomains]string // of their senders
	rules                   set                // that hit them
	firstAt, lastAt         time.Time
	helo, ptr               string
}

func newTally(w *world, o *Options) *tally {
	t := &tally{world: w, where: o.Location}
	if t.where == nil {
		t.where = time.Local
	}
	for i := range w.rules {
		t.names = append(t.names, w.rules[i].Name)
	}
	for _, name := range []string{ofBan, ofDeny, ofScore} {
		w.index[name] = len(t.names)
		t.names = append(t.names, name)
	}
	t.rules = make([]ruleCount, len(t.names))
	weight := func(c *clientCount) int { return c.attempts + 16*c.lost }
	t.senders = newTop[string](mostSenders, func(s *senderCount) int { return s.messages })
	t.clients = newTop[ledger.Key](mostClients, weight)
	t.networks = newTop[ledger.Key](mostNetworks, weight)
	t.differences = newDifferences(o)
	return t
}

// at goes to a time of the log, and to a new day where one begins.
func (t *tally) at(now time.Time) {
	if t.first.IsZero() {
		t.first = now
	}
	if now.After(t.last) {
		t.last = now
	}
	if t.day != nil && now.Before(t.dayEnds) {
		return
	}
	y, m, d := now.In(t.where).Date()
	t.dayEnds = time.Date(y, m, d+1, 0, 0, 0, 0, t.where)
	if len(t.days) > mostDays {
		return // the last stands for those that follow
	}
	t.day = &Day{Day: time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Format(time.DateOnly), rules: make([]ruleCount, len(t.names))}
	t.days = append(t.days, t.day)
}

// hitsOf returns the rules that hit at a request. A ban is a hit of the rule that made it, too.
func (t *tally) hitsOf(d *acl.Decision) (hits set) {
	for _, name := range d.Rules {
		hits.add(t.place(name))
	}
	switch {
	case d.Rule == ofBan && d.Ban != nil:
		hits.add(t.place(d.Ban.Rule))
	case d.Rule == ofScore:
		hits.add(t.place(ofScore))
	}
	return hits
}

// place returns where a rule is counted, or -1. Bans, and those who earn them, are nearly all of what hits.
func (t *tally) place(rule string) int {
	switch {
	case rule == ofBan:
		return len(t.world.rules)
	case rule != t.lastRule:
		i, ok := t.world.index[rule]
		if !ok {
			i = -1
		}
		t.lastRule, t.lastPlace = rule, i
	}
	return t.lastPlace
}

// banned counts bans that were made.
func (t *tally) banned(bans []ledger.Ban) {
	for i := range bans {
		t.sums.Bans++
		t.day.Bans++
		if n, ok := t.world.index[bans[i].Rule]; ok {
			t.rules[n].bans++
			t.day.rules[n].bans++
		}
	}
}

func (t *tally) refusedHits(hits set) {
	hits.each(func(i int) { t.rules[i].refused++ })
}

// decided counts who refuses.
func (t *tally) decided(v *verdict) {
	if !v.refuses() {
		return
	}
	i := t.place(v.rule)
	if i < 0 {
		return
	}
	if v.action == policy.Defer {
		t.rules[i].defers++
		t.day.rules[i].defers++
		return
	}
	t.rules[i].refuses++
	t.day.rules[i].refuses++
}

// client returns the counts of a client and of its network.
func (t *tally) client(c *course) (one, network *clientCount) {
	k := &c.counted
	if k.one == nil || k.thins != t.clients.thins+t.networks.thins {
		k.one, k.network = t.clients.at(c.client), t.networks.at(c.network)
		k.thins = t.clients.thins + t.networks.thins
	}
	k.one.seen(c, c.at)
	k.network.seen(c, c.at)
	return k.one, k.network
}

// counted is where a connection is counted, as long as nobody was let go of.
type counted struct {
	one, network *clientCount
	thins        int
}

func (n *clientCount) seen(c *course, now time.Time) {
	if n.firstAt.IsZero() {
		n.firstAt = now
	}
	n.lastAt = now
	if n.helo == "" {
		n.helo = c.HELO()
	}
	if n.ptr == "" {
		n.ptr = c.PTR
	}
}

// attempt counts one of an attacker. met says that a ban was in force, refused that the client was not served.
func (t *tally) attempt(c *course, count func(*clientCount), met, refused bool) {
	add := func(n *clientCount) {
		count(n)
		n.attempts++
		if met {
			n.met++
		}
		if refused {
			n.refused++
		}
	}
	one, network := t.client(c)
	add(one)
	add(network)
	t.attempts.All++
	t.day.Attempts++
	if met {
		t.attempts.Met++
		t.day.Met++
	}
	if refused {
		t.attempts.Refused++
	}
}

// login counts a failed one: nobody is asked about it when it is tried, but whoever is banned may not have come so far.
func (t *tally) login(c *course, banned bool) {
	p := &c.plays[0]
	t.attempts.Logins++
	met := banned || p.end != nil && p.end.rule == ofBan
	t.attempt(c, func(n *clientCount) { n.logins++ }, met, p.end != nil)
}

// rcpt counts a recipient that was refused.
func (t *tally) rcpt(c *course, r *mainlog.Rcpt, v *verdict, hits set) {
	t.refusedHits(hits)
	t.decided(v)
	t.sums.count(v, 1)
	guess, relay := r.Cause == mainlog.UnknownUser && !r.Temporary && r.Sender != "", r.Cause == mainlog.RelayDenied
	switch met := v.refuses() && v.rule == ofBan; {
	case guess:
		t.attempts.Guesses++
		t.attempt(c, func(n *clientCount) { n.guesses++ }, met, v.refuses())
	case relay:
		t.attempts.Relays++
		t.attempt(c, func(n *clientCount) { n.relays++ }, met, v.refuses())
	}
}

// message counts one that was taken, or refused after DATA.
func (t *tally) message(c *course, m *mainlog.Message, d *delivery) {
	t.decided(&d.verdict)
	t.sums.count(&d.verdict, 1)
	if !m.Taken() {
		t.refusedHits(d.hits)
		return
	}
	t.sums.Taken++
	t.day.Taken++
	if c.Client.IsValid() {
		one, network := t.client(c)
		one.taken++
		network.taken++
	}
	if d.mark {
		t.sums.Marked++
		t.day.Marked++
	}
	d.hits.each(func(i int) { t.rules[i].taken++ })
	if d.refuses() {
		t.lose(c, m, d)
	}
}

// lose counts a message that was taken and would not be.
func (t *tally) lose(c *course, m *mainlog.Message, d *delivery) {
	deferred := d.action == policy.Defer
	s := t.senders.at(strings.ToLower(m.Sender))
	s.messages++
	s.recipients += d.lost
	s.rules.all(d.hits)
	if d.second.spare {
		s.spared++
	}
	if deferred {
		s.deferred++
		t.sums.TakenDeferred++
		t.day.TakenDeferred++
	} else {
		s.refused++
		t.sums.TakenRefused++
		t.day.TakenRefused++
	}
	if s.messages == 1 || s.example.Trace == nil && d.trace != nil {
		s.example = exampleOf(c, m, d)
	}
	if !c.Client.IsValid() {
		return
	}
	one, network := t.client(c)
	one.loses(m, d)
	network.loses(m, d)
}

// loses counts a message of a client, and remembers some domains of the senders that it relays for.
func (n *clientCount) loses(m *mainlog.Message, d *delivery) {
	n.lost++
	if !d.second.relay {
		return
	}
	n.relayed++
	n.rules.all(d.hits)
	domain := strings.ToLower(m.Sender[strings.LastIndexByte(m.Sender, '@')+1:])
	for i := range n.domains {
		if n.domains[i] == domain || domain == "" {
			return
		}
		if n.domains[i] == "" {
			n.domains[i] = domain
			return
		}
	}
}

// wantsTrace reports whether there is no trace yet of a message of a sender.
func (t *tally) wantsTrace(sender string) bool {
	s := t.senders.known(strings.ToLower(sender))
	return s == nil || s.example.Trace == nil
}

// count adds what happened to something.
func (s *Sums) count(v *verdict, n int) {
	switch {
	case !v.refuses():
	case v.action == policy.Defer:
		s.Deferred += n
	case v.action == policy.Freeze:
		s.Held += n
	default:
		s.Refused += n
	}
}

// namesOf returns the rules of a set.
func (t *tally) namesOf(s set) []string {
	names := []string{}
	for i, name := range t.names {
		if s.has(i) && !slices.Contains([]string{ofBan, ofScore}, name) {
			names = append(names, name)
		}
	}
	return names
}
