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

// resolver compares looking up names that are new, of clients in a list that has nobody, with asking the same through the
// stock client of miekg/dns, one client for each asker. The server is a process of its own; only our own CPU time is
// counted. Lookup asks for 64 names at a time: with 256 askers most wait for their turn, which loses no packets.
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
	var next atomic.Uint32
	ours := func(ctx context.Context) func(string) error {
		return func(name string) error {
			if rec := r.Lookup(ctx, name, dns.TypeA); rec.Outcome != rbl.Missing {
				return fmt.Errorf("%s: %v (%s)", name, rec.Outcome, rec.Note)
			}
			return nil
		}
	}
	var lost atomic.Int64
	stock := func(ctx context.Context) func(string) error {
		return stockAsker(ctx, at.String(), &lost)
	}
	for _, askers := range []int{callers, 256} {
		var our, other []asked
		of := func(asker func(context.Context) func(string) error, list *[]asked) func() error {
			return func() error {
				a, err := questions(ctx, askers, &next, asker)
				*list = append(*list, a)
				return err
			}
		}
		if err := alternate(resolverPairs, of(ours, &our), of(stock, &other)); err != nil {
			return nil, err
		}
		rows = append(rows, resolverRows(askers, our, other)...)
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
		told(fmt.Sprintf("questions to a local server, %d askers: ours, stock client", askers), "%s; %s", figure(our), figure(other)),
		least("the same, questions/s against the stock client", median(rate), 2, "%.1f", " times"),
		most("the same, CPU a question against the stock client", median(cpu), 0.5, "%.2f", " times"),
	}
}

// stockAsker asks as the manual of miekg/dns shows, and again when nothing came: 256 questions at once are more than a
// server's socket holds. lost counts those.
func stockAsker(ctx context.Context, server string, lost *atomic.Int64) func(string) error {
	var c dns.Client
	return func(name string) error {
		var reply *dns.Msg
		var err error
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

// questions asks for the names of so many clients, each a new one that is not listed, from so many askers at once.
func questions(ctx context.Context, askers int, next *atomic.Uint32, asker func(context.Context) func(string) error) (asked, error) {
	var wait sync.WaitGroup
	failed := make([]error, askers)
	before, err := cpuTime()
	if err != nil {
		return asked{}, err
	}
	begin := time.Now()
	for i := range askers {
		wait.Go(func() { // ends after its share
			ask := asker(ctx)
			for range questionsEach / askers {
				name, err := rbl.QueryAddress(sender(firstNew+next.Add(1)).address(), listZone(clearZone))
				if err == nil {
					err = ask(name)
				}
				if failed[i] = err; err != nil {
					return
				}
			}
		})
	}
	wait.Wait()
	took := time.Since(begin)
	after, err := cpuTime()
	n := float64(questionsEach / askers * askers)
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
