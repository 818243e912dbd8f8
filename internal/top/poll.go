package top

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"eximpolicyd/internal/control"
)

// Bounds of what is asked for.
const (
	mostBans = 200 // the newest
	latest   = 64  // decisions at a time, of up to 9 kB each
	earlier  = 256 // at first
	bansRest = 20  // times as long as it took to hear of all bans until they are asked for again: up to a million lines
)

// Snapshot is what a daemon said at a time, in the words of top --json.
type Snapshot struct {
	At        time.Time      `json:"at"`
	Status    control.Status `json:"status"`
	Bans      []control.Ban  `json:"bans"`      // the newest first; none is [], not null
	Decisions []Decision     `json:"decisions"` // likewise
}

// Decision is what is shown of an acl.Explanation, in its words.
type Decision struct {
	ID        string     `json:"id"`
	Time      time.Time  `json:"time"`
	Stage     string     `json:"stage"`
	Client    netip.Addr `json:"client,omitzero"` // none: this machine
	Action    string     `json:"action"`
	Rule      string     `json:"rule,omitempty"`
	Would     string     `json:"would,omitempty"`
	Reason    string     `json:"reason,omitempty"`
	Mark      bool       `json:"mark"`
	Synthetic bool       `json:"synthetic"`
	Degraded  bool       `json:"degraded"`
	Inputs    struct {
		HELO string `json:"helo_name,omitempty"`
	} `json:"inputs"`
}

// Poller asks a daemon. It is not safe for concurrent use; the zero Poller is ready.
type Poller struct {
	Now   func() time.Time // nil: time.Now
	asked bool
	bans  []control.Ban
	rest  time.Time // until when the bans are not asked for again
}

// Poll asks once. The error is that of package control, and says that there is no snapshot; that a daemon keeps no bans or
// no decisions is none.
func (p *Poller) Poll(socket string) (Snapshot, error) {
	now := time.Now
	if p.Now != nil {
		now = p.Now
	}
	s := Snapshot{At: now().UTC(), Decisions: []Decision{}}
	if err := control.Ask(socket, control.Request{Request: control.Stands}, &s.Status); err != nil {
		return Snapshot{}, err
	}
	q := control.Request{Request: control.Recent, Last: latest}
	if !p.asked {
		q.Last = earlier
	}
	err := control.Each(socket, q, func(d Decision) { s.Decisions = append(s.Decisions, d) })
	if lost(err) {
		return Snapshot{}, err
	}
	slices.Reverse(s.Decisions)
	p.asked = true
	if start := now(); !start.Before(p.rest) {
		newest := []control.Ban{}
		err := control.Each(socket, control.Request{Request: control.Bans}, func(b control.Ban) { newest = keep(newest, b) })
		if lost(err) {
			return Snapshot{}, err
		}
		p.bans, p.rest = newest, now().Add(bansRest*now().Sub(start))
	}
	s.Bans = p.bans
	return s, nil
}

// lost reports whether no answer came: a daemon that says no has answered.
func lost(err error) bool {
	refusal := new(control.Refusal)
	return err != nil && !(errors.As(err, &refusal) && refusal.Kind != control.Denied)
}

// keep puts a ban among the newest ones.
func keep(newest []control.Ban, b control.Ban) []control.Ban {
	at, _ := slices.BinarySearchFunc(newest, b, func(a, b control.Ban) int { return b.Made.Compare(a.Made) })
	if at == mostBans {
		return newest
	}
	newest = slices.Insert(newest, at, b)
	return newest[:min(len(newest), mostBans)]
}
