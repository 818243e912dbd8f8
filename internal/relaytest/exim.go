package relaytest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Exim plays a client of any address to an Exim of this machine, by exim -bh: it answers as its configuration says, asks the
// DNS as ever, and delivers nothing.
type Exim struct {
	Path   string // of the program
	Config string // its -C, "" for its own
	Client netip.Addr
}

// FindExim returns where an Exim is usually installed here.
func FindExim() (string, error) {
	for _, path := range []string{"/usr/sbin/exim4", "/usr/sbin/exim", "/usr/exim/bin/exim", "/usr/local/sbin/exim"} {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no Exim is installed where it usually is")
}

// Check says what stands against running this Exim. Root runs nothing that another user could have written, nor reads such a
// configuration, which can run programs: each folder of the path counts, links resolved.
func (e *Exim) Check() error {
	if !e.Client.IsValid() || e.Client.Zone() != "" {
		return errors.New("the client is no address")
	}
	for _, file := range []*string{&e.Path, &e.Config} {
		if *file == "" {
			continue
		}
		path, err := filepath.Abs(*file)
		if err == nil {
			path, err = filepath.EvalSymlinks(path)
		}
		if err != nil {
			return err
		}
		if os.Geteuid() == 0 {
			if err := onlyRoots(path); err != nil {
				return err
			}
		}
		*file = path
	}
	return nil
}

// onlyRoots says which part of a path somebody else than root may change.
func onlyRoots(path string) error {
	for ; ; path = filepath.Dir(path) {
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		owner, ok := info.Sys().(*syscall.Stat_t)
		const others = 0o022 // group and others may write; that a folder is sticky helps nothing against its owner
		if !ok || owner.Uid != 0 || info.Mode().Perm()&others != 0 {
			return fmt.Errorf("%s can be changed by others than root", path)
		}
		if path == "/" {
			return nil
		}
	}
}

// Dial starts an Exim and returns its standard input and output as a connection that has replies only. Closing it ends Exim.
func (e *Exim) Dial(context.Context) (net.Conn, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "exim"), os.NewFile(uintptr(pair[1]), "exim")
	defer theirs.Close()
	conn, err := net.FileConn(ours) // a copy
	ours.Close()
	if err != nil {
		return nil, err
	}
	args := []string{"-bh", e.Client.String()}
	if e.Config != "" {
		args = append([]string{"-C", e.Config}, args...)
	}
	b := &batch{Conn: conn, in: bufio.NewReader(conn)}
	b.cmd = exec.Command(e.Path, args...)
	b.cmd.Dir, b.cmd.Env = "/", []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	b.cmd.Stdin, b.cmd.Stdout, b.cmd.Stderr = theirs, theirs, &b.complaint
	b.cmd.WaitDelay = endTime
	if err := b.cmd.Start(); err != nil {
		conn.Close()
		return nil, err
	}
	return b, nil
}

const endTime = 5 * time.Second // that Exim's standard error may outlive it

// batch is a running exim -bh.
type batch struct {
	net.Conn
	in        *bufio.Reader
	rest      []byte // of a reply, not yet read
	reply     bool   // the line is one
	inside    bool   // of a line longer than the reader
	greeted   bool
	cmd       *exec.Cmd
	complaint tail
	over      sync.Once
}

// Read returns the lines that begin with a digit, which are replies; the rest is Exim's comment on the session.
func (b *batch) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		line, err := b.in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return 0, b.gone(err)
		}
		if !b.inside {
			b.reply = line[0] >= '0' && line[0] <= '9'
		}
		b.inside = err != nil
		if b.reply {
			b.rest, b.greeted = line, true
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// gone says why Exim ended before its greeting: a mistake in its configuration, as a rule.
func (b *batch) gone(err error) error {
	if b.greeted || !errors.Is(err, io.EOF) {
		return err
	}
	b.end()
	return fmt.Errorf("%s -bh says nothing: %s", b.cmd.Path, clean(b.complaint.String()))
}

// end waits for Exim, whose input has ended. One that is not ours to kill ends by that.
func (b *batch) end() {
	b.over.Do(func() {
		_ = b.Conn.Close()
		_ = b.cmd.Process.Kill()
		_ = b.cmd.Wait()
	})
}

// Close ends the conversation and Exim.
func (b *batch) Close() error { b.end(); return nil }

// tail keeps the last lines that a program complained in.
type tail struct{ text []byte }

const maxTail = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if over := len(t.text) - maxTail; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(p), nil
}

// String returns what was not commentary of the session, which begins with >>>.
func (t *tail) String() string {
	var lines []string
	for line := range strings.Lines(string(t.text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, ">>>") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, " ")
}
