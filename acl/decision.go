package acl

import (
	"eximpolicyd/internal/ledger"
	"eximpolicyd/policy"
)

// Decision is the outcome of one request, in the words of check --json and of the decision line.
type Decision struct {
	Action policy.Action `json:"action"`
	Code   string        `json:"code"`  // "550 5.7.1", of the objection made or only observed
	Rule   string        `json:"rule"`  // "helo.H3", whose objection that is
	Rules  []string      `json:"rules"` // all that hit, observed ones too
	Score  policy.Score  `json:"score"` // of all that hit, capped
	Mark   bool          `json:"mark"`  // the message is marked
	Stage  policy.Stage  `json:"stage"`
	Text   string        `json:"text"`  // for the client, without the code
	Would  would         `json:"would"` // the action that was only observed
	Trace  []Step        `json:"trace"`

	*policy.Source // of a message of ours, else nil; shared, not to be changed

	ID        string       `json:"id,omitempty"`
	Class     policy.Class `json:"class"`
	Reason    string       `json:"-"` // of Rule, for the log
	Synthetic bool         `json:"synthetic"`
	Degraded  bool         `json:"degraded"`
	Delay     int          `json:"delay,omitempty"` // seconds that the client waits, for the action delay
	Bans      []ledger.Ban `json:"-"`               // that this decision made
	Ban       *ledger.Ban  `json:"-"`               // that is in force, by which it is made if Rule is ban; shared, not to be changed
}

// would is an action that was not taken; no action is an empty string.
type would policy.Action

// String returns the verb, or nothing.
func (w would) String() string {
	if policy.Action(w) == policy.Dunno {
		return ""
	}
	return policy.Action(w).String()
}

// MarshalText writes the verb, or nothing.
func (w would) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// Step is one line of a trace: a rule or an exemption, what it found and why.
type Step struct {
	Rule   string       `json:"rule"`
	Mode   string       `json:"mode"`   // of a rule; empty for what has none
	Result string       `json:"result"` // pass, hit, unknown, off, skip; applies and no for an exemption
	Score  policy.Score `json:"score"`
	Why    string       `json:"why"`
}
