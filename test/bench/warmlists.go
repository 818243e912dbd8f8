package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"eximpolicyd/test/rig"
)

const warmRounds = 101

// warmLists compares RCPT, as the client sees it, of a client that everybody knows already: our callout beside Exim's own
// dnslists, which ask the cache of a local unbound. Each session is a new Exim process, which has no memory of its own.
func warmLists(ctx context.Context, b *bench) (rows []row, err error) {
	var served rig.Served
	for i := range lists {
		served.Lists = append(served.Lists, rig.List{Zone: listZone(i), Type: "ip4set"})
	}
	served.Port53 = true
	names, err := rig.NewDNS(served)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, names.Close()) }()
	var next atomic.Uint32
	own, err := native(names.Nameserver(), []int{lists}, &next)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, own.close()) }()
	own.sender = fmt.Sprint("n", lists)
	with, err := b.open(ctx, listSettings(names.Addr(), lists, false), lists, &next)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, with.close()) }()

	client := with.fresh()
	var our, exims []visit
	of := func(d *door, list *[]visit) func() error {
		return func() error {
			v, err := d.visit(client, 0, []string{"alice"})
			*list = append(*list, v)
			return err
		}
	}
	if err := errors.Join(of(with, new([]visit))(), of(own, new([]visit))()); err != nil {
		return nil, err
	}
	if err := alternate(warmRounds, of(with, &our), of(own, &exims)); err != nil {
		return nil, err
	}
	if err := with.daemon.expect("RCPT", warmRounds+1); err != nil {
		return nil, err
	}
	return warmRows(our, exims), nil
}

func warmRows(our, exims []visit) []row {
	rcpt, whole := make([]float64, len(our)), make([]float64, len(our))
	for i := range our {
		rcpt[i] = float64(our[i].rcpt[0]) / float64(exims[i].rcpt[0])
		whole[i] = float64(our[i].whole) / float64(exims[i].whole)
	}
	first := func(v visit) float64 { return ms(v.rcpt[0]) }
	all := func(v visit) float64 { return ms(v.whole) }
	return []row{
		told("8 lists, known client, unbound and rbldnsd, RCPT in real Exim: ours, Exim's dnslists", "%.2f, %.2f ms",
			medianOf(our, first), medianOf(exims, first)),
		most("the same, RCPT against Exim's dnslists", median(rcpt), 1.3, "%.2f", " times"),
		told("the same, whole session: ours, Exim's dnslists", "%.1f, %.1f ms, %.2f times", medianOf(our, all), medianOf(exims, all), median(whole)),
	}
}
