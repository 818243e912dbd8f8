package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"eximpolicyd/acl"
	"eximpolicyd/internal/dnstest"
	"eximpolicyd/policy"
	"eximpolicyd/test/rig"
)

const (
	deadRounds = 15
	manyAskers = 1000
)

// deadList lets one of eight lists that were healthy die, in real Exim: first each connection waits for it once, then
// nobody does.
func deadList(ctx context.Context, b *bench) (rows []row, err error) {
	server, err := script(lists)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	var next atomic.Uint32
	none, err := b.open(ctx, "log = {level = \"info\", format = \"text\"}\ndns.ask = \"off\"\n", 0, &next)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, none.close()) }()
	with, err := b.open(ctx, listSettings(server.Addr(), lists, false), lists, &next)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, with.close()) }()

	if _, err := with.beside(none); err != nil { // an Exim's first session is slow
		return nil, err
	}
	dead := listZone(lists - 1)
	server.Play(dead, dnstest.Silent)
	waiting, err := with.beside(none)
	if err != nil {
		return nil, err
	}
	refused, err := with.refusal(server)
	if err != nil {
		return nil, err
	}
	if err := with.breaks(dead); err != nil {
		return nil, err
	}
	var after []float64
	for range deadRounds {
		added, err := with.beside(none)
		if err != nil {
			return nil, err
		}
		after = append(after, ms(added))
	}
	budget := acl.Budget(policy.RCPT)
	rows = []row{
		most("1 of 8 lists dead, 3 RCPT: time added while nobody knows", ms(waiting), ms(budget+20*time.Millisecond), "%.0f", " ms"),
		told("the same, a client that the others list", "%s", refused),
		under("the same, time added once the breaker is open", median(after), 5, "%.1f", " ms"),
	}
	flight, err := oneFlight(ctx, b, server)
	return append(rows, flight...), err
}

// beside makes a session with three recipients and one without lists, and returns the difference.
func (d *door) beside(none *door) (time.Duration, error) {
	v, err := d.visit(d.fresh(), 0, rig.Users())
	if err != nil {
		return 0, err
	}
	w, err := none.visit(none.fresh(), 0, rig.Users())
	return v.whole - w.whole, err
}

// refusal is what a client hears that three of the living lists have.
func (d *door) refusal(server *dnstest.Server) (string, error) {
	client := d.fresh()
	for i := range 3 {
		if err := server.List(listZone(i), false, client.String()); err != nil {
			return "", err
		}
	}
	c, _, err := d.site.Dial(client.String())
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.Say("EHLO mta-outbound-17.news.example.com")
	c.Say("MAIL FROM:<bounce-1839201@news.example.com>")
	r := c.Say("RCPT TO:<alice@" + rig.Domain + ">")
	if r.Code != 550 || !strings.Contains(r.Text, listZone(0)) {
		return "", fmt.Errorf("a listed client was not refused:\n%s", c.Transcript())
	}
	return "550 5.7.1", nil
}

// breaks makes sessions until the daemon says that the list is out.
func (d *door) breaks(zone string) error {
	for range 20 {
		for line := range strings.Lines(d.daemon.text()) {
			if strings.Contains(line, " list="+zone+" ") && strings.Contains(line, " state=timeout ") {
				return nil
			}
		}
		if _, err := d.visit(d.fresh(), 0, []string{"alice"}); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s is still asked: %s", zone, d.daemon.text())
}

// oneFlight lets many ask about one new client at once.
func oneFlight(ctx context.Context, b *bench, server *dnstest.Server) (rows []row, err error) {
	server.Play(listZone(lists-1), nil)
	server.Delay("", 0)
	p, err := b.serveWith(ctx, filepath.Join(b.dir, "many.sock"), listSettings(server.Addr(), lists, false))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.end()) }()
	for strings.Count(p.text(), " state=ok ") < lists {
		time.Sleep(10 * time.Millisecond)
	}
	server.Delay("", 200*time.Millisecond) // so that all come before the first answer
	server.Forget()
	head, tail, err := requestAround()
	if err != nil {
		return nil, err
	}
	request := slices.Concat(head, []byte("198.51.100.77"), tail)
	var wait sync.WaitGroup
	failed := make([]error, manyAskers)
	for i := range failed {
		wait.Go(func() { failed[i] = askOnce(p.socket, request) }) // ends with the answer
	}
	wait.Wait()
	if err := errors.Join(failed...); err != nil {
		return nil, err
	}
	questions := 0
	for i := range lists {
		n := server.Count(listZone(i))
		if n == 0 {
			return nil, fmt.Errorf("%s was not asked", listZone(i))
		}
		questions = max(questions, n)
	}
	return []row{{
		what: fmt.Sprintf("%d callers at once about one new client, questions to each of 8 lists", manyAskers), figure: fmt.Sprint(questions),
		must: "exactly 1", met: questions == 1,
	}}, nil
}

func askOnce(socket string, request []byte) error {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write(request); err != nil {
		return err
	}
	reply := make([]byte, 4096)
	n, err := c.Read(reply)
	if err != nil {
		return err
	}
	return whole(reply[:n])
}
