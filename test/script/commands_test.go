package script

import (
	"bytes"
	"errors"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience bounds a wait for another process. It is no measurement: who needs it has failed.
const patience = 60 * time.Second

func line(b []byte) string { return strings.TrimSpace(string(b)) }

// exits runs a command and wants an exit code: exits 64 eximpolicyd check. What it wrote can be looked at with "lines".
func exits(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("%s exits with %d, not %d", args[1], got, want)
	}
}

// lines wants so many lines in stdout, stderr or a file.
func lines(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: lines COUNT FILE")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := bytes.Count([]byte(ts.ReadFile(args[1])), []byte("\n")); got != want {
		ts.Fatalf("%s has %d lines, not %d", args[1], got, want)
	}
}

// await waits until somebody listens on a socket; with !, until nobody does.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: await SOCKET")
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for {
		c, err := net.Dial("unix", args[0])
		if err == nil {
			c.Close()
		}
		if (err == nil) != neg {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			ts.Fatalf("waited %v for %s", patience, args[0])
		}
	}
}
