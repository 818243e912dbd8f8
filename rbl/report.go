package rbl

import (
	"net/netip"
	"time"
)

// Status is what one zone said of one subject.
type Status uint8

// The statuses.
const (
	Unknown Status = iota // nothing that counts: not asked, no answer in time, not a healthy zone
	Clear                 // answered: not listed
	Listed                // answered: listed
)

// String returns the status for a reader.
func (s Status) String() string { return [...]string{"unknown", "clear", "listed"}[min(s, Listed)] }

// Answer is what one zone said.
type Answer struct {
	Zone   *Zone
	Status Status
	Cached bool
	Codes  []Code        // of a listing
	TTL    time.Duration // for how long it holds, from when it was asked for
	Why    string        // why Unknown, for a reader

	Age    time.Duration  // how long ago it was answered; of what was asked again beside others less, by two minutes at most
	Server netip.AddrPort // that said so; zero if none did, or too many in an hour to remember which
}

// Report is what all zones said of one subject, in the order of the zones. The zero report knows nothing.
type Report struct {
	Subject string // the address, or the name
	Answers []Answer
	Late    bool // the asking ended before a zone that may yet answer; ask again and the rest is there
}

// Score adds up what the listings are worth, as Sum does.
func (r Report) Score() Score { return Sum(r) }

// Strongest returns the listing with the highest positive score, which a refusal names, or nil. Of equals the first is
// returned.
func (r Report) Strongest() *Answer {
	var strongest *Answer
	var most Score
	for i := range r.Answers {
		if s := r.Answers[i].Score(); s > most {
			strongest, most = &r.Answers[i], s
		}
	}
	return strongest
}

// Complete reports whether no zone is Unknown. The zero report, for which nobody was asked, is not complete.
func (r Report) Complete() bool {
	for i := range r.Answers {
		if r.Answers[i].Status == Unknown {
			return false
		}
	}
	return r.Subject != "" || len(r.Answers) > 0
}
