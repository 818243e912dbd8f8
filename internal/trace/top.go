package trace

import (
	"time"

	"eximpolicyd/internal/mainlog"
)

// Keys are what senders can be told apart by, in the order of a help text.
func Keys() []string {
	return []string{"account", "directory", "script", "uid", "address", "subject", "client"}
}

// TopOptions say what to count.
type TopOptions struct {
	By    string    // one of Keys
	Since time.Time // what is older does not count
	All   bool      // mail of other hosts counts too
	Most  int       // rows that are returned; 0 is all that are kept
	// UID returns the uid of an account of this machine.
	UID func(account string) (uid uint32, ok bool)
}

// Row is one sender.
type Row struct {
	Key          string    `json:"key"`
	Messages     int       `json:"messages"`
	Missed       int       `json:"may_be_missing,omitempty"` // messages: there were too many senders to keep
	Refused      int       `json:"refused,omitempty"`        // submissions that Exim did not take
	Guessed      int       `json:"guessed,omitempty"`        // messages of which Key is a guess
	Recipients   int       `json:"recipients"`
	Delivered    int       `json:"delivered"`
	Failed       int       `json:"failed"` // recipients that were given up: their sender got a bounce
	Deferred     int       `json:"deferred"`
	Domains      int       `json:"domains"` // to whose hosts it was delivered, or tried
	DomainsAbout bool      `json:"domains_about,omitempty"`
	Bytes        int64     `json:"bytes"`
	First        time.Time `json:"first"`
	Last         time.Time `json:"last"`
	Examples     []string  `json:"examples"` // ids: the first, and the last ones
	domains      sketch
	number       int // in the order in which they came
}

// maxExamples are the first id and the latest two.
const maxExamples = 3

// Top is who sent what.
type Top struct {
	By         string `json:"by"`
	Log        Log    `json:"log"`
	Rows       []*Row `json:"rows"`
	Messages   int    `json:"messages"`             // that were counted
	Refused    int    `json:"refused"`              // submissions that Exim did not take
	Without    int    `json:"without"`              // of both, those of which the log does not tell the key
	Outside    int    `json:"outside"`              // of other hosts: not counted
	Different  int    `json:"different"`            // senders
	About      bool   `json:"about,omitempty"`      // Different is an estimate
	LetGo      int    `json:"let_go,omitempty"`     // how often the lighter half of the senders was let go
	Unfollowed int    `json:"unfollowed,omitempty"` // messages whose deliveries were not followed to the end
	Guessed    int    `json:"guessed,omitempty"`
	Missing    string `json:"missing,omitempty"` // words of log_selector that would tell more
}

// Log is what was read.
type Log struct {
	First   time.Time `json:"first,omitzero"`
	Last    time.Time `json:"last,omitzero"`
	Lines   uint64    `json:"lines"`
	Entries uint64    `json:"entries"`
	Unknown uint64    `json:"unknown"`
	Planted uint64    `json:"planted,omitempty"` // lines that a local user wrote, as the name of a folder
	Faults  []string  `json:"faults,omitempty"`
	Missing string    `json:"missing,omitempty"` // words of log_selector that would tell more

	seen mainlog.Selectors
}
