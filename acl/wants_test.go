package acl

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"eximpolicyd/policy"
)

func TestTheReasonOfAListIsAskedForByARefusalThatIsShown(t *testing.T) {
	for _, c := range []struct {
		name string
		mode policy.Mode
		hard policy.Answer
		want []string
	}{
		{"observed", policy.Observe, deny, []string{"list 203.0.113.7"}},
		{"a score", policy.Enforce, score(10), []string{"list 203.0.113.7"}},
		{"enforced", policy.Enforce, deny, []string{"list 203.0.113.7", "text 203.0.113.7"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := &slowDNS{}
			d := newDNS(w, w, allNames)
			defer d.Close()
			listed := says(made("rbl", 99, atRCPT), "R1", c.mode, c.hard)
			listed.Needs = policy.NeedLists
			listed.Judge = func(_ *policy.Request, f *policy.Facts) policy.Verdict {
				return policy.Verdict{Hit: true, Text: "listed " + f.ListText, Reason: "listed", Wants: policy.NeedListText}
			}
			got := deciderOf(listed).Decide(t.Context(), rcpt(t), noon, liveOf(d), false)
			if diff := cmp.Diff(c.want, w.questions()); diff != "" {
				t.Error(diff)
			}
			if c.name == "enforced" && got.Text != "listed see https://list.example/203.0.113.7" {
				t.Errorf("text %q", got.Text)
			}
		})
	}
}

// wanting is a rule that refuses and wants more facts to say why.
func wanting(id string, needs, wants policy.Need) policy.Bound {
	b := says(made("rbl", 99, atRCPT), id, policy.Enforce, deny)
	b.Needs = needs
	b.Judge = func(_ *policy.Request, f *policy.Facts) policy.Verdict {
		return policy.Verdict{Hit: true, Text: "listed " + f.ListText, Reason: "listed", Wants: wants}
	}
	return b
}

func TestOnlyTheRuleThatRefusesIsAskedOnceMore(t *testing.T) {
	known := &facts{}
	deciderOf(wanting("R1", 0, policy.NeedListText), wanting("R2", 0, policy.NeedHosted)).Decide(t.Context(), rcpt(t), noon, known, false)
	if known.asked&^policy.NeedAllMail != policy.NeedListText {
		t.Errorf("asked for %b", known.asked)
	}
}

func TestTheWordsOfAListAreWaitedForOnceAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &slowDNS{never: "text"}
		d := newDNS(w, w, allNames)
		defer d.Close()
		decider := deciderOf(wanting("R1", policy.NeedLists, policy.NeedListText))
		paid := false
		for i, want := range []time.Duration{Budget(policy.RCPT), 0} {
			known := liveOf(d)
			known.view.paid = paid
			start := time.Now()
			ctx := budget{end: start.Add(Budget(policy.RCPT))}
			got := decider.Decide(&ctx, rcpt(t), start, known, false)
			ctx.stop()
			if took := time.Since(start); took != want || got.Action != policy.Deny || got.Degraded {
				t.Errorf("recipient %d: %v, %s, degraded %v", i, took, got.Action, got.Degraded)
			}
			paid = paid || known.waited
		}
	})
}
