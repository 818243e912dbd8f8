package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"eximpolicyd/acl"
	"eximpolicyd/internal/ledger"
)

// lineOfOne is a decision as it is saved.
const lineOfOne = `{"id":"1xWDejTdYC","client":"203.0.113.7","rules":[]}` + "\n"

// inFolder makes decisions that are kept in a folder, with what the log says.
func inFolder(t *testing.T, st *ledger.State) (*decisions, *bytes.Buffer) {
	t.Helper()
	log := &bytes.Buffer{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	return &decisions{Ring: &acl.Ring{}, state: func() ledger.State { return *st }, log: func() *slog.Logger { return logger }}, log
}

// write puts a file into a folder.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDecisionsAreSavedOnlyWhenTheyHaveChanged(t *testing.T) {
	st := ledger.State{Dir: t.TempDir()}
	path := write(t, st.Dir, decisionsFile, lineOfOne+lineOfOne)
	d, log := inFolder(t, &st)
	d.load()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := d.save(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("what was read is written again")
	}
	if n, err := d.Forget(func(*acl.Explanation) bool { return true }); n != 2 || err != nil {
		t.Errorf("%d %v", n, err)
	}
	if text, err := os.ReadFile(path); err != nil || len(text) != 0 {
		t.Errorf("%q %v", text, err)
	}
	if log.Len() > 0 {
		t.Error(log)
	}
}

func TestWhoLooksForADecisionWaitsUntilTheOldOnesAreThere(t *testing.T) {
	st := ledger.State{Dir: t.TempDir()}
	write(t, st.Dir, decisionsFile, lineOfOne)
	for name, looks := range map[string]func(*decisions) int{
		"explain":  func(d *decisions) int { _, ok := d.Find("1xWDejTdYC"); return map[bool]int{true: 1}[ok] },
		"the last": func(d *decisions) int { return len(d.Last(9)) },
		"how many": func(d *decisions) int { n, _ := d.Kept(); return n },
		"forget":   func(d *decisions) int { n, _ := d.Forget(func(*acl.Explanation) bool { return true }); return n },
	} {
		synctest.Test(t, func(t *testing.T) {
			d, _ := inFolder(t, &st)
			d.loading.Add(1)
			found := make(chan int, 1)
			go func() { found <- looks(d) }() // ends when they are loaded
			synctest.Wait()
			d.load()
			d.loading.Done()
			if n := <-found; n != 1 {
				t.Errorf("%s: %d are found", name, n)
			}
		})
		write(t, st.Dir, decisionsFile, lineOfOne)
	}
}

func TestDecisionsThatCannotBeSavedAreToldOfOnce(t *testing.T) {
	st := ledger.State{Dir: t.TempDir()}
	write(t, st.Dir, decisionsFile, lineOfOne)
	d, log := inFolder(t, &st)
	d.load()
	st.Fault = "another daemon has the folder"
	for range 3 {
		if n, err := d.Forget(func(*acl.Explanation) bool { return true }); err == nil {
			t.Errorf("%d are forgotten, and the disk has them", n)
		}
	}
	if strings.Count(log.String(), "another daemon has the folder") != 1 || d.fault() != st.Fault {
		t.Error(log, d.fault())
	}
	if text, _ := os.ReadFile(filepath.Join(st.Dir, decisionsFile)); string(text) != lineOfOne {
		t.Errorf("a folder that is another's is written to: %q", text)
	}
	st.Fault = ""
	if err := d.save(); err != nil {
		t.Error(err)
	}
	if text, _ := os.ReadFile(filepath.Join(st.Dir, decisionsFile)); len(text) != 0 || d.fault() != "" {
		t.Errorf("%q %s", text, d.fault())
	}
}

func TestAFileOfDecisionsThatIsNoneIsLeftAlone(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"a folder":  func(path string) error { return os.Mkdir(path, 0o700) },
		"a link":    func(path string) error { return os.Symlink("/etc/passwd", path) },
		"not there": func(string) error { return nil },
	} {
		st := ledger.State{Dir: t.TempDir()}
		if err := make(filepath.Join(st.Dir, decisionsFile)); err != nil {
			t.Fatal(err)
		}
		d, log := inFolder(t, &st)
		d.load()
		if told := log.Len() > 0; told != (name != "not there") {
			t.Errorf("%s: %s", name, log)
		}
		if n, _ := d.Kept(); n != 0 {
			t.Errorf("%s: %d are read", name, n)
		}
	}
}

func TestWithoutAFolderNothingIsSaved(t *testing.T) {
	d, log := inFolder(t, &ledger.State{})
	d.load()
	if n, err := d.Forget(func(*acl.Explanation) bool { return true }); n != 0 || err != nil || log.Len() > 0 {
		t.Errorf("%d %v %s", n, err, log)
	}
}
