package main

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"eximpolicyd/internal/origin"
	"eximpolicyd/policy"
)

// frozen is a /proc that hangs until it is closed, and then knows of nobody but process 7, whose parent is 8.
type frozen chan struct{}

func (s frozen) Look(_ context.Context, pid int32) (origin.Process, error) {
	<-s
	return origin.Process{PID: pid, Parent: pid + 1, UID: 1000, Exe: "/usr/bin/mailer"}, nil
}

// TestALookThatHangsHoldsUpNobody: whatever the kernel does, who asks has his answer when his time is over.
func TestALookThatHangsHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kernel := make(frozen)
		s := newSenders(kernel, slog.Default)
		ask := func() (policy.Program, time.Duration) {
			begin := time.Now()
			ctx, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer stop()
			return s.Program(ctx, 7, 1000), time.Since(begin)
		}
		for i := range mostLooks + 3 { // the last find no place
			if p, took := ask(); p != (policy.Program{}) || took != 200*time.Millisecond {
				t.Fatalf("%d: %+v after %v", i, p, took)
			}
		}
		if len(s.looks) != mostLooks {
			t.Errorf("%d look", len(s.looks))
		}
		close(kernel)
		synctest.Wait()
		if p, took := ask(); p.Name != "/usr/bin/mailer" || took != 0 || len(s.looks) > 1 {
			t.Errorf("%+v after %v, %d look", p, took, len(s.looks))
		}
	})
}

// broken is a mistake of ours.
type broken struct{}

func (broken) Look(context.Context, int32) (origin.Process, error) {
	return []origin.Process(nil)[0], nil
}

func TestALookThatFailsIsToldOnceAndEndsNothing(t *testing.T) {
	log := &bytes.Buffer{}
	s := newSenders(broken{}, func() *slog.Logger { return slog.New(slog.NewTextHandler(log, nil)) })
	for range mostLooks + 1 {
		if p := s.Program(t.Context(), 7, 1000); p != (policy.Program{}) {
			t.Errorf("%+v", p)
		}
	}
	if strings.Count(log.String(), "please report this") != 1 {
		t.Error(log)
	}
}
