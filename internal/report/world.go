package report

import (
	"context"
	"slices"
	"time"

	"eximpolicyd/acl"
	"eximpolicyd/internal/ledger"
	"eximpolicyd/policy"
)

// world is one configuration with a memory of its own, which goes by the time of the log. It is for one goroutine.
//
// Bound: worldKeys counters, 6 MB; a site on which more clients try something within a day is judged as by a daemon with
// a smaller state.keys. It is lost when the report is made.
type world struct {
	settings [variants]*acl.Settings
	memory   *ledger.Engine
	index    map[string]int // of each rule, by its name
	rules    []policy.Bound
	asked    policy.Stages // at which rules are asked

	last    *acl.Decision // in room
	silence acl.Decision  // on what nobody was asked about
	lastOf  *play         // whose it is, if a ban refused a recipient
	lastAt  time.Time

	now     *time.Time
	room    acl.Room
	patient bool // see Options
}

const worldKeys = 1 << 16

// A variant of a configuration has those rules off that a log says too little for.
type variant uint8

const (
	unsure   variant = 1 << iota // what belongs to one connection is not known
	headless                     // the header is not known
	whole                        // rules that have no opinion without the DNS are asked, too: for a trace
	variants = 8
)

// Rules that hold something against a client because something else is not there, or because several things belong together.
// They have no opinion of their own when that is not known.
var (
	ofConnection = []string{"helo.H14", "dictionary.hard", "dictionary.delay"}
	ofHeader     = []string{"messageid.M5", "dictionary.trap"} // a List-Id excuses
)

// ofDNS returns the rules that have no opinion without the DNS, a fifth of all: they need not be asked to find that out.
func ofDNS() (names []string) {
	for name, w := range wants() {
		if w.dns && !w.part {
			names = append(names, name)
		}
	}
	return names
}

// newWorld makes one of a configuration. The clock is read whenever something is asked.
func newWorld(d *acl.Decider, o *Options, now *time.Time) (*world, error) {
	w := &world{index: map[string]int{}, rules: d.Rules, now: now, patient: o.patient}
	clock := func() (time.Time, time.Duration) { return *now, time.Duration(now.UnixNano()) }
	var err error
	if w.memory, err = ledger.Open(ledger.Options{Keys: worldKeys, Clock: clock}); err != nil {
		return nil, err
	}
	for v := range variant(variants) {
		var off []string
		if v&unsure != 0 {
			off = append(off, ofConnection...)
		}
		if v&headless != 0 {
			off = append(off, ofHeader...)
		}
		if v&whole == 0 && o.DNS == nil && !o.patient {
			off = append(off, ofDNS()...)
		}
		decider := without(d, off)
		if v&whole == 0 { // a trace tells of those that are off, too
			decider.Rules = slices.DeleteFunc(decider.Rules, func(b policy.Bound) bool { return b.Mode == policy.Off })
		}
		w.settings[v] = &acl.Settings{Decider: decider, DNS: o.DNS, Own: o.Own, Ledger: w.memory}
	}
	for i := range d.Rules {
		w.index[d.Rules[i].Name] = i
		if d.Rules[i].Mode != policy.Off {
			w.asked |= d.Rules[i].Policy.Stages
		}
	}
	return w, nil
}

// without returns a decider with rules off.
func without(d *acl.Decider, off []string) *acl.Decider {
	other := d.With(slices.Clone(d.Rules))
	for i := range other.Rules {
		if slices.Contains(off, other.Rules[i].Name) {
			other.Rules[i].Mode = policy.Off
		}
	}
	return other
}

// enforcing returns a decider that enforces every rule that is on, now and not after a time of grace.
func enforcing(d *acl.Decider) *acl.Decider {
	other := without(d, nil)
	for i := range other.Rules {
		if b := &other.Rules[i]; b.Mode != policy.Off {
			b.Mode, b.GraceUntil = policy.Enforce, time.Time{}
		}
	}
	if other.Mode != policy.Off {
		other.Mode = policy.Enforce
	}
	return other
}

// sameModes reports whether two deciders of one configuration enforce the same.
func sameModes(a, b *acl.Decider) bool {
	return a.Mode == b.Mode && slices.EqualFunc(a.Rules, b.Rules, func(x, y policy.Bound) bool {
		return x.Mode == y.Mode && x.GraceUntil.Equal(y.GraceUntil)
	})
}

// refusesNothing reports whether a decider only observes.
func refusesNothing(d *acl.Decider) bool {
	deny := false
	for range d.Exempt.Deny.All() {
		deny = true
	}
	return !(deny && d.Mode == policy.Enforce) && !slices.ContainsFunc(d.Rules, func(b policy.Bound) bool { return b.Mode == policy.Enforce })
}

// play is one connection in one world.
type play struct {
	talk acl.Conversation
	end  *verdict // by which the client was shut out: what it did afterwards would not have been
	hits set      // of what shut it out
}

// verdict is what a world says of one event, a recipient or a message. The zero verdict has no objection.
type verdict struct {
	action policy.Action
	would  policy.Action // that is only observed
	rule   string
	reason string
	code   string
	mark   bool
	score  policy.Score
	trace  []acl.Step
}

func verdictOf(d *acl.Decision) verdict {
	return verdict{d.Action, policy.Action(d.Would), d.Rule, d.Reason, d.Code, d.Mark, d.Score, d.Trace}
}

// refuses reports whether the client is not served, for now or for good.
func (v *verdict) refuses() bool { return v.action > policy.Delay }

// harder takes over another verdict on a part of the same event, if it is the harder one.
func (v *verdict) harder(o *verdict) {
	if o.action > v.action || o.action == v.action && (o.would > v.would || v.rule == "") {
		mark, score := v.mark, v.score
		*v = *o
		v.mark, v.score = v.mark || mark, max(v.score, score)
		return
	}
	v.mark, v.score = v.mark || o.mark, max(v.score, o.score)
}

// begin begins a connection.
func (w *world) begin(p *play, o *Options) {
	p.end, p.hits = nil, set{}
	p.talk = acl.Conversation{}
	p.talk.Settings, p.talk.Interfaces, p.talk.Exim, p.talk.Account = w.settings[0], o.Interfaces, o.Exim, o.Account
}

// ask judges a request. Without a DNS nothing is waited for, and time passes in the log only. The decision is good until the
// next.
func (w *world) ask(ctx context.Context, p *play, v variant, q *policy.Request) *acl.Decision {
	p.talk.Settings = w.settings[v]
	if !w.patient && w.silent(ctx, q) {
		p.talk.Hear(q, *w.now)
		w.lastOf = nil
		return &w.silence
	}
	if !w.patient && w.sameBan(p, q) {
		return w.last
	}
	if w.patient {
		w.room = acl.Room{}
	}
	if p.talk.Settings.DNS != nil {
		end, stop := context.WithTimeout(ctx, patience)
		defer stop()
		ctx = end
	}
	d := p.talk.DecideIn(ctx, &w.room, q, *w.now, false)
	w.last = d
	w.lastOf, w.lastAt = nil, *w.now
	if d.Rule == ofBan && d.Action > policy.Delay && q.Stage == policy.RCPT {
		w.lastOf = p
	}
	if early := q.Stage == policy.Connect || q.Stage == policy.Helo; d.Action == policy.Drop || early && d.Action > policy.Delay {
		end := verdictOf(d)
		p.end = &end
	}
	return d
}

// silent reports whether nothing can come of a request, so that there is no need to ask: no rule is judged at its stage, its
// client is not denied, and no ban answers before RCPT, which none does but at port 25 and the submission ports. With a DNS
// its questions are started then.
func (w *world) silent(ctx context.Context, q *policy.Request) bool {
	d := w.settings[0].Decider
	switch {
	case w.asked.Has(q.Stage), q.Stage > policy.Mail, w.settings[0].DNS != nil, d.Exempt.Deny.Has(q.Client):
		return false
	case q.Stage == policy.Mail, q.ServerPort <= 0:
		return true
	}
	s, err := w.memory.Standing(ctx, q.Client)
	return err == nil && !(s.Enforced != nil && acl.Hard(s.Enforced)) && !(s.Observed != nil && acl.Hard(s.Observed))
}

// sameBan reports whether a recipient is refused as what was judged last was: by a ban, under which nothing is counted and no
// rule is asked, in the same connection and second. So are most of an attack's.
func (w *world) sameBan(p *play, q *policy.Request) bool {
	return w.lastOf == p && w.lastAt.Equal(*w.now) && q.Stage == policy.RCPT &&
		w.last.Class != policy.Postmaster && !policy.ToPostmaster(q.Recipient)
}

// again makes the last decision once more, for its trace.
func (w *world) again(v variant) acl.Decision { return w.room.Again(w.settings[v|whole].Decider) }

// patience is how long today's DNS may take for one decision: nobody but the person who asked waits.
const patience = 9 * time.Second

// banOf returns the ban that refuses a client now, or nil.
func (w *world) banOf(ctx context.Context, q *policy.Request) *ledger.Ban {
	s, err := w.memory.Standing(ctx, q.Client)
	if err != nil {
		return nil
	}
	if s.Enforced != nil {
		return s.Enforced
	}
	return s.Observed
}
