package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"eximpolicyd/rbl"
)

const (
	resolverPairs = 11
	questionsEach = 10240
)

// clearZone is one of the lists that have nobody.
const clearZone = lists - 1

// asked is what a round of questions took.
type asked struct{ rate, cpu float64 } // questions a second; CPU time a question, in microseconds, of this process

// resolver compares asking about clients that are new, in lists that have nobody, with asking the same through the stock
// client of miekg/dns, one client for each asker. The server is a process of its own; only our own CPU time is counted. 32
// askers look up names. No program would look up 256 at once, and Lookup lets nobody: so many are under way when 64
// clients are looked for in 4 lists.
func resolver(ctx context.Context, b *bench) (rows []row, err error) {
	at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 77, 1, 1}), 53)
	stop, err := startQuick(ctx, at)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	r, err := rbl.NewResolver(rbl.ResolverOptions{Servers: []netip.AddrPort{at}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	l, err := emptyLists(ctx, r)
	if err != nil {
		return nil, err
	}
	var next atomic.Uint32
	var lost atomic.Int64
	stock := func(int) func(context.Context, sender) error { return stockAsker(at.String(), &lost) }
	for _, way := range []struct {
		under int // questions at once
		each  int // of them a call
		ours  func(context.Context, sender) error
	}{{callers, 1, lookingUp(r)}, {256, emptyOnes, checking(l)}} {
		var our, other []asked
		turn := func(askers, each int, asker func(int) func(context.Context, sender) error, list *[]asked) func() error {
			return func() error {
				a, err := questions(ctx, askers, each, &next, asker)
				*list = append(*list, a)
				return err
			}
		}
		ours := func(int) func(context.Context, sender) error { return way.ours }
		err := alternate(resolverPairs, turn(way.under/way.each, way.each, ours, &our), turn(way.under, 1, stock, &other))
		if err != nil {
			return nil, err
		}
		rows = append(rows, resolverRows(way.under, our, other)...)
		if n := lost.Swap(0); n > 0 {
			rows = append(rows, told("the same, questions that the stock client lost and asked again", "%d of %d", n, resolverPairs*questionsEach))
		}
	}
	return rows, nil
}

func resolverRows(askers int, our, other []asked) []row {
	rate, cpu := make([]float64, len(our)), make([]float64, len(our))
	for i := range our {
		rate[i], cpu[i] = our[i].rate/other[i].rate, our[i].cpu/other[i].cpu
	}
	figure := func(list []asked) string {
		return fmt.Sprintf("%.0f/s, %.1f us CPU each", medianOf(list, func(a asked) float64 { return a.rate }), medianOf(list, func(a asked) float64 { return a.cpu }))
	}
	return []row{
		told(fmt.Sprintf("%d questions at once to a local server: ours, stock client", askers), "%s; %s", figure(our), figure(other)),
		least("the same, questions/s against the stock client", median(rate), 2, "%.1f", " times"),
		most("the same, CPU a question against the stock client", median(cpu), 0.5, "%.2f", " times"),
	}
}

// lookingUp asks about a client by the name that he has in a list.
func lookingUp(r *rbl.Resolver) func(context.Context, sender) error {
	return func(ctx context.Context, s sender) error {
		name, err := rbl.QueryAddress(s.address(), listZone(clearZone))
		if err != nil {
			return err
		}
		if rec := r.Lookup(ctx, name, dns.TypeA); rec.Outcome != rbl.Missing {
			return fmt.Errorf("%s: %v (%s)", name, rec.Outcome, rec.Note)
		}
		return nil
	}
}

// checking asks all lists about a client.
func checking(l *rbl.Lists) func(context.Context, sender) error {
	return func(ctx context.Context, s sender) error {
		for _, a := range l.Check(ctx, s.address()).Answers {
			if a.Status != rbl.Clear || a.Cached {
				return fmt.Errorf("%v of %v in %v: %s", a.Status, s.address(), a.Zone, a.Why)
			}
		}
		return nil
	}
}

// emptyOnes is how many lists are asked at once here.
const emptyOnes = 4

// emptyLists makes lists that have nobody.
func emptyLists(ctx context.Context, r *rbl.Resolver) (*rbl.Lists, error) {
	names := make([]string, emptyOnes)
	for i := range names {
		names[i] = listZone(lists-1-i) + "=127.0.0.2"
	}
	zones, err := rbl.ParseZones(rbl.OfAddresses, names...)
	if err != nil {
		return nil, err
	}
	l := rbl.NewLists(r, zones, rbl.ListsOptions{Rows: 1 << 16})
	l.Test(ctx)
	for _, h := range l.States() {
		if h.State != rbl.OK {
			return nil, fmt.Errorf("%s is %v: %s", h.Zone, h.State, h.Why)
		}
	}
	return l, nil
}

// stockAsker asks as the manual of miekg/dns shows, and again when nothing came: 256 questions at once are more than a
// server's socket holds. lost counts those.
func stockAsker(server string, lost *atomic.Int64) func(context.Context, sender) error {
	var c dns.Client
	return func(ctx context.Context, s sender) error {
		name, err := rbl.QueryAddress(s.address(), listZone(clearZone))
		if err != nil {
			return err
		}
		var reply *dns.Msg
		for range 3 {
			if reply, _, err = c.ExchangeContext(ctx, new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA), server); err == nil {
				break
			}
			lost.Add(1)
		}
		if err == nil && reply.Rcode != dns.RcodeNameError {
			err = fmt.Errorf("%s: %s", name, dns.RcodeToString[reply.Rcode])
		}
		return err
	}
}

// questions asks about so many clients, each a new one, from so many askers at once. A call makes each questions.
func questions(ctx context.Context, askers, each int, next *atomic.Uint32, asker func(int) func(context.Context, sender) error) (asked, error) {
	var wait sync.WaitGroup
	failed := make([]error, askers)
	before, err := cpuTime()
	if err != nil {
		return asked{}, err
	}
	begin := time.Now()
	for i := range askers {
		wait.Go(func() { // ends after its share
			ask := asker(i)
			for range questionsEach / each / askers {
				if failed[i] = ask(ctx, sender(firstNew+next.Add(1))); failed[i] != nil {
					return
				}
			}
		})
	}
	wait.Wait()
	took := time.Since(begin)
	after, err := cpuTime()
	n := float64(questionsEach / each / askers * askers * each)
	return asked{n / took.Seconds(), float64(after-before) / float64(time.Microsecond) / n}, errors.Join(append(failed, err)...)
}

// cpuTime is what this process has used.
func cpuTime() (time.Duration, error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0, err
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}
