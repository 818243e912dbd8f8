package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
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

// load makes and locks the folder and reads the bans in it.
func (s *store) load() (f found, err error) {
	if err := os.MkdirAll(s.dir, 0o750); err != nil {
		return f, err
	}
	if err := s.acquire(); err != nil {
		return f, err
	}
	s.tidy()
	f, fit, err := s.readBans()
	var damaged unsound
	switch {
	case errors.Is(err, fs.ErrNotExist):
		fit, err = false, nil
	case errors.As(err, &damaged), errors.Is(err, unix.EIO):
		f, fit, err = found{}, false, s.aside(fileBans, err, "no ban is known any more")
	}
	s.loaded, s.trust = err == nil, doubted
	if fit {
		s.trust = sound
	}
	return f, err
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

// fit opens the file of bans for changes, and reports whether it could: else it is to be written anew. One that was put
// in its place while we run is nothing that we know.
func (s *store) fit() bool {
	if s.db != nil && s.is(fileBans, s.file) {
		return true
	}
	if s.db != nil {
		s.closeDB(nil)
		s.trust = doubted
		err := s.aside(fileBans, errors.New("it was put there while the daemon ran"), "the daemon's own is written anew")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("a strange file of bans is overwritten", "file", s.path(fileBans), "error", err)
		}
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

// put writes changes into a transaction. They are sorted first: bbolt keeps what is new in one page until it commits, and
// moves all behind a key that goes between others.
func put(tx *bbolt.Tx, m moment, list []change) error {
	bucket, err := tx.CreateBucketIfNotExists([]byte(bucketName))
	if err != nil {
		return err
	}
	var state stored
	if old := bucket.Get([]byte(stateKey)); old == nil {
		bucket.FillPercent = 0.9 // all of a new file comes in order
	} else if err := unseal([]byte(stateKey), old, &state); err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b change) int { return bytes.Compare(a.key(), b.key()) })
	for i := range list {
		key := list[i].key()
		value, err := list[i].value()
		if err != nil {
			return err
		}
		old := bucket.Get(key)
		state.count(old, -1)
		state.count(value, 1)
		switch {
		case value != nil:
			err = bucket.Put(key, value)
		case old != nil:
			err = bucket.Delete(key)
		}
		if err != nil {
			return err
		}
	}
	state.Version, state.moment = version, m
	value, err := seal([]byte(stateKey), state)
	if err != nil {
		return err
	}
	return bucket.Put([]byte(stateKey), value)
}

func (s *store) openDB(name string) error {
	db, err := bbolt.Open(s.path(name), 0o600, &bbolt.Options{
		Timeout: time.Second, FreelistType: bbolt.FreelistMapType, MaxSize: maxFile, NoStatistics: true,
		OpenFile: func(path string, flag int, mode fs.FileMode) (*os.File, error) {
			file, err := os.OpenFile(path, flag|unix.O_NOFOLLOW, mode)
			s.file = file
			return file, err
		},
	})
	if err == nil {
		s.db = db
	}
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

// close closes all files. The lock goes last, and in so many words: a process that is just being started has it, too.
func (s *store) close() {
	s.closeDB(nil)
	if s.lock != nil {
		_ = unix.Flock(int(s.lock.Fd()), unix.LOCK_UN)
		s.lock.Close()
		s.lock = nil
	}
}
