package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	calloutPairs = 15
	calloutsEach = 20000
	warmUp       = 2000
)

// round is one round of callouts, digested.
type round struct {
	count           int
	total, p50, p99 time.Duration
}

func digest(l load) round {
	return round{len(l.each), l.total, quantile(l.each, 0.5), quantile(l.each, 0.99)}
}

// rate is requests a second.
func (r round) rate() float64 { return float64(r.count) / r.total.Seconds() }

// callout compares callouts at RCPT with the bare server.
func callout(ctx context.Context, b *bench) (rows []row, err error) {
	names, err := names()
	if err != nil {
		return nil, err
	}
	clients, hangUp, err := connect(callers)
	if err != nil {
		return nil, err
	}
	defer hangUp()
	ours, err := b.serveWith(ctx, filepath.Join(b.dir, "ours.sock"), settings+ownConnections)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ours.end()) }()
	requests, reply, err := introduce(ours.socket, clients, names)
	if err != nil {
		return nil, err
	}
	bare, err := b.bare(ctx, filepath.Join(b.dir, "bare.sock"), reply)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, bare.end()) }()

	var our, other []round
	of := func(p *process, list *[]round) func() error {
		return func() error {
			l, err := fire(p.socket, requests, calloutsEach)
			*list = append(*list, digest(l))
			return err
		}
	}
	for _, p := range []*process{ours, bare} {
		if _, err := fire(p.socket, requests, warmUp); err != nil {
			return nil, err
		}
	}
	if err := alternate(calloutPairs, of(ours, &our), of(bare, &other)); err != nil {
		return nil, err
	}
	shares := warmUp/callers*callers + calloutPairs*(calloutsEach/callers*callers)
	if err := ours.expect("RCPT", shares+1); err != nil { // one made the bare server's reply
		return nil, err
	}
	return calloutRows(our, other, len(requests[0])), nil
}

// figures tells what many rounds came to.
func figures(list []round) string {
	p50 := medianOf(list, func(r round) float64 { return ms(r.p50) })
	p99 := medianOf(list, func(r round) float64 { return ms(r.p99) })
	return fmt.Sprintf("%.0f/s, p50 %.2f ms, p99 %.2f ms", medianOf(list, round.rate), p50, p99)
}

func calloutRows(our, other []round, size int) []row {
	time, p99 := make([]float64, len(our)), make([]float64, len(our))
	for i := range our {
		time[i] = float64(our[i].total) / float64(other[i].total)
		p99[i] = float64(our[i].p99) / float64(other[i].p99)
	}
	return []row{
		told(fmt.Sprintf("callout at RCPT, %d octets, %d callers, log on", size, callers), "%s", figures(our)),
		told("the same, bare Go server", "%s", figures(other)),
		most("callout, time against the bare server", median(time), 1.7, "%.2f", " times"),
		most("callout, p99 against the bare server", median(p99), 2.5, "%.2f", " times"),
	}
}

// introduce opens each client's session with the daemon, so that it knows the connection, and returns their requests at
// RCPT and a reply to one.
func introduce(socket string, clients []client, names []string) (requests [][]byte, reply string, err error) {
	to := &unix.SockaddrUnix{Name: socket}
	buf := make([]byte, 4096)
	for _, c := range clients {
		for _, stage := range []string{"CONNECT", "HELO", "MAIL"} {
			n, err := ask(to, c.request(names, stage), buf)
			if err == nil {
				err = whole(buf[:n])
			}
			if err != nil {
				return nil, "", err
			}
		}
		requests = append(requests, c.request(names, "RCPT"))
	}
	n, err := ask(to, requests[0], buf)
	return requests, string(buf[:n]), err
}

// connect opens so many real connections to ourselves, for the daemon to prove. hangUp closes them.
func connect(n int) (clients []client, hangUp func(), err error) {
	var open []interface{ Close() error }
	hangUp = func() {
		for _, c := range open {
			c.Close()
		}
	}
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	for i := range n {
		out, err := net.DialTCP("tcp4", nil, l.Addr().(*net.TCPAddr))
		if err != nil {
			hangUp()
			return nil, nil, err
		}
		open = append(open, out)
		in, err := l.AcceptTCP()
		if err != nil {
			hangUp()
			return nil, nil, err
		}
		open = append(open, in)
		clients = append(clients, client{outsider(i), address(in.RemoteAddr()), address(in.LocalAddr())})
	}
	return clients, hangUp, nil
}

func address(a net.Addr) netip.AddrPort {
	p := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}
