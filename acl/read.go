package acl

import (
	"bytes"
	"errors"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"eximpolicyd/policy"
)

// read reads a request to its empty line, to the end of file, or to the bound, and returns what came, in a buffer to be
// released. While nothing has come it holds no buffer: many connections may wait, few are being read.
func (s *Server) read(c *net.UnixConn) (*[]byte, error) {
	var buf *[]byte
	raw, err := c.SyscallConn()
	if err != nil {
		return s.buffer(), err
	}
	var failed error
	take := func(fd uintptr) (done bool) {
		if buf == nil {
			buf = s.buffer()
		}
		done, failed = fill(int(fd), buf)
		if !done && len(*buf) == 0 {
			s.release(buf)
			buf = nil
		}
		return done
	}
	err = raw.Read(take)
	if errors.Is(err, os.ErrDeadlineExceeded) { // a machine that stood still through one half of the time has the other left
		c.SetReadDeadline(time.Now().Add(s.patience / 2))
		err = raw.Read(take)
	}
	if buf == nil {
		buf = s.buffer()
	}
	return buf, errors.Join(failed, err)
}

// fill reads what there is. It is done at the end of the request.
func fill(fd int, buf *[]byte) (done bool, err error) {
	for {
		b := *buf
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := unix.Read(fd, b[len(b):min(cap(b), MaxRequest+1)])
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return false, nil
		case err != nil || n == 0:
			return true, err
		}
		*buf = b[:len(b)+n]
		if tail := max(len(b)-1, 0); bytes.Contains((*buf)[tail:], emptyLine) || len(*buf) > MaxRequest {
			return true, nil
		}
	}
}

// emptyLine ends a request. A quoted value has no line end, so the first one is the end.
var emptyLine = []byte("\n\n")

// buffer returns an empty buffer.
func (s *Server) buffer() *[]byte { return s.buffers.Get().(*[]byte) }

// release gives a buffer back. One that a rare huge request has grown is not kept.
func (s *Server) release(buf *[]byte) {
	if cap(*buf) > 16<<10 {
		return
	}
	*buf = (*buf)[:0]
	s.buffers.Put(buf)
}

// parse reads what came. A request that did not come whole is malformed.
func parse(raw []byte, err error, patience time.Duration) (*policy.Request, error) {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, malformed("no empty line within %s", patience)
	case err != nil:
		return nil, malformed("it could not be read to its end")
	}
	return ParseRequest(raw)
}
