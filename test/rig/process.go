package rig

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// A namespace is the shell that holds a site's mounts. When its standard input
// ends (we close it, or we die) it kills what is left there and goes.
type namespace struct {
	cmd   *exec.Cmd
	stdin io.Closer
}

// holder lies over the real paths, says so, and cleans up at the end of its
// input. Twice: a process may have started another while we looked. find takes
// brackets for a pattern, and a name space is called mnt:[4026532177].
const holder = `set -e
%s
echo ready
cat >/dev/null || :
set +e
ns=$(readlink /proc/$$/ns/mnt | sed 's/[][]/\\&/g')
for round in 1 2; do
  for p in $(find /proc -maxdepth 3 -path '/proc/[0-9]*/ns/mnt' -lname "$ns" 2>/dev/null); do
    p=${p#/proc/}; p=${p%%%%/*}
    [ "$p" = $$ ] || kill -9 "$p" 2>/dev/null
  done
done
exit 0
`

func (s *Site) enter() (*namespace, error) {
	var b strings.Builder
	for _, m := range mounts() {
		fmt.Fprintf(&b, "mount --bind %s %s\n", filepath.Join(s.dir, m[0]), m[1])
	}
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", fmt.Sprintf(holder, b.String()))
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("rig: %w", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("rig: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("rig: %w", err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		return nil, join(fmt.Errorf("rig: cannot make a mount name space (%v): %s", err, &complaint), stdin.Close(), cmd.Wait())
	}
	return &namespace{cmd: cmd, stdin: stdin}, nil
}

func (n *namespace) close() error {
	err := n.stdin.Close()
	return join(err, n.cmd.Wait())
}

// command is one that will run inside the site, in the folder dir.
func (s *Site) command(dir string, argv ...string) *exec.Cmd {
	ns := fmt.Sprintf("--mount=/proc/%d/ns/mnt", s.ns.cmd.Process.Pid)
	cmd := exec.Command("nsenter", append([]string{ns, "--wdns=" + dir, "--"}, argv...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	return cmd
}

// Run runs a command as root inside the site and returns all it printed.
func (s *Site) Run(argv ...string) (string, error) {
	out, err := s.command("/", argv...).CombinedOutput()
	return string(out), err
}

// Feed runs a command as root inside the site with standard input, and returns all it printed.
func (s *Site) Feed(stdin string, argv ...string) (string, error) {
	cmd := s.command("/", argv...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// As runs a command inside the site as another user, in the folder dir, with
// standard input, and returns all it printed.
func (s *Site) As(user, dir, stdin string, argv ...string) (string, error) {
	group := user
	if user == "nobody" {
		group = "nogroup"
	}
	cmd := s.command(dir, append([]string{"setpriv", "--reuid=" + user, "--regid=" + group, "--clear-groups", "--"}, argv...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// BH runs one dialogue of exim4 -bh: a session as if from that client, with
// nothing delivered. It returns the answers and the commentary.
func (s *Site) BH(client string, lines ...string) (string, error) {
	return s.Feed(strings.Join(lines, "\r\n")+"\r\n", "exim4", "-bh", client)
}

// A process is one that was started and must be ended.
type process struct {
	cmd  *exec.Cmd
	gone chan struct{} // closed when it has been waited for
}

// begin starts cmd with its output in a file: a session outlives the listener
// and would hold a pipe open.
func begin(cmd *exec.Cmd, output string) (*process, error) {
	out, err := os.Create(output)
	if err != nil {
		return nil, fmt.Errorf("rig: %w", err)
	}
	defer out.Close()
	p := &process{cmd: cmd, gone: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("rig: %w", err)
	}
	go func() { // ended by the process's end; stop waits for it
		defer close(p.gone)
		_ = cmd.Wait() // how it ended is in its output and in Exim's log
	}()
	return p, nil
}

// end asks the process to stop and waits for it.
func (p *process) end() error {
	err := p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.gone
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// freePort asks the kernel for one. Somebody may take it before Exim does; then
// Start asks again.
func freePort() (int, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("rig: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

// Start makes Exim listen and returns when it does. It does not connect: the
// daemon's counts are the test's.
func (s *Site) Start() error {
	for try := 0; ; try++ {
		port, err := freePort()
		if err != nil {
			return err
		}
		p, err := begin(s.command("/", "exim4", "-bdf", "-oX", s.interfaces(port)), filepath.Join(s.dir, "exim.out"))
		if err != nil {
			return err
		}
		listening := fmt.Sprintf("listening for SMTP on [127.0.0.1]:%d", port)
		err = Await("Exim to listen", func() bool {
			select {
			case <-p.gone:
				return true
			default:
				return strings.Contains(s.Mainlog(), listening)
			}
		})
		if err != nil {
			return join(err, p.end())
		}
		if strings.Contains(s.Mainlog(), listening) {
			s.daemon, s.port = p, port
			return nil
		}
		if try == 5 {
			return fmt.Errorf("rig: Exim did not start: %s\n%s", s.file("exim.out"), s.Mainlog())
		}
	}
}

// interfaces are where Exim listens, as it reads them.
func (s *Site) interfaces(port int) string {
	list := fmt.Sprintf("<; [127.0.0.1]:%d", port)
	if s.cfg.Own != "" {
		list += fmt.Sprintf(" ; [%s]:%d", s.cfg.Own, port)
	}
	for _, known := range s.cfg.Ports {
		list += fmt.Sprintf(" ; [%s]:%d", ownLoopback(port), known)
	}
	return list
}

// ownLoopback is an address where a site has every port to itself: whoever has the port at 127.0.0.1 has it.
func ownLoopback(port int) string { return fmt.Sprintf("127.25.%d.%d", port>>8, port&0xff) }

// Stop ends the listener; sessions go on to their end. The site can Start again.
func (s *Site) Stop() error {
	if s.daemon == nil {
		return nil
	}
	err := s.daemon.end()
	s.daemon = nil
	return err
}

// Addr is where Exim listens, host and port.
func (s *Site) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// At is where Exim listens on one of Config.Ports, host and port.
func (s *Site) At(port int) string { return net.JoinHostPort(ownLoopback(s.port), strconv.Itoa(port)) }
