package script

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// terminal runs a command on a terminal of 80x24 that somebody sits at: terminal DIALOGUE EXITCODE COMMAND... All that was
// written is then in the file "screen". Each line of the dialogue is
//
//	see TEXT      waits until that has been written since the last line of this kind
//	type KEYS     as Go quotes them
//	size COLUMNSxROWS
//	run COMMAND   of a shell, to its end
func terminal(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: terminal DIALOGUE EXITCODE COMMAND...")
	}
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	master, slave, err := pseudoTerminal()
	ts.Check(err)
	defer master.Close()
	ts.Check(resize(master, "80x24"))
	path, err := lookPath(ts, args[2])
	ts.Check(err)
	cmd := exec.Command(path, args[3:]...)
	cmd.Env = append(os.Environ(), "TERM=xterm-256color", "NO_COLOR="+ts.Getenv("NO_COLOR"), "HOME="+ts.Getenv("HOME"))
	cmd.Dir = ts.MkAbs(".")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	ts.Check(cmd.Start())
	slave.Close()
	s := &sitting{master: master}
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		if err = s.do(ts, strings.TrimSuffix(line, "\n")); err != nil {
			break
		}
	}
	if err == nil {
		err = s.end()
	}
	if err != nil {
		cmd.Process.Kill()
	}
	failed := cmd.Wait()
	ts.Check(os.WriteFile(ts.MkAbs("screen"), s.all, 0o600))
	if err != nil {
		ts.Fatalf("%v; the last that was written:\n%q", err, s.all[max(0, len(s.all)-2000):])
	}
	if got := cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("%s exits with %d, not %d: %v; it has written\n%q", args[2], got, want, failed, s.all)
	}
}

// lookPath finds a command where the dialogue does.
func lookPath(ts *testscript.TestScript, name string) (string, error) {
	for _, dir := range strings.Split(ts.Getenv("PATH"), string(os.PathListSeparator)) {
		if path := dir + "/" + name; unix.Access(path, unix.X_OK) == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no command %s", name)
}

// sitting is what somebody has seen on a terminal.
type sitting struct {
	master *os.File
	all    []byte
	seen   int
}

func (s *sitting) do(ts *testscript.TestScript, line string) error {
	word, what, _ := strings.Cut(line, " ")
	switch word {
	case "":
		return nil
	case "see":
		return s.see(what)
	case "type":
		keys, err := strconv.Unquote(what)
		if err != nil {
			return err
		}
		_, err = io.WriteString(s.master, keys)
		return err
	case "size":
		return resize(s.master, what)
	case "run":
		return ts.Exec("sh", "-c", what)
	}
	return fmt.Errorf("a dialogue has no line %q", line)
}

// see waits for a text.
func (s *sitting) see(text string) error {
	s.master.SetReadDeadline(time.Now().Add(patience))
	for {
		if i := bytes.Index(s.all[s.seen:], []byte(text)); i >= 0 {
			s.seen += i + len(text)
			return nil
		}
		if err := s.more(); err != nil {
			return fmt.Errorf("%q was not seen: %w", text, err)
		}
	}
}

func (s *sitting) more() error {
	var b [4096]byte
	n, err := s.master.Read(b[:])
	s.all = append(s.all, b[:n]...)
	return err
}

// end reads until the command has closed its terminal.
func (s *sitting) end() error {
	s.master.SetReadDeadline(time.Now().Add(patience))
	for {
		switch err := s.more(); {
		case errors.Is(err, syscall.EIO), errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("it does not end: %w", err)
		}
	}
}

// pseudoTerminal opens both ends of one.
func pseudoTerminal() (master, slave *os.File, err error) {
	master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	var number uint32
	err = control(master, func(fd int) (err error) {
		if err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err == nil {
			number, err = unix.IoctlGetUint32(fd, unix.TIOCGPTN)
		}
		return err
	})
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		master.Close()
	}
	return master, slave, err
}

func resize(master *os.File, size string) error {
	var w unix.Winsize
	if _, err := fmt.Sscanf(size, "%dx%d", &w.Col, &w.Row); err != nil {
		return err
	}
	return control(master, func(fd int) error { return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &w) })
}

// control does something with a descriptor, which stays one that reads have deadlines of.
func control(f *os.File, do func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = do(int(fd)) })
	return errors.Join(err, failed)
}
