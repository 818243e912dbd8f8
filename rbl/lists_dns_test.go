package rbl_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"eximpolicyd/internal/dnstest"
	"eximpolicyd/rbl"
)

// serve starts a DNS server and lists that ask it, with zones in postscreen's notation, and tests them.
func serve(t testing.TB, script func(*dnstest.Server), entries ...string) (*dnstest.Server, *rbl.Lists) {
	t.Helper()
	srv, err := dnstest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	script(srv)
	r, err := rbl.NewResolver(rbl.ResolverOptions{Servers: []netip.AddrPort{srv.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	var read []rbl.Entry
	for _, text := range entries {
		var e rbl.Entry
		if err := e.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		read = append(read, e)
	}
	zones, err := rbl.Zones(rbl.OfAddresses, read)
	if err != nil {
		t.Fatal(err)
	}
	l := rbl.NewLists(r, zones, rbl.ListsOptions{})
	l.Test(t.Context())
	return srv, l
}

func TestOverTheWireEveryFailureIsItsStateAndOnlyTheHealthyListCounts(t *testing.T) {
	entries := []string{"public.example", "parked.example", "world.example", "empty.example", "broken.example", "refuses.example",
		"well.example=127.0.0.[2..11]*2.5"}
	srv, l := serve(t, func(s *dnstest.Server) {
		s.Play("public.example", dnstest.ErrorCode(254))
		s.Play("parked.example", dnstest.Hijack(netip.MustParseAddr("192.0.2.80")))
		s.Play("world.example", dnstest.World)
		s.Play("empty.example", dnstest.Inert)
		s.Play("broken.example", dnstest.ServFail)
		s.Play("refuses.example", dnstest.Refused)
		if err := s.List("well.example", true, "192.0.2.66=127.0.0.4", "2001:db8::66=127.0.0.2"); err != nil {
			t.Fatal(err)
		}
	}, entries...)
	var states []string
	for _, h := range l.States() {
		states = append(states, h.State.String())
	}
	if got := strings.Join(states, " "); got != "error-code hijacked world inert timeout timeout ok" {
		t.Error(got)
	}
	for client, want := range map[string]rbl.Score{"192.0.2.66": 25, "2001:db8::66": 25, "192.0.2.67": 0} {
		for range 2 {
			if r := l.Check(t.Context(), netip.MustParseAddr(client)); r.Score() != want || r.Answers[6].Status == rbl.Unknown {
				t.Errorf("%s: %v, %+v", client, r.Score(), r.Answers)
			}
		}
	}
	asked := 0
	for _, q := range srv.Questions() {
		if strings.HasPrefix(strings.ToLower(q.Name), "66.2.0.192.") {
			asked++
		}
	}
	if asked != 1 {
		t.Errorf("%d questions about a client, want one, to the healthy list", asked)
	}
}

// BenchmarkListsOverTheWire asks 8 lists on a server of this process about clients, all new or all known.
func BenchmarkListsOverTheWire(b *testing.B) {
	var entries []string
	for i := range 8 {
		entries = append(entries, fmt.Sprintf("bl%d.example=127.0.0.[2..11]*1", i))
	}
	_, l := serve(b, func(s *dnstest.Server) {
		for i := range 8 {
			if err := s.List(fmt.Sprintf("bl%d.example", i), true); err != nil {
				b.Fatal(err)
			}
		}
	}, entries...)
	client := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{20, byte(i >> 16), byte(i >> 8), byte(i)}) }
	b.Run("new", func(b *testing.B) {
		for i := range b.N {
			l.Check(context.Background(), client(i))
		}
	})
	b.Run("known", func(b *testing.B) {
		l.Check(context.Background(), client(0))
		for range b.N {
			l.Check(context.Background(), client(0))
		}
	})
}

// Whether it was asked now, over UDP or over TCP, or is remembered.
func TestAnAnswerNamesTheServerThatGaveIt(t *testing.T) {
	srv, l := serve(t, func(s *dnstest.Server) {
		for _, zone := range []string{"well.example", "long.example"} {
			if err := s.List(zone, true, "192.0.2.66=127.0.0.4"); err != nil {
				t.Fatal(err)
			}
		}
		s.Play("long.example", dnstest.Truncated)
	}, "well.example", "long.example")
	client := netip.MustParseAddr("192.0.2.66")
	for _, cached := range []bool{false, true} {
		for i, a := range l.Check(t.Context(), client).Answers {
			if a.Status != rbl.Listed || a.Cached != cached || a.Server != srv.Addr() {
				t.Errorf("%d: %s, cached %v, by %s, not by %s", i, a.Status, a.Cached, a.Server, srv.Addr())
			}
		}
	}
}

// The first server says nothing: what is told, and what is remembered, is told by the second.
func TestAnAnswerNamesTheSecondServerWhereTheFirstIsSilent(t *testing.T) {
	var servers [2]*dnstest.Server
	for i := range servers {
		srv, err := dnstest.Start()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { srv.Close() })
		servers[i] = srv
	}
	servers[0].Play(".", dnstest.Silent)
	second := servers[1]
	if err := errors.Join(second.Add("66.2.0.192.in-addr.arpa. 300 IN PTR mail.example.net.", "mail.example.net. 900 IN A 192.0.2.66", "www.example.net. 900 IN A 192.0.2.1"),
		second.List("well.example", true, "192.0.2.66=127.0.0.4")); err != nil {
		t.Fatal(err)
	}
	r, err := rbl.NewResolver(rbl.ResolverOptions{Servers: []netip.AddrPort{servers[0].Addr(), second.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	zones, err := rbl.ParseZones(rbl.OfAddresses, "well.example")
	if err != nil {
		t.Fatal(err)
	}
	l := rbl.NewLists(r, zones, rbl.ListsOptions{})
	client := netip.MustParseAddr("192.0.2.66")
	for _, cached := range []bool{false, true} {
		named := func(what string, o rbl.Origin, known bool, most time.Duration) {
			t.Helper()
			if o.Server != second.Addr() || known != cached || o.TTL <= 0 || o.TTL > most {
				t.Errorf("%s, cached %v: cached %v, by %v, %v old, holds %v of %v", what, cached, known, o.Server, o.Age, o.TTL, most)
			}
		}
		rec := r.Lookup(t.Context(), "www.example.net", dns.TypeA)
		named("A", rec.Origin(), rec.Age > 0, 15*time.Minute)
		if rec.TTL+rec.Age != 15*time.Minute {
			t.Errorf("%v old and holds %v", rec.Age, rec.TTL)
		}
		asked := second.Count("66.2.0.192.in-addr.arpa")
		p := r.Confirm(t.Context(), client) // its parts may be remembered by the time it has them all: its age tells nothing at first
		named("PTR", p.Origin, p.Status == rbl.PTRConfirmed && p.Age > 0 && second.Count("66.2.0.192.in-addr.arpa") == asked, 5*time.Minute)
		if !cached {
			l.Test(t.Context())
		}
		a := l.Check(t.Context(), client).Answers[0]
		named("list", rbl.Origin{TTL: a.TTL, Age: a.Age, Server: a.Server}, a.Status == rbl.Listed && a.Cached, 5*time.Minute)
	}
	if servers[0].Count("") == 0 {
		t.Error("the first was not asked")
	}
}
