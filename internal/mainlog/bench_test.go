package mainlog_test

import (
	"bytes"
	"errors"
	"io"
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
