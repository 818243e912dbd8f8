package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"eximpolicyd/test/rig"
)

// Sessions that count at once, as a busy host has them: each RCPT moves three windows, of the client, of its network and
// of all.
const (
	windowRounds = 9
	windowTalks  = 32
	windowRCPTs  = 30
)

// ownWindows are three windows of Exim's own, which keeps them in a file with one lock.
const ownWindows = `  warn ratelimit = 1000000 / 1h / per_cmd / client-$sender_host_address
  warn ratelimit = 1000000 / 1h / per_cmd / network-${mask:$sender_host_address/24}
  warn ratelimit = 1000000 / 1h / per_cmd / all
`

// windows compares RCPT, as the client sees it, of many sessions at once in real Exim: our callout, which counts in
// memory, beside three keys of Exim's ratelimit. An Exim that counts nothing says how much of it is Exim's own: on two cores
// its processes wait for each other.
func windows(ctx context.Context, b *bench) (rows []row, err error) {
	own, err := edited(ownWindows)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, own.close()) }()
	none, err := edited("")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, none.close()) }()
	with, err := b.open(ctx, "log = {level = \"info\", format = \"text\"}\ndns.ask = \"off\"\npolicy.dictionary.mode = \"enforce\"\n", 0, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, with.close()) }()

	idle, err := b.opinionless(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, idle.close()) }()

	var ratios, floor []float64
	var ours, exims, bare, idles []time.Duration
	for range windowRounds {
		var a, z, n, i []time.Duration
		if err := alternate(1, with.talks(ctx, &a), own.talks(ctx, &z), none.talks(ctx, &n), idle.talks(ctx, &i)); err != nil {
			return nil, err
		}
		ratios = append(ratios, float64(median(z))/float64(median(a)))
		floor = append(floor, float64(median(a))/float64(median(i)))
		ours, exims, bare, idles = append(ours, a...), append(exims, z...), append(bare, n...), append(idles, i...)
	}
	if err := with.daemon.expect("RCPT", windowRounds*windowTalks*windowRCPTs); err != nil {
		return nil, err
	}
	return []row{
		told(fmt.Sprintf("RCPT with three windows, %d sessions at once in real Exim: ours, Exim's ratelimit, none, median", windowTalks),
			"%.2f, %.1f, %.2f ms", ms(median(ours)), ms(median(exims)), ms(median(bare))),
		told("the same, p99", "%.2f, %.1f, %.2f ms", ms(quantile(ours, 0.99)), ms(quantile(exims, 0.99)), ms(quantile(bare, 0.99))),
		told("the same snippet and a server that answers the same at once, median", "%.2f ms, ours is %.2f times that", ms(median(idles)), median(floor)),
		least("RCPT, Exim's ratelimit against ours", median(ratios), 20, "%.1f", " times"),
	}, nil
}

// talks has all sessions send their recipients at once, and takes the time of each.
func (d *door) talks(ctx context.Context, took *[]time.Duration) func() error {
	return func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		var ready, done sync.WaitGroup
		ready.Add(windowTalks)
		start := make(chan struct{})
		times := make([][]time.Duration, windowTalks)
		failed := make([]error, windowTalks)
		for i := range windowTalks {
			done.Go(func() { // ends with its session
				times[i], failed[i] = d.talk(outsider(i+1).String(), ready.Done, start)
			})
		}
		ready.Wait()
		close(start)
		done.Wait()
		d.quits.Wait()
		for _, t := range times {
			*took = append(*took, t...)
		}
		return errors.Join(failed...)
	}
}

// talk opens a session, waits for the others, and times each RCPT.
func (d *door) talk(client string, ready func(), start <-chan struct{}) (took []time.Duration, err error) {
	c, greeting, err := d.site.Dial(client)
	if err != nil {
		ready()
		return nil, err
	}
	ok := greeting.Code == 220 && c.Say("EHLO mta-outbound-17.news.example.com").Code == 250 &&
		c.Say("MAIL FROM:<bounce-1839201@news.example.com>").Code == 250
	ready()
	<-start
	for i := range windowRCPTs {
		user := rig.Users()[i%len(rig.Users())]
		asked := time.Now()
		ok = ok && c.Say("RCPT TO:<"+user+"@"+rig.Domain+">").Code == 250
		took = append(took, time.Since(asked))
	}
	if !ok {
		return nil, errors.Join(fmt.Errorf("a session failed:\n%s", c.Transcript()), c.Close())
	}
	d.quits.Go(func() { // ends with Exim's answer, or with the connection
		c.Say("QUIT")
		c.Close()
	})
	return took, nil
}

// opinionless starts an Exim with our snippets, and a server that reads and answers, and does nothing else.
func (b *bench) opinionless(ctx context.Context) (*door, error) {
	site, err := rig.New(rig.Config{Flavour: "stock", Queue: true})
	if err != nil {
		return nil, err
	}
	d := &door{site: site}
	if err := site.Start(); err != nil {
		return nil, errors.Join(err, site.Close())
	}
	if d.daemon, err = b.bare(ctx, site.SocketPath(), "action=dunno end=1\n"); err != nil {
		return nil, errors.Join(err, site.Close())
	}
	return d, nil
}

// edited starts an Exim that does something of its own where our callout at RCPT stands.
func edited(acl string) (*door, error) {
	site, err := rig.New(rig.Config{Flavour: "stock", Queue: true, Edit: func(snippet string) string {
		if strings.HasSuffix(strings.TrimSpace(snippet), " RCPT") {
			return acl
		}
		return ""
	}})
	if err != nil {
		return nil, err
	}
	if err := site.Start(); err != nil {
		return nil, errors.Join(err, site.Close())
	}
	return &door{site: site}, nil
}
