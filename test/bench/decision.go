package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
)

// result is one line of the benchmark.
var result = regexp.MustCompile(`(?m)^BenchmarkDecision(?:-\d+)?\s.*?([0-9.]+) ns/op.*?([0-9]+) allocs/op`)

// decision runs the benchmark of one RCPT decision in package acl: five times, the median of the times and the most
// allocations.
func decision(ctx context.Context, _ *bench) ([]row, error) {
	out, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkDecision$", "-benchmem", "-count", "5",
		"eximpolicyd/acl").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go test -bench BenchmarkDecision ./acl: %w\n%s", err, out)
	}
	var times []float64
	var allocs float64
	for _, m := range result.FindAllSubmatch(out, -1) {
		ns, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil {
			return nil, err
		}
		n, err := strconv.ParseFloat(string(m[2]), 64)
		if err != nil {
			return nil, err
		}
		times, allocs = append(times, ns/1000), max(allocs, n)
	}
	if len(times) != 5 {
		return nil, fmt.Errorf("BenchmarkDecision was not found in ./acl:\n%s", out)
	}
	return []row{
		under("one RCPT decision inside the process", median(times), 10, "%.1f", " us"),
		under("one RCPT decision, allocations", allocs, 20, "%.0f", ""),
	}, nil
}
