package mainlog

import (
	"net/netip"
	"strings"
	"time"
)

// Connection is what a log tells of one connection of a client, or of one local submission, or a part of it: see Sessions. Its
// strings are its own.
//
// What nearly every entry touches stands first, side by side: thousands are open, and to fetch them takes longest.
type Connection struct {
	Ended   time.Time // of the last entry
	Began   time.Time
	By      Evidence // how its entries were found to belong together
	Entries int
	Octets  int // of its entries, about: what it takes in memory

	HELOs []string        // the names it greeted with, in order; at most maxHELOs
	Rcpts []Rcpt          // that were refused, in order
	texts strings.Builder // that its strings are parts of

	Client netip.Addr // not valid: a local submission
	Port   uint16
	Server netip.AddrPort
	PTR    string
	Ident  string // the login of a local submission
	CWD    string // the directory it was made in

	TLS   string
	Login string // the last that succeeded, as authenticator:login

	Messages     []Message
	FailedLogins []time.Time

	helo   [1]string // room for HELOs and FailedLogins: most have one or none
	failed [1]time.Time
	of     *building
}

// HELO returns the last name it greeted with.
func (c *Connection) HELO() string {
	if len(c.HELOs) == 0 {
		return ""
	}
	return c.HELOs[len(c.HELOs)-1]
}

// Evidence says what made one connection of entries.
type Evidence uint8

// The evidence, the weakest first.
const (
	ByAddress Evidence = iota // one address without a long pause: may be several connections, at once or in turn
	ByPID                     // one process of Exim and one address
	ByPort                    // address and port
	ByMessage                 // a local submission
)

// String names the evidence.
func (e Evidence) String() string {
	return [...]string{"address", "process", "port", "message"}[min(e, ByMessage)]
}

// Message is one that Exim took or refused after DATA.
type Message struct {
	Time       time.Time
	ID         string
	Kind       Kind   // Arrived, ArrivedRefused, DataRejected, ScanRejected, MessageRejected, SubmissionRefused
	HELO       string // that it came with: there may have been others in one connection, and more so behind one address
	Sender     string
	Recipients []string // from +received_recipients, else those that deliveries told of in time
	Protocol   string
	Auth       string
	Size       int64
	MessageID  string // empty: it had none, or +msg_id is off
	NoID       bool   // others of that time are shown with theirs, and it is not: it has none, or none that Exim can read
	Headers    string // of a refused one
	Delivered  int    // recipients, as far as it was told in time
	Away       int    // recipients that were delivered, or tried, at other hosts, likewise
	AwayFirst  string // one of them
}

// Taken reports whether the message was accepted.
func (m *Message) Taken() bool { return m.Kind == Arrived || m.Kind == ArrivedRefused }

// Rcpt is a recipient that was refused.
type Rcpt struct {
	Time              time.Time
	HELO, Auth        string // as of a Message
	Sender, Recipient string
	Temporary         bool
	Cause             Cause
}

// Bounds of one connection.
const (
	maxHELOs      = 8
	maxEntries    = 1024    // Exim itself ends a connection after 1,000 messages (smtp_accept_max_per_connection)
	maxRecipients = 256     // of a message
	maxKept       = 2 << 10 // octets of a text; header fields 32 kB as they were read
	textRoom      = 256     // octets of texts at once: nearly all connections have fewer
)

// keep copies a text out of the log. Those of a connection stand side by side: apart, ten short ones are ten times the work.
func (c *Connection) keep(s string) string { return c.keepAll(s[:min(len(s), maxKept)]) }

func (c *Connection) keepAll(s string) string {
	if s == "" {
		return ""
	}
	if c.texts.Cap()-c.texts.Len() < len(s) {
		c.texts.Reset()
		c.texts.Grow(max(len(s), textRoom))
	}
	c.texts.WriteString(s)
	return c.texts.String()[c.texts.Len()-len(s):]
}

// keepLike does so, unless it is the same as one that is kept already.
func (c *Connection) keepLike(s, kept string) string {
	if s == kept {
		return kept
	}
	return c.keep(s)
}

// again makes a connection that nobody uses any more a new one, with the room that its lists have.
func (c *Connection) again() {
	*c = Connection{Messages: few(c.Messages), Rcpts: few(c.Rcpts), of: c.of}
}

// few empties a list. A long one is let go.
func few[T any](list []T) []T {
	const most = 8
	if cap(list) > most {
		return nil
	}
	return list[:0]
}

// add takes an event of this connection. What may be of another client is held against nobody.
func (c *Connection) add(e *Event) {
	c.Entries++
	c.Ended = e.Time
	if e.Doubtful {
		return
	}
	c.know(e)
	switch e.Kind {
	case Arrived, ArrivedRefused, DataRejected, ScanRejected, MessageRejected, SubmissionRefused:
		c.message(e)
	case RcptRejected:
		c.rcpt(e)
	case AuthFailed:
		if c.FailedLogins == nil {
			c.FailedLogins = c.failed[:0]
		}
		c.FailedLogins = append(c.FailedLogins, e.Time)
	}
}

// know takes what an entry tells of the connection itself.
func (c *Connection) know(e *Event) {
	if e.PTR != "" && c.PTR == "" {
		c.PTR = c.keep(e.PTR)
	}
	if e.HELO != "" && c.HELO() != e.HELO && len(c.HELOs) < maxHELOs {
		if c.HELOs == nil {
			c.HELOs = c.helo[:0]
		}
		c.HELOs = append(c.HELOs, c.keepLike(e.HELO, c.PTR))
	}
	if e.TLS != "" && c.TLS == "" {
		c.TLS = c.keep(e.TLS)
	}
	if e.Server.IsValid() && !c.Server.IsValid() {
		c.Server = e.Server
	}
	if e.Auth != "" && e.Kind != AuthFailed {
		c.Login = c.keep(e.Auth)
	}
}

func (c *Connection) message(e *Event) {
	var to []string // room for the recipients
	if n := len(c.Messages); n < cap(c.Messages) {
		to = c.Messages[:n+1][n].Recipients[:0]
	}
	m := Message{
		Recipients: to,
		Time:       e.Time, ID: c.keepAll(e.ID), Kind: e.Kind, HELO: c.keepLike(e.HELO, c.HELO()), Sender: c.keep(e.Sender),
		Protocol: c.keep(e.Protocol), Auth: c.keepLike(e.Auth, c.Login),
		Size: e.Size, MessageID: c.keep(e.MessageID), Headers: c.keepAll(e.Headers),
	}
	for to := range e.Recipients() {
		m.Recipients = append(m.Recipients, c.keep(to))
		if len(m.Recipients) == maxRecipients {
			break
		}
	}
	c.Messages = append(c.Messages, m)
}

func (c *Connection) rcpt(e *Event) {
	last := "" // of several, the sender is the same
	if n := len(c.Rcpts); n > 0 {
		last = c.Rcpts[n-1].Sender
	} else if c.Rcpts == nil {
		c.Rcpts = make([]Rcpt, 0, 4) // who is refused one tries others
	}
	c.Rcpts = append(c.Rcpts, Rcpt{e.Time, c.keepLike(e.HELO, c.HELO()), c.keepLike(e.Auth, c.Login), c.keepLike(e.Sender, last),
		c.keep(e.Recipient), e.Temporary, e.Cause})
}

// delivery takes what became of a message of this connection.
func (c *Connection) delivery(m *Message, e *Event) {
	if e.Away {
		m.Away++
		if m.AwayFirst == "" {
			m.AwayFirst = c.keep(e.Recipient)
		}
	}
	switch e.Kind {
	case Delivered, DeliveredMore, DeliveredThrough:
		m.Delivered++
	case DeliveryDeferred, DeliverySuppressed:
		return
	}
	to := e.Original
	if to == "" {
		to = e.Recipient
	}
	if len(m.Recipients) >= maxRecipients || strings.IndexByte(to, '@') < 0 {
		return
	}
	for _, known := range m.Recipients {
		if strings.EqualFold(known, to) {
			return
		}
	}
	m.Recipients = append(m.Recipients, c.keep(to))
}
