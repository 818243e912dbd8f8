package rbl

// known is what the catalogue has of a list.
type known struct {
	zone     string // without key
	kinds    kinds
	operator string
	noIPv6   bool    // for sure; of any other list its test entry tells
	codes    string  // every code of a listing; any if empty
	weights  []worth // of a bare entry; 1.0 for any code if there are none
	errors   []worth // codes that refuse an answer, besides 127.255.255.0/24 and 127.0.0.1
	one      bool    // 127.0.0.1 is a listing
	url      string  // where a sender looks himself up
	on       kinds   // in the default set of these kinds
	needs    string  // what has to be done before it answers
	allow    bool    // it lists good senders only
	test     string  // a Zone.Test
	example  string  // an entry that makes sense, where a bare one does not
}

// worth is what codes are worth, as the catalogue writes it. A score of 0 only gives a meaning.
type worth struct {
	codes   string
	score   Score
	meaning string
}

// kinds are the kinds of zone that a list may be asked as.
type kinds uint8

const (
	listsAddresses kinds = 1 << OfAddresses
	listsNames     kinds = 1 << OfNames
	listsBoth            = listsAddresses | listsNames
)

// unweighted is what an entry counts that says no weight, as in postscreen.
const unweighted Score = 10

// lookUp returns what is known of a zone, which may have a key, or nil.
func lookUp(zone string) *known {
	if s := serviceOf(zone); s != nil {
		zone, _ = s.list(zone)
	}
	for i := range catalogue {
		if catalogue[i].zone == zone {
			return &catalogue[i]
		}
	}
	return nil
}

// Default returns the lists that are asked when the configuration names none: those that answer everybody who has a
// resolver of his own. What they are worth is in the catalogue.
func Default(kind Kind) []Entry {
	var entries []Entry
	for _, k := range catalogue {
		if k.on&(1<<kind) != 0 {
			entries = append(entries, Entry{Zone: k.zone})
		}
	}
	return entries
}

// withAny returns the codes 127.0.0.N whose N has any of the bits: a list that answers a mask adds up what applies.
func withAny(bits byte) string {
	var p Pattern
	p.octets[0].add(127)
	p.octets[1].add(0)
	p.octets[2].add(0)
	for n := range 256 {
		if byte(n)&bits != 0 {
			p.octets[3].add(byte(n))
		}
	}
	return p.String()
}

// weightsOf returns what the codes of an entry are worth: of a bare one as the catalogue says, of another what it says,
// with the meanings of the catalogue.
func (k *known) weightsOf(e Entry) []Weight {
	codes, weight := e.Codes, e.Weight
	if !e.Weighted {
		weight = unweighted
	}
	if codes.IsZero() {
		codes = k.listed()
		if !e.Weighted && k != nil && len(k.weights) > 0 {
			return weights(k.weights)
		}
	}
	all := []Weight{{Codes: codes, Score: weight}}
	if k == nil {
		return all
	}
	for _, w := range weights(k.weights) {
		if w.Codes = w.Codes.and(codes); w.Meaning != "" && !w.Codes.IsZero() {
			w.Score = 0
			all = append(all, w)
		}
	}
	return all
}

// listed returns the codes of a listing: of a list that nobody knows, any.
func (k *known) listed() Pattern {
	if k == nil || k.codes == "" {
		return pattern("127.[0..255].[0..255].[0..255]")
	}
	return pattern(k.codes)
}

func weights(from []worth) []Weight {
	to := make([]Weight, len(from))
	for i, w := range from {
		to[i] = Weight{Codes: pattern(w.codes), Score: w.score, Meaning: w.meaning}
	}
	return to
}

// pattern reads what the catalogue writes; that all of it can be read, a test holds.
func pattern(text string) Pattern {
	p, _ := ParsePattern(text)
	return p
}
