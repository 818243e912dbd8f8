package mainlog_test

import (
	"strings"
	"testing"
	"time"

	"eximpolicyd/internal/mainlog"
)

// moments reads a log and returns the time of each event in UTC.
func moments(t *testing.T, o mainlog.Options, lines ...string) []string {
	t.Helper()
	events, _ := eventsOf(t, o, mainlog.Stream("-", strings.NewReader(strings.Join(lines, "\n")+"\n")))
	var all []string
	for i := range events {
		all = append(all, events[i].Time.UTC().Format("2006-01-02 15:04:05.999"))
	}
	return all
}

func TestAStampIsReadAsTheMomentItMeans(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skipf("no time zones here: %v", err)
	}
	now := time.Date(2027, 1, 5, 12, 0, 0, 0, time.UTC)
	o := mainlog.Options{Location: berlin, Now: now}
	const text = " Start queue run: pid=1"
	const sys = " host exim[12]: Start queue run: pid=1"
	for _, c := range []struct {
		name        string
		lines, want []string
	}{
		{"an hour that comes twice, told by the order", []string{"2026-10-25 01:59:59" + text, "2026-10-25 02:10:00" + text, "2026-10-25 02:59:59" + text,
			"2026-10-25 02:00:01" + text, "2026-10-25 01:59:58" + text, "2026-10-25 02:00:02" + text, "2026-10-25 02:59:00" + text, "2026-10-25 03:00:00" + text},
			[]string{"2026-10-24 23:59:59", "2026-10-25 00:10:00", "2026-10-25 00:59:59", "2026-10-25 01:00:01", "2026-10-24 23:59:58", "2026-10-25 00:00:02", "2026-10-25 00:59:00", "2026-10-25 02:00:00"}},
		{"two processes that overtake each other in the second hour", []string{"2026-10-25 02:59:59" + text, "2026-10-25 02:05:00" + text, "2026-10-25 02:04:58" + text, "2026-10-25 02:05:01" + text},
			[]string{"2026-10-25 00:59:59", "2026-10-25 01:05:00", "2026-10-25 01:04:58", "2026-10-25 01:05:01"}},
		{"a second hour in which little happens", []string{"2026-10-25 02:59:59" + text, "2026-10-25 02:05:00" + text, "2026-10-25 02:50:00" + text, "2026-10-25 02:58:00" + text},
			[]string{"2026-10-25 00:59:59", "2026-10-25 01:05:00", "2026-10-25 01:50:00", "2026-10-25 01:58:00"}},
		{"a process that is late when the second hour begins", []string{"2026-10-25 02:59:59" + text, "2026-10-25 02:00:01" + text, "2026-10-25 02:59:58" + text, "2026-10-25 02:00:02" + text},
			[]string{"2026-10-25 00:59:59", "2026-10-25 01:00:01", "2026-10-25 00:59:58", "2026-10-25 01:00:02"}},
		{"an hour that never was", []string{"2026-03-29 01:59:59" + text, "2026-03-29 02:30:00" + text, "2026-03-29 03:00:00" + text},
			[]string{"2026-03-29 00:59:59", "2026-03-29 01:30:00", "2026-03-29 01:00:00"}},
		{"a zone of its own", []string{"2026-10-25 02:30:00 +0200" + text, "2026-10-25 02:30:00 +0100" + text, "2026-10-25 02:30:00.250 -0330" + text},
			[]string{"2026-10-25 00:30:00", "2026-10-25 01:30:00", "2026-10-25 06:00:00.25"}},
		{"a turn of the year without years", []string{"Dec 31 23:59:59" + sys, "Jan  1 00:00:01" + sys, "Dec 31 23:59:58" + sys, "Jan  1 00:00:02" + sys},
			[]string{"2026-12-31 22:59:59", "2026-12-31 23:00:01", "2026-12-31 22:59:58", "2026-12-31 23:00:02"}},
		{"a day after now is of the year before", []string{"Mar  1 10:00:00" + sys}, []string{"2026-03-01 09:00:00"}},
		{"a leap day without a year", []string{"Feb 29 10:00:00" + sys}, []string{"2024-02-29 09:00:00"}},
		{"a leap second", []string{"2026-12-31 23:59:60" + text}, []string{"2026-12-31 22:59:59"}},
		{"the journal's forms", []string{"2026-07-17T23:20:49+0200" + sys, "2026-07-17T23:20:49.123456+02:00" + sys, "2026-07-17T21:20:49Z" + sys, "Jul 17 23:20:49.5" + sys},
			[]string{"2026-07-17 21:20:49", "2026-07-17 21:20:49.123", "2026-07-17 21:20:49", "2026-07-17 21:20:49.5"}},
		{"Exim's own stamp within syslog's", []string{"Jul 17 23:20:49 host exim4[12]: 2025-07-17 23:20:48.250 Start queue run: pid=1", "host exim[12]: 2025-07-17 23:20:48 Start queue run: pid=1"},
			[]string{"2025-07-17 21:20:48.25", "2025-07-17 21:20:48"}},
	} {
		got := moments(t, o, c.lines...)
		if strings.Join(got, ",") != strings.Join(c.want, ",") {
			t.Errorf("%s:\n got %v\nwant %v", c.name, got, c.want)
		}
	}
}

func TestAStampThatIsNoTimeIsCountedAsSuch(t *testing.T) {
	const text = " Start queue run: pid=1\n"
	log := "2026-13-01 00:00:00" + text + "2026-02-29 00:00:00" + text + "2026-01-01 24:00:00" + text + "Feb 30 00:00:00 host exim[1]:" + text + "2026-01-01 00:00:00" + text
	events, r := eventsOf(t, in2030(), mainlog.Stream("-", strings.NewReader(log)))
	if len(events) != 1 || r.Counts().Reasons[mainlog.OutOfRange] != 4 {
		t.Errorf("%d events, %d out of range", len(events), r.Counts().Reasons[mainlog.OutOfRange])
	}
}
