package setup

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/renameio/v2"
)

// journal begins one; nothing is written yet.
func (s *Setup) journal(p phase) *journal {
	return &journal{Version: s.o.Version, Flavour: s.flavour, Config: s.conf, Phase: p, path: filepath.Join(s.state, "journal.json")}
}

// A step is one change to the disk.
type step func() error

// carry does the steps of a journal, or brings back what was. A signal is looked for between two steps. prove is asked in
// the end; after that nothing is brought back.
func (s *Setup) carry(ctx context.Context, j *journal, steps []step, end phase) error {
	for _, c := range j.Changes {
		if exists(c.Path + undoName) {
			return fault(Dirty, "see which of the two you want", "%s is left from a run whose journal is gone", c.Path+undoName)
		}
	}
	if err := j.save(); err != nil {
		return fault(Failed, "nothing was changed", "cannot write the journal: %w", err)
	}
	err := s.makeFolders(j)
	for _, do := range steps {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = do()
		}
	}
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		j.Phase, j.Images = end, s.images()
		err = j.save()
	}
	if err == nil {
		if err := s.conclude(j); err != nil { // nothing is brought back any more, and the next run concludes
			s.o.Say("the last of the tidying is left for the next run: " + err.Error())
		}
		return nil
	}
	if undone := j.undo(); undone != nil {
		return s.dirty(j, errors.Join(err, undone))
	}
	if ferr := s.forget(j); ferr != nil {
		err = errors.Join(err, ferr)
	}
	if errors.Is(err, context.Canceled) {
		return fault(Busy, "", "interrupted: everything is as before")
	}
	var f *Fault
	if errors.As(err, &f) {
		return fault(f.Kind, f.Hint, "%w: everything is as before", err)
	}
	return fault(Failed, "", "%w: everything is as before", err)
}

// conclude ends a run after which nothing is brought back: second names go, and on the way out the kept files and our own
// folders; then the journal notes how it leaves the others.
func (s *Setup) conclude(j *journal) error {
	errs := []error{j.commit()}
	if j.Phase == leaving {
		kept := []string{j.Config}
		if s.debian() {
			kept = append(kept, debianMacros)
		}
		for _, path := range kept {
			if exists(path + beforeName) {
				errs = append(errs, os.Remove(path+beforeName))
			}
		}
		for _, f := range slices.Backward(j.Folders) {
			if f.Ours && exists(f.Path) && j.Last && os.Remove(f.Path) != nil {
				s.o.Say(f.Path + " stays: something else is in it")
			}
		}
	}
	j.stamp()
	j.Former, j.Concluded = nil, errors.Join(errs...) == nil
	return errors.Join(append(errs, j.save())...)
}

// makeFolders makes those that are missing, from the top.
func (s *Setup) makeFolders(j *journal) error {
	for _, f := range j.Folders {
		if !f.Made || exists(f.Path) {
			continue
		}
		if err := os.Mkdir(f.Path, 0o755); err != nil {
			return err
		}
		if err := os.Chmod(f.Path, 0o755); err != nil { // whatever the umask is
			return err
		}
	}
	return nil
}

// put makes or replaces a file by a rename, with the owner and mode that it has, or root's and this mode. The old one keeps
// a name.
func (c *change) put(text []byte, mode os.FileMode) error {
	uid, gid := 0, 0
	if c.Existed {
		if err := os.Link(c.Path, c.Path+undoName); err != nil {
			return err
		}
		mode, uid, gid = os.FileMode(c.Mode), c.UID, c.GID
	}
	f, err := renameio.NewPendingFile(c.Path, renameio.WithTempDir(filepath.Dir(c.Path)), renameio.WithStaticPermissions(0o600))
	if err != nil {
		return err
	}
	defer f.Cleanup()
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := f.Chown(uid, gid); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}

// drop removes a file, which keeps its other name.
func (c *change) drop() error { return os.Rename(c.Path, c.Path+undoName) }

// bringBack puts the file from before us in the place of the one that we have made.
func (c *change) bringBack() error {
	if err := os.Link(c.Path, c.Path+undoName); err != nil {
		return err
	}
	return os.Rename(c.Path+beforeName, c.Path)
}

// inherit takes over what a former run knows of the time before us.
func (j *journal) inherit(former *journal) {
	j.Former = former
	if former == nil {
		return
	}
	former.Former = nil
	for _, old := range former.Folders {
		known := false
		for i := range j.Folders {
			f := &j.Folders[i]
			if f.Path != old.Path {
				continue
			}
			known = true
			f.Ours = f.Ours || old.Ours
			if f.Before = 0; f.Time == old.After {
				f.Before = old.Before
			}
		}
		if !known {
			old.Made, old.Time = false, 0 // this run does not touch it
			j.Folders = append(j.Folders, old)
		}
	}
}
