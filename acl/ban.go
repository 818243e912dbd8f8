package acl

import (
	"net/netip"
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
	c.out.Ban = enforced
	if enforced != nil && c.shutsOut(enforced) {
		return true
	}
	if observed != nil {
		c.shutsOut(observed)
		if c.out.Ban == nil || c.out.Rule == "ban" {
			c.out.Ban = observed
		}
	}
	return false
}

// shutsOut objects for a ban and reports whether that decides.
func (c *deciding) shutsOut(b *ledger.Ban) bool {
	a := c.banAnswer(b)
	if a.Action == policy.Dunno && !c.trace && c.q.Stage >= policy.RCPT { // of which nothing is told
		return false
	}
	mode, graced := c.modeOf(b, c.f.Now)
	if graced {
		a = a.Graced()
	}
	skip := func(result, why string) {
		if c.trace {
			c.step(Step{Rule: "ban", Mode: mode.String(), Result: result, Why: why + c.describe(b)})
		}
	}
	switch {
	case mode == policy.Off:
		skip("off", "")
		return false
	case b.Rule != ledger.Admin && c.f.Class.PassesBan(b.Level), b.Rule == ledger.Admin && c.f.Class.PassesDeny():
		skip("skip", "skipped for class "+c.f.Class.String()+": ")
		return false
	case b.Rule != ledger.Admin && c.onlyWayIn(): // others of its network have earned it
		skip("skip", "over half of the mail of a day comes from this client: ")
		return false
	}
	c.shut = c.shut || mode == policy.Enforce
	if a.Action == policy.Dunno {
		skip("skip", "does not answer at this stage: ")
		return false
	}
	c.hits("ban")
	if c.trace {
		c.step(Step{Rule: "ban", Mode: mode.String(), Result: "hit", Why: c.describe(b) + ": " + a.String()})
	}
	v := policy.Verdict{Text: "too much was tried from your address, come back later", Reason: c.describe(b)}
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

// maxTold is how many bans whoever decides one request after the other keeps in words, 300 kB: they do not change, and are
// told again to a client that asks again.
const maxTold = 1024

func (c *deciding) describe(b *ledger.Ban) string {
	why, known := c.told[b]
	if known {
		return why
	}
	why = describeBan(b)
	if c.told != nil {
		if len(c.told) == maxTold {
			clear(c.told)
		}
		c.told[b] = why
	}
	return why
}

// describeBan tells a ban in words of ours, and of the rule that made it.
func describeBan(b *ledger.Ban) string {
	var room [320]byte
	why := append(b.Network.AppendTo(room[:0]), " is banned"...)
	if !b.Until.IsZero() {
		why = b.Until.UTC().AppendFormat(append(why, " until "...), time.RFC3339)
	}
	if b.Level > 0 {
		why = strconv.AppendInt(append(why, ", level "...), int64(b.Level), 10)
	}
	why = append(append(why, ", by "...), b.Rule...)
	return string(append(append(why, ": "...), b.Because...))
}

// modeOf returns what a ban may do now: no more than when it was made, and no more than its rule may now. graced says that
// the rule refuses for now only.
func (d *Decider) modeOf(b *ledger.Ban, now time.Time) (mode policy.Mode, graced bool) {
	mode = d.Mode
	if !b.Enforced {
		mode = mode.Cap(policy.Observe)
	}
	if i, ok := d.planned().places[b.Rule]; ok {
		return mode.Cap(d.Rules[i].Mode), now.Before(d.Rules[i].GraceUntil)
	}
	return mode, false
}

// Refuses reports whether a ban shuts out while it is in force: it was made to, and may do so still.
func (d *Decider) Refuses(b *ledger.Ban) bool {
	mode, _ := d.modeOf(b, time.Time{})
	return mode == policy.Enforce
}

// Hard reports whether a ban refuses for good, and may do so before RCPT.
func Hard(b *ledger.Ban) bool { return b.Level >= dropLevel || b.Rule == ledger.Admin }

// banAnswer is what a ban answers at this stage. The lower levels refuse for now, and at RCPT only, where an
// authenticated user has had his chance; the higher ones, and an administrator, drop before the client has said a word
// where only servers connect. Where users do, only a network that guesses passwords is dropped, and only if nobody there
// has known one lately.
func (c *deciding) banAnswer(b *ledger.Ban) policy.Answer {
	hard := Hard(b)
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
	if c.f.Class != policy.Submission || b.Rule != ofAuth {
		return false
	}
	var known bool
	c.login, known = c.known.Recall().LastLogin(c.ctx, b.Network)
	return known && (c.login.IsZero() || c.f.Now.Sub(c.login) >= recentAuth)
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
			if c.inForce(e.Network) {
				continue
			}
			o := ledger.Offence{Network: e.Network, Enforced: mode == policy.Enforce, Rule: rule, Because: v.Reason}
			if ban, made := recall.Ban(c.ctx, o, c.q, &c.f); made {
				c.out.Bans = append(c.out.Bans, ban)
			}
		}
	}
}

// inForce reports whether an enforced ban of a network, or of the client, is known to be in force: then another is none.
func (c *deciding) inForce(network netip.Prefix) bool {
	if !network.IsValid() {
		network = ledger.Client(c.q.Client)
	}
	b := c.standing.Enforced
	return b != nil && b.Network == network
}

func (c *deciding) enforces(rule string) bool {
	i, ok := c.planned().places[rule]
	return ok && c.Rules[i].Mode == policy.Enforce
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
