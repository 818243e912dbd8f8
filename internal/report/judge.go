package report

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"time"

	"eximpolicyd/acl"
	"eximpolicyd/internal/ledger"
	"eximpolicyd/internal/mainlog"
	"eximpolicyd/policy"
)

// Options say what to judge with. Decider and Location are needed.
type Options struct {
	Decider  *acl.Decider
	Against  *acl.Decider   // another configuration: then only what the two decide differently is reported
	Location *time.Location // of the days of the report

	DNS        *acl.DNS // asked now, whatever the log's time was; nil: what rules need of the DNS is not known
	Own        *acl.OwnDNS
	Interfaces []netip.Addr // of the host whose log it is

	Exim    uint32                                      // the uid of Exim
	UID     func(login string) (uid uint32, known bool) // of a login on the host whose log it is; nil: not known
	Account func(uid uint32) (login string, known bool)

	// Everything is asked that Exim would have asked, and nothing is used twice: a test holds that it makes no difference.
	patient bool
}

// Replay judges what a reader has and reports. It stops early, with an error, when ctx ends.
func Replay(ctx context.Context, r *mainlog.Reader, o Options) (*Report, error) {
	j := &judge{o: &o, ctx: ctx, now: time.Unix(0, 0)}
	defer j.close()
	deciders := []*acl.Decider{enforcing(o.Decider)}
	switch {
	case o.Against != nil:
		deciders = []*acl.Decider{o.Decider, o.Against}
	case sameModes(deciders[0], o.Decider):
		j.same = true
	case !refusesNothing(o.Decider):
		deciders = append(deciders, o.Decider)
	}
	for _, d := range deciders {
		w, err := newWorld(d, &o, &j.now)
		if err != nil {
			return nil, err
		}
		j.worlds = append(j.worlds, w)
	}
	j.tally = newTally(j.worlds[0], &o)
	lost, err := j.all(r)
	if err != nil {
		return nil, err
	}
	rep := j.report(r, lost)
	rep.Log.Faults = append(rep.Log.Faults, j.feed.back.faults...)
	return rep, nil
}

// all judges everything. It returns how many events of a client could not be given to anybody.
func (j *judge) all(r *mainlog.Reader) (lost uint64, err error) {
	f := feed(j.ctx, r, j.o)
	j.feed = f
	defer f.close()
	for batch := range f.batches {
		for _, c := range batch {
			j.until(c.at)
			j.order.push(c)
		}
	}
	if err := f.failed(); !errors.Is(err, io.EOF) {
		return 0, err
	}
	for len(j.order) > 0 {
		j.next()
	}
	return f.lost, nil
}

// judge replays connections in the order of what happened in them. It is for one goroutine.
type judge struct {
	o      *Options
	ctx    context.Context
	now    time.Time // of the log; it never goes back
	worlds []*world
	same   bool // the modes are those of the first world
	feed   *feeding
	order  order
	ask    asker
	tally  *tally
	alone  *alone // made when something is refused
}

func (j *judge) close() {
	for _, w := range j.worlds {
		_ = w.memory.Close() // it has no folder
	}
}

// until judges what happened before a time.
func (j *judge) until(t time.Time) {
	for before := t.UnixNano(); len(j.order) > 0 && j.order[0].at < before; {
		j.next()
	}
}

// next judges what happened next.
func (j *judge) next() {
	c := j.order[0].course
	if c.at.After(j.now) {
		j.now = c.at
	}
	j.tally.at(j.now)
	j.ask.turn(c)
	switch {
	case c.next < 0:
		j.begin(c)
	case !c.Client.IsValid():
		j.submission(c, &c.Messages[c.acts[c.next].n])
	default:
		j.act(c, c.acts[c.next])
	}
	if c.step() {
		j.order.settle()
	} else {
		if done := j.order.pop(); !j.o.patient {
			j.feed.done(done)
		}
		j.ask.of = nil // it may come again as another
	}
}

// begin asks what is asked before any mail.
func (j *judge) begin(c *course) {
	for i, w := range j.worlds {
		w.begin(&c.plays[i], j.o)
	}
	if !c.Client.IsValid() {
		return
	}
	j.tally.connections++
	j.early(c, j.ask.connect())
	if c.oneDialogue() {
		for _, name := range c.before(c.who.name) {
			j.early(c, j.ask.earlier(name))
		}
	}
	j.greet(c)
}

// early asks before there is a recipient.
func (j *judge) early(c *course, q *policy.Request) {
	for i, w := range j.worlds {
		p := &c.plays[i]
		if p.end != nil {
			continue
		}
		d := w.ask(j.ctx, p, 0, q)
		if i == 0 && p.end != nil {
			p.hits = j.tally.hitsOf(d)
		}
	}
}

// sure reports whether the log tells what belongs to one connection.
func (c *course) sure() bool { return c.By != mainlog.ByAddress }

// oneDialogue reports whether its greetings are of one dialogue: STARTTLS makes a client greet anew, and when it came is not told.
func (c *course) oneDialogue() bool { return c.sure() && c.TLS == "" }

func (c *course) variant() variant {
	if c.sure() {
		return 0
	}
	return unsure
}

// act judges one thing that a client did.
func (j *judge) act(c *course, a act) {
	j.tells(c)
	switch a.what {
	case login:
		j.login(c)
	case rcpt:
		j.rcpt(c, &c.Rcpts[a.n])
	case message:
		j.message(c, &c.Messages[a.n])
	case end:
		j.quit(c, len(c.FailedLogins))
	}
}

// login notes a failed one. Exim tells of them when the connection ends; where that is not known, each counts at once.
func (j *judge) login(c *course) {
	if j.o.Against != nil {
		j.shutOut(c)
	}
	if !c.sure() {
		j.tally.login(c, j.quit(c, 1) != nil)
		return
	}
	p := &c.plays[0]
	j.tally.login(c, p.end == nil && j.worlds[0].banOf(j.ctx, &j.ask.Request) != nil)
}

// shutOut compares a failed login: the one thing that tells of a client who is shut out and tries nothing else.
func (j *judge) shutOut(c *course) {
	var both [2]verdict
	for i := range j.worlds {
		if end := c.plays[i].end; end != nil {
			both[i] = *end
		}
	}
	j.compare(c, &event{what: "login"}, &both)
}

// quit ends a connection, and returns the ban that was in force.
func (j *judge) quit(c *course, failed int) (by *ledger.Ban) {
	q := j.ask.quit(failed)
	for i, w := range j.worlds {
		p := &c.plays[i]
		if p.end != nil {
			continue
		}
		d := w.ask(j.ctx, p, c.variant(), q)
		if i == 0 {
			by = d.Ban
			j.tally.refusedHits(j.tally.hitsOf(d))
			j.tally.banned(d.Bans)
		} else {
			j.tally.present.banned(d.Bans)
		}
	}
	return by
}

// mail begins a message with the next recipient, if it is of another.
func (j *judge) mail(c *course, sender string) {
	if !c.who.mailed || c.who.sender != sender {
		j.early(c, j.ask.mail(sender))
	}
}

// rcpt judges a recipient that was refused.
func (j *judge) rcpt(c *course, r *mainlog.Rcpt) {
	j.mail(c, r.Sender)
	q := j.ask.rcpt(r.Recipient, verifyOf(r), 0)
	var both [2]verdict
	for i, w := range j.worlds {
		p := &c.plays[i]
		hits := p.hits
		if p.end != nil {
			both[i] = *p.end
		}
		if p.end == nil {
			d := w.ask(j.ctx, p, c.variant(), q)
			both[i] = verdictOf(d)
			hits = j.tally.hitsOf(d)
			p.hits = hits
			if i == 0 {
				j.tally.banned(d.Bans)
			} else {
				j.tally.present.banned(d.Bans)
			}
		}
		if i == 0 {
			j.tally.rcpt(c, r, &both[0], hits)
		}
	}
	j.compare(c, &event{what: "recipient", sender: r.Sender, to: r.Recipient}, &both)
}

// message judges one that was taken, or refused after DATA.
func (j *judge) message(c *course, m *mainlog.Message) {
	recipients := recipientsOf(m)
	var both [2]verdict
	for i := range j.worlds {
		one := j.deliver(c, i, m, recipients)
		both[i] = one.verdict
		if i == 0 {
			if one.refuses() && m.Taken() && j.o.Against == nil {
				one.second = j.again(c, m, recipients, one.rule)
				one.hits.all(one.second.hits)
			}
			j.tally.message(c, m, &one)
		}
	}
	c.who.mailed = false
	j.compare(c, &event{what: "message", taken: m.Taken(), id: m.ID, sender: m.Sender, to: first(recipients)}, &both)
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// delivery is what a world makes of a message.
type delivery struct {
	verdict
	second     second // of one that was taken
	hits       set
	recipients int
	lost       int // of them, for whatever reason
}

// deliver judges a message in one world.
func (j *judge) deliver(c *course, i int, m *mainlog.Message, recipients []string) (out delivery) {
	w, p, v := j.worlds[i], &c.plays[i], c.variant()
	out.recipients = max(len(recipients), 1)
	one := func(v variant, q *policy.Request) bool {
		if p.end != nil {
			out.harder(p.end)
			out.hits.all(p.hits)
			return false
		}
		d := w.ask(j.ctx, p, v, q)
		hits := j.tally.hitsOf(d)
		if p.end != nil {
			p.hits = hits
		}
		out.hits.all(hits)
		part := verdictOf(d)
		if i == 0 {
			j.tally.banned(d.Bans)
			if part.refuses() && m.Taken() && len(d.Bans) == 0 && j.o.Against == nil && j.tally.wantsTrace(m.Sender) {
				again := w.again(v)
				part.trace = again.Trace
			}
		} else {
			j.tally.present.banned(d.Bans)
		}
		out.harder(&part)
		return !part.refuses()
	}
	one(v, j.ask.mail(m.Sender))
	accepted := 0
	for n := range out.recipients {
		to := ""
		if n < len(recipients) {
			to = recipients[n]
		}
		if one(v, j.ask.rcpt(to, j.ask.taken(), accepted)) {
			accepted++
		}
	}
	if accepted > 0 {
		if m.Taken() || !wholeHeader(m) {
			v |= headless
		}
		if !one(v, j.ask.data(m, accepted)) {
			accepted = 0
		}
	}
	out.lost = out.recipients - accepted
	return out
}

// submission judges a message of this machine.
func (j *judge) submission(c *course, m *mainlog.Message) {
	q := j.ask.submission(m)
	var both [2]verdict
	for i, w := range j.worlds {
		p := &c.plays[i]
		d := w.ask(j.ctx, p, headless, q)
		both[i] = verdictOf(d)
		if i > 0 {
			continue
		}
		one := delivery{verdict: both[0], hits: j.tally.hitsOf(d), recipients: max(len(m.Recipients), 1)}
		if one.refuses() {
			one.lost = one.recipients
			if len(d.Bans) == 0 && j.o.Against == nil && j.tally.wantsTrace(m.Sender) {
				again := w.again(headless)
				one.trace = again.Trace
			}
		}
		j.tally.message(c, m, &one)
	}
	j.compare(c, &event{what: "submission", taken: m.Taken(), id: m.ID, sender: m.Sender, to: first(m.Recipients)}, &both)
}
