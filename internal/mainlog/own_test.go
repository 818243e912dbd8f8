package mainlog

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestALogThatBecameALinkOrAPipeIsNeitherFollowedNorWaitedFor(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("file"), []byte("text\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, plant := range map[string]func(string) error{
		"link":   func(path string) error { return os.Symlink("file", path) },
		"pipe":   func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"folder": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		if err := plant(at(name)); err != nil {
			t.Fatal(err)
		}
		if f, err := OwnFile(at(name)).Open(); err == nil {
			t.Errorf("a %s is opened", name)
			f.Close()
		}
	}
	f, err := OwnFile(at("file")).Open()
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}
