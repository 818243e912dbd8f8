package trace

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"eximpolicyd/internal/prose"
)

// mailer connects to the port it is given and waits for its input to end.
const mailer = `use IO::Socket::INET;
my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $ARGV[0], Proto => "tcp") or die;
$| = 1; print "connected\n"; <STDIN>;
`

const nobody = 65534

// script runs a mailer as nobody, from a directory of its own and below a shell, until the test ends it.
func script(t *testing.T, port uint16) (dir string, pid int) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, to have a process of another user")
	}
	dir = t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "form mail.pl"), []byte(mailer), 0o644); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("sh", "-c", `perl 'form mail.pl' "$1"; :`, "sh", strconv.Itoa(int(port)))
	c.Dir = dir
	c.Stderr = os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	})
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return dir, c.Process.Pid
}

// server listens on a port that nobody else has.
func server(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}

func TestALiveConnectionNamesItsScript(t *testing.T) {
	port := server(t)
	dir, shell := script(t, port)
	senders, whole, err := Live(t.Context(), []uint16{port})
	if err != nil || !whole || len(senders) != 1 {
		t.Fatalf("%+v, %v, %v", senders, whole, err)
	}
	s := senders[0]
	if !s.Here || s.UID != nobody || s.Account != "nobody" || s.Server.Port() != port || !s.Client.IsValid() || len(s.Programs) != 1 {
		t.Fatalf("%+v", s)
	}
	p := s.Programs[0]
	if p.Dir != dir || p.Script != filepath.Join(dir, "form mail.pl") || filepath.Base(p.Exe) != "perl" || len(p.Args) != 3 {
		t.Errorf("%+v", p)
	}
	if len(p.Parents) != 1 || p.Parents[0].PID != int32(shell) || p.Parents[0].Dir != dir {
		t.Errorf("its parents are %+v; the test, which is root's, is none of them", p.Parents)
	}
	var out bytes.Buffer
	if err := PrintSenders(&out, senders); err != nil {
		t.Fatal(err)
	}
	told := strings.Join(strings.Fields(out.String()), " ")
	script := filepath.Join(dir, "form mail.pl")
	for _, want := range []string{
		"nobody 65534 this host, " + s.Server.String() + ", from port ", fmt.Sprintf("pid %d: ", p.PID),
		fmt.Sprintf("in %s as: perl form mail.pl %d started by pid %d: %s in %s as: sh -c perl 'form", dir, port, shell, p.Parents[0].Exe, dir),
	} {
		if !strings.Contains(strings.ReplaceAll(told, " ", ""), strings.ReplaceAll(want, " ", "")) { // lines are broken
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	if !strings.Contains(strings.ReplaceAll(told, " ", ""), strings.ReplaceAll(script, " ", "")) {
		t.Errorf("no %q in\n%s", script, &out)
	}
}

func TestAWatchShowsEveryConnectionOnce(t *testing.T) {
	port := server(t)
	script(t, port)
	tick := make(chan time.Time)
	seen := make(chan []Sender)
	done := make(chan error)
	go func() {
		done <- Watch(context.Background(), []uint16{port}, tick, func(s []Sender, _ bool) error { seen <- s; return nil })
	}()
	if first := <-seen; len(first) != 1 {
		t.Errorf("%+v", first)
	}
	tick <- time.Time{} // nothing new
	script(t, port)
	tick <- time.Time{}
	if second := <-seen; len(second) != 1 {
		t.Errorf("%+v", second)
	}
	close(tick)
	if err := <-done; err != nil {
		t.Error(err)
	}
	full := errors.New("no room")
	if err := Watch(context.Background(), []uint16{port}, nil, func([]Sender, bool) error { return full }); !errors.Is(err, full) {
		t.Error(err)
	}
}

func TestWhatAUserChoseIsPrintedHarmlessly(t *testing.T) {
	var out bytes.Buffer
	err := PrintSenders(&out, []Sender{{
		UID: 7, Client: netip.MustParseAddrPort("127.0.0.1:1"), Server: netip.MustParseAddrPort("192.0.2.1:25"),
		Programs: []Program{{
			PID: 1, Dir: "/home/a\nROOT 0", Script: "\x1b[2J/x\u202e", Args: []string{"a\r", strings.Repeat("\xff", 1000)},
			Parents: []Program{{PID: 2, Exe: "/\a"}},
		}, {PID: 3}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSuffix(line, "\n")
		if len(line) > prose.Columns || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q", line)
		}
	}
	for _, want := range []string{"the world, 192.0.2.1:25", `in /home/a\nROOT 0`, `pid 1: \x1b[2J/x\u202e`, "pid 3: (not told)", `started by pid 2: /\a`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}
