package policy

import (
	"net/netip"

	"eximpolicyd/rbl"
)

// Action is what Exim is asked to do. There is no accept: what we do not object to is still subject to the site's own
// checks.
type Action uint8

// The actions, from no opinion to the hardest.
const (
	Dunno  Action = iota // no opinion
	Delay                // let the client wait for the answer
	Defer                // refuse for now, 4yz
	Deny                 // refuse for good, 5yz
	Drop                 // refuse for good and close, 5yz
	Freeze               // keep the message in the queue, unseen
)

const actionWords = "dunno\x00delay\x00defer\x00deny\x00drop\x00freeze"

// String returns the verb.
func (a Action) String() string { return word(actionWords, int(a)) }

// MarshalText writes the verb.
func (a Action) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// Score counts tenths of a point, as a list's does.
type Score = rbl.Score

// The thresholds of the sum of all scores.
const (
	RefuseAt Score = 50
	MarkAt   Score = 30
)

// Answer is what one hit of a rule is worth: a hard action with its code, or a score.
type Answer struct {
	Action Action
	Code   string // "550 5.7.1", its first digit fits the action (RFC 5321 4.2, RFC 3463)
	Score  Score
}

// String returns the answer for a reader.
func (a Answer) String() string {
	switch {
	case a.Code != "":
		return a.Action.String() + " " + a.Code
	case a.Action != Dunno:
		return a.Action.String()
	}
	return "score " + a.Score.String()
}

// Answers has an answer for each preset.
type Answers [3]Answer

// by writes the answers in the order of the manual's columns.
func by(lenient, rfc, strict Answer) Answers { return Answers{lenient, rfc, strict} }

// always is the same answer in every preset.
func always(a Answer) Answers { return Answers{a, a, a} }

// instead is what a verdict answers for itself.
func instead(a Answers) *Answers { return &a }

// points is a soft answer, in tenths.
func points(tenths Score) Answer { return Answer{Score: tenths} }

// deny is the hard answer of most rules: 550 and "delivery not authorised" (RFC 3463 3.8).
func deny() Answer { return Answer{Action: Deny, Code: "550 5.7.1"} }

// deferred is the answer to whom may come back: 451 and "delivery not authorised", for now.
func deferred() Answer { return Answer{Action: Defer, Code: "451 4.7.1"} }

// Graced returns a permanent refusal as a temporary one. Drop stays as it is, since Exim has no temporary drop.
func (a Answer) Graced() Answer {
	if a.Action != Deny || len(a.Code) < len("550 5") {
		return a
	}
	return Answer{Action: Defer, Code: "451 4" + a.Code[len("550 5"):]}
}

// Verdict is what a judge found. The zero verdict passes.
type Verdict struct {
	Hit     bool
	Unknown bool     // a fact was missing; never with Hit
	Observe bool     // this hit must not refuse, whatever the mode; Reason says why
	Answers *Answers // instead of the rule's own; nil: those
	Reason  string   // for the log and the trace: the value and what is wrong with it; of no hit only if Facts.Traced
	Text    string   // for the client, one line, without code
	Effects []Effect
	Source  *Source // where a message of ours came from, to be told whatever else is found
	Wants   Need    // facts that may speak for the client, or say more to one who is refused; the judge is asked once more with them
	Delay   int     // seconds, for the answer Delay
}

// Pass is the verdict of a judge with nothing to object to.
func Pass() Verdict { return Verdict{} }

// unknown is the verdict of a judge without the fact it needs.
func unknown(why string) Verdict { return Verdict{Unknown: true, Reason: why} }

// hit objects, with a text for the client and a reason for the log.
func hit(text, reason string) Verdict { return Verdict{Hit: true, Text: text, Reason: reason} }

// EffectKind says what is to be remembered.
type EffectKind uint8

// The kinds of effect.
const (
	Offence EffectKind = iota + 1 // this connection did what no honest client does: it counts as one with only bad recipients
	Ban                           // a network is shut out, for longer each time
	Trap                          // the message at hand is addressed to a spam trap
)

// Effect is something a verdict asks the decider to remember. It is data: a judge changes nothing itself. What is asked by
// a rule that only observes is remembered apart, and never refuses.
type Effect struct {
	Kind    EffectKind
	Network netip.Prefix // that a Ban is of; zero: the client
}

// OffencesOf is the rule that offences lead to a ban by.
const OffencesOf = "dictionary.window"
