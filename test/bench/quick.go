package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/ipv4"
)

// quickServer is the hidden first argument with which this program is a name server that costs next to nothing, so that
// what is measured is who asks: rbldnsd takes as much of a processor for an answer as we do for a question.
const quickServer = "quick-server"

// serveQuick answers every question on an address with no such name, but those about 127.0.0.2 with 127.0.0.2. It takes
// and sends many at a time, and writes nothing down. It ends when its standard input does.
func serveQuick(at string) error {
	conn, err := net.ListenPacket("udp4", at)
	if err != nil {
		return err
	}
	if err := conn.(*net.UDPConn).SetReadBuffer(4 << 20); err != nil {
		return err
	}
	go func() { // ended by the end of the input
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	const batch, size = 64, 512
	p := ipv4.NewPacketConn(conn)
	in := make([]ipv4.Message, batch)
	for i := range in {
		in[i].Buffers = [][]byte{make([]byte, size)}
	}
	for {
		n, err := p.ReadBatch(in, 0)
		if err != nil {
			return err
		}
		out := make([]ipv4.Message, 0, batch)
		for _, m := range in[:n] {
			if a := quickAnswer(m.Buffers[0][:m.N]); a != nil {
				out = append(out, ipv4.Message{Buffers: [][]byte{a}, Addr: m.Addr})
			}
		}
		for len(out) > 0 {
			n, err := p.WriteBatch(out, 0)
			if err != nil {
				return err
			}
			out = out[n:]
		}
	}
}

// startQuick starts the server on port 53 of an address. stop ends it.
func startQuick(ctx context.Context, at netip.AddrPort) (stop func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, quickServer, at.String())
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() error { return errors.Join(stdin.Close(), cmd.Wait()) }
	client := dns.Client{Timeout: 50 * time.Millisecond}
	for range 100 {
		if _, _, err = client.ExchangeContext(ctx, new(dns.Msg).SetQuestion("example.", dns.TypeA), at.String()); err == nil {
			return stop, nil
		}
		time.Sleep(20 * time.Millisecond) // a port that is closed answers at once
	}
	return nil, errors.Join(err, stop())
}

// quickAnswer makes an answer of a question (RFC 1035 4.1): header and question as they came, and one record. What
// follows the question, the OPT record, is left out.
func quickAnswer(q []byte) []byte {
	end := 12
	for end < len(q) && q[end] != 0 {
		end += 1 + int(q[end])
	}
	if end += 5; end > len(q) {
		return nil
	}
	a := append(make([]byte, 0, end+64), q[:end]...)
	a[2], a[3] = 0x81, 0x83 // an answer, NXDOMAIN
	binary.BigEndian.PutUint32(a[8:], 0)
	if bytes.HasPrefix(q[12:], []byte("\x012\x010\x010\x03127")) {
		a[3] = 0x80
		binary.BigEndian.PutUint16(a[6:], 1)
		return append(a, 0xc0, 12, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4, 127, 0, 0, 2)
	}
	binary.BigEndian.PutUint16(a[8:], 1)
	a = append(a, 0, 0, 6, 0, 1, 0, 0, 14, 16, 0, 22, 0, 0) // the SOA of the root, for an hour
	return append(a, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1, 44)
}
