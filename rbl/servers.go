package rbl

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
)

// servers gives a number to each server that has answered, since the cache has but 3 bits for one: from 1, in the order of
// their first answers. More than 7 come where resolv.conf has changed often; of those, 0, it is not known in the end who
// it was. What is numbered stays, until a restart, as the cache does. The zero servers are none; it is safe for concurrent use.
type servers struct {
	list atomic.Pointer[[]netip.AddrPort] // never changed, only replaced
	mu   sync.Mutex                       // of who replaces it
}

// mostServers is how many have a number.
const mostServers = 1<<byBits - 1

// number returns the number of a server, and 0 for none.
func (s *servers) number(a netip.AddrPort) uint8 {
	if n := place(s.all(), a); n > 0 || !a.IsValid() {
		return n
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.all()
	if n := place(list, a); n > 0 || len(list) == mostServers {
		return n
	}
	list = append(slices.Clone(list), a)
	s.list.Store(&list)
	return uint8(len(list))
}

func place(list []netip.AddrPort, a netip.AddrPort) uint8 { return uint8(slices.Index(list, a) + 1) }

// called returns the server of a number.
func (s *servers) called(n uint8) netip.AddrPort {
	if list := s.all(); n > 0 && int(n) <= len(list) {
		return list[n-1]
	}
	return netip.AddrPort{}
}

func (s *servers) all() []netip.AddrPort {
	if list := s.list.Load(); list != nil {
		return *list
	}
	return nil
}
