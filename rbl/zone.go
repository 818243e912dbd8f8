package rbl

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Kind says what a zone lists.
type Kind uint8

// The kinds of zone (RFC 5782 2 and 3).
const (
	OfAddresses Kind = iota
	OfNames
)

// String returns the kind for a reader.
func (k Kind) String() string { return [...]string{"addresses", "names"}[min(k, OfNames)] }

// Zone is one list as it is asked and weighed. It is made by Zones and not changed afterwards.
type Zone struct {
	Name     string `json:"-"` // as asked: lower case, no dot at the end. It may hold a key: show Public, never this
	Public   string // as shown, a key masked: "***.zen.dq.spamhaus.net"
	Operator string // lists of one operator count once
	Kind     Kind
	IPv4     bool // of addresses: which it may know; both, unless the catalogue is sure that it has no IPv6
	IPv6     bool
	Weights  []Weight
	Errors   []Weight // codes by which this list refuses to answer, with what they mean; they score nothing
	URL      string   // where a sender can look himself up, or nothing
	Needs    string   // what has to be done before the list answers: "registration of ...", or nothing
	One      bool     // 127.0.0.1 is a code of this list and not a fault
	Test     string   // what it lists for tests besides 127.0.0.2 or TEST (RFC 5782 5): an address, a name, or NoTest
}

// NoTest is the Test of a zone that lists nothing for tests: it can't be found inert.
const NoTest = "none"

// String returns the public name.
func (z *Zone) String() string { return z.Public }

// Weight is what codes are worth. Of one zone every weight counts that a code fits, once however many codes do.
type Weight struct {
	Codes   Pattern
	Score   Score
	Meaning string // "SBL", for a reader, or nothing
}

// MaxZones is how many zones of one kind there may be. Each costs a question for a new client; sites of postscreen have
// ten.
const MaxZones = 32

// Zones makes the zones of a configuration: entries of one zone are put together, and what they leave out comes from the
// catalogue. The error names the first entry that fits no zone of this kind.
func Zones(kind Kind, entries []Entry) ([]*Zone, error) {
	var zones []*Zone
	for _, e := range entries {
		e.Zone = canonicalZone(e.Zone)
		if err := e.check(); err != nil {
			return nil, err
		}
		k := lookUp(e.Zone)
		if k != nil && k.kinds&(1<<kind) == 0 {
			return nil, fmt.Errorf("%v is a list of %v, not of %v: write it among the lists of %[2]v", e, 1-kind, kind)
		}
		i := slices.IndexFunc(zones, func(z *Zone) bool { return z.Name == e.Zone })
		if i < 0 {
			if i = len(zones); i == MaxZones {
				return nil, fmt.Errorf("%v is one list of %v too many: at most %d are asked", e, kind, MaxZones)
			}
			zones = append(zones, newZone(kind, e.Zone, k))
		}
		zones[i].Weights = append(zones[i].Weights, k.weightsOf(e)...)
		// Who writes just this code for a list that nobody knows says that it is one.
		zones[i].One = zones[i].One || k == nil && e.Codes.only(Code{0, 0, 1})
	}
	return zones, nil
}

// ParseZones makes zones of entries in postscreen's notation, for who has no configuration file.
func ParseZones(kind Kind, entries ...string) ([]*Zone, error) {
	parsed := make([]Entry, len(entries))
	for i, text := range entries {
		if err := parsed[i].UnmarshalText([]byte(text)); err != nil {
			return nil, err
		}
	}
	return Zones(kind, parsed)
}

func newZone(kind Kind, name string, k *known) *Zone {
	z := &Zone{Name: name, Public: publicName(name), Kind: kind}
	z.IPv4, z.IPv6 = kind == OfAddresses, kind == OfAddresses && (k == nil || !k.noIPv6)
	if k != nil {
		z.Operator, z.URL, z.Needs, z.One, z.Errors, z.Test = k.operator, k.url, k.needs, k.one, weights(k.errors), k.test
	}
	return z
}

// Reading is what the addresses that a zone answered mean.
type Reading struct {
	Status Status
	Codes  []Code // of a listing; those declared
	Fault  State  // OK, ErrorCode or Hijacked: then Status is Unknown
	Why    string // of a fault or of codes that the zone does not declare, for the log
}

// Read decides whether what a zone answered is a listing: inside 127.0.0.0/8, not in 127.255.255.0/24, not 127.0.0.1
// unless the zone says so, and one of the codes it declares. No addresses at all are Clear. A fault in one address is a
// fault of the answer, whatever stands beside it.
//
// A code that the zone does not declare is Clear and no fault. Whether the zone answers a test is another question: it
// does if there are addresses and the Fault is OK.
func (z *Zone) Read(addresses []netip.Addr) Reading {
	if len(addresses) == 0 {
		return Reading{Status: Clear, Fault: OK}
	}
	for _, a := range addresses {
		if a = a.Unmap(); !a.Is4() || !a.IsLoopback() {
			return Reading{Fault: Hijacked, Why: a.String() + " is outside of 127.0.0.0/8: no list answers that"}
		}
	}
	for _, a := range addresses {
		if c := codeOf(a); z.fault(c) {
			return Reading{Fault: ErrorCode, Why: c.String() + ": " + z.faultMeaning(c)}
		}
	}
	r := Reading{Status: Clear, Fault: OK}
	var undeclared []string
	for _, a := range addresses {
		switch c := codeOf(a); {
		case slices.Contains(r.Codes, c):
		case z.declares(c):
			r.Codes = append(r.Codes, c)
			r.Status = Listed
		default:
			undeclared = append(undeclared, c.String())
		}
	}
	slices.SortFunc(r.Codes, func(a, b Code) int { return slices.Compare(a[:], b[:]) })
	if undeclared != nil {
		r.Why = strings.Join(undeclared, " ") + ": no code that counts here"
	}
	return r
}

// codeOf returns the code that an address in 127.0.0.0/8 is.
func codeOf(a netip.Addr) Code {
	octets := a.As4()
	return Code(octets[1:])
}

// fault reports whether a code says that the list refuses to answer.
func (z *Zone) fault(c Code) bool {
	if c[0] == 255 && c[1] == 255 || c == (Code{0, 0, 1}) && !z.One {
		return true
	}
	for i := range z.Errors {
		if z.Errors[i].Codes.Has(c) {
			return true
		}
	}
	return false
}

// faultMeaning says what an error code means. Those of 127.255.255.0/24 are Spamhaus', which others have taken over.
func (z *Zone) faultMeaning(c Code) string {
	for i := range z.Errors {
		if z.Errors[i].Codes.Has(c) {
			return z.Errors[i].Meaning
		}
	}
	switch c {
	case Code{255, 255, 252}:
		return "the name of the list is mistyped"
	case Code{255, 255, 254}:
		return "it was asked through a public resolver"
	case Code{255, 255, 255}:
		return "it was asked too often"
	case Code{0, 0, 1}:
		return "no code of this list: it refuses to answer, or lists itself"
	}
	return "it refuses to answer"
}

func (z *Zone) declares(c Code) bool {
	for i := range z.Weights {
		if z.Weights[i].Codes.Has(c) {
			return true
		}
	}
	return false
}

// Weigh returns what a listing with these codes is worth, and the meanings of the weights that fit.
func (z *Zone) Weigh(codes []Code) (Score, []string) {
	var meanings []string
	for i := range z.Weights {
		w := &z.Weights[i]
		if w.Meaning != "" && w.fits(codes) && !slices.Contains(meanings, w.Meaning) {
			meanings = append(meanings, w.Meaning)
		}
	}
	return z.score(codes), meanings
}

// score returns what a listing with these codes is worth.
func (z *Zone) score(codes []Code) Score {
	sum := Score(0)
	for i := range z.Weights {
		if z.Weights[i].fits(codes) {
			sum += z.Weights[i].Score
		}
	}
	return sum
}

// fits reports whether any of the codes is meant.
func (w *Weight) fits(codes []Code) bool {
	for _, c := range codes {
		if w.Codes.Has(c) {
			return true
		}
	}
	return false
}
