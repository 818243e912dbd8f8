package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/renameio/v2"
)

var (
	errChanged  = errors.New("has changed since it was read")
	errReadOnly = errors.New("it is read-only")
	errNoFile   = errors.New("it is no regular file")
)

// replace puts a text in the place of the one that was read from a file: whole or not at all, through links, and with the mode
// and the owner of before. What somebody else has written meanwhile stays, and so does what is read-only, which root could
// write to and a folder's owner could rename over.
func replace(name, was, text string) error {
	path, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errNoFile
	case info.Mode().Perm()&0o222 == 0:
		return errReadOnly
	}
	old, err := os.OpenFile(path, os.O_RDWR, 0) // not to write: whoever may not is told so
	if err != nil {
		return err
	}
	defer old.Close()
	is, err := io.ReadAll(io.LimitReader(old, int64(max(len(was), len(text)))+1))
	switch {
	case err != nil:
		return err
	case string(is) == text: // by another name
		return nil
	case string(is) != was:
		return errChanged
	}
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithExistingPermissions())
	if err != nil {
		return err
	}
	defer f.Cleanup()
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		if err := f.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
			return err
		}
	}
	if _, err := f.WriteString(text); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}
