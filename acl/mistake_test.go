package acl

import (
	"strings"
	"testing"

	"eximpolicyd/policy"
)

// TestAMistakeOfOurs holds that a panic outside the rules costs no mail, no seat and no other request.
func TestAMistakeOfOurs(t *testing.T) {
	whole := deciderOf(table(policy.Enforce, policy.Enforce, policy.RFC)...)
	d := open(t, 2, func(s *Settings) { s.Decider = &Decider{Rules: whole.Rules} }) // without what it needs
	for range 5 {
		if reply := d.say(t, wire(ordinary...)); field(t, reply, "action") != "dunno" || field(t, reply, "note") != "failed" {
			t.Errorf("%q", reply)
		}
		awaitSeats(t, d, 0) // one that is answered gives its seat back a little later
	}
	right := *d.settings.Load()
	right.Decider = whole
	d.Swap(&right)
	if reply := d.say(t, wire(overlay(ordinary, "helo_name=mx.example.org")...)); field(t, reply, "rule") != "helo.H3" {
		t.Errorf("afterwards: %q", reply)
	}
	d.stop()
	if log := d.log.String(); strings.Count(log, "please report this") != 5 || strings.Count(log, "in the log already") != 4 {
		t.Errorf("not told five times, with one stack: %.2000s", log)
	}
}
