package mainlog

import (
	"net/netip"
	"strings"
	"time"
)

// Sessions groups the events of a log to connections, as far as the log allows: by address and port where it has ports
// (+incoming_port), else by process and address (+pid), else by address for ten minutes, as long as there is no pause. It yields
// connections in the order in which they began. It is for one goroutine.
//
// Bound: maxOpen connections and about maxHeld octets; then the oldest is yielded as it is, and what comes later of it is a
// connection of its own, as is what comes after the first maxEntries of one: nothing that a log tells is passed over. An entry
// of one that was forgotten is never added to another address's.
type Sessions struct {
	next  func() (*Event, error)
	pause time.Duration

	open  map[connectionKey]*building
	byID  map[string]messageAt // messages of connections that are not yielded yet
	queue []*building          // in the order in which they began
	held  int                  // octets
	now   time.Time
	end   error
	cwd   lastCommand
	ids   int // how many more messages may be without a Message-ID, until nothing says that +msg_id is on
	spare []*building
	Lost  uint64 // events of a client without an address, of which no connection can be made
}

// Bounds and pauses.
const (
	maxOpen      = 8192             // whose maps and lists take 1 kB each
	maxHeld      = 16 << 20         // octets of all that is kept, by the entries they come of
	perEntry     = 256              // octets of an entry beside its text
	maxLong      = 10 * time.Minute // of what is held together by an address alone: all that began later waits for it
	DefaultPause = 2 * time.Minute  // between two entries of an address: after it, a new connection begins
	surePause    = 10 * time.Minute // where port or process tell: longer than any of Exim's time-outs but for data
	linger       = 15 * time.Second // after its end, for deliveries
	maxSpare     = 64               // that were given back: more would be gone from the processor's cache
	idsShown     = 20               // messages from elsewhere in a row without a Message-ID: then it is not asked for
)

// connectionKey has no gaps, so that it is hashed in one piece.
type connectionKey struct {
	client netip.Addr
	port   uint32
	pid    int32
}

// building is a connection that may go on.
type building struct {
	ended bool
	left  bool // it is no longer found by its key
	Connection
	key connectionKey
}

// messageAt is where a message stands.
type messageAt struct {
	of *building
	n  int
}

// lastCommand is the last command line that was logged: of the submission that follows.
type lastCommand struct {
	time time.Time
	pid  int32
	dir  string
}

// NewSessions groups the events of a reader. A pause of zero is DefaultPause.
func NewSessions(r *Reader, pause time.Duration) *Sessions { return SessionsOf(r.Next, pause) }

// SessionsOf groups events that next returns, up to its error.
func SessionsOf(next func() (*Event, error), pause time.Duration) *Sessions {
	if pause == 0 {
		pause = DefaultPause
	}
	return &Sessions{next: next, pause: pause, open: map[connectionKey]*building{}, byID: map[string]messageAt{}}
}

// Next returns the connection that began next, or the error of the events' source: io.EOF at the end.
func (s *Sessions) Next() (*Connection, error) {
	for {
		if len(s.queue) > 0 {
			if b := s.queue[0]; s.end != nil || len(s.queue) > maxOpen || s.held > maxHeld || s.over(b) {
				s.queue[0] = nil
				s.queue = s.queue[1:]
				s.forget(b)
				return &b.Connection, nil
			}
		} else if s.end != nil {
			return nil, s.end
		}
		e, err := s.next()
		if err != nil {
			s.end = err
			continue
		}
		s.take(e)
	}
}

// over reports whether nothing more can come of a connection.
func (s *Sessions) over(b *building) bool {
	idle := between(b.Ended, s.now)
	return idle > s.patience(b) || b.ended && idle > linger
}

// between returns how much later b is than a, at most a lifetime: time.Time.Sub takes three times as long to be right for
// centuries.
func between(a, b time.Time) time.Duration {
	const most = 1 << 31
	seconds := min(max(b.Unix()-a.Unix(), -most), most)
	return time.Duration(seconds)*time.Second + time.Duration(b.Nanosecond()-a.Nanosecond())
}

func (s *Sessions) patience(b *building) time.Duration {
	switch b.By {
	case ByAddress:
		return s.pause
	case ByMessage:
		return linger
	}
	return surePause
}

// forget takes a connection out of the maps.
func (s *Sessions) forget(b *building) {
	s.leave(b)
	for i := range b.Messages {
		delete(s.byID, b.Messages[i].ID)
	}
	s.held -= b.Octets
}

func (s *Sessions) leave(b *building) {
	if !b.left && s.open[b.key] == b {
		delete(s.open, b.key)
	}
	b.left = true
}

// take puts an event where it belongs.
func (s *Sessions) take(e *Event) {
	if e.Time.After(s.now) {
		s.now = e.Time
	}
	switch {
	case e.Kind == CommandLine:
		s.cwd = lastCommand{e.Time, e.PID, strings.Clone(e.Command[:min(len(e.Command), maxKept)])}
	case e.Kind >= Delivered && e.Kind <= DeliveryDeferred:
		if at, ok := s.byID[e.ID]; ok {
			at.of.delivery(&at.of.Messages[at.n], e)
		}
	case !e.Kind.OfClient():
	case !e.Client.IsValid():
		s.local(e)
	default:
		s.remote(e)
	}
}

func (s *Sessions) remote(e *Event) {
	key, by := connectionKey{client: e.Client}, ByAddress
	switch {
	case e.Port != 0:
		key.port, by = uint32(e.Port), ByPort
	case e.PID != 0:
		if e.Kind == Opened && e.Reason != "" {
			return // counted by the daemon, in its own process: that of the connection is still to come
		}
		key.pid, by = e.PID, ByPID
	}
	b := s.open[key]
	if b != nil && (b.ended && !closes(e.Kind) || b.Entries == maxEntries || between(b.Ended, e.Time) > s.patience(b) || e.Kind == Opened && by != ByAddress ||
		by == ByAddress && (between(b.Began, e.Time) > maxLong || e.Server.IsValid() && b.Server.IsValid() && e.Server != b.Server)) {
		s.leave(b)
		b = nil
	}
	if b == nil {
		b = s.begin(e, key, by)
		s.open[key] = b
	}
	s.put(b, e)
	if ends(e) {
		b.ended = by != ByAddress // of several at once, one has ended
	}
}

// ends reports whether nothing that a client does comes after an entry of its connection.
func ends(e *Event) bool { return closes(e.Kind) || e.Kind == Refused || e.Kind == ConnectRejected }

// closes reports whether an entry tells how a connection ended. There may be two: that it was closed, and that there was no MAIL.
func closes(k Kind) bool {
	switch k {
	case Closed, Dropped, Lost, TimedOut, NoMail:
		return true
	}
	return false
}

// local takes a submission of this machine: each message is one.
func (s *Sessions) local(e *Event) {
	if e.Kind != Arrived && e.Kind != ArrivedRefused && e.Kind != SubmissionRefused {
		s.Lost++
		return
	}
	b := s.begin(e, connectionKey{}, ByMessage)
	b.left, b.ended = true, true
	b.Ident = b.keep(e.Ident)
	if c := s.cwd; c.dir != "" && c.pid == e.PID && e.Time.Sub(c.time) <= time.Second {
		b.CWD = c.dir
		if e.PID == 0 {
			s.cwd = lastCommand{}
		}
	}
	s.put(b, e)
}

func (s *Sessions) begin(e *Event, key connectionKey, by Evidence) *building {
	b := s.room()
	b.key = key
	b.Client, b.Port, b.By = e.Client, e.Port, by
	b.Began, b.Ended = e.Time, e.Time
	s.queue = append(s.queue, b)
	return b
}

// room returns a connection that was given back, or a new one.
func (s *Sessions) room() *building {
	last := len(s.spare) - 1
	if last < 0 {
		b := new(building)
		b.of = b
		return b
	}
	b := s.spare[last]
	s.spare[last], s.spare = nil, s.spare[:last]
	b.again()
	b.ended, b.left = false, false
	return b
}

// Reuse takes back a connection that Next returned and that nobody looks at any more: another one is made of it. What is
// still kept of its strings stays as it is.
func (s *Sessions) Reuse(c *Connection) {
	if len(s.spare) < maxSpare {
		s.spare = append(s.spare, c.of)
	}
}

func (s *Sessions) put(b *building, e *Event) {
	n, size := len(b.Messages), perEntry+len(e.Text)+len(e.Headers)
	b.Octets += size
	s.held += size
	b.add(e)
	if len(b.Messages) == n {
		return
	}
	if e.Kind == Arrived && e.Client.IsValid() {
		b.Messages[n].NoID = s.withoutID(e)
	}
	if e.ID != "" {
		s.byID[b.Messages[n].ID] = messageAt{b, n}
	}
}

// withoutID reports whether a message from elsewhere is shown without its Message-ID, as the messages before it are not.
func (s *Sessions) withoutID(e *Event) bool {
	switch {
	case e.MessageID != "":
		s.ids = idsShown
	case s.ids > 0:
		s.ids--
		return true
	}
	return false
}
