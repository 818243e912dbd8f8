package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"eximpolicyd/acl"
	"eximpolicyd/internal/control"
	"eximpolicyd/internal/ledger"
	"eximpolicyd/rbl"
)

func TestWhatGoesWrongAtTheSocketHasItsExitCode(t *testing.T) {
	system := func(errno error) error {
		return &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", errno)}
	}
	for _, c := range []struct {
		name string
		err  error
		code int
		hint bool
	}{
		{"there is no socket", system(syscall.ENOENT), exUnavailable, true},
		{"nobody listens", system(syscall.ECONNREFUSED), exUnavailable, true},
		{"the socket is not ours", system(syscall.EACCES), exPermission, true},
		{"no answer comes", system(os.ErrDeadlineExceeded), exUnavailable, true},
		{"the daemon refuses this user", &control.Refusal{Kind: control.Denied, Text: "x"}, exPermission, false},
		{"the daemon cannot read it", &control.Refusal{Kind: control.Wrong, Text: "x"}, exData, false},
		{"the daemon has no time", &control.Refusal{Kind: control.Busy, Text: "x"}, exTemporary, false},
		{"the daemon cannot", &control.Refusal{Kind: control.Failed, Text: "x"}, exUnavailable, false},
		{"a refusal of a kind that we do not know", &control.Refusal{Kind: "new", Text: "x"}, exUnavailable, false},
		{"what has its code already", fail(exIO, "", "x"), exIO, false},
	} {
		a := admin{socket: "/nonexistent/control.sock"}
		err := a.at(func(string) error { return c.err })
		f := new(failure)
		if !errors.As(err, &f) || f.code != c.code || (f.hint != "") != c.hint {
			t.Errorf("%s: %+v", c.name, err)
		}
	}
	a := admin{socket: "/nonexistent/control.sock"}
	if err := a.at(func(string) error { return nil }); err != nil {
		t.Error(err)
	}
	if !noDaemon(fs.ErrNotExist) || noDaemon(nil) {
		t.Error("noDaemon")
	}
}

func TestWhoeverShutsOutHimselfIsWarned(t *testing.T) {
	own := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("127.0.0.1")}
	for text, want := range map[string]int{
		"192.0.2.0/24": 1, "192.0.2.1/32": 1, "192.0.2.7/32": 0, "127.0.0.1/32": 1, "127.0.0.0/8": 1, "10.0.0.0/8": 1, "::1/64": 0,
		"fe80::/64": 1, "fd00::/64": 1, "100.64.0.0/10": 1, "203.0.113.7/32": 0, "0.0.0.0/0": 1,
	} {
		if got := dangers(netip.MustParsePrefix(text).Masked(), own); len(got) != want {
			t.Errorf("%s: %q", text, got)
		}
	}
}

// wide fails on a line of over 80 columns.
func wide(t *testing.T, what, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
			t.Errorf("%s has a line of %d columns: %s", what, n, line)
		}
	}
}

func TestTablesHaveAtMost80ColumnsWhateverIsInThem(t *testing.T) {
	now := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	long := strings.TrimSpace(strings.Repeat("a reason ", 22))
	var bans []control.Ban
	for _, p := range []string{"2001:db8:1234:5678::/64", "255.255.255.255/32", "2001:db8:1234:5678:9abc:def0:1234:5678/128"} {
		bans = append(bans, control.Ban{Active: true, Left: 1e9, Ban: ledger.Ban{
			Network: netip.MustParsePrefix(p), Level: 5, Enforced: true, Rule: "dictionary.window", Because: long, Made: now.AddDate(-3, 0, 0),
		}})
	}
	var b bytes.Buffer
	if err := printBans(&b, bans, now); err != nil {
		t.Fatal(err)
	}
	wide(t, "ban list", b.String())
	reasons := &control.Reasons{Bans: bans, Counts: []ledger.Counted{{Network: bans[0].Network, Counts: ledger.Counts{
		Hour: ledger.Hour{Good: 65535, Bad: 65535, OnlyBad: 65535, Failed: 65535, Held: 65535, Seen: 5}, LastGood: now, LastLogin: now,
		Day: ledger.Day{Good: 65535, Bad: 65535, Trapped: 65535, Clean: 65535},
	}}}}
	b.Reset()
	if err := printReasons(&b, reasons, now); err != nil {
		t.Fatal(err)
	}
	wide(t, "ban why", b.String())
	if !strings.Contains(b.String(), "65535 failed logins") || !strings.Contains(b.String(), "last login: just now") {
		t.Error(b.String())
	}
	const many = 1 << 33
	st := &control.Status{
		Version: "0.1.0", Mode: "enforce", Memory: &ledger.State{Dir: "/var/lib/eximpolicyd", Unsaved: 3, UnsavedSince: now},
		Door:  acl.Stats{Malformed: many, Stages: []acl.StageStats{{Stage: "NOT_SMTP", Dunno: many, Defer: 1e8, Budget: time.Second}}},
		Lists: []rbl.ZoneHealth{{Zone: "bl.example"}}, Faults: []control.Fault{{What: long, Why: long, Fix: long}},
	}
	b.Reset()
	if err := printStatus(&b, st, now); err != nil {
		t.Fatal(err)
	}
	wide(t, "status", b.String())
	if !strings.Contains(b.String(), "3 not saved for") || !strings.Contains(b.String(), "1 untested") || !strings.Contains(b.String(), ", just started\n") {
		t.Error(b.String())
	}
	if text := memoryInShort(&ledger.State{Dir: "/var/lib/eximpolicyd", Fault: "permission denied"}, now); strings.Contains(text, "all of them saved") {
		t.Errorf("a memory that cannot be saved: %s", text)
	}
}

func TestProgressIsToldOnATerminalOnlyAndOnlyIfItTakesLong(t *testing.T) {
	var b bytes.Buffer
	p := newProgress(&b, 2<<20)
	if p.out != nil {
		t.Error("a buffer is no terminal")
	}
	p.out = &b
	fmt.Fprint(p, strings.Repeat("x", 1<<20))
	if b.Len() > 0 {
		t.Errorf("told at once: %q", b.String())
	}
	p.told = p.told.Add(-progressRest)
	fmt.Fprint(p, "x")
	fmt.Fprint(p, "x")
	p.end()
	p.end()
	if got := b.String(); got != "\reximpolicyd: 1.0 of 2.0 MB\n" {
		t.Errorf("%q", got)
	}
}
