package acl

import (
	"testing"

	"eximpolicyd/internal/ledger"
	"eximpolicyd/policy"
)

// Whoever replays a log wants the trace of few decisions, and knows of which when they are made.
func TestADecisionThatIsMadeAgainIsTheSameAndCountsNothing(t *testing.T) {
	memory, err := ledger.Open(ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	guards := deciderOf(table(policy.Enforce, policy.Enforce, policy.Strict)...)
	room := new(Room)
	c := &Conversation{Settings: &Settings{Decider: guards, Ledger: memory}}
	q := rcpt(t, "rcpt_verify=unknown")
	for i := range 4 {
		first := c.DecideIn(t.Context(), room, q, noon, false)
		for range 5 {
			if again := room.Again(guards); brief(&again) != brief(first) || len(again.Trace) == 0 || len(first.Trace) > 0 {
				t.Errorf("guess %d: %s, again %s, %d steps", i+1, brief(first), brief(&again), len(again.Trace))
			}
		}
	}
	if d := c.Decide(t.Context(), q, noon, false); d.Rule != "dictionary.hard" {
		t.Errorf("guess 5: %s", brief(&d))
	}
	tallies := []ledger.Tally{{Key: ledger.Of(ledger.Client(q.Client))}}
	if err := memory.Count(t.Context(), tallies); err != nil || tallies[0].Counts.Hour.Bad != 5 || tallies[0].Counts.Hour.Good != 0 {
		t.Errorf("counted %+v, %v", tallies[0].Counts, err)
	}
}

func TestAConversationBelievesAConfirmedNameThatItIsGiven(t *testing.T) {
	c := &Conversation{Settings: &Settings{Decider: deciderOf(table(policy.Enforce, policy.Enforce, policy.Strict)...)}}
	liar := rcpt(t, "helo_name=mail.gmail.com", "client_name=host.example.net")
	if d := c.Decide(t.Context(), liar, noon, false); !has(d.Rules, "helo.H16") {
		t.Errorf("a provider's name from elsewhere: %s", brief(&d))
	}
	unnamed := rcpt(t, "helo_name=mail.gmail.com")
	if d := c.Decide(t.Context(), unnamed, noon, false); has(d.Rules, "helo.H16") {
		t.Errorf("without a name: %s", brief(&d))
	}
}
