package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"eximpolicyd/internal/dnstest"
	"eximpolicyd/test/rig"
)

// door is one Exim and what is behind it.
type door struct {
	site   *rig.Site
	daemon *process // none: Exim's own dnslists
	sender string   // what native looks at
	next   *atomic.Uint32
	quits  sync.WaitGroup
}

// visit is what one session took.
type visit struct {
	whole time.Duration   // from connect to the 250 after DATA, without the pause
	rcpt  []time.Duration // of each RCPT command
}

// visit makes a session of a client, with a pause before the first RCPT. Exim waits 0.2 s at QUIT by itself; the next
// session does not wait for that.
func (d *door) visit(client netip.Addr, pause time.Duration, users []string) (v visit, err error) {
	begin := time.Now()
	c, greeting, err := d.site.Dial(client.String())
	if err != nil {
		return visit{}, err
	}
	ok := greeting.Code == 220 && c.Say("EHLO mta-outbound-17.news.example.com").Code == 250 &&
		c.Say("MAIL FROM:<"+d.sender+"@news.example.com>").Code == 250
	if pause > 0 {
		time.Sleep(pause)
		begin = begin.Add(pause)
	}
	for _, user := range users {
		asked := time.Now()
		ok = ok && c.Say("RCPT TO:<"+user+"@"+rig.Domain+">").Code == 250
		v.rcpt = append(v.rcpt, time.Since(asked))
	}
	ok = ok && c.Say("DATA").Code == 354 && c.Say(strings.ReplaceAll(mail, "\n", "\r\n")+"\r\n.").Code == 250
	v.whole = time.Since(begin)
	if !ok {
		return visit{}, errors.Join(fmt.Errorf("a session failed:\n%s", c.Transcript()), c.Close())
	}
	d.quits.Go(func() { // ends with Exim's answer, or with the connection
		c.Say("QUIT")
		c.Close()
	})
	return v, nil
}

// fresh is the address of a client that was never seen.
func (d *door) fresh() netip.Addr { return sender(firstNew + d.next.Add(1)).address() }

func (d *door) close() error {
	d.quits.Wait()
	var err error
	if d.daemon != nil {
		err = d.daemon.end()
	}
	return errors.Join(err, d.site.Close())
}

// open starts an Exim with our snippets and a daemon with settings of its own, and waits until so many lists count.
func (b *bench) open(ctx context.Context, settings string, healthy int, next *atomic.Uint32) (*door, error) {
	site, err := rig.New(rig.Config{Flavour: "stock", Queue: true})
	if err != nil {
		return nil, err
	}
	d := &door{site: site, sender: "bounce-1839201", next: next}
	if err := site.Start(); err != nil {
		return nil, errors.Join(err, site.Close())
	}
	if d.daemon, err = b.serveWith(ctx, site.SocketPath(), settings); err != nil {
		return nil, errors.Join(err, site.Close())
	}
	for range 400 {
		if strings.Count(d.daemon.text(), " state=ok ") >= healthy {
			return d, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, errors.Join(fmt.Errorf("not all of %d lists passed their test: %s", healthy, d.daemon.text()), d.close())
}

// native starts an Exim that asks lists by itself: as many as the sender's name says after an n.
func native(nameserver string, numbers []int, next *atomic.Uint32) (*door, error) {
	var acl strings.Builder
	for _, n := range numbers {
		zones := make([]string, n)
		for i := range zones {
			zones[i] = listZone(i)
		}
		fmt.Fprintf(&acl, "  deny condition = ${if eq{$sender_address_local_part}{n%d}}\n       dnslists = %s\n", n, strings.Join(zones, " : "))
	}
	site, err := rig.New(rig.Config{Flavour: "stock", Queue: true, Nameserver: nameserver, Edit: func(snippet string) string {
		if strings.HasSuffix(strings.TrimSpace(snippet), " RCPT") { // where our callout at RCPT stands
			return acl.String()
		}
		return ""
	}})
	if err != nil {
		return nil, err
	}
	if err := site.Start(); err != nil {
		return nil, errors.Join(err, site.Close())
	}
	return &door{site: site, next: next}, nil
}

// listSettings are settings with so many lists and no other rule that asks the DNS, or with all that do: then there is a
// chain of three lookups that wait for each other, reverse name, its address and a list of such names.
func listSettings(server netip.AddrPort, n int, chain bool) string {
	entries := make([]string, n)
	for i := range entries {
		entries[i] = fmt.Sprintf("%q", listZone(i)+"=127.0.0.2*2")
	}
	common := "log = {level = \"info\", format = \"text\"}\ndns.servers = [\"" + server.String() + "\"]\n" +
		"[policy.rbl]\nmode = \"enforce\"\nzones = [" + strings.Join(entries, ", ") + "]\n"
	if chain {
		return common + "name_zones = [\"" + nameZone + "\"]\nnames = [\"ptr\"]\n"
	}
	return common + "name_zones = []\n[policy.ptr]\nmode = \"off\"\n[policy.helo.rules]\nH4 = \"off\"\nH11 = \"off\"\nH12 = \"off\"\nH16 = \"off\"\n"
}

const nameZone = "names.dnsbl.example"

// script starts a scripted DNS server with so many lists, on port 53, of an address of its own.
func script(n int) (*dnstest.Server, error) {
	for last := byte(1); ; last++ {
		at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 77, 0, last}), 53)
		s, err := dnstest.StartAt(at)
		if err != nil && last < 250 {
			continue // another run has it
		}
		if err != nil {
			return nil, err
		}
		err = s.NameList(nameZone)
		for i := range n {
			err = errors.Join(err, s.List(listZone(i), false))
		}
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		return s, nil
	}
}
