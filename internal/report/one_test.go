package report_test

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"

	"eximpolicyd/internal/report"
)

// one is a report in which everything is counted that there is, once; of senders, days and kinds one is more than are shown.
func one() *report.Report {
	return &report.Report{
		Log: report.Log{Lines: 1, Entries: 1, Unknown: 1, NoEntry: 1, Reasons: []report.NoEntry{{What: "blank", Lines: 1}},
			Doubtful: 1, Orphans: 1, Connections: 1},
		Enforced:   report.Sums{Taken: 1, TakenRefused: 1, TakenDeferred: 1, Marked: 1, Refused: 1, Deferred: 1, Held: 1, Bans: 1},
		Present:    report.Sums{Taken: 1, Refused: 1, Bans: 1},
		Attempts:   report.Attempts{All: 1, Guesses: 1, Logins: 1, Relays: 1},
		Lost:       slices.Repeat([]report.Sender{{Sender: "a@example.net", Messages: 1}}, 11),
		Days:       slices.Repeat([]*report.Day{{Day: "2026-11-23", Taken: 1}}, 32),
		Exemptions: []report.Exemption{{Key: "exempt.allow", Of: "192.0.2.7", Messages: 1}},
	}
}

func TestOneOfAThingIsNamedInTheSingular(t *testing.T) {
	plural := regexp.MustCompile(`\b1 (more |earlier |failed )?([a-z]*([^s]s|es)\b|are\b|have\b)[^\n]*|\bnone of 1 messages|name no client`)
	told := func(r *report.Report) string {
		var text bytes.Buffer
		if err := r.Text(&text); err != nil {
			t.Fatal(err)
		}
		return text.String() + regexp.MustCompile("<[^>]*>").ReplaceAllString(string(page(t, r)), "")
	}
	lost := one()
	lost.Lost = nil
	differ := one()
	differ.Differences = &report.Differences{Differ: 1, Events: 2, Taken: 1, Kinds: slices.Repeat([]report.Difference{{This: "passed", That: "deny", Count: 1, Taken: 1}}, 21)}
	all := told(one()) + told(lost) + told(differ)
	if found := plural.FindAllString(strings.ReplaceAll(all, "names no client", ""), -1); len(found) > 0 {
		t.Errorf("%s", strings.Join(found, "\n"))
	}
	for _, want := range []string{"1 line, 1 entry, 1 connection", "1 line is no entry (blank: 1), 1 entry of no known form", "1 more sender", "1 earlier day: --json has it",
		"1 attempt: 1 guess of recipients, 1 failed login, 1 try to relay.", "1 more kind: --json has it", "message was taken", "of 1 attempt would", "None of 1 message."} {
		if !strings.Contains(strings.Join(strings.Fields(all), " "), want) && !strings.Contains(all, want) {
			t.Errorf("nobody says %q", want)
		}
	}
}
