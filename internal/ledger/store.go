package ledger

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/renameio/v2"
	"go.etcd.io/bbolt"
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

// store is the files of a folder. Only one goroutine uses it at a time. No call of it panics, whatever is in the files.
//
// The bans are in a bbolt file. It is read by readBolt, and bbolt, which only writes, is given it if that found it sound;
// else it is moved aside, and a new one is written beside and put in its place. So it is after a write that failed in a
// way that leaves in doubt what is on the disk.
type store struct {
	dir  string
	log  *slog.Logger
	wall func() time.Time

	lock   *os.File
	loaded bool // what is in the folder is known, or moved aside
	trust  trust
	db     *bbolt.DB
	file   *os.File // of db
}

// trust is what is known of the file of bans.
type trust uint8

const (
	unread  trust = iota // it has to be read
	sound                // bbolt may open it
	doubted              // it has to be written anew
)

func (s *store) path(name string) string { return filepath.Join(s.dir, name) }

// load makes and locks the folder and reads the bans in it.
func (s *store) load() (f found, err error) {
	if err := os.MkdirAll(s.dir, 0o750); err != nil {
		return f, err
	}
	if err := s.acquire(); err != nil {
		return f, err
	}
	s.sweep()
	f, fit, err := s.readBans()
	var damaged unsound
	switch {
	case errors.Is(err, fs.ErrNotExist):
		fit, err = false, nil
	case errors.As(err, &damaged), errors.Is(err, unix.EIO):
		f, fit, err = found{}, false, s.aside(fileBans, err)
	}
	s.loaded, s.trust = err == nil, doubted
	if fit {
		s.trust = sound
	}
	return f, err
}

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

// sweep removes what a write that was cut off has left.
func (s *store) sweep() {
	os.Remove(s.path(fileNew))
	left, _ := filepath.Glob(s.path("." + fileCounters + "[0-9]*"))
	for _, name := range left {
		os.Remove(name)
	}
}

// readBans reads the file of bans, and reports whether bbolt may open it.
func (s *store) readBans() (f found, fit bool, err error) {
	file, err := s.open(fileBans)
	if err != nil {
		return f, false, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return f, false, err
	}
	fit, err = readBolt(file, info.Size(), bucketName, f.add)
	if err == nil {
		err = f.check()
	}
	return f, fit && err == nil, err
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

// aside moves a damaged file away, to where nothing is yet, and says so.
func (s *store) aside(name string, why error) error {
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
	what := "no ban is known any more"
	if name == fileCounters {
		what = "all counters start from 0"
	}
	s.log.Error("a file of the memory is damaged and was moved aside: "+what, "file", s.path(name), "why", why, "moved_to", s.path(to),
		"fix", "check the disk; import an export if there is one; delete the file when it has been looked at")
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

// fit opens the file of bans for changes, and reports whether it could: else it is to be written anew.
func (s *store) fit() bool {
	if s.db != nil {
		return true
	}
	if s.trust == unread {
		s.trust = doubted
		if _, fit, err := s.readBans(); err == nil && fit {
			s.trust = sound
		}
	}
	if s.trust == doubted {
		return false
	}
	if err := s.guard(func() error { return s.openDB(fileBans) }); err != nil {
		s.trust = doubted
		s.closeDB(err)
	}
	return s.db != nil
}

// write saves changes. The file is fit.
func (s *store) write(m moment, list []change) error {
	err := s.guard(func() error { return s.db.Update(func(tx *bbolt.Tx) error { return put(tx, m, list) }) })
	if err != nil {
		s.trust = doubted
		if full(err) {
			s.trust = unread
		}
		s.closeDB(err)
	}
	return err
}

// rewrite writes a file anew that holds this and nothing else.
func (s *store) rewrite(m moment, list []change) error {
	s.closeDB(nil)
	s.trust = doubted
	if err := os.Remove(s.path(fileNew)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := s.guard(func() error {
		if err := s.openDB(fileNew); err != nil {
			return err
		}
		return s.db.Update(func(tx *bbolt.Tx) error { return put(tx, m, list) })
	})
	if err == nil {
		err = os.Rename(s.path(fileNew), s.path(fileBans))
	}
	if err == nil {
		err = s.syncDir()
	}
	if err != nil {
		s.closeDB(err)
		os.Remove(s.path(fileNew))
		return err
	}
	s.trust = sound
	return nil
}

// put writes changes into a transaction.
func put(tx *bbolt.Tx, m moment, list []change) error {
	bucket, err := tx.CreateBucketIfNotExists([]byte(bucketName))
	if err != nil {
		return err
	}
	for i := range list {
		key := list[i].key()
		value, err := list[i].value()
		if err == nil && value != nil {
			err = bucket.Put(key, value)
		} else if err == nil {
			err = bucket.Delete(key)
		}
		if err != nil {
			return err
		}
	}
	state, err := seal([]byte(stateKey), stored{version, m})
	if err != nil {
		return err
	}
	return bucket.Put([]byte(stateKey), state)
}

func (s *store) openDB(name string) (err error) {
	s.db, err = bbolt.Open(s.path(name), 0o600, &bbolt.Options{
		Timeout: time.Second, FreelistType: bbolt.FreelistMapType, MaxSize: maxFile, NoStatistics: true,
		OpenFile: func(path string, flag int, mode fs.FileMode) (*os.File, error) {
			s.file, err = os.OpenFile(path, flag|unix.O_NOFOLLOW, mode)
			return s.file, err
		},
	})
	return err
}

// panicked is what bbolt, or a disk that has gone from under its map, has thrown.
type panicked struct{ what any }

func (p panicked) Error() string { return fmt.Sprint("panic: ", p.what) }

// guard calls a function of bbolt's. It maps the file, so that a fault of the disk is a fault of memory.
func (s *store) guard(call func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if what := recover(); what != nil {
			err = panicked{what}
		}
	}()
	return call()
}

// closeDB closes the file of bans after an error, or after none. After a panic bbolt may hold its own locks for ever: then
// only the file is closed, and its map is left behind.
func (s *store) closeDB(after error) {
	if p := (panicked{}); s.db != nil && !errors.As(after, &p) {
		if err := s.guard(s.db.Close); err != nil {
			s.log.Debug("the file of bans was not closed as it should", "error", err)
		}
	} else if s.file != nil {
		s.file.Close()
	}
	s.db, s.file = nil, nil
}

// full reports whether a write found no room, which leaves what was there as it was. An error of fsync has no path.
func full(err error) bool {
	p := new(fs.PathError)
	return errors.As(err, &p) && p.Op == "write" && (errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT))
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
		return s.aside(fileCounters, err)
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

// close closes all files. The lock goes last.
func (s *store) close() {
	s.closeDB(nil)
	if s.lock != nil {
		s.lock.Close()
		s.lock = nil
	}
}
