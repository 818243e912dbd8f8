package main

import (
	"log/slog"
	"runtime/debug"
)

// Of the memory that GOMEMLIMIT allows, the daemon needs bare to answer on a thousand connections, and with ample everything that
// is remembered has its usual bounds.
const (
	bare  = 24 << 20
	ample = 256 << 20
)

// roomFor returns how much of a usual bound there is room for: all of it, or in proportion where there is less than ample. What
// is remembered has to fit in: Go's limit cannot take away what is still in use, and then the kernel kills.
func roomFor(usual int) int {
	return max(int(min(1, float64(free())/(ample-bare))*float64(usual)), 1) // 0 would be the usual bound
}

// keysWithin returns how many keys of the ledger there is room for: they may take a quarter.
func keysWithin(wanted int, log *slog.Logger) int {
	const octets = 100 // of each
	if room := max(free()/4/octets, 1); int64(wanted) > room {
		log.Warn("state.keys is more than there is memory for; raise GOMEMLIMIT, and MemoryMax= of the unit with it", "keys", wanted, "counted", room)
		return int(room)
	}
	return wanted
}

// free is the memory for what is remembered.
func free() int64 { return max(debug.SetMemoryLimit(-1)-bare, 0) } // -1 changes nothing
