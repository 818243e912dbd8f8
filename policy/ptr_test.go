package policy

import (
	"testing"

	"eximpolicyd/rbl"
)

func TestPTR(t *testing.T) { runExamples(t, ptrExamples()) }

func ptrExamples() []example {
	noted := func(s *scene) { s.f.PTR = rbl.PTR{Note: "server failure\n"} }
	return []example{
		{"no PTR", "ptr.P1", with(ptr(rbl.PTRMissing)), "2.0 2.0 2.0", "has no PTR"},
		{"a lookup was not answered", "ptr.P1", with(ptr(rbl.PTRUnknown)), "unknown", "the client's address is not known"},
		{"a lookup failed", "ptr.P1", with(noted), "unknown", "not known: server failure?"},
		{"a PTR that does not confirm is P2's", "ptr.P1", with(ptr(rbl.PTRUnconfirmed, "mail.example.net")), "pass", ""},
		{"a confirmed PTR", "ptr.P1", nil, "pass", ""},

		{"a PTR that does not confirm", "ptr.P2", with(ptr(rbl.PTRUnconfirmed, "mail.example.net")), "1.0 1.0 1.0", `PTR "mail.example.net" does not`},
		{"four that do not confirm", "ptr.P2", with(ptr(rbl.PTRUnconfirmed, "a.test", "b.test", "c.test", "d.test", "e.test")), "1.0 1.0 1.0", `"c.test", "d.test" does`},
		{"a PTR with control characters", "ptr.P2", with(ptr(rbl.PTRUnconfirmed, "a\nb")), "1.0 1.0 1.0", `"a?b"`},
		{"a lookup was not answered, P2", "ptr.P2", with(ptr(rbl.PTRUnknown, "mail.example.net")), "unknown", ""},
		{"no PTR is P1's", "ptr.P2", with(ptr(rbl.PTRMissing)), "pass", ""},
		{"a confirmed PTR, P2", "ptr.P2", nil, "pass", ""},
	}
}
