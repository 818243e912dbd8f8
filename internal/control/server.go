package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"eximpolicyd/internal/ledger"
	"eximpolicyd/rbl"
)

const (
	seats = 8 // connections at once; more wait in the socket's queue
	rest  = 100 * time.Millisecond
)

// Server answers an administrator. Fill its fields before Serve; functions may be called from several goroutines.
type Server struct {
	Lists   func() []rbl.ZoneHealth
	Status  func() Status          // but for the memory and the faults, which are filled in
	Spared  func() []netip.Prefix  // the networks of the configuration, and our own, that bans of rules pass by
	Refuses func(*ledger.Ban) bool // whether a ban shuts out while it is in force
	Memory  Memory                 // nil: nothing is remembered
	Log     *slog.Logger

	Decisions Decisions // nil: none can be explained
	Stamps    Stamps    // nil: where messages came from can't be told

	handlers sync.WaitGroup
	long     sync.Mutex // held by an export or an import: one at a time
}

// Serve accepts connections until ctx ends, then closes the listener and returns when every request under way has been
// answered or cut, which takes no longer than a short connection may.
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
		p := newPaced(c)
		free <- struct{}{}
		s.handlers.Go(func() { // Serve waits for it; it ends by the deadline, which grows only with what comes and goes
			defer func() { <-free }()
			defer context.AfterFunc(ctx, p.hurry)()
			s.handle(ctx, p)
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
func (s *Server) handle(ctx context.Context, c *paced) {
	defer c.Close()
	t := &talk{out: bufio.NewWriterSize(c, 32<<10)}
	reply, err := s.serve(ctx, c, t)
	c.again()
	if err == nil {
		err = t.say(func(raw json.RawMessage) answer { return answer{Reply: raw} }, reply)
	}
	if err != nil {
		refusal := &Refusal{Kind: Failed, Text: err.Error()}
		errors.As(err, &refusal)
		err = t.write(answer{Error: err.Error(), Kind: refusal.Kind})
	}
	if err := errors.Join(err, t.out.Flush(), c.CloseWrite()); err != nil {
		s.Log.Debug("an administrator was not answered", "error", err)
		return
	}
	// What is still sent, of an import that was refused: closing over unread octets would make an error of the reply.
	_, _ = io.Copy(io.Discard, io.LimitReader(c, ledger.MaxImport))
}

// talk is what goes back over a connection, line by line.
type talk struct {
	out   *bufio.Writer
	lines int
}

// line says one of several things that were asked for.
func (t *talk) line(thing any) error {
	t.lines++
	return t.say(func(raw json.RawMessage) answer { return answer{Line: raw} }, thing)
}

// whole says a line that is JSON already, and of our own making.
func (t *talk) whole(line []byte) error {
	t.lines++
	for _, part := range []string{lineHead, string(line), lineEnd} {
		if _, err := t.out.WriteString(part); err != nil {
			return err
		}
	}
	return nil
}

// sum is the reply behind the lines.
func (t *talk) sum() Sum { return Sum{Lines: t.lines} }

func (t *talk) say(as func(json.RawMessage) answer, thing any) error {
	raw, err := json.Marshal(thing)
	if err != nil {
		return err
	}
	return t.write(as(raw))
}

func (t *talk) write(a answer) error {
	line, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if len(line) >= maxLine {
		return errors.New("the reply is too long")
	}
	_, err = t.out.Write(append(line, '\n'))
	return err
}

// serve reads a request and returns what to reply.
func (s *Server) serve(ctx context.Context, c *paced, t *talk) (any, error) {
	in := bufio.NewReaderSize(c, maxRequest)
	line, failed := in.ReadSlice('\n')
	uid, err := peer(c.UnixConn)
	if err != nil {
		return nil, err
	}
	if own := os.Getuid(); uid != 0 && uid != own {
		s.Log.Warn("refused a caller on the administrator's socket", "uid", uid)
		return nil, refuse(Denied, "uid %d may not ask: only root and uid %d may", uid, own)
	}
	if failed != nil {
		return nil, refuse(Wrong, "no request of one line of at most %d octets: %w", maxRequest, failed)
	}
	var q Request
	if err := json.Unmarshal(line, &q); err != nil {
		return nil, refuse(Wrong, "no request in JSON: %w", err)
	}
	reply, err := s.do(ctx, &q, in, t)
	s.note(&q, uid, err)
	return reply, err
}

// note writes down what an administrator has changed. Whom he wanted forgotten is not written down.
func (s *Server) note(q *Request, uid int, err error) {
	about := []any{"request", q.Request, "uid", uid}
	switch q.Request {
	case Bar, Allow:
		about = append(about, "network", q.Network, "for_s", q.Seconds, "because", q.Because)
	case Unban, Disallow:
		about = append(about, "network", q.Network)
	case Forget, Import, Rekey:
	default:
		return
	}
	if err != nil {
		about = append(about, "error", err)
	}
	s.Log.Info("an administrator", about...)
}

// refuse makes an error that the administrator is told with its kind.
func refuse(kind Kind, format string, args ...any) error {
	return &Refusal{Kind: kind, Text: fmt.Errorf(format, args...).Error()}
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
