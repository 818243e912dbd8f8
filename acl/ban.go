package acl

import (
	"strconv"
	"time"

	"eximpolicyd/internal/ledger"
	"eximpolicyd/policy"
)

// Of bans.
const (
	dropLevel  = 3                   // from which on a ban drops the connection
	recentAuth = 30 * 24 * time.Hour // a network that has logged in since is not shut out of the submission ports
	ofAuth     = "auth.AU1"          // the rule whose bans shut out of these
)

// banned applies the bans of the client: one that is only noted is told of, and an enforced one answers, if it does at
// this stage. Then nothing is counted and no rule is asked; otherwise a client that waits for its ban to end would make it
// longer.
func (c *deciding) banned() bool {
	enforced, observed := c.standing.Enforced, c.standing.Observed
	if enforced == nil && observed == nil {
		if c.known.Recall() == nil {
			c.step(Step{Rule: "ban", Result: "unknown", Why: "bans are in the daemon's memory: ban why shows them"})
		} else {
			c.step(Step{Rule: "ban", Result: "no", Why: "the client is not banned"})
		}
		return false
	}
	if enforced != nil && c.shutsOut(enforced) {
		return true
	}
	if observed != nil {
		c.shutsOut(observed)
	}
	return false
}

// shutsOut objects for a ban and reports whether that decides.
func (c *deciding) shutsOut(b *ledger.Ban) bool {
	mode, graced := c.modeOf(b, c.f.Now)
	why := describeBan(b)
	switch {
	case mode == policy.Off:
		c.step(Step{Rule: "ban", Mode: mode.String(), Result: "off", Why: why})
		return false
	case b.Rule != ledger.Admin && c.f.Class.PassesBan(b.Level), b.Rule == ledger.Admin && c.f.Class.PassesDeny():
		c.step(Step{Rule: "ban", Mode: mode.String(), Result: "skip", Why: "skipped for class " + c.f.Class.String() + ": " + why})
		return false
	case b.Rule != ledger.Admin && c.onlyWayIn(): // others of its network have earned it
		c.step(Step{Rule: "ban", Mode: mode.String(), Result: "skip", Why: "over half of the mail of a day comes from this client: " + why})
		return false
	}
	c.shut = c.shut || mode == policy.Enforce
	a := c.banAnswer(b)
	if graced {
		a = a.Graced()
	}
	if a.Action == policy.Dunno {
		c.step(Step{Rule: "ban", Mode: mode.String(), Result: "skip", Why: "does not answer at this stage: " + why})
		return false
	}
	c.out.Rules = append(c.out.Rules, "ban")
	c.step(Step{Rule: "ban", Mode: mode.String(), Result: "hit", Why: why + ": " + a.String()})
	v := policy.Verdict{Text: "too much was tried from your address, come back later", Reason: why}
	if a.Action != policy.Defer {
		v.Text = "mail from your address is not taken here"
	}
	c.object("ban", mode, a, &v)
	return c.out.Action != policy.Dunno
}

// onlyWayIn reports whether over half of the mail of a day comes from the client.
func (c *deciding) onlyWayIn() bool {
	c.onlyWay = c.known.Recall().OnlyWayIn(c.ctx, c.q.Client)
	return c.onlyWay
}

// describeBan tells a ban in words of ours, and of the rule that made it.
func describeBan(b *ledger.Ban) string {
	why := b.Network.String() + " is banned"
	if !b.Until.IsZero() {
		why += " until " + b.Until.UTC().Format(time.RFC3339)
	}
	if b.Level > 0 {
		why += ", level " + strconv.Itoa(b.Level)
	}
	return why + ", by " + b.Rule + ": " + b.Because
}

// modeOf returns what a ban may do now: no more than when it was made, and no more than its rule may now. graced says that
// the rule refuses for now only.
func (d *Decider) modeOf(b *ledger.Ban, now time.Time) (mode policy.Mode, graced bool) {
	mode = d.Mode
	if !b.Enforced {
		mode = mode.Cap(policy.Observe)
	}
	for i := range d.Rules {
		if r := &d.Rules[i]; r.Name == b.Rule {
			return mode.Cap(r.Mode), now.Before(r.GraceUntil)
		}
	}
	return mode, false
}

// Refuses reports whether a ban shuts out while it is in force: it was made to, and may do so still.
func (d *Decider) Refuses(b *ledger.Ban) bool {
	mode, _ := d.modeOf(b, time.Time{})
	return mode == policy.Enforce
}

// banAnswer is what a ban answers at this stage. The lower levels refuse for now, and at RCPT only, where an
// authenticated user has had his chance; the higher ones, and an administrator, drop before the client has said a word
// where only servers connect. Where users do, only a network that guesses passwords is dropped, and only if nobody there
// has known one lately.
func (c *deciding) banAnswer(b *ledger.Ban) policy.Answer {
	hard := b.Level >= dropLevel || b.Rule == ledger.Admin
	switch {
	case c.q.Stage == policy.RCPT && !hard:
		return policy.Answer{Action: policy.Defer, Code: "451 4.7.1"}
	case c.q.Stage == policy.RCPT:
		return policy.Answer{Action: policy.Deny, Code: "554 5.7.1"}
	case hard && (c.q.Stage == policy.Connect || c.q.Stage == policy.Helo) && (c.q.ServerPort == 25 || c.lockedOut(b)):
		return policy.Answer{Action: policy.Drop, Code: "554 5.7.1"}
	}
	return policy.Answer{}
}

// lockedOut reports whether a ban shuts out of a submission port before anybody can log in.
func (c *deciding) lockedOut(b *ledger.Ban) bool {
	last := c.standing.LastLogin
	return c.f.Class == policy.Submission && b.Rule == ofAuth && (last.IsZero() || c.f.Now.Sub(last) >= recentAuth)
}

// remembers reports whether a rule is on that needs the memory.
func (c *deciding) remembers() bool {
	for i := range c.Rules {
		if b := &c.Rules[i]; b.Needs&policy.NeedTried != 0 && b.Mode != policy.Off {
			return true
		}
	}
	return false
}

// remember does what a verdict asks for. A ban is on the disk before the answer is given, or the decision says that it is
// not.
func (c *deciding) remember(rule string, mode policy.Mode, v *policy.Verdict) {
	recall := c.known.Recall()
	for _, e := range v.Effects {
		switch e.Kind {
		case policy.Offence:
			if mode == policy.Enforce || !c.enforces(policy.OffencesOf) { // what only observes must not make others refuse
				recall.Offence(c.ctx, c.q, &c.f)
			}
		case policy.Trap:
			recall.Trap(c.q, &c.f)
		case policy.Ban:
			o := ledger.Offence{Network: e.Network, Enforced: mode == policy.Enforce, Rule: rule, Because: v.Reason}
			if ban, made := recall.Ban(c.ctx, o, c.q, &c.f); made {
				c.out.Bans = append(c.out.Bans, ban)
			}
		}
	}
}

func (c *deciding) enforces(rule string) bool {
	for i := range c.Rules {
		if c.Rules[i].Name == rule {
			return c.Rules[i].Mode == policy.Enforce
		}
	}
	return false
}

// delay is what rules want a client to wait, which decides only if nothing else does.
type delay struct {
	rule    string
	mode    policy.Mode
	verdict policy.Verdict
}

func (d *delay) note(rule string, mode policy.Mode, v *policy.Verdict) {
	if v.Delay > d.verdict.Delay {
		*d = delay{rule, mode, *v}
	}
}

// wait lets the client wait, if nobody objects otherwise.
func (c *deciding) wait() {
	if c.delay.verdict.Delay == 0 {
		return
	}
	c.object(c.delay.rule, c.delay.mode, policy.Answer{Action: policy.Delay}, &c.delay.verdict)
	if c.out.Action == policy.Delay {
		c.out.Delay = c.delay.verdict.Delay
	}
}
