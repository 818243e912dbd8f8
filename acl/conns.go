package acl

import (
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"eximpolicyd/internal/origin"
	"eximpolicyd/policy"
)

// Bounds of the connection table.
const (
	maxConns     = 16384     // Exim's smtp_accept_max is 20 by default, a busy site has thousands
	maxClaims    = 4096      // connections that are not proven; whoever makes many of them pushes out none that is
	connIdle     = time.Hour // longer than any of Exim's own time-outs in a session
	maxGreetings = 4         // names of one connection: the first and the newest
	maxGreeting  = 300       // octets of each, as the snippet sends; 4 * 300 * 16384 = 20 MB at the very worst

	// A process that asked so shortly ago is taken for the same one without a look into /proc, a tenth of a callout: to be
	// given the same number, another had to come after 32,768 more (pid_max at its lowest default), 1.6 million a second.
	pidRest = 20 * time.Millisecond
)

// conns is the connection table: what is remembered of an SMTP connection between its requests. It is keyed by Exim's
// process and the client's address and port; the process is the peer of our socket, never what the request claims.
//
// Bound: maxConns entries that are proven and maxClaims that are not, the oldest goes first. Lost on restart. A forgotten entry means that greetings, the owner of
// a loopback connection and the proof that the connection exists are not known, which no rule objects to.
type conns struct {
	mu     sync.Mutex
	table  *simplelru.LRU[connKey, *conn] // of those that are proven
	claims *simplelru.LRU[connKey, *conn] // of the others
	owners map[tuple]connKey              // whose proven connection a 4-tuple is: the first process that named it
	prover Prover
}

// Prover looks behind a connection. origin.Diag and /proc do it for serve.
type Prover interface {
	// Find returns the TCP socket of this machine with these two ends.
	Find(local, remote netip.AddrPort) (s origin.Socket, found bool, err error)
	// Started returns when a process started; it fails for one that is gone.
	Started(pid int32) (uint64, error)
	// Forked reports whether a process goes on with its parent's program; it fails for one that is gone.
	Forked(pid int32) (bool, error)
}

type connKey struct {
	pid    int32
	client netip.AddrPort
}

// tuple is Exim's own socket: what it is connected to, and where. Behind a proxy the far end is the proxy's, and the
// client is only what a line of the PROXY protocol says. Exim ends a connection before its process ends, and a proxy may
// use the port again at once: the inode tells the new connection from the old one.
type tuple struct {
	far, server netip.AddrPort
	inode       uint32 // 0: there is no such socket
}

// conn is one entry. It is changed under the table's lock and copied out.
type conn struct {
	start  uint64 // of the process, so that a reused pid is another one
	seen   time.Time
	tuple  tuple
	proven bool
	uid    policy.Maybe[uint32] // who owns the other end of a connection from this machine

	greetings []policy.Greeting // never changed in place: views share it
	pending   recipient         // the recipient that was asked about last
	accepted  int               // recipients that Exim had taken by then
	others    bool              // one that was taken is neither postmaster nor abuse
	paid      bool              // it has waited for the DNS in vain
	deeds     deeds             // what it has tried
}

type recipient uint8

const (
	noRecipient recipient = iota
	toPostmaster
	toOther
)

// view is what a request sees of its connection. The zero view knows nothing.
type view struct {
	proven         bool
	uid            policy.Maybe[uint32]
	greetings      []policy.Greeting
	onlyPostmaster bool
	paid           bool
	here           kept
}

func newConns(p Prover) *conns {
	c := &conns{owners: make(map[tuple]connKey), prover: p}
	// The only error is that of a size below 1.
	c.table, _ = simplelru.NewLRU(maxConns, func(k connKey, e *conn) {
		if c.owners[e.tuple] == k {
			delete(c.owners, e.tuple)
		}
	})
	c.claims, _ = simplelru.NewLRU[connKey, *conn](maxClaims, nil)
	return c
}

// note takes what a request tells about its connection and returns what is known of it then. own says that the client's
// address is one of this machine.
func (c *conns) note(peer origin.Peer, q *policy.Request, own bool, now time.Time) view {
	if !q.Client.IsValid() || peer.PID == 0 {
		return view{}
	}
	key := connKey{peer.PID, netip.AddrPortFrom(q.Client, port(q.ClientPort))}
	var last conn
	c.mu.Lock()
	e, known := c.find(key)
	if known {
		last = *e
	}
	c.mu.Unlock()
	opens := q.Stage == policy.Connect || q.Stage == policy.Helo && !known
	if !opens && !known {
		return view{}
	}
	start := last.start
	if opens || now.Sub(last.seen) >= pidRest {
		var err error
		if start, err = c.prover.Started(peer.PID); err != nil {
			return view{}
		}
	}
	if opens {
		return c.open(key, start, peer, q, own, now)
	}
	return c.follow(key, start, q, now)
}

// open makes an entry at CONNECT, or at HELO where Exim does not ask at CONNECT. Later is too late: a client that has
// closed its end leaves no trace of who it was.
func (c *conns) open(key connKey, start uint64, peer origin.Peer, q *policy.Request, own bool, now time.Time) view {
	e := &conn{start: start, seen: now, tuple: tuple{far: key.client, server: netip.AddrPortFrom(q.Server, port(q.ServerPort))}}
	if own {
		e.uid = owner(c.prover, e.tuple)
	}
	if q.ProxyLocal.Addr().IsValid() {
		e.tuple.far = q.ProxyLocal
	}
	e.tuple.inode = c.inode(e.tuple, peer)
	c.mu.Lock()
	first, named := c.owners[e.tuple]
	c.mu.Unlock()
	// Anybody on the machine can make an Exim process name the connection of another, and behind a proxy's any client he
	// likes. The first that named it has it, as long as it lives.
	copied := named && first.pid != key.pid && c.alive(first)
	c.mu.Lock()
	defer c.mu.Unlock()
	if now, ok := c.owners[e.tuple]; ok && now != first && now.pid != key.pid {
		copied = true // named between the two locks
	}
	e.proven = e.tuple.inode != 0 && !copied
	c.forget(key) // an old entry, with its tuple
	if e.proven {
		c.table.Add(key, e)
		c.owners[e.tuple] = key
	} else {
		c.claims.Add(key, e)
	}
	e.hear(q, now)
	return e.view(&c.mu)
}

// follow finds the entry of a later request. One that is too old, or of another process with the same number, is no
// entry.
func (c *conns) follow(key connKey, start uint64, q *policy.Request, now time.Time) view {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.find(key)
	if !ok || e.start != start || now.Sub(e.seen) > connIdle {
		c.forget(key)
		return view{}
	}
	e.hear(q, now)
	v := e.view(&c.mu)
	switch {
	case q.Stage != policy.Quit && q.Stage != policy.NotQuit:
	case e.proven: // it has still to be counted, and Exim holds the connection for a while yet, and it must stay the first one's
		e.greetings = nil
	default:
		c.forget(key)
	}
	return v
}

// pay remembers that a connection has waited for the DNS in vain: it does so once, and later requests of it read what is
// there.
func (c *conns) pay(pid int32, q *policy.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.find(connKey{pid, netip.AddrPortFrom(q.Client, port(q.ClientPort))}); ok {
		e.paid = true
	}
}

// find returns an entry, which is then the newest. The lock is held.
func (c *conns) find(key connKey) (*conn, bool) {
	if e, ok := c.table.Get(key); ok {
		return e, true
	}
	return c.claims.Get(key)
}

// forget removes an entry. The lock is held.
func (c *conns) forget(key connKey) {
	c.table.Remove(key)
	c.claims.Remove(key)
}

// inode returns that of Exim's own end of the connection, and 0 if it is not there. Any user can see or open connections of
// this machine that are not Exim's, a visit of a web site, or a call to whom he wants banned: such a socket is not Exim's own
// user's. And he can name one that is, by which Exim delivers mail, or whose own process has not asked yet: but he does so by an
// Exim that he starts, and Exim's daemon forks and starts none. Of whom that is a child says nothing: what started it may have
// become an Exim meanwhile.
func (c *conns) inode(t tuple, peer origin.Peer) uint32 {
	if !t.server.IsValid() || t.server.Port() == 0 || t.far.Port() == 0 {
		return 0 // exim -bh, or a local submission
	}
	s, found, err := c.prover.Find(t.server, t.far)
	if err != nil || !found || !s.Live() {
		return 0
	}
	if s.UID == peer.UID {
		if forked, err := c.prover.Forked(peer.PID); err != nil || !forked {
			return 0
		}
	} else if s.UID != 0 || !mailPort(t.server.Port()) {
		return 0
	}
	return s.Inode
}

// mailPort reports whether nobody but a mail server listens at a port. There inetd or systemd, which are root, take
// connections for Exim; elsewhere root's may be sshd's.
func mailPort(port uint16) bool { return port == 25 || port == 465 || port == 587 }

// owner returns the user at the other end of a connection from this machine. A socket without an inode has been closed,
// and the kernel then says root.
func owner(p Prover, t tuple) policy.Maybe[uint32] {
	s, found, err := p.Find(t.far, t.server)
	return policy.Maybe[uint32]{Value: s.UID, Known: err == nil && found && s.Inode != 0}
}

// alive reports whether the process of an entry still runs.
func (c *conns) alive(key connKey) bool {
	c.mu.Lock()
	e, ok := c.table.Peek(key)
	c.mu.Unlock()
	if !ok {
		return false
	}
	start, err := c.prover.Started(key.pid)
	return err == nil && start == e.start
}

// hear takes in what a request tells.
func (e *conn) hear(q *policy.Request, now time.Time) {
	e.seen = now
	switch q.Stage {
	case policy.Helo:
		if q.HELO.Known {
			e.greet(q.HELO.Value, q.TLSCipher != "")
		}
	case policy.Mail:
		e.pending, e.accepted, e.others = noRecipient, 0, false
	case policy.RCPT, policy.Data:
		e.settle(q.Recipients)
		if q.Stage == policy.RCPT {
			e.pending = toOther
			if policy.ToPostmaster(q.Recipient) {
				e.pending = toPostmaster
			}
		}
	}
}

// settle learns from the number of recipients taken whether the last one asked about is among them.
func (e *conn) settle(accepted int) {
	switch {
	case accepted < e.accepted: // a new message whose MAIL we did not see
		e.others = accepted > 0
	case accepted > e.accepted+1, accepted > e.accepted && e.pending != toPostmaster:
		e.others = true
	}
	e.accepted, e.pending = accepted, noRecipient
}

// greet remembers a name, in memory of its own: the request's is as long as the request.
func (e *conn) greet(name string, tls bool) {
	g := policy.Greeting{Name: strings.Clone(name[:min(len(name), maxGreeting)]), TLS: tls}
	list := e.greetings
	if n := len(list); n > 0 && list[n-1] == g {
		return
	}
	if len(list) == maxGreetings {
		list = append(list[:1:1], list[2:]...)
	}
	e.greetings = append(list[:len(list):len(list)], g)
}

// view returns what a request may see. The lock keeps what it does.
func (e *conn) view(mu *sync.Mutex) view {
	return view{
		proven: e.proven, uid: e.uid, greetings: e.greetings,
		onlyPostmaster: e.accepted > 0 && !e.others, paid: e.paid, here: kept{mu, &e.deeds},
	}
}

// port returns a port number; what Exim does not know is 0.
func port(n int) uint16 {
	if n < 0 || n > 65535 {
		return 0
	}
	return uint16(n)
}
