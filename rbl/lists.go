package rbl

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Lists asks a set of zones about clients and names. It is safe for concurrent use.
//
// It scores nothing of a zone that has not passed its own test (RFC 5782 5), which Run makes.
type Lists struct {
	zones []*Zone
}

// ListsOptions set up Lists.
type ListsOptions struct {
	Told func(Notice) // as that of ResolverOptions
	Rows int          // clients remembered; 0: 262,144
}

// NewLists makes Lists of zones, which may be of both kinds. Every zone is Untested until Run has tested it.
func NewLists(r *Resolver, zones []*Zone, o ListsOptions) *Lists { return &Lists{zones: zones} }

// Run tests every zone at once, then every 30 minutes, and an unhealthy one when its breaker ends, until ctx ends. It is
// the only goroutine of Lists; nobody is scored without it.
func (l *Lists) Run(ctx context.Context) { <-ctx.Done() }

// Test tests every zone once, side by side, and returns when all are tested or ctx ends.
func (l *Lists) Test(ctx context.Context) {}

// Check asks the zones of addresses about a client, all at once. When ctx ends, what has been answered counts and the
// rest is Unknown, and goes on into the cache: with a ctx that has ended Check starts and does not wait.
func (l *Lists) Check(ctx context.Context, client netip.Addr) Report { return Report{} }

// CheckName asks the zones of names, as Check does. Names are of the client's choosing and take no seat from addresses.
func (l *Lists) CheckName(ctx context.Context, name string) Report { return Report{} }

// Text asks for the TXT record of a listing, cleaned (RFC 5782 2.1): what the list has to say about the subject. Ask for
// it only when it will be shown.
func (l *Lists) Text(ctx context.Context, subject string, a *Answer) string { return "" }

// States returns the health of each zone, in the order of the zones.
func (l *Lists) States() []ZoneHealth { return nil }

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
