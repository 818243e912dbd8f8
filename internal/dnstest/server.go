// Package dnstest is a scripted DNS server on the loopback address, for tests and figures: it answers what it was told
// to, and plays every way in which an answer is late, wrong, forged, cut or missing.
//
// A server begins as an empty world: every name is missing (NXDOMAIN, RFC 2308 2.1). [Server.Add] puts records into it,
// [Server.List] and [Server.NameList] whole block lists with the test entries of RFC 5782 5. [Server.Play] gives an [Act]
// to a part of the tree: an act is a function from a question to the packets sent back, and acts are put together with
// [Then], [First], [Late], [Elsewhere] and [Hold]. So "a forged answer first, then the right one" is
//
//	srv.Play("bl.example", dnstest.Then(dnstest.WrongID, dnstest.Plain))
//
// Answers that an asker must not use hold the address [Forged], which no record should have.
//
// A real server with its faults, not a resolver with its parts replaced: what is tested is the asker's own sockets,
// its own reading and its own clock.
package dnstest

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Remembered is the number of questions that a server remembers; later ones are only counted in all.
const Remembered = 1 << 18

// readers take questions from the one socket. One waits in the kernel while others pack answers.
const readers = 4

// Question is one that was received.
type Question struct {
	Name string // as received, with its letter case and the dot at the end
	Type uint16 // a type of miekg/dns
	TCP  bool
	Port uint16 // of the asker
	ID   uint16
	EDNS bool // the question had an OPT record (RFC 6891)
}

// Server answers on one port of 127.0.0.1, over UDP and TCP. It is safe for concurrent use. Close it.
//
// It keeps all records given to it and the first Remembered questions, in memory.
type Server struct {
	udp, other *net.UDPConn // other has another port, for forged answers
	tcp        *net.TCPListener
	running    sync.WaitGroup // the goroutines, and the timers that have not been stopped

	world world

	mu        sync.Mutex
	asked     *sync.Cond // a question came
	questions []Question
	total     int
	conns     map[net.Conn]bool
	timers    map[*time.Timer]bool
	closed    bool
}

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// Start makes a server and lets it answer. The kernel gives the port.
func Start() (*Server, error) { return StartAt(netip.AddrPortFrom(loopback, 0)) }

// StartAt makes a server of an address of one's own, 127.0.0.0/8: a resolv.conf cannot name a port, so whoever reads one
// has to be answered on port 53.
func StartAt(at netip.AddrPort) (*Server, error) {
	s := &Server{conns: map[net.Conn]bool{}, timers: map[*time.Timer]bool{}}
	s.asked = sync.NewCond(&s.mu)
	s.world.begin()
	if err := s.listen(at); err != nil {
		return nil, fmt.Errorf("scripted DNS server: %w", err)
	}
	for range readers {
		s.running.Go(s.serveUDP)
	}
	s.running.Go(s.accept)
	return s, nil
}

// listen finds a port that is free for both. The kernel knows the free ones of one kind only, so it may take a few tries.
func (s *Server) listen(at netip.AddrPort) (err error) {
	if s.other, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(at.Addr(), 0))); err != nil {
		return err
	}
	for range 20 {
		if s.udp, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at)); err != nil {
			break
		}
		_ = s.udp.SetReadBuffer(4 << 20) // as much as the system allows
		s.tcp, err = net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(s.Addr()))
		if err == nil {
			return nil
		}
		s.udp.Close()
	}
	s.other.Close()
	return err
}

// Addr returns where the server answers.
func (s *Server) Addr() netip.AddrPort {
	at := s.udp.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// Close stops answering and returns when no goroutine of the server is left. Late answers are not sent any more. A second
// call does nothing.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	for t := range s.timers {
		if t.Stop() {
			s.running.Done()
		}
	}
	err := errors.Join(s.udp.Close(), s.other.Close())
	if tcp := s.tcp.Close(); !errors.Is(tcp, net.ErrClosed) {
		err = errors.Join(err, tcp)
	}
	for c := range s.conns {
		c.Close()
	}
	s.asked.Broadcast()
	s.mu.Unlock()
	s.running.Wait()
	return err
}

// RefuseTCP closes the port to TCP for good: connections are refused by the kernel.
func (s *Server) RefuseTCP() { s.tcp.Close() }

// Count returns how many questions have come for names at or below suffix, in any letter case, of those remembered. All
// are at or below "", and of these it counts the ones not remembered too.
func (s *Server) Count(suffix string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count(suffix)
}

func (s *Server) count(suffix string) (n int) {
	suffix = dns.Fqdn(suffix)
	if suffix == "." {
		return s.total
	}
	for _, q := range s.questions {
		if below(q.Name, suffix) {
			n++
		}
	}
	return n
}

// Wait returns when n questions have come for names at or below suffix, or with an error when ctx has ended or the server
// was closed first.
func (s *Server) Wait(ctx context.Context, suffix string, n int) error {
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked.Broadcast()
	})
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		have := s.count(suffix)
		switch {
		case have >= n:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("%d of %d questions about %s came: %w", have, n, suffix, context.Cause(ctx))
		case s.closed:
			return fmt.Errorf("%d of %d questions about %s came: %w", have, n, suffix, net.ErrClosed)
		}
		s.asked.Wait()
	}
}

// Questions returns those that have come, in their order.
func (s *Server) Questions() []Question {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Question(nil), s.questions...)
}

// Forget empties the memory of questions.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.questions, s.total = nil, 0
}

func (s *Server) remember(q Question) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total++
	if len(s.questions) < Remembered {
		s.questions = append(s.questions, q)
	}
	s.asked.Broadcast()
}

// below reports whether name is suffix or ends in it at a dot. Both have the dot at the end.
func below(name, suffix string) bool {
	cut := len(name) - len(suffix)
	return cut >= 0 && strings.EqualFold(name[cut:], suffix) && (cut == 0 || name[cut-1] == '.')
}

// serveUDP answers in its own loop: a plain answer needs no goroutine, and a late one is left to a timer.
func (s *Server) serveUDP() {
	packet := make([]byte, 64<<10)
	for {
		n, from, err := s.udp.ReadFromUDPAddrPort(packet)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an asker that is gone: its ICMP message is no fault of ours
		}
		s.answer(packet[:n], from, false, func(p Packet) {
			conn := s.udp
			if p.elsewhere {
				conn = s.other
			}
			_, _ = conn.WriteToUDPAddrPort(p.Bytes, from) // nobody may be there any more
		})
	}
}

func (s *Server) accept() {
	for {
		c, err := s.tcp.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		s.mu.Lock()
		if s.closed {
			c.Close()
		} else {
			s.conns[c] = true
			s.running.Go(func() { s.serveTCP(c) })
		}
		s.mu.Unlock()
	}
}

// serveTCP answers one question after the other, each behind its length (RFC 1035 4.2.2).
func (s *Server) serveTCP(c *net.TCPConn) {
	defer func() {
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		c.Close()
	}()
	from := c.RemoteAddr().(*net.TCPAddr).AddrPort()
	for {
		var length [2]byte
		if _, err := io.ReadFull(c, length[:]); err != nil {
			return
		}
		packet := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(c, packet); err != nil {
			return
		}
		s.answer(packet, from, true, func(p Packet) {
			if p.hangUp {
				c.Close()
			} else if len(p.Bytes) <= dns.MaxMsgSize {
				_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(p.Bytes))), p.Bytes...))
			}
		})
	}
}

// answer plays the act of a question and sends its packets. What is no question gets nothing.
func (s *Server) answer(packet []byte, from netip.AddrPort, tcp bool, send func(Packet)) {
	var m dns.Msg
	if m.Unpack(packet) != nil || m.Response || len(m.Question) != 1 {
		return
	}
	q := Query{Msg: &m, TCP: tcp, world: &s.world}
	s.remember(Question{Name: q.Name(), Type: q.Type(), TCP: tcp, Port: from.Port(), ID: m.Id, EDNS: m.IsEdns0() != nil})
	act, delay := s.world.script(q.Name())
	if delay > 0 {
		s.later(delay, func() { s.sendAll(act(&q), send) })
		return
	}
	s.sendAll(act(&q), send)
}

// sendAll sends packets, those that wait less first. The rest waits on after a handful is sent, so that a busy machine
// makes them later and not thicker.
func (s *Server) sendAll(packets []Packet, send func(Packet)) {
	slices.SortStableFunc(packets, func(a, b Packet) int { return cmp.Compare(a.Wait, b.Wait) })
	s.sendFrom(packets, 0, send)
}

func (s *Server) sendFrom(packets []Packet, waited time.Duration, send func(Packet)) {
	for i, p := range packets {
		if p.Wait > waited {
			s.later(p.Wait-waited, func() { s.sendFrom(packets[i:], p.Wait, send) })
			return
		}
		if p.hold == nil {
			send(p) // without what a closure costs
		} else {
			p.hold.pass(func() { send(p) })
		}
	}
}

// later runs f after d, unless the server is closed before.
func (s *Server) later(d time.Duration, f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.running.Add(1)
	var t *time.Timer
	t = time.AfterFunc(d, func() {
		defer s.running.Done()
		s.mu.Lock()
		delete(s.timers, t)
		s.mu.Unlock()
		f()
	})
	s.timers[t] = true
}
