package mainlog_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"eximpolicyd/internal/mainlog"
	"eximpolicyd/test/logs"
)

// readAll reads logs to the end.
func readAll(tb testing.TB, inputs ...mainlog.Input) *mainlog.Reader {
	tb.Helper()
	r := mainlog.NewReader(inputs, mainlog.Options{Location: time.UTC, Now: logs.Start.AddDate(0, 1, 0)})
	defer r.Close()
	for {
		_, err := r.Next()
		if errors.Is(err, io.EOF) {
			return r
		}
	}
}

func BenchmarkLinesOfALog(b *testing.B) {
	var log bytes.Buffer
	const lines = 200_000
	if err := logs.Write(&log, nil, logs.Form{Lines: lines}); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(log.Len()))
	b.ReportAllocs()
	for b.Loop() {
		readAll(b, mainlog.Stream("-", bytes.NewReader(log.Bytes())))
	}
	b.ReportMetric(float64(lines)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}

// BenchmarkLinesBesideEximstats reads one log file in turn with eximstats, and shows how many lines a second each reads.
func BenchmarkLinesBesideEximstats(b *testing.B) {
	eximstats, err := exec.LookPath("eximstats")
	if err != nil {
		b.Skipf("eximstats is not here: %v", err)
	}
	const lines = 200_000
	name := filepath.Join(b.TempDir(), "mainlog")
	var log bytes.Buffer
	if err := logs.Write(&log, nil, logs.Form{Lines: lines}); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(name, log.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	var ours, theirs []time.Duration
	for b.Loop() {
		start := time.Now()
		readAll(b, mainlog.File(name))
		half := time.Now()
		if err := exec.Command(eximstats, name).Run(); err != nil {
			b.Fatal(err)
		}
		ours, theirs = append(ours, half.Sub(start)), append(theirs, time.Since(half))
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	us, them := ours[len(ours)/2], theirs[len(theirs)/2]
	b.ReportMetric(lines/us.Seconds(), "lines/s")
	b.ReportMetric(lines/them.Seconds(), "eximstats-lines/s")
	b.ReportMetric(them.Seconds()/us.Seconds(), "times")
}

// BenchmarkConnectionsOfALog groups a log to connections.
func BenchmarkConnectionsOfALog(b *testing.B) {
	var log bytes.Buffer
	const lines = 200_000
	if err := logs.Write(&log, nil, logs.Form{Lines: lines}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		r := mainlog.NewReader([]mainlog.Input{mainlog.Stream("-", bytes.NewReader(log.Bytes()))}, mainlog.Options{Location: time.UTC, Now: logs.Start.AddDate(0, 1, 0)})
		s := mainlog.NewSessions(r, 0)
		for {
			if _, err := s.Next(); err != nil {
				break
			}
		}
		r.Close()
	}
	b.ReportMetric(float64(lines)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}
