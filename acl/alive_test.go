package acl

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"eximpolicyd/policy"
)

// alive asks with a deadline that a server that answers does not need.
func alive(t *testing.T, d *door) error {
	t.Helper()
	ctx, done := context.WithTimeout(context.Background(), 30*time.Second)
	defer done()
	return d.Alive(ctx)
}

func TestAServerThatAnswersIsAliveAndNothingIsLeftOfTheQuestion(t *testing.T) {
	d := open(t, 0, nil)
	before := d.Stats()
	if err := alive(t, d); err != nil {
		t.Fatal(err)
	}
	d.stop()
	if after := d.Stats(); after.Malformed != before.Malformed || len(after.Stages) != 0 {
		t.Errorf("it is counted: %+v", after)
	}
	for line := range strings.Lines(d.log.String()) {
		if !strings.Contains(line, "level=DEBUG") {
			t.Errorf("it stands in the log: %s", line)
		}
	}
}

// blocked is a log that takes no line until it is let.
type blocked struct {
	slog.Handler
	let chan struct{}
}

func (b blocked) Handle(ctx context.Context, r slog.Record) error {
	<-b.let
	return b.Handler.Handle(ctx, r)
}

func TestAServerWhoseAcceptLoopHangsIsSilent(t *testing.T) {
	let := make(chan struct{})
	d := open(t, 0, func(s *Settings) {
		s.Peers = nil // who is turned away stands in the log, and the loop writes it
		s.Log = slog.New(blocked{s.Log.Handler(), let})
	})
	ctx, done := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer done()
	err := d.Alive(ctx)
	close(let)
	if !errors.Is(err, ErrSilent) {
		t.Errorf("want silence: %v", err)
	}
	if err := alive(t, d); err != nil { // being turned away is an answer
		t.Errorf("after the hang: %v", err)
	}
}

func TestWithoutASeatTheQuestionIsWhetherAnythingIsDecided(t *testing.T) {
	judged, let := make(chan struct{}), make(chan struct{})
	d := open(t, 1, func(s *Settings) {
		s.Decider = deciderOf(watcher(atRCPT, func(*policy.Request, *policy.Facts) { close(judged); <-let }))
	})
	c := d.dial(t)
	if _, err := io.WriteString(c, wire(ordinary...)); err != nil {
		t.Fatal(err)
	}
	<-judged // and so the one seat is taken
	ctx, done := context.WithCancel(context.Background())
	done()
	if err := d.Alive(ctx); !errors.Is(err, ErrSilent) {
		t.Errorf("nothing decided: %v", err)
	}
	ctx, done = context.WithCancel(context.Background())
	said := make(chan error, 1)
	go func() { said <- d.Alive(ctx) }()                                        // ends when ctx does
	for tick := time.NewTicker(time.Millisecond); d.counters.busy.Load() < 2; { // both questions
		<-tick.C
	}
	close(let)
	if reply := hear(t, c); field(t, reply, "action") != "dunno" {
		t.Error(reply)
	}
	done()
	if err := <-said; err != nil {
		t.Errorf("a decision was made meanwhile: %v", err)
	}
}

func TestAServerThatCannotAskItselfDoesNotHang(t *testing.T) {
	d := open(t, 0, nil)
	if err := os.Remove(d.path); err != nil {
		t.Fatal(err)
	}
	if err := alive(t, d); err == nil || errors.Is(err, ErrSilent) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
