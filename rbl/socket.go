package rbl

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// How long a socket is used. A new one, on another random port, for every question is what makes answers hard to forge,
// and costs four times as much as the question. A socket that serves only so many questions of one moment keeps most of
// both: on a quiet server every question still has its own port, and on a busy one a stranger who finds out a port has
// no time to use it. The socket is connected, so the kernel drops what does not come from the server.
const (
	socketQuestions = 512
	socketAge       = time.Second
	socketsEach     = 2 // in use at once, of a server: two readers on two processors
)

// socket is one UDP socket to one server and the questions that wait for an answer on it. Its reader is a goroutine that
// ends when the socket is closed: when it is retired and nobody waits any more, or with the resolver.
type socket struct {
	r      *Resolver
	server *server
	conn   net.Conn
	opened time.Time

	mu      sync.Mutex
	waiting map[uint16]*query
	sent    int
	retired bool
	dead    bool // closed, or nobody listens there
}

// server is one recursive server and the sockets to it in use.
type server struct {
	addr netip.AddrPort
	mu   sync.Mutex
	next int
	in   [socketsEach]*socket
}

// socket returns a socket to a server, a new one if the present one has served.
func (r *Resolver) socket(s *server) (*socket, error) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = (s.next + 1) % socketsEach
	if k := s.in[s.next]; k != nil && k.use(now) {
		return k, nil
	}
	conn, err := r.dial("udp", s.addr)
	if err != nil {
		return nil, err
	}
	k := &socket{r: r, server: s, conn: conn, opened: now, waiting: make(map[uint16]*query), sent: 1}
	if !r.keep(conn) || !r.spawn(k.read) {
		return nil, net.ErrClosed
	}
	s.in[s.next] = k
	return k, nil
}

// use counts one more question, or retires the socket.
func (k *socket) use(now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.dead && !k.retired && k.sent < socketQuestions && now.Sub(k.opened) < socketAge {
		k.sent++
		return true
	}
	k.retired = true
	k.release()
	return false
}

// release closes a retired socket on which nobody waits. The lock is held.
func (k *socket) release() {
	if k.retired && len(k.waiting) == 0 && !k.dead {
		k.dead = true
		k.conn.Close()
	}
}

// enter makes a query wait under an id that is free, and reports whether there is still somebody who reads.
func (k *socket) enter(q *query, draw func() uint16) (id uint16, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dead {
		return 0, false
	}
	for {
		id = draw()
		if _, taken := k.waiting[id]; !taken {
			k.waiting[id] = q
			return id, true
		}
	}
}

// leave makes a query wait no more.
func (k *socket) leave(id uint16, q *query) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.waiting[id] == q {
		delete(k.waiting, id)
		k.release()
	}
}

// read hands every datagram to the query with its id, until the socket is closed. What fits no query is dropped, and the
// query goes on waiting.
func (k *socket) read() {
	buf := make([]byte, maxPacket)
	for {
		n, err := k.conn.Read(buf)
		if err != nil {
			k.fail()
			return
		}
		if n < 2 {
			continue
		}
		k.mu.Lock()
		q := k.waiting[uint16(buf[0])<<8|uint16(buf[1])]
		k.mu.Unlock()
		if q != nil {
			q.hear(k, buf[:n])
		}
	}
}

// fail ends the socket: closed by us, or the kernel was told that nobody listens at the server's port. Who still waits
// goes on to the next server.
func (k *socket) fail() {
	k.mu.Lock()
	k.dead = true
	left := k.waiting
	k.waiting = nil
	k.mu.Unlock()
	k.r.drop(k.conn)
	for _, q := range left {
		q.refused(k)
	}
}
