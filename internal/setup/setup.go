package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	eximsnippets "eximpolicyd/exim-snippets"
)

// Options says what to put in, and where. The zero value but for Version is what an installation as it comes needs.
type Options struct {
	Version string // of the program, for the marks
	Flavour string // one of eximsnippets.All, or "" to find out
	Exim    string // the program, or "" to find it
	Config  string // Exim's configuration file where that is not its own; not for Debian's
	Socket  string // the daemon's, or "" for the usual one
	Timeout string // of one question, or "" for the usual one
	Freeze  bool   // the daemon holds mail in Exim's queue: policy.nobody.action
	Force   bool   // files of ours that somebody has edited are ours
	Reload  bool   // tell a running Exim of the change
	Say     func(line string)
}

// A Setup is one run on one Exim. It is for one goroutine, and Close ends it.
type Setup struct {
	o        Options
	flavour  string
	exim     string // the program
	conf     string // Exim's configuration file
	dir      string // where our files lie
	uid, gid int    // of Exim's user
	options  map[string]string
	private  string   // the private folder
	lock     *os.File // held by whoever changes something
	state    string   // stateFolder
}

// Open finds Exim and how it is arranged, and wants its configuration to be good. Nothing is changed.
func Open(ctx context.Context, o Options) (*Setup, error) {
	if os.Geteuid() != 0 {
		return nil, fault(Forbidden, "run it as root", "setup reads and writes what is root's")
	}
	if o.Flavour != "" && !slices.Contains(eximsnippets.All(), o.Flavour) {
		return nil, fault(Usage, "use one of "+strings.Join(eximsnippets.All(), ", "), "there is no flavour %q", o.Flavour)
	}
	if o.Say == nil {
		o.Say = func(string) {}
	}
	if o.Socket == "" {
		o.Socket = eximsnippets.DefaultSocket
	}
	s := &Setup{o: o, state: stateFolder}
	var err error
	if s.exim, err = findExim(o.Exim); err != nil {
		return nil, err
	}
	if err = s.openPrivate(); err == nil {
		err = s.learn(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// learn asks Exim for its configuration, its user and its options.
func (s *Setup) learn(ctx context.Context) error {
	if s.o.Config != "" {
		if _, _, err := read(s.o.Config); errors.Is(err, fs.ErrNotExist) {
			return fault(Usage, "", "there is no %s", s.o.Config)
		} else if err != nil {
			return err
		}
	}
	if err := s.tested(ctx, ""); err != nil {
		hint := "mend that first; nothing was changed"
		if strings.Contains(err.Error(), "/eximpolicyd-") { // one of ours is gone, and Exim with it
			hint = "if a file of ours is missing: eximpolicyd snippets --flavour stock --dir (its folder), then " + again + " --force"
		}
		return fault(BadConfiguration, hint, "Exim does not take its configuration: %w", err)
	}
	if err := s.readOptions(ctx); err != nil {
		return err
	}
	if s.conf = s.o.Config; s.conf == "" {
		r := s.eximAt(ctx, "", "", "-bP", "configure_file")
		s.conf = strings.TrimSpace(r.out)
		if r.err != nil || !filepath.IsAbs(s.conf) {
			return fault(BadConfiguration, "name it with --config", "exim -bP configure_file: %s", firstWords(r))
		}
	}
	if err := s.eximsUser(); err != nil {
		return err
	}
	if err := s.lend(s.private); err != nil {
		return err
	}
	if err := s.choose(); err != nil {
		return err
	}
	if s.dir = eximsnippets.DefaultDir(s.flavour); s.flavour == "stock" {
		s.dir = filepath.Dir(s.conf)
	}
	return nil
}

// eximsUser finds the uid and gid that Exim runs as.
func (s *Setup) eximsUser() error {
	name, group := s.option("exim_user"), s.option("exim_group")
	u, err := user.Lookup(name)
	if err != nil {
		u, err = user.LookupId(name)
	}
	if err != nil {
		return fault(BadConfiguration, "", "Exim runs as %q, whom this machine does not know: %w", name, err)
	}
	gid := u.Gid
	if g, err := user.LookupGroup(group); err == nil {
		gid = g.Gid
	}
	if s.uid, err = strconv.Atoi(u.Uid); err != nil {
		return err
	}
	s.gid, err = strconv.Atoi(gid)
	return err
}

// choose finds the flavour, or holds the one named against what is there.
func (s *Setup) choose() error {
	found := "stock"
	if s.conf == debianGenerated {
		settings, _, err := read(debianSettings)
		if err != nil {
			return fmt.Errorf("how Debian arranges Exim: %w", err)
		}
		if found = "debian-unsplit"; split(settings) {
			found = "debian-split"
		}
	}
	for flavour, sign := range map[string]string{"cpanel": "/usr/local/cpanel", "directadmin": "/usr/local/directadmin"} {
		if exists(sign) {
			found = flavour
		}
	}
	s.flavour = s.o.Flavour
	if s.flavour == "" {
		s.flavour = found
	}
	if s.flavour != found && (strings.HasPrefix(found, "debian-") || s.debian()) {
		return fault(Usage, "leave --flavour out", "Exim's configuration is %s, which is arranged as %s and not as %s", s.conf, found, s.flavour)
	}
	return nil
}

// Flavour is the one found or named.
func (s *Setup) Flavour() string { return s.flavour }

// refusePanel says what to do where a panel writes the configuration.
func (s *Setup) refusePanel() error {
	if !slices.Contains(eximsnippets.Panels(), s.flavour) {
		return nil
	}
	return fault(BadConfiguration, "eximpolicyd snippets --flavour "+s.flavour+" prints the files, where each goes, and the steps",
		"the panel's own builder writes Exim's configuration, and would write over ours: its rooms for your own text are the way")
}

// sweepJournal removes journals that were never whole.
func (s *Setup) sweepJournal() {
	(&journal{Changes: []change{{Path: filepath.Join(s.state, "journal.json")}}}).sweep()
}

// take gets the lock, so that no other run changes anything, and undoes what a killed run has left.
func (s *Setup) take() error {
	if err := rootOnly(filepath.Dir(s.state)); err != nil {
		return err
	}
	if err := os.Mkdir(s.state, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fault(Failed, "", "cannot make a folder for the journal: %w", err)
	}
	if err := rootOnly(s.state); err != nil {
		return err
	}
	path := filepath.Join(s.state, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return fault(Failed, "", "%w", err)
	}
	held, err := f.Stat()
	if err == nil {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	now, lerr := os.Lstat(path)
	if err != nil || lerr != nil || !os.SameFile(held, now) {
		return errors.Join(fault(Busy, "wait for it", "another setup is running"), f.Close())
	}
	s.lock = f
	s.sweepPrivate()
	s.sweepJournal()
	return s.recover()
}

// glance refuses what take refuses, and changes nothing. What an earlier run has left is for one that may.
func (s *Setup) glance() error {
	if err := rootOnlyUpTo(s.state); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(s.state, "lock"), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err == nil {
		err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
		f.Close() // and lets go of it
		if err != nil {
			return fault(Busy, "wait for it", "another setup is running")
		}
	}
	j, err := loadJournal(s.state)
	if err == nil && j != nil && (j.Phase == adding || j.Phase == removing) {
		err = fault(Busy, "run eximpolicyd setup --add or --remove: it first brings back what was", "an earlier run did not come to its end")
	}
	return err
}

// recover brings back what was before a run that did not come to its end.
func (s *Setup) recover() error {
	j, err := loadJournal(s.state)
	if err != nil || j == nil {
		return err
	}
	switch j.Phase {
	case adding, removing:
		if err := j.undo(); err != nil {
			return s.dirty(j, err)
		}
		s.o.Say("an earlier run did not come to its end: what it had changed is as before")
		return s.forget(j)
	}
	if !j.Concluded {
		return s.conclude(j)
	}
	return nil
}

func (s *Setup) dirty(j *journal, err error) error {
	return fault(Dirty, "mend it, and run this again: "+j.path+" says how each file was", "what was changed could not all be brought back: %w", err)
}

// forget puts the journal in the place that the run before has left.
func (s *Setup) forget(j *journal) error {
	if j.Former != nil {
		j.Former.path = j.path
		return j.Former.save()
	}
	return os.Remove(j.path)
}

// letGo removes the folder of the journal if there is none in it.
func (s *Setup) letGo() {
	if s.lock == nil || exists(filepath.Join(s.state, "journal.json")) {
		return
	}
	_ = os.Remove(filepath.Join(s.state, "lock")) // whoever has it open sees that it is gone
	_ = os.Remove(s.state)
}
