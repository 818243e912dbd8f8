package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"eximpolicyd/rbl"
)

const (
	seats = 8 // connections at once; more wait in the socket's queue
	rest  = 100 * time.Millisecond
)

// Server answers an administrator. Fill its fields before Serve.
type Server struct {
	Lists func() []rbl.ZoneHealth // may be called from several goroutines
	Log   *slog.Logger

	handlers sync.WaitGroup
}

// Serve accepts connections until ctx ends, then closes the listener and returns when every request under way has been
// answered, which takes no longer than a connection may.
func (s *Server) Serve(ctx context.Context, l *net.UnixListener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer s.handlers.Wait()
	free := make(chan struct{}, seats)
	for {
		c, err := l.AcceptUnix()
		switch {
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			if err == nil {
				c.Close()
			}
			return nil
		case err != nil: // out of descriptors: they come back
			s.Log.Error("cannot accept a connection of an administrator, waiting", "error", err)
			pause(ctx, rest)
			continue
		}
		c.SetDeadline(time.Now().Add(deadline))
		free <- struct{}{}
		s.handlers.Go(func() { // Serve waits for it; it ends by the deadline
			defer func() { <-free }()
			s.handle(c)
		})
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// handle answers one connection.
func (s *Server) handle(c *net.UnixConn) {
	defer c.Close()
	var a answer
	if reply, err := s.serve(c); err != nil {
		a.Error = err.Error()
	} else if raw, err := json.Marshal(reply); err != nil {
		a.Error = err.Error()
	} else {
		a.Reply = raw
	}
	line, err := json.Marshal(a)
	if err == nil && len(line) >= maxReply {
		line, err = json.Marshal(answer{Error: "the reply is too long"})
	}
	if err == nil {
		_, err = c.Write(append(line, '\n'))
	}
	if err != nil {
		s.Log.Debug("an administrator was not answered", "error", err)
	}
}

// serve reads a request and returns what to reply.
func (s *Server) serve(c *net.UnixConn) (any, error) {
	// First: closing over unread octets would make an error of the reply.
	line, failed := bufio.NewReaderSize(c, maxRequest).ReadSlice('\n')
	uid, err := peer(c)
	if err != nil {
		return nil, err
	}
	if own := os.Getuid(); uid != 0 && uid != own {
		s.Log.Warn("refused a caller on the administrator's socket", "uid", uid)
		return nil, fmt.Errorf("uid %d may not ask: only root and uid %d may", uid, own)
	}
	if failed != nil {
		return nil, fmt.Errorf("no request of one line of at most %d octets: %w", maxRequest, failed)
	}
	var q Request
	if err := json.Unmarshal(line, &q); err != nil {
		return nil, fmt.Errorf("no request in JSON: %w", err)
	}
	switch q.Request {
	case Lists:
		return s.Lists(), nil
	}
	return nil, fmt.Errorf("no such request: %q", q.Request)
}

// peer returns the user at the other end.
func peer(c *net.UnixConn) (uid int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) { cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err := errors.Join(err, failed); err != nil {
		return 0, fmt.Errorf("cannot tell who asks: %w", err)
	}
	return int(cred.Uid), nil
}
