package metrics

import (
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"eximpolicyd/acl"
	"eximpolicyd/internal/ledger"
	"eximpolicyd/rbl"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

// full is a reading in which everything is there.
func full() Reading {
	return Reading{
		Door: acl.Stats{
			Stages: []acl.StageStats{
				{Stage: "CONNECT", Dunno: 7, Synthetic: 2},
				{Stage: "RCPT", Dunno: 1, Delay: 2, Defer: 3, Deny: 4, Drop: 5, Freeze: 6, Would: 1, Degraded: 8, Synthetic: 9, Overrun: 10},
			},
			Rules:     []acl.RuleStats{{Rule: "helo.H3", Hits: 12, Refused: 7, Would: 3}, {Rule: "score", Hits: 2, Refused: 2}},
			Malformed: 11, Busy: 12, Refused: 13, Failed: 14, Bypassed: 15, Bypass: "/run/eximpolicyd/bypass",
		},
		Taken: 3, Seats: 16384,
		Lists: []rbl.ZoneHealth{
			{Zone: "bl.example", Kind: "addresses", State: rbl.OK, Tested: noon, Asked: 5, Timeouts: 1, Failures: 2, Listed: 3},
			{Zone: "new.example", Kind: "names"},
		},
		DNSAsked: true, DNSUp: true,
		Memory: &ledger.State{
			Keys: 100, MostKeys: 1000, Bytes: 4096, Snapshot: noon, Remembered: 4, Allowed: 2, Unsaved: 1, Fault: "no space", Aside: []string{"bans.1"},
			EnforcedAt: [ledger.MaxLevel + 1]int{1, 2, 0, 3}, ObservedAt: [ledger.MaxLevel + 1]int{0, 0, 5}, ClockSteps: 6,
		},
		Clients: rbl.Usage{Used: 31, Most: 32, Hits: 33, Misses: 34}, Names: rbl.Usage{Used: 35, Most: 36, Hits: 37, Misses: 38},
		Answers: rbl.Usage{Used: 39, Most: 40, Hits: 41, Misses: 42}, Decisions: 43, MostDecisions: 44,
		Faults: 3, Dropped: 21, Reloaded: true, Read: noon.Add(time.Minute),
		Enforced: []string{"helo.H3", "helo.H7"}, Observed: []string{"rbl.L1"}, Off: []string{"ptr.P1", "ptr.P2"},
	}
}

// made returns metrics of a reading.
func made(t testing.TB, read func() Reading) *Metrics {
	t.Helper()
	m, err := New("0.1.0", noon.Add(-time.Hour), read)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }
