package setup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// planted is a folder of root's in which somebody has planted things.
func planted(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("this needs root, as setup does: run the tests as root, sudo make test")
	}
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"good", "open", "theirs", "group"} {
		must(os.Mkdir(at(name), 0o755))
		must(os.WriteFile(at(name+"/file"), []byte("text"), 0o644))
	}
	must(os.Chmod(at("open"), 0o777))
	must(os.Chown(at("theirs"), 65534, 0))
	must(os.Chown(at("group"), 0, 65534))
	must(os.Chmod(at("group"), 0o775))
	must(os.Mkdir(at("listed"), 0o755))
	must(os.WriteFile(at("listed/file"), []byte("text"), 0o644))
	must(os.Chmod(at("listed"), 0o775)) // as one looks whose access list lets somebody write
	must(os.Mkdir(at("sticky"), 0o755))
	must(os.Mkdir(at("sticky/mine"), 0o755))
	must(os.WriteFile(at("sticky/mine/file"), []byte("text"), 0o644))
	must(os.WriteFile(at("sticky/file"), []byte("text"), 0o644))
	must(os.Chmod(at("sticky"), 0o777|os.ModeSticky))
	must(os.Symlink("good", at("way")))
	must(os.Symlink("file", at("good/link")))
	must(os.Symlink("/nowhere", at("good/dangling")))
	must(os.Link(at("good/file"), at("good/hard")))
	must(syscall.Mkfifo(at("good/pipe"), 0o644))
	must(os.WriteFile(at("good/written"), nil, 0o646))
	must(os.Chmod(at("good/written"), 0o646))
	must(os.WriteFile(at("good/nobodys"), nil, 0o644))
	must(os.Chown(at("good/nobodys"), 65534, 65534))
	must(os.WriteFile(at("good/long"), make([]byte, maxFile+1), 0o644))
	return dir
}

func TestOnlyWhatRootAloneCanChangeIsRead(t *testing.T) {
	dir := planted(t)
	for name, says := range map[string]string{
		"way/file": "is a link", "good/link": "is a link", "good/dangling": "is a link", "good/pipe": "is not a regular file", "good": "is not a regular file",
		"open/file": "can be changed by everybody", "theirs/file": "belongs to uid 65534", "group/file": "can be changed by group 65534", "listed/file": "can be changed by group 0",
		"sticky/file": "can be changed by everybody", "good/written": "can be changed by everybody", "good/nobodys": "belongs to uid 65534",
		"good/long": "longer than", "good/../good/file": "", "good/file": "", "good/hard": "", "sticky/mine/file": "",
	} {
		text, _, err := read(filepath.Join(dir, name))
		if says == "" && (err != nil || string(text) != "text") || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	if _, _, err := read(filepath.Join(dir, "good", "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not there: %v", err)
	}
	if _, _, err := read("good/file"); err == nil {
		t.Error("a path that is not absolute is read")
	}
}

func TestAFileIsPutBesideWhatIsPlantedAndBroughtBackWithEverything(t *testing.T) {
	dir := planted(t)
	path := filepath.Join(dir, "good", "file")
	if err := os.Chown(path, 0, 65534); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := setTime(path, 1_000_000_000_000_000_007); err != nil {
		t.Fatal(err)
	}
	before, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	j := &journal{path: filepath.Join(dir, "journal.json"), Phase: adding}
	for _, p := range []string{path, filepath.Join(dir, "good", "new")} {
		if _, err := j.note(p); err != nil {
			t.Fatal(err)
		}
	}
	for i := range j.Changes {
		if err := j.Changes[i].put([]byte("ours"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if text, info, err := read(path); err != nil || string(text) != "ours" || info.Mode().Perm() != 0o640 {
		t.Errorf("%q %v", text, err)
	}
	for range 2 { // it does no harm twice
		if err := j.undo(); err != nil {
			t.Fatal(err)
		}
	}
	after, err := os.Lstat(path)
	if err != nil || !os.SameFile(before, after) || after.Mode() != before.Mode() || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("%v %v %v", err, before, after)
	}
	if exists(j.Changes[1].Path) || exists(path+undoName) {
		t.Error("something is left")
	}
	// What somebody else has written since stays, and is told of.
	j = &journal{path: j.path, Phase: adding}
	c, err := j.note(filepath.Join(dir, "good", "new"))
	if err != nil {
		t.Fatal(err)
	}
	c.After = checksum([]byte("ours"))
	if err := os.WriteFile(c.Path, []byte("theirs"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := j.undo(); err == nil || !exists(c.Path) || !strings.Contains(err.Error(), "changed by somebody else") {
		t.Errorf("%v", err)
	}
}
