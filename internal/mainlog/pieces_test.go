package mainlog_test

import (
	"bytes"
	"io"
	"testing"

	"eximpolicyd/internal/mainlog"
	"eximpolicyd/test/logs"
)

// asking remembers the most that it was asked for at once.
type asking struct {
	io.Reader
	most int
}

func (a *asking) Read(p []byte) (int, error) {
	a.most = max(a.most, len(p))
	return a.Reader.Read(p)
}

func TestALogIsReadInPiecesThatAProcessorsCacheHolds(t *testing.T) {
	var log bytes.Buffer
	if err := logs.Write(&log, nil, logs.Form{Lines: 5000}); err != nil {
		t.Fatal(err)
	}
	lines := bytes.Count(log.Bytes(), []byte("\n"))
	from := &asking{Reader: &log}
	if n := readAll(t, mainlog.Stream("-", from)).Counts().Entries(); n != uint64(lines) {
		t.Errorf("%d entries of %d", n, lines)
	}
	if from.most > 32<<10 {
		t.Errorf("%d octets are asked for at once, not 32 kB", from.most)
	}
}
