package mainlog_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"eximpolicyd/internal/mainlog"
	"eximpolicyd/test/logs"
)

func zip(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func file(t *testing.T, dir, name string, text []byte) mainlog.Input {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return mainlog.File(path)
}

// typed is what somebody types who says once that it is all: whoever reads on waits for him.
type typed struct {
	*strings.Reader
	ends int
}

func (t *typed) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	if err != nil {
		t.ends++
	}
	return n, err
}

func TestTheEndOfAnInputIsReadOnce(t *testing.T) {
	entry := "2026-11-20 10:00:00 Start queue run: pid=1\n"
	for _, c := range []struct {
		name, text string
		events     int
	}{
		{"nothing", "", 0}, {"less than tells what it is", "abc\n", 0}, {"a mark of UTF-8 alone", "\ufeff", 0}, {"the start of gzip", "\x1f\x8b", 0},
		{"an entry", entry, 1}, {"an entry behind a mark of UTF-8", "\ufeff" + entry, 1}, {"an entry, compressed", string(zip(t, entry)), 1},
	} {
		in := &typed{Reader: strings.NewReader(c.text)}
		r := mainlog.NewReader([]mainlog.Input{mainlog.Stream("-", in)}, mainlog.Options{})
		events := 0
		for _, err := r.Next(); err == nil; _, err = r.Next() {
			events++
		}
		r.Close()
		if events != c.events || in.ends != 1 {
			t.Errorf("%s: %d events, and its end was read %d times", c.name, events, in.ends)
		}
	}
}

// setOf is what the parts of a set have in common.
var setOf = regexp.MustCompile(`^[a-z_]*[.-]`)

func TestARotatedSetIsReadInTheOrderOfTime(t *testing.T) {
	day := func(n int) string { return fmt.Sprintf("2026-11-%02d 10:00:00 Start queue run: pid=%d\n", n, n) }
	for _, names := range [][]string{
		{"mainlog.3.gz", "mainlog.2.gz", "mainlog.1", "mainlog"},
		{"mainlog-20261101.gz", "mainlog-20261102.gz", "mainlog-20261103", "mainlog"},
		{"exim_mainlog-9-2026.gz", "exim_mainlog-10-2026.gz", "exim_mainlog-11-2026", "exim_mainlog"},
		{"mainlog.0.gz", "mainlog.1.gz", "mainlog.2", "mainlog"}, // numbers that count upwards
	} {
		dir := t.TempDir()
		var inputs []mainlog.Input
		for i, name := range names {
			text := []byte(day(i + 1))
			if strings.HasSuffix(name, ".gz") {
				text = zip(t, string(text))
			}
			inputs = append([]mainlog.Input{file(t, dir, name, text)}, inputs...)
		}
		empty := file(t, dir, setOf.FindString(names[0])+"7", nil) // which says nothing of its time, and must not part the others
		events, _ := eventsOf(t, in2030(), slices.Insert(inputs, 2, empty)...)
		var got []string
		for i := range events {
			got = append(got, filepath.Base(events[i].File))
		}
		if strings.Join(got, " ") != strings.Join(names, " ") {
			t.Errorf("%v was read as %v", names, got)
		}
	}
}

func TestAPartThatIsThereTwiceIsReadOnce(t *testing.T) {
	dir, line := t.TempDir(), "2026-11-01 10:00:00 Start queue run: pid=1\n"
	events, _ := eventsOf(t, in2030(), file(t, dir, "mainlog.2", []byte(line)), file(t, dir, "mainlog.2.gz", zip(t, line)))
	if len(events) != 1 {
		t.Errorf("%d events", len(events))
	}
}

func TestARejectionThatStandsInBothLogsIsToldOfOnceWithItsHeader(t *testing.T) {
	for _, form := range []logs.Form{{Lines: 20000, Seed: 1}, {Lines: 20000, Seed: 2, PID: true, PerSecond: 200}} {
		var main, reject bytes.Buffer
		if err := logs.Write(&main, &reject, form); err != nil {
			t.Fatal(err)
		}
		alone, _ := eventsOf(t, in2030(), mainlog.Stream("-", bytes.NewReader(main.Bytes())))
		dir := t.TempDir()
		both, r := eventsOf(t, in2030(), file(t, dir, "rejectlog", reject.Bytes()), file(t, dir, "mainlog", main.Bytes()))
		if len(both) != len(alone) {
			t.Fatalf("%d events with the reject log, %d without", len(both), len(alone))
		}
		headers := 0
		for i := range both {
			if both[i].Text != alone[i].Text {
				t.Fatalf("event %d is %q, want %q", i, both[i].Text, alone[i].Text)
			}
			if both[i].Kind == mainlog.DataRejected {
				headers++
				var fields []string
				for f := range both[i].HeaderFields() {
					name, _, _ := strings.Cut(f, ":")
					fields = append(fields, name)
				}
				if got := strings.Join(fields, " "); got != "Received From Message-ID Subject" {
					t.Fatalf("header of event %d: %s in %q", i, got, both[i].Headers)
				}
			}
		}
		c := r.Counts()
		if headers == 0 || c.Reasons[mainlog.Duplicate] == 0 || c.Entries() != uint64(len(both)) || c.Seen&mainlog.SeenHeaders == 0 {
			t.Errorf("%d headers, %d copies, %d entries of %d", headers, c.Reasons[mainlog.Duplicate], c.Entries(), len(both))
		}
	}
}

func TestARejectLogAloneIsToldOf(t *testing.T) {
	var main, reject bytes.Buffer
	if err := logs.Write(&main, &reject, logs.Form{Lines: 2000, Seed: 1}); err != nil {
		t.Fatal(err)
	}
	events, r := eventsOf(t, in2030(), file(t, t.TempDir(), "rejectlog", reject.Bytes()))
	if len(events) == 0 || r.Counts().Rejections() != uint64(len(events)) {
		t.Errorf("%d events, %d rejections", len(events), r.Counts().Rejections())
	}
}

func TestSyslogsSecondCopyOfARejectionIsToldOfOnce(t *testing.T) {
	const one = "Nov 23 13:00:00 mx exim[7]: H=[192.0.2.1] F=<> rejected RCPT <a@example.net>: no\n"
	const long = "Nov 23 13:00:01 mx exim[7]: 1xVTqi-0006Bh-2D H=[192.0.2.1] F=<a@b> rejected after DATA: no\n" +
		"Nov 23 13:00:01 mx exim[7]: [1\\3] 1xVTqi-0006Bh-2D H=[192.0.2.1] F=<a@b> rejected after DATA: no\n" +
		"Nov 23 13:00:01 mx exim[7]: [2\\3] Envelope-to: <a@example.net>\n" +
		"Nov 23 13:00:01 mx exim[7]: [3\\3] I Message-ID: <x@y>\n"
	events, r := eventsOf(t, in2030(), mainlog.Stream("-", strings.NewReader(one+one+one+one+long)))
	if len(events) != 3 || r.Counts().Reasons[mainlog.Duplicate] != 3 {
		t.Fatalf("%d events, %d copies", len(events), r.Counts().Reasons[mainlog.Duplicate])
	}
	if h := events[2].Headers; h != "Envelope-to: <a@example.net>\nI Message-ID: <x@y>" {
		t.Errorf("headers %q", h)
	}
}

func TestWhatIsNoLogIsCountedAndNeverStopsTheRest(t *testing.T) {
	good := "2026-11-23 13:00:00 Start queue run: pid=1\n"
	var wide bytes.Buffer
	wide.WriteString("\xff\xfe")
	for _, u := range utf16.Encode([]rune(good + good)) {
		wide.Write([]byte{byte(u), byte(u >> 8)})
	}
	var noise []byte
	for i := range 300_000 {
		noise = append(noise, byte(i*i>>3^i*7))
	}
	zipped := zip(t, strings.Repeat(good, 20000))
	long := "2026-11-23 13:00:00 H=[192.0.2.1] F=<> rejected RCPT <a@b>: " + strings.Repeat("x", 1<<20) + "\n"
	for _, c := range []struct {
		name   string
		text   []byte
		events int
		reason mainlog.Reason // of at least one line; reasons above Blank
		fault  bool
		cut    uint64
	}{
		{"nothing", nil, 0, 0, false, 0},
		{"half a compressed file", zipped[:len(zipped)/2], -1, 0, true, 0},
		{"three octets of a compressed file", zipped[:3], 0, 0, true, 0},
		{"a compressed file with a wrong octet", append(append([]byte{}, zipped[:len(zipped)-6]...), 1, 2, 3, 4, 5, 6), -1, 0, true, 0},
		{"two compressed files in one", append(append([]byte{}, zipped...), zipped...), 40000, 0, false, 0},
		{"a file compressed by xz", []byte("\xfd7zXZ\x00\x00\x04" + string(noise)), 0, 0, true, 0},
		{"a file compressed by bzip2", []byte("BZh91AY&SY" + string(noise)), 0, 0, true, 0},
		{"a file compressed by zstd", []byte("\x28\xb5\x2f\xfd\x24" + string(noise)), 0, 0, true, 0},
		{"UTF-16", wide.Bytes(), 0, mainlog.UTF16, true, 0},
		{"a mark of UTF-8", []byte("\xef\xbb\xbf" + good), 1, 0, false, 0},
		{"noise", noise, 0, mainlog.Binary, false, 0},
		{"noise between", append(append([]byte(good), noise...), "\n"+good...), 2, mainlog.Binary, false, 0},
		{"NULs", []byte(good + strings.Repeat("\x00", 5000) + "\n" + good), 2, mainlog.Binary, false, 0},
		{"a line of 1 MB", []byte(good + long + good), 3, 0, false, 1},
		{"a line of 1 MB without an end", []byte(good + strings.TrimSuffix(long, "\n")), 2, 0, false, 1},
		{"a line of 100 kB", []byte(good + long[:100<<10] + "\n" + good), 3, 0, false, 1},
		{"a text", []byte("Dear sir,\n\nthis is no log.\n"), 0, mainlog.NoStamp, false, 0},
		{"ends of lines of another system", []byte(strings.ReplaceAll(good+good, "\n", "\r\n")), 2, 0, false, 0},
		{"an entry with 200,000 lines", []byte(good + strings.Repeat("\tmore\n", 200000) + good), 2, mainlog.Continuation, false, 0},
	} {
		events, r := eventsOf(t, in2030(), mainlog.Stream("-", bytes.NewReader(c.text)))
		n := r.Counts()
		sum := n.Entries()
		for _, k := range n.Reasons {
			sum += k
		}
		if c.events >= 0 && len(events) != c.events || c.events < 0 && len(events) == 0 {
			t.Errorf("%s: %d events, want %d", c.name, len(events), c.events)
		}
		if c.reason > 0 && n.Reasons[c.reason] == 0 {
			t.Errorf("%s: no line is %v: %v", c.name, c.reason, n.Reasons)
		}
		if (len(r.Faults()) > 0) != c.fault {
			t.Errorf("%s: faults %v", c.name, r.Faults())
		}
		if n.Cut < c.cut || sum != n.Lines {
			t.Errorf("%s: %d cut, %d lines of which %d are counted", c.name, n.Cut, n.Lines, sum)
		}
		for i := range events {
			if len(events[i].Text)+len(events[i].Headers) > 64<<10 {
				t.Errorf("%s: an event of %d octets", c.name, len(events[i].Text)+len(events[i].Headers))
			}
		}
	}
}

func TestAFileThatIsMissingDoesNotStopTheOthers(t *testing.T) {
	dir := t.TempDir()
	there := file(t, dir, "mainlog", []byte("2026-11-23 13:00:00 Start queue run: pid=1\n"))
	events, r := eventsOf(t, in2030(), mainlog.File(filepath.Join(dir, "mainlog.1")), there)
	if len(events) != 1 || len(r.Faults()) != 1 || !errors.Is(r.Faults()[0], os.ErrNotExist) {
		t.Errorf("%d events, faults %v", len(events), r.Faults())
	}
}

// endless is a log that never ends.
type endless struct{ line string }

func (e endless) Read(p []byte) (int, error) {
	if len(p) < len(e.line) {
		return 0, nil // so that a reader of which nothing comes is tried too
	}
	n := 0
	for len(p)-n >= len(e.line) {
		n += copy(p[n:], e.line)
	}
	return n, nil
}

func TestAReaderThatIsClosedEarlyLeavesNothingBehind(t *testing.T) {
	r := mainlog.NewReader([]mainlog.Input{mainlog.Stream("-", endless{"2026-11-23 13:00:00 Start queue run: pid=1\n"})}, in2030())
	for range 10 {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	r.Close() // goleak in TestMain sees what is left
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after Close: %v", err)
	}
}

func TestALongLogTakesNoMoreMemoryThanAShortOne(t *testing.T) {
	line := "2026-11-23 13:00:00 H=(a) [192.0.2.1] F=<x@y> rejected RCPT <u1@example.net>: Unrouteable address\n"
	r := mainlog.NewReader([]mainlog.Input{mainlog.Stream("-", io.LimitReader(endless{line}, 32<<20))}, in2030())
	defer r.Close()
	n, most := 0, uint64(0)
	s := mainlog.SessionsOf(func() (*mainlog.Event, error) {
		if n++; n%20000 == 0 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}
		return r.Next()
	}, 0)
	for {
		if _, err := s.Next(); err != nil {
			break
		}
	}
	if most > 40<<20 {
		t.Errorf("%d octets", most)
	}
	t.Logf("FIGURE memory: %d kB held at most, in %d entries of one client", most>>10, n)
}

func TestNoHeaderIsCutBetweenTwoReads(t *testing.T) {
	var log strings.Builder
	const entries = 3000
	for range entries {
		log.WriteString("2026-11-23 13:00:00 1xVTqi-0006Bh-2D H=[192.0.2.1] F=<a@b> rejected after DATA: no\nEnvelope-to: <a@example.net>\n" +
			"P Received: from x\n\tby y\n  (z)\nI Message-ID: <x@y>\n* To: <old>\n  To: <new>\n\n")
	}
	events, _ := eventsOf(t, in2030(), mainlog.Stream("-", strings.NewReader(log.String())))
	if len(events) != entries {
		t.Fatalf("%d events", len(events))
	}
	for i := range events {
		var fields []string
		for f := range events[i].HeaderFields() {
			fields = append(fields, f)
		}
		if got := strings.Join(fields, "|"); got != "Received: from x\n\tby y\n  (z)|Message-ID: <x@y>|To: <new>" {
			t.Fatalf("event %d has %q", i, got)
		}
	}
}

func TestTheLogSaysWhichSelectorsItHas(t *testing.T) {
	plain, _ := readForm(t, logs.Form{Lines: 3000})
	if got := plain.Missing(mainlog.SeenPID | mainlog.SeenPort | mainlog.SeenRecipients | mainlog.SeenMessageID); got != "+pid +incoming_port +received_recipients" {
		t.Errorf("missing %q", got)
	}
	full, _ := readForm(t, logs.Form{Lines: 3000, PID: true, Port: true, Recipients: true})
	if got := full.Missing(mainlog.SeenPID | mainlog.SeenPort | mainlog.SeenRecipients); got != "" {
		t.Errorf("missing %q", got)
	}
}

func readForm(t *testing.T, f logs.Form) (mainlog.Selectors, []mainlog.Event) {
	t.Helper()
	var main bytes.Buffer
	if err := logs.Write(&main, nil, f); err != nil {
		t.Fatal(err)
	}
	events, r := eventsOf(t, in2030(), mainlog.Stream("-", &main))
	return r.Counts().Seen, events
}

func TestAHeaderThatIsLikeACommandLineStaysWithItsEntry(t *testing.T) {
	const headers = "  From: a@example.net\n  Subject: a cwd=/b\n  Message-ID: <1@example.net>"
	const entry = "2026-11-23 13:00:00 1xVTqX-0005xq-2c H=a.example.net [192.0.2.7] F=<a@example.net> rejected after DATA: no\n" + headers + "\n"
	events, _ := eventsOf(t, in2030(), mainlog.Stream("-", strings.NewReader(strings.Repeat(entry, 5000))))
	for i := range events {
		if events[i].Headers != headers {
			t.Fatalf("entry %d: %q", i, events[i].Headers)
		}
	}
	if len(events) != 5000 {
		t.Errorf("%d entries", len(events))
	}
}

func TestALineInTheNameOfAFolderIsNoEntry(t *testing.T) {
	const forged = "2026-11-23 13:00:00 1xVTqX-0005xq-2c <= bob@example.net U=bob P=local S=1\n"
	const good = "2026-11-23 13:00:01 1xVTqY-0005yr-0q <= a@example.net U=a P=local S=1\n"
	for _, c := range []struct{ name, text, dir, args string }{
		{"one", "2026-11-23 13:00:00 cwd=/home/x/y\n" + forged + "z 4 args: /usr/sbin/sendmail -t\n" + good, "/home/x/y\n" + forged + "z", "/usr/sbin/sendmail -t"},
		{"that ends as an entry does", "2026-11-23 13:00:00 [7] cwd=/home/x\n" + forged + "2026-11-23 13:00:00 cwd=/y 4 args: sendmail\n" + good,
			"/home/x\n" + forged + "2026-11-23 13:00:00 cwd=/y", "sendmail"},
	} {
		events, r := eventsOf(t, in2030(), mainlog.Stream("-", strings.NewReader(c.text)))
		if len(events) != 2 || events[0].Command != c.dir || events[0].Arguments != c.args || events[1].Ident != "a" || r.Counts().Reasons[mainlog.Planted] != 2 {
			t.Errorf("%s: %d events, %q, %q, %v", c.name, len(events), events[0].Command, events[0].Arguments, r.Counts().Reasons)
		}
	}
	// Where a chunk ends, too.
	long := strings.Repeat(strings.Repeat("2026-11-23 13:00:00 Start queue run: pid=1\n", 7)+"2026-11-23 13:00:00 cwd=/home/x/y\n"+strings.Repeat(forged, 9)+"z 4 args: sendmail\n", 500)
	_, r := eventsOf(t, in2030(), mainlog.Stream("-", strings.NewReader(long)))
	if c := r.Counts(); c.Kinds[mainlog.Arrived] != 0 || c.Reasons[mainlog.Planted] != 5000 || c.Kinds[mainlog.CommandLine] != 500 {
		t.Errorf("%d arrivals, %d planted, %d command lines", c.Kinds[mainlog.Arrived], c.Reasons[mainlog.Planted], c.Kinds[mainlog.CommandLine])
	}
	// So if the name has lines that are like the first of such an entry.
	long = strings.Repeat(strings.Repeat("2026-11-23 13:00:00 Start queue run: pid=1\n", 7)+"2026-11-23 13:00:00 cwd=/home/x/y\n"+strings.Repeat("a cwd=/b\n"+forged, 9)+"z 4 args: sendmail\n", 500)
	_, r = eventsOf(t, in2030(), mainlog.Stream("-", strings.NewReader(long)))
	if c := r.Counts(); c.Kinds[mainlog.Arrived] != 0 || c.Reasons[mainlog.Planted] != 9500 || c.Kinds[mainlog.CommandLine] != 500 {
		t.Errorf("%d arrivals, %d planted, %d command lines", c.Kinds[mainlog.Arrived], c.Reasons[mainlog.Planted], c.Kinds[mainlog.CommandLine])
	}
	// A line that was cut hides little of what others did.
	events, _ := eventsOf(t, in2030(), mainlog.Stream("-", strings.NewReader("2026-11-23 13:00:00 cwd=/home/x\n"+strings.Repeat(good, 100))))
	if len(events) < 20 {
		t.Errorf("%d entries are left", len(events))
	}
}

func TestTheDaemonsOwnLogIsReadAsToItsTimes(t *testing.T) {
	for _, c := range []struct{ line, text string }{
		{`time=2026-11-23T14:00:00.250+01:00 level=INFO msg=decision stage=DATA`, `level=INFO msg=decision stage=DATA`},
		{`{"time":"2026-11-23T13:00:00.25Z","level":"INFO","msg":"decision"}`, `"level":"INFO","msg":"decision"}`},
		{`{"time":"2026-11-23 13:00:00"}`, ""},
		{`{"time":"2026-11-23T13:00:00.25Z"`, ""},
	} {
		events, _ := eventsOf(t, in2030(), mainlog.Stream("-", strings.NewReader(c.line+"\n")))
		if c.text == "" && len(events) != 0 || c.text != "" && (len(events) != 1 || events[0].Text != c.text || !events[0].Time.Equal(time.Date(2026, 11, 23, 13, 0, 0, 250e6, time.UTC))) {
			t.Errorf("%s: %+v", c.line, events)
		}
	}
}
