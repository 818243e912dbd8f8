package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"eximpolicyd/internal/ledger"
	"eximpolicyd/internal/origin"
)

// stampsIn makes stamps that are kept in a folder, with what the log says.
func stampsIn(t *testing.T, st *ledger.State) (*stamps, *bytes.Buffer) {
	t.Helper()
	log := &bytes.Buffer{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	return &stamps{Stamps: &origin.Stamps{}, state: func() ledger.State { return *st }, log: func() *slog.Logger { return logger }}, log
}

// sent is a message of an account.
func sent(account string) *origin.Mail {
	return &origin.Mail{Time: time.Now(), Source: "sendmail", Account: account, Dir: "/home/" + account}
}

func TestWithoutAFolderThereIsNoStampAndItIsToldOnce(t *testing.T) {
	st := ledger.State{}
	s, log := stampsIn(t, &st)
	s.load()
	s.unlock()
	if s.Stamp(sent("anna")) != "" || strings.Count(log.String(), "state.save is off") != 1 {
		t.Error(log)
	}
	if _, err := s.Rekey(); err == nil {
		t.Error("a key is made that nobody keeps")
	}
}

func TestAFolderThatComesLaterIsUsed(t *testing.T) {
	st := ledger.State{Dir: t.TempDir(), Fault: "the disk is full"}
	s, log := stampsIn(t, &st)
	s.load()
	s.unlock()
	if left, err := os.ReadDir(st.Dir); err != nil || len(left) > 0 || s.Stamp(sent("anna")) != "" {
		t.Errorf("%v %v", left, err)
	}
	st.Fault = ""
	s.unlock()
	field := s.Stamp(sent("anna"))
	if field == "" || strings.Count(log.String(), "goes out without") != 1 {
		t.Errorf("%q %s", field, log)
	}
	if got, err := s.Origin(field); err != nil || !got.Signed || got.Account != "anna" || got.Directory != "/home/anna" {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := s.Origin("v=3"); err == nil {
		t.Error("what is no field is told")
	}
}

func TestNamesAreSavedOnlyWhenTheyHaveChangedAndAFullDiskIsToldOnce(t *testing.T) {
	st := ledger.State{Dir: t.TempDir()}
	s, log := stampsIn(t, &st)
	s.load()
	path := filepath.Join(st.Dir, whoseFile)
	if err := s.save(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("nothing is written")
	}
	s.Stamp(sent("anna"))
	st.Fault = "the disk is full"
	first, second := s.save(), s.save()
	if first == nil || second == nil || strings.Count(log.String(), "are not saved") != 1 {
		t.Error(log)
	}
	st.Fault = ""
	if err := s.save(); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || strings.Count(string(text), "\n") != 2 {
		t.Errorf("%q %v", text, err)
	}
	write(t, st.Dir, whoseFile, string(text)+"rubbish\n")
	write(t, st.Dir, "."+whoseFile+"123", "cut off")
	next, log := stampsIn(t, &st)
	next.load()
	if !strings.Contains(log.String(), "damaged=1") {
		t.Error(log)
	}
	if _, err := os.Stat(filepath.Join(st.Dir, "."+whoseFile+"123")); err == nil {
		t.Error("what a save that was cut off has left is still there")
	}
	if n, err := next.Forget("anna"); n != 1 || err != nil {
		t.Error(n, err)
	}
	if text, err := os.ReadFile(path); err != nil || strings.Contains(string(text), `"account"`) || !strings.Contains(string(text), "/home/anna") {
		t.Errorf("%q %v", text, err)
	}
}

func TestNamesThatAreALinkAreNotFollowed(t *testing.T) {
	st := ledger.State{Dir: t.TempDir()}
	elsewhere := write(t, t.TempDir(), "names", `{"token":"AAAA","kind":"account","text":"anna","seen":"2026-11-25T19:12:31Z"}`+"\n")
	if err := os.Symlink(elsewhere, filepath.Join(st.Dir, whoseFile)); err != nil {
		t.Fatal(err)
	}
	s, log := stampsIn(t, &st)
	s.load()
	if s.Book.Edition() != 0 || !strings.Contains(log.String(), "can't be told") {
		t.Error(log)
	}
	s.Stamp(sent("bob"))
	if err := s.save(); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(elsewhere); err != nil || strings.Contains(string(text), "bob") {
		t.Errorf("%q %v", text, err)
	}
}
