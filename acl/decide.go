package acl

import (
	"context"
	"sync/atomic"
	"time"

	"eximpolicyd/internal/ledger"
	"eximpolicyd/policy"
)

// Provider finds out facts. serve, check and replay differ in nothing but their provider.
type Provider interface {
	// Gather fills the facts of needs, and those that cost nothing, as far as it gets before ctx ends; it returns soon
	// after that. What it does not fill stays unknown; late are those needs of it that more time would have filled.
	Gather(ctx context.Context, needs policy.Need, q *policy.Request, f *policy.Facts) (late policy.Need)
	// Start begins to find out what a later stage of the session will need, as far as it is known of whom to ask, and
	// does not wait.
	Start(needs policy.Need, q *policy.Request, f *policy.Facts)
	// Proven reports whether the connection is known to exist. Only then may a verdict be remembered.
	Proven() bool
	// Recall returns the memory as this request sees it, or nil if there is none.
	Recall() *Recall
}

// Decider holds a configuration and decides. It keeps nothing between requests and is safe for concurrent use; to
// change the configuration, make another one, With other rules.
type Decider struct {
	Rules  []policy.Bound
	Own    *policy.Own
	Exempt *policy.Exempt
	Mode   policy.Mode // the top-level mode, for a static deny

	// Fault is told of a rule that panicked, which is then skipped. It may be nil.
	Fault func(rule string, cause any, stack []byte)

	plan atomic.Pointer[plan]
}

// With returns a decider with other rules.
func (d *Decider) With(rules []policy.Bound) *Decider {
	return &Decider{Rules: rules, Own: d.Own, Exempt: d.Exempt, Mode: d.Mode, Fault: d.Fault}
}

// Decide judges one request at the time now: explicit allow, exemption class, explicit deny, ban, rules, scores. What the
// request is an event of is counted before the rules are asked, unless a ban answers. With trace, the decision tells every
// step. When ctx ends, what is not known by then stays unknown; if a rule needs it and it may still come, the decision is
// degraded. What RCPT will need of the DNS is started at CONNECT, HELO and MAIL.
func (d *Decider) Decide(ctx context.Context, q *policy.Request, now time.Time, known Provider, trace bool) Decision {
	return d.decide(ctx, q, now, known, trace).out
}

// decide is Decide, and returns all that was known.
func (d *Decider) decide(ctx context.Context, q *policy.Request, now time.Time, known Provider, trace bool) *moment {
	return d.decideIn(&deciding{moment: new(moment)}, ctx, q, now, known, trace)
}

// decideIn does so in a room of the caller's, who may use it again.
func (d *Decider) decideIn(c *deciding, ctx context.Context, q *policy.Request, now time.Time, known Provider, trace bool) *moment {
	m, told := c.moment, c.told
	*m, *c = moment{}, deciding{} // filled in one by one: a literal is made elsewhere and copied
	m.Decider, m.q = d, q
	c.moment, c.told, c.ctx, c.known, c.trace = m, told, ctx, known, trace
	c.f.Now, c.f.Own, c.f.Traced = now, d.Own, trace
	c.out.Rules, c.out.Stage, c.out.Synthetic = m.room[:0], q.Stage, q.Client.IsValid() && !known.Proven()

	needs := policy.Need(0)
	if q.Stage == policy.RCPT || q.Stage == policy.Data {
		needs = policy.NeedAllMail
	}
	late := known.Gather(ctx, needs, q, &c.f)
	c.standing = known.Recall().Standing(ctx, q.Client)
	if c.allowed() {
		return c.moment
	}
	c.exempt()
	counts := c.planned().remembers
	if !c.denied() && !c.banned() {
		if needs := c.early(); needs != 0 {
			known.Start(needs, q, &c.f)
		}
		if counts {
			known.Recall().Count(ctx, q, &c.f)
		}
		if needs := c.choose(); needs != 0 {
			late |= known.Gather(ctx, needs, q, &c.f)
		}
		c.out.Degraded = late != 0
		c.judge()
	}
	c.conclude()
	if counts && !c.objected() {
		known.Recall().Pass(ctx, q, &c.f)
	}
	return c.moment
}

// deciding is one decision under way.
type deciding struct {
	*moment
	ctx   context.Context
	known Provider
	trace bool

	told  map[*ledger.Ban]string // see describe; nil: nothing is kept
	shut  bool                   // an enforced ban will answer at RCPT
	delay delay

	chosen []uint16 // the places of the rules that are asked
	passed int      // rules that a trace has told of

	all, enforced tally
	scored        []scored // for the reason
	scores        [4]scored
	doubtful      bool // what is noted is of a rule that is only observed whatever the mode
}

// objected reports whether anything was refused, or would have been.
func (c *deciding) objected() bool {
	return c.out.Action > policy.Delay || c.out.Would > would(policy.Delay)
}

func (c *deciding) step(s Step) {
	if c.trace {
		c.out.Trace = append(c.out.Trace, s)
	}
}

func (c *deciding) allowed() bool {
	switch a := c.standing.Allowed; {
	case c.Exempt.Allow.Has(c.q.Client):
		c.step(Step{Rule: "allow", Result: "applies", Why: "in exempt.allow"})
	case a != nil:
		c.step(Step{Rule: "allow", Result: "applies", Why: "an administrator allowed " + a.Network.String() + ": " + a.Because})
	default:
		c.step(Step{Rule: "allow", Result: "no", Why: "not in exempt.allow"})
		return false
	}
	return true
}

func (c *deciding) exempt() {
	var why string
	c.f.Class, why = c.Exempt.Of(c.q, &c.f)
	c.out.Class = c.f.Class
	if !c.trace {
		return
	}
	for class := policy.Local; class <= policy.NullSender; class++ {
		switch {
		case class == c.f.Class:
			c.step(Step{Rule: "exempt." + class.String(), Result: "applies", Why: why})
		case class != policy.RelayHost && (class != policy.RelayNet || c.f.Class != policy.RelayHost): // one line for both
			c.step(Step{Rule: "exempt." + class.String(), Result: "no", Why: class.Test()})
		}
	}
}

// denied applies exempt.deny: a drop before the client has said a word where only servers connect, else a deny at RCPT,
// where an authenticated user has had his chance.
func (c *deciding) denied() bool {
	if !c.Exempt.Deny.Has(c.q.Client) {
		c.step(Step{Rule: "deny", Result: "no", Why: "not in exempt.deny"})
		return false
	}
	mode := policy.Enforce.Cap(c.Mode)
	answer := policy.Answer{Code: "554 5.7.1"}
	switch {
	case !c.toDeny():
	case (c.q.Stage == policy.Connect || c.q.Stage == policy.Helo) && c.q.ServerPort == 25:
		answer.Action = policy.Drop
	case c.q.Stage == policy.RCPT:
		answer.Action = policy.Deny
	}
	if answer.Action == policy.Dunno {
		c.step(Step{Rule: "deny", Mode: mode.String(), Result: "skip", Why: "in exempt.deny, which does not apply here"})
		return false
	}
	c.hits("deny")
	c.step(Step{Rule: "deny", Mode: mode.String(), Result: "hit", Why: "in exempt.deny"})
	v := policy.Verdict{Text: "mail from your address is not taken here", Reason: "in exempt.deny"}
	c.object("deny", mode, answer, &v)
	return true // observed or not: a dry run shows what would have been, and the rules would not have been asked
}

// toDeny reports whether exempt.deny refuses the client, at this stage or at RCPT.
func (c *deciding) toDeny() bool {
	return c.Exempt.Deny.Has(c.q.Client) && !c.f.Class.PassesDeny() && c.Mode != policy.Off
}

// early returns what the rules of RCPT will need of the DNS, at a stage before it. A client that they are not asked
// about, as far as is known yet, costs no question, nor does one that is denied or banned.
func (c *deciding) early() (needs policy.Need) {
	if c.q.Stage < policy.Connect || c.q.Stage >= policy.RCPT || c.toDeny() || c.shut {
		return 0
	}
	for i := range c.Rules {
		if b := &c.Rules[i]; b.Policy.Stages.Has(policy.RCPT) && applies(b, c.f.Class) {
			needs |= b.Needs & policy.NeedDNS
		}
	}
	return needs
}

// weigh turns a verdict into an objection, a score or nothing.
func (c *deciding) weigh(b *policy.Bound, v *policy.Verdict) {
	mode := b.Mode
	if v.Observe {
		mode = mode.Cap(policy.Observe)
	}
	again := again(b, c.q.Stage)
	answer := policy.Answer{}
	result := "pass"
	switch {
	case v.Unknown:
		result = "unknown"
	case v.Hit:
		result = "hit"
		answer = b.Answer(v, c.q.Stage, c.f.Now)
		c.hits(b.Name)
	}
	if !again && len(v.Effects) > 0 {
		c.remember(b.Name, mode, v)
	}
	if c.trace && !(again && answer.Score == 0) {
		c.step(Step{Rule: b.Name, Mode: mode.String(), Result: result, Score: answer.Score, Why: why(v, answer)})
	}
	switch {
	case answer.Action == policy.Delay:
		c.delay.note(b.Name, mode, v)
	case answer.Action != policy.Dunno && !again: // asked again, an objection has had its stage
		c.object(b.Name, mode, answer, v)
	case answer.Score != 0:
		graced := c.f.Now.Before(b.GraceUntil)
		c.all.add(b, answer.Score, graced)
		if c.scored == nil {
			c.scored = c.scores[:0]
		}
		c.scored = append(c.scored, scored{b.Name, answer.Score})
		if mode == policy.Enforce {
			c.enforced.add(b, answer.Score, graced)
		}
	}
}

// scored is a rule with its score.
type scored struct {
	rule  string
	score policy.Score
}

// hits notes that a rule does.
func (c *deciding) hits(rule string) { c.out.Rules = append(c.out.Rules, rule) }

func why(v *policy.Verdict, a policy.Answer) string {
	if v.Hit && a.Action != policy.Dunno {
		return v.Reason + ": " + a.String()
	}
	return v.Reason
}

// object decides by an enforced objection if none has decided yet, or notes an observed one: one that an enforcing
// configuration would refuse for before one that it would not.
func (c *deciding) object(rule string, mode policy.Mode, a policy.Answer, v *policy.Verdict) {
	switch {
	case c.out.Action != policy.Dunno:
		return
	case mode == policy.Enforce:
		c.out.Action, c.out.Would = a.Action, would(policy.Dunno)
	case c.out.Would == would(policy.Dunno), c.doubtful && !v.Observe:
		c.out.Would = would(a.Action)
	default:
		return
	}
	c.doubtful = v.Observe
	c.out.Rule, c.out.Code, c.out.Text, c.out.Reason = rule, a.Code, v.Text, v.Reason
}

// conclude sums the scores, if no hard objection decided, and completes the decision.
func (c *deciding) conclude() {
	c.out.Score = c.all.sum()
	enforced := c.enforced.sum()
	c.weighed = enforced
	switch {
	case c.q.Stage != policy.RCPT && c.q.Stage != policy.Data:
	case enforced >= policy.RefuseAt:
		c.object("score", policy.Enforce, c.enforced.refusal(), c.tooMuch(enforced))
	case c.out.Score >= policy.RefuseAt:
		c.object("score", policy.Observe, c.all.refusal(), c.tooMuch(c.out.Score))
	}
	c.wait()
	if c.out.Reason == "" && len(c.scored) > 0 {
		c.out.Reason = c.sum(c.out.Score)
	}
	c.out.Mark = c.q.Stage == policy.Data && c.out.Action == policy.Dunno && enforced >= policy.MarkAt
	if c.trace && (c.q.Stage == policy.RCPT || c.q.Stage == policy.Data) {
		c.step(c.scoreStep(enforced))
	}
}

// tooMuch tells the sum that refused: an observed list of good senders makes the one that is logged less.
func (c *deciding) tooMuch(sum policy.Score) *policy.Verdict {
	return &policy.Verdict{Text: "too much speaks against this message", Reason: c.sum(sum)}
}

// sum tells what a score is made of, before groups and caps, observed rules and all.
func (c *deciding) sum(score policy.Score) string {
	var room [128]byte
	why := score.AppendTo(append(room[:0], "score "...))
	sep := ": "
	for _, s := range c.scored {
		why = s.score.AppendTo(append(append(append(why, sep...), s.rule...), ' '))
		sep = ", "
	}
	return string(why)
}

func (c *deciding) scoreStep(enforced policy.Score) Step {
	s := Step{Rule: "score", Result: "pass", Score: c.out.Score}
	if c.out.Score >= policy.RefuseAt || c.out.Mark {
		s.Result = "hit"
	}
	s.Why = "enforced " + enforced.String() + ", refused at " + policy.RefuseAt.String() + ", marked at " + policy.MarkAt.String()
	return s
}
