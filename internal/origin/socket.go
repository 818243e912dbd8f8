package origin

import "strconv"

// A Socket is what the kernel tells about one TCP socket of this host.
type Socket struct {
	UID   uint32 // who made it; NoUID if Inode is 0
	Inode uint32 // 0: no process holds it (closed by its owner, or not accepted yet)
	State State
}

// Live says that the connection stands and that a process of this host holds this end of it: ESTABLISHED, or
// CLOSE_WAIT (the other side has said all it wanted to say, which is no reason to distrust this one).
func (s Socket) Live() bool {
	return s.Inode != 0 && (s.State == Established || s.State == CloseWait)
}

// A State is a TCP state (RFC 9293 section 3.3.2) by the number Linux gives it (net/tcp_states.h). Zero is unknown.
type State uint8

// The states, in the kernel's order.
const (
	Established State = iota + 1
	SynSent
	SynRecv
	FinWait1
	FinWait2
	TimeWait
	Close
	CloseWait
	LastAck
	Listen
	Closing
	NewSynRecv    // a connection whose handshake goes on
	BoundInactive // a port that is bound and neither listens nor connects
)

// String returns the name in the words of ss(8) and RFC 9293, "state 99" for a number that has none.
func (s State) String() string {
	switch s {
	case 0:
		return "unknown"
	case Established:
		return "ESTABLISHED"
	case SynSent:
		return "SYN-SENT"
	case SynRecv:
		return "SYN-RECEIVED"
	case FinWait1:
		return "FIN-WAIT-1"
	case FinWait2:
		return "FIN-WAIT-2"
	case TimeWait:
		return "TIME-WAIT"
	case Close:
		return "CLOSED"
	case CloseWait:
		return "CLOSE-WAIT"
	case LastAck:
		return "LAST-ACK"
	case Listen:
		return "LISTEN"
	case Closing:
		return "CLOSING"
	case NewSynRecv:
		return "NEW-SYN-RECEIVED"
	case BoundInactive:
		return "BOUND-INACTIVE"
	}
	return "state " + strconv.Itoa(int(s))
}
