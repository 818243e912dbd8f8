package test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

func allPresets() []string { return []string{"lenient", "rfc", "strict"} }

// told holds that a client heard of every refusal, with its rule and the code,
// and returns by reason how often Exim refused what no policy did.
func toldClients(t *testing.T, letters []letter, got []letterVerdict, heard []smtpAnswer) map[string]int {
	t.Helper()
	others := map[string]int{}
	for i, v := range got {
		a := heard[i]
		switch text := strings.ReplaceAll(a.text, "\n", " "); {
		case v.Action != "dunno" && (!strings.HasPrefix(v.Code, fmt.Sprint(a.code)) || !strings.Contains(text, "("+v.Rule+" ")):
			t.Errorf("%s: %s by %s, and the client heard %d %s", letters[i].name, v.Action, v.Rule, a.code, text)
		case v.Action == "dunno" && a.code != 250:
			text, _, _ = strings.Cut(text, ", got ")
			others[fmt.Sprintf("%d %s", a.code, text)]++
		}
	}
	return others
}

// corpusTable prints what became of the letters, as Markdown.
func corpusTable(t *testing.T, letters []letter, results map[string][]letterVerdict) {
	t.Helper()
	row := func(cells ...any) {
		words := make([]string, len(cells))
		for i, c := range cells {
			words[i] = fmt.Sprint(c)
		}
		t.Logf("FIGURE | %s |", strings.Join(words, " | "))
	}
	row("preset", "ham passed", "marked", "refused", "spam passed", "marked", "refused")
	row("---", "---", "---", "---", "---", "---", "---")
	for _, preset := range allPresets() {
		n := map[string]int{}
		for i, v := range results[preset] {
			n[letters[i].label+" "+letterFate(v)]++
		}
		row(preset, n["ham passed"], n["ham marked"], n["ham refused"], n["spam passed"], n["spam marked"], n["spam refused"])
	}
	row("rule: ham/spam", "lenient", "rfc", "strict")
	row("---", "---", "---", "---")
	hits := map[string]map[string][2]int{}
	for preset, verdicts := range results {
		for i, v := range verdicts {
			rules := v.Rules
			if v.Rule == "score" {
				rules = append(slices.Clone(rules), "score")
			}
			for _, r := range rules {
				if hits[r] == nil {
					hits[r] = map[string][2]int{}
				}
				n := hits[r][preset]
				if letters[i].label == "ham" {
					n[0]++
				} else {
					n[1]++
				}
				hits[r][preset] = n
			}
		}
	}
	for _, r := range slices.SortedFunc(maps.Keys(hits), byRuleName) {
		cells := []any{r}
		for _, preset := range allPresets() {
			cells = append(cells, fmt.Sprintf("%d/%d", hits[r][preset][0], hits[r][preset][1]))
		}
		row(cells...)
	}
}

// byRuleName sorts helo.H8 before helo.H10.
func byRuleName(a, b string) int {
	policyA, _, _ := strings.Cut(a, ".")
	policyB, _, _ := strings.Cut(b, ".")
	if policyA == policyB && len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// letterFate is what a letter's sender and reader notice.
func letterFate(v letterVerdict) string {
	switch {
	case v.Action != "dunno":
		return "refused"
	case v.Mark:
		return "marked"
	}
	return "passed"
}

// expectedFigures holds what the corpus must show: enough refused, enough
// marked, and every messageid rule that its mails give cause for.
func expectedFigures(t *testing.T, letters []letter, results map[string][]letterVerdict) {
	t.Helper()
	count := func(preset, what string) (n int) {
		for _, v := range results[preset] {
			if letterFate(v) == what {
				n++
			}
		}
		return n
	}
	if n := count("rfc", "refused"); n < 90 {
		t.Errorf("rfc refused %d, want 90 at least", n)
	}
	if n := count("lenient", "marked"); n < 10 {
		t.Errorf("lenient marked %d, want 10 at least", n)
	}
	causes := map[string]int{"M1": 0, "M2": 0, "M3": 0, "M4": 0, "M5": 0, "M8": 0}
	for i := range letters {
		for _, rule := range corpusCause(letters[i].text) {
			causes[rule]++
		}
	}
	for _, rule := range slices.Sorted(maps.Keys(causes)) {
		n, seen := causes[rule], 0
		for _, verdicts := range results {
			for _, v := range verdicts {
				if slices.Contains(v.Rules, "messageid."+rule) {
					seen++
				}
			}
		}
		if (n > 0) != (seen > 0) {
			t.Errorf("messageid.%s: %d mails give cause for it, and it hit %d times", rule, n, seen)
		}
		t.Logf("FIGURE messageid.%s: %d mails give cause for it", rule, n)
	}
}
