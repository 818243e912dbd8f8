package main

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"eximpolicyd/acl"
	"eximpolicyd/internal/config"
	"eximpolicyd/internal/dnstest"
	"eximpolicyd/policy"
	"eximpolicyd/rbl"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lines is a log that several goroutines may write.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// observed is a server with figures, and nothing else.
func observed(t *testing.T) *server {
	t.Helper()
	s := &server{outlet: &outlet{}}
	var err error
	if s.figures, err = s.newFigures(); err != nil {
		t.Fatal(err)
	}
	return s
}

// parsed reads a configuration, with the address of a DNS server for $DNS.
func parsed(t *testing.T, srv *dnstest.Server, text string) *config.Config {
	t.Helper()
	c, err := config.Parse("test.toml", []byte(strings.ReplaceAll(text, "$DNS", srv.Addr().String())), policy.Table())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAReloadKeepsWhatAsksTheDNSUnlessItChanges(t *testing.T) {
	srv, err := dnstest.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	if err := srv.List("bl.example.com", false, "203.0.113.7"); err != nil {
		t.Fatal(err)
	}
	var log lines
	s := observed(t)
	s.log.Store(slog.New(slog.NewTextHandler(&log, nil)))
	attach := func(text string) (*acl.Settings, *asking) {
		c := parsed(t, srv, text)
		settings := &acl.Settings{Decider: decider(c, policy.Enforce)}
		return settings, s.attach(t.Context(), c, settings)
	}
	const one = "dns.servers = [\"$DNS\"]\npolicy.rbl.zones = [\"bl.example.com\"]\npolicy.rbl.name_zones = []\n"
	first, old := attach(one)
	if old != nil || first.DNS == nil || first.Own == nil {
		t.Fatalf("at the start: %v, %+v", old, first)
	}
	again, old := attach("mode = \"observe\"\nown.names = [\"mx.example.com\"]\n" + one)
	if old != nil || again.DNS != first.DNS {
		t.Error("lists that have not changed are asked anew")
	}
	running := s.asking.Load()
	other, old := attach(strings.ReplaceAll(one, "bl.example.com", "gone.example.com"))
	if old != running || other.DNS == first.DNS {
		t.Fatal("other lists are not asked")
	}
	// Requests under way have the old one for a while yet.
	if r := old.resolver.Lookup(t.Context(), "2.0.0.127.bl.example.com", dns.TypeA); r.Outcome != rbl.Found {
		t.Errorf("the old resolver says %v", r.Outcome)
	}
	if err := old.Close(); err != nil {
		t.Error(err)
	}
	rulesOff, old := attach("policy.rbl.mode = \"off\"\n" + one)
	if now := s.asking.Load(); rulesOff.DNS == nil || len(now.zones) != 0 {
		t.Error("lists that no rule asks are asked")
	}
	if err := old.Close(); err != nil {
		t.Error(err)
	}
	off, old := attach("dns.ask = \"off\"\n" + one)
	if off.DNS != nil || off.Own != nil || old == nil || s.asking.Load() != nil || s.health() != nil {
		t.Error("with ask = off the DNS is asked")
	}
	if err := old.Close(); err != nil {
		t.Error(err)
	}
	s.noDNS = true
	if none, _ := attach(one); none.DNS != nil {
		t.Error("with --no-dns the DNS is asked")
	}
	s.own.Close()
	if err := s.asking.Load().Close(); err != nil {
		t.Error(err)
	}
}

func TestWhatAListDoesStandsInTheLogWithTheFix(t *testing.T) {
	for _, c := range []struct {
		notice rbl.Notice
		want   string
	}{
		{rbl.Notice{Zone: "bl.example", State: rbl.OK, Was: rbl.Untested, Text: "passed"},
			`level=INFO msg="a list has changed its state" list=bl.example state=ok was=untested why=passed`},
		{rbl.Notice{Zone: "bl.example", State: rbl.Inert, Was: rbl.OK, Text: "dead", Fix: "take it out"},
			`level=WARN msg="a list has changed its state" list=bl.example state=inert was=ok why=dead fix="take it out"`},
		{rbl.Notice{State: rbl.Timeout, Was: rbl.OK, Text: "no answer"},
			`level=WARN msg="the resolver has changed its state" state=timeout was=ok why="no answer"`},
		{rbl.Notice{Zone: "bl.example", State: rbl.OK, Was: rbl.OK, Text: "answered 127.0.0.99"},
			`level=WARN msg="a list has changed what it answers" list=bl.example state=ok was=ok why="answered 127.0.0.99"`},
	} {
		var log lines
		s := &server{}
		s.log.Store(slog.New(slog.NewTextHandler(&log, nil)))
		s.told(c.notice)
		if got := strings.TrimSpace(log.String()); !strings.HasSuffix(got, c.want) {
			t.Errorf("%s", got)
		}
	}
}

func TestSoManyDomainsAreToldOf(t *testing.T) {
	srv, err := dnstest.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	var log lines
	s := observed(t)
	s.log.Store(slog.New(slog.NewTextHandler(&log, nil)))
	c := parsed(t, srv, "dns.servers = [\"$DNS\"]\npolicy.rbl.mode = \"off\"\n")
	c.Own.Domains = map[string]bool{}
	for i := range acl.MaxOwnDomains + 1 {
		c.Own.Domains["d"+netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String()+".example"] = true
	}
	ctx, stop := context.WithCancel(t.Context())
	s.attach(ctx, c, &acl.Settings{Decider: decider(c, policy.Enforce)})
	stop()
	s.own.Close()
	if err := s.asking.Load().Close(); err != nil {
		t.Error(err)
	}
	if want := "domains=1001 looked_up=1000"; !strings.Contains(log.String(), want) {
		t.Errorf("the log does not say %s: %s", want, log.String())
	}
}

func TestATableOfListsFits80Columns(t *testing.T) {
	noon := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	long := strings.Repeat("x", 60) + ".example"
	var out bytes.Buffer
	err := printHealth(&out, []rbl.ZoneHealth{
		{Zone: "bl.example", State: rbl.OK, Since: noon.Add(-50 * 24 * time.Hour), Tested: noon.Add(-29 * time.Minute), Timeouts: 1234567, Share: 1},
		{Zone: long, State: rbl.ErrorCode, Since: noon.Add(-90 * time.Second), Tested: noon.Add(-90 * time.Second), Share: 0.125,
			Why: strings.Repeat("word ", 40), Errors: []string{"127.255.255.254", "127.0.0.1"}, Fix: "run a resolver of your own"},
		{Zone: "new.example", Since: noon, Share: -1},
	}, noon)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if n := len(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	for _, want := range []string{
		"bl.example                      ok            29min      50d    1234567   100.0%\n",
		long + "\n                                error-code     1min     1min          0    12.5%\n    why: word ",
		"    error codes seen: 127.255.255.254 127.0.0.1\n    fix: run a resolver of your own\n",
		"new.example                     untested          -      now          0        -\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
