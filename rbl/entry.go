package rbl

// Pattern says which codes are meant, in the notation of Postfix's postscreen_dnsbl_sites: four octets, each a number or
// a list of numbers and ranges in brackets: 127.0.0.[2..11;13]. The zero pattern is none given.
type Pattern struct {
	octets [4]octetSet
}

// octetSet has a bit for each value of an octet.
type octetSet [4]uint64

// Entry is one item of a configuration: zone, codes, weight, as postscreen writes them, zone=127.0.0.[2..11]*5. A weight
// may have one decimal. Without a pattern all codes that the catalogue has for the zone are meant, or any; without a
// weight the catalogue's, or 1.
type Entry struct {
	Zone     string // lower case, no dot at the end; may hold a key
	Codes    Pattern
	Weight   Score
	Weighted bool
}

// UnmarshalText reads an entry and refuses what can't work: bad syntax, a zone that is dead, a weight out of bounds.
func (e *Entry) UnmarshalText(text []byte) error { return nil }

// MarshalText writes the entry as UnmarshalText reads it, key and all.
func (e Entry) MarshalText() ([]byte, error) { return nil, nil }

// String writes the entry with a key in it masked.
func (e Entry) String() string { return "" }

// Zones makes the zones of a configuration: entries of one zone are put together, and what they leave out comes from the
// catalogue. The error names the first entry that fits no zone of this kind.
func Zones(kind Kind, entries []Entry) ([]*Zone, error) { return nil, nil }
