package mainlog_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"eximpolicyd/internal/mainlog"
	"eximpolicyd/test/logs"
)

// A log that comes through a pipe has no name that says what it is.
func TestARejectLogThatComesThroughAPipeIsToldOfOnce(t *testing.T) {
	var main, reject bytes.Buffer
	if err := logs.Write(&main, &reject, logs.Form{Lines: 5000, Seed: 1}); err != nil {
		t.Fatal(err)
	}
	alone, _ := eventsOf(t, in2030(), mainlog.Stream("-", bytes.NewReader(main.Bytes())))
	for _, c := range []struct {
		name   string
		inputs func() []mainlog.Input
	}{
		{"beside a file", func() []mainlog.Input {
			return []mainlog.Input{mainlog.Stream("-", bytes.NewReader(reject.Bytes())), file(t, t.TempDir(), "mainlog", main.Bytes())}
		}},
		{"beside another pipe", func() []mainlog.Input {
			return []mainlog.Input{piped(t, "main", main.Bytes()), piped(t, "other", reject.Bytes())}
		}},
		{"before another pipe", func() []mainlog.Input {
			return []mainlog.Input{piped(t, "other", reject.Bytes()), piped(t, "main", main.Bytes())}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			both, r := eventsOf(t, in2030(), c.inputs()...)
			if len(both) != len(alone) || r.Counts().Seen&mainlog.SeenHeaders == 0 {
				t.Errorf("%d events with the reject log, %d without", len(both), len(alone))
			}
		})
	}
}

// piped is a named pipe into which somebody writes.
func piped(t *testing.T, name string, text []byte) mainlog.Input {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- os.WriteFile(path, text, 0o600) }() // ends when the reader has all
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return mainlog.File(path)
}

func TestAFileThatHasSeveralNamesIsReadOnce(t *testing.T) {
	dir := t.TempDir()
	in := file(t, dir, "mainlog", []byte("2026-11-01 10:00:00 Start queue run: pid=1\n"))
	if err := errors.Join(os.Symlink("mainlog", filepath.Join(dir, "mainlog-today")), os.Link(in.Name, filepath.Join(dir, "copy"))); err != nil {
		t.Fatal(err)
	}
	inputs := []mainlog.Input{in}
	for _, name := range []string{"mainlog-today", "copy", "./mainlog", "mainlog"} {
		inputs = append(inputs, mainlog.File(dir+"/"+name))
	}
	if events, r := eventsOf(t, in2030(), inputs...); len(events) != 1 || len(r.Faults()) != 0 {
		t.Errorf("%d events, %v", len(events), r.Faults())
	}
}
