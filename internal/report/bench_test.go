package report_test

import (
	"bytes"
	"testing"
	"time"

	"eximpolicyd/internal/mainlog"
	"eximpolicyd/internal/report"
	"eximpolicyd/test/logs"
)

// BenchmarkReplay is a whole replay of a log, with all that a fresh configuration observes.
func BenchmarkReplay(b *testing.B) {
	var log bytes.Buffer
	const lines = 200_000
	if err := logs.Write(&log, nil, logs.Form{Lines: lines}); err != nil {
		b.Fatal(err)
	}
	o := report.Options{Decider: configured(b, ""), Location: time.UTC}
	b.SetBytes(int64(log.Len()))
	b.ReportAllocs()
	for b.Loop() {
		r := mainlog.NewReader([]mainlog.Input{mainlog.Stream("-", bytes.NewReader(log.Bytes()))},
			mainlog.Options{Location: time.UTC, Now: logs.Start.AddDate(0, 1, 0)})
		if _, err := report.Replay(b.Context(), r, o); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(lines)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}
