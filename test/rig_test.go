package test

import (
	"testing"

	eximsnippets "eximpolicyd/exim-snippets"
	"eximpolicyd/test/rig"
)

func TestMailIsDeliveredInEveryFlavour(t *testing.T) {
	for _, flavour := range eximsnippets.Flavours() {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			s := started(t, rig.Config{Flavour: flavour})
			f := fake(t, s, rig.Always(rig.Dunno()))
			c := dial(t, s, "203.0.113.7")
			say(t, c, "EHLO client.example", 250)
			if r := c.Message("x@client.example", []string{"alice@" + rig.Domain}, mail("one")); r.Code != 250 {
				t.Fatal(r)
			}
			say(t, c, "QUIT", 221)
			if err := s.AwaitDelivered("alice", 1); err != nil {
				t.Fatal(err)
			}
			if n := len(f.Requests()); n != 6 {
				t.Errorf("%d questions, want CONNECT HELO MAIL RCPT DATA QUIT", n)
			}
		})
	}
}
