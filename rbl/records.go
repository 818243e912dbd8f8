package rbl

import (
	"net/netip"
	"time"
)

// Outcome is how a question to the DNS ended.
type Outcome uint8

// The outcomes. Only the first three after Unanswered say something about the name.
const (
	Unanswered Outcome = iota // not asked, or not answered yet
	Found                     // records of the type asked for
	Empty                     // the name exists, without such records (NODATA)
	Missing                   // the name does not exist (NXDOMAIN)
	Failed                    // SERVFAIL, or an answer that is no use
	Refused                   // the server does not answer us
	TimedOut                  // no answer that fits came
	Busy                      // too many questions under way: not asked
	Down                      // the server answers nobody at present: not asked, or in vain
)

// Answered reports whether the DNS said something about the name.
func (o Outcome) Answered() bool { return o == Found || o == Empty || o == Missing }

// String returns the outcome for a reader.
func (o Outcome) String() string {
	return [...]string{"unanswered", "found", "no such record", "no such name", "server failure", "refused", "no answer",
		"too many questions", "server is down"}[min(o, Down)]
}

// Bounds of what is kept of one answer. Nobody needs more to judge a client, and a stranger's zone may hold anything.
const (
	MaxAddresses = 16
	MaxNames     = 16
	MaxText      = 200 // octets of TXT, made printable
)

// Records is what the DNS says: records on the question's own CNAME chain and nothing else. Others share it: do not
// change it.
type Records struct {
	Outcome   Outcome
	Addresses []netip.Addr // of A and AAAA, unmapped
	Names     []string     // of PTR, MX (best first) and NS: lower case, no dot at the end
	Text      string       // of TXT
	TTL       time.Duration
	Note      string         // why there is no answer, for a reader
	Age       time.Duration  // how long ago it was answered; 0: it was asked now
	Server    netip.AddrPort // that said so; zero if none did
}

// Origin is where something that the DNS says comes from, and for how long it holds.
type Origin struct {
	TTL    time.Duration
	Age    time.Duration  // how long ago it was answered; 0: it was asked now
	Server netip.AddrPort // zero: none said it, or several did
}

// Origin returns the records'.
func (r *Records) Origin() Origin { return Origin{r.TTL, r.Age, r.Server} }

// And is the origin of what two answers say together: it holds as long as both, and is as old as the older one. The zero
// Origin says nothing of its own.
func (o Origin) And(other Origin) Origin {
	switch {
	case o == Origin{}:
		return other
	case other == Origin{}:
		return o
	case o.Server != other.Server:
		o.Server = netip.AddrPort{}
	}
	return Origin{min(o.TTL, other.TTL), max(o.Age, other.Age), o.Server}
}
