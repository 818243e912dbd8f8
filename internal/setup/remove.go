package setup

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// install puts a generated configuration in its place: the file from before us, if it is that again, else a new one.
func (s *Setup) install(c *change, conf string) error {
	text, err := os.ReadFile(conf) // in the private folder
	if err != nil {
		return err
	}
	return c.settle(text)
}

// settle gives a file a text: by bringing back the one from before us where that has it.
func (c *change) settle(text []byte) error {
	if now, _, err := read(c.Path); err == nil && bytes.Equal(now, text) {
		return nil
	}
	if c.Before {
		before, _, err := read(c.Path + beforeName)
		if err == nil && (bytes.Equal(before, text) || c.Path == debianGenerated && bytes.Equal(nameless(before), nameless(text))) {
			return c.bringBack()
		}
	}
	return c.put(text, 0o644)
}

// Remove takes out what Add has put in. Files that a running Exim still reads stay until it does not: then it says so, and
// is run again.
func (s *Setup) Remove(ctx context.Context) error {
	if err := s.refusePanel(); err != nil {
		return err
	}
	if err := s.take(); err != nil {
		return err
	}
	former, err := loadJournal(s.state)
	if err != nil {
		return err
	}
	if former != nil && former.Flavour != s.flavour {
		return fault(BadConfiguration, s.rearranged(former), "%s was arranged as %s when setup was run, and is as %s now", s.conf, former.Flavour, s.flavour)
	}
	ours, err := s.findOurs()
	if err != nil {
		return err
	}
	if len(ours.files)+len(ours.shared) == 0 {
		s.o.Say("nothing of ours is in Exim")
		if former != nil && former.Phase == added { // somebody has taken it out by hand
			former.Phase, former.Last = leaving, true
			if err := s.conclude(former); err != nil {
				return err
			}
		}
		return s.clean(former)
	}
	if s.flavour != "debian-unsplit" {
		return s.removeAll(ctx, s.journal(removing), former, ours)
	}
	return s.removeRead(ctx, former, ours)
}

// removeRead takes out files that Exim reads when it is asked, of which a missing one is a 451 for all mail: first nothing
// may name them, then no process may go by a configuration that did.
func (s *Setup) removeRead(ctx context.Context, former *journal, ours found) error {
	err := s.readOptions(ctx) // after what a killed run has left is undone
	if err != nil {
		return err
	}
	if len(ours.shared) > 0 || s.named() != "" {
		if err := s.leave(ctx, s.journal(removing), former, ours); err != nil {
			return err
		}
		if former, err = loadJournal(s.state); err == nil {
			err = s.readOptions(ctx)
		}
		if err != nil {
			return err
		}
		if option := s.named(); option != "" {
			return fault(BadConfiguration, "take that line out, and run this again", "%s: %s still names a file of ours", s.optionAt(option), option)
		}
	} else if former == nil || former.Phase != leaving { // somebody has taken the line out by hand
		if former == nil {
			former = s.journal(leaving)
		}
		former.Phase, former.Images, former.Concluded = leaving, s.images(), true
		if err := former.save(); err != nil {
			return fault(Failed, "nothing was changed", "cannot write the journal: %w", err)
		}
	}
	switch pids, err := s.await(ctx, former); {
	case err != nil:
		return err
	case len(pids) > 0:
		return s.stillRead(pids)
	}
	ours.shared = nil
	return s.removeAll(ctx, s.journal(removing), former, ours)
}

// stillRead says that the files must wait for processes of Exim, and how they end.
func (s *Setup) stillRead(pids []string) error {
	hint := "eximpolicyd setup --remove --reload reloads Exim and takes them out"
	if s.o.Reload { // what has not ended by itself by now is a session, or a run of the queue
		hint = "Exim is reloaded, and these end with the session or the queue run that they serve: run this again then"
	}
	if len(pids) > maxTold {
		pids = append(pids[:maxTold:maxTold], "...")
	}
	return fault(Busy, hint, "Exim's configuration is as it was, but the files in %s stay for now: processes of Exim from before still read them (pid %s)",
		s.dir, strings.Join(pids, ", "))
}

const maxTold = 10 // processes that are named

// named is an option of Exim's that names a file of ours, or "".
func (s *Setup) named() string {
	for _, h := range s.hooks() {
		if h.ours != "" && s.option(h.option) == h.ours {
			return h.option
		}
	}
	return ""
}

// found are the files of ours and the administrator's files with lines of ours, as they are on the disk.
type found struct {
	files  []string
	shared []string
}

// findOurs looks for what is ours where we put it. What somebody has edited is a fault, unless he says that it may go.
func (s *Setup) findOurs() (f found, err error) {
	paths, err := s.ownPaths()
	if err != nil {
		return f, err
	}
	for _, path := range paths {
		have, err := readOwn(path)
		if err != nil {
			return f, err
		}
		if have == nil {
			continue
		}
		switch judge(have, "") {
		case foreign:
			err = fault(BadConfiguration, "copy what you need of it elsewhere, and run this again with --force", "%s is not made by setup", path)
		case edited:
			err = fault(BadConfiguration, "copy what you need of it elsewhere, and run this again with --force", "%s has been edited since setup made it", path)
		}
		if err != nil && !s.o.Force {
			return f, err
		}
		f.files = append(f.files, path)
	}
	for _, path := range s.shared() {
		have, err := readOwn(path)
		if err != nil {
			return f, err
		}
		if left := pairs(without(have)); len(left) > 0 {
			return f, fault(BadConfiguration, "take that line and the one above it out, and run this again", "%s:%d: a line of ours has been edited: %q",
				path, left[0].line, strings.TrimSpace(left[0].text))
		}
		if len(pairs(have)) > 0 {
			f.shared = append(f.shared, path)
		}
	}
	return f, nil
}

// unshare adds the steps that take our lines out of the administrator's files, and one that was only ours away.
func (s *Setup) unshare(j *journal, paths []string) (steps []step, err error) {
	for _, path := range paths {
		have, err := readOwn(path)
		if err != nil {
			return nil, err
		}
		c, err := j.note(path)
		if err != nil {
			return nil, err
		}
		text := without(have)
		c.Before = exists(path + beforeName)
		at := len(j.Changes) - 1
		if len(text) == 0 && !c.Before {
			steps = append(steps, func() error { return j.Changes[at].drop() })
			continue
		}
		steps = append(steps, func() error { return j.Changes[at].settle(text) })
	}
	return steps, nil
}

// leave takes Debian's one-file configuration back, and lets the ACL files stand.
func (s *Setup) leave(ctx context.Context, j, former *journal, ours found) error {
	steps, err := s.unshare(j, ours.shared)
	if err == nil {
		steps, err = s.regenerate(ctx, j, steps)
	}
	if err != nil {
		return err
	}
	j.inherit(former)
	if err := s.carry(ctx, j, append(steps, func() error { return s.tested(ctx, "") }), leaving); err != nil {
		return err
	}
	s.o.Say("Exim's configuration is as it was without us")
	return s.reload(ctx)
}

// regenerate is generateStep on the way out.
func (s *Setup) regenerate(ctx context.Context, j *journal, steps []step) ([]step, error) {
	steps, err := s.generateStep(ctx, j, steps, false)
	if err == nil {
		j.Changes[len(j.Changes)-1].Before = exists(debianGenerated + beforeName)
	}
	return steps, err
}

// removeAll takes out everything that is left, what refers to a file before the file.
func (s *Setup) removeAll(ctx context.Context, j, former *journal, ours found) error {
	steps, err := s.unshare(j, ours.shared)
	for _, path := range slices.Backward(ours.files) {
		if err == nil {
			_, err = j.note(path)
		}
		if err != nil {
			return err
		}
		at := len(j.Changes) - 1
		steps = append(steps, func() error { return j.Changes[at].drop() })
	}
	if s.flavour == "debian-split" && err == nil {
		steps, err = s.regenerate(ctx, j, steps)
	}
	if err != nil {
		return err
	}
	if former != nil {
		for _, f := range former.Folders {
			if f.Ours { // it goes, and that changes the one above
				if err := j.noteFolder(filepath.Dir(f.Path)); err != nil {
					return err
				}
			}
		}
	}
	j.inherit(former)
	j.Last = true
	if err := s.carry(ctx, j, append(steps, func() error { return s.tested(ctx, "") }), leaving); err != nil {
		return err
	}
	for _, path := range ours.files {
		s.o.Say("removed " + path)
	}
	for _, path := range ours.shared {
		s.o.Say("taken out of " + path)
	}
	if err := s.clean(j); err != nil {
		return err
	}
	if s.flavour == "debian-unsplit" {
		return nil // Exim was told before
	}
	return s.reload(ctx)
}

// clean gives folders the time they had without us, unless somebody else has changed them since, and ends the journal.
func (s *Setup) clean(j *journal) error {
	if j == nil {
		return nil
	}
	var errs []error
	for _, f := range j.Folders {
		if info, err := os.Lstat(f.Path); err == nil && f.Before != 0 && f.After == info.ModTime().UnixNano() {
			errs = append(errs, setTime(f.Path, f.Before))
		}
	}
	return errors.Join(append(errs, os.Remove(j.path))...)
}
