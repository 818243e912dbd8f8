package policy

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"eximpolicyd/rbl"
)

// RBL is the policy rbl: enough healthy lists agree. The lists of the client's address and those of the names it goes by
// are weighed together, lists of one operator once (see rbl.Sum). What they add up to is a hard objection from Threshold
// on, and a part of the message's score below; lists of good senders make it less, and less than nothing.
//
// A list that did not answer, or that is not healthy, counts nothing. So lists that fail never refuse mail.
type RBL struct {
	Threshold float64     `toml:"threshold" about:"lists that add up to it refuse, less is a score; 0.1 to 100, one decimal"`
	Zones     []rbl.Entry `toml:"zones" about:"lists of addresses, as postscreen writes them: zone=127.0.0.[2..11]*5"`
	NameZones []rbl.Entry `toml:"name_zones" about:"lists of names, likewise"`
	Names     []string    `toml:"names" about:"which names they are asked about: helo, sender (its domain), ptr (the client's name)"`
}

// rbl is skipped by whom helo is skipped: those are ours, or carry other people's mail.
func rblPolicy() Policy {
	return Policy{
		Name:   "rbl",
		About:  "enough block lists agree",
		Stages: at(RCPT),
		Skip:   among(Local, Loopback, Auth, Submission, PrivateNet, RelayHost, RelayNet, Postmaster),
		Cap:    RefuseAt - 1,
		New: func() Settings {
			return &RBL{Threshold: 5, Zones: rbl.Default(rbl.OfAddresses), NameZones: rbl.Default(rbl.OfNames),
				Names: []string{"helo", "sender", "ptr"}}
		},
	}
}

// Rules returns the one rule.
func (s *RBL) Rules() []Rule {
	var needs Need
	if len(s.Zones) > 0 {
		needs |= NeedLists
	}
	if len(s.NameZones) > 0 && len(s.Names) > 0 {
		needs |= NeedNameLists
	}
	return []Rule{{ID: "L1", Title: "lists that add up to the threshold (less: their sum as a score)", Needs: needs,
		Answers: always(deny()), Judge: s.judge}}
}

// Check finds a threshold that nothing or everything reaches, lists in the wrong place, and names that are none.
func (s *RBL) Check() []Mistake {
	var m []Mistake
	if t := s.threshold(); t < 1 || t > 1000 || math.Abs(s.Threshold*10-float64(t)) > 1e-6 {
		m = append(m, Mistake{"threshold", "must be 0.1 to 100 with one decimal at most, like 5.0"})
	}
	m = append(m, zoneMistakes("zones", s.Zones, rbl.OfAddresses, rbl.OfNames, "lists names: write it into name_zones")...)
	m = append(m, zoneMistakes("name_zones", s.NameZones, rbl.OfNames, rbl.OfAddresses, "lists addresses: write it into zones")...)
	for i, n := range s.Names {
		switch {
		case n != "helo" && n != "sender" && n != "ptr":
			m = append(m, Mistake{"names", quoted(n) + " is none of helo, sender and ptr"})
		case slices.Contains(s.Names[:i], n):
			m = append(m, Mistake{"names", quoted(n) + " is there twice"})
		}
	}
	return m
}

// threshold is in tenths.
func (s *RBL) threshold() Score {
	return Score(math.Round(max(-1, min(s.Threshold*10, 1e6)))) // what is far out stays out
}

// zoneMistakes finds what is wrong with the lists of one kind. misplaced says what to do with one of the other kind.
func zoneMistakes(key string, entries []rbl.Entry, kind, other rbl.Kind, misplaced string) []Mistake {
	var m []Mistake
	var good []rbl.Entry
	for _, e := range entries {
		one := []rbl.Entry{e}
		_, err := rbl.Zones(kind, one)
		if err == nil {
			good = append(good, e)
			continue
		}
		text := err.Error()
		if _, err := rbl.Zones(other, one); err == nil {
			text = e.String() + " " + misplaced
		}
		m = append(m, Mistake{key, text})
	}
	if _, err := rbl.Zones(kind, good); err != nil { // there are too many
		m = append(m, Mistake{key, err.Error()})
	}
	return m
}

// judge weighs what lists say. The reason names every listing with its weight. The text for the client names one list
// and what that says: our weights, thresholds and lists of good senders are nobody's business but ours.
func (s *RBL) judge(_ *Request, f *Facts) Verdict {
	var seen census
	seen.count("", &f.Lists)
	for i := range f.NameLists {
		seen.count(f.NameLists[i].Of, &f.NameLists[i].Report)
	}
	if seen.listed == 0 {
		return seen.nothing(len(s.Zones) + len(s.NameZones))
	}
	reports := []rbl.Report{f.Lists}
	for _, n := range f.NameLists {
		reports = append(reports, n.Report)
	}
	sum := rbl.Sum(reports...)
	reason := "listed by " + seen.listings.String() + "; together " + sum.String()
	if sum == 0 {
		return Verdict{Reason: reason}
	}
	v := Verdict{Hit: true, Reason: reason}
	if sum >= s.threshold() {
		v.Reason += ", refused at " + s.threshold().String()
		if f.ListText == "" {
			v.Wants = NeedListText
		}
	} else {
		v.Answers = instead(always(points(min(sum, RefuseAt-1))))
	}
	v.Text = listedText(f)
	return v
}

// Strongest returns the listing that a refusal names, with what it lists: an address or a name, and what name that is, as
// NameReport.Of has it. The listing is nil if no list objects.
func (f *Facts) Strongest() (of, subject string, listing *rbl.Answer) {
	subject, listing = f.Lists.Subject, f.Lists.Strongest()
	for i := range f.NameLists {
		r := &f.NameLists[i].Report
		if a := r.Strongest(); a != nil && (listing == nil || a.Score() > listing.Score()) {
			of, subject, listing = f.NameLists[i].Of, r.Subject, a
		}
	}
	return of, subject, listing
}

// listedText tells the client which list to turn to.
func listedText(f *Facts) string {
	of, _, a := f.Strongest()
	if a == nil {
		return "lists of good senders know you" // no refusal shows it
	}
	what := "your address"
	switch of {
	case "HELO":
		what = "the name you greet with"
	case "sender":
		what = "the domain of your sender"
	case "PTR":
		what = "the name of your address"
	}
	text := what + " is listed by " + printable(a.Zone.Public, 255)
	if a.Zone.URL != "" {
		text += ", see " + printable(a.Zone.URL, 200)
	}
	if f.ListText != "" {
		text += `, which says: "` + printable(f.ListText, rbl.MaxText) + `"`
	}
	return text
}

// census counts what lists said, and tells the listings.
type census struct {
	listed, clear, unknown int
	listings, doubts       clipped
}

// clipped is a list of texts that stops at a length and tells how many there were more.
type clipped struct {
	strings.Builder
	more int
}

func (c *clipped) add(s string) {
	const most = 400
	switch {
	case c.Len()+len(s) > most:
		c.more++
		return
	case c.Len() > 0:
		c.WriteString(", ")
	}
	c.WriteString(s)
}

// String returns the texts.
func (c *clipped) String() string {
	if c.more == 0 {
		return c.Builder.String()
	}
	return c.Builder.String() + " and " + strconv.Itoa(c.more) + " more"
}

func (c *census) count(of string, r *rbl.Report) {
	for i := range r.Answers {
		a := &r.Answers[i]
		switch a.Status {
		case rbl.Listed:
			c.listed++
			whom := ""
			if of != "" {
				whom = of + " " + quoted(r.Subject) + " by "
			}
			c.listings.add(whom + listing(a))
		case rbl.Clear:
			c.clear++
		default:
			c.unknown++
			why := a.Why
			if why == "" {
				why = "no answer"
			}
			c.doubts.add(printable(a.Zone.Public, 100) + " (" + printable(why, 100) + ")")
		}
	}
}

// listing tells one listing: zone, codes, what they mean, what they are worth.
func listing(a *rbl.Answer) string {
	score, meanings := a.Zone.Weigh(a.Codes)
	var b strings.Builder
	b.WriteString(printable(a.Zone.Public, 100))
	for _, code := range a.Codes[:min(len(a.Codes), 4)] {
		b.WriteString(" " + code.String())
	}
	for _, m := range meanings[:min(len(meanings), 4)] {
		b.WriteString(" " + printable(m, 40))
	}
	return b.String() + " " + score.String()
}

// nothing is the verdict on a client that no list lists.
func (c *census) nothing(zones int) Verdict {
	switch {
	case zones == 0:
		return Verdict{Reason: "no list is set"}
	case c.unknown > 0:
		return Verdict{Unknown: true, Reason: "not known of " + c.doubts.String() + "; " + c.clearLists()}
	case c.clear == 0:
		return unknown("what the lists say is not known")
	}
	return Verdict{Reason: c.clearLists()}
}

func (c *census) clearLists() string {
	if c.clear == 1 {
		return "1 list is clear"
	}
	return strconv.Itoa(c.clear) + " lists are clear"
}
