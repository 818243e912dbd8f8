package ledger

import (
	"context"
	"net/netip"
	"time"
)

// Ledger is what a decision asks of the memory. Every operation is one step for whoever remembers, goes through no list
// of keys, and takes and gives values that can travel; their times are by the wall clock. It is safe for concurrent use. An
// error says that the memory did not answer in time; nothing is known then.
type Ledger interface {
	// Count adds to the windows of each key and fills in what they are then. A Tally that adds nothing only reads, and
	// leaves no trace.
	Count(ctx context.Context, tallies []Tally) error

	// Standing returns what is in force for an address.
	Standing(ctx context.Context, a netip.Addr) (Standing, error)

	// Offend bans a network for a reason, one level above what is left of its last ban, unless a ban of that kind is in
	// force: then that one is returned, unchanged. It returns when the ban is on the disk, or with Durable false at the end
	// of ctx; in force it is either way.
	Offend(ctx context.Context, o Offence) (ban Ban, made bool, err error)
}

// Tally is one key, what is added to it, and what its windows hold then.
type Tally struct {
	Key    Key
	Add    Delta
	Blind  bool   // nobody will look at Counts, which need not be filled in
	Counts Counts // filled in
}

// Delta is what happened. The zero Delta is nothing.
type Delta struct {
	Good    uint16 // recipients that exist and that we had nothing to object to
	Bad     uint16 // recipients that do not exist
	OnlyBad int16  // connections that did nothing but bad; -1 takes one back that has done better
	Failed  uint16 // logins that failed
	Held    uint16 // messages put on hold
	Trapped uint16 // messages to a spam trap
	Clean   uint16 // messages that we had nothing to object to
	Login   bool   // a login succeeded
	Seen    uint16 // of a client: a name that it greeted with, hashed; of a network: the member that offended; 0: none
}

// Counts is what is known of one key. The zero Counts says that nothing has happened.
type Counts struct {
	Hour      Hour      `json:"hour"`
	Day       Day       `json:"day"`
	LastGood  time.Time `json:"last_good,omitzero"`  // of a good recipient
	LastLogin time.Time `json:"last_login,omitzero"` // that succeeded
}

// Hour is what happened within the last hour.
type Hour struct {
	Good    int `json:"good"`
	Bad     int `json:"bad"`
	OnlyBad int `json:"only_bad"`
	Failed  int `json:"failed"`
	Held    int `json:"held"`
	Seen    int `json:"seen"` // different ones, at most MaxSeen
}

// Day is what happened within the last day.
type Day struct {
	Good    int `json:"good"`
	Bad     int `json:"bad"`
	Trapped int `json:"trapped"`
	Clean   int `json:"clean"`
}

// MaxSeen is how many different members, or names, are told apart.
const MaxSeen = 5

// Offence is why a network is banned.
type Offence struct {
	Network  netip.Prefix
	Enforced bool   // else the ban is only noted, and never refuses
	Rule     string // "dictionary.window"
	Because  string // one printable line, cut to MaxBecause
}

// MaxBecause bounds a reason, in octets.
const MaxBecause = 200

// Ban shuts a network out. A ban that is over is kept for Remembered, for its level and for those who ask why.
type Ban struct {
	Network  netip.Prefix `json:"network"`
	Level    int          `json:"level"` // 1 to MaxLevel; 0: an administrator's, to which no level applies
	Enforced bool         `json:"enforced"`
	Rule     string       `json:"rule"` // "admin" for an administrator's
	Because  string       `json:"because"`
	Made     time.Time    `json:"made"`
	Until    time.Time    `json:"until,omitzero"` // zero: for ever, an administrator's only
	Durable  bool         `json:"durable"`        // it is on the disk
}

// Admin is the rule of what an administrator did.
const Admin = "admin"

// Bounds of bans.
const (
	MaxLevel   = 5
	Longest    = 7 * 24 * time.Hour
	CleanTime  = 24 * time.Hour      // one level down for each
	Remembered = 30 * 24 * time.Hour // a ban that is over
)

// Length returns how long a ban of a level lasts: 1 h, 4 h, 16 h, 64 h, 7 days.
func Length(level int) time.Duration {
	length := time.Hour
	for ; level > 1 && length < Longest; level-- {
		length *= 4
	}
	return min(length, Longest)
}

// Active reports whether a ban is in force at a time.
func (b *Ban) Active(now time.Time) bool { return b.Until.IsZero() || now.Before(b.Until) }

// LevelLeft returns what is left of the level of a ban at a time.
func (b *Ban) LevelLeft(now time.Time) int {
	if b.Active(now) {
		return b.Level
	}
	return max(0, b.Level-int(now.Sub(b.Until)/CleanTime))
}

// Allowed is a network that an administrator lets in whatever the rules say.
type Allowed struct {
	Network netip.Prefix `json:"network"`
	Because string       `json:"because"`
	Made    time.Time    `json:"made"`
	Until   time.Time    `json:"until,omitzero"` // zero: for ever
	Durable bool         `json:"durable"`
}

// Standing is what is in force for one address. Of several bans of a kind it has the strongest: an administrator's, else
// that of the highest level, else the one that lasts longest.
type Standing struct {
	Allowed  *Allowed
	Enforced *Ban
	Observed *Ban // one that was made while its rule was only observed
}
