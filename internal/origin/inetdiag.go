package origin

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"
)

// The layout of linux/inet_diag.h; golang.org/x/sys does not have it. Ports and addresses are in network order, all
// else is in the host's.
//
//	inet_diag_req_v2: family, protocol, ext, pad (1 octet each), states (4), sockid (48)
//	inet_diag_sockid: sport, dport (2 each), src, dst (16 each), if (4), cookie (8)
//	inet_diag_msg:    family, state, timer, retrans (1 each), sockid (48), expires, rqueue, wqueue, uid, inode (4 each)
const (
	requestSize = 8 + sockidSize
	sockidSize  = 48
	answerSize  = 4 + sockidSize + 5*4

	requestSockid = 8
	answerSockid  = 4
	answerUID     = answerSockid + sockidSize + 3*4
	answerInode   = answerUID + 4

	// Offsets within inet_diag_sockid.
	idSport, idDport, idSrc, idDst, idCookie = 0, 2, 4, 20, 40
)

var errAnswer = errors.New("the kernel's answer is not understood")

// request returns the inet_diag_req_v2 that names one TCP socket by its addresses and ports, in the host's order for
// what is not an address. Both addresses are of one family, unmapped. An IPv6 socket that carries IPv4
// (::ffff:192.0.2.1) stands in the kernel's table among the IPv4 ones and is found there.
//
// idiag_if stays 0: "not bound to an interface". States (looked at in dumps only) and extensions stay 0.
func request(local, remote netip.AddrPort) []byte {
	b := make([]byte, requestSize)
	b[0], b[1] = unix.AF_INET, unix.IPPROTO_TCP
	if local.Addr().Is6() {
		b[0] = unix.AF_INET6
	}
	id := b[requestSockid:]
	binary.BigEndian.PutUint16(id[idSport:], local.Port())
	binary.BigEndian.PutUint16(id[idDport:], remote.Port())
	copy(id[idSrc:idDst], local.Addr().AsSlice())
	copy(id[idDst:], remote.Addr().AsSlice())
	for i := range 8 { // INET_DIAG_NOCOOKIE, twice: we do not know which socket it was before
		id[idCookie+i] = 0xff
	}
	return b
}

// answer reads an inet_diag_msg (attributes may follow and are left alone) and returns the socket with the two ends
// the kernel says it has.
func answer(b []byte) (s Socket, local, remote netip.AddrPort, err error) {
	if len(b) < answerSize {
		return s, local, remote, errAnswer
	}
	size := 4
	switch b[0] {
	case unix.AF_INET:
	case unix.AF_INET6:
		size = 16
	default:
		return s, local, remote, errAnswer
	}
	id := b[answerSockid:]
	end := func(addr, port int) netip.AddrPort {
		a, _ := netip.AddrFromSlice(id[addr : addr+size])
		return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(id[port:]))
	}
	s = Socket{
		UID:   binary.NativeEndian.Uint32(b[answerUID:]),
		Inode: binary.NativeEndian.Uint32(b[answerInode:]),
		State: State(b[1]),
	}
	if s.Inode == 0 { // the kernel says uid 0 for a TIME_WAIT and a half-open connection
		s.UID = NoUID
	}
	return s, end(idSrc, idSport), end(idDst, idDport), nil
}
