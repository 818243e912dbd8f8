package mainlog

import (
	"time"
)

// stamp is the time of an entry as it is written: the clock on the wall, which becomes a moment only in its place in the log
// (clock.moment). Workers read it in any order.
type stamp struct {
	wall int64 // seconds since 1970 as if the wall clock were UTC; without a year, in the year 2000
	nsec int32
	east int32 // seconds, of a stamp with a zone
	zone bool
	year bool
}

// stamper reads stamps and remembers the last one: a busy log has hundreds of a second.
type stamper struct {
	text string
	wall int64
}

// exim reads "2026-11-23 13:02:26", also with a T between. It returns false for what is not of that shape, and a bad stamp
// for what is but has a month 13.
func (m *stamper) exim(s string, t *stamp) (shape, valid bool) {
	if len(s) < 19 {
		return false, false
	}
	if s[:19] == m.text {
		t.wall, t.year = m.wall, true
		return true, true
	}
	if s[4] != '-' || s[7] != '-' || s[10] != ' ' && s[10] != 'T' || s[13] != ':' || s[16] != ':' {
		return false, false
	}
	year, a := digits(s[0:4])
	month, b := digits(s[5:7])
	day, c := digits(s[8:10])
	wall, d := clockTime(s[11:19])
	if !(a && b && c && d) {
		return false, false
	}
	if month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || wall < 0 {
		return true, false
	}
	t.wall, t.year = days(year, month, day)*86400+wall, true
	m.text, m.wall = s[:19], t.wall
	return true, true
}

// syslog reads "Nov  3 13:02:26".
func syslogStamp(s string, t *stamp) (shape, valid bool) {
	if len(s) < 15 || s[3] != ' ' || s[6] != ' ' || s[9] != ':' || s[12] != ':' {
		return false, false
	}
	month := 0
	for i := 0; i < len(monthNames); i += 3 {
		if monthNames[i:i+3] == s[:3] {
			month = i/3 + 1
		}
	}
	from := 4
	if s[4] == ' ' {
		from = 5
	}
	day, a := digits(s[from:6])
	wall, b := clockTime(s[7:15])
	if month == 0 || !a || !b {
		return false, false
	}
	if day < 1 || day > daysIn(2000, month) || wall < 0 {
		return true, false
	}
	t.wall = days(2000, month, day)*86400 + wall
	return true, true
}

const monthNames = "JanFebMarAprMayJunJulAugSepOctNovDec"

// clockTime reads "13:02:26" in seconds, a leap second as the one before; -1 is no such time.
func clockTime(s string) (int64, bool) {
	h, a := digits(s[0:2])
	m, b := digits(s[3:5])
	sec, c := digits(s[6:8])
	if !(a && b && c) || s[2] != ':' || s[5] != ':' {
		return 0, false
	}
	if h > 23 || m > 59 || sec > 60 {
		return -1, true
	}
	return int64(h*3600 + m*60 + min(sec, 59)), true
}

func digits(s string) (n int, ok bool) {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, s != ""
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// days returns the days since 1970 of a date of the Gregorian calendar.
func days(year, month, day int) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	return int64(365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1 - 719468)
}

// clock turns the stamps of one stream into moments, in their order. The zero clock with a location is ready.
type clock struct {
	where  *time.Location
	latest time.Time // the last moment that this input can tell of: its modification time, else now
	last   int64     // the moment before, in seconds; 0 is none
	year   int       // of stamps without one; 0 is not known yet

	quarter, east int64 // the quarter of an hour of the wall clock that was looked at last, and what it is ahead of UTC
}

const (
	quarter = 900     // changes of the clock come at quarters of an hour
	backAn  = 20 * 60 // in an hour that comes twice, a step back of more is the second time: Exim's processes overtake each other by seconds
	late    = 60      // and once that has begun, no line is of the first time that is later than so many seconds
	halfTo  = 183 * 86400
	dayTo   = 86400
)

// moment returns when a stamp was. Without a zone the location decides: in the hour that comes twice, the order of the log;
// in the hour that never was, the offset before it.
func (c *clock) moment(s *stamp) time.Time {
	wall := s.wall
	if !s.year {
		wall = c.withYear(wall)
	}
	sec := wall - int64(s.east)
	if !s.zone {
		sec = c.local(wall)
	}
	c.last = sec
	return time.Unix(sec, int64(s.nsec)).In(c.where)
}

func (c *clock) local(wall int64) int64 {
	if q := wall / quarter; q == c.quarter && q != 0 {
		return wall - c.east
	}
	before, after := c.offset(wall-dayTo), c.offset(wall+dayTo)
	if before == after {
		c.quarter, c.east = wall/quarter, before
		return wall - before
	}
	first, second := wall-before, wall-after
	isFirst, isSecond := c.offset(first) == before, c.offset(second) == after
	back := int64(backAn)
	if c.last > first-dayTo && c.offset(c.last) == after {
		back = late
	}
	if isSecond && (!isFirst || first < c.last-back) {
		return second
	}
	return first
}

func (c *clock) offset(sec int64) int64 {
	_, east := time.Unix(sec, 0).In(c.where).Zone()
	return int64(east)
}

// withYear gives a stamp of the year 2000 its own: the first is the last such day before latest, then each January
// after a December begins the next.
func (c *clock) withYear(wall int64) int64 {
	date := time.Unix(wall, 0).UTC()
	in := func(year int) int64 {
		for date.Month() == 2 && date.Day() == 29 && daysIn(year, 2) == 28 {
			year--
		}
		return days(year, int(date.Month()), date.Day())*86400 + wall%86400
	}
	if c.year == 0 {
		c.year = c.latest.In(c.where).Year()
		if in(c.year) > c.latest.Unix()+dayTo {
			c.year--
		}
		return in(c.year)
	}
	t := in(c.year)
	switch {
	case t < c.last-halfTo:
		c.year++
	case t > c.last+halfTo: // one line that was late at the turn of the year
		return in(c.year - 1)
	}
	return in(c.year)
}
