package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"eximpolicyd/acl"
	"eximpolicyd/internal/config"
	"eximpolicyd/internal/control"
	"eximpolicyd/internal/ledger"
	"eximpolicyd/internal/origin"
	"eximpolicyd/policy"
)

// Of what makes the stamps of messages, and tells them.
const (
	keysFile   = "origin.keys"    // below the folder of the memory, whose lock guards both
	whoseFile  = "origin.names"   // likewise
	stampsRest = 10 * time.Second // between two saves, if a name is new: what a crash may lose
	maxNames   = 64 << 20         // octets that are read; a book writes a third of it
)

// stamps keeps the keys of the header field X-Eximpolicyd-Origin and the names it stands for on the disk. Without them mail
// flows without the field: that is told of once, and tried again as long as it lasts.
type stamps struct {
	*origin.Stamps
	state func() ledger.State
	log   func() *slog.Logger

	mu              sync.Mutex // one save at a time
	saved           uint64     // the edition that is on the disk
	open            bool
	locked, failing bool // told of: no keys, names not saved
}

func (s *stamps) file() *stateFile { return &stateFile{whoseFile, maxNames, s.state} }

// load reads what an earlier daemon has left, or makes the first key.
func (s *stamps) load() {
	damaged := 0
	err := s.file().read(func(r io.Reader) (err error) {
		_, damaged, err = s.Book.Load(r)
		return err
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		s.log().Error("accounts and directories of earlier mail can't be told: eximpolicyd origin says only whether it is ours", "error", err)
	case damaged > 0:
		s.log().Warn("some accounts and directories of earlier mail can't be told: their lines are damaged", "file", s.file().path(), "damaged", damaged)
	}
	s.saved = s.Book.Edition()
	s.unlock()
}

// unlock opens the keys, if they are not.
func (s *stamps) unlock() {
	st := s.state()
	err := errors.New("nothing is saved, state.save is off: a stamp would be unknown after the next start")
	switch {
	case s.open:
		return
	case st.Fault != "":
		err = errors.New(st.Fault)
	case st.Dir != "":
		err = s.Open(filepath.Join(st.Dir, keysFile), time.Now())
	}
	s.open = err == nil
	switch {
	case !s.open && !s.locked:
		s.locked = true
		s.log().Error("mail of ours goes out without "+origin.FieldName+", which says whose it is", "error", err)
	case s.open && s.locked:
		s.log().Info("mail of ours has " + origin.FieldName + " again")
	}
}

// keep saves until ctx ends. Call save once more then.
func (s *stamps) keep(ctx context.Context) {
	for pause(ctx, stampsRest) {
		s.unlock()
		s.save()
	}
}

// save replaces the file of names, if something has changed.
func (s *stamps) save() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	edition := s.Book.Edition()
	if edition == s.saved {
		return nil
	}
	err := s.file().write(s.Book.Save)
	switch {
	case err == nil:
		s.saved, s.failing = edition, false
	case !s.failing:
		s.failing = true
		s.log().Error("accounts and directories of our mail are not saved: eximpolicyd origin knows them only until the daemon ends; "+
			"this is tried again until it works", "error", err)
	}
	return err
}

// Forget removes an account from memory and from the disk.
func (s *stamps) Forget(account string) (int, error) {
	n := s.Book.Forget(account)
	return n, s.save()
}

// Origin tells a stamp.
func (s *stamps) Origin(field string) (control.Origin, error) {
	stamp, err := origin.ParseStamp(field)
	if err != nil {
		return control.Origin{}, err
	}
	t := s.Tell(&stamp)
	return control.Origin{Known: t.Known, Signed: t.Sealed, Account: t.Account, UID: t.UID, Directory: t.Dir, Program: t.Program}, nil
}

// Rekey signs with a new key.
func (s *stamps) Rekey() (string, error) {
	id, err := s.Rotate(time.Now())
	if err != nil {
		return "", fmt.Errorf("the key stays: %w", err)
	}
	return id, nil
}

// kept is what an earlier daemon has left besides its memory, in the folder of which it lies. The decisions are still to be
// loaded: that takes a while, and nobody's judgement waits for them.
func (s *server) kept(door *acl.Server) (*decisions, *stamps) {
	recent := &decisions{Ring: door.Ring(), state: s.memory.State, log: s.log.Load}
	recent.Limit(roomFor(acl.RingOctets))
	recent.loading.Add(1)
	whose := &stamps{Stamps: &s.stamps, state: s.memory.State, log: s.log.Load}
	whose.load()
	return recent, whose
}

// stamped says of a configuration what the door does with messages of ours.
func stamped(c *config.Config, settings *acl.Settings, by *origin.Stamps, of *senders) {
	settings.Stamps, settings.Programs = by, of
	own, ok := c.Policies["origin"].Settings.(*policy.Origin)
	for i := range settings.Decider.Rules {
		if b := &settings.Decider.Rules[i]; b.Policy.Name == "origin" && b.Mode != policy.Off {
			settings.Strip = ok && own.Shows()
		}
	}
}
