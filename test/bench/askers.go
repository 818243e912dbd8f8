package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"

	"golang.org/x/sys/unix"
)

// wire is a socket that its caller's thread sleeps on, as Exim's and Postfix's do.
type wire struct {
	fd  int
	buf [8192]byte
}

func (w *wire) close() { unix.Close(w.fd) }

func (w *wire) send(request []byte) error {
	n, err := unix.Write(w.fd, request)
	if err == nil && n < len(request) {
		err = fmt.Errorf("%d of %d octets were written", n, len(request))
	}
	return err
}

// receive reads until the answer ends in end, or to the end of the connection if end is empty.
func (w *wire) receive(end string) ([]byte, error) {
	for n := 0; n < len(w.buf); {
		m, err := unix.Read(w.fd, w.buf[n:])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, err
		case m == 0 && end == "" && n > 0:
			return w.buf[:n], nil
		case m == 0:
			return nil, fmt.Errorf("after %q: %w", w.buf[:n], io.ErrUnexpectedEOF)
		}
		if n += m; end != "" && bytes.HasSuffix(w.buf[:n], []byte(end)) {
			return w.buf[:n], nil
		}
	}
	return nil, errors.New("the answer is too long")
}

// patient bounds how long a caller waits for an answer.
func patient(fd int) error {
	return unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 30})
}

// dialTCP connects to a port of ours.
func dialTCP(port int) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = errors.Join(patient(fd), unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}))
	if err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// each opens a connection for each question, as Exim does with every one of these.
type each struct {
	wire
	socket  string
	request func(s sender) []byte
	verdict func(reply []byte) (listed bool, err error)
}

func (e *each) close() {}

func (e *each) ask(s sender) (listed bool, err error) {
	if e.fd, err = dial(&unix.SockaddrUnix{Name: e.socket}); err != nil {
		return false, err
	}
	defer e.wire.close()
	if err := errors.Join(patient(e.fd), e.send(e.request(s))); err != nil {
		return false, err
	}
	reply, err := e.receive("")
	if err != nil {
		return false, err
	}
	return e.verdict(reply)
}

// delegated asks in Postfix's policy protocol. Postfix would keep its connection; Exim's readsocket, which is how an ACL
// asks such a server, opens one for each question.
type delegated struct {
	wire
	open    func() (fd int, err error)
	asked   int
	request []byte
	verdict func(action string) (listed bool, err error)
}

// delegate connects a caller, to see that somebody listens.
func delegate(open func() (int, error), verdict func(string) (bool, error)) (asker, error) {
	fd, err := open()
	if err != nil {
		return nil, err
	}
	return &delegated{open: open, verdict: verdict}, unix.Close(fd)
}

func (d *delegated) close() {}

// ask asks again, in the same time, where a process of the server has just ended, as postfwd's do after so many requests.
func (d *delegated) ask(s sender) (listed bool, err error) {
	for range 5 {
		listed, err = d.once(s)
		if !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, unix.EPIPE) && !errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
	}
	return listed, err
}

// once sends what Postfix sends at RCPT. Only the client and the instance, which is a message's, are other ones each time.
func (d *delegated) once(s sender) (listed bool, err error) {
	if d.fd, err = d.open(); err != nil {
		return false, err
	}
	defer d.wire.close()
	d.asked++
	b := append(d.request[:0], "request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nhelo_name=mta.example.com\n"+
		"queue_id=\nsender=news@example.com\nrecipient=alice@example.org\nrecipient_count=0\nclient_name=unknown\n"+
		"reverse_client_name=unknown\nsize=48213\nclient_address="...)
	b = append(s.address().AppendTo(b), "\ninstance="...)
	b = strconv.AppendUint(b, uint64(s), 10)
	b = append(b, '.')
	b = append(strconv.AppendInt(b, int64(d.asked), 10), "\n\n"...)
	d.request = b
	if err := d.send(b); err != nil {
		return false, err
	}
	reply, err := d.receive("\n\n")
	if err != nil {
		return false, err
	}
	action, is := bytes.CutPrefix(reply, []byte("action="))
	if !is {
		return false, fmt.Errorf("no action in %q", reply)
	}
	return d.verdict(string(action))
}
