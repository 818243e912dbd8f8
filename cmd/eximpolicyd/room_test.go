package main

import (
	"log/slog"
	"math"
	"runtime/debug"
	"strings"
	"testing"
)

func TestWithLittleMemoryLessIsRemembered(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	for _, c := range []struct {
		limit       int64
		room        int // of 1,000
		keys, asked int
		warned      bool
	}{
		{1, 1, 1, 1000, true},
		{48 << 20, 103, 62_914, 262_144, true},
		{48 << 20, 103, 60_000, 60_000, false},
		{140 << 20, 500, 262_144, 262_144, false},
		{256 << 20, 1000, 262_144, 262_144, false},
		{400 << 20, 1000, 985_661, 10_000_000, true},
		{math.MaxInt64, 1000, 10_000_000, 10_000_000, false},
	} {
		debug.SetMemoryLimit(c.limit)
		var said strings.Builder
		room, keys := roomFor(1000), keysWithin(c.asked, slog.New(slog.NewTextHandler(&said, nil)))
		debug.SetMemoryLimit(math.MaxInt64)
		if warned := strings.Contains(said.String(), "state.keys"); room != c.room || keys != c.keys || warned != c.warned {
			t.Errorf("with %d octets: %d of 1000, %d of %d keys, %q", c.limit, room, keys, c.asked, said.String())
		}
	}
}
