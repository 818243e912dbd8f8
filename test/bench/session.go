package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"eximpolicyd/test/rig"
)

const (
	sessionRounds  = 31
	sessionsEach   = 24
	sessionsAtOnce = 8
)

// mail is the message: 2 kB, and nothing in it that a rule objects to.
var mail = func() string {
	text := "From: News <news@news.example.com>\nTo: alice@" + rig.Domain + "\nSubject: the measured message\n" +
		"Date: Thu, 23 Jul 2026 12:00:00 +0000\nMessage-ID: <20260723120000.4A1B2C3D@news.example.com>\n\n"
	for len(text) < 2000 {
		text += "Forty-two octets of text on every line here.\n"
	}
	return text
}()

// variant is one Exim with what it took for a session in each round.
type variant struct {
	site   *rig.Site
	rounds []float64 // the median of the round, in milliseconds
}

// session compares SMTP sessions with real Exim: with our daemon, with the same snippet and the bare server, and without
// the snippet. Mail is kept in the queue, so that deliveries of one round do not disturb the next.
func session(ctx context.Context, b *bench) (rows []row, err error) {
	var with, plain, without variant
	for _, v := range []struct {
		*variant
		rig.Config
	}{
		{&with, rig.Config{Flavour: "stock", Queue: true}},
		{&plain, rig.Config{Flavour: "stock", Queue: true}},
		{&without, rig.Config{Flavour: "stock", Queue: true, Without: true}},
	} {
		if v.site, err = rig.New(v.Config); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, v.site.Close()) }()
		if err := v.site.Start(); err != nil {
			return nil, err
		}
	}
	ours, err := b.serve(ctx, with.site.SocketPath())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ours.end()) }()
	bare, err := b.bare(ctx, plain.site.SocketPath(), "action=dunno end=1\n")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, bare.end()) }()

	for _, v := range []*variant{&with, &plain, &without} { // the first sessions are not measured
		if err := v.run(ctx); err != nil {
			return nil, err
		}
		v.rounds = nil
	}
	err = alternate(sessionRounds,
		func() error { return with.run(ctx) }, func() error { return plain.run(ctx) }, func() error { return without.run(ctx) })
	if err != nil {
		return nil, err
	}
	all := (1 + sessionRounds) * sessionsEach
	if err := errors.Join(ours.expect("RCPT", 3*all), ours.expect("DATA", all)); err != nil {
		return nil, err
	}
	return sessionRows(&with, &plain, &without), nil
}

func sessionRows(with, plain, without *variant) []row {
	ratio := func(a, b *variant) float64 {
		ratios := make([]float64, len(a.rounds))
		for i := range ratios {
			ratios[i] = a.rounds[i] / b.rounds[i]
		}
		return median(ratios)
	}
	toPlain, toNone := ratio(with, plain), ratio(with, without)
	plainToNone := ratio(plain, without)
	return []row{
		told(fmt.Sprintf("session in real Exim, 3 RCPT and DATA, %d at once: ours, bare, without", sessionsAtOnce),
			"%.1f, %.1f, %.1f ms", median(with.rounds), median(plain.rounds), median(without.rounds)),
		most("session, against the same snippet and the bare server", toPlain, 1.25, "%.2f", " times"),
		told("session, against Exim without the snippet: ours, bare", "%.2f, %.2f times", toNone, plainToNone),
	}
}

// run makes one round: so many sessions, so many at once.
func (v *variant) run(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var wait, quits sync.WaitGroup
	var next atomic.Int32
	times := make([]time.Duration, sessionsEach)
	failed := make([]error, sessionsAtOnce)
	for worker := range sessionsAtOnce {
		wait.Go(func() { // ends when no session is left
			for i := next.Add(1); i <= sessionsEach && failed[worker] == nil; i = next.Add(1) {
				times[i-1], failed[worker] = v.once(outsider(int(i)).String(), &quits)
			}
		})
	}
	wait.Wait()
	quits.Wait()
	v.rounds = append(v.rounds, ms(median(times)))
	return errors.Join(failed...)
}

// once makes one session and returns the time from connect to the 250 after DATA. Exim waits 0.2 s at QUIT by itself;
// quits waits for that, the next session does not.
func (v *variant) once(client string, quits *sync.WaitGroup) (time.Duration, error) {
	begin := time.Now()
	c, greeting, err := v.site.Dial(client)
	if err != nil {
		return 0, err
	}
	hello := c.Say("EHLO mta-outbound-17.news.example.com")
	to := make([]string, 0, 3)
	for _, user := range rig.Users() {
		to = append(to, user+"@"+rig.Domain)
	}
	taken := c.Message("bounce-1839201@news.example.com", to, mail)
	took := time.Since(begin)
	if greeting.Code != 220 || hello.Code != 250 || taken.Code != 250 {
		return 0, errors.Join(fmt.Errorf("a session failed:\n%s", c.Transcript()), c.Close())
	}
	quits.Go(func() { // ends with Exim's answer, or with the connection
		c.Say("QUIT")
		c.Close()
	})
	return took, nil
}
