package origin

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A Connection is one TCP socket of this host and its two ends, without zones and v4-mapped addresses.
type Connection struct {
	Local, Remote netip.AddrPort
	Socket
}

// Connections returns every connection of this network name space, made or being made, whose other end is one of the ports:
// the clients' side of what goes to a mail server, here or elsewhere, in the order of their addresses. It is a dump of the
// kernel's whole table, milliseconds on a busy host, so it is for an administrator who looks and for no request.
func Connections(ports ...uint16) ([]Connection, error) {
	c, err := netlink.Dial(unix.NETLINK_SOCK_DIAG, nil)
	if err != nil {
		return nil, fmt.Errorf("sock_diag: %w", err)
	}
	defer c.Close() // nothing was written that could be lost
	var all []Connection
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		answers, err := c.Execute(netlink.Message{
			Header: netlink.Header{Type: unix.SOCK_DIAG_BY_FAMILY, Flags: netlink.Request | netlink.Dump},
			Data:   dumpRequest(family),
		})
		if err != nil {
			return nil, fmt.Errorf("sock_diag: %w", err)
		}
		for _, a := range answers {
			s, local, remote, err := answer(a.Data)
			if err != nil {
				return nil, fmt.Errorf("sock_diag: %w", err)
			}
			if slices.Contains(ports, remote.Port()) {
				all = append(all, Connection{local, remote, s})
			}
		}
	}
	slices.SortFunc(all, func(a, b Connection) int {
		if byRemote := a.Remote.Compare(b.Remote); byRemote != 0 {
			return byRemote
		}
		return a.Local.Compare(b.Local)
	})
	return slices.CompactFunc(all, func(a, b Connection) bool { return a == b }), nil
}

// dumpRequest returns the inet_diag_req_v2 that asks for all connections of a family: those that somebody holds, or whose
// handshake goes on.
func dumpRequest(family byte) []byte {
	b := make([]byte, requestSize)
	b[0], b[1] = family, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(b[4:], 1<<Established|1<<SynSent|1<<CloseWait)
	return b
}
