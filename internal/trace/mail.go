package trace

import (
	"net/mail"
	"strings"
	"time"

	"github.com/emersion/go-message"
)

// Mail is what the header of a message in a report says of it. All of it is a claim: whoever wrote the report, and whoever
// wrote the spam, may have written it.
type Mail struct {
	How        string    `json:"how"`            // where in the report it stands
	Hops       []Hop     `json:"hops,omitempty"` // its Received fields, the last host first
	MessageID  string    `json:"message_id,omitempty"`
	Subject    string    `json:"subject,omitempty"`
	From       string    `json:"from,omitempty"`
	ReturnPath string    `json:"return_path,omitempty"` // "<>" is the null sender
	To         []string  `json:"to,omitempty"`          // of all fields that name recipients
	Date       time.Time `json:"date,omitzero"`
	Origin     string    `json:"origin,omitempty"` // the daemon's signed field, X-Eximpolicyd-Origin
	Script     string    `json:"script,omitempty"`
	Size       int64     `json:"size,omitempty"` // octets, with line ends of one; 0: the body is not there

	bound [3]string // values of Message-ID, Date and From, which Origin may bind
}

// Bounds of a header. Mail passes through a dozen hosts, not fifty.
const (
	maxHeader = 256 << 10
	maxHops   = 50
	maxNamed  = 100 // recipients
	maxOrigin = 1024
)

// mailOf reads a header.
func mailOf(h *message.Header, how string) *Mail {
	m := &Mail{How: how, MessageID: keep(between(h.Get("Message-Id"))), From: keep(decoded(h, "From")), Subject: keep(decoded(h, "Subject"))}
	for _, text := range h.Values("Received") {
		if len(m.Hops) == maxHops {
			break
		}
		m.Hops = append(m.Hops, readHop(text))
	}
	if path := strings.TrimSpace(h.Get("Return-Path")); path != "" {
		if m.ReturnPath = keep(between(path)); m.ReturnPath == "" {
			m.ReturnPath = "<>"
		}
	}
	for _, field := range []string{"Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "To", "Cc"} {
		for _, text := range h.Values(field) {
			m.to(text)
		}
	}
	m.Date, _ = mail.ParseDate(h.Get("Date"))
	m.Origin = strings.TrimSpace(h.Get("X-Eximpolicyd-Origin"))
	m.Origin = m.Origin[:min(len(m.Origin), maxOrigin)]
	for i, field := range []string{"Message-Id", "Date", "From"} {
		if values := h.Values(field); m.Origin != "" && len(values) == 1 {
			m.bound[i] = values[0]
		}
	}
	for _, field := range scriptFields {
		if m.Script == "" {
			m.Script = keep(strings.TrimSpace(h.Get(field)))
		}
	}
	return m
}

// claims reports whether a header says where its message was: else it is a part of another one, or no header of a mail.
func (m *Mail) claims() bool { return len(m.Hops) > 0 || m.MessageID != "" || m.Origin != "" }

// to adds the addresses of a field.
func (m *Mail) to(text string) {
	for _, word := range strings.FieldsFunc(text[:min(len(text), 16<<10)], func(r rune) bool { return strings.ContainsRune(" \t\r\n,;:<>()\"'", r) }) {
		if at := strings.IndexByte(word, '@'); at > 0 && at < len(word)-1 && len(m.To) < maxNamed {
			m.To = append(m.To, keep(word))
		}
	}
}

// decoded returns a field of a text in UTF-8, or as it stands if its charset is not known here.
func decoded(h *message.Header, field string) string {
	text, err := h.Text(field)
	if err != nil {
		text = h.Get(field)
	}
	return strings.Join(strings.Fields(text), " ")
}

// between returns what stands between angle brackets, or a bare text.
func between(s string) string {
	s = strings.TrimSpace(s)
	if i := strings.IndexByte(s, '<'); i >= 0 {
		s = s[i+1:]
		s = s[:closing(s)]
	}
	return strings.TrimSpace(s)
}

// closing returns where the bracket that ends an address stands, or the length. One in quotes or behind a backslash is a part of
// the address, which whoever chooses his own sender may write (RFC 5321 4.1.2); quotes that do not end are none.
func closing(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == '>' && !quoted:
			return i
		}
	}
	if i := strings.IndexByte(s, '>'); i >= 0 {
		return i
	}
	return len(s)
}

// Hop is a Received field (RFC 5321 4.4): what the host By says of the host From. Only those that hosts of ours wrote, or that we
// trust, are true.
type Hop struct {
	From         string    `json:"from,omitempty"`
	By           string    `json:"by,omitempty"`
	With         string    `json:"with,omitempty"`
	ID           string    `json:"id,omitempty"`
	EnvelopeFrom string    `json:"envelope_from,omitempty"` // of Exim's comment; "<>" is the null sender
	For          string    `json:"for,omitempty"`
	Time         time.Time `json:"time,omitzero"`
}

// maxHop is how much of a field is looked at.
const maxHop = 8 << 10

// readHop reads a Received field. What Exim writes:
//
//	from [203.0.113.7] (helo=x) by mx.example.net with esmtps (TLS1.3) tls TLS_AES_256_GCM_SHA384 (Exim 4.98)
//	(envelope-from <a@example.com>) id 1xVTqk-0006FJ-1W for b@example.net; Mon, 23 Nov 2026 13:00:00 +0000
func readHop(text string) (h Hop) {
	text = strings.Join(strings.Fields(text[:min(len(text), maxHop)]), " ")
	if i := strings.LastIndexByte(text, ';'); i >= 0 {
		h.Time, _ = mail.ParseDate(strings.TrimSpace(text[i+1:]))
		text = text[:i]
	}
	clause := ""
	for text != "" {
		var word string
		if word, text = hopWord(text); strings.HasPrefix(word, "(") {
			if _, path, ok := strings.Cut(word, "envelope-from "); ok && h.EnvelopeFrom == "" {
				if h.EnvelopeFrom = keep(between(strings.TrimSuffix(path, ")"))); h.EnvelopeFrom == "" {
					h.EnvelopeFrom = "<>"
				}
			}
			if clause == "from" && h.From != "" && len(h.From) < 200 { // the address stands in the comment
				h.From = keep(h.From + " " + word)
			}
			continue
		}
		switch lower := strings.ToLower(word); lower {
		case "from", "by", "with", "id", "for", "via":
			clause = lower
			word, text = hopWord(text)
			h.set(clause, word)
		}
	}
	return h
}

// set takes the word after the name of a clause, once.
func (h *Hop) set(clause, word string) {
	to := map[string]*string{"from": &h.From, "by": &h.By, "with": &h.With, "id": &h.ID, "for": &h.For}[clause]
	if to != nil && *to == "" {
		*to = keep(strings.Trim(word, "<>"))
	}
}

// hopWord returns the first word of a text, or a whole comment. Exim writes the sender as it is into one, and a local user who
// sends by "x>) id 1xVTqk-0006FJ-1W ("@example.net gives his message no other id by that.
func hopWord(s string) (word, rest string) {
	if !strings.HasPrefix(s, "(") {
		word, rest, _ = strings.Cut(s, " ")
		return word, strings.TrimLeft(rest, " ")
	}
	const sender = "(envelope-from <"
	if strings.HasPrefix(s, sender) {
		end := len(sender) + closing(s[len(sender):])
		if rest, ok := strings.CutPrefix(s[end:], ">)"); ok {
			return s[:end+len(">)")], strings.TrimLeft(rest, " ")
		}
	}
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return s[:i+1], strings.TrimLeft(s[i+1:], " ")
			}
		}
	}
	return s, ""
}
