package acl

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"eximpolicyd/internal/origin"
	"eximpolicyd/policy"
	"eximpolicyd/rbl"
)

// Judged is what came of a session, in the words of check --json.
type Judged struct {
	Decision
	DNS []Heard `json:"dns,omitempty"` // what it said at any stage, as explain has it; words of strangers, as they came
}

// Session judges a request at its stage as a session of one recipient that comes to that stage, and stops at the first
// stage that refuses. The decision is the last one, with the rules, the trace and the first observed objection of all.
func (d *Decider) Session(ctx context.Context, q *policy.Request, now time.Time, known Provider) Judged {
	session := Judged{Decision: Decision{Rules: []string{}, Trace: []Step{}}}
	for _, stage := range stagesTo(q.Stage) {
		m := d.decide(ctx, until(stage, q), now, known, true)
		session.join(m.out)
		session.hear(m.heard())
		if m.out.Action > policy.Delay {
			break
		}
	}
	return session
}

// hear puts what the DNS said in the place of what it said of the same at an earlier stage.
func (s *Judged) hear(later []Heard) {
	for _, h := range later {
		same := func(earlier Heard) bool { return earlier.Asked == h.Asked && earlier.Of == h.Of }
		if i := slices.IndexFunc(s.DNS, same); i >= 0 {
			s.DNS[i] = h
		} else {
			s.DNS = append(s.DNS, h)
		}
	}
}

// stagesTo returns the stages that a session passes before it comes to one, and that one.
func stagesTo(last policy.Stage) []policy.Stage {
	if last == policy.NotSMTP || last == policy.NotSMTPStart {
		return []policy.Stage{last}
	}
	var stages []policy.Stage
	for _, s := range []policy.Stage{policy.Connect, policy.Helo, policy.Mail, policy.RCPT, policy.Data} {
		if s < last {
			stages = append(stages, s)
		}
	}
	return append(stages, last)
}

// until returns what Exim knows of a request at an earlier stage.
func until(stage policy.Stage, q *policy.Request) *policy.Request {
	early := *q
	early.Stage = stage
	if stage == q.Stage {
		if stage == policy.Data && early.Recipients == 0 {
			early.Recipients = 1
		}
		return &early
	}
	early.Recipients = 0
	if stage < policy.Data {
		early.QueueID, early.ListID, early.SpamScore = "", "", ""
		early.MessageID, early.Date, early.From = policy.Field{}, policy.Field{}, policy.Field{}
		early.MessageIDSize = 0
	}
	if stage < policy.RCPT {
		early.Recipient, early.Verify, early.VerifyFailure = "", policy.VerifyUnasked, ""
	}
	if stage < policy.Mail {
		early.Sender, early.AuthAs, early.AuthBy = policy.Maybe[string]{}, "", ""
	}
	if stage < policy.Helo {
		early.HELO, early.Greeting = policy.Maybe[string]{}, policy.HELOName{}
	}
	return &early
}

// join takes over a later decision of the same session.
func (d *Decision) join(part Decision) {
	earlier := *d
	*d = part
	d.Rules = earlier.Rules
	if part.Stage != policy.RCPT && part.Stage != policy.Data && part.Stage != policy.NotSMTP { // judges nothing
		d.Score, d.Mark, d.Reason = earlier.Score, earlier.Mark, earlier.Reason
	}
	for _, r := range part.Rules {
		if !has(d.Rules, r) {
			d.Rules = append(d.Rules, r)
		}
	}
	d.Trace = earlier.Trace
	for _, s := range part.Trace {
		d.joinStep(s)
	}
	if part.Action == policy.Dunno && earlier.Would != would(policy.Dunno) {
		d.Would, d.Rule, d.Code, d.Text, d.Reason = earlier.Would, earlier.Rule, earlier.Code, earlier.Text, earlier.Reason
	}
}

// joinStep puts a step into the trace in place of the one of the same name: the later stage knows more. The sum of the
// scores stays last.
func (d *Decision) joinStep(s Step) {
	for i := range d.Trace {
		if d.Trace[i].Rule != s.Rule {
			continue
		}
		if s.Rule == "score" {
			d.Trace = append(d.Trace[:i], d.Trace[i+1:]...)
			break
		}
		if d.Trace[i].Result != "hit" || s.Result == "hit" {
			d.Trace[i] = s
		}
		return
	}
	d.Trace = append(d.Trace, s)
}

func has(list []string, s string) bool {
	for _, t := range list {
		if s == t {
			return true
		}
	}
	return false
}

// Given is the provider of check: the request says everything but what the DNS does, and the connection counts as proven.
type Given struct {
	Interfaces []netip.Addr
	DNS        *DNS    // nil: nothing of the DNS is known
	Own        *OwnDNS // likewise
}

// Gather takes the facts from the request, and asks the DNS. A confirmed name that somebody gives is believed.
func (g Given) Gather(ctx context.Context, needs policy.Need, q *policy.Request, f *policy.Facts) (late policy.Need) {
	f.Interfaces = g.Interfaces
	f.OwnAddresses, f.Relays = g.Own.known()
	believe([]string{q.ClientName}, f)
	late = g.DNS.gather(ctx, needs, q, f)
	f.OnlyPostmaster = q.Stage == policy.Data && q.Recipients == 1 && policy.ToPostmaster(q.Recipient)
	if needs&policy.NeedAccount != 0 {
		f.Account = account(q, f, nil)
	}
	if needs&policy.NeedGreetings != 0 && q.HELO.Known && q.TLSCipher == "" {
		for _, name := range q.HELOHistory {
			f.Greetings = append(f.Greetings, policy.Greeting{Name: name})
		}
	}
	if needs&policy.NeedGreetings != 0 && q.HELO.Known {
		f.Greetings = append(f.Greetings, policy.Greeting{Name: q.HELO.Value, TLS: q.TLSCipher != ""})
	}
	return late
}

// believe takes a confirmed name that a request has, if it has one. Exim sends none: a person typed it, or a log has it.
func believe(name []string, f *policy.Facts) {
	if name[0] != "" && f.ClientName == "" {
		f.PTR = rbl.PTR{Status: rbl.PTRConfirmed, Names: name}
		f.ClientName = name[0]
	}
}

// Start starts nothing: whoever typed the request waits for it in any case.
func (g Given) Start(policy.Need, *policy.Request, *policy.Facts) {}

// Proven is true: a request that somebody typed is about a connection that he means.
func (g Given) Proven() bool { return true }

// Recall is nil: what somebody typed is not remembered, and nothing is remembered against it.
func (g Given) Recall() *Recall { return nil }

// account looks up the login name of whoever is behind a request from this machine. The uid of a request over TCP is
// Exim's own, which tells nothing; there it is the owner of the other end. A nil name asks this machine.
func account(q *policy.Request, f *policy.Facts, name func(uint32) (string, bool)) string {
	uid := q.UID
	if q.Client.IsValid() {
		uid = f.ClientUID
	}
	if !uid.Known {
		return ""
	}
	if name == nil {
		name = origin.Account
	}
	login, _ := name(uid.Value)
	return login
}
