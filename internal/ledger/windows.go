package ledger

import (
	"fmt"
	"time"
)

// Windows are the counters of one key as they are kept, so that they can travel: what Export gives is one JSON line each,
// and Import of it makes the same again. Times are whole seconds.
type Windows struct {
	Key        Key        `json:"key"`
	Start      time.Time  `json:"start"`           // of the present hour
	Hours      int        `json:"hours,omitempty"` // of the present day that came before it
	Hour       HourBucket `json:"hour,omitzero"`
	HourBefore HourBucket `json:"hour_before,omitzero"`
	Day        DayBucket  `json:"day,omitzero"`
	DayBefore  DayBucket  `json:"day_before,omitzero"`
	LastGood   time.Time  `json:"last_good,omitzero"`
	LastLogin  time.Time  `json:"last_login,omitzero"`
}

// HourBucket is what was counted in one hour.
type HourBucket struct {
	Good    uint16          `json:"good,omitempty"`
	Bad     uint16          `json:"bad,omitempty"`
	OnlyBad uint16          `json:"only_bad,omitempty"`
	Failed  uint16          `json:"failed,omitempty"`
	Held    uint16          `json:"held,omitempty"`
	Seen    [MaxSeen]uint16 `json:"seen,omitzero"` // different ones, then zeros
}

// DayBucket is what was counted in one day.
type DayBucket struct {
	Good    uint16 `json:"good,omitempty"`
	Bad     uint16 `json:"bad,omitempty"`
	Trapped uint16 `json:"trapped,omitempty"`
	Clean   uint32 `json:"clean,omitempty"`
}

// each gives what is left of every key at a time, in the order of the keys, until an error of f.
func (t *table) each(now time.Time, f func(Windows) error) error {
	for r := range t.records(stamp(now)) {
		if err := f(r.windows()); err != nil {
			return err
		}
	}
	return nil
}

// put takes windows in, in the place of what was known of their key. Times that are later than now are made now, and of
// windows that are over by then nothing is taken.
func (t *table) put(w Windows, now time.Time) error {
	r, err := w.record()
	if err != nil {
		return err
	}
	r.cut(stamp(now))
	if !r.blank(stamp(now)) {
		t.set(&r)
	}
	return nil
}

func (r *record) windows() Windows {
	hour := func(i int) HourBucket {
		n := &r.hour[i]
		return HourBucket{n[hourGood], n[hourBad], n[hourOnlyBad], n[hourFailed], n[hourHeld], r.seen[i]}
	}
	day := func(i int) DayBucket {
		n := &r.day[i]
		return DayBucket{n[dayGood], n[dayBad], n[dayTrapped], r.clean[i]}
	}
	return Windows{
		Key: r.key, Start: unstamp(r.start), Hours: int(r.hours),
		Hour: hour(0), HourBefore: hour(1), Day: day(0), DayBefore: day(1),
		LastGood: unstamp(r.good), LastLogin: unstamp(r.login),
	}
}

// record returns windows as they are kept, or what no windows can be.
func (w *Windows) record() (r record, err error) {
	if w.Hours < 0 || w.Hours >= dayHours {
		return r, fmt.Errorf("hours %d: a day has 0 to %d that are over", w.Hours, dayHours-1)
	}
	r.key, r.hours = w.Key, uint8(w.Hours)
	for _, s := range []struct {
		name string
		from time.Time
		to   *uint32
	}{{"start", w.Start, &r.start}, {"last_good", w.LastGood, &r.good}, {"last_login", w.LastLogin, &r.login}} {
		if s.from.IsZero() {
			continue // what has no start is found below
		}
		if *s.to = stamp(s.from); !unstamp(*s.to).Equal(s.from) {
			return r, fmt.Errorf("%s %v: a time is in whole seconds, from 1970 to 2106", s.name, s.from)
		}
	}
	for i, b := range []HourBucket{w.Hour, w.HourBefore} {
		r.hour[i] = [hourCounters]uint16{b.Good, b.Bad, b.OnlyBad, b.Failed, b.Held}
		r.seen[i] = b.Seen
	}
	for i, b := range []DayBucket{w.Day, w.DayBefore} {
		r.day[i] = [dayCounters]uint16{b.Good, b.Bad, b.Trapped}
		r.clean[i] = b.Clean
	}
	return r, r.check()
}
