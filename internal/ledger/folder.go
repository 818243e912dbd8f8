package ledger

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"
)

// The files in the folder.
const (
	fileBans     = "ledger.db"
	fileNew      = "ledger.db.new" // being written; left over by kill -9
	fileCounters = "counters"      // left over: .counters and a number
	fileLock     = "lock"
	asideMark    = ".corrupt-"
)

func (s *store) path(name string) string { return filepath.Join(s.dir, name) }

// acquire takes the lock of the folder, which is held until close. On a disk that cannot be written to, a lock file that
// is there will do.
func (s *store) acquire() error {
	if s.lock != nil {
		return nil
	}
	f, err := os.OpenFile(s.path(fileLock), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if errors.Is(err, unix.EROFS) {
		f, err = os.Open(s.path(fileLock))
	}
	if err != nil {
		return err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return ErrLocked
		}
		return &fs.PathError{Op: "flock", Path: f.Name(), Err: err}
	}
	s.lock = f
	return nil
}

// tidy removes what a write that was cut off has left.
func (s *store) tidy() {
	os.Remove(s.path(fileNew))
	left, _ := filepath.Glob(s.path("." + fileCounters + "[0-9]*"))
	for _, name := range left {
		os.Remove(name)
	}
}

// open opens a file for reading. What is no file is damaged.
func (s *store) open(name string) (*os.File, error) {
	f, err := os.OpenFile(s.path(name), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, unix.ELOOP):
		return nil, unsound("it is a symbolic link")
	case errors.Is(err, unix.ENXIO):
		return nil, unsound("it is a socket")
	case err != nil:
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = unsound("it is no file")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// aside moves a file away that cannot be used, to where nothing is yet, and says so, and what that means.
func (s *store) aside(name string, why error, means string) error {
	base := name + asideMark + s.wall().UTC().Format("20060102T150405")
	to := base
	for i := 2; ; i++ {
		err := unix.Renameat2(unix.AT_FDCWD, s.path(name), unix.AT_FDCWD, s.path(to), unix.RENAME_NOREPLACE)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EEXIST) || i > 99 {
			return &fs.PathError{Op: "move aside", Path: s.path(name), Err: err}
		}
		to = fmt.Sprintf("%s-%d", base, i)
	}
	s.log.Error("a file of the memory cannot be used and was moved aside: "+means, "file", s.path(name), "why", why, "moved_to", s.path(to),
		"fix", "check the disk; import an export if there is one; delete what was moved aside when it has been looked at")
	return nil
}

// asides returns the files that were moved aside.
func (s *store) asides() (names []string) {
	all, _ := os.ReadDir(s.dir)
	for _, d := range all {
		if strings.Contains(d.Name(), asideMark) {
			names = append(names, s.path(d.Name()))
		}
	}
	return names
}

// lost reports that the folder was taken away: what is written would go nowhere, and another daemon can have the lock of
// the one that came instead. It has to be loaded anew.
func (s *store) lost() bool {
	if !s.loaded || s.is(fileLock, s.lock) {
		return false
	}
	s.close()
	s.loaded = false
	return true
}

// is reports whether a name in the folder is the file that is open.
func (s *store) is(name string, open *os.File) bool {
	ours, err := open.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(s.path(name))
	return err == nil && os.SameFile(ours, there)
}

// writeCounters replaces the file of counters by what save writes.
func (s *store) writeCounters(save func(io.Writer) error) error {
	f, err := renameio.NewPendingFile(s.path(fileCounters), renameio.WithTempDir(s.dir), renameio.WithStaticPermissions(0o600))
	if err != nil {
		return err
	}
	defer f.Cleanup()
	if err := save(f); err != nil {
		return err
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return err
	}
	return s.syncDir()
}

// readCounters gives the file of counters to load. If it does not like it, it is moved aside.
func (s *store) readCounters(load func(io.Reader) error) error {
	f, err := s.open(fileCounters)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		defer f.Close()
		err = load(f)
	}
	if p := new(fs.PathError); err != nil && (!errors.As(err, &p) || errors.Is(err, unix.EIO)) {
		return s.aside(fileCounters, err, "all counters start from 0")
	}
	return err
}

func (s *store) syncDir() error {
	d, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
