package service

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"eximpolicyd/test/rig"
)

// answers wants that a socket is answered.
func answers(t *testing.T, path string) {
	t.Helper()
	if err := answer(path); err != nil {
		t.Fatal(err)
	}
}

// answer asks once, and wants the right answer.
func answer(path string) error {
	c, err := dial(path)
	if err != nil {
		return err
	}
	defer c.Close()
	raw, action := request(1)
	if _, err := c.Write(raw); err != nil {
		return err
	}
	return hear(c, action)
}

// status asks the administrator's socket.
func status(t *testing.T, socket string) string {
	t.Helper()
	out, err := exec.Command(binary, "status", "--socket", socket).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestASocketOfSystemdStaysAsItIs(t *testing.T) {
	m := manage(t, forgeries)
	control := filepath.Join(m.dir, "control.sock")
	for path, mode := range map[string]os.FileMode{m.path(): 0o666, control: 0o640} { // as nobody would make them
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, os.Getuid(), os.Getgid()); err != nil {
			t.Fatal(err)
		}
	}
	look := func() (seen [2]unix.Stat_t) {
		for i, path := range []string{m.path(), control} {
			if err := unix.Lstat(path, &seen[i]); err != nil {
				t.Fatal(err)
			}
			seen[i].Atim = unix.Timespec{}
		}
		return seen
	}
	before := look()
	m.start()
	answers(t, m.path())
	status(t, control)
	m.stop()
	if after := look(); before != after {
		t.Errorf("the sockets were %+v and are %+v", before, after)
	}
}

func TestASocketIsKnownByItsNameOrElseByItsPath(t *testing.T) {
	for _, c := range []struct {
		name    string
		given   [2]string // names of what is at policy.sock and control.sock
		policy  bool      // whether the first is answered
		control bool
		says    string
	}{
		{"no names", [2]string{"", ""}, true, true, ""},
		{"names of the units, as systemd gives them of itself", [2]string{"eximpolicyd.socket", "eximpolicyd-control.socket"}, true, true, ""},
		{"our names", [2]string{"policy", "control"}, true, true, ""},
		{"the names changed round, which count more than the paths", [2]string{"control", "policy"}, false, false, "listens at another socket"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := manage(t, forgeries)
			m.names = c.given[:]
			m.start()
			control := filepath.Join(m.dir, "control.sock")
			if c.policy {
				answers(t, m.path())
			} else {
				answers(t, control)
			}
			if c.control {
				status(t, control)
			} else {
				status(t, m.path())
			}
			m.stop()
			if !strings.Contains(m.log.String(), c.says) {
				t.Errorf("the log does not say %q", c.says)
			}
		})
	}
}

func TestASocketThatNobodyKnowsIsToldOf(t *testing.T) {
	m := manage(t, forgeries)
	m.listen("other", filepath.Join(m.dir, "other.sock"))
	m.start()
	m.stop()
	if !strings.Contains(m.log.String(), "systemd handed over a socket that is not known") {
		t.Error("the log does not say so")
	}
}

func TestASocketOfAWrongKindIsAConfigurationMistake(t *testing.T) {
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	file, err := tcp.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	for name, wrong := range map[string]*os.File{"TCP": file, "no socket": null} {
		m := manage(t, forgeries)
		m.sockets, m.names = append(m.sockets, wrong), append(m.names, "third")
		m.launch()
		<-m.gone
		if code := m.cmd.ProcessState.ExitCode(); code != 78 || !strings.Contains(m.log.String(), `"third", that is no listening Unix socket`) ||
			!strings.Contains(m.log.String(), "hint: its unit needs a line ListenStream=") {
			t.Errorf("%s: exit code %d, %s", name, code, m.log.String())
		}
	}
}

// Sockets for another process, whose environment we inherited, are none of ours.
func TestASocketForAnotherProcessIsLeftAlone(t *testing.T) {
	m := manage(t, forgeries)
	own := filepath.Join(m.dir, "own.sock")
	cmd := exec.Command(binary, "serve", "--config", m.config, "--socket", own)
	cmd.Env = []string{"LISTEN_FDS=2", "LISTEN_FDNAMES=policy:control", "LISTEN_PID=1", "STATE_DIRECTORY=" + filepath.Join(m.dir, "state")}
	cmd.ExtraFiles = m.sockets
	cmd.Stdout, cmd.Stderr = &m.log, &m.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := rig.Await("our own socket", func() bool { return strings.Contains(m.log.String(), "msg=listening") }); err != nil {
		t.Error(err)
	} else {
		answers(t, own)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(own); err == nil {
		t.Error("a socket of our own stays behind")
	}
}

func TestSystemdsOwnActivatorStartsTheDaemon(t *testing.T) {
	dir, err := os.MkdirTemp("", "ep")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "policy.sock")
	config := filepath.Join(dir, "eximpolicyd.toml")
	if err := os.WriteFile(config, []byte(forgeries), 0o644); err != nil {
		t.Fatal(err)
	}
	var log lockedBuffer
	cmd := exec.Command("systemd-socket-activate", "--listen="+path, "--fdname=policy", "--setenv=STATE_DIRECTORY="+dir+"/state",
		binary, "serve", "--config", config)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	err = rig.Await("systemd-socket-activate to listen", func() bool {
		_, err := os.Lstat(path)
		return err == nil && strings.Contains(log.String(), "Listening on")
	})
	if err != nil {
		t.Error(err)
	} else {
		answers(t, path)
		said := func() bool { return strings.Contains(log.String(), fmt.Sprintf("listens on %s\n", path)) }
		if err := rig.Await("what the daemon says of its socket", said); err != nil { // it comes through a pipe, behind the answer
			t.Error(err, log.String())
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, log.String())
	}
}
