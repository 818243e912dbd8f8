package acl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// ErrSilent is what Alive says of a server that answers nobody.
var ErrSilent = errors.New("the server does not answer its own question")

// Alive reports whether the server works: it puts a question to itself over its own socket, as Exim would, and wants an
// answer before ctx ends, which it must some time. The question is an empty request. It is accepted, gets a seat, is
// read, and is answered as nothing that can be judged, so that it leaves no line in the log above debug, no count and no
// memory. Under a flood it may find the queue or the seats full; a decision that was made meanwhile is then as good an
// answer.
//
// The error is [ErrSilent] for a server that hangs. Any other says that the question could not be put, as where the
// socket was removed or is not open to our own user: that is no hang, and a restart mends nothing.
func (s *Server) Alive(ctx context.Context) error {
	before := s.counters.decisions()
	note, err := s.askOneself(ctx)
	if errors.Is(err, unix.EAGAIN) || note == busy {
		<-ctx.Done() // decisions are what is left to look at
	}
	switch {
	case err == nil && note != busy, s.counters.decisions() != before:
		return nil
	case ctx.Err() != nil:
		return ErrSilent
	}
	return fmt.Errorf("cannot ask itself at %s: %w", s.socket, err)
}

// askOneself asks nothing, and returns the note of the answer.
func (s *Server) askOneself(ctx context.Context) (note string, err error) {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: s.socket, Net: "unix"}) // waits for nothing
	if err != nil {
		return "", err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Now()) })()
	if err := c.CloseWrite(); err != nil {
		return "", err
	}
	reply, err := io.ReadAll(io.LimitReader(c, MaxReply))
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		return "", err
	}
	fields, err := ParseReply(string(reply))
	if err != nil {
		return "", err
	}
	if i := slices.IndexFunc(fields, func(f Pair) bool { return f.Name == "note" }); i >= 0 {
		note = fields[i].Value
	}
	return note, nil
}

// decisions is how many there were, whatever they were.
func (c *counters) decisions() (n uint64) {
	for i := range c.stages {
		for j := range c.stages[i].actions {
			n += c.stages[i].actions[j].Load()
		}
	}
	return n
}
