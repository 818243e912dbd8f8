package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

const (
	cacheRounds = 41
	cacheTurn   = 250 * time.Millisecond // short, so that both of a round see the same machine
	cacheFull   = 100_000                // clients that the daemon knows
)

// cache measures the cache by its own benchmarks, and callouts of a daemon that knows many clients, asked about all of
// them, beside one that knows a hundredth.
func cache(ctx context.Context, b *bench) ([]row, error) {
	octets, err := benchmark(ctx, "BenchmarkOctetsPerClient", "1x", "octets/client")
	if err != nil {
		return nil, err
	}
	hit, err := benchmark(ctx, "BenchmarkRowHit", "1s", "ns/op")
	if err != nil {
		return nil, err
	}
	rate, full, err := fullCache(ctx, b)
	if err != nil {
		return nil, err
	}
	return []row{
		under("cache of 1,000,000 clients with 8 lists, heap a client", octets, 200, "%.0f", " octets"),
		under("finding a client and what 8 lists said of him, 8 goroutines", hit/1000, 0.4, "%.2f", " us"),
		told(fmt.Sprintf("callouts with %d clients known, each asked about", cacheFull), "%s", figures(full)),
		least("the same, callouts/s against a daemon that knows 1,000", rate, 0.9, "%.2f", " times"),
	}, nil
}

// benchmark runs one of package rbl three times, and returns the median of a unit.
func benchmark(ctx context.Context, name, benchtime, unit string) (float64, error) {
	out, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^"+name+"$", "-benchtime", benchtime, "-count", "3",
		"eximpolicyd/rbl").CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("go test -bench %s ./rbl: %w\n%s", name, err, out)
	}
	var values []float64
	for _, m := range regexp.MustCompile(`(?m)^`+name+`(?:-\d+)?\s.*?([0-9.e+]+) `+regexp.QuoteMeta(unit)).FindAllSubmatch(out, -1) {
		v, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil {
			return 0, err
		}
		values = append(values, v)
	}
	if len(values) != 3 {
		return 0, fmt.Errorf("%s of %s was not found in ./rbl:\n%s", unit, name, out)
	}
	return median(values), nil
}

// fullCache returns the rate of a daemon with a full cache by that of one that knows few, and the rounds of the first.
func fullCache(ctx context.Context, b *bench) (rate float64, full []round, err error) {
	at := netip.AddrFrom4([4]byte{127, 77, 1, 2})
	lists, err := serveLists(ctx, b, at)
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, lists.end()) }()
	var both [2]*contender
	for i := range both {
		c := &contender{peer: ours(b.binary, at)}
		if c.site, err = newSite(ctx, b, fmt.Sprint("cache-", i)); err != nil {
			return 0, nil, err
		}
		defer func() { err = errors.Join(err, c.end()) }()
		if err := c.begin(lists); err != nil {
			return 0, nil, err
		}
		both[i] = c
	}
	for both[0].seen < cacheFull {
		if _, err := both[0].drive(ctx, peerTurn, both[0].freshUpTo(cacheFull)); err != nil {
			return 0, nil, err
		}
	}
	all := func(caller, i int) (sender, bool) {
		return sender(firstNew + 1 + (caller*cacheFull/callers+i)%cacheFull), true
	}
	var few []round
	turn := func(c *contender, next func(int, int) (sender, bool), list *[]round) func() error {
		return func() error {
			l, err := c.drive(ctx, cacheTurn, next)
			*list = append(*list, digest(l))
			return err
		}
	}
	if _, err := both[1].drive(ctx, peerTurn, known); err != nil {
		return 0, nil, err
	}
	before, err := lists.counts()
	if err != nil {
		return 0, nil, err
	}
	if err := alternate(cacheRounds, turn(both[0], all, &full), turn(both[1], known, &few)); err != nil {
		return 0, nil, err
	}
	if after, err := lists.counts(); err != nil || after[clearZone] != before[clearZone] {
		return 0, nil, errors.Join(err, errors.New("clients that were known were asked about once more"))
	}
	ratios := make([]float64, len(full))
	for i := range ratios {
		ratios[i] = full[i].rate() / few[i].rate()
	}
	return median(ratios), full, nil
}
