package test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"eximpolicyd/internal/origin"
)

// The helper runs as nobody here, with the one capability that its unit leaves it, on a socket that it is given, as systemd
// does it; the process it looks at is root's.
func TestTheHelperNeedsOneCapabilityOnly(t *testing.T) {
	sleeper := exec.Command("cat")
	sleeper.Dir = "/usr"
	in, err := sleeper.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Close()
		if err := sleeper.Wait(); err != nil {
			t.Error(err)
		}
	}()
	for caps, want := range map[string]string{
		"-all":             `"" ""`,
		"-all,+sys_ptrace": fmt.Sprintf("%q %q", sleeperPath(t), "/usr"),
	} {
		t.Run(caps, func(t *testing.T) {
			socket := startHelper(t, caps)
			p, err := origin.Helper(socket).Look(t.Context(), int32(sleeper.Process.Pid))
			for errors.Is(err, os.ErrDeadlineExceeded) { // it is still starting
				p, err = origin.Helper(socket).Look(t.Context(), int32(sleeper.Process.Pid))
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("%q %q", p.Exe, p.Dir); got != want || p.UID != 0 || p.Parent != int32(os.Getpid()) {
				t.Errorf("it told %s (%+v), not %s", got, p, want)
			}
		})
	}
}

func sleeperPath(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("cat")
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// startHelper starts eximpolicyd peek as nobody, with these capabilities, and ends it with the test.
func startHelper(t *testing.T, caps string) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "peek.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.SetUnlinkOnClose(false)
	file, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	binary, err := program()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--no-new-privs",
		"--inh-caps="+caps, "--ambient-caps="+caps, "--bounding-set="+caps,
		"sh", "-c", `LISTEN_PID=$$ exec "$@"`, "sh", "/proc/self/fd/4", "peek", "--user", strconv.Itoa(os.Getuid()))
	c.Dir = "/"
	c.Env = append(os.Environ(), "LISTEN_FDS=1")
	c.ExtraFiles = []*os.File{file, binary}
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := c.Wait(); err != nil {
			t.Error("the helper:", err)
		}
	})
	return socket
}
