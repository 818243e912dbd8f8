package rig

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// How says what a Fake does with one connection.
type How int

// The ways to treat a connection. Answer is the zero value.
const (
	Answer    How = iota // read the request to its end, send Reply, close
	Hang                 // read the request, never answer; Close of the Fake ends it
	NeverEnd             // read, send Reply, never close
	Unread               // close at once without reading
	Impatient            // send Reply and close without reading
)

// Act is what a Fake does: How, and with which bytes. Reply is sent as it is;
// Whole makes one that Exim takes for whole.
type Act struct {
	How   How
	Reply string
}

// Whole is an answer of these fields with its end mark.
func Whole(fields string) Act { return Act{Reply: fields + " end=1\n"} }

// Dunno is the answer of a daemon without an opinion.
func Dunno() Act { return Whole("action=dunno") }

// A Script decides about one connection. It gets the request's bytes, or nil
// where none is read yet: it is asked first with nil for every connection, and
// if that act reads (Answer, Hang, NeverEnd) again with the bytes. It may be
// called from several goroutines at once.
type Script func(request []byte) Act

// Always is a script that does the same with everybody.
func Always(a Act) Script { return func([]byte) Act { return a } }

// A Fake is a policy daemon that follows a script. It remembers every request;
// it is meant for tests and keeps them until Forget or Close.
type Fake struct {
	listener *net.UnixListener
	over     chan struct{} // closed by Close: frees what hangs
	busy     sync.WaitGroup
	once     sync.Once

	mu       sync.Mutex
	script   Script
	accepts  int
	requests [][]byte
}

// NewFake listens on a socket like the daemon's: mode 0660, of Exim's group. A
// file that is there already is replaced.
func NewFake(socket string, script Script) (*Fake, error) {
	l, err := listen(socket)
	if err != nil {
		return nil, err
	}
	f := &Fake{listener: l, script: script, over: make(chan struct{})}
	f.busy.Add(1)
	go f.serve() // ended by closing the listener; Close waits
	return f, nil
}

func listen(socket string) (*net.UnixListener, error) {
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("rig: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		return nil, fmt.Errorf("rig: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("rig: %w", err)
	}
	_, gid, err := eximIDs()
	if err != nil {
		return nil, join(err, l.Close())
	}
	if err := join(os.Chown(socket, 0, gid), os.Chmod(socket, 0o660)); err != nil {
		return nil, join(fmt.Errorf("rig: %w", err), l.Close())
	}
	return l, nil
}

func (f *Fake) serve() {
	defer f.busy.Done()
	for {
		conn, err := f.listener.AcceptUnix()
		if err != nil {
			return
		}
		f.mu.Lock()
		f.accepts++
		script := f.script
		f.mu.Unlock()
		f.busy.Add(1)
		go f.handle(conn, script) // ended by the peer or by over; Close waits
	}
}

func (f *Fake) handle(conn *net.UnixConn, script Script) {
	defer f.busy.Done()
	defer conn.Close()
	act := script(nil)
	switch act.How {
	case Unread:
		return
	case Impatient:
		_, _ = conn.Write([]byte(act.Reply)) // the peer may be gone, and that is the point
		return
	}
	request, err := io.ReadAll(conn)
	if err != nil {
		return
	}
	f.mu.Lock()
	if string(request) == "reset" {
		f.mu.Unlock()
		return // met with silence, like the daemon does
	}
	f.requests = append(f.requests, bytes.Clone(request))
	f.mu.Unlock()
	act = script(request)
	if act.How == Answer || act.How == NeverEnd {
		_, _ = conn.Write([]byte(act.Reply))
	}
	if act.How == Hang || act.How == NeverEnd {
		<-f.over
	}
}

// Follow sets another script for the connections to come.
func (f *Fake) Follow(script Script) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script = script
}

// Forget empties the memory: requests and counts.
func (f *Fake) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests, f.accepts = nil, 0
}

// Requests returns the bytes of every request so far, resets left out.
func (f *Fake) Requests() [][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([][]byte(nil), f.requests...)
}

// Accepts counts connections, those that only say "reset" too.
func (f *Fake) Accepts() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.accepts
}

// Close ends every connection and removes the socket. Closing again does nothing.
func (f *Fake) Close() error {
	var err error
	f.once.Do(func() {
		close(f.over)
		err = f.listener.Close()
		f.busy.Wait()
	})
	return err
}

// Stale leaves a socket file behind that nobody listens on: connection refused.
func Stale(socket string) error {
	l, err := listen(socket)
	if err != nil {
		return err
	}
	l.SetUnlinkOnClose(false)
	return l.Close()
}

// A Full is a socket whose backlog is full: a connect to it waits for ever.
type Full struct {
	listener int
	waiting  []int
}

// NewFull makes one; nobody ever accepts.
func NewFull(socket string) (*Full, error) {
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("rig: %w", err)
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("rig: %w", err)
	}
	f := &Full{listener: fd}
	_, gid, err := eximIDs()
	if err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrUnix{Name: socket})
	}
	if err == nil {
		err = join(os.Chown(socket, 0, gid), os.Chmod(socket, 0o660), syscall.Listen(fd, 0))
	}
	for err == nil {
		var c int
		c, err = syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
		if err == nil {
			f.waiting = append(f.waiting, c)
			err = syscall.Connect(c, &syscall.SockaddrUnix{Name: socket})
		}
	}
	if !errors.Is(err, syscall.EAGAIN) {
		return nil, join(fmt.Errorf("rig: filling a backlog: %w", err), f.Close())
	}
	return f, nil
}

// Close frees whoever waits.
func (f *Full) Close() error {
	err := syscall.Close(f.listener)
	for _, c := range f.waiting {
		err = join(err, syscall.Close(c))
	}
	return err
}
