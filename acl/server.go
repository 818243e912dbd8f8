package acl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"eximpolicyd/internal/ledger"
	"eximpolicyd/internal/origin"
	"eximpolicyd/policy"
)

// Bounds of the server.
const (
	defaultSeats = 16384           // connections judged or waited for at once; under 5 kB each
	turnedAway   = 256             // connections told that there is no seat, and listened out, at once
	readDeadline = 2 * time.Second // for a whole request, in two halves; Exim writes it in one call
	maxLinger    = 4 << 20         // octets read and thrown away behind a request that was answered early
	maxBackoff   = time.Second     // between tries to accept when the system has no descriptors left
)

// Settings are what the configuration says of the door. A reload swaps them whole.
type Settings struct {
	Decider *Decider
	DNS     *DNS            // nil: the DNS is not asked
	Own     *OwnDNS         // likewise
	Ledger  ledger.Ledger   // nil: nothing is remembered across requests but the connection
	Peers   map[uint32]bool // uids that may ask; Exim's, root, our own
	Prove   bool            // ask the kernel whether a connection exists; else believe every request
	Privacy Privacy
	Log     *slog.Logger

	Stamps   Stamper  // nil: no message of ours is stamped
	Strip    bool     // fields of X-Source that come from elsewhere go: ours are shown
	Programs Programs // nil: of a program on this machine only uid and directory are known
	Observer Observer // nil: nobody is told
}

// Server answers Exim on a Unix socket. One connection is one request and one reply. Make it with NewServer.
type Server struct {
	settings   atomic.Pointer[Settings]
	socket     string
	bypass     string
	looked     atomic.Int64  // the millisecond in which the bypass file was last looked for, twice, and 1 if it stood there
	patience   time.Duration // for a whole request; readDeadline
	seats      chan struct{}
	away       chan struct{}
	conns      *conns
	interfaces origin.Interfaces
	ids        *sequence
	buffers    sync.Pool
	handlers   sync.WaitGroup
	told       map[string]told // requests turned away, by note; only Serve's loop looks
	failed     atomic.Bool     // we failed on a request, and the log has a stack
	counters   counters        // for Stats
	ring       Ring            // for explain
	uid        uint32          // our own
}

// told is how often something happened, and when the log last heard of it.
type told struct {
	number int
	last   time.Time
}

// NewServer makes a server for a socket path, with so many seats; 0 means 16,384. While a file named bypass stands beside
// the socket, and is root's or our own user's, every request is answered with no opinion; that is seen within a millisecond.
func NewServer(socket string, seats int, prover Prover, s *Settings) *Server {
	if seats <= 0 {
		seats = defaultSeats
	}
	srv := &Server{
		socket:   socket,
		bypass:   filepath.Join(filepath.Dir(socket), "bypass"),
		patience: readDeadline,
		seats:    make(chan struct{}, seats),
		away:     make(chan struct{}, turnedAway),
		conns:    newConns(prover),
		ids:      newSequence(),
		told:     make(map[string]told),
		uid:      uint32(os.Getuid()),
	}
	srv.buffers.New = func() any { b := make([]byte, 0, 4<<10); return &b }
	srv.Swap(s)
	return srv
}

// Swap puts new settings in force. A request that is being judged is finished with the old ones.
func (s *Server) Swap(settings *Settings) { s.settings.Store(settings) }

// Serve accepts connections until ctx ends, then closes the listener and returns when every request under way has been
// answered, which takes no longer than the read deadline and the longest budget together.
func (s *Server) Serve(ctx context.Context, l *net.UnixListener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer s.handlers.Wait()
	backoff := time.Duration(0)
	for {
		c, err := l.AcceptUnix()
		switch {
		case err == nil:
			backoff = 0
			s.admit(c)
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return nil
		default: // out of descriptors: they come back when connections end
			backoff = min(max(2*backoff, 5*time.Millisecond), maxBackoff)
			s.settings.Load().Log.Error("cannot accept a connection, waiting", "error", err, "wait", backoff)
			pause(ctx, backoff)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// admit gives a connection a seat, or tells it at once that there is none. Serve waits for the goroutines; each ends by
// the deadline it sets.
func (s *Server) admit(c *net.UnixConn) {
	c.SetReadDeadline(time.Now().Add(s.patience / 2))
	peer, err := origin.PeerOf(c)
	if err != nil || !s.settings.Load().Peers[peer.UID] {
		s.counters.refused.Add(1)
		s.turnAway(c, NotAllowed, "refused callers: their uid is not in listen.peers", "uid", peer.UID, "pid", peer.PID)
		return
	}
	select {
	case s.seats <- struct{}{}:
		s.handlers.Go(func() {
			defer func() { <-s.seats }()
			s.handle(c, peer)
		})
	default:
		s.counters.busy.Add(1)
		s.turnAway(c, busy, "no free seat, requests are answered with no opinion", "seats", cap(s.seats))
	}
}

// NotAllowed is the note for a caller whose uid is not in listen.peers.
const NotAllowed = "not allowed to ask"

// busy is the note for a caller for whom there is no seat.
const busy = "busy"

// turnAway answers at once, without a seat. The log hears of each kind once a second: a flood must not flood it as well.
func (s *Server) turnAway(c *net.UnixConn, note, why string, about ...any) {
	r := Reply{Note: note}
	c.Write(r.Append(nil))
	t := s.told[note]
	t.number++
	if now := time.Now(); now.Sub(t.last) >= time.Second {
		t.last = now
		s.settings.Load().Log.Warn(why, append(about, "so_far", t.number)...)
	}
	s.told[note] = t
	select {
	case s.away <- struct{}{}:
		s.handlers.Go(func() {
			defer func() { <-s.away }()
			s.linger(c)
		})
	default:
		c.Close()
	}
}

// linger reads what a client still sends and closes. Closing over unread octets would make the reply an error to Exim.
func (s *Server) linger(c *net.UnixConn) {
	defer c.Close()
	c.CloseWrite()
	buf := s.buffer()
	defer s.release(buf)
	for total := 0; total < maxLinger; {
		n, err := c.Read((*buf)[:cap(*buf)])
		total += n
		if err != nil {
			return
		}
	}
}

// handle waits for one request, and only then takes what a decision needs: of the connections that are open, most wait.
func (s *Server) handle(c *net.UnixConn, peer origin.Peer) {
	defer s.rescue(c)
	buf, err := s.read(c)
	defer s.release(buf)
	deepen(len(*buf))
	s.judge(c, peer, *buf, err)
}

// deepen makes room on the goroutine's stack for a whole decision at once, while there are but three frames to move.
// Left to itself the stack gets there in steps and moves more of them at each: 7 % of the daemon's time, and 0.12 of the
// ratio to a bare server. A worker whose stack is deep already would cost every connection that waits its memory.
//
//go:noinline
func deepen(n int) byte {
	var room [5 << 10]byte
	return room[n%len(room)]
}

// judge answers what has been read, and writes the decision line. Inlined, it would make room for all this on the stack
// of every connection that waits.
//
//go:noinline
func (s *Server) judge(c *net.UnixConn, peer origin.Peer, raw []byte, err error) {
	settings := s.settings.Load()
	switch q, bad := parse(raw, err, s.patience); {
	case string(raw) == resetRequest:
		c.Close()
	case bad != nil:
		level := slog.LevelWarn
		if len(raw) == 0 { // somebody looked whether we are there
			level = slog.LevelDebug
		} else {
			s.counters.malformed.Add(1)
		}
		s.answer(c, Reply{Note: bad.Error()}, true)
		settings.Log.Log(context.Background(), level, "a request is answered with no opinion", "error", bad, "pid", peer.PID)
	default:
		behind := !bytes.HasSuffix(raw, emptyLine) // it may still be sending what is ignored
		s.decide(c, settings, peer, q, len(raw), behind)
	}
}

// rescue answers a request on which we failed ourselves: such a mistake must cost neither mail nor the other requests.
func (s *Server) rescue(c *net.UnixConn) {
	cause := recover()
	if cause == nil {
		return
	}
	stack := "in the log already"
	if !s.failed.Swap(true) {
		stack = string(debug.Stack())
	}
	s.counters.failed.Add(1)
	s.settings.Load().Log.Error("failed on a request, which is answered with no opinion; please report this",
		"cause", fmt.Sprint(cause), "stack", stack)
	s.answer(c, Reply{Note: "failed"}, true)
}

// decide judges a well-formed request of so many octets.
func (s *Server) decide(c *net.UnixConn, settings *Settings, peer origin.Peer, q *policy.Request, octets int, behind bool) {
	now := time.Now()
	if s.bypassed(now) {
		s.counters.bypassed.Add(1)
		s.answer(c, Reply{Note: "bypass"}, behind)
		settings.Log.Info("bypassed", "stage", q.Stage.String(), "file", s.bypass)
		return
	}
	known := live{peer: peer, dns: settings.DNS, own: settings.Own, programs: settings.Programs}
	known.interfaces = s.interfaces.Addresses(now)
	known.view = s.conns.note(peer, q, ownAddress(q, known.interfaces), now)
	known.proven = known.view.proven || !settings.Prove
	known.recall = Recall{ledger: settings.Ledger, proven: known.proven, here: known.view.here}

	ctx := budget{end: now.Add(Budget(q.Stage))}
	m := settings.Decider.decide(&ctx, q, now, &known, false)
	d := &m.out
	s.counters.count(d, ctx.Err() != nil)
	ctx.stop()
	if known.waited {
		s.conns.pay(peer.PID, q)
	}
	d.ID = s.ids.next(now)
	reply := d.Reply(q)
	settings.tell(&reply, d, q, now)
	m.took, m.privacy, m.octets = time.Since(now), settings.Privacy, octets
	if d.level() == slog.LevelInfo { // what the log tells of, and so what somebody can have the id of: whoever has it may ask
		s.ring.add(m)
	}
	s.answer(c, reply, behind)
	if settings.Observer != nil {
		settings.Observer.Observe(d, m.took)
	}
	logDecision(settings, d, q, known.view.uid, m.took)
}

// Ring returns the decisions that can still be explained.
func (s *Server) Ring() *Ring { return &s.ring }

// bypassed reports whether the bypass file stands there, looking once a millisecond. Who comes while another looks does so
// too: what was seen before may be from hours ago.
func (s *Server) bypassed(now time.Time) bool {
	tick, seen := now.UnixMilli(), s.looked.Load()
	if seen>>1 != tick { // also if the clock was set back
		seen = tick << 1
		if s.bypassStands() {
			seen++
		}
		s.looked.Store(seen)
	}
	return seen&1 != 0
}

// bypassStands looks for the bypass file, a link to nothing too. One that another user made does not count: the folder may
// be open to more than the administrator. os.Lstat says more, and takes twice as long.
func (s *Server) bypassStands() bool {
	var st unix.Stat_t
	return unix.Lstat(s.bypass, &st) == nil && (st.Uid == 0 || st.Uid == s.uid)
}

// answer writes a reply and closes. early says that the client may still be sending. The write waits for nobody: a reply
// fits our own end's buffer, which is where Linux keeps what a Unix socket has sent.
func (s *Server) answer(c *net.UnixConn, r Reply, early bool) {
	var line [512]byte
	c.Write(r.Append(line[:0]))
	if early {
		s.linger(c)
		return
	}
	c.Close()
}
