package setup

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A shell that begins anew at the second signal is an Exim that has missed the first one.
func TestAnEximThatMissedItsSignalIsToldAgain(t *testing.T) {
	said, err := reloaded(t, `n=$((n + 1)); [ $n -lt 2 ] || exec "$0" -c "while :; do sleep 0.05; done"`)
	if err != nil || said != "Exim is reloaded" {
		t.Errorf("%v %q", err, said)
	}
}

func TestAnEximThatEndsInsteadOfReloadingIsToldOnlyOnce(t *testing.T) {
	said, err := reloaded(t, "exit")
	if err == nil || !strings.Contains(err.Error(), "has ended") || said != "" {
		t.Errorf("%v %q", err, said)
	}
}

// reloaded reloads a shell that does something at SIGHUP, and returns what is said.
func reloaded(t *testing.T, does string) (said string, err error) {
	t.Helper()
	shell, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal(err)
	}
	if shell, err = filepath.EvalSymlinks(shell); err != nil {
		t.Fatal(err)
	}
	pidFile := filepath.Join(t.TempDir(), "exim.pid")
	// Below nohup(1) a shell could trap no SIGHUP.
	anew := exec.Command("env", "--default-signal=HUP", shell, "-c", "trap '"+does+"' HUP\necho ready; while :; do sleep 0.05; done", shell)
	out, err := anew.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := anew.Start(); err != nil {
		t.Fatal(err)
	}
	defer anew.Wait() // with the error of what was killed
	defer anew.Process.Kill()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatal(line, err)
	}
	if err := os.WriteFile(pidFile, []byte(strconv.Itoa(anew.Process.Pid)), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &Setup{exim: shell, options: map[string]string{"pid_file_path": pidFile}, o: Options{Reload: true, Say: func(line string) { said += line }}}
	err = s.reload(t.Context())
	return said, err
}
