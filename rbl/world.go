package rbl

import (
	"fmt"
	"net/netip"
	"time"
)

// Bounds of the share.
const (
	shareSize  = 200 // distinct public clients
	shareLeast = 50  // before it says anything
)

// share is how many of the last distinct public clients a zone has listed. A list that has gone mad lists everybody, and
// its own test entries may still be right. Only listings that speak against a client count.
//
// It can't tell a list of everybody from a host that only spammers visit, or one spammer with a network. So it only asks
// for a test at once, during which the zone is off; if the test finds the list well, the share is not looked at before
// quiet. An IPv6 /64 is one client.
type share struct {
	clients [shareSize]uint64
	listed  [shareSize]bool
	n, at   int
	count   int // listed
	quiet   time.Time
}

// add counts a client. One that is among the last is not counted again.
func (s *share) add(client uint64, listed bool) {
	i := s.at
	for j := range s.n {
		if s.clients[j] == client {
			i = j
		}
	}
	known := i < s.n && s.clients[i] == client
	if i < s.n && s.listed[i] {
		s.count--
	}
	if listed {
		s.count++
	}
	s.clients[i], s.listed[i] = client, listed
	if known {
		return
	}
	s.n = min(s.n+1, shareSize)
	s.at = (s.at + 1) % shareSize
}

// world reports whether more than 90 % are listed.
func (s *share) world() bool { return s.n >= shareLeast && s.count*10 > s.n*9 }

// value returns the share, or -1.
func (s *share) value() float64 {
	if s.n < shareLeast {
		return -1
	}
	return float64(s.count) / float64(s.n)
}

// String says what was counted.
func (s *share) String() string {
	return fmt.Sprintf("%d of the last %d clients are listed", s.count, s.n)
}

// clear forgets the clients.
func (s *share) clear() { *s = share{quiet: s.quiet} }

// public reports whether an address is of the public internet, as far as lists are concerned.
func public(a netip.Addr) bool {
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	if a.Is4() {
		b := a.As4()
		return b[0] != 0 && b[0] < 224 && (b[0] != 100 || b[1]&0xc0 != 64) // 100.64.0.0/10, RFC 6598
	}
	return true
}
