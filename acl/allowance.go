package acl

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// Bounds of what is started early. A connection starts three times, at CONNECT, HELO and MAIL.
const (
	earlySlots = 4096             // counters, 32 kB
	earlyMost  = 256              // starts of one network
	earlySpan  = 10 * time.Second // in so long: 25 connections in 3 s
)

// allowance bounds what is asked before anybody objects or does not: a network that opens many connections and says
// nothing would make us ask for nothing. It counts by /24, and by /56 of IPv6; what is not proven counts as one, since
// anybody on this machine can name any client.
//
// Bound: a fixed table. Two networks that fall on one counter share it. Lost on restart. Over the bound, or without a
// count, only the time of the answer changes: RCPT asks then, and waits.
type allowance struct {
	seed  maphash.Seed // so that nobody chooses with whom he shares
	slots [earlySlots]atomic.Uint64
}

func newAllowance() *allowance { return &allowance{seed: maphash.MakeSeed()} }

// take counts one start and reports whether it is allowed.
func (a *allowance) take(client netip.Addr, proven bool, now time.Time) bool {
	if !client.IsValid() {
		return false
	}
	slot := &a.slots[a.slot(client, proven)]
	span := uint64(now.Unix()/int64(earlySpan/time.Second)) << 32
	for {
		old := slot.Load()
		count := old & (1<<32 - 1)
		if old&^(1<<32-1) != span {
			count = 0
		}
		if count >= earlyMost {
			return false
		}
		if slot.CompareAndSwap(old, span|count+1) {
			return true
		}
	}
}

func (a *allowance) slot(client netip.Addr, proven bool) uint64 {
	var key [8]byte
	switch {
	case !proven:
	case client.Is4():
		b := client.As4()
		copy(key[:], b[:3])
		key[7] = 4
	default:
		b := client.As16()
		copy(key[:], b[:7])
		key[7] = 6
	}
	return maphash.Bytes(a.seed, key[:]) % earlySlots
}
