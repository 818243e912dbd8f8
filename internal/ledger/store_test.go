package ledger

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAFileThatIsCutOffUnderItsMapEndsNoProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mapped")
	if err := os.WriteFile(path, make([]byte, 8192), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mapped, err := unix.Mmap(int(f.Fd()), 0, 8192, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mapped)
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	s := new(store)
	read := byte(1)
	err = s.guard(func() error { read = mapped[5000]; return nil })
	if p := (panicked{}); !errors.As(err, &p) || read != 1 {
		t.Errorf("read %d, %v", read, err)
	}
}

func TestAfterAPanicOfItsOwnTheEngineGoesOn(t *testing.T) {
	dir := t.TempDir()
	e := open(t, Options{Dir: dir})
	offend(t, e, offence("192.0.2.1", true))
	e.mu.Lock() // the goroutine waits for a change, and there is none
	db := e.saver.store.db
	e.mu.Unlock()
	tx, err := db.Begin(true) // bbolt's lock is held for ever, as after a panic in a commit
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	e.saver.store.closeDB(panicked{"test"})
	e.saver.store.trust = doubted
	if b := offend(t, e, offence("192.0.2.2", true)); !b.Durable {
		t.Errorf("%+v; %+v", b, e.State())
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if e := open(t, Options{Dir: dir}); len(e.Bans()) != 2 {
		t.Errorf("%+v", e.Bans())
	}
}

func TestAFileIsWrittenAnewAfterAWriteThatFailed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := new(lines)
	e := open(t, Options{Dir: dir, Log: log.log()})
	offend(t, e, offence("192.0.2.1", true))
	before, err := os.Stat(filepath.Join(dir, fileBans))
	if err != nil {
		t.Fatal(err)
	}
	only, err := os.Open(filepath.Join(dir, fileBans)) // for reading
	if err != nil {
		t.Fatal(err)
	}
	defer only.Close()
	e.mu.Lock() // as above
	db := int(e.saver.store.file.Fd())
	e.mu.Unlock()
	if err := unix.Dup3(int(only.Fd()), db, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if b := offend(t, e, offence("192.0.2.2", true)); b.Durable || e.State().Fault == "" {
		t.Errorf("%+v; %+v", b, e.State())
	}
	wait(t, e)
	after, err := os.Stat(filepath.Join(dir, fileBans))
	if err != nil || os.SameFile(before, after) {
		t.Errorf("it is the same file: %v", err)
	}
	if s := e.State(); len(s.Aside) > 0 || strings.Count(log.String(), "level=ERROR") != 1 {
		t.Errorf("%+v\n%s", s, log)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if e := open(t, Options{Dir: dir}); len(e.Bans()) != 2 {
		t.Errorf("%+v", e.Bans())
	}
}
