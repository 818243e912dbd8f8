package policy

import (
	"net/mail"
	"strconv"
	"strings"
	"time"
)

// MessageID is the policy messageid: mail has one Message-ID, well formed (RFC 5322 3.6.4, 4.5.4), and one Date and one
// From (3.6).
//
// A missing Message-ID is a SHOULD of the RFC, and printers, cameras and old scripts send without one: by default it
// only scores.
type MessageID struct {
	ExceptSenders []string `toml:"except_senders" about:"sender domains, with what is under them, that this policy passes by"`
	DateAhead     Days     `toml:"date_ahead" about:"days; a Date further ahead is wrong, 0: not judged"`
	DateOld       Days     `toml:"date_old" about:"days; an older Date is wrong, 0: not judged"`
}

// Days is a whole number of days in the configuration.
type Days int

func messageidPolicy() Policy {
	return Policy{
		Name:   "messageid",
		About:  "mail has one Message-ID, well formed",
		Stages: at(Data),
		Skip:   among(Local, Loopback, Auth),
		Cap:    40,
		New:    func() Settings { return &MessageID{DateAhead: 2, DateOld: 15} },
	}
}

// Rules returns the rules in the order asked.
func (s *MessageID) Rules() []Rule {
	rules := []Rule{
		{ID: "M1", Title: "no Message-ID", Skip: among(PrivateNet, RelayHost, NullSender),
			Answers: by(points(25), deny(), deny()), Judge: s.missing},
		{ID: "M2", Title: "several Message-IDs", Answers: by(points(20), deny(), deny()), Judge: s.several},
		{ID: "M3", Title: "a Message-ID against the syntax", Answers: by(points(25), deny(), deny()), Judge: s.syntax},
		{ID: "M4", Title: "a Message-ID made at no domain (at a bare address: score 1.0, strict denies)", Answers: always(points(5)), Judge: s.domain},
		{ID: "M5", Title: "a Message-ID made at a domain of ours", Answers: by(points(10), points(20), points(35)), Judge: s.ours},
		{ID: "M8", Title: "Date or From missing, doubled or out of time (each, at most 2.5)", Skip: among(PrivateNet, RelayHost),
			Answers: always(points(10)), Judge: s.dateAndFrom},
	}
	for i := range rules {
		judge := rules[i].Judge
		rules[i].Judge = func(q *Request, f *Facts) Verdict {
			if s.excepted(q.Sender.Value) {
				return Pass()
			}
			return judge(q, f)
		}
	}
	return rules
}

// Check finds days that can't be meant.
func (s *MessageID) Check() []Mistake {
	var m []Mistake
	const days = "must be 0 (not judged) to 3650 days"
	if s.DateAhead < 0 || s.DateAhead > 3650 {
		m = append(m, Mistake{"date_ahead", days})
	}
	if s.DateOld < 0 || s.DateOld > 3650 {
		m = append(m, Mistake{"date_old", days})
	}
	for _, d := range s.ExceptSenders {
		if !IsHostname(d) {
			m = append(m, Mistake{Key: "except_senders", Text: quoted(d) + " is no domain; write example.com"})
		}
	}
	return m
}

// excepted reports whether a sender's domain is, or is under, an exception.
func (s *MessageID) excepted(sender string) bool {
	if len(s.ExceptSenders) == 0 {
		return false
	}
	domain := canonical(sender[strings.LastIndexByte(sender, '@')+1:])
	for _, d := range s.ExceptSenders {
		d = canonical(d)
		if domain == d || strings.HasSuffix(domain, "."+d) {
			return true
		}
	}
	return false
}

// An empty field is as good as none: Exim says that it is present and does not count it. A bounce may have none, whatever
// class its client is of.
func (s *MessageID) missing(q *Request, _ *Facts) Verdict {
	id := &q.MessageID
	switch {
	case q.Sender.Known && q.Sender.Value == "":
		return Pass()
	case !id.Present.Known:
		return unknown("the Message-ID is not known")
	case !id.Present.Value:
		return hit("your message has no Message-ID (RFC 5322)", "no Message-ID")
	case emptyID(q):
		return hit("your message has no Message-ID (RFC 5322)", "an empty Message-ID")
	}
	return Pass()
}

func (s *MessageID) several(q *Request, _ *Facts) Verdict {
	if n := q.MessageID.Count; n.Value >= 2 {
		return hit("more than one Message-ID (RFC 5322 3.6)", strconv.Itoa(n.Value)+" Message-IDs")
	}
	return Pass()
}

// emptyID reports whether the field holds nothing but white space; beyond what the snippet cut off it may hold more.
func emptyID(q *Request) bool {
	return trimFWS(q.MessageID.Value) == "" && q.MessageIDSize <= max(len(q.MessageID.Value), maxMessageID)
}

// single returns the one Message-ID of a message, or an empty one without a fault; M1 and M2 have the others.
func single(q *Request) msgID {
	if !q.MessageID.Present.Value || q.MessageID.Count.Value >= 2 || emptyID(q) {
		return msgID{}
	}
	return parseMessageID(q.MessageID.Value, max(q.MessageIDSize, len(q.MessageID.Value)), smtputf8(q))
}

// smtputf8 reports whether the client asked for 8-bit headers (RFC 6531); Exim's protocol names then begin with utf8.
func smtputf8(q *Request) bool { return strings.HasPrefix(q.Protocol, "utf8") }

func (s *MessageID) syntax(q *Request, _ *Facts) Verdict {
	if id := single(q); id.fault != "" {
		return hit("Message-ID against RFC 5322 3.6.4", "Message-ID "+quoted(trimFWS(q.MessageID.Value))+": "+id.fault)
	}
	return Pass()
}

func (s *MessageID) domain(q *Request, _ *Facts) Verdict {
	id := single(q)
	h := ParseHELO(id.right)
	var v Verdict
	switch {
	case h.Kind == HELOAddress:
		v = hit("Message-ID made at an IP address", "Message-ID made at "+quoted(id.right)+", an address")
		v.Answers = instead(by(points(10), points(10), deny()))
	case h.Kind == HELOLiteral:
		v = hit("Message-ID made at an IP address", "Message-ID made at "+quoted(id.right)+", an address literal")
	case isLocalhost(h.Name):
		v = hit("your Message-ID was made at localhost", "Message-ID made at "+quoted(id.right))
	case h.Dotless():
		v = hit("your Message-ID was made at no domain", "Message-ID made at "+quoted(id.right)+", a name without a dot")
	}
	return v
}

// ours objects to an outsider who claims that we made the id. A mailing list sends our own mail back to us.
func (s *MessageID) ours(q *Request, f *Facts) Verdict {
	if among(PrivateNet, RelayHost, RelayNet).Has(f.Class) {
		return Pass()
	}
	right := canonical(single(q).right)
	if !f.Own.IsName(right, q) && !f.Own.IsDomain(right) {
		return Pass()
	}
	if trimFWS(q.ListID) != "" {
		return Verdict{Reason: "made at a domain of ours, but list mail comes back to us"}
	}
	return hit("your Message-ID claims to be made here", "Message-ID made at "+quoted(right)+", ours")
}

// dateAndFrom adds a point for each fault, and 2.5 at most.
func (s *MessageID) dateAndFrom(q *Request, f *Facts) Verdict {
	var faults []string
	faults = fieldFaults(faults, "Date", &q.Date)
	faults = fieldFaults(faults, "From", &q.From)
	if late := s.outOfTime(q.Date.Value, f.Now); late != "" && q.Date.Count.Value < 2 {
		faults = append(faults, late)
	}
	if len(faults) == 0 {
		return Pass()
	}
	v := hit("your message has a wrong Date or From (RFC 5322 3.6)", strings.Join(faults, ", "))
	v.Answers = instead(always(points(min(25, 10*Score(len(faults))))))
	return v
}

func fieldFaults(faults []string, name string, field *Field) []string {
	switch {
	case field.Present.Known && !field.Present.Value:
		return append(faults, "no "+name)
	case field.Present.Value && field.Count.Known && field.Count.Value == 0:
		return append(faults, "an empty "+name)
	case field.Count.Value >= 2:
		return append(faults, "several "+name+" fields")
	}
	return faults
}

// outOfTime judges a Date that can be read; one that can't is no sign of spam by itself.
func (s *MessageID) outOfTime(date string, now time.Time) string {
	const day = 24 * time.Hour
	if date == "" { // not known, mostly: a request at an earlier stage, a log
		return ""
	}
	t, err := parseDate(trimFWS(date))
	switch {
	case err != nil || now.IsZero():
		return ""
	case s.DateAhead > 0 && t.Sub(now) > time.Duration(s.DateAhead)*day:
		return "a Date in the future"
	case s.DateOld > 0 && now.Sub(t) > time.Duration(s.DateOld)*day:
		return "an old Date"
	}
	return ""
}

// parseDate tries the form that nearly all mail has before those that RFC 5322 4.3 still allows: that is 70 allocations
// less.
func parseDate(s string) (time.Time, error) {
	if t, err := time.Parse("Mon, 2 Jan 2006 15:04:05 -0700", s); err == nil {
		return t, nil
	}
	return mail.ParseDate(s)
}
