package trace

import (
	"strings"

	"eximpolicyd/internal/mainlog"
)

// see takes the time of an entry.
func (l *Log) see(e *mainlog.Event) {
	if l.First.IsZero() || e.Time.Before(l.First) {
		l.First = e.Time
	}
	if e.Time.After(l.Last) {
		l.Last = e.Time
	}
}

// sum takes what the reader counted.
func (l *Log) sum(r *mainlog.Reader) {
	c := r.Counts()
	l.Lines, l.Entries, l.Unknown = c.Lines, c.Entries(), c.Kinds[mainlog.Unknown]
	l.seen = c.Seen
	l.Planted = c.Reasons[mainlog.Planted]
	for _, f := range r.Faults() {
		l.Faults = append(l.Faults, f.Error())
	}
}

// facts are what a log was seen to have, to tell what it lacks: nobody misses +arguments who has no local mail.
type facts struct{ messages, local bool }

func (f *facts) see(m *Message) {
	if m.Refused { // an entry of another form, with less in it
		return
	}
	f.messages = true
	f.local = f.local || !m.Client.IsValid()
}

// missing returns the words of log_selector that would tell more of a key.
func (f *facts) missing(by string, seen mainlog.Selectors, guessed bool) string {
	wanted := mainlog.Selectors(0)
	if f.local && (by == "" || by == "directory" || by == "script") {
		wanted |= mainlog.SeenArguments
		if guessed {
			wanted |= mainlog.SeenPID
		}
	}
	if f.messages && (by == "" || by == "subject") {
		wanted |= mainlog.SeenSubject
	}
	return strings.TrimSpace(seen.Missing(wanted))
}
