package origin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// PeekSocket is where the helper listens that may look at other users' processes, when it is installed.
const PeekSocket = "/run/eximpolicyd-peek/peek.sock"

const (
	// peekTime bounds one question to the helper, on both sides. It reads five small files of /proc.
	peekTime = 100 * time.Millisecond
	// maxPeek bounds its answer: program, directory, arguments, and the rest, which is short.
	maxPeek = 2*maxPath + maxArgs + 256
)

// A Peek is the helper's side: it answers one kind of question, a process's number, with what [Proc] reads of it.
//
// It is there because program and directory of another user's process are told only to who has CAP_SYS_PTRACE, and the
// daemon, which the world talks to, shall have no capability. So this is a process of its own, which reads nothing but a
// number, writes nothing but the answer, and knows nobody but the daemon and root. It takes one caller after the other,
// none for longer than 0.1 s, and starts no goroutine.
//
// It stays, idle as it is: whoever is to be looked at is often gone after the 0.1 s that a new start would take.
//
// The question is the number in decimal and a line feed. The answer is fields that end in a NUL, which is in none of them:
// "ok", pid, parent, start, uid and whether the arguments were cut, then name, program, directory and each argument; or
// "gone", or "error" and why. Then it closes.
type Peek struct {
	Allowed func(uid uint32) bool // who may ask
	Log     *slog.Logger
}

// Serve answers on l until ctx ends, and closes it.
func (p *Peek) Serve(ctx context.Context, l *net.UnixListener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() }) // which ends Accept
	defer stop()
	defer l.Close()
	for {
		c, err := l.AcceptUnix()
		if err != nil && ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("peek: %w", err)
		}
		if err := p.answer(ctx, c); err != nil {
			p.Log.Warn("a question was not answered", "error", err)
		}
	}
}

// answer answers one caller and closes.
func (p *Peek) answer(ctx context.Context, c *net.UnixConn) error {
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(peekTime)); err != nil {
		return err
	}
	peer, err := PeerOf(c)
	if err != nil {
		return err
	}
	if !p.Allowed(peer.UID) {
		return fmt.Errorf("uid %d may not ask", peer.UID)
	}
	pid, err := question(c)
	if err != nil {
		return err
	}
	process, err := Proc{}.Look(ctx, pid)
	_, err = c.Write(reply(&process, err))
	return err
}

// question reads a number and its line feed, at most eleven octets.
func question(r io.Reader) (int32, error) {
	var buf [11]byte
	n := 0
	for n < len(buf) && !bytes.HasSuffix(buf[:n], []byte("\n")) {
		more, err := r.Read(buf[n:])
		if n += more; err != nil {
			return 0, err
		}
	}
	pid, err := strconv.ParseInt(strings.TrimSuffix(string(buf[:n]), "\n"), 10, 32)
	if err != nil || buf[n-1] != '\n' {
		return 0, fmt.Errorf("not a process's number: %q", buf[:n])
	}
	return int32(pid), nil
}

// reply writes the answer.
func reply(p *Process, err error) []byte {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return []byte("gone\x00")
	case err != nil:
		return []byte("error\x00" + strings.ReplaceAll(err.Error(), "\x00", " ") + "\x00")
	}
	fields := append([]string{
		"ok", strconv.Itoa(int(p.PID)), strconv.Itoa(int(p.Parent)), strconv.FormatUint(p.Started, 10),
		strconv.FormatUint(uint64(p.UID), 10), strconv.FormatBool(p.Cut), p.Name, p.Exe, p.Dir,
	}, p.Args...)
	return []byte(strings.Join(fields, "\x00") + "\x00")
}

var errReply = errors.New("the helper's answer is not understood")

// process reads an answer about pid.
func process(pid int32, answer []byte) (Process, error) {
	none := Process{PID: pid, UID: NoUID}
	text, whole := bytes.CutSuffix(answer, []byte{0})
	fields := strings.Split(string(text), "\x00")
	switch {
	case !whole:
	case fields[0] == "gone" && len(fields) == 1:
		return none, fmt.Errorf("process %d: %w", pid, os.ErrNotExist)
	case fields[0] == "error" && len(fields) == 2:
		return none, fmt.Errorf("the helper says: %q", fields[1])
	case fields[0] == "ok" && len(fields) >= 9:
		id, err1 := strconv.ParseInt(fields[1], 10, 32)
		parent, err2 := strconv.ParseInt(fields[2], 10, 32)
		started, err3 := strconv.ParseUint(fields[3], 10, 64)
		uid, err4 := strconv.ParseUint(fields[4], 10, 32)
		cut, err5 := strconv.ParseBool(fields[5])
		if errors.Join(err1, err2, err3, err4, err5) != nil || int32(id) != pid {
			break
		}
		p := Process{
			PID: pid, Parent: int32(parent), Started: started, UID: uint32(uid), Cut: cut,
			Name: fields[6], Exe: fields[7], Dir: fields[8],
		}
		if len(fields) > 9 {
			p.Args = fields[9:]
		}
		return p, nil
	}
	return none, errReply
}

// A Helper looks at processes through a [Peek] that listens at the path, each time on a connection of its own and for 0.1 s
// at most. Where no helper listens, it reads what [Proc] may know: that is not an error but less. Safe for concurrent use.
type Helper string

// Look asks the helper.
func (h Helper) Look(ctx context.Context, pid int32) (Process, error) {
	ctx, cancel := context.WithTimeout(ctx, peekTime)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", string(h))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.ECONNREFUSED) {
		return Proc{}.Look(ctx, pid)
	}
	if err != nil {
		return Process{PID: pid, UID: NoUID}, err
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		return Process{PID: pid, UID: NoUID}, err
	}
	if _, err := fmt.Fprintf(c, "%d\n", pid); err != nil {
		return Process{PID: pid, UID: NoUID}, err
	}
	answer, err := io.ReadAll(io.LimitReader(c, maxPeek))
	if err != nil {
		return Process{PID: pid, UID: NoUID}, err
	}
	return process(pid, answer)
}
