package control

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"eximpolicyd/acl"
	"eximpolicyd/internal/ledger"
)

// Memory is what an administrator asks of the memory across connections. Its times are its own; Wall returns what the
// clock on the wall says then. A *ledger.Engine is one.
type Memory interface {
	Ban(context.Context, ledger.Ban) (ledger.Ban, error)
	Unban(context.Context, netip.Prefix) ([]ledger.Ban, error)
	Bans() []ledger.Ban
	Allow(context.Context, ledger.Allowed) (ledger.Allowed, error)
	Disallow(context.Context, netip.Prefix) (bool, error)
	Allows() []ledger.Allowed
	Why(netip.Prefix) ledger.Why
	Forget(context.Context, netip.Prefix) (ledger.Forgotten, error)
	ForgetAccount(name string) bool
	Export(io.Writer) error
	Import(context.Context, io.Reader) (ledger.Imported, error)
	State() ledger.State
	Now() time.Time
	Wall(time.Time) time.Time
}

// Ban is a ban as it is told: its times are those of the wall clock.
type Ban struct {
	ledger.Ban
	Active  bool  `json:"active"`           // not over
	Refuses bool  `json:"refuses"`          // it shuts out: it is not over, and neither it nor its rule only observes
	Left    int64 `json:"left_s,omitempty"` // seconds until it is over; 0: it is, or it is for ever
}

// Allowed is an allowed network, likewise.
type Allowed struct {
	ledger.Allowed
	Left int64 `json:"left_s,omitempty"`
}

// Reasons is everything that is known of a network, in the times of the wall clock.
type Reasons struct {
	Network netip.Prefix     `json:"network"`
	Bans    []Ban            `json:"bans"`    // that cover it or lie within, the widest first, those that are over too
	Allowed []Allowed        `json:"allowed"` // likewise
	More    bool             `json:"more"`    // there are others within
	Counts  []ledger.Counted `json:"counts"`  // of its client and of the networks around
}

// Unsaved says of what has been removed that a restart would bring it back.
type Unsaved struct {
	Unsaved bool `json:"unsaved,omitempty"`
}

// Lifted is the reply to Unban.
type Lifted struct {
	Bans []Ban `json:"bans"`
	Unsaved
}

// Disallowed is the reply to Disallow.
type Disallowed struct {
	Known bool `json:"known"` // it was an allowed network
	Unsaved
}

// Erased is the reply to Forget.
type Erased struct {
	ledger.Forgotten
	Account   bool `json:"account"`   // something was remembered of the account
	Decisions int  `json:"decisions"` // that can't be explained any more
	Names     int  `json:"names"`     // of stamps, which say that a message is ours, and not whose any more
	Unsaved
}

// Taken is the reply to Import.
type Taken struct {
	ledger.Imported
	Unsaved
}

// told is a memory in the times of the wall clock.
type told struct {
	Memory
	refuses   func(*ledger.Ban) bool
	now       time.Time
	decisions Decisions
	stamps    Stamps
}

func (m told) ban(b ledger.Ban) Ban {
	left := m.left(b.Until)
	t := Ban{Ban: b, Active: b.Active(m.now), Left: left}
	t.Refuses = t.Active && m.refuses(&b)
	t.Made, t.Until = m.Wall(b.Made), m.Wall(b.Until)
	return t
}

func (m told) allowed(a ledger.Allowed) Allowed {
	t := Allowed{Allowed: a, Left: m.left(a.Until)}
	t.Made, t.Until = m.Wall(a.Made), m.Wall(a.Until)
	return t
}

// left returns the seconds until then, those begun too, so that what is left is never none.
func (m told) left(until time.Time) int64 {
	if until.IsZero() || !m.now.Before(until) {
		return 0
	}
	return int64((until.Sub(m.now) + time.Second - 1) / time.Second)
}

func (m told) counts(list []ledger.Counted) []ledger.Counted {
	for i := range list {
		c := &list[i].Counts
		c.LastGood, c.LastLogin = m.Wall(c.LastGood), m.Wall(c.LastLogin)
	}
	return list
}

func (m told) why(p netip.Prefix) Reasons {
	w := m.Why(p)
	r := Reasons{Network: p, Bans: []Ban{}, Allowed: []Allowed{}, More: w.More, Counts: m.counts(w.Counts)}
	for _, b := range w.Bans {
		r.Bans = append(r.Bans, m.ban(b))
	}
	for _, a := range w.Allowed {
		if a.Until.IsZero() || m.now.Before(a.Until) {
			r.Allowed = append(r.Allowed, m.allowed(a))
		}
	}
	return r
}

// until returns the end of what lasts so many seconds; 0 lasts for ever.
func (m told) until(seconds int64) (time.Time, error) {
	switch {
	case seconds == 0:
		return time.Time{}, nil
	case seconds < 0 || seconds > int64(Most/time.Second):
		return time.Time{}, refuse(Wrong, "%d s is no time from a second to %d days", seconds, Most/(24*time.Hour))
	}
	return m.now.Add(time.Duration(seconds) * time.Second), nil
}

// Most is how long a ban can last that does not last for ever.
const Most = 3650 * 24 * time.Hour

func (m told) bar(ctx context.Context, q *Request) (any, error) {
	until, err := m.until(q.Seconds)
	if err != nil {
		return nil, err
	}
	b, err := m.Ban(ctx, ledger.Ban{Network: q.Network, Enforced: true, Rule: ledger.Admin, Because: q.Because, Made: m.now, Until: until})
	return m.ban(b), err
}

func (m told) allow(ctx context.Context, q *Request) (any, error) {
	until, err := m.until(q.Seconds)
	if err != nil {
		return nil, err
	}
	a, err := m.Allow(ctx, ledger.Allowed{Network: q.Network, Because: q.Because, Made: m.now, Until: until})
	return m.allowed(a), err
}

func (m told) lift(ctx context.Context, p netip.Prefix) (any, error) {
	bans, err := m.Unban(ctx, p)
	r := Lifted{Bans: []Ban{}}
	for _, b := range bans {
		r.Bans = append(r.Bans, m.ban(b))
	}
	err = r.only(err)
	return r, err
}

func (m told) disallow(ctx context.Context, p netip.Prefix) (any, error) {
	known, err := m.Disallow(ctx, p)
	r := Disallowed{Known: known}
	err = r.only(err)
	return r, err
}

func (m told) forget(ctx context.Context, q *Request) (any, error) {
	if q.Account != "" {
		r := Erased{Account: m.ForgetAccount(q.Account)}
		r.decided(m.decisions, func(x *acl.Explanation) bool { return x.IsOfAccount(q.Account) || x.IsOfAccount(q.Login) })
		r.named(m.stamps, q.Account, q.Login)
		return r, nil
	}
	f, err := m.Forget(ctx, q.Network)
	r := Erased{Forgotten: f}
	err = r.only(err)
	r.decided(m.decisions, func(x *acl.Explanation) bool { return x.IsOf(q.Network) })
	return r, err
}

// decided removes the decisions that match as well.
func (r *Erased) decided(d Decisions, match func(*acl.Explanation) bool) {
	if d != nil {
		var err error
		r.Decisions, err = d.Forget(match)
		r.Unsaved.Unsaved = r.Unsaved.Unsaved || err != nil
	}
}

// only takes note of what is done and not saved, which is no error.
func (u *Unsaved) only(err error) error {
	if u.Unsaved = errors.Is(err, ledger.ErrUnsaved); u.Unsaved {
		return nil
	}
	return err
}

func (m told) bans(t *talk, all bool) (any, error) {
	for _, b := range m.Bans() {
		if !all && !b.Active(m.now) {
			continue
		}
		if err := t.line(m.ban(b)); err != nil {
			return nil, err
		}
	}
	return t.sum(), nil
}

func (m told) allows(t *talk) (any, error) {
	for _, a := range m.Allows() {
		if !a.Until.IsZero() && !m.now.Before(a.Until) {
			continue
		}
		if err := t.line(m.allowed(a)); err != nil {
			return nil, err
		}
	}
	return t.sum(), nil
}

// export sends what the memory writes, line by line.
func (m told) export(t *talk) (any, error) {
	lines := &liner{talk: t}
	if err := m.Export(lines); err != nil {
		return nil, err
	}
	if len(lines.rest) > 0 {
		return nil, errors.New("the export does not end with its last line")
	}
	return t.sum(), nil
}

// liner says each line that is written to it.
type liner struct {
	talk *talk
	rest []byte
}

// Write takes any piece of the lines.
func (l *liner) Write(b []byte) (int, error) {
	for rest := b; ; {
		line, after, whole := bytes.Cut(rest, []byte{'\n'})
		l.rest = append(l.rest, line...)
		if !whole {
			break
		}
		if err := l.talk.whole(l.rest); err != nil {
			return 0, err
		}
		l.rest, rest = l.rest[:0], after
	}
	if len(l.rest) > maxLine {
		return 0, fmt.Errorf("a line is over %d octets", maxLine)
	}
	return len(b), nil
}

// body is the octets that follow a request, neither more nor fewer.
type body struct {
	in   *bufio.Reader
	left int64
}

// Read ends with io.EOF only if all has come: what is cut is not taken for the whole.
func (b *body) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.in.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
