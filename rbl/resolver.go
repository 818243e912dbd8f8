package rbl

import (
	"context"
	"net/netip"
	"sync/atomic"
	"time"
)

// Lane keeps questions of one sort from taking the seats of another: at most so many are under way, a bounded number
// waits, and more fail at once with Busy.
type Lane struct {
	seats int
}

// ResolverOptions set up a resolver. The zero value asks the servers of /etc/resolv.conf.
type ResolverOptions struct {
	Servers []netip.AddrPort // in the order tried; port 0 is 53
	// Told is told of what an operator should know, once when it begins and once when it ends. It may be nil, must not
	// block, and may be called from several goroutines.
	Told func(Notice)
}

// Notice is one change of health, of a zone or of the resolver, in words.
type Notice struct {
	Zone  string // public name; empty: the resolver
	State State
	Was   State
	Text  string // what was seen
	Fix   string // what to do about it, or nothing
}

// Resolver asks recursive DNS servers. It is safe for concurrent use. Close it.
type Resolver struct {
	closed atomic.Bool
}

// NewResolver makes a resolver. It opens no socket before the first question.
func NewResolver(o ResolverOptions) (*Resolver, error) { return &Resolver{}, nil }

// Close ends the questions under way with Unanswered, closes every socket, and returns when no goroutine of the resolver
// is left.
func (r *Resolver) Close() error { return nil }

// Servers returns the servers asked, in the order tried.
func (r *Resolver) Servers() []netip.AddrPort { return nil }

// Lookup asks for a name that a client may have chosen: it is answered from a cache, one question serves many askers, and
// at most 64 of them are under way. kind is a type of package miekg/dns (A, AAAA, PTR, MX, TXT, NS). When ctx ends first
// the records are Unanswered, and the question goes on into the cache: with a ctx that has ended Lookup starts a question
// and does not wait. An asker who leaves does not take the others along.
func (r *Resolver) Lookup(ctx context.Context, name string, kind uint16) Records { return Records{} }

// PTR is the outcome of a forward-confirmed reverse lookup (RFC 8601 2.7.3, "iprev").
type PTR struct {
	Status PTRStatus
	Names  []string // confirmed ones if Confirmed, else those that the address has; at most 4
	Note   string
	Late   bool // Unknown because the asking ended first; ask again and the rest is there
}

// PTRStatus says what a reverse lookup found.
type PTRStatus uint8

// The outcomes of a reverse lookup, in the words of RFC 8601.
const (
	PTRUnknown     PTRStatus = iota // some lookup was not answered, and none confirmed
	PTRMissing                      // the address has no name ("permerror")
	PTRUnconfirmed                  // it has names, none of which has the address ("fail")
	PTRConfirmed                    // a name of it has the address ("pass")
)

// Confirm looks up the names of an address and whether they have it: at most 4 names, 8 addresses each. It waits as
// Lookup does, and starts without waiting likewise.
func (r *Resolver) Confirm(ctx context.Context, addr netip.Addr) PTR { return PTR{} }

// lane makes a lane of so many seats.
func (r *Resolver) lane(seats int) *Lane { return &Lane{seats: seats} }

// ask sends a question past the cache. done is called exactly once, perhaps before ask returns, from whatever goroutine
// has the answer: it must not block. The records are complete within questionTime.
func (r *Resolver) ask(l *Lane, name string, kind uint16, done func(Records)) {
	done(Records{})
}

// The time of one question.
const (
	questionTime = 3 * time.Second        // from asked to given up
	firstTry     = 500 * time.Millisecond // then the question is sent a second and last time
)
