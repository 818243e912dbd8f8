package origin

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// roleVar makes this test binary a child process: connect, mptcp (args: network, address), name, or
// look (args: a helper's socket, a pid), or holders (args: an inode).
const roleVar = "EXIMPOLICYD_ORIGIN_ROLE"

const nobody = 65534

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVar); role != "" {
		if err := play(role, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// play is what a child process does: it writes a line when it is ready and ends when its input does.
func play(role string, args []string) error {
	in := bufio.NewReader(os.Stdin)
	switch role {
	case "connect", "mptcp":
		var d net.Dialer
		d.SetMultipathTCP(role == "mptcp")
		c, err := d.Dial(args[0], args[1])
		if err != nil {
			return err
		}
		fmt.Println(c.LocalAddr())
		if _, err := in.ReadString('\n'); err != nil {
			return c.Close()
		}
		if err := c.Close(); err != nil {
			return err
		}
		fmt.Println("closed")
		_, err = io.Copy(io.Discard, in)
		return err
	case "look":
		pid, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		p, err := Helper(args[0]).Look(context.Background(), int32(pid))
		fmt.Printf("%q %q %d %d %v\n", p.Exe, p.Dir, p.UID, len(p.Args), err)
		return nil
	case "holders":
		inode, err := strconv.ParseUint(args[0], 10, 32)
		if err != nil {
			return err
		}
		holders, whole, err := Holders(map[uint32]bool{uint32(inode): true})
		fmt.Println(len(holders), whole, err)
		return nil
	case "name": // each line of the input, quoted, becomes the name of this process
		fmt.Println("ready")
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return nil
			}
			name, err := strconv.Unquote(strings.TrimSuffix(line, "\n"))
			if err != nil {
				return err
			}
			if err := os.WriteFile("/proc/self/comm", []byte(name), 0); err != nil {
				return err
			}
			fmt.Println("named")
		}
	}
	return fmt.Errorf("no such role: %s", role)
}

// A child is a running copy of this test binary.
type child struct {
	pid   int32
	stdin io.WriteCloser
	out   *bufio.Reader
	cmd   *exec.Cmd
}

// start runs a child, as uid if that is not our own, and ends it with the test.
func start(t *testing.T, uid int, role string, args ...string) *child {
	t.Helper()
	// The binary's folder is closed to other users; the link is not.
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), roleVar+"="+role, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	if uid != os.Getuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	stdin, stdout := piped(t, cmd)
	c := &child{pid: int32(cmd.Process.Pid), stdin: stdin, out: bufio.NewReader(stdout), cmd: cmd}
	t.Cleanup(func() { c.end(t) })
	return c
}

// piped starts a program with pipes to it and from it.
func piped(t *testing.T, cmd *exec.Cmd) (in io.WriteCloser, out io.ReadCloser) {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if out, err = cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return in, out
}

// line returns the next line the child writes.
func (c *child) line(t *testing.T) string {
	t.Helper()
	s, err := c.out.ReadString('\n')
	if err != nil {
		t.Fatalf("the child says %q, then %v", s, err)
	}
	return strings.TrimSuffix(s, "\n")
}

// tell writes a line to the child and waits for its answer.
func (c *child) tell(t *testing.T, s string) string {
	t.Helper()
	if _, err := io.WriteString(c.stdin, s+"\n"); err != nil {
		t.Fatal(err)
	}
	return c.line(t)
}

// end lets the child end and waits for it; again does nothing.
func (c *child) end(t *testing.T) {
	t.Helper()
	if c.cmd == nil {
		return
	}
	c.stdin.Close()
	if err := c.cmd.Wait(); err != nil {
		t.Error(err)
	}
	c.cmd = nil
}
