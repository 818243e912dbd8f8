package trace

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"eximpolicyd/internal/mainlog"
)

// Story is what a log tells of one message, from its arrival to its end.
type Story struct {
	ID                          string     `json:"id"`
	Message                     *Message   `json:"message,omitempty"` // nil: its arrival is not in the log, which may begin later
	Deeds                       []Deed     `json:"deeds"`             // in order
	More                        int        `json:"more,omitempty"`    // deeds that were not kept
	Ended                       time.Time  `json:"ended,omitzero"`
	Bounces                     []*Message `json:"bounces,omitempty"` // that Exim sent about it
	Delivered, Failed, Deferred int        `json:"-"`

	to []string // recipients that deeds named, at most maxTo
}

// Deed is one entry about a message after its arrival.
type Deed struct {
	Time     time.Time `json:"time"`
	What     string    `json:"what"`
	To       string    `json:"to,omitempty"`
	Original string    `json:"original,omitempty"` // where To was made of another address
	Host     string    `json:"host,omitempty"`
	Said     string    `json:"said,omitempty"` // what that host answered, or why it failed
}

// Bounds of what is found.
const (
	maxSame    = 256 // messages with a Message-ID that is asked for; each id that is asked for has its story
	maxDeeds   = 200 // of one story
	maxBounces = 8
	maxTo      = 4096
	maxFound   = 16 << 20 // octets of all stories, by the entries that they are made of; what is more is counted
)

// Query says which messages to look for. Several ids are those that a report claims: hundreds, if somebody wants one to be missed.
type Query struct {
	IDs        []string // Exim's
	MessageIDs []string // with or without angle brackets
}

// IsID reports whether a text has the form of Exim's id of a message: 16 characters, or 23 since Exim 4.97.
func IsID(s string) bool {
	first, second := 13, 16
	if len(s) == 23 {
		first, second = 18, 23
	}
	if len(s) != second || s[6] != '-' || s[first] != '-' {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i] | 0x20
		if i != 6 && i != first && (c < 'a' || c > 'z') && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return true
}

// TimeOfID returns the second in which Exim gave a message its id: the first six digits, in base 62. Where file names have no
// capitals (Darwin, Cygwin) Exim counts otherwise, and this is wrong.
func TimeOfID(id string) time.Time {
	if !IsID(id) {
		return time.Time{}
	}
	sec := int64(0)
	for _, c := range []byte(id[:6]) {
		switch {
		case c <= '9':
			c -= '0'
		case c <= 'Z':
			c -= 'A' - 10
		default:
			c -= 'a' - 36
		}
		sec = sec*62 + int64(c)
	}
	return time.Unix(sec, 0)
}

// NewQuery reads what somebody types: an id of Exim's, or a Message-ID. ok is false for anything else. The Message-ID that Exim
// makes, <E1xV...@host>, has the id in it, which the log shows where it does not show the other.
func NewQuery(text string) (q Query, ok bool) {
	text = strings.TrimSpace(text)
	if IsID(text) {
		return Query{IDs: []string{text}}, true
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(text, "<"), ">")
	local, _, at := strings.Cut(bare, "@")
	if !at || local == "" || strings.ContainsAny(bare, " \t\n/") && bare == text {
		return q, false
	}
	q.MessageIDs = []string{bare}
	if id := madeOf(bare); id != "" {
		q.IDs = []string{id}
	}
	return q, true
}

// madeOf returns the id of the message that Exim made a Message-ID for, or nothing.
func madeOf(messageID string) string {
	local, _, _ := strings.Cut(messageID, "@")
	if id, ok := strings.CutPrefix(local, "E"); ok && IsID(id) {
		return id
	}
	return ""
}

// finder collects stories.
type finder struct {
	ids, messageIDs map[string]bool
	byID            map[string]*Story
	stories         []*Story
	same, octets    int // stories by a Message-ID; of entries
	join            *joiner
	log             Log
	seen            facts
}

// Find reads a log to its end for the messages that are asked for.
func Find(ctx context.Context, r *mainlog.Reader, q Query) ([]*Story, *Log, error) {
	f := &finder{ids: map[string]bool{}, messageIDs: map[string]bool{}, byID: map[string]*Story{}, join: newJoiner()}
	for _, id := range q.IDs {
		f.ids[id] = true
	}
	for _, id := range q.MessageIDs {
		f.messageIDs[strings.TrimSuffix(strings.TrimPrefix(id, "<"), ">")] = true
	}
	if err := each(ctx, r, f.take); err != nil {
		return nil, nil, err
	}
	f.log.sum(r)
	f.log.Missing = f.seen.missing("", r.Counts().Seen, false)
	return f.stories, &f.log, nil
}

// each reads a log to its end.
func each(ctx context.Context, r *mainlog.Reader, take func(*mainlog.Event)) error {
	for n := 0; ; n++ {
		e, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case n%1024 == 0 && ctx.Err() != nil:
			return ctx.Err()
		}
		take(e)
	}
}

func (f *finder) take(e *mainlog.Event) {
	f.log.see(e)
	f.join.done(e.Time)
	m := f.join.take(e)
	if m != nil {
		f.seen.see(m)
		if s := f.byID[m.Reference]; s != nil && len(s.Bounces) < maxBounces {
			s.Bounces = append(s.Bounces, m)
		}
	}
	if e.ID == "" {
		return
	}
	s := f.byID[e.ID]
	if s == nil {
		if !f.ids[e.ID] {
			if m == nil || m.MessageID == "" || !f.messageIDs[m.MessageID] || f.same == maxSame {
				return
			}
			f.same++
		}
		s = &Story{ID: strings.Clone(e.ID), Deeds: []Deed{}}
		f.byID[s.ID] = s
		f.stories = append(f.stories, s)
	}
	if m != nil && s.Message == nil {
		if s.Message = m; !m.Refused { // why it was refused is a deed
			return
		}
	}
	f.octets += len(e.Text)
	s.deed(e, f.octets < maxFound)
}

// deed adds an entry to a story, or only counts it.
func (s *Story) deed(e *mainlog.Event, keeping bool) {
	switch e.Kind {
	case mainlog.Delivered, mainlog.DeliveredMore, mainlog.DeliveredThrough:
		s.Delivered++
	case mainlog.DeliveryFailed:
		s.Failed++
	case mainlog.DeliveryDeferred:
		s.Deferred++
	case mainlog.Completed:
		s.Ended = e.Time
		return
	}
	for _, to := range []string{e.Recipient, e.Original} {
		if to != "" && keeping && len(s.to) < maxTo {
			s.to = append(s.to, keep(to))
		}
	}
	if !keeping || len(s.Deeds) == maxDeeds {
		s.More++
		return
	}
	d := Deed{Time: e.Time, What: e.Kind.String(), To: keep(e.Recipient), Original: keep(e.Original), Host: keep(e.Host), Said: keep(mainlog.Unescape(e.Response))}
	if d.Said == "" {
		d.Said = keep(e.Reason)
	}
	if e.Kind == mainlog.Written { // by the configuration: the daemon's note, mostly
		d.What = "noted"
	}
	if d.To == "" && d.Said == "" {
		d.Said = keep(e.Text)
	}
	s.Deeds = append(s.Deeds, d)
}
