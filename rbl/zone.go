package rbl

import "net/netip"

// Kind says what a zone lists.
type Kind uint8

// The kinds of zone (RFC 5782 2 and 3).
const (
	OfAddresses Kind = iota
	OfNames
)

// Zone is one list as it is asked and weighed. It is made by Zones and not changed afterwards.
type Zone struct {
	Name     string // as asked: lower case, no dot at the end. It may hold a key: show Public, never this
	Public   string // as shown, a key masked: "***.zen.dq.spamhaus.net"
	Operator string // lists of one operator count once
	Kind     Kind
	IPv4     bool // of addresses: which it knows
	IPv6     bool
	Weights  []Weight
	URL      string // where a sender can look himself up, or nothing
	One      bool   // 127.0.0.1 is a code of this list and not a fault
}

// Weight is what codes are worth. Of one zone every weight counts that a code fits, once however many codes do.
type Weight struct {
	Codes   Pattern
	Score   Score
	Meaning string // "SBL", for a reader, or nothing
}

// Reading is what the addresses that a zone answered mean.
type Reading struct {
	Status Status
	Codes  []Code // of a listing; those declared
	Fault  State  // OK, ErrorCode or Hijacked: then Status is Unknown
	Why    string // of a fault or of codes that the zone does not declare, for the log
}

// Read decides whether what a zone answered is a listing: inside 127.0.0.0/8, not in 127.255.255.0/24, not 127.0.0.1
// unless the zone says so, and one of the codes it declares. No addresses at all are Clear.
func (z *Zone) Read(addresses []netip.Addr) Reading { return Reading{} }

// Weigh returns what a listing with these codes is worth, and the meanings of the weights that fit.
func (z *Zone) Weigh(codes []Code) (Score, []string) { return 0, nil }
