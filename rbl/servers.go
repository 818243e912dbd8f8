package rbl

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// servers gives a number to each server that has answered, since the cache has but 3 bits for one. A number whose server has not
// answered for as long as an answer may hold is in no row any more, and goes to another: so it is exact whatever becomes of
// resolv.conf, unless more than 7 servers answer within an hour. Of an answer of an eighth, 0, it is not known who gave it. The
// zero servers are none; it is safe for concurrent use.
type servers struct {
	list atomic.Pointer[[mostServers]netip.AddrPort] // never changed, only replaced
	mu   sync.Mutex                                  // held by who replaces it, and for last
	last [mostServers]uint32                         // when each has answered last, in seconds of the process clock; 0: never
}

const (
	mostServers = 1<<byBits - 1
	serverRest  = uint32(maxTTL/time.Second) + 60 // a minute for who has read a row and still asks for the name
)

// number returns the number of a server that answers now, in seconds of the process clock, and 0 for none.
func (s *servers) number(a netip.AddrPort, now uint32) uint8 {
	if !a.IsValid() {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.list.Load()
	if list == nil {
		list = new([mostServers]netip.AddrPort)
	}
	at := slices.Index(list[:], a)
	if at < 0 {
		at = slices.IndexFunc(s.last[:], func(last uint32) bool { return last == 0 || now > last+serverRest })
		if at < 0 {
			return 0
		}
		next := *list
		next[at] = a
		s.list.Store(&next)
	}
	s.last[at] = max(s.last[at], now)
	return uint8(at + 1)
}

// called returns the server of a number.
func (s *servers) called(n uint8) netip.AddrPort {
	if list := s.list.Load(); list != nil && 0 < n && n <= mostServers {
		return list[n-1]
	}
	return netip.AddrPort{}
}
