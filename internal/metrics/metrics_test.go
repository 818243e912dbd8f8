package metrics

import (
	"maps"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"eximpolicyd/acl"
	"eximpolicyd/rbl"
)

// busy is metrics in which every histogram has something.
func busy(t testing.TB) *Metrics {
	m := made(t, full)
	for _, stage := range acl.Stages() {
		m.Observe(&acl.Decision{Stage: stage}, time.Millisecond)
	}
	m.Ended(rbl.Found, 2*time.Millisecond)
	return m
}

// labelsOf returns the names of the labels of every metric of ours that a registry has.
func labelsOf(t testing.TB, m *Metrics) map[string][]string {
	t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, f := range families {
		labels := []string{}
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		all[f.GetName()] = labels
	}
	return all
}

func ours(all map[string][]string) map[string][]string {
	mine := maps.Clone(all)
	maps.DeleteFunc(mine, func(name string, _ []string) bool { return !strings.HasPrefix(name, prefix) })
	return mine
}

func TestEveryMetricIsNamedAsPrometheusWants(t *testing.T) {
	problems, err := testutil.GatherAndLint(busy(t).registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// A pedantic registry wants each metric to be as it was described.
func TestWhatIsCollectedIsWhatIsDescribed(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	f := newFamilies(full, ofDaemon("0.1.0", noon), ofCallouts(), ofRules(), ofLists(), ofCaches(), ofMemory())
	if err := r.Register(f); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Gather(); err != nil {
		t.Error(err)
	}
}

func TestThePackageCommentHasEveryMetricWithItsLabels(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var told, have []string
	for _, m := range regexp.MustCompile(`(?m)^//\t(eximpolicyd_[a-z_]+(?:\{[a-z,]+\})?) +\S`).FindAllStringSubmatch(string(text), -1) {
		told = append(told, m[1])
	}
	for name, labels := range ours(labelsOf(t, busy(t))) {
		if len(labels) > 0 {
			name += "{" + strings.Join(labels, ",") + "}"
		}
		have = append(have, name)
	}
	slices.Sort(told)
	slices.Sort(have)
	if diff := cmp.Diff(have, told); diff != "" {
		t.Errorf("-there +told of:\n%s", diff)
	}
	t.Logf("FIGURE metrics: %d of ours, each in the package comment with its labels", len(have))
}

func TestTheFiguresAreThoseOfTheReading(t *testing.T) {
	m := made(t, full)
	for name, want := range map[string]string{
		"build_info":                                   `{goversion="` + runtime.Version() + `",version="0.1.0"} 1`,
		"start_time_seconds":                           ` 1.7961228e+09`,
		"config_last_reload_successful":                ` 1`,
		"config_last_reload_success_timestamp_seconds": ` 1.79612646e+09`,
		"faults":                         ` 3`,
		"bypass_active":                  ` 1`,
		"log_lines_dropped_total":        ` 21`,
		"rules":                          `{mode="enforce"} 2|{mode="observe"} 1|{mode="off"} 2`,
		"seats":                          ` 16384`,
		"seats_in_use":                   ` 3`,
		"callouts_would_refuse_total":    each(map[string]string{"RCPT": "1"}),
		"callouts_degraded_total":        each(map[string]string{"RCPT": "8"}),
		"callouts_synthetic_total":       each(map[string]string{"CONNECT": "2", "RCPT": "9"}),
		"callouts_overrun_total":         each(map[string]string{"RCPT": "10"}),
		"unjudged_requests_total":        `{reason="busy"} 12|{reason="bypass"} 15|{reason="failed"} 14|{reason="malformed"} 11|{reason="not_allowed"} 13`,
		"rule_hits_total":                `{rule="helo.H3"} 12|{rule="helo.H7"} 0|{rule="rbl.L1"} 0|{rule="score"} 2`,
		"rule_refusals_total":            `{rule="helo.H3"} 7|{rule="helo.H7"} 0|{rule="rbl.L1"} 0|{rule="score"} 2`,
		"rule_would_refuse_total":        `{rule="helo.H3"} 3|{rule="helo.H7"} 0|{rule="rbl.L1"} 0|{rule="score"} 0`,
		"list_state":                     states("bl.example", "addresses", "ok") + "|" + states("new.example", "names", "untested"),
		"list_tested_timestamp_seconds":  `{kind="addresses",list="bl.example"} 1.7961264e+09`,
		"list_questions_total":           lists("5"),
		"list_timeouts_total":            lists("1"),
		"list_failures_total":            lists("2"),
		"list_listings_total":            lists("3"),
		"dns_up":                         ` 1`,
		"cache_entries":                  `{cache="clients"} 31|{cache="names"} 35`,
		"cache_entries_limit":            `{cache="clients"} 32|{cache="names"} 36`,
		"cache_bytes":                    `{cache="answers"} 39|{cache="decisions"} 43`,
		"cache_bytes_limit":              `{cache="answers"} 40|{cache="decisions"} 44`,
		"cache_hits_total":               `{cache="answers"} 41|{cache="clients"} 33|{cache="names"} 37`,
		"cache_misses_total":             `{cache="answers"} 42|{cache="clients"} 34|{cache="names"} 38`,
		"bans":                           banned(`{level="1",mode="enforce"} 2`, `{level="2",mode="observe"} 5`, `{level="3",mode="enforce"} 3`, `{level="admin",mode="enforce"} 1`),
		"bans_over":                      ` 4`,
		"allowed_networks":               ` 2`,
		"ledger_keys":                    ` 100`,
		"ledger_keys_limit":              ` 1000`,
		"ledger_bytes":                   ` 4096`,
		"ledger_unsaved":                 ` 1`,
		"ledger_fault":                   ` 1`,
		"ledger_saved_timestamp_seconds": ` 1.7961264e+09`,
		"ledger_damaged_files":           ` 1`,
		"ledger_clock_steps_total":       ` 6`,
	} {
		if got := samples(t, m, prefix+name); got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
	got := samples(t, m, prefix+"callouts_total")
	for _, want := range []string{`{action="dunno",stage="CONNECT"} 7`, `{action="dunno",stage="RCPT"} 1`, `{action="delay",stage="RCPT"} 2`,
		`{action="defer",stage="RCPT"} 3`, `{action="deny",stage="RCPT"} 4`, `{action="drop",stage="RCPT"} 5`, `{action="freeze",stage="RCPT"} 6`,
		`{action="deny",stage="DATA"} 0`} {
		if !slices.Contains(strings.Split(got, "|"), want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if n := strings.Count(got, "|") + 1; n != 6*len(acl.Stages()) {
		t.Errorf("%d lines", n)
	}
}

// samples are the values of one metric as they are read, its name left out.
func samples(t testing.TB, m *Metrics, name string) string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(scraped(t, m)) {
		rest, is := strings.CutPrefix(strings.TrimSpace(line), name)
		if is && (rest[0] == '{' || rest[0] == ' ' || strings.HasSuffix(name, "_duration_seconds")) {
			lines = append(lines, rest)
		}
	}
	return strings.Join(lines, "|")
}

// scraped is all that a scraper gets.
func scraped(t testing.TB, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	(&Server{Metrics: m, Log: silent}).handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// each is a counter of all stages, 0 where nothing is said.
func each(of map[string]string) string {
	var lines []string
	for _, stage := range acl.Stages() {
		n := of[stage.String()]
		if n == "" {
			n = "0"
		}
		lines = append(lines, `{stage="`+stage.String()+`"} `+n)
	}
	slices.Sort(lines)
	return strings.Join(lines, "|")
}

func states(list, kind, in string) string {
	var lines []string
	for _, s := range []string{"error-code", "hijacked", "inert", "ok", "timeout", "untested", "world"} {
		n := "0"
		if s == in {
			n = "1"
		}
		lines = append(lines, `{kind="`+kind+`",list="`+list+`",state="`+s+`"} `+n)
	}
	return strings.Join(lines, "|")
}

func lists(n string) string {
	return `{kind="addresses",list="bl.example"} ` + n + `|{kind="names",list="new.example"} 0`
}

// banned are all levels, 0 but for some.
func banned(some ...string) string {
	var lines []string
	for _, level := range []string{"1", "2", "3", "4", "5", "admin"} {
		for _, mode := range []string{"enforce", "observe"} {
			line := `{level="` + level + `",mode="` + mode + `"} `
			i := slices.IndexFunc(some, func(s string) bool { return strings.HasPrefix(s, line) })
			switch {
			case i >= 0:
				lines = append(lines, some[i])
			case level != "admin" || mode != "observe":
				lines = append(lines, line+"0")
			}
		}
	}
	return strings.Join(lines, "|")
}

func TestWhatIsNotThereIsAbsentAndNotZero(t *testing.T) {
	m := made(t, func() Reading { return Reading{} })
	have := labelsOf(t, m)
	for _, name := range []string{"dns_up", "list_state", "list_tested_timestamp_seconds", "cache_entries", "cache_bytes_limit", "cache_hits_total", "bans", "ledger_keys", "ledger_fault", "ledger_saved_timestamp_seconds"} {
		if _, is := have[prefix+name]; is {
			t.Errorf("%s is there without a memory, lists and DNS", name)
		}
	}
	never := full()
	never.Memory.Snapshot, never.DNSUp, never.Door.Bypass, never.Reloaded = time.Time{}, false, "", false
	m = made(t, func() Reading { return never })
	if _, is := labelsOf(t, m)[prefix+"ledger_saved_timestamp_seconds"]; is {
		t.Error("the time of what was never saved is there")
	}
	for _, name := range []string{"dns_up", "bypass_active", "config_last_reload_successful"} {
		if got := samples(t, m, prefix+name); got != " 0" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// Two customers' keys of one list are two lists of one public name. Doubled, they would cost the whole scrape.
func TestListsWhoseKeysAreMaskedAreToldApart(t *testing.T) {
	zones, err := rbl.ParseZones(rbl.OfAddresses, "0123456789abcdefghijklmnop.zen.dq.spamhaus.net", "zyxwvutsrqponmlkjihgfe0123.zen.dq.spamhaus.net")
	if err != nil {
		t.Fatal(err)
	}
	var r Reading
	for _, z := range zones {
		r.Lists = append(r.Lists, rbl.ZoneHealth{Zone: z.Public, Kind: z.Kind.String()})
	}
	r.Lists = append(r.Lists, rbl.ZoneHealth{Zone: "both.example", Kind: "addresses"}, rbl.ZoneHealth{Zone: "both.example", Kind: "names"})
	got := samples(t, made(t, func() Reading { return r }), prefix+"list_questions_total")
	if want := `{kind="addresses",list="***.zen.dq.spamhaus.net"} 0|{kind="addresses",list="***.zen.dq.spamhaus.net 2"} 0|` +
		`{kind="addresses",list="both.example"} 0|{kind="names",list="both.example"} 0`; got != want {
		t.Errorf("got %s", got)
	}
}

func TestATimeFallsIntoTheBucketOfItsBudget(t *testing.T) {
	m := made(t, full)
	stages := acl.Stages()
	for _, stage := range stages {
		m.Observe(&acl.Decision{Stage: stage}, acl.Budget(stage))
		m.Observe(&acl.Decision{Stage: stage}, acl.Budget(stage)+30*time.Millisecond)
	}
	m.Observe(&acl.Decision{}, time.Second)                               // a stage that is none
	m.Observe(&acl.Decision{Stage: stages[len(stages)-1] + 1}, time.Hour) // likewise
	got := strings.Split(samples(t, m, prefix+"callout_duration_seconds"), "|")
	for _, want := range []string{
		`_bucket{stage="CONNECT",le="0.1"} 0`, `_bucket{stage="CONNECT",le="0.2"} 1`, `_bucket{stage="CONNECT",le="0.25"} 2`,
		`_bucket{stage="RCPT",le="1.1"} 0`, `_bucket{stage="RCPT",le="1.5"} 1`, `_bucket{stage="RCPT",le="1.6"} 2`,
		`_bucket{stage="DATA",le="0.5"} 0`, `_bucket{stage="DATA",le="1"} 1`, `_bucket{stage="DATA",le="1.1"} 2`,
		`_count{stage="NOT_SMTP"} 2`,
	} {
		if !slices.Contains(got, want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestAQuestionToTheDNSIsCountedByHowItEnded(t *testing.T) {
	m := made(t, full)
	for o := rbl.Unanswered; o <= rbl.Down+1; o++ {
		m.Ended(o, 10*time.Millisecond)
	}
	if got, want := samples(t, m, prefix+"dns_questions_total"), `{outcome="busy"} 1|{outcome="down"} 2|{outcome="empty"} 1|{outcome="failed"} 1|`+
		`{outcome="found"} 1|{outcome="missing"} 1|{outcome="refused"} 1|{outcome="timed_out"} 1|{outcome="unanswered"} 1`; got != want {
		t.Errorf("got %s", got)
	}
	if got := samples(t, m, prefix+"dns_answer_duration_seconds"); !strings.Contains(got, `_bucket{le="0.005"} 0|_bucket{le="0.01"} 5|`) ||
		!strings.HasSuffix(got, "_count 5") {
		t.Errorf("got %s", got)
	}
}

func TestAMistakeOfOursCostsTheScrapeAndNotTheDaemon(t *testing.T) {
	m := made(t, func() Reading { panic("a mistake") })
	if _, err := m.registry.Gather(); err == nil || !strings.Contains(err.Error(), "please report it: a mistake") {
		t.Errorf("%v", err)
	}
}

func TestWhoeverScrapesOftenReadsOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		f := newFamilies(func() Reading {
			reads++
			return Reading{Faults: reads}
		}, ofDaemon("0.1.0", noon))
		for range 100 {
			if r := f.now(); r.Faults != 1 {
				t.Fatalf("reading %d within a second", r.Faults)
			}
			time.Sleep(rest / 100)
		}
		if r := f.now(); r.Faults != 2 {
			t.Errorf("reading %d after a second", r.Faults)
		}
	})
}

// BenchmarkObserve is what a callout costs more.
func BenchmarkObserve(b *testing.B) {
	m := made(b, full)
	d := &acl.Decision{Stage: acl.Stages()[3]}
	b.Run("alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m.Observe(d, 100*time.Microsecond)
		}
	})
	b.Run("at once", func(b *testing.B) {
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				m.Observe(d, 100*time.Microsecond)
			}
		})
	})
}

// BenchmarkScrape is what one costs, without the connection.
func BenchmarkScrape(b *testing.B) {
	m := busy(b)
	var size int
	for b.Loop() {
		size = len(scraped(b, m))
	}
	b.ReportMetric(float64(size), "octets")
}
