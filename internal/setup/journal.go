package setup

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"
)

// stateFolder keeps the journal: root's alone, and not below the daemon's own folder, which its user can change.
const stateFolder = "/var/lib/eximpolicyd-setup"

// Second names that a file's old inode has. Neither run-parts nor Exim takes them for files of theirs.
const (
	undoName   = ".eximpolicyd-undo"   // while a change is under way
	beforeName = ".eximpolicyd-before" // as long as we are in: the file as it was without us
)

// A journal is what one run does to the disk, written before it begins and kept until setup is taken out. It is at most some
// 20 entries. Without it nothing can be undone that was under way, and Remove goes by the marks alone: the bytes come out the
// same, the times do not.
type journal struct {
	Version   string   `json:"version"`
	Flavour   string   `json:"flavour"`
	Config    string   `json:"config"` // Exim's configuration file
	Phase     phase    `json:"phase"`
	Changes   []change `json:"changes"`
	Folders   []folder `json:"folders"`
	Last      bool     `json:"last,omitempty"`      // it takes out the last of ours
	Concluded bool     `json:"concluded,omitempty"` // second names are gone, and folders noted
	Images    []string `json:"images,omitempty"`    // the processes of Exim that have read the configuration from before
	Former    *journal `json:"former,omitempty"`    // of the run before, until this one is at its end

	path string
}

// phase says how far a run has come. A phase that ends in "ing" is one that somebody must finish or undo.
type phase string

const (
	adding   phase = "adding"
	added    phase = "added"
	removing phase = "removing"
	leaving  phase = "leaving" // Exim no longer asks, but files stay until no process of it reads them
)

// A change is one file: made, replaced or removed. The old one is never touched, so that its second name is all that going
// back needs; its mode and owner are for the one that replaces it.
type change struct {
	Path    string `json:"path"`
	Existed bool   `json:"existed"`
	Mode    uint32 `json:"mode,omitempty"`
	UID     int    `json:"uid,omitempty"`
	GID     int    `json:"gid,omitempty"`
	After   string `json:"after,omitempty"`  // checksum of what we write; "" if that is not known before
	Keep    bool   `json:"keep,omitempty"`   // the old file is kept as long as we are in
	Before  bool   `json:"before,omitempty"` // the change is to bring the file of beforeName back
}

// A folder is one whose time a run changes, or that it makes or removes. Times are mtimes in ns.
type folder struct {
	Path   string `json:"path"`
	Time   int64  `json:"time"`             // as this run found it; 0 if it does not touch it
	Made   bool   `json:"made,omitempty"`   // this run makes it
	Ours   bool   `json:"ours,omitempty"`   // a run of ours has made it
	Before int64  `json:"before,omitempty"` // as it was without us; 0 if nobody knows
	After  int64  `json:"after,omitempty"`  // as we left it
}

// loadJournal returns the journal, or nil if there is none.
func loadJournal(dir string) (*journal, error) {
	j := &journal{path: filepath.Join(dir, "journal.json")}
	b, _, err := read(j.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, j); err != nil {
		return nil, fault(Dirty, "look at the files that it names, and take it away", "%s is damaged: %w", j.path, err)
	}
	return j, nil
}

// save writes the journal, whole and to the disk.
func (j *journal) save() error {
	b, err := json.MarshalIndent(j, "", " ")
	if err != nil {
		return err
	}
	return renameio.WriteFile(j.path, append(b, '\n'), 0o600, renameio.WithTempDir(filepath.Dir(j.path)), renameio.WithStaticPermissions(0o600))
}

// note adds a change to the journal, with the file as it is now.
func (j *journal) note(path string) (*change, error) {
	c := change{Path: path}
	_, info, err := read(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		owner := info.Sys().(*syscall.Stat_t) // what Stat fills in on Linux
		c.Existed, c.Mode, c.UID, c.GID = true, uint32(info.Mode().Perm()), int(owner.Uid), int(owner.Gid)
	}
	j.Changes = append(j.Changes, c)
	return &j.Changes[len(j.Changes)-1], j.noteFolder(filepath.Dir(path))
}

// noteFolder adds a folder with its time; one that is not there will be made.
func (j *journal) noteFolder(path string) error {
	for i := range j.Folders {
		if j.Folders[i].Path == path {
			return nil
		}
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := j.noteFolder(filepath.Dir(path)); err != nil {
			return err
		}
		j.Folders = append(j.Folders, folder{Path: path, Made: true, Ours: true})
	case err != nil:
		return err
	default:
		now := info.ModTime().UnixNano()
		j.Folders = append(j.Folders, folder{Path: path, Time: now, Before: now})
	}
	return nil
}

// undo brings back what was, from wherever the run has come to. It only renames, removes and sets times, and does no harm
// twice.
func (j *journal) undo() error {
	var errs []error
	for i := len(j.Changes) - 1; i >= 0; i-- {
		errs = append(errs, j.Changes[i].undo())
	}
	j.sweep()
	for i := len(j.Folders) - 1; i >= 0; i-- {
		if f := j.Folders[i]; f.Made && exists(f.Path) {
			errs = append(errs, os.Remove(f.Path))
		}
	}
	for _, f := range j.Folders {
		if !f.Made && f.Time != 0 {
			errs = append(errs, setTime(f.Path, f.Time))
		}
	}
	return errors.Join(errs...)
}

// undo brings one file back.
func (c *change) undo() error {
	old := c.Path + undoName
	if !exists(old) {
		if c.Existed || !exists(c.Path) {
			return nil // not begun
		}
		if c.After != "" {
			if b, _, err := read(c.Path); err != nil || checksum(b) != c.After {
				return fault(Dirty, "move it away, and run this again", "%s was changed by somebody else in the meantime: it stays", c.Path)
			}
		}
		return os.Remove(c.Path)
	}
	if c.Before && !exists(c.Path+beforeName) {
		if err := os.Link(c.Path, c.Path+beforeName); err != nil {
			return err
		}
	}
	if err := os.Rename(old, c.Path); err != nil {
		return err
	}
	if same(c.Path, old) { // a rename of two names of one file does nothing
		return os.Remove(old)
	}
	return nil
}

// same reports whether two names are there for one file.
func same(a, b string) bool {
	x, err := os.Lstat(a)
	if err != nil {
		return false
	}
	y, err := os.Lstat(b)
	return err == nil && os.SameFile(x, y)
}

// setTime sets when a file or folder was changed last, and leaves when it was read.
func setTime(path string, ns int64) error {
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, unix.NsecToTimespec(ns)}
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, times, unix.AT_SYMLINK_NOFOLLOW)
}

// sweep removes unfinished files of renameio that a killed run has left.
func (j *journal) sweep() {
	for _, c := range j.Changes {
		dir, base := filepath.Split(c.Path)
		unfinished := regexp.MustCompile(`^\.` + regexp.QuoteMeta(base) + `[0-9]+$`)
		names, err := os.ReadDir(filepath.Clean(dir))
		if err != nil {
			continue // then there is nothing of ours in it
		}
		for _, n := range names {
			if unfinished.MatchString(n.Name()) && n.Type().IsRegular() {
				_ = os.Remove(filepath.Join(dir, n.Name())) // it is nobody's, and does no harm
			}
		}
	}
}

// commit ends a run: what was kept for going back goes, or stays as the file from before us.
func (j *journal) commit() error {
	var errs []error
	for i := range j.Changes {
		c := &j.Changes[i]
		old := c.Path + undoName
		if !exists(old) {
			continue
		}
		if c.Keep && !exists(c.Path+beforeName) {
			errs = append(errs, os.Rename(old, c.Path+beforeName))
			continue
		}
		errs = append(errs, os.Remove(old))
	}
	return errors.Join(errs...)
}

// stamp notes how the run leaves the folders.
func (j *journal) stamp() {
	for i := range j.Folders {
		f := &j.Folders[i]
		if info, err := os.Lstat(f.Path); err == nil && f.Time != 0 {
			f.After = info.ModTime().UnixNano()
		}
	}
}
