package trace

import (
	"slices"
	"strings"
	"time"

	"eximpolicyd/internal/mainlog"
)

// Verdict says whether a message came from here.
type Verdict string

// The verdicts. An id, and all that stands in the same Received field, can be copied from any mail that this host ever sent:
// it proves nothing until a line of the log fits, and something besides that field with it.
const (
	FromHere  Verdict = "came from here"
	Through   Verdict = "came through here" // another host brought it
	Unknown   Verdict = "claims to have come from here, but the log knows no such message"
	Another   Verdict = "claims to have come from here, but the log knows another message by that id"
	NotOurs   Verdict = "not from here"
	Undecided Verdict = "nothing but its id fits what the log says"
)

// Confirmed reports whether the log confirms that this host had the message.
func (v Verdict) Confirmed() bool { return v == FromHere || v == Through }

// Finding is what the log says to a message of a report.
type Finding struct {
	Mail    *Mail    `json:"mail"`
	Verdict Verdict  `json:"verdict"`
	Fits    []string `json:"fits,omitempty"`    // what confirms it
	Differs []string `json:"differs,omitempty"` // what speaks against it
	Origin  *Origin  `json:"origin,omitempty"`
	Story   *Story   `json:"story,omitempty"`    // of the message in the log, if it is this one
	Others  *Others  `json:"others,omitempty"`   // of its sender
	Names   bool     `json:"names_us,omitempty"` // a Received field has one of this host's names
	Early   bool     `json:"early,omitempty"`    // the log that was read begins after the message
}

// ReportOptions say who we are.
type ReportOptions struct {
	Names []string // of this host, as Received fields have them
	// Origin opens the signed field of a message, given the values of the header fields that it may bind; ok says that this
	// host has signed it, and for this message. Nil: nobody has the key.
	Origin func(field, messageID, date, from string) (o Origin, ok bool)
}

// Origin is what a signed field says of the message that it was made for.
type Origin struct {
	ID        string    `json:"id,omitempty"` // Exim's
	Time      time.Time `json:"time,omitzero"`
	Account   string    `json:"account,omitempty"`
	Directory string    `json:"directory,omitempty"`
	Program   string    `json:"program,omitempty"`
}

// open returns what the signed field of a message says, if it is true.
func (o *ReportOptions) open(m *Mail) *Origin {
	if o.Origin == nil || m.Origin == "" {
		return nil
	}
	if signed, ok := o.Origin(m.Origin, m.bound[0], m.bound[1], m.bound[2]); ok {
		return &signed
	}
	return nil
}

// Query returns what to look for in a log to judge a report.
func (r *Report) Query(o *ReportOptions) (q Query) {
	for _, m := range r.Mails {
		q.IDs = append(q.IDs, m.ids(o)...)
		if m.MessageID != "" {
			q.MessageIDs = append(q.MessageIDs, m.MessageID)
		}
	}
	return q
}

// ids returns the ids of Exim's that a header claims.
func (m *Mail) ids(o *ReportOptions) (ids []string) {
	for i := range m.Hops {
		if IsID(m.Hops[i].ID) {
			ids = append(ids, m.Hops[i].ID)
		}
	}
	if id := madeOf(m.MessageID); id != "" {
		ids = append(ids, id)
	}
	if signed := o.open(m); signed != nil && IsID(signed.ID) {
		ids = append(ids, signed.ID)
	}
	return ids
}

// Judge compares each message of a report with what was found in a log.
func (r *Report) Judge(o *ReportOptions, stories []*Story, log *Log) *Judged {
	j := &Judged{Log: log}
	for _, m := range r.Mails {
		f := m.judge(o, stories, log)
		if len(j.Findings) == 0 || f.Verdict.Confirmed() && !j.Verdict.Confirmed() {
			j.Verdict = f.Verdict
		}
		j.Findings = append(j.Findings, f)
	}
	return j
}

// Confirmed returns the first message that the log confirms, or nil.
func (j *Judged) Confirmed() *Finding {
	for _, f := range j.Findings {
		if f.Verdict.Confirmed() {
			return f
		}
	}
	return nil
}

func (m *Mail) judge(o *ReportOptions, stories []*Story, log *Log) *Finding {
	f := &Finding{Mail: m, Verdict: NotOurs, Origin: o.open(m)}
	f.Names = slices.ContainsFunc(m.Hops, o.ours)
	ids := m.ids(o)
	for _, s := range stories {
		if s.Message == nil || !slices.Contains(ids, s.ID) && (m.MessageID == "" || s.Message.MessageID != m.MessageID) {
			continue
		}
		c := compare(m, s, f.Origin, log.seen&mainlog.SeenMessageID != 0)
		switch {
		case c.holds():
			f.Verdict, f.Fits, f.Differs, f.Story = Through, c.fits, nil, s
			if s.Message.Ours() {
				f.Verdict = FromHere
			}
			return f
		case len(c.differs) > 0:
			f.Verdict, f.Differs = Another, c.differs
		case f.Verdict == NotOurs:
			f.Verdict, f.Fits = Undecided, c.fits
		}
	}
	switch {
	case f.Verdict != NotOurs:
	case f.Origin != nil:
		f.Verdict, f.Fits = FromHere, []string{"the signed origin header, though this log does not have the message"}
	case f.Names:
		f.Verdict = Unknown
	}
	if when := m.when(o); !log.First.IsZero() && !when.IsZero() {
		f.Early = when.Before(log.First)
	}
	return f
}

// when returns when a message says that it passed here, else when it was written.
func (m *Mail) when(o *ReportOptions) time.Time {
	for _, h := range m.Hops {
		if o.ours(h) && !h.Time.IsZero() {
			return h.Time
		}
	}
	return m.Date
}

// ours reports whether a Received field says that this host wrote it.
func (o *ReportOptions) ours(h Hop) bool {
	return slices.ContainsFunc(o.Names, func(name string) bool { return strings.EqualFold(name, h.By) })
}

// comparison is how a message of the log fits what a report says.
type comparison struct {
	fits, differs []string
	here, time    bool // a Received field has its id; with its time
	apart         int  // facts that fit and stand in no field that has the id
}

// holds reports whether it is the same message: nothing differs, and enough fits.
func (c *comparison) holds() bool { return len(c.differs) == 0 && c.apart > 0 && (!c.here || c.time) }

// maxClock is how far the time in a Received field may be from the arrival in the log, which is at the end of a message that came
// slowly.
const maxClock = 10 * time.Minute

// compare looks at all that both say. hasIDs says that this log has Message-IDs (+msg_id), so that one that is missing was Exim's.
func compare(m *Mail, s *Story, signed *Origin, hasIDs bool) (c comparison) {
	own := s.Message
	if at := slices.IndexFunc(m.Hops, func(h Hop) bool { return h.ID == s.ID }); at >= 0 {
		c.hop(m, at, s)
	} else if m.ReturnPath != "" && sameAddress(own.Sender, m.ReturnPath) {
		c.fit("sender <" + own.Sender + ">")
	}
	switch {
	case m.MessageID == "":
	case m.MessageID == own.MessageID, madeOf(m.MessageID) == s.ID:
		c.fit("Message-ID")
		if !c.here { // it is all that led here
			c.apart--
		}
	case own.MessageID != "":
		c.differ("Message-ID: the log has " + own.MessageID)
	case hasIDs && !own.Client.IsValid():
		c.differ("Message-ID: Exim made it, as E" + s.ID + "@...")
	}
	if own.Subject != "" && m.Subject != "" {
		if sameSubject(own.Subject, m.Subject) {
			c.fit("subject")
		} else {
			c.differ("subject: the log has " + own.Subject)
		}
	}
	for _, to := range m.To {
		if same := func(a string) bool { return strings.EqualFold(a, to) }; slices.ContainsFunc(own.Recipients, same) || slices.ContainsFunc(s.to, same) {
			c.fit("recipient " + to)
			break
		}
	}
	if m.Size > 0 && own.Size > 0 && m.Size >= own.Size-own.Size/10 && m.Size <= own.Size+maxHeader {
		c.fits = append(c.fits, "size") // many have it
	}
	if signed != nil && signed.ID == s.ID {
		c.fit("the signed origin header")
	}
	return c
}

func (c *comparison) fit(what string) {
	c.fits = append(c.fits, what)
	c.apart++
}

func (c *comparison) differ(what string) { c.differs = append(c.differs, what) }

// hop compares the Received field that has the id, and the one that the next host put before it.
func (c *comparison) hop(m *Mail, at int, s *Story) {
	h, own := &m.Hops[at], s.Message
	c.here = true
	c.fits = append(c.fits, "id "+s.ID)
	switch apart := h.Time.Sub(own.Time).Abs(); {
	case h.Time.IsZero():
		c.differ("time: the Received field has none")
	case apart > maxClock:
		c.differ("time: the log has " + own.Time.Format("2006-01-02 15:04:05 -0700"))
	default:
		c.time = true
		c.fits = append(c.fits, "time")
	}
	if h.EnvelopeFrom != "" {
		if sameAddress(own.Sender, h.EnvelopeFrom) {
			c.fits = append(c.fits, "sender")
		} else {
			c.differ("sender: the log has <" + own.Sender + ">")
		}
	}
	if at == 0 {
		return
	}
	next := m.Hops[at-1].ID // what the next host called it, which it told us when it took it
	if len(next) < 6 {
		return
	}
	for i := range s.Deeds {
		if slices.Contains(strings.FieldsFunc(s.Deeds[i].Said, func(r rune) bool { return strings.ContainsRune(" <>()[],;=", r) }), next) {
			c.fit("the id " + next + " that " + s.Deeds[i].Host + " gave it")
			return
		}
	}
}

// sameAddress compares a sender of the log with a report's, in which mail servers may have broken the line at a blank in quotes.
func sameAddress(log, report string) bool {
	if report == "<>" {
		return log == ""
	}
	return strings.EqualFold(flat(log), flat(report))
}

// maxLogged is how much of a subject Exim logs.
const maxLogged = 100

// sameSubject compares a subject of the log with a report's, in which a mail server on the way may have put a word before it.
func sameSubject(log, report string) bool {
	whole := len(log) < maxLogged
	log, report = flat(log), flat(report)
	return strings.HasSuffix(report, log) || !whole && strings.Contains(report, log)
}

// flat makes of a text one that can be compared: blanks count once, and what was cut in the middle of a letter ends before it.
func flat(s string) string { return strings.Join(strings.Fields(strings.ToValidUTF8(s, "")), " ") }
