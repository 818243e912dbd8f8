package acl

import (
	"testing"

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
			second := listed
			second.Name = "rbl.R2"
			got := deciderOf(listed, second).Decide(t.Context(), rcpt(t), noon, liveOf(d), false)
			if diff := cmp.Diff(c.want, w.questions()); diff != "" {
				t.Error(diff)
			}
			if c.name == "enforced" && got.Text != "listed see https://list.example/203.0.113.7" {
				t.Errorf("text %q", got.Text)
			}
		})
	}
}
