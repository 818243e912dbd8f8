package setup

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// A witness is a policy daemon without an opinion, in the private folder: it tells at which stages Exim has asked.
type witness struct {
	listener *net.UnixListener
	done     sync.WaitGroup

	mu     sync.Mutex
	stages map[string]bool
}

// Bounds of what a witness hears: it is only Exim, but Exim of a configuration that is being tried.
const (
	witnessTime = 10 * time.Second
	maxRequest  = 64 << 10
)

// hear begins to listen on a socket of Exim's group.
func hear(path string, gid int) (*witness, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	w := &witness{listener: l, stages: map[string]bool{}}
	if err := errors.Join(os.Lchown(path, 0, gid), os.Chmod(path, 0o660)); err != nil {
		l.Close()
		return nil, err
	}
	w.done.Go(w.serve)
	return w, nil
}

// serve hears one request after the other: the dialogues are one after the other as well.
func (w *witness) serve() {
	for {
		c, err := w.listener.AcceptUnix()
		if err != nil {
			return
		}
		w.answer(c)
		c.Close()
	}
}

func (w *witness) answer(c net.Conn) {
	if c.SetDeadline(time.Now().Add(witnessTime)) != nil {
		return
	}
	in := bufio.NewReader(io.LimitReader(c, maxRequest))
	for {
		line, err := in.ReadString('\n')
		if stage, is := strings.CutPrefix(line, "protocol_state="); is {
			w.mu.Lock()
			w.stages[strings.TrimSpace(stage)] = true
			w.mu.Unlock()
		}
		if line == "\n" {
			break
		}
		if err != nil {
			return
		}
	}
	_, _ = io.WriteString(c, "action=dunno end=1\n") // a client that has gone is told nothing
}

// asked reports whether there was a question at a stage since the last time.
func (w *witness) asked(stage string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.stages[stage]
	clear(w.stages)
	return was
}

// Close ends it.
func (w *witness) Close() {
	w.listener.Close()
	w.done.Wait()
}

// witnessSocket is where it listens.
func witnessSocket(private string) string { return filepath.Join(private, "policy.sock") }
