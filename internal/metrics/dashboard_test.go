package metrics

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dashboard is what of Grafana's model has to be right.
type dashboard struct {
	UID, Title    string
	SchemaVersion int
	Templating    struct {
		List []struct{ Name, Type, Definition string }
	}
	Panels []panel
}

type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Datasource               source
	Targets                  []struct {
		RefID, Expr, LegendFormat string
		Datasource                source
	}
}

type source struct{ Type, UID string }

func readDashboard(t *testing.T) *dashboard {
	t.Helper()
	text, err := os.ReadFile("../../packaging/grafana/eximpolicyd.json")
	if err != nil {
		t.Fatal(err)
	}
	d := &dashboard{}
	if err := json.Unmarshal(text, d); err != nil {
		t.Fatal(err)
	}
	return d
}

// The words of an expression of PromQL that name something.
var (
	nameWord     = regexp.MustCompile(`\b(?:eximpolicyd|go|process)_[a-z0-9_]+`)
	selector     = regexp.MustCompile(`\{([^}]*)\}`)
	matcher      = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)`)
	grouping     = regexp.MustCompile(`\b(?:by|on|without)\s*\(([^)]*)\)`)
	legendWord   = regexp.MustCompile(`\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}`)
	variableWord = regexp.MustCompile(`\$(\w+)`)
)

// basic returns the name under which a histogram is registered.
func basic(name string) string {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base, is := strings.CutSuffix(name, suffix); is && strings.HasSuffix(base, "_duration_seconds") {
			return base
		}
	}
	return name
}

// ofTarget are the labels that Prometheus adds.
var ofTarget = []string{"job", "instance"}

// know checks that an expression asks only for metrics and labels that there are, and returns the metrics.
func know(t *testing.T, where, expr string, have map[string][]string) (names []string) {
	t.Helper()
	labels := slices.Clone(ofTarget)
	bare := selector.ReplaceAllString(expr, "")
	for _, word := range nameWord.FindAllString(bare, -1) {
		name := basic(word)
		of, is := have[name]
		if !is {
			t.Errorf("%s asks for %s, which there is not: %s", where, word, expr)
		}
		if strings.HasSuffix(word, "_bucket") {
			labels = append(labels, "le")
		}
		labels = append(labels, of...)
		names = append(names, name)
	}
	if len(names) == 0 && !strings.HasPrefix(expr, "up{") {
		t.Errorf("%s asks for nothing: %q", where, expr)
	}
	var used []string
	for _, s := range selector.FindAllStringSubmatch(expr, -1) {
		for _, m := range matcher.FindAllStringSubmatch(s[1], -1) {
			used = append(used, m[1])
		}
	}
	for _, g := range grouping.FindAllStringSubmatch(expr, -1) {
		used = append(used, strings.FieldsFunc(g[1], func(c rune) bool { return c == ',' || c == ' ' })...)
	}
	for _, label := range used {
		if !slices.Contains(labels, label) {
			t.Errorf("%s: no metric in it has the label %s: %s", where, label, expr)
		}
	}
	return names
}

func TestTheDashboardShowsEveryMetricAndAsksForNoOther(t *testing.T) {
	d := readDashboard(t)
	have := labelsOf(t, busy(t))
	shown := map[string]bool{}
	exprs := 0
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			exprs++
			where := p.Title + " " + q.RefID
			for _, name := range know(t, where, q.Expr, have) {
				shown[name] = true
			}
			if !strings.Contains(q.Expr, `instance=~"$instance"`) {
				t.Errorf("%s is not of the instance that was chosen: %s", where, q.Expr)
			}
			groups := grouping.FindAllStringSubmatch(q.Expr, -1)
			for _, l := range legendWord.FindAllStringSubmatch(q.LegendFormat, -1) {
				if len(groups) == 0 && l[1] != "instance" || len(groups) > 0 && !strings.Contains(groups[0][1], l[1]) {
					t.Errorf("%s: the legend has %s, which is not left: %s", where, l[1], q.Expr)
				}
			}
			for _, v := range variableWord.FindAllStringSubmatch(q.Expr, -1) {
				if !slices.Contains([]string{"instance", "job", "__rate_interval"}, v[1]) {
					t.Errorf("%s: the variable %s", where, v[1])
				}
			}
		}
	}
	missing := slices.DeleteFunc(slices.Sorted(maps.Keys(ours(have))), func(name string) bool { return shown[name] })
	if len(missing) > 0 {
		t.Errorf("not on the dashboard: %s", missing)
	}
	t.Logf("FIGURE dashboard: %d panels, %d expressions, %d of %d metrics of ours", len(d.Panels), exprs, len(ours(have))-len(missing), len(ours(have)))
}

func TestTheDashboardIsWholeAndNothingLiesOnAnother(t *testing.T) {
	d := readDashboard(t)
	if d.UID == "" || d.Title == "" || d.SchemaVersion < 36 || d.SchemaVersion > 41 { // Grafana 10 begins with 36, 11 ends with 41
		t.Errorf("%q %q %d", d.UID, d.Title, d.SchemaVersion)
	}
	var variables []string
	for _, v := range d.Templating.List {
		variables = append(variables, v.Type+" "+v.Name)
	}
	if want := []string{"datasource datasource", "query job", "query instance"}; !slices.Equal(variables, want) {
		t.Errorf("variables %q", variables)
	}
	ids, places := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 {
			t.Errorf("%s has the id %d of another", p.Title, p.ID)
		}
		ids[p.ID] = true
		g := p.GridPos
		if g.W < 1 || g.H < 1 || g.X < 0 || g.X+g.W > 24 {
			t.Errorf("%s lies at %+v", p.Title, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other := places[[2]int{x, y}]; other != "" {
					t.Fatalf("%s lies on %s", p.Title, other)
				}
				places[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		chosen := source{"prometheus", "${datasource}"}
		if p.Title == "" || p.Datasource != chosen || len(p.Targets) == 0 {
			t.Errorf("%q: %+v, %d targets", p.Title, p.Datasource, len(p.Targets))
		}
		refs := map[string]bool{}
		for _, q := range p.Targets {
			if refs[q.RefID] || q.RefID == "" || q.Datasource != chosen {
				t.Errorf("%s: target %q of %+v", p.Title, q.RefID, q.Datasource)
			}
			refs[q.RefID] = true
		}
	}
}

func TestTheAlertsAskOnlyForWhatThereIs(t *testing.T) {
	text, err := os.ReadFile("../../packaging/prometheus/eximpolicyd.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	have := labelsOf(t, busy(t))
	rules := strings.Split(string(text), "- alert: ")[1:]
	for _, r := range rules {
		name, rest, _ := strings.Cut(r, "\n")
		expr := regexp.MustCompile(`(?s)expr: (?:>-)?(.*?)\n        (?:for|labels):`).FindStringSubmatch(rest)
		if expr == nil {
			t.Errorf("%s has no expression", name)
			continue
		}
		know(t, name, strings.Join(strings.Fields(expr[1]), " "), have)
		for _, word := range []string{"severity: ", "summary: ", "fix: "} {
			if !strings.Contains(rest, word) {
				t.Errorf("%s has no %s", name, word)
			}
		}
	}
	if len(rules) < 10 {
		t.Errorf("%d alerts", len(rules))
	}
}
