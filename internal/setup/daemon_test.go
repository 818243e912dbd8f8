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
	shell, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal(err)
	}
	if shell, err = filepath.EvalSymlinks(shell); err != nil {
		t.Fatal(err)
	}
	pidFile := filepath.Join(t.TempDir(), "exim.pid")
	anew := exec.Command(shell, "-c", `trap 'n=$((n + 1)); [ $n -lt 2 ] || exec "$0" -c "while :; do sleep 0.05; done"' HUP
echo ready; while :; do sleep 0.05; done`, shell)
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
	var said []string
	s := &Setup{exim: shell, options: map[string]string{"pid_file_path": pidFile}, o: Options{Reload: true, Say: func(line string) { said = append(said, line) }}}
	if err := s.reload(t.Context()); err != nil || strings.Join(said, "\n") != "Exim is reloaded" {
		t.Errorf("%v %q", err, said)
	}
}
