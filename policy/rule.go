package policy

import "time"

// Judge looks at one request and its facts. It must not change either, and it keeps nothing.
type Judge func(*Request, *Facts) Verdict

// Rule is one objection of a policy.
type Rule struct {
	ID      string // "H3"
	Title   string // what it objects to
	Needs   Need
	Skip    Classes // classes that skip this rule, besides those that skip its policy
	Group   string  // of rules with one group, only the highest score counts
	Answers Answers
	Judge   Judge
}

// Policy is one subject: a name, the classes that skip it, and its settings, to which its rules are bound.
type Policy struct {
	Name   string // the word for it in the configuration, the log and the manual
	About  string // one line
	Stages Stages // where it objects; a policy that scores at RCPT is judged again at DATA, for the sum alone
	Skip   Classes
	Cap    Score // the most its scores add up to; 0: it does not score
	New    func() Settings
}

// Settings are what the configuration says about one policy. New returns them with their defaults; package config
// decodes the keys of [policy.NAME] into the fields that have a toml tag; the about tag explains a key in one line.
type Settings interface {
	// Rules returns the rules in the order asked, bound to these settings.
	Rules() []Rule
	// Check returns what is wrong with the values, by key.
	Check() []Mistake
}

// Mistake is a value that a policy can't work with.
type Mistake struct {
	Key  string // the key within [policy.NAME]
	Text string // what is wrong and what to write instead
}

// Setup is everything the configuration says about one policy.
type Setup struct {
	Mode       Maybe[Mode]
	Preset     Preset
	GraceUntil time.Time // zero: no grace
	Rules      map[string]Mode
	Settings   Settings
}

// Bound is one rule with its effective mode and its answer.
type Bound struct {
	Rule
	Policy     *Policy
	Name       string // "helo.H3"
	Mode       Mode
	Preset     Preset
	GraceUntil time.Time
}

// Bind puts the rules of a table in the order asked, each with its effective mode: the rule's own, else its policy's,
// else observe, and never more than most. A policy without a setup runs on its defaults.
func Bind(table []Policy, setups map[string]Setup, most Mode) []Bound {
	var bound []Bound
	for i := range table {
		p := &table[i]
		setup := setups[p.Name]
		if setup.Settings == nil {
			setup.Settings = p.New()
		}
		for _, r := range setup.Settings.Rules() {
			mode, own := setup.Rules[r.ID]
			if !own {
				mode = setup.Mode.Value
			}
			bound = append(bound, Bound{
				Rule: r, Policy: p, Name: p.Name + "." + r.ID,
				Mode: mode.Cap(most), Preset: setup.Preset, GraceUntil: setup.GraceUntil,
			})
		}
	}
	return bound
}

// Answer returns what a hit at a stage is worth at the time now: the verdict's own answer or the rule's, graced while a
// grace lasts. A local submission has no second try, so it is never graced.
func (b *Bound) Answer(v *Verdict, stage Stage, now time.Time) Answer {
	answers := &b.Answers
	if v.Answers != nil {
		answers = v.Answers
	}
	a := answers[b.Preset]
	if now.Before(b.GraceUntil) && stage != NotSMTP {
		a = a.Graced()
	}
	return a
}
