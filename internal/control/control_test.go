package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"eximpolicyd/rbl"
)

// strangerVar makes this test binary ask at a socket as whoever runs it.
const strangerVar = "EXIMPOLICYD_CONTROL_SOCKET"

func TestMain(m *testing.M) {
	if socket := os.Getenv(strangerVar); socket != "" {
		fmt.Println(Ask(socket, Request{Request: Lists}, new([]rbl.ZoneHealth)))
		return
	}
	goleak.VerifyTestMain(m)
}

var health = []rbl.ZoneHealth{
	{Zone: "list.example", Kind: "addresses", State: rbl.OK, Since: time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC), Share: 0.25},
	{Zone: "***.keyed.example", Kind: "names", State: rbl.ErrorCode, Errors: []string{"127.255.255.254"}, Share: -1},
}

// serving starts a server without a memory and returns its socket.
func serving(t *testing.T, lists []rbl.ZoneHealth) (socket string, log *bytes.Buffer) {
	t.Helper()
	return started(t, &Server{Lists: func() []rbl.ZoneHealth { return lists }})
}

// started starts a server that is to be stopped at the end of the test.
func started(t *testing.T, s *Server) (socket string, log *bytes.Buffer) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ctl")
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "control.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	log = &bytes.Buffer{}
	s.Log = slog.New(slog.NewTextHandler(log, nil))
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return socket, log
}

func TestAnAdministratorIsAnswered(t *testing.T) {
	socket, _ := serving(t, health)
	var got []rbl.ZoneHealth
	if err := Ask(socket, Request{Request: Lists}, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(health, got); diff != "" {
		t.Error(diff)
	}
	err := Ask(socket, Request{Request: "list"}, &got)
	if refusal := new(Refusal); !errors.As(err, &refusal) || err.Error() != `no such request: "list"` {
		t.Errorf("%v", err)
	}
}

func TestWhatIsNoRequestIsToldSo(t *testing.T) {
	socket, _ := serving(t, nil)
	for text, want := range map[string]string{
		"":                                   `{"error":"no request of one line`,
		"lists\n":                            `{"error":"no request in JSON: `,
		"{\"request\":7}\n":                  `{"error":"no request in JSON: `,
		strings.Repeat("x", maxRequest) + "": `{"error":"no request of one line of at most 4096 octets: `,
		"{\"request\":\"lists\"}\n":          `{"reply":null}`,
	} {
		c, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		c.(*net.UnixConn).CloseWrite()
		var reply bytes.Buffer
		if _, err := reply.ReadFrom(c); err != nil {
			t.Error(err)
		}
		c.Close()
		if !strings.HasPrefix(reply.String(), want) || !strings.HasSuffix(reply.String(), "}\n") {
			t.Errorf("%.20q: %q", text, reply.String())
		}
	}
}

func TestAReplyIsBounded(t *testing.T) {
	long := make([]rbl.ZoneHealth, 10000)
	socket, _ := serving(t, long)
	if err := Ask(socket, Request{Request: Lists}, &long); err == nil || err.Error() != "the reply is too long" {
		t.Errorf("%v", err)
	}
}

// Even where the mode of the socket has been opened, another user is refused.
func TestAnotherUserIsRefused(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not root: no process of another user can be started")
	}
	socket, log := serving(t, health)
	for _, path := range []string{filepath.Dir(socket), socket} {
		if err := os.Chmod(path, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	self := filepath.Join(filepath.Dir(socket), "self")
	if err := os.Link(os.Args[0], self); err != nil { // the folder of a test binary is closed to others
		data, err := os.ReadFile(os.Args[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(self, data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(self)
	cmd.Dir = filepath.Dir(socket)
	cmd.Env = append(os.Environ(), strangerVar+"="+socket)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "uid 65534 may not ask: only root and uid 0 may\n" {
		t.Errorf("%s%v", out, err)
	}
	if !strings.Contains(log.String(), "uid=65534") {
		t.Errorf("the log says %q", log.String())
	}
}

func TestWithoutADaemonTheErrorIsTheSystems(t *testing.T) {
	err := Ask(filepath.Join(t.TempDir(), "none.sock"), Request{Request: Lists}, nil)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
