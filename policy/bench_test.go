package policy

import "testing"

// judgeAll is what the decider does at RCPT for a client of no class, without its bookkeeping.
func judgeAll(bound []Bound, q *Request, f *Facts) (hits int) {
	for i := range bound {
		if b := &bound[i]; b.Policy.Stages.Has(q.Stage) {
			if v := b.Judge(q, f); v.Hit {
				hits++
			}
		}
	}
	return hits
}

// Three allocations are those of packages we use: netip makes an error of what is no address, and the public suffix list
// asks netip as well, of a name that we put together. The fourth is the reason that says how many lists are clear.
func TestACleanRecipientCostsFourAllocationsAtMost(t *testing.T) {
	bound, exempt := Bind(Table(), nil, Enforce), &Exempt{}
	s := build(with(stage(RCPT), ownDomains("example.com"), helo("smtp-out-193a.mailservers.example.net")))
	s.f.Greetings[0].Name = s.q.Greeting.Name
	allocs := testing.AllocsPerRun(100, func() {
		s.q.Settle()
		s.f.Class, _ = exempt.Of(&s.q, &s.f)
		if judgeAll(bound, &s.q, &s.f) > 0 {
			t.Error("a clean request is hit")
		}
	})
	if allocs > 4 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkJudges(b *testing.B) {
	bound := Bind(Table(), nil, Enforce)
	for name, given := range map[string][]change{
		"clean RCPT":  with(stage(RCPT)),
		"forged RCPT": with(stage(RCPT), helo("mx.example.org")),
		"clean DATA":  with(stage(Data)),
	} {
		b.Run(name, func(b *testing.B) {
			s := build(given)
			b.ReportAllocs()
			for b.Loop() {
				judgeAll(bound, &s.q, &s.f)
			}
		})
	}
}
