package origin

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// rereadAfter is how long a list is taken for true. An address that was added is foreign for so long, which
	// leaves its users unknown; one that was removed is ours for so long.
	rereadAfter = time.Minute

	// maxAddresses bounds the list: 4096 addresses of 24 octets are 96 KiB. Beyond it the highest ones are dropped
	// and taken as foreign. A host with more has whole prefixes routed to itself, and those stand on no interface.
	maxAddresses = 4096
)

// Interfaces knows the addresses of this host's interfaces, the loopback's included, those of a prefix that is only
// routed here not. It reads them on demand, at most once a minute, and forgets all on restart. The zero value is
// ready. Safe for concurrent use; must not be copied.
type Interfaces struct {
	list    atomic.Pointer[addresses]
	reading sync.Mutex                   // held by the one caller that reads
	source  func() ([]netip.Addr, error) // nil: the system
}

// addresses is one reading; it never changes.
type addresses struct {
	read  time.Time
	addrs []netip.Addr
}

// fresh says that the reading still counts. A clock that was set back makes a reading of the future, which does not.
func (a *addresses) fresh(now time.Time) bool {
	age := now.Sub(a.read)
	return age >= 0 && age < rereadAfter
}

// Addresses returns our addresses: sorted, each once, unmapped, without zones. The slice is shared and must not be
// written to. If the system can not be read, the last list stands for another minute; it is empty if there was none.
//
// A caller waits for nothing but the very first reading: while one reads, the others get the old list.
func (i *Interfaces) Addresses(now time.Time) []netip.Addr {
	if a := i.list.Load(); a != nil {
		if a.fresh(now) || !i.reading.TryLock() {
			return a.addrs
		}
	} else {
		i.reading.Lock()
	}
	defer i.reading.Unlock()
	return i.reread(now).addrs
}

// reread reads the system, unless another caller has just done so, and is called with reading held.
func (i *Interfaces) reread(now time.Time) *addresses {
	old := i.list.Load()
	if old != nil && old.fresh(now) {
		return old
	}
	next := &addresses{read: now}
	source := i.source
	if source == nil {
		source = systemAddresses
	}
	if addrs, err := source(); err == nil {
		next.addrs = normal(addrs)
	} else if old != nil {
		next.addrs = old.addrs
	}
	i.list.Store(next)
	return next
}

// normal sorts, unmaps and bounds a list.
func normal(in []netip.Addr) []netip.Addr {
	out := make([]netip.Addr, 0, len(in))
	for _, a := range in {
		if a.IsValid() {
			out = append(out, a.Unmap().WithZone(""))
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	out = slices.Compact(out)
	return slices.Clip(out[:min(len(out), maxAddresses)])
}

// systemAddresses asks the kernel (rtnetlink, one dump of addresses).
func systemAddresses() ([]netip.Addr, error) {
	nets, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	addrs := make([]netip.Addr, 0, len(nets))
	for _, n := range nets {
		if prefix, ok := n.(*net.IPNet); ok {
			if a, ok := netip.AddrFromSlice(prefix.IP); ok {
				addrs = append(addrs, a)
			}
		}
	}
	return addrs, nil
}
