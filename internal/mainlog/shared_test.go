package mainlog_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"eximpolicyd/internal/mainlog"
)

// sharedLogs is the folder with logs that are not part of the project.
func sharedLogs(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("EXIMPOLICYD_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	dir = filepath.Join(dir, "data", "exim-logs")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the shared logs are not here: %s is missing; set EXIMPOLICYD_SHARED to the folder that has them", dir)
	}
	return dir
}

// eventsOf reads inputs to the end and returns copies of all events.
func eventsOf(t *testing.T, o mainlog.Options, inputs ...mainlog.Input) ([]mainlog.Event, *mainlog.Reader) {
	t.Helper()
	r := mainlog.NewReader(inputs, o)
	defer r.Close()
	var all []mainlog.Event
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all, r
		}
		all = append(all, *e)
	}
}

// in2030 is after every stamp of the shared logs.
func in2030() mainlog.Options {
	return mainlog.Options{Location: time.UTC, Now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
}

func TestEveryLineOfTheSharedLogsIsAnEventOrHasAReason(t *testing.T) {
	dir := sharedLogs(t)
	files, _ := filepath.Glob(filepath.Join(dir, "*", "*"))
	more, _ := filepath.Glob(filepath.Join(dir, "crowdsec", "*", "*.log"))
	var total mainlog.Counts
	read := 0
	for _, name := range append(files, more...) {
		info, err := os.Stat(name)
		if err != nil || info.IsDir() || strings.HasSuffix(name, ".metrics") {
			continue
		}
		events, r := eventsOf(t, in2030(), mainlog.File(name))
		read++
		judgeCounts(t, name, events, r, &total)
	}
	if read != 9 {
		t.Errorf("%d files were read, want 9", read)
	}
	if n := total.Kinds[mainlog.Written]; n > 0 {
		t.Errorf("%d entries of real logs were taken for the configuration's own", n)
	}
	figure(t, "shared logs", &total)
}

// judgeCounts demands that no entry is unknown and every line is counted once.
func judgeCounts(t *testing.T, name string, events []mainlog.Event, r *mainlog.Reader, total *mainlog.Counts) {
	t.Helper()
	c := r.Counts()
	for i := range events {
		if events[i].Kind == mainlog.Unknown {
			t.Errorf("%s:%d: unknown: %s", name, events[i].Line, events[i].Text)
		}
	}
	for _, f := range r.Faults() {
		t.Errorf("%s: %v", name, f)
	}
	sum := c.Entries()
	for _, n := range c.Reasons {
		sum += n
	}
	if sum != c.Lines {
		t.Errorf("%s: %d lines, but %d are counted", name, c.Lines, sum)
	}
	total.Lines += c.Lines
	for k, n := range c.Kinds {
		total.Kinds[k] += n
	}
	for k, n := range c.Reasons {
		total.Reasons[k] += n
	}
}

func figure(t *testing.T, what string, c *mainlog.Counts) {
	t.Helper()
	var b strings.Builder
	for k, n := range c.Kinds {
		if n > 0 {
			fmt.Fprintf(&b, ", %s %d", mainlog.Kind(k), n)
		}
	}
	for k, n := range c.Reasons {
		if n > 0 {
			fmt.Fprintf(&b, "; %s %d", mainlog.Reason(k), n)
		}
	}
	t.Logf("FIGURE %s: %d lines, %d entries, unknown %d%s", what, c.Lines, c.Entries(), c.Kinds[mainlog.Unknown], b.String())
}

func TestTheLogsOfEximsOwnTestsHaveNoUnknownEntry(t *testing.T) {
	f, err := os.Open(filepath.Join(sharedLogs(t), "exim-testsuite-0000-3999.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var total mainlog.Counts
	files := 0
	for archive := tar.NewReader(z); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files++
		events, r := eventsOf(t, in2030(), mainlog.Stream(h.Name, bytes.NewReader(text)))
		judgeCounts(t, h.Name, events, r, &total)
		for i := range events {
			if e := &events[i]; e.Kind == mainlog.Written && strings.Contains(e.Text, "rejected") {
				t.Errorf("%s:%d: a rejection was taken for the configuration's own text: %s", h.Name, e.Line, e.Text)
			}
		}
	}
	// All of these were looked at: they come from the logwrite, warn and debug lines of the tests' configurations.
	if n := total.Kinds[mainlog.Written]; n > 400 {
		t.Errorf("%d entries were taken for the configuration's own text", n)
	}
	figure(t, fmt.Sprintf("Exim's test suite, %d files", files), &total)
}

// failJSON is fail2ban's expectation of the line after it.
type failJSON struct {
	Time  string
	Match bool
	Host  string
	Desc  string
}

func TestTheOffenderIsFail2bansOnEveryLineWithAnExpectation(t *testing.T) {
	dir := sharedLogs(t)
	lines, matched := 0, 0
	for _, name := range []string{"exim", "exim-spam"} {
		text, err := os.ReadFile(filepath.Join(dir, "fail2ban", name))
		if err != nil {
			t.Fatal(err)
		}
		var want failJSON
		expected := false
		for _, line := range strings.Split(string(text), "\n") {
			if rest, ok := strings.CutPrefix(line, "# failJSON: "); ok {
				want, expected = failJSON{}, true
				if err := json.Unmarshal([]byte(rest), &want); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if line == "" || line[0] == '#' || !expected {
				continue
			}
			expected = false
			lines++
			e := one(t, line)
			if !e.Kind.OfClient() {
				t.Errorf("%s: %s is not of a client", line, e.Kind)
			}
			if e.Doubtful {
				t.Errorf("%s: doubtful", line)
			}
			if !want.Match {
				continue // one of fail2ban's modes, not of ours
			}
			matched++
			if e.Client != netip.MustParseAddr(want.Host) {
				t.Errorf("%s (%s):\n got %v, want %s", line, want.Desc, e.Client, want.Host)
			}
			if at := e.Time.Format("2006-01-02T15:04:05"); want.Time != "" && at != want.Time {
				t.Errorf("%s: time %s, want %s", line, at, want.Time)
			}
		}
	}
	if lines < 50 {
		t.Errorf("only %d lines have an expectation", lines)
	}
	t.Logf("FIGURE fail2ban: %d lines with an expectation, %d with an offender, 0 wrong", lines, matched)
}

// one reads a single line.
func one(t *testing.T, line string) mainlog.Event {
	t.Helper()
	events, _ := eventsOf(t, in2030(), mainlog.Stream("-", strings.NewReader(line+"\n")))
	if len(events) != 1 {
		t.Fatalf("%q is %d events", line, len(events))
	}
	return events[0]
}

func TestTheCountsAreThoseOfTheExporter(t *testing.T) {
	dir := filepath.Join(sharedLogs(t), "exporter")
	want, err := os.ReadFile(filepath.Join(dir, "tail.metrics"))
	if err != nil {
		t.Fatal(err)
	}
	metrics := map[string]string{}
	for _, line := range strings.Split(string(want), "\n") {
		if name, value, ok := strings.Cut(line, " "); ok && name != "#" {
			metrics[name] = strings.TrimSpace(value)
		}
	}
	main, r := eventsOf(t, in2030(), mainlog.File(filepath.Join(dir, "mainlog")))
	c := r.Counts()
	_, reject := eventsOf(t, in2030(), mainlog.File(filepath.Join(dir, "rejectlog")))
	_, panics := eventsOf(t, in2030(), mainlog.File(filepath.Join(dir, "paniclog")))
	got := map[string]uint64{
		`exim_messages_total{flag="arrived"}`:    c.Kinds[mainlog.Arrived],
		`exim_messages_total{flag="delivered"}`:  c.Kinds[mainlog.Delivered],
		`exim_messages_total{flag="additional"}`: c.Kinds[mainlog.DeliveredMore],
		`exim_messages_total{flag="deferred"}`:   c.Kinds[mainlog.DeliveryDeferred],
		`exim_messages_total{flag="failed"}`:     c.Kinds[mainlog.DeliveryFailed],
		`exim_messages_total{flag="completed"}`:  c.Kinds[mainlog.Completed],
		`exim_reject_total`:                      reject.Counts().Entries(),
		`exim_panic_total`:                       panics.Counts().Entries(),
	}
	code := regexp.MustCompile(`^SMTP error from remote mail server after [^:]*(?::<[^>]*>)?: (\d{3})(?: (\d\.\d+\.\d+))? `)
	for i := range main {
		if m := code.FindStringSubmatch(main[i].Reason); m != nil {
			got[fmt.Sprintf(`exim_message_errors_total{enhanced="%s",status="%s"}`, m[2], m[1])]++
		}
	}
	for name, n := range got {
		if metrics[name] != fmt.Sprint(n) {
			t.Errorf("%s: got %d, want %s", name, n, metrics[name])
		}
		delete(metrics, name)
	}
	for name := range metrics {
		if strings.HasPrefix(name, "exim_message") || strings.HasPrefix(name, "exim_reject") || strings.HasPrefix(name, "exim_panic") {
			t.Errorf("%s was not counted", name)
		}
	}
	t.Logf("FIGURE exporter: %d counts equal", len(got))
}

func TestTheFactsAreThoseOfCrowdsec(t *testing.T) {
	dir := filepath.Join(sharedLogs(t), "crowdsec")
	asserts, _ := filepath.Glob(filepath.Join(dir, "*", "parser.assert"))
	line := regexp.MustCompile(`^results\["s01-parse"\]\["crowdsecurity/exim-logs"\]\[(\d+)\]\.Evt\.Parsed\["(\w+)"\] == "(.*)"$`)
	checked := 0
	for _, name := range asserts {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		facts := map[string]map[string]string{}
		for _, l := range strings.Split(string(text), "\n") {
			if m := line.FindStringSubmatch(l); m != nil {
				if facts[m[1]] == nil {
					facts[m[1]] = map[string]string{}
				}
				facts[m[1]][m[2]] = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(m[3])
			}
		}
		for _, f := range facts {
			checked += crowdsecFacts(t, f)
		}
	}
	if checked < 100 {
		t.Errorf("only %d facts were compared", checked)
	}
	t.Logf("FIGURE crowdsec: %d facts equal", checked)
}

func crowdsecFacts(t *testing.T, f map[string]string) (checked int) {
	t.Helper()
	message := f["message"]
	if message == "" {
		return 0
	}
	if !regexp.MustCompile(`^\d{4}-`).MatchString(message) {
		message = "Jun 29 16:04:19 server exim[1234]: " + message
	}
	e := one(t, message)
	user := e.Login
	if e.Kind != mainlog.AuthFailed {
		user = e.Recipient
	}
	sender := e.Sender
	got := map[string]string{"source_ip": e.Client.String(), "target_user": user, "source_user": sender, "tls_cipher": e.TLS, "source_dns": e.PTR}
	if e.Port > 0 {
		got["source_port"] = fmt.Sprint(e.Port)
	}
	if e.HELO != e.PTR {
		got["source_helo"] = e.HELO
	}
	for name, want := range f {
		if have, ok := got[name]; ok {
			checked++
			if have != want {
				t.Errorf("%s: %s is %q, want %q", message, name, have, want)
			}
		}
	}
	return checked
}
