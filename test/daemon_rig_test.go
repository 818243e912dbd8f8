package test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"eximpolicyd/test/rig"
)

// program builds the daemon once a run. The file has no name any more: it is
// started through the open descriptor, so that nothing is left behind and no
// other run can put its own in its place.
var program = sync.OnceValues(func() (*os.File, error) {
	dir, err := os.MkdirTemp("", "eximpolicyd-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path, err := rig.Build(dir)
	if err != nil {
		return nil, err
	}
	return os.Open(path)
})

// binary is the path of the daemon's program.
func binary(t *testing.T) string {
	t.Helper()
	f, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd())
}

// daemon starts the real one on a site's socket.
func daemon(t *testing.T, s *rig.Site, config string, flags ...string) *rig.Daemon {
	t.Helper()
	d, err := s.Serve(binary(t), config, flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("eximpolicyd:\n%s", tail(d.Log()))
		}
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// decided waits for a decision line at a stage that fits.
func decided(t *testing.T, d *rig.Daemon, stage, what string, fits func(rig.Decision) bool) rig.Decision {
	t.Helper()
	one, err := d.Await(stage+" "+what, func(l rig.Decision) bool { return l.Stage == stage && fits(l) })
	if err != nil {
		t.Fatal(err)
	}
	return one
}

// of fits the lines of one client.
func ofClient(client string) func(rig.Decision) bool {
	return func(l rig.Decision) bool { return l.ClientAddress == client }
}

func TestTheRealDaemonAnswersEximAndWritesALineADecision(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "stock"})
	d := daemon(t, s, "")
	c := dial(t, s, "203.0.113.7")
	say(t, c, "EHLO mx.example.org", 250)
	if r := c.Message("x@example.org", []string{"alice@" + rig.Domain}, mail("one")); r.Code != 250 {
		t.Fatal(r)
	}
	say(t, c, "QUIT", 221)
	var lines []rig.Decision
	err := rig.Await("six decision lines", func() bool {
		var err error
		if lines, err = d.Decisions(); err != nil {
			t.Error(err)
		}
		return err != nil || len(lines) == 6
	})
	if err != nil {
		t.Fatal(err)
	}
	var stages []string
	for _, l := range lines {
		stages = append(stages, l.Stage)
		if l.Action != "dunno" || l.Synthetic || l.Degraded || len(l.ID) != 10 {
			t.Errorf("%+v", l)
		}
	}
	if want := strings.Fields("CONNECT HELO MAIL RCPT DATA QUIT"); !slices.Equal(stages, want) {
		t.Errorf("stages %v, want %v", stages, want)
	}
	if s.Paniclog() != "" {
		t.Errorf("paniclog: %s", s.Paniclog())
	}
}
