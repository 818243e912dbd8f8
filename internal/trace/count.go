package trace

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

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
	row         *Row  // nil: its sender is not known yet
	early       []end // what became of it before that
	known, done int   // recipients
}

// end is what became of a recipient.
type end struct {
	kind   mainlog.Kind
	domain string // of a delivery to another host
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
	err := each(ctx, r, func(e *mainlog.Event) {
		for _, m := range join.done(e.Time) {
			c.message(m)
		}
		m := join.take(e)
		if e.Time.Before(c.Since) {
			return
		}
		c.top.Log.see(e)
		switch {
		case m != nil && !m.Refused:
			if forgotten := c.open.Add(m.ID, &onTheWay{known: max(m.listed, 1)}); forgotten { // a message has one recipient
				c.top.Unfollowed++
			}
		case e.ID != "":
			c.delivery(e)
		}
	})
	if err != nil {
		return nil, err
	}
	for _, m := range join.done(time.Time{}) {
		c.message(m)
	}
	c.top.Log.sum(r)
	c.finish(r.Counts().Seen)
	return &c.top, nil
}

// message counts one of which all is known that will be.
func (c *counter) message(m *Message) {
	if m.Time.Before(c.Since) {
		return
	}
	c.seen.see(m)
	if !c.All && !m.Ours() {
		if !m.Refused {
			c.top.Outside++
		}
		c.open.Remove(m.ID)
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
		c.open.Remove(m.ID)
		return
	}
	r := c.heavy.row(key)
	if guess {
		r.Guessed++
		c.top.Guessed++
	}
	r.count(m)
	if way, ok := c.open.Peek(m.ID); ok && !m.Refused {
		way.row = r
		r.Recipients += way.known
		for _, end := range way.early {
			if r.end(end); end.kind == mainlog.Completed {
				c.open.Remove(m.ID)
			}
		}
		way.early = nil
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

// delivery notes what became of a recipient.
func (c *counter) delivery(e *mainlog.Event) {
	if e.Kind < mainlog.Delivered || e.Kind > mainlog.Completed {
		return
	}
	way, ok := c.open.Get(e.ID)
	if !ok {
		return
	}
	if e.Kind == mainlog.Completed && way.row != nil {
		c.open.Remove(e.ID)
		return
	}
	this := end{kind: e.Kind}
	if at := strings.LastIndexByte(e.Recipient, '@'); e.Away && at >= 0 {
		this.domain = strings.TrimSuffix(e.Recipient[at+1:], ">")
	}
	if e.Kind != mainlog.DeliveryDeferred && e.Kind != mainlog.Completed {
		if way.done++; way.done > way.known {
			way.known++
			if way.row != nil {
				way.row.Recipients++
			}
		}
	}
	switch {
	case way.row != nil:
		way.row.end(this)
	case len(way.early) < maxEarly:
		this.domain = strings.Clone(this.domain)
		way.early = append(way.early, this)
	}
}

// maxEarly is how much of a message is kept before its sender is known: what is delivered within guessTime.
const maxEarly = 1024

// end counts one.
func (r *Row) end(e end) {
	switch e.kind {
	case mainlog.Delivered, mainlog.DeliveredMore, mainlog.DeliveredThrough:
		r.Delivered++
	case mainlog.DeliveryFailed:
		r.Failed++
	case mainlog.DeliveryDeferred:
		r.Deferred++
	}
	if e.domain != "" {
		r.domains.add(e.domain)
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
		r.Domains = min(r.Domains, r.Delivered+r.Failed+r.Deferred) // an estimate may be more
	}
	t.LetGo = c.heavy.letGo
	t.Different, t.About = c.heavy.keys.count()
	if t.LetGo == 0 {
		t.Different, t.About = len(c.heavy.rows), false
	}
	t.Log.Missing = c.seen.missing(c.By, seen, t.Guessed > 0)
}
