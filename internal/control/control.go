// Package control is the administrator's socket: a Unix socket beside the one that Exim asks, with which a command looks
// into the running daemon.
//
// Exim's socket is open to Exim's group, and what comes over it can be made up by any local user; so nothing that an
// administrator does goes through it. This one has mode 0600 and answers only root and the daemon's own user, whatever
// the mode has become.
//
// A connection is one request and one reply, each a JSON object on one line:
//
//	{"request":"lists"}
//	{"reply":[{"zone":"list.example","state":"ok",...}]}
//	{"error":"no such request: \"list\""}
//
// A request has at most 4 kB, a reply 1 MB, and both together 2 s.
package control

import (
	"encoding/json"
	"time"
)

// Bounds of a connection.
const (
	maxRequest = 4 << 10
	maxReply   = 1 << 20 // 64 lists with all their fields are 40 kB
	deadline   = 2 * time.Second
)

// Request is what is asked.
type Request struct {
	Request string `json:"request"` // a word: Lists
}

// Lists asks for the health of every list, a []rbl.ZoneHealth in the order of the configuration.
const Lists = "lists"

// answer is one reply.
type answer struct {
	Reply json.RawMessage `json:"reply,omitempty"`
	Error string          `json:"error,omitempty"`
}
