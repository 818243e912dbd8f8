package origin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	// seats is how many questions are with the kernel at one time, and how many netlink sockets are open. A question
	// takes about 10 microseconds of one processor, so four answer some 400,000 connections a second. One would do
	// for the load; four so that one that hangs does not hold up the others.
	seats = 4

	// findTimeout bounds a Find, the wait for a seat included. The kernel answers before the call that asks returns,
	// so this is never waited for unless something is broken; then it must fit into a caller's budget.
	findTimeout = 250 * time.Millisecond

	// answerBuffer holds a netlink header (16), an inet_diag_msg (72) and the attributes that the kernel adds unasked
	// (shutdown, tos, class, cgroup, options: below 100) several times over.
	answerBuffer = 4096
)

var (
	errNoModule = errors.New("sock_diag does not find a socket of our own (a kernel without tcp_diag)")
	errFamilies = errors.New("not two addresses of one family")
	errOther    = errors.New("the kernel answered with an unexpected message")
	errBusy     = fmt.Errorf("waiting for a turn: %w", os.ErrDeadlineExceeded)
)

// A Diag asks the kernel about TCP sockets (sock_diag(7)). Make one with [NewDiag]; the zero value is closed. Safe
// for concurrent use.
//
// It holds up to four netlink sockets and no goroutine. A socket that has given anything but an answer or "there is
// none" is closed and replaced, so that a late answer is never taken for the next one.
type Diag struct {
	// idle holds one element for each seat that nobody has: a socket, or nil for one that is still to be opened.
	idle  chan *netlink.Conn
	done  chan struct{} // closed by Close
	close sync.Once
}

// NewDiag opens a client and tries it on a listening socket of its own on the loopback, open for the length of the
// call: a kernel without the module tcp_diag answers "no such socket" to everything, and that must be noticed at the
// start, not by every client being taken for an invention. An error means that Find can not be relied upon here: no
// AF_NETLINK (RestrictAddressFamilies= of systemd.exec(5)), no tcp_diag, or no loopback to try it on.
func NewDiag() (*Diag, error) {
	d := &Diag{idle: make(chan *netlink.Conn, seats), done: make(chan struct{})}
	for range seats {
		d.idle <- nil
	}
	if err := d.try(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// try looks for a listening socket that it makes.
func (d *Diag) try() error {
	var plain net.ListenConfig
	plain.SetMultipathTCP(false) // Go's listeners are MPTCP else, and we ask for TCP
	l, err := plain.Listen(context.Background(), "tcp4", "127.0.0.1:0")
	none := netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	if err != nil {
		l, err = plain.Listen(context.Background(), "tcp6", "[::1]:0")
		none = netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
	}
	if err != nil {
		return fmt.Errorf("trying sock_diag: %w", err)
	}
	defer l.Close() // nobody connects to it
	_, found, err := d.Find(l.Addr().(*net.TCPAddr).AddrPort(), none)
	if err == nil && !found {
		err = errNoModule
	}
	return err
}

// Find asks for the one TCP socket of this host (and network namespace) whose own end is local and whose other end
// is remote. To see whose a connection from this host is, local is the client's end; to see that a connection is
// real, local is the server's. v4-mapped addresses are taken as IPv4.
//
// That there is no such socket is found = false and no error. An error means that it is not known: the system
// refused, the answer was not understood, or 250 ms were over. Whatever is not a Live socket is unknown, hence
// untrusted.
//
// What it can not see, and calls not found: a socket bound to an interface, which those of link-local addresses
// always are (a zone is ignored), and one in a VRF. Nobody is trusted more for it.
func (d *Diag) Find(local, remote netip.AddrPort) (s Socket, found bool, err error) {
	s, found, err = d.findUntil(local, remote, time.Now().Add(findTimeout/2))
	if errors.Is(err, os.ErrDeadlineExceeded) { // a machine that stood still through one half of the time has the other left
		s, found, err = d.findUntil(local, remote, time.Now().Add(findTimeout/2))
	}
	return s, found, err
}

// findUntil is Find with another end.
func (d *Diag) findUntil(local, remote netip.AddrPort, end time.Time) (s Socket, found bool, err error) {
	local, remote = unmap(local), unmap(remote)
	if !local.IsValid() || !remote.IsValid() || local.Addr().Is4() != remote.Addr().Is4() {
		return Socket{UID: NoUID}, false, fmt.Errorf("sock_diag: %v, %v: %w", local, remote, errFamilies)
	}
	s, found, err = d.find(local, remote, end)
	if err != nil {
		return Socket{UID: NoUID}, false, fmt.Errorf("sock_diag: %w", err)
	}
	if !found {
		s = Socket{UID: NoUID}
	}
	return s, found, nil
}

// find takes a seat, asks, and gives the seat back.
func (d *Diag) find(local, remote netip.AddrPort, deadline time.Time) (s Socket, found bool, err error) {
	c, err := d.take(deadline)
	if err != nil {
		return s, false, err
	}
	defer func() {
		if err != nil && c != nil {
			err = errors.Join(err, c.Close())
			c = nil
		}
		d.idle <- c // never waits: there is room for every seat
	}()
	if c == nil {
		c, err = netlink.Dial(unix.NETLINK_SOCK_DIAG, &netlink.Config{MessageBufferSize: answerBuffer})
		if err != nil {
			return s, false, err
		}
	}
	if err = c.SetDeadline(deadline); err != nil {
		return s, false, err
	}
	return ask(c, local, remote)
}

// take waits for a seat until the deadline. The socket is nil if it is still to be opened.
func (d *Diag) take(deadline time.Time) (*netlink.Conn, error) {
	select {
	case <-d.done:
		return nil, net.ErrClosed
	default:
	}
	if d.idle == nil {
		return nil, net.ErrClosed
	}
	select {
	case c := <-d.idle:
		return c, nil
	default:
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case c := <-d.idle:
		return c, nil
	case <-d.done:
		return nil, net.ErrClosed
	case <-timer.C:
		return nil, errBusy
	}
}

// ask puts one question to the kernel and checks that the answer is about what was asked. It has to be checked: if
// no connection has these two ends, the kernel goes on to the listening sockets and answers with the one that a
// packet to local would reach.
func ask(c *netlink.Conn, local, remote netip.AddrPort) (s Socket, found bool, err error) {
	answers, err := c.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.SOCK_DIAG_BY_FAMILY, Flags: netlink.Request},
		Data:   request(local, remote),
	})
	if errors.Is(err, unix.ENOENT) {
		return s, false, nil
	}
	if err != nil {
		return s, false, err
	}
	if len(answers) != 1 || answers[0].Header.Type != unix.SOCK_DIAG_BY_FAMILY {
		return s, false, errOther
	}
	s, l, r, err := answer(answers[0].Data)
	if err != nil {
		return s, false, err
	}
	return s, l == local && r == remote, nil
}

// Close ends the client and waits for the questions under way, each of which is bounded. A Find that comes later is
// an error that is [net.ErrClosed]. Closing again does nothing.
func (d *Diag) Close() error {
	if d.done == nil {
		return nil
	}
	var err error
	d.close.Do(func() {
		close(d.done)
		for range seats {
			if c := <-d.idle; c != nil {
				err = errors.Join(err, c.Close())
			}
		}
	})
	return err
}

// unmap is the door: inside there are no v4-mapped addresses and no zones.
func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
