package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"eximpolicyd/internal/ledger"
)

// stateFile is a file below the folder of the memory, whose lock guards it.
type stateFile struct {
	name  string
	most  int64 // octets that are read
	state func() ledger.State
}

// path is where it is; empty: nothing is saved.
func (s *stateFile) path() string {
	dir := s.state().Dir
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, s.name)
}

// read has the file taken in. What a save that was cut off has left goes. No link is followed, and no pipe waited for.
func (s *stateFile) read(take func(io.Reader) error) error {
	path := s.path()
	if path == "" {
		return nil
	}
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "."+s.name+"[0-9]*"))
	for _, name := range left {
		os.Remove(name)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, unix.ELOOP):
		return fmt.Errorf("%s is a link, which is not followed", path)
	case err != nil:
		return err
	}
	defer f.Close()
	switch info, err := f.Stat(); {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no ordinary file", path)
	}
	return take(io.LimitReader(f, s.most))
}

// write replaces the file, whose folder must be ours: another daemon may have taken it over.
func (s *stateFile) write(save func(io.Writer) error) error {
	st := s.state()
	switch {
	case st.Dir == "":
		return nil
	case st.Fault != "":
		return errors.New(st.Fault)
	}
	f, err := renameio.NewPendingFile(s.path(), renameio.WithTempDir(st.Dir), renameio.WithStaticPermissions(0o600))
	if err != nil {
		return err
	}
	defer f.Cleanup()
	if err := save(f); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}
