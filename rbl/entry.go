package rbl

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Entry is one item of a configuration: zone, codes, weight, as postscreen writes them, zone=127.0.0.[2..11]*5. A weight
// may have one decimal. Without a pattern all codes that the catalogue has for the zone are meant, or any; without a
// weight the catalogue's, or 1.
type Entry struct {
	Zone     string // lower case, no dot at the end; may hold a key
	Codes    Pattern
	Weight   Score
	Weighted bool
}

// maxWeight is 99.9: postscreen's administrators write whole numbers below it, and a hundred is never meant.
const maxWeight Score = 999

// UnmarshalText reads an entry and refuses what can't work: bad syntax, a zone that is dead, a weight out of bounds. What
// it says has no key in it.
func (e *Entry) UnmarshalText(text []byte) error {
	read, err := parseEntry(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	if err := read.check(); err != nil {
		return err
	}
	*e = read
	return nil
}

func parseEntry(text string) (Entry, error) {
	if divided(text) {
		return Entry{}, fmt.Errorf("%.100q: an entry has no blank or comma in it; write each list as an entry of its own", Masked(text))
	}
	rest, weight, weighted := text, "", false
	if i := strings.LastIndexByte(text, '*'); i >= 0 {
		rest, weight, weighted = text[:i], strings.TrimSpace(text[i+1:]), true
	}
	zone, codes, filtered := strings.Cut(rest, "=")
	e := Entry{Zone: canonicalZone(strings.TrimSpace(zone)), Weighted: weighted}
	if err := checkZone(e.Zone); err != nil {
		return Entry{}, err
	}
	var err error
	if filtered {
		if e.Codes, err = ParsePattern(strings.TrimSpace(codes)); err != nil {
			return Entry{}, fmt.Errorf("%s: %w", publicName(e.Zone), err)
		}
	}
	if weighted {
		var ok bool
		if e.Weight, ok = parseWeight(weight); !ok {
			return Entry{}, fmt.Errorf("%s: weight %.20q: write a number from -99.9 to 99.9 with at most one decimal, as in %s*2.5",
				publicName(e.Zone), Masked(weight), publicName(e.Zone))
		}
	}
	return e, nil
}

// divided reports whether there is a comma, or a blank other than around the signs of an entry: a whole line of
// postscreen has both.
func divided(text string) bool {
	words := strings.Fields(text)
	for i := 1; i < len(words); i++ {
		before, after := words[i-1], words[i]
		if !strings.ContainsAny(before[len(before)-1:], "=*") && !strings.ContainsAny(after[:1], "=*") {
			return true
		}
	}
	return strings.Contains(text, ",")
}

// parseWeight reads a number with one decimal at most. Its bounds are for check.
func parseWeight(text string) (Score, bool) {
	digits, negative := strings.CutPrefix(text, "-")
	whole, tenths, pointed := strings.Cut(digits, ".")
	n, ok := number(whole)
	if !ok || pointed && len(tenths) != 1 {
		return 0, false
	}
	s := Score(n) * 10
	if pointed {
		t, ok := number(tenths)
		if !ok {
			return 0, false
		}
		s += Score(t)
	}
	if negative {
		s = -s
	}
	return s, true
}

// canonicalZone lowers a name and removes the dot at its end.
func canonicalZone(zone string) string {
	b := []byte(strings.TrimSuffix(zone, "."))
	for i := range b {
		b[i] = lowered(b[i])
	}
	return string(b)
}

// checkZone reports why a name, canonical, is no zone to ask.
func checkZone(zone string) error {
	if zone == "" {
		return errors.New("no list: an entry begins with its name, as in zen.spamhaus.org=127.0.0.[2..11]*5")
	}
	if err := hostName(zone); err != nil {
		return fmt.Errorf("%.100q %w", Masked(zone), err)
	}
	switch {
	case !strings.Contains(zone, "."):
		return fmt.Errorf("%q is no list: its name has a dot, as in zen.spamhaus.org", Masked(zone))
	case len(zone) > maxZone:
		return fmt.Errorf("%.100q is too long for a list: at most %d octets leave room for an address", Masked(zone), maxZone)
	}
	return nil
}

// check reports why an entry can't work, of whatever kind its zone is.
func (e Entry) check() error {
	if err := checkZone(e.Zone); err != nil {
		return err
	}
	if err := deadZone(e.Zone); err != nil {
		return err
	}
	public := publicName(e.Zone)
	if s := serviceOf(e.Zone); s != nil {
		if _, keyed := s.list(e.Zone); !keyed {
			return fmt.Errorf("%s: lists there are asked with a key in front, as in KEY.%s.%s", public, s.lists[0], s.domain)
		}
	}
	k := lookUp(e.Zone)
	weight, codes := e.Weight, e.Codes
	if !e.Weighted && !codes.IsZero() {
		weight = unweighted
	}
	switch bare := !e.Weighted && codes.IsZero(); {
	case e.Weight < -maxWeight || e.Weight > maxWeight:
		return fmt.Errorf("%s: weight %v: write a number from -99.9 to 99.9", public, e.Weight)
	case codes.onlyErrors():
		return fmt.Errorf("%s: codes %v: with these a list says that it refuses to answer, and never that somebody is listed; "+
			"leave them out", public, codes)
	case k == nil:
		if meant := slip(e.Zone); meant != "" {
			return fmt.Errorf("%s is no known list: is %s meant?", public, meant)
		}
	case k.allow && (bare || weight > 0):
		return fmt.Errorf("%s speaks for those it lists: give it a weight of 0 or below, as in %s*-1", public, public)
	case k.example != "" && codes.IsZero():
		return fmt.Errorf("%s answers about everybody it knows, good or bad: say which codes count and for how much, as in %s",
			public, k.example)
	}
	return nil
}

// slip returns the known list that a name, or the list that a keyed name is of, misses by one slip of the hand.
func slip(zone string) string {
	if s := serviceOf(zone); s != nil {
		zone, _ = s.list(zone)
	}
	i := slices.IndexFunc(catalogue, func(k known) bool { return oneSlip(zone, k.zone) })
	if i < 0 {
		return ""
	}
	return catalogue[i].zone
}

// oneSlip reports whether a and b differ by one letter too many, too few or wrong, or by two that changed places.
func oneSlip(a, b string) bool {
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return len(a) <= 1 && len(b) <= 1 || len(a) == 2 && len(b) == 2 && a[0] == b[1] && a[1] == b[0]
}

// MarshalText writes the entry as UnmarshalText reads it, key and all.
func (e Entry) MarshalText() ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	return []byte(e.as(e.Zone)), nil
}

// String writes the entry with a key in it masked.
func (e Entry) String() string { return e.as(Masked(e.Zone)) }

// as writes the entry with another name for its zone.
func (e Entry) as(zone string) string {
	if !e.Codes.IsZero() {
		zone += "=" + e.Codes.String()
	}
	if e.Weighted {
		zone += "*" + strings.TrimSuffix(e.Weight.String(), ".0")
	}
	return zone
}
