package main

import (
	"errors"
	"time"
)

// moment is a point in time before now: 2d, 12h, 2026-11-23, "2026-11-23 13:00". The zero value is not given.
type moment struct {
	ago lasting
	at  time.Time // as the clock on the wall shows it
}

// sinceOwn is how far back the logs of this host are read if nobody says.
const sinceOwn = 2 * 24 * time.Hour

// String writes it as Set reads it.
func (m *moment) String() string {
	switch {
	case !m.at.IsZero():
		return m.at.Format("2006-01-02 15:04")
	case m.ago > 0:
		return m.ago.String()
	}
	return ""
}

// Set reads it.
func (m *moment) Set(text string) error {
	for _, form := range []string{"2006-01-02", "2006-01-02 15:04", "2006-01-02 15:04:05"} {
		if at, err := time.Parse(form, text); err == nil {
			*m = moment{at: at}
			return nil
		}
	}
	var ago lasting
	if err := ago.Set(text); err != nil || ago == 0 {
		return errors.New(`write one like 2d, 12h, 2026-11-23 or "2026-11-23 13:00"`)
	}
	*m = moment{ago: ago}
	return nil
}

// Type is what the help calls it.
func (m *moment) Type() string { return "TIME" }

// before returns the moment, of a clock on the wall in the zone of now. If none was given, named logs are read whole, and those
// of this host for sinceOwn.
func (m *moment) before(now time.Time, named bool) time.Time {
	switch {
	case !m.at.IsZero():
		return time.Date(m.at.Year(), m.at.Month(), m.at.Day(), m.at.Hour(), m.at.Minute(), m.at.Second(), 0, now.Location())
	case m.ago > 0:
		return now.Add(-time.Duration(m.ago))
	case named:
		return time.Time{}
	}
	return now.Add(-sinceOwn)
}
