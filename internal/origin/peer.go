// Package origin answers who is behind a connection or a local submission: which process asks over the Unix
// socket, whose socket a TCP connection is, which addresses are our own, which account a uid is.
//
// # What SO_PEERCRED proves
//
// The kernel notes pid, uid and gid of the process that called connect(2), at that moment (unix(7)). With Exim that
// is always Exim's uid, for every stage and for every local submission: it proves "an Exim process", never that the
// connection this process talks about is real, and never who the user is. Any user may run `exim -oMi ... -bh ...`,
// and the process that then asks has Exim's uid and asks about a client of the user's choosing. A pid is a name that
// is used again; a pid and the time it started are not, so [Started] goes with [PeerOf]. (A pidfd, SO_PEERPIDFD,
// would say the same, but from Linux 6.5 on only, and it costs a descriptor for each connection remembered.)
//
// # What sock_diag proves
//
// The kernel knows every TCP socket by its two addresses and ports, and tells anybody who asks for one of them its
// state, its inode and the uid that made it (sock_diag(7), no privilege needed). Exim's own end of the connection
// (local = server, remote = client), alive, proves that the connection is real. The other end of a connection from
// this host (local = client, remote = server) tells whose it is.
//
// The uid is good at CONNECT only, while the client still waits for the banner. A client may write a whole dialogue
// at once and close: its socket is then an orphan (inode 0), soon a TIME_WAIT, for which the kernel answers uid 0,
// and then nothing, while Exim still reads MAIL, RCPT and DATA. Inode 0 therefore means "nobody", never root: such a
// [Socket] is not [Socket.Live] and its UID is [NoUID]. Inode 0 is also what a connection has that the server has
// not accepted yet.
//
// The uid is the one that made the socket: a proxy's for what it forwards, root's if a program made the socket
// before it gave up root. A uid of another user namespace is told as the overflow uid, 65534. An MPTCP socket keeps
// its inode and its true uid for a while after it is closed.
//
// # Why the question is exact, without NLM_F_DUMP
//
// With NLM_F_DUMP the kernel walks its table of all connections and leaves it to us to filter: milliseconds on a
// busy host, and an answer that an attacker makes longer by connecting. The exact question is one look into a hash
// table, about 10 microseconds. /proc/net/tcp is a dump as well (10 ms with seven rows, measured).
//
// Everything here is of one network, pid and user namespace, the one the process runs in.
package origin

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// NoUID is the uid of nobody at all, (uid_t)-1: no account can have it (chown(2) takes it as "leave alone").
const NoUID = ^uint32(0)

// A Peer is the process at the other end of a Unix socket, as it was when it connected.
type Peer struct {
	PID      int32 // 0: a process of a pid namespace that we do not see
	UID, GID uint32
}

var errNoPeer = errors.New("the kernel names no peer")

// PeerOf asks the kernel who connected c (SO_PEERCRED): one system call, no waiting. On a socket that is not
// connected, and on one that is closed ([net.ErrClosed]), it is an error and nobody's uid. Safe for concurrent use.
func PeerOf(c *net.UnixConn) (Peer, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return Peer{UID: NoUID, GID: NoUID}, fmt.Errorf("peer credentials: %w", err)
	}
	var cred *unix.Ucred
	var sockErr error
	err = raw.Control(func(fd uintptr) {
		cred, sockErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err = errors.Join(err, sockErr); err != nil {
		return Peer{UID: NoUID, GID: NoUID}, fmt.Errorf("peer credentials: %w", err)
	}
	if cred.Uid == NoUID {
		return Peer{UID: NoUID, GID: NoUID}, fmt.Errorf("peer credentials: %w", errNoPeer)
	}
	return Peer{PID: cred.Pid, UID: cred.Uid, GID: cred.Gid}, nil
}
