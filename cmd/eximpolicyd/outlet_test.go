package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// stuck is a reader of the log who reads nothing until he is let.
type stuck struct {
	let chan struct{}
	got bytes.Buffer
}

func (s *stuck) Write(b []byte) (int, error) {
	<-s.let
	return s.got.Write(b)
}

func TestAReaderWhoDoesNotReadHoldsUpNoLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stuck{let: make(chan struct{})}
		o := newOutlet(s)
		line := []byte(strings.Repeat("x", 999) + "\n")
		for range 3 * outletSize / len(line) { // would block for ever, and synctest say so
			if n, err := o.Write(line); n != len(line) || err != nil {
				t.Fatal(n, err)
			}
		}
		close(s.let)
		time.Sleep(outletRest) // and the rest is written
		synctest.Wait()
		got := s.got.String()
		if len(got) > 2*outletSize+1000 || len(got) < outletSize-len(line) {
			t.Errorf("%d octets were kept", len(got))
		}
		if !strings.Contains(got, "lines of this log were lost: it was read too slowly\n") {
			t.Error("nobody says that lines were lost")
		}
		if want := uint64(3*outletSize/len(line) - strings.Count(got, "x\n")); o.dropped.Load() != want {
			t.Errorf("%d are counted, %d were lost", o.dropped.Load(), want)
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	})
}

// counted counts how often it is written to.
type counted struct {
	bytes.Buffer
	writes int
}

func (c *counted) Write(b []byte) (int, error) {
	c.writes++
	return c.Buffer.Write(b)
}

func TestAQuietDaemonWritesALineAtOnceAndABusyOneManyInOneGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counted
		o := newOutlet(&c)
		io.WriteString(o, "first\n")
		synctest.Wait()
		if c.String() != "first\n" {
			t.Errorf("at once: %q", c.String())
		}
		for range 100 {
			io.WriteString(o, "line\n")
			synctest.Wait()
		}
		time.Sleep(outletRest)
		synctest.Wait()
		if c.writes != 2 || strings.Count(c.String(), "line\n") != 100 {
			t.Errorf("%d writes of %d octets", c.writes, c.Len())
		}
		o.Close()
	})
}

func TestClosingGivesUpOnAReaderWhoDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stuck{let: make(chan struct{})}
		o := newOutlet(s)
		o.Write([]byte("last words\n"))
		began := time.Now()
		o.Close()
		if waited := time.Since(began); waited != outletEnd {
			t.Errorf("waited %v", waited)
		}
		close(s.let)
		<-o.done // the writer rests once more if it had the line before Close came
		if s.got.String() != "last words\n" {
			t.Errorf("%q", s.got.String())
		}
	})
}

func TestWhatWasWrittenIsReadBeforeClosingEnds(t *testing.T) {
	for range 100 {
		var got bytes.Buffer
		o := newOutlet(&got)
		o.Write([]byte("one\n"))
		o.Write([]byte("two\n"))
		o.Close()
		if got.String() != "one\ntwo\n" {
			t.Fatalf("%q", got.String())
		}
		o.Write([]byte("three\n")) // counted as lost
	}
}

// gone is a reader who has gone away.
type gone struct{}

func (gone) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestAReaderWhoHasGoneEndsNothing(t *testing.T) {
	o := newOutlet(gone{})
	for range 10 {
		if _, err := io.WriteString(o, "line\n"); err != nil {
			t.Fatal(err)
		}
	}
	o.Close()
}

func TestTheJournalIsToldThePriority(t *testing.T) {
	var got bytes.Buffer
	log := slog.New(newJournalHandler(&got, &slog.HandlerOptions{Level: slog.LevelDebug})).With("a", 1).WithGroup("g")
	for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		log.Log(context.Background(), l, "said", "helo", "a\nb")
	}
	want := ""
	for _, p := range []string{"<7>", "<6>", "<4>", "<3>"} {
		want += p + `msg=said a=1 g.helo="a\nb"` + "\n"
	}
	if got.String() != want {
		t.Errorf("%s", got.String())
	}
}
