package test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"eximpolicyd/test/rig"
)

func TestTheMemoryCountsTheNamesThatAClientGreetsWith(t *testing.T) {
	t.Parallel()
	records := []string{"1.113.0.203.in-addr.arpa. PTR mx1.example.org.", "1.100.51.198.in-addr.arpa. PTR liar.example.org."}
	for n := range 6 {
		records = append(records, fmt.Sprintf("mx%d.example.org. A 203.0.113.1", n+1), fmt.Sprintf("mx%d.example.org. A 203.0.113.2", n+1),
			fmt.Sprintf("mx%d.example.org. A 198.51.100.1", n+1))
	}
	records = append(records, "liar.example.org. A 198.51.100.99")
	dns := names(t, rig.Served{Records: records})
	s := started(t, rig.Config{Flavour: "stock"})
	d := daemon(t, s, dns.Settings()+"policy.helo.mode = \"enforce\"\npolicy.ptr.mode = \"off\"\n")
	for _, c := range []struct {
		name, client string
		names        []int // the nth greets as mx%d
		from         int   // from which connection on it scores; 0: never
	}{
		{"without a name in the DNS", "203.0.113.2", []int{1, 2, 3, 4, 5}, 4},
		{"with a name that does not confirm", "198.51.100.1", []int{1, 2, 3, 4, 5}, 4},
		{"three names over and over", "2001:db8:5::1", []int{1, 2, 3, 1, 2, 3, 3, 2, 1}, 0},
		{"several addresses of a /64", "2001:db8:6::%d", []int{1, 2, 3, 4}, 4},
		{"with a confirmed name", "203.0.113.1", []int{1, 2, 3, 4, 5, 6}, 0},
	} {
		for i, n := range c.names {
			from := caller{client: c.client, helo: fmt.Sprintf("mx%d.example.org", n)}
			if strings.Contains(c.client, "%") {
				from.client = fmt.Sprintf(c.client, i+1)
			}
			answered(t, c.name, from.asksGood(t, s), 250, "")
			seen := 0
			check(t, rig.Await("its decision line", func() bool { seen = len(rcptsOf(t, d, from)); return seen > 0 }))
			lines := rcptsOf(t, d, from)
			last := lines[len(lines)-1]
			scores := slices.Contains(last.Rules, "helo.H15")
			if want := c.from > 0 && i+1 >= c.from; scores != want {
				t.Errorf("%s: connection %d: %v, score %s: %s", c.name, i+1, last.Rules, last.Score, last.Reason)
			}
			if scores && !strings.Contains(last.Reason, "helo.H15 2.0") {
				t.Errorf("%s: %s", c.name, last.Reason)
			}
		}
		t.Logf("FIGURE names %s, %d connections: H15 scores from connection %d on", c.name, len(c.names), c.from)
	}
}

// rcptsOf returns the decisions about recipients of a client with a greeting.
func rcptsOf(t *testing.T, d *rig.Daemon, c caller) (lines []rig.Decision) {
	t.Helper()
	all, err := d.Decisions()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		if l.Stage == "RCPT" && l.ClientAddress == c.client && l.HELO == c.helo {
			lines = append(lines, l)
		}
	}
	return lines
}

// TestARobotIsBannedForItsGreetings has a robot that asks for recipients that are there.
func TestARobotIsBannedForItsGreetings(t *testing.T) {
	for _, c := range []struct {
		name, config string
		code         int    // for the robot
		rule         string // likewise
		mode         string // of the ban; "": none
	}{
		{"both enforced", "policy.helo.rules = {H17 = \"enforce\"}\n" + guarded, 550, "helo.H17", "enforce"},
		{"the greeting only observed", guarded, 250, "", ""},
		{"bans only observed", "policy.helo.rules = {H17 = \"enforce\"}\n", 550, "helo.H17", "observe"},
		{"both observed", "", 250, "", "observe"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := started(t, rig.Config{Flavour: "stock"})
			d := daemon(t, s, c.config)
			robot := caller{client: "203.0.113.7", helo: "ylmf-pc"}
			disguised := caller{client: "203.0.113.7", helo: "mx.example.org"}
			for n := 1; n <= 4; n++ {
				answered(t, fmt.Sprintf("connection %d", n), robot.asksGood(t, s), c.code, c.rule)
			}
			answered(t, "before the fifth", disguised.asksGood(t, s), 250, "")
			answered(t, "connection 5", robot.asksGood(t, s), c.code, c.rule)
			after, rule := 250, ""
			if c.mode == "enforce" {
				after, rule = 451, "ban"
			}
			answered(t, "after the fifth", disguised.asksGood(t, s), after, rule)
			if c.mode == "" {
				robot.asksGood(t, s)
				if got := bans(t, d); len(got) != 0 {
					t.Errorf("banned: %v", got)
				}
				return
			}
			if b := bannedBy(t, d, "203.0.113.7/32"); b.Mode != c.mode || b.Level != 1 || b.Rule != "dictionary.window" {
				t.Errorf("%+v", b)
			}
			t.Logf("FIGURE robot's greeting, %s: banned in the fifth connection, mode %s", c.name, c.mode)
		})
	}
}
