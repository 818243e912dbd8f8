package control

import (
	"encoding/json"

	"eximpolicyd/acl"
)

// Decisions are those that can still be explained, as lines of JSON: acl.Explanation.
type Decisions interface {
	Find(id string) (json.RawMessage, bool)
	Last(most int) []json.RawMessage
	// Forget removes those that match and returns how many; the error says that the disk still has them.
	Forget(match func(*acl.Explanation) bool) (int, error)
	// Kept returns how many there are, and the id of the oldest.
	Kept() (n int, oldest string)
}

// Explained is the reply to Explain.
type Explained struct {
	Decision json.RawMessage `json:"decision,omitempty"` // an acl.Explanation; nothing: it is not kept
	Kept     int             `json:"kept"`               // how many are
	Oldest   string          `json:"oldest,omitempty"`   // the id of the oldest
}

func (s *Server) explain(id string) (r Explained) {
	if s.Decisions != nil {
		r.Decision, _ = s.Decisions.Find(id)
		r.Kept, r.Oldest = s.Decisions.Kept()
	}
	return r
}

func (s *Server) recent(most int, t *talk) (any, error) {
	if s.Decisions == nil {
		return t.sum(), nil
	}
	for _, line := range s.Decisions.Last(most) {
		if err := t.whole(line); err != nil {
			return nil, err
		}
	}
	return t.sum(), nil
}
