package rbl

import (
	"fmt"
	"slices"
	"time"
)

// State is the health of a zone. The zero state scores nothing.
type State uint8

// The states. Only OK scores.
const (
	Untested  State = iota // no test has ended yet
	OK                     // its test entries answer as RFC 5782 says
	ErrorCode              // it answers a code that says it refuses us
	Inert                  // its test entry is not listed: emptied, dead
	World                  // it lists what it must not: everybody
	Hijacked               // somebody else answers in its place
	Timeout                // no answer, or none of use
)

// String returns the state in the words of status and log.
func (s State) String() string { return stateWords[min(s, Timeout)] }

var stateWords = [...]string{"untested", "ok", "error-code", "inert", "world", "hijacked", "timeout"}

// MarshalText writes the word.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the word.
func (s *State) UnmarshalText(text []byte) error {
	i := slices.Index(stateWords[:], string(text))
	if i < 0 {
		return fmt.Errorf("%q is no state of a zone", text)
	}
	*s = State(i)
	return nil
}

// ZoneHealth is how one zone does, in the words of lists --json.
type ZoneHealth struct {
	Zone     string    `json:"zone"` // public name
	Kind     string    `json:"kind"` // addresses or names
	State    State     `json:"state"`
	Since    time.Time `json:"since"`
	Tested   time.Time `json:"tested"` // zero: never
	Next     time.Time `json:"next"`   // test
	Why      string    `json:"why,omitempty"`
	Fix      string    `json:"fix,omitempty"`
	Errors   []string  `json:"errors,omitempty"` // error codes seen, newest last, at most 8
	Asked    uint64    `json:"asked"`            // questions about clients and names
	Timeouts uint64    `json:"timeouts"`
	Failures uint64    `json:"failures"`
	Listed   uint64    `json:"listed"`
	Share    float64   `json:"share"` // of the last 200 distinct public clients, those listed; -1: too few yet
}
