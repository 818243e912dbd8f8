// Package front takes mail by SMTP as Exim with our snippet would, and delivers it to nowhere: for trying rules with swaks
// or a mail client before a mail server asks them.
//
// Every connection is judged at CONNECT, HELO, MAIL, RCPT, DATA, and QUIT or NOTQUIT, by acl.Talks: the decider, the facts
// and the memory of the daemon. A request has what Exim would have sent at that stage; what only Exim knows, a queue id or a
// spam score, is empty. After an objection comes what a site's own ACL says: 550 for a recipient that is not ours, unless
// the client may relay, and 550 for one of ours that does not exist. What Exim refuses by itself, a command in the wrong place
// or an address that is none, is refused here too, and nobody asked. What is taken is counted and forgotten.
//
// The dialogue is that of go-smtp. Before it stands a guard on every connection, since go-smtp tells nobody of a
// connection, of a second EHLO, or of QUIT, and since it must not be the one to say where a message ends: see guard and
// dots. STARTTLS begins the dialogue anew above the guard's TLS (RFC 3207 4.2: what was known is discarded), so that the
// guard always reads what the client wrote.
//
// It is for friendly clients, and bounded against others: so many connections, the rest is told 421; octets of a line, of
// a header and of a message; recipients; time of a command, a message and a session. It remembers of a message four header
// fields, cut as the snippet cuts them.
package front

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"eximpolicyd/acl"
	"eximpolicyd/policy"
)

// Bounds of the front.
const (
	seats         = 100              // connections at once; each has 4 kB to read lines, and go-smtp's 8 kB
	maxCommand    = 4 << 10          // octets of a command line; RFC 5321 4.5.3.1 wants 512, extensions more
	maxHeader     = 1 << 20          // octets of a header: Exim's header_maxsize
	maxMessage    = 50 << 20         // octets of a message: Exim's message_size_limit
	maxRecipients = 1000             // taken for one message
	commandTime   = 5 * time.Minute  // for a command, and for a whole message: Exim's smtp_receive_timeout
	sessionTime   = 30 * time.Minute // for all of a connection
	writeTime     = time.Minute      // for a reply
	lingerTime    = time.Second      // for a client that has been cut off to read why
	maxLinger     = 1 << 20          // octets that it may still send then
	maxBackoff    = time.Second      // between tries to accept when the system has no descriptors left
)

// Server is a front. Fill it before Serve and leave it alone then.
type Server struct {
	Talks     *acl.Talks
	Name      string           // ours: the greeting's, and what rules take for Exim's primary_hostname
	Domains   map[string]bool  // delivered here, lower case: "none" of the others is ours
	Known     map[string]bool  // recipients that exist, lower case; nil: all of our domains
	Relay     *policy.Prefixes // who may relay, as Exim's relay_from_hosts; nil: nobody but who has logged in
	User      string           // who may log in, with Password; empty: nobody, and AUTH is not offered
	Password  string
	Client    netip.Addr     // whom a client on loopback that sends no PROXY header counts as; zero: itself
	Port      int            // which port clients count as having connected to; 0: the real one
	ProxyWait time.Duration  // for a client on loopback to begin with a PROXY header; 0: none is expected
	Secure    *tls.Config    // for STARTTLS; nil: not offered
	Log       *slog.Logger   // what is no decision
	Explain   func(Decision) // is told of every decision with its trace, from many goroutines; nil: no traces

	handlers sync.WaitGroup
}

// Decision is what was asked and what was decided.
type Decision struct {
	Request *policy.Request
	acl.Decision
}

// Serve accepts connections until ctx ends, then closes the listener and every connection, and returns when nothing runs
// any more.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer s.handlers.Wait()
	free := make(chan struct{}, seats)
	backoff := time.Duration(0)
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
			backoff = 0
			s.admit(ctx, c, free)
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return nil
		default: // out of descriptors: they come back when connections end
			backoff = min(max(2*backoff, 5*time.Millisecond), maxBackoff)
			s.Log.Error("cannot accept a connection, waiting", "error", err, "wait", backoff)
			pause(ctx, backoff)
		}
	}
}

// admit gives a connection a seat, or tells it at once that there is none. Serve waits for the goroutines; each ends by
// sessionTime, or when ctx ends and closes its connection.
func (s *Server) admit(ctx context.Context, c net.Conn, free chan struct{}) {
	select {
	case free <- struct{}{}:
	default:
		c.SetWriteDeadline(time.Now().Add(time.Second)) // a new connection's buffer is empty: nobody waits
		c.Write([]byte("421 4.3.2 too many connections at once, come back later\r\n"))
		c.Close()
		return
	}
	s.handlers.Go(func() {
		defer func() { <-free }()
		stop := context.AfterFunc(ctx, func() { c.Close() })
		defer stop()
		defer c.Close()
		v := newVisit(ctx, s, c, len(free))
		v.run()
	})
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
