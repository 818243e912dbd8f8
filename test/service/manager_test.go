package service

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"eximpolicyd/test/rig"
)

// A manager does what systemd does for a daemon with a socket unit: it listens, hands the sockets over, and hears what
// it is told. The daemon it starts is the real one.
type manager struct {
	t       *testing.T
	dir     string
	config  string
	sockets []*os.File // which the daemons share
	names   []string
	notify  *net.UnixConn
	heard   sync.WaitGroup

	mu   sync.Mutex
	told []string // states as they came

	log  lockedBuffer // of all daemons
	cmd  *exec.Cmd
	gone chan struct{} // closed when the daemon has been waited for
	more []string      // environment
}

// lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// forgeries refuses a client that greets as localhost, and asks no DNS.
const forgeries = "policy.helo = {mode = \"enforce\"}\n[dns]\nask = \"off\"\n"

// manage makes a manager that listens on policy.sock and control.sock and has started nothing yet.
func manage(t *testing.T, config string) *manager {
	t.Helper()
	dir, err := os.MkdirTemp("", "ep") // short: a socket's path has at most 107 octets
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{t: t, dir: dir, config: filepath.Join(dir, "eximpolicyd.toml")}
	m.write(config)
	m.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	m.heard.Go(m.hear) // the end of the test waits for it; closing notify ends it
	t.Cleanup(m.end)
	m.listen("policy", m.path())
	m.listen("control", filepath.Join(dir, "control.sock"))
	return m
}

// path is the socket that Exim would ask at.
func (m *manager) path() string { return filepath.Join(m.dir, "policy.sock") }

// listen opens a socket with the backlog of our unit.
func (m *manager) listen(name, path string) {
	m.t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		m.t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), path)
	m.sockets, m.names = append(m.sockets, f), append(m.names, name)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		m.t.Fatal(err)
	}
	if err := unix.Listen(fd, 4096); err != nil {
		m.t.Fatal(err)
	}
}

func (m *manager) write(config string) {
	m.t.Helper()
	if err := os.WriteFile(m.config, []byte(config), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

// hear takes down what the daemon tells, until the socket is closed.
func (m *manager) hear() {
	buf := make([]byte, 4<<10)
	for {
		n, err := m.notify.Read(buf)
		if err != nil {
			return
		}
		m.mu.Lock()
		m.told = append(m.told, string(buf[:n]))
		m.mu.Unlock()
	}
}

// states returns what was told so far.
func (m *manager) states() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.told...)
}

// count is how many states begin with a word.
func (m *manager) count(word string) (n int) {
	for _, s := range m.states() {
		if strings.HasPrefix(s, word) {
			n++
		}
	}
	return n
}

// start starts a daemon and returns when it is ready.
func (m *manager) start() {
	m.t.Helper()
	before := m.count("READY=1")
	m.launch()
	err := rig.Await("eximpolicyd to be ready", func() bool { return m.count("READY=1") > before || m.ended() })
	if err != nil || m.ended() {
		m.t.Fatalf("eximpolicyd did not start: %v\n%s", err, m.log.String())
	}
}

// launch starts a daemon with the sockets, as sd_listen_fds(3) has it. LISTEN_PID must be its own pid, which the shell
// knows that becomes the daemon.
func (m *manager) launch() {
	m.t.Helper()
	m.cmd = exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, binary, "serve", "--config", m.config, "--socket", m.path())
	m.cmd.Env = append([]string{
		fmt.Sprintf("LISTEN_FDS=%d", len(m.sockets)), "LISTEN_FDNAMES=" + strings.Join(m.names, ":"),
		"NOTIFY_SOCKET=" + m.notify.LocalAddr().String(), "STATE_DIRECTORY=" + filepath.Join(m.dir, "state"),
	}, m.more...)
	m.cmd.ExtraFiles = m.sockets
	m.cmd.Stdout, m.cmd.Stderr = &m.log, &m.log
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	cmd, gone := m.cmd, make(chan struct{})
	m.gone = gone
	m.heard.Go(func() { // ended by the daemon's end; the end of the test waits for it
		defer close(gone)
		_ = cmd.Wait() // how it ended, ProcessState says
	})
}

func (m *manager) ended() bool {
	select {
	case <-m.gone:
		return true
	default:
		return false
	}
}

func (m *manager) signal(s syscall.Signal) {
	m.t.Helper()
	if err := m.cmd.Process.Signal(s); err != nil {
		m.t.Fatal(err)
	}
}

// stop asks the daemon to end, and wants that it ends well.
func (m *manager) stop() {
	m.t.Helper()
	m.signal(syscall.SIGTERM)
	<-m.gone
	if code := m.cmd.ProcessState.ExitCode(); code != 0 {
		m.t.Fatalf("eximpolicyd ended with %d\n%s", code, m.log.String())
	}
}

// end ends whatever is left.
func (m *manager) end() {
	if m.cmd != nil && !m.ended() {
		_ = m.cmd.Process.Kill() // it may end right now
		<-m.gone
	}
	m.notify.Close()
	m.heard.Wait()
	for _, f := range m.sockets {
		f.Close()
	}
	if m.t.Failed() {
		log := m.log.String()
		m.t.Logf("the daemons' log:\n%s", log[max(0, len(log)-4000):])
	}
	os.RemoveAll(m.dir)
}
