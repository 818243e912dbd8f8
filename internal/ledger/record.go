package ledger

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// The windows of a record, and for how long its stamps say anything, in seconds.
const (
	hourSpan  = 3600
	dayHours  = 24
	daySpan   = dayHours * hourSpan
	goodKept  = 2 * daySpan
	loginKept = 30 * daySpan
)

// The places of the counters in a bucket of an hour, and in one of a day.
const (
	hourGood = iota
	hourBad
	hourOnlyBad
	hourFailed
	hourHeld
	hourCounters
)

const (
	dayGood = iota
	dayBad
	dayTrapped
	dayCounters
)

// A record is what is counted of one key: 84 octets, without a pointer for the garbage collector to follow. Of two buckets
// the first is the present one. A day is 24 of the record's hours, so that it needs no start of its own.
//
// A counter that would not fit halves all of its bucket, so that their ratios stay; clean stops at its end.
type record struct {
	start uint32 // of the present hour, in Unix seconds; never 0 in a record that is kept
	good  uint32 // when the last good recipient was, or 0
	login uint32 // when the last login was, or 0
	hour  [2][hourCounters]uint16
	seen  [2][MaxSeen]uint16 // different ones, then zeros
	day   [2][dayCounters]uint16
	clean [2]uint32 // of the day; its own since 16 bits are few for the total

	key     Key
	hours   uint8 // of the present day that came before the present hour
	touched bool  // counted in since the hand passed, see shard.evict
}

// stamp returns a time in Unix seconds, which are enough until 2106. It is never 0, which says never.
func stamp(t time.Time) uint32 {
	return uint32(min(max(t.Unix(), 1), math.MaxUint32))
}

// unstamp returns the time of a stamp, or none.
func unstamp(s uint32) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(int64(s), 0).UTC()
}

// roll brings a record to now, forgets what is over, and returns how many seconds of its present hour are. It stands
// still for a time before its start.
func (r *record) roll(now uint32) (into uint32) {
	now = max(now, r.start)
	if hours := (now - r.start) / hourSpan; hours > 0 {
		r.start += hours * hourSpan
		shift(&r.hour, hours)
		shift(&r.seen, hours)
		hours += uint32(r.hours)
		r.hours = uint8(hours % dayHours)
		shift(&r.day, hours/dayHours)
		shift(&r.clean, hours/dayHours)
	}
	if now > r.good && now-r.good > goodKept {
		r.good = 0
	}
	if now > r.login && now-r.login > loginKept {
		r.login = 0
	}
	return now - r.start
}

// shift moves two buckets on by so many of their spans.
func shift[Bucket any](b *[2]Bucket, spans uint32) {
	var none Bucket
	switch spans {
	case 0:
		return
	case 1:
		b[1] = b[0]
	default:
		b[1] = none
	}
	b[0] = none
}

// empty reports whether no bucket holds anything.
func (r *record) empty() bool {
	return r.hour == [2][hourCounters]uint16{} && r.seen == [2][MaxSeen]uint16{} &&
		r.day == [2][dayCounters]uint16{} && r.clean == [2]uint32{}
}

// blank reports whether nothing is left at a time. A blank record is as good as none: the next event starts its buckets
// anew.
func (r record) blank(now uint32) bool {
	r.roll(now)
	return r.empty() && r.good == 0 && r.login == 0
}

// add counts what happened, and returns how far into its hour the record is then.
func (r *record) add(now uint32, d *Delta) (into uint32) {
	into = r.roll(now)
	if r.empty() {
		r.start, r.hours, into = now, 0, 0
	}
	if *d != (Delta{Clean: d.Clean, Seen: d.Seen}) {
		addTo(r.hour[0][:], d.Good, d.Bad, uint16(max(d.OnlyBad, 0)), d.Failed, d.Held)
		addTo(r.day[0][:], d.Good, d.Bad, d.Trapped)
	}
	r.clean[0] += min(uint32(d.Clean), math.MaxUint32-r.clean[0])
	if d.OnlyBad < 0 {
		r.takeBack(-int(d.OnlyBad))
	}
	r.see(d.Seen)
	if d.Good > 0 {
		r.good = max(r.good, r.start+into)
	}
	if d.Login {
		r.login = max(r.login, r.start+into)
	}
	return into
}

// addTo adds to the counters of a bucket. If one does not fit, all are halved.
func addTo(bucket []uint16, n ...uint16) {
	halve := 0
	for i := range bucket {
		if uint32(bucket[i])+uint32(n[i]) > math.MaxUint16 {
			halve = 1
		}
	}
	for i := range bucket {
		bucket[i] = uint16((uint32(bucket[i]) + uint32(n[i])) >> halve)
	}
}

// takeBack takes connections of the present bucket back, else of the one before.
func (r *record) takeBack(n int) {
	for i := range r.hour {
		taken := min(n, int(r.hour[i][hourOnlyBad]))
		r.hour[i][hourOnlyBad] -= uint16(taken)
		n -= taken
	}
}

// see remembers a member or a name. Of more than MaxSeen in a bucket, those that came first are.
func (r *record) see(who uint16) {
	if who == 0 {
		return
	}
	for i, known := range r.seen[0] {
		if known == who {
			return
		}
		if known == 0 {
			r.seen[0][i] = who
			return
		}
	}
}

// counts tells what the windows hold so far into the present hour. The record is rolled.
func (r *record) counts(into uint32, c *Counts) {
	day := uint64(r.hours)*hourSpan + uint64(into)
	hour := func(i int) int { return window(r.hour[0][i], r.hour[1][i], uint64(into), hourSpan) }
	c.Hour = Hour{
		Good: hour(hourGood), Bad: hour(hourBad), OnlyBad: hour(hourOnlyBad),
		Failed: hour(hourFailed), Held: hour(hourHeld), Seen: r.different(),
	}
	c.Day = Day{
		Good:    window(r.day[0][dayGood], r.day[1][dayGood], day, daySpan),
		Bad:     window(r.day[0][dayBad], r.day[1][dayBad], day, daySpan),
		Trapped: window(r.day[0][dayTrapped], r.day[1][dayTrapped], day, daySpan),
		Clean:   window(r.clean[0], r.clean[1], day, daySpan),
	}
	c.LastGood, c.LastLogin = unstamp(r.good), unstamp(r.login)
}

// window returns the present bucket and as much of the one before as the window still reaches back into, to the nearest.
func window[N uint16 | uint32](present, before N, into, span uint64) int {
	if before == 0 { // mostly, and a division costs more than all else here
		return int(present)
	}
	return int(uint64(present) + (uint64(before)*(span-into)+span/2)/span)
}

// different returns how many are seen in both buckets, at most MaxSeen.
func (r *record) different() int {
	n := 0
	for n < MaxSeen && r.seen[0][n] != 0 {
		n++
	}
	for _, who := range r.seen[1] {
		if who == 0 {
			break
		}
		if !slices.Contains(r.seen[0][:], who) {
			n++
		}
	}
	return min(n, MaxSeen)
}

// check returns what no record can be.
func (r *record) check() error {
	if !r.key.valid() {
		return fmt.Errorf("%x is no key", r.key[:])
	}
	if r.start == 0 {
		return errors.New("it has no start")
	}
	if r.hours >= dayHours {
		return fmt.Errorf("hour %d of a day", r.hours)
	}
	for _, bucket := range r.seen {
		for i, who := range bucket {
			for _, other := range bucket[:i] {
				if who != 0 && (other == 0 || other == who) {
					return fmt.Errorf("%d is not the list of who was seen: different ones, then zeros", bucket)
				}
			}
		}
	}
	return nil
}

// cut makes stamps that are later than a time that time.
func (r *record) cut(most uint32) {
	r.start, r.good, r.login = min(r.start, most), min(r.good, most), min(r.login, most)
}
