package rbl

import (
	"crypto/rand"
	"encoding/binary"
	"io"
)

// maxStreams bounds the questions of one lane that are asked over TCP at once; others wait their turn. Answers that do not
// fit a datagram are rare, and a stranger can make them: he holds up his like, and no list.
const maxStreams = 8

// tcp asks the same server over TCP (RFC 7766 5), because its answer over UDP was cut.
func (q *query) tcp(s *server) {
	q.mu.Lock()
	first := !q.finished && !q.overTCP
	q.overTCP = q.overTCP || first
	q.mu.Unlock()
	if !first {
		return
	}
	if !q.r.spawn(func() { q.inStream(s) }) {
		q.end(Records{Note: "the resolver is closed"})
	}
}

// inStream asks over TCP and ends the query; if the query ends before, that closes the connection. Whoever is before it in
// the lane has no more time than that either, and ends when the resolver is closed.
func (q *query) inStream(s *server) {
	q.lane.streams <- struct{}{}
	defer func() { <-q.lane.streams }()
	if q.ended() {
		return
	}
	conn, err := q.r.dial("tcp", s.addr)
	if err != nil {
		q.end(Records{Outcome: Failed, Note: "the answer does not fit UDP, and the server takes no TCP"})
		return
	}
	defer q.r.drop(conn)
	if !q.r.keep(conn) {
		q.end(Records{Note: "the resolver is closed"})
		return
	}
	q.mu.Lock()
	q.stream = conn
	q.mu.Unlock()
	if q.ended() {
		return
	}
	var random [10]byte
	rand.Read(random[:]) // never fails
	p, err := pack(binary.BigEndian.Uint16(random[:]), q.name, q.kind, false, binary.BigEndian.Uint64(random[2:]))
	if err == nil {
		_, err = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(p.raw))), p.raw...))
	}
	for err == nil {
		var raw []byte
		if raw, err = message(conn); err != nil || p.fits(raw) != "" || truncated(raw) {
			continue
		}
		if rec, ok := read(raw, q.name, q.kind); ok {
			q.r.health.heard()
			rec.Server = s.addr
			q.end(rec)
			return
		}
	}
	q.end(Records{Outcome: Failed, Note: "the answer does not fit UDP, and none of use came over TCP"})
}

// message reads one message with its length before it (RFC 1035 4.2.2).
func message(conn io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	raw := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(conn, raw)
	return raw, err
}
