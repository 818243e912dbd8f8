package report_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"eximpolicyd/acl"
	"eximpolicyd/internal/config"
	"eximpolicyd/internal/mainlog"
	"eximpolicyd/internal/report"
	"eximpolicyd/policy"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// configured returns a decider of a configuration as it is.
func configured(tb testing.TB, toml string) *acl.Decider {
	tb.Helper()
	c, err := config.Parse("test.toml", []byte(toml), policy.Table())
	if err != nil {
		tb.Fatal(err)
	}
	return &acl.Decider{Rules: policy.Bind(policy.Table(), c.Policies, c.Mode), Own: c.Own, Exempt: &c.Exempt, Mode: c.Mode}
}

// accounts are those of the host whose log it is.
func accounts(o *report.Options) {
	names := []string{"root", "nobody", "Debian-exim"}
	o.Exim = 2
	o.UID = func(login string) (uint32, bool) {
		for i, name := range names {
			if name == login {
				return uint32(i), true
			}
		}
		return 0, false
	}
	o.Account = func(uid uint32) (string, bool) { return names[min(int(uid), 2)], uid < 3 }
}

// replay judges logs, each by its name.
func replay(tb testing.TB, o report.Options, logs ...string) *report.Report {
	tb.Helper()
	var inputs []mainlog.Input
	for i := 0; i < len(logs); i += 2 {
		inputs = append(inputs, mainlog.Stream(logs[i], strings.NewReader(logs[i+1])))
	}
	o.Location = time.UTC
	r := mainlog.NewReader(inputs, mainlog.Options{Location: time.UTC, Now: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)})
	defer r.Close()
	rep, err := report.Replay(tb.Context(), r, o)
	if err != nil {
		tb.Fatal(err)
	}
	return rep
}

func read(tb testing.TB, name string) string {
	tb.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

// golden compares with a file below testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := read(t, name); want != string(got) {
		t.Errorf("%s differs; go test -update shows how:\n%s", name, got)
	}
}

const ours = `[own]
names = ["mx.example.net"]
domains = ["example.net"]
addresses = ["192.0.2.2"]
`

func TestTheFactsOfAllKindsOfEntriesAreJudged(t *testing.T) {
	o := report.Options{Decider: configured(t, ours)}
	accounts(&o)
	rep := replay(t, o, "mainlog", read(t, "testdata/facts.log"), "rejectlog", read(t, "testdata/reject.log"))
	got, err := json.MarshalIndent(rep, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/facts.json", append(got, '\n'))
	var text bytes.Buffer
	if err := rep.Text(&text); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/facts.txt", text.Bytes())
	for line := range strings.Lines(text.String()) {
		if len(line) > 81 {
			t.Errorf("over 80 columns: %s", line)
		}
	}
}
