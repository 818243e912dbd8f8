package script

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"eximpolicyd/test/logs"
)

// Whoever replays a log may be in a hurry to see what was wrong: nobody must learn of it, no list and no daemon.
func TestReplayTalksToNobody(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed: make install-tests")
	}
	dir := t.TempDir()
	binary, log, trace := filepath.Join(dir, "eximpolicyd"), filepath.Join(dir, "mainlog"), filepath.Join(dir, "trace")
	build := exec.Command("go", "build", "-o", binary, "eximpolicyd/cmd/eximpolicyd")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is shipped: the C library asks a name service about accounts
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	if err := logs.Write(file, nil, logs.Form{Lines: 2000}); err != nil {
		t.Fatal(err)
	}
	file.Close()
	cmd := exec.Command(strace, "-f", "-o", trace, "-e", "trace=connect,sendto,sendmsg,sendmmsg,bind", binary, "replay", "--zone", "UTC", log)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Skipf("strace cannot be used here: %v\n%s", err, out)
	}
	calls, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(calls, []byte("+++ exited with 0 +++")) {
		t.Fatalf("no trace:\n%s", calls)
	}
	for line := range bytes.Lines(calls) {
		kernel := bytes.Contains(line, []byte("AF_NETLINK")) // which addresses this machine has
		if bytes.Contains(line, []byte("(")) && !kernel && !bytes.Contains(line, []byte("--- SIG")) {
			t.Errorf("%s", line)
		}
	}
}
