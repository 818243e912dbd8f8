package trace

import (
	"context"
	"fmt"
	"time"

	"eximpolicyd/internal/mainlog"
)

// Others are what else a log has of the sender of a message.
type Others struct {
	Who      string     `json:"who"`
	Messages int        `json:"messages"` // all of this sender, with the one in question
	Bytes    int64      `json:"bytes"`
	First    time.Time  `json:"first,omitzero"`
	Last     time.Time  `json:"last,omitzero"`
	Before   []*Message `json:"before,omitempty"` // the ones next to it
	After    []*Message `json:"after,omitempty"`
}

const neighbours = 3 // before and after

// who tells a sender from others: by the surest thing that the log has of him. A web server's user is a different one in each
// directory.
type who struct{ kind, name, dir string }

func (m *Message) who() who {
	switch {
	case m.LoggedIn:
		return who{"login", m.Account, ""}
	case m.Client.IsValid() && m.Account == "":
		return who{"client", m.Client.String(), ""}
	}
	return who{"user", m.Account, m.Directory}
}

func (w who) String() string {
	switch {
	case w.kind == "login":
		return "account " + w.name + ", logged in over SMTP"
	case w.kind == "client":
		return "client [" + w.name + "]"
	case w.name == "" && w.dir == "":
		return "a user of this machine"
	case w.dir != "":
		return fmt.Sprintf("user %s in %s", w.name, w.dir)
	}
	return "user " + w.name
}

// FindOthers reads a log to its end for what else came of the sender of a message.
func FindOthers(ctx context.Context, r *mainlog.Reader, of *Message) (*Others, error) {
	whose := of.who()
	s := &Others{Who: whose.String()}
	join, passed := newJoiner(), false
	count := func(list []*Message) {
		for _, m := range list {
			if m.who() == whose {
				passed = s.count(m, of.ID, passed)
			}
		}
	}
	err := each(ctx, r, func(e *mainlog.Event) {
		count(join.done(e.Time))
		join.take(e)
	})
	count(join.done(time.Time{}))
	return s, err
}

// count adds a message of the sender's. passed says, and returns, whether the one in question has come.
func (s *Others) count(m *Message, id string, passed bool) bool {
	s.Messages++
	s.Bytes += m.Size
	if s.First.IsZero() {
		s.First = m.Time
	}
	s.Last = m.Time
	switch {
	case m.ID == id:
		return true
	case passed && len(s.After) < neighbours:
		s.After = append(s.After, m)
	case !passed && len(s.Before) == neighbours:
		s.Before = append(s.Before[:0], append(s.Before[1:], m)...)
	case !passed:
		s.Before = append(s.Before, m)
	}
	return passed
}
