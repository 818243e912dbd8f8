package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"eximpolicyd/internal/dnstest"
)

// The daemon has as much memory as the smallest of machines gives it: what Go may use, and where the kernel kills.
const (
	soakMemory = 64 << 20
	soakGo     = "GOMEMLIMIT=48MiB"
	soakFill   = 60_000 // new clients before anything is measured: whatever is bounded is full then
)

// soak asks a daemon at an even rate for so long, and looks whether anything of it grows. Most clients are new, some known, and
// some guess recipients and passwords; some callers break off; and an administrator looks at it and has it read its
// configuration again.
func soak(ctx context.Context, b *bench, long time.Duration) (rows []row, err error) {
	server, err := dnstest.Start()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	for i := range lists {
		if err := server.List(listZone(i), false); err != nil {
			return nil, err
		}
	}
	d, err := b.confine(ctx, listSettings(server.Addr(), lists, false)+guessers+ownConnections)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.end()) }()
	c, err := newCrowd(d.socket)
	if err != nil {
		return nil, err
	}
	progress("filling with", fmt.Sprint(soakFill, " clients"))
	if err := c.fill(ctx, soakFill); err != nil {
		return nil, errors.Join(err, errors.New(d.said.String()))
	}
	before, err := d.rest(ctx)
	if err != nil {
		return nil, err
	}
	var seen []sample
	err = c.drive(ctx, long, func() error {
		now, err := d.sample()
		seen = append(seen, now)
		progress("soaking:", now.String())
		return err
	}, d.administer)
	if err != nil {
		return nil, errors.Join(err, errors.New(d.said.String()))
	}
	if c.first != nil {
		progress("without an answer:", c.first.Error())
	}
	after, err := d.rest(ctx)
	if err != nil {
		return nil, err
	}
	return soakRows(c, long, before, after, seen), nil
}

// guessers are shut out.
const guessers = "[policy.dictionary]\nmode = \"enforce\"\n[policy.auth]\nmode = \"enforce\"\n"

func soakRows(c *crowd, long time.Duration, before, after sample, seen []sample) []row {
	highest, third := before.rss, len(seen)/3
	for _, s := range seen {
		highest = max(highest, s.rss)
	}
	live := func(of []sample) float64 { // Go fills what it may have, so that RSS tells nothing of what grows
		return medianOf(of, func(s sample) float64 { return s.heap })
	}
	last := live(seen[2*third:])
	return []row{
		told(fmt.Sprintf("%v at %d requests a second: answered, of clients never seen before, callers who broke off", long, soakRate), "%d, %d, %d",
			c.answered, c.fresh, c.broken),
		told("a callout, p50 and p99", "%.2f, %.2f ms", ms(quantile(c.times, 0.5)), ms(quantile(c.times, 0.99))),
		most("requests without an answer", float64(c.unanswered), 0, "%.0f", ""),
		under("RSS at its highest", highest/1e6, soakMemory/1e6, "%.1f", " MB"),
		told("heap after a collection, in the last third", "%.1f MB", last/1e6),
		most("the same against the third before", last/live(seen[third:2*third]), 1.05, "%.3f", " times"),
		most("open files at rest, afterwards and before", float64(after.files-before.files), 0, "%.0f", " more"),
		most("goroutines at rest, afterwards and before", float64(after.goroutines-before.goroutines), 0, "%.0f", " more"),
	}
}
