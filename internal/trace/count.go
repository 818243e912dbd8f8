package trace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"eximpolicyd/internal/mainlog"
)

// Bounds of counting: 4 MB of senders without their domains, and 8 MB of messages on their way.
const (
	mostSenders = 4096
	maxOnTheWay = 32 << 10
)

// onTheWay is a message whose deliveries are yet to come.
type onTheWay struct {
	row         *Row
	known, done int // recipients
}

// counter is a Top in the making.
type counter struct {
	TopOptions
	top   Top
	heavy *heavy
	open  *simplelru.LRU[string, *onTheWay]
	seen  facts
}

// CountTop reads a log to its end and counts who sent what, in a bounded memory whatever its length.
func CountTop(ctx context.Context, r *mainlog.Reader, o TopOptions) (*Top, error) {
	if !slices.Contains(Keys(), o.By) {
		return nil, fmt.Errorf("there is no key %q", o.By)
	}
	c := &counter{TopOptions: o, top: Top{By: o.By}, heavy: newHeavy(mostSenders)}
	c.open, _ = simplelru.NewLRU[string, *onTheWay](maxOnTheWay, nil) // it fails for no size only
	join := newJoiner()
	for n := 0; ; n++ {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if n%1024 == 0 {
			err = errors.Join(err, ctx.Err())
		}
		if err != nil {
			return nil, err
		}
		if !c.Until.IsZero() && e.Time.After(c.Until) {
			continue
		}
		m := join.take(e)
		if e.Time.Before(c.Since) {
			continue
		}
		c.top.Log.see(e)
		switch {
		case m != nil:
			c.message(m)
		case e.ID != "":
			c.delivery(e)
		}
	}
	c.top.Log.sum(r)
	c.finish(r.Counts().Seen)
	return &c.top, nil
}

// message counts one.
func (c *counter) message(m *Message) {
	c.seen.see(m)
	if !c.All && !m.Ours() {
		c.top.Outside++
		return
	}
	if m.Refused {
		c.top.Refused++
	} else {
		c.top.Messages++
	}
	key, guess := c.key(m)
	if key == "" {
		c.top.Without++
		return
	}
	r := c.heavy.row(key)
	if guess {
		r.Guessed++
		c.top.Guessed++
	}
	r.count(m)
	if !m.Refused {
		known := max(m.listed, 1) // a message has one
		r.Recipients += known
		if forgotten := c.open.Add(m.ID, &onTheWay{row: r, known: known}); forgotten {
			c.top.Unfollowed++
		}
	}
}

// key returns what tells the sender, empty if the log does not.
func (c *counter) key(m *Message) (key string, guess bool) {
	switch c.By {
	case "account":
		if m.Account == "" && m.Client.IsValid() {
			return "[" + m.Client.String() + "]", false
		}
		return m.Account, false
	case "directory":
		return m.Directory, m.Guess
	case "script":
		return m.Script, m.Guess
	case "uid":
		return c.uid(m), false
	case "address":
		if m.Sender == "" {
			return "<>", false
		}
		return m.Sender, false
	case "subject":
		return m.Subject, false
	}
	if m.Client.IsValid() {
		return m.Client.String(), false
	}
	return "this machine", false
}

// uid returns the uid with its account. Whoever logged in has none.
func (c *counter) uid(m *Message) string {
	switch {
	case m.UID != "":
		return strings.TrimSpace(m.UID + " " + m.Account)
	case m.Account == "" || m.LoggedIn:
		return ""
	}
	if c.UID != nil {
		if uid, ok := c.UID(m.Account); ok {
			return fmt.Sprintf("%d %s", uid, m.Account)
		}
	}
	return "? " + m.Account
}

// count adds a message.
func (r *Row) count(m *Message) {
	if r.First.IsZero() || m.Time.Before(r.First) {
		r.First = m.Time
	}
	if m.Time.After(r.Last) {
		r.Last = m.Time
	}
	r.example(m.ID)
	if m.Refused {
		r.Refused++
		return
	}
	r.Messages++
	r.Bytes += m.Size
}

// example keeps the first id, and of the others the latest.
func (r *Row) example(id string) {
	switch {
	case id == "":
	case len(r.Examples) < maxExamples:
		r.Examples = append(r.Examples, id)
	default:
		copy(r.Examples[1:], r.Examples[2:])
		r.Examples[maxExamples-1] = id
	}
}

// delivery counts what became of a recipient.
func (c *counter) delivery(e *mainlog.Event) {
	switch e.Kind {
	case mainlog.Delivered, mainlog.DeliveredMore, mainlog.DeliveredThrough, mainlog.DeliveryFailed, mainlog.DeliveryDeferred, mainlog.Completed:
	default:
		return
	}
	m, ok := c.open.Get(e.ID)
	if !ok {
		return
	}
	r := m.row
	switch e.Kind {
	case mainlog.Completed:
		c.open.Remove(e.ID)
		return
	case mainlog.DeliveryDeferred:
		r.Deferred++
	case mainlog.DeliveryFailed:
		r.Failed++
		m.done++
	default:
		r.Delivered++
		m.done++
	}
	if m.done > m.known {
		m.known++
		r.Recipients++
	}
	if at := strings.LastIndexByte(e.Recipient, '@'); e.Away && at >= 0 {
		r.domains.add(strings.TrimSuffix(e.Recipient[at+1:], ">"))
	}
}

// finish orders the rows.
func (c *counter) finish(seen mainlog.Selectors) {
	t := &c.top
	t.Rows = c.heavy.all()
	if c.Most > 0 {
		t.Rows = t.Rows[:min(len(t.Rows), c.Most)]
	}
	for _, r := range t.Rows {
		r.Domains, r.DomainsAbout = r.domains.count()
	}
	t.LetGo = c.heavy.letGo
	t.Different, t.About = c.heavy.keys.count()
	if t.LetGo == 0 {
		t.Different, t.About = len(c.heavy.rows), false
	}
	t.Missing = c.seen.missing(c.By, seen, t.Guessed > 0)
}
