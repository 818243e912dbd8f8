package top

import (
	"fmt"
	"net/netip"
	"time"

	"eximpolicyd/acl"
	"eximpolicyd/internal/control"
	"eximpolicyd/internal/ledger"
	"eximpolicyd/rbl"
)

// noon is when the daemon of the tests was started.
var noon = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

// world is what a busy daemon says so long after its start: 100 requests a second, a hundredth of which is refused.
func world(after time.Duration) Snapshot {
	n := uint64(after / time.Second)
	s := Snapshot{At: noon.Add(after)}
	s.Status = control.Status{
		Version: "0.1.0", Started: noon, Uptime: int64(n), Mode: "enforce",
		Rules: control.Rules{Enforced: []string{"helo.H3", "rbl.L1"}, Observed: []string{"ptr.P1"}},
		Door: acl.Stats{
			Stages: []acl.StageStats{
				{Stage: "CONNECT", Dunno: 30 * n, Synthetic: n},
				{Stage: "HELO", Dunno: 30 * n},
				{Stage: "RCPT", Dunno: 30 * n, Deny: n, Would: 2 * n, Degraded: n / 2},
				{Stage: "DATA", Dunno: 9 * n},
			},
			Rules: []acl.RuleStats{
				{Rule: "helo.H3", Hits: n, Refused: n}, {Rule: "ptr.P1", Hits: 2 * n, Would: 2 * n}, {Rule: "rbl.L1", Hits: 7}, {Rule: "score", Hits: n / 3, Refused: n / 3},
			},
		},
		Lists: []rbl.ZoneHealth{
			{Zone: "bl.example.com", State: rbl.OK, Since: noon, Share: 0.125},
			{Zone: "gone.example.com", State: rbl.Inert, Since: noon.Add(30 * time.Second), Timeouts: 3, Share: -1, Why: "its test entry is not listed"},
			{Zone: "names.example.net", State: rbl.Untested, Share: -1},
		},
		Faults: []control.Fault{{What: "the list gone.example.com counts nothing: inert"}},
	}
	for i := range 20 {
		p, _ := netip.AddrFrom4([4]byte{192, 0, 2, byte(20 - i)}).Prefix(32)
		s.Bans = append(s.Bans, control.Ban{Active: true, Refuses: i != 1, Left: 3600, Ban: ledger.Ban{
			Network: p, Rule: "dictionary.window", Level: 1, Enforced: true, Durable: i != 2, Made: s.At.Add(-time.Duration(i) * time.Minute),
		}})
	}
	for i := range 40 {
		d := Decision{ID: fmt.Sprintf("1xWDej%04d", int(n)*40+39-i), Time: s.At.Add(-time.Duration(i) * time.Second), Stage: "RCPT", Action: "dunno",
			Client: netip.AddrFrom4([4]byte{203, 0, 113, byte(i)})}
		d.Inputs.HELO = "mail.example.net"
		switch i % 4 {
		case 1:
			d.Action, d.Rule, d.Reason = "deny", "helo.H3", `HELO "mx.example.org" is ours`
			d.Client = netip.MustParseAddr("2001:db8:1234:5678:9abc:def0:1234:5678")
		case 2:
			d.Would, d.Rule, d.Reason = "deny", "ptr.P1", "no reverse name"
		case 3:
			d.Client, d.Stage, d.Inputs.HELO = netip.Addr{}, "NOT_SMTP", ""
		}
		s.Decisions = append(s.Decisions, d)
	}
	return s
}
