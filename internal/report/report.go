package report

import (
	"time"

	"eximpolicyd/acl"
)

// Report is what a replay found, in the names of replay --json. Lists are in the order of what matters most.
type Report struct {
	Log         Log          `json:"log"`
	DNS         bool         `json:"dns"`                   // today's DNS was asked
	Enforced    Sums         `json:"enforced"`              // if every rule that is on were enforced
	Present     Sums         `json:"present"`               // with the modes as they are
	Rules       []Rule       `json:"rules"`                 // in the order asked; then ban, deny and score
	Days        []*Day       `json:"days"`                  // those on which something happened
	Lost        []Sender     `json:"lost"`                  // senders of mail that was taken and would be refused, the 100 first
	Attempts    Attempts     `json:"attempts"`              // to guess, and to relay
	Attackers   []Client     `json:"attackers"`             // by address, an IPv6 /64
	Networks    []Client     `json:"networks"`              // by /24 and /56
	Unjudged    []Unjudged   `json:"unjudged"`              // rules that could not be judged, or not of all
	Exemptions  []Exemption  `json:"exemptions"`            // lines for the configuration
	Differences *Differences `json:"differences,omitempty"` // with Options.Against, instead of all but Log and DNS
}

// Log is what was read.
type Log struct {
	First       time.Time `json:"first,omitzero"`
	Last        time.Time `json:"last,omitzero"`
	Lines       uint64    `json:"lines"`
	Bytes       uint64    `json:"bytes"`
	Entries     uint64    `json:"entries"`
	Unknown     uint64    `json:"unknown"`     // entries of no known form
	NoEntry     uint64    `json:"no_entry"`    // lines that are none
	Reasons     []NoEntry `json:"no_entry_as"` // what these are: headers, second copies, garbage
	Doubtful    uint64    `json:"doubtful"`    // entries that may be of two clients: held against nobody
	Orphans     uint64    `json:"orphans"`     // entries of a client that name none
	Connections int       `json:"connections"` // as far as the log tells them apart
	Faults      []string  `json:"faults"`      // of the inputs
}

// NoEntry counts lines that are no entry for one reason, in the words of mainlog.Reason.
type NoEntry struct {
	What  string `json:"what"`
	Lines uint64 `json:"lines"`
}

// Sums are numbers of recipients that were refused after all, and of messages.
type Sums struct {
	Taken         int `json:"taken"`          // messages that were really taken
	TakenRefused  int `json:"taken_refused"`  // of them, would be refused
	TakenDeferred int `json:"taken_deferred"` // likewise, for now
	Marked        int `json:"marked"`         // likewise
	Refused       int `json:"refused"`        // recipients that were refused in truth, too, and messages
	Deferred      int `json:"deferred"`
	Held          int `json:"held"` // local messages that are put on hold
	Bans          int `json:"bans"`
}

// Rule is what one rule did.
type Rule struct {
	Rule      string `json:"rule"`
	Mode      string `json:"mode"`
	Taken     int    `json:"taken"`   // messages that were taken and that it hit, itself or by a ban
	Hits      int    `json:"hits"`    // what was refused and that it hit: recipients, messages, ends of connections
	Refuses   int    `json:"refuses"` // how often it is the one that refuses
	Defers    int    `json:"defers"`
	Bans      int    `json:"bans"`
	Suggested string `json:"suggested"` // mode; empty: none
}

// Day is what happened on one day.
type Day struct {
	Day           string             `json:"day"`
	Taken         int                `json:"taken"`
	TakenRefused  int                `json:"taken_refused"`
	TakenDeferred int                `json:"taken_deferred"`
	Marked        int                `json:"marked"`
	Attempts      int                `json:"attempts"`
	Met           int                `json:"met"`
	Bans          int                `json:"bans"`
	Rules         map[string]DayRule `json:"rules"` // those that refused, deferred or banned
	rules         []ruleCount
}

// DayRule is what a rule did on a day.
type DayRule struct {
	Refuses int `json:"refuses"`
	Defers  int `json:"defers"`
	Bans    int `json:"bans"`
}

// Sender is one some of whose mail was taken and would be refused.
type Sender struct {
	Sender   string   `json:"sender"` // as the log shows it; empty: bounces
	Messages int      `json:"messages"`
	Refused  int      `json:"refused"`
	Deferred int      `json:"deferred"`
	Rules    []string `json:"rules"`
	Example  Example  `json:"example"`
}

// lostBesides returns how many messages would be lost of other senders than these.
func (r *Report) lostBesides(shown []Sender) int {
	n := r.Enforced.TakenRefused + r.Enforced.TakenDeferred
	for i := range shown {
		n -= shown[i].Messages
	}
	return n
}

// Example is one message.
type Example struct {
	Time   time.Time  `json:"time"`
	ID     string     `json:"id"`
	Client string     `json:"client"` // empty: of this machine
	PTR    string     `json:"ptr"`
	HELO   string     `json:"helo"`
	To     string     `json:"to"`
	Action string     `json:"action"`
	Code   string     `json:"code"`
	Rule   string     `json:"rule"`
	Reason string     `json:"reason"`
	Trace  []acl.Step `json:"trace"`
}

// Attempts are guesses of recipients and passwords, and tries to relay, of everybody.
type Attempts struct {
	All     int `json:"all"`
	Guesses int `json:"guesses"`
	Logins  int `json:"logins"`
	Relays  int `json:"relays"`
	Met     int `json:"met"`     // while a ban was in force
	Refused int `json:"refused"` // by a ban or a rule; a ban of the first levels lets a client try to log in
}

// Client is a client, or a network, that tried something.
type Client struct {
	Network  string    `json:"network"`
	PTR      string    `json:"ptr"`
	HELO     string    `json:"helo"`
	Attempts int       `json:"attempts"`
	Guesses  int       `json:"guesses"`
	Logins   int       `json:"logins"`
	Relays   int       `json:"relays"`
	Met      int       `json:"met"`
	Refused  int       `json:"refused"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
}

// Unjudged is a rule that the log says too little for.
type Unjudged struct {
	Rule  string `json:"rule"`
	Part  bool   `json:"part"` // it was judged of some
	Needs string `json:"needs"`
}

// Exemption is a suggestion.
type Exemption struct {
	Key      string   `json:"key"` // of the configuration
	Of       string   `json:"of"`
	Messages int      `json:"messages"` // that would be taken then
	Rules    []string `json:"rules"`
	Line     string   `json:"line"` // for this one alone
}
