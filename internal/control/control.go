// Package control is the administrator's socket: a Unix socket beside the one that Exim asks, with which a command looks
// into the running daemon, bans, lets in and forgets.
//
// Exim's socket is open to Exim's group, and what comes over it can be made up by any local user; so nothing that an
// administrator does goes through it. This one has mode 0600 and answers only root and the daemon's own user, whatever
// the mode has become.
//
// A connection is one request and its answer. Each is a JSON object on one line, and before the answer there may be
// lines of what was asked for; without the last line, what came is cut:
//
//	{"request":"ban","network":"192.0.2.0/24","for_s":86400,"because":"calls every night"}
//	{"reply":{"network":"192.0.2.0/24","level":0,"durable":true,...}}
//
//	{"request":"bans"}
//	{"line":{"network":"192.0.2.0/24",...}}
//	{"reply":{"lines":1}}
//
//	{"request":"ban","network":"0.0.0.0/0"}
//	{"error":"0.0.0.0/0 is wider than /8","kind":"wrong"}
//
// An import has its octets behind the line of the request, as many as that says. A request that is wrong changes nothing.
//
// A request has at most 4 kB, a line of an answer 1 MB, an import 128 MB. A connection is waited for 5 s in all, and a
// second more for each 256 kB that have come or gone, so that nobody holds a seat who does not use it.
package control

import (
	"encoding/json"
	"net/netip"
	"time"
)

// Bounds of a connection.
const (
	maxRequest = 4 << 10
	maxLine    = 1 << 20         // 64 lists with all their fields are 40 kB
	deadline   = 5 * time.Second // a machine that stands still for 2 s is a busy one, and its administrator wants to know why
	pace       = 256 << 10       // octets that win another second
)

// Request is what is asked, by a word and what that needs.
type Request struct {
	Request string       `json:"request"`
	Network netip.Prefix `json:"network,omitzero"`  // of Ban, Unban, Allow, Disallow, Why and Forget
	Wide    bool         `json:"wide,omitempty"`    // of Ban and Allow: the network may be wider than Widest
	Seconds int64        `json:"for_s,omitempty"`   // of Ban and Allow; 0: for ever
	Because string       `json:"because,omitempty"` // likewise
	All     bool         `json:"all,omitempty"`     // of Bans: those that are over, too
	Account string       `json:"account,omitempty"` // of Forget, instead of a network
	Login   string       `json:"login,omitempty"`   // of Forget: the account as somebody logs in with it, if that is another word
	Size    int64        `json:"size,omitempty"`    // of Import: the octets that follow
	ID      string       `json:"id,omitempty"`      // of Explain
	Last    int          `json:"last,omitempty"`    // of Recent: how many
	Stamp   string       `json:"stamp,omitempty"`   // of Whose: a header field
}

// The requests, each with its reply; those of lines have a Sum as theirs.
const (
	Lists    = "lists"    // the health of every list, a []rbl.ZoneHealth in the order of the configuration
	Stands   = "status"   // a Status
	Bans     = "bans"     // lines of Ban, in the order of the networks
	Bar      = "ban"      // the Ban
	Unban    = "unban"    // a Lifted
	Allows   = "allows"   // lines of Allowed, likewise
	Spares   = "spares"   // lines of networks that no firewall should shut out, besides the allowed ones
	Allow    = "allow"    // the Allowed
	Disallow = "disallow" // a Disallowed
	Why      = "why"      // a Reasons
	Forget   = "forget"   // an Erased
	Export   = "export"   // lines of the memory as it is
	Import   = "import"   // a Taken
	Explain  = "explain"  // an Explained
	Recent   = "recent"   // lines of acl.Explanation, the newest last
	Whose    = "origin"   // an Origin
	Rekey    = "rekey"    // a Rekeyed
)

// Sum is the reply behind lines.
type Sum struct {
	Lines int `json:"lines"`
}

// answer is one line from the daemon.
type answer struct {
	Line  json.RawMessage `json:"line,omitempty"`
	Reply json.RawMessage `json:"reply,omitempty"`
	Error string          `json:"error,omitempty"`
	Kind  Kind            `json:"kind,omitempty"`
}

// What stands around the Line of an answer.
const (
	lineHead = `{"line":`
	lineEnd  = "}\n"
)

// Kind is why a request was refused.
type Kind string

// The kinds of refusals.
const (
	Denied Kind = "denied" // this user may not ask
	Wrong  Kind = "wrong"  // it was asked wrongly, and nothing has changed
	Busy   Kind = "busy"   // not now
	Failed Kind = "failed" // the daemon could not
)

// Refusal is what the daemon says instead of a reply.
type Refusal struct {
	Kind Kind
	Text string
}

// Error is what the administrator is told.
func (r *Refusal) Error() string { return r.Text }
