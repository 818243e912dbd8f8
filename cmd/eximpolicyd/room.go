package main

import (
	"log/slog"
	"runtime/debug"
)

// ample is the memory with which everything that is remembered has its usual bounds.
const ample = 256 << 20

// roomFor returns how much of a usual bound there is room for: all of it, or in proportion where GOMEMLIMIT says less than ample. What
// is remembered has to fit in: Go's limit cannot take away what is still in use, and then the kernel kills.
func roomFor(usual int) int {
	return max(int(min(1, float64(debug.SetMemoryLimit(-1))/ample)*float64(usual)), 1) // -1 changes nothing; 0 would be the usual bound
}

// keysWithin returns how many keys of the ledger there is room for: they may take a quarter of the memory.
func keysWithin(wanted int, log *slog.Logger) int {
	const octets = 100 // of each
	limit := debug.SetMemoryLimit(-1)
	if room := max(limit/4/octets, 1); int64(wanted) > room {
		log.Warn("state.keys is more than there is memory for; raise GOMEMLIMIT, and MemoryMax= of the unit with it", "keys", wanted, "counted", room, "GOMEMLIMIT", limit)
		return int(room)
	}
	return wanted
}
