package trace

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"eximpolicyd/internal/mainlog"
)

// eachSharedLog reads every log that is not part of the project: those of other projects, and of Exim's own tests.
func eachSharedLog(t *testing.T, look func(name string, log []byte)) {
	t.Helper()
	dir := os.Getenv("EXIMPOLICYD_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	dir = filepath.Join(dir, "data", "exim-logs")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the shared logs are not here: %s is missing; set EXIMPOLICYD_SHARED to the folder that has them", dir)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*", "*"))
	more, _ := filepath.Glob(filepath.Join(dir, "crowdsec", "*", "*.log"))
	for _, name := range append(files, more...) {
		if text, err := os.ReadFile(name); err == nil && !strings.HasSuffix(name, ".metrics") {
			look(name, text)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "exim-testsuite-0000-3999.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for archive := tar.NewReader(z); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		log, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		look(h.Name, log)
	}
}

// TestEveryMessageOfTheSharedLogsIsCountedOnceAndFound holds it by an own, simple look at the lines: those with " <= " or " (= "
// after an id.
func TestEveryMessageOfTheSharedLogsIsCountedOnceAndFound(t *testing.T) {
	logs, messages, found := 0, 0, 0
	eachSharedLog(t, func(name string, log []byte) {
		logs++
		read := func() *mainlog.Reader {
			return mainlog.NewReader([]mainlog.Input{mainlog.Stream(name, bytes.NewReader(log))}, in2030())
		}
		r := read()
		defer r.Close()
		ids := map[string]bool{}
		arrivals := 0
		if err := each(context.Background(), r, func(e *mainlog.Event) {
			if strings.HasPrefix(e.Text, "<= ") || strings.HasPrefix(e.Text, "(= ") {
				if e.ID != "" {
					arrivals++
					ids[strings.Clone(e.ID)] = true
				}
			}
		}); err != nil {
			t.Fatal(err)
		}
		messages += arrivals
		for _, by := range Keys() {
			r := read()
			top, err := CountTop(context.Background(), r, TopOptions{By: by, All: true})
			r.Close()
			if err != nil {
				t.Fatal(err)
			}
			sum := 0
			for _, row := range top.Rows {
				sum += row.Messages
			}
			if top.Messages != arrivals || sum+top.Without < arrivals || sum > arrivals {
				t.Errorf("%s by %s: %d messages, %d in rows, %d without, of %d", name, by, top.Messages, sum, top.Without, arrivals)
			}
		}
		tried := 0
		for id := range ids {
			if tried++; tried > 3 {
				break
			}
			r := read()
			stories, _, err := Find(context.Background(), r, Query{IDs: []string{id}})
			r.Close()
			if err != nil || len(stories) != 1 || stories[0].Message == nil || stories[0].Message.ID != id {
				t.Errorf("%s: %s is not found: %v", name, id, err)
			}
			found++
		}
	})
	if messages < 1000 {
		t.Errorf("only %d messages", messages)
	}
	t.Logf("FIGURE trace: %d shared logs, %d messages counted by each of %d keys, %d looked for and found", logs, messages, len(Keys()), found)
}
