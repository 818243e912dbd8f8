package setup

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxFile is the most that is read of one file: a whole configuration has under 100 kB.
const maxFile = 8 << 20

// rootOnly wants that nobody but root can change what lies in a folder: it and all folders above are root's, no link, and
// not writable for others; a sticky one above it will do, whose entry is root's. So a path below it means the same file from
// one system call to the next.
func rootOnly(folder string) error {
	if !filepath.IsAbs(folder) || filepath.Clean(folder) != folder {
		return fault(Forbidden, "", "%s is not a plain absolute path", folder)
	}
	path := "/"
	for _, name := range strings.Split(strings.TrimPrefix(folder, "/"), "/") {
		path = filepath.Join(path, name)
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return isLink(path, ", or make it a real folder")
		}
		if !info.IsDir() {
			return fault(Forbidden, "", "%s is not a folder", path)
		}
		if err := onlyRoots(path, info, path != folder); err != nil {
			return err
		}
	}
	return nil
}

// isLink is the fault of a link: where it leads may be named instead, or what else there is to do.
func isLink(path, or string) error {
	to, err := filepath.EvalSymlinks(path)
	if err != nil {
		to = "its end"
	}
	return fault(Forbidden, "name "+to+" instead"+or, "%s is a link, and setup never follows one", path)
}

// onlyRoots wants an owner and a mode that let nobody but root change a thing. Root's group may not write either: with an access
// list (acl(5)) these bits are its mask, and stand for any user whom it names.
func onlyRoots(path string, info fs.FileInfo, sticky bool) error {
	owner := info.Sys().(*syscall.Stat_t) // what Lstat fills in on Linux
	mode := info.Mode().Perm()
	switch {
	case owner.Uid != 0:
		return fault(Forbidden, "chown root "+path, "%s belongs to uid %d, who could change it: setup reads, runs and writes only what is root's", path, owner.Uid)
	case mode&0o002 != 0 && !(sticky && info.Mode()&fs.ModeSticky != 0):
		return fault(Forbidden, "chmod o-w "+path, "%s can be changed by everybody (mode %04o): setup reads, runs and writes only what is root's", path, mode)
	case mode&0o020 != 0 && !(sticky && info.Mode()&fs.ModeSticky != 0):
		return fault(Forbidden, "chmod g-w "+path, "%s can be changed by group %d (mode %04o): setup reads, runs and writes only what is root's", path, owner.Gid, mode)
	}
	return nil
}

// read returns a regular file that only root can change, and what it is. That there is none is fs.ErrNotExist.
func read(path string) ([]byte, fs.FileInfo, error) {
	if err := rootOnly(filepath.Dir(path)); err != nil {
		return nil, nil, err
	}
	return readIn(path)
}

// readIn is read for a file whose folder is known to be root's.
func readIn(path string) ([]byte, fs.FileInfo, error) {
	// Without O_NONBLOCK a pipe that somebody has put there would hold us.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) {
		return nil, nil, fault(Forbidden, "make it a real file", "%s is a link, and setup never follows one", path)
	}
	if errors.Is(err, unix.ENXIO) { // a socket
		return nil, nil, fault(Forbidden, "take it away", "%s is not a regular file", path)
	}
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fault(Forbidden, "take it away", "%s is not a regular file", path)
	}
	if err := onlyRoots(path, info, false); err != nil {
		return nil, nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fault(BadConfiguration, "", "%s is longer than %d MB, and no configuration", path, maxFile>>20)
	}
	return b, info, err
}

// program wants a file that root may run: a regular one, executable, and root's like all folders above it.
func program(path string) error {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path {
		return fault(Usage, "", "%s is not a plain absolute path", path)
	}
	if err := rootOnly(filepath.Dir(path)); err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return isLink(path, "")
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o100 == 0 {
		return fault(Forbidden, "", "%s is no program", path)
	}
	return onlyRoots(path, info, false)
}

// exists reports whether something has this name, a link that leads nowhere too.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
