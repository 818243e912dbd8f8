package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
)

const counterRounds = 7

// counters measures the counters of the ledger by its own benchmark, beside a bare sharded map in the same run, and its
// memory by its own tests.
func counters(ctx context.Context, _ *bench) ([]row, error) {
	var rows []row
	times := map[string][]float64{}
	line := regexp.MustCompile(`(?m)^BenchmarkCount/(bare_map|table),_(2|32)_goroutines(?:-\d+)?\s+\d+\s+([0-9.]+) ns/op`)
	for range counterRounds {
		out, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkCount$", "-benchtime", "0.5s",
			"eximpolicyd/internal/ledger").CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("go test -bench BenchmarkCount ./internal/ledger: %w\n%s", err, out)
		}
		all := line.FindAllSubmatch(out, -1)
		if len(all) != 4 {
			return nil, fmt.Errorf("BenchmarkCount was not found in ./internal/ledger:\n%s", out)
		}
		for _, m := range all {
			ns, err := strconv.ParseFloat(string(m[3]), 64)
			if err != nil {
				return nil, err
			}
			name := string(m[1]) + string(m[2])
			times[name] = append(times[name], ns)
		}
	}
	for _, goroutines := range []string{"2", "32"} {
		bare, table := times["bare_map"+goroutines], times["table"+goroutines]
		ratios := make([]float64, len(table))
		for i := range ratios {
			ratios[i] = table[i] / bare[i]
		}
		rows = append(rows,
			told("counting an event of one of 262,144 keys, "+goroutines+" goroutines: ours, a bare sharded map", "%.0f, %.0f ns", median(table), median(bare)),
			most("the same, against the bare map", median(ratios), 3, "%.2f", " times"))
	}
	sizes, err := counterSizes(ctx)
	return append(rows, sizes...), err
}

// counterSizes runs the tests of the table's bounds at their full size, which they have without the race detector.
func counterSizes(ctx context.Context) ([]row, error) {
	out, err := exec.CommandContext(ctx, "go", "test", "-count=1", "-v", "-run", "^(TestAKeyTakesLessThanAHundredOctets|TestAnAttackIsCountedHoweverManyOthersCome)$",
		"eximpolicyd/internal/ledger").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go test ./internal/ledger: %w\n%s", err, out)
	}
	size := regexp.MustCompile(`FIGURE memory of counters: 1000000 keys, ([0-9.]+) octets a key on the heap`).FindSubmatch(out)
	flood := regexp.MustCompile(`FIGURE flood of keys: (\d+) distinct ones, (\d+) kept, (\d+) octets, [0-9.]+ a key; of (\d+) events of one /48 among them (\d+) count`).FindSubmatch(out)
	if size == nil || flood == nil {
		return nil, fmt.Errorf("the figures were not found:\n%s", out)
	}
	octets, err := strconv.ParseFloat(string(size[1]), 64)
	if err != nil {
		return nil, err
	}
	return []row{
		under("counters of 1,000,000 keys, heap a key", octets, 100, "%.1f", " octets"),
		told(string(flood[1])+" distinct keys: kept, octets", "%s, %s", flood[2], flood[3]),
		told("events of one /48 among them, and counted", "%s, %s", flood[4], flood[5]),
	}, nil
}
