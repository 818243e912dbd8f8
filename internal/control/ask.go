package control

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// patience is how long a command waits for the next octets of a daemon that may be saving something; an import takes longer.
const patience = saving + deadline

// Ask sends a request to the daemon at a socket and reads its reply into reply. The error wraps that of the system if
// there is no daemon or the socket is not ours to open, and is a *Refusal if the daemon says no.
func Ask(socket string, q Request, reply any) error {
	return converse(socket, q, nil, reply, func([]byte) error { return nil })
}

// Each asks for lines, and has each told. An error after some of them says that they are not all.
func Each[T any](socket string, q Request, tell func(T)) error {
	return each(socket, q, func(line []byte) error {
		var thing T
		if err := json.Unmarshal(line, &thing); err != nil {
			return err
		}
		tell(thing)
		return nil
	})
}

// each asks for lines, and counts them.
func each(socket string, q Request, tell func([]byte) error) error {
	n, sum := 0, Sum{}
	err := converse(socket, q, nil, &sum, func(line []byte) error {
		n++
		return tell(line)
	})
	if err == nil && n != sum.Lines {
		err = fmt.Errorf("of the lines %d came, and not %d", n, sum.Lines)
	}
	return err
}

// Save asks for an export and writes it. The lines that are written are whole, and all only if there is no error.
func Save(socket string, w io.Writer) (lines int, err error) {
	out := bufio.NewWriter(w)
	err = each(socket, Request{Request: Export}, func(line []byte) error {
		lines++
		if _, err := out.Write(line); err != nil {
			return err
		}
		return out.WriteByte('\n')
	})
	return lines, errors.Join(err, out.Flush())
}

// Send imports the octets of r, of which there are size.
func Send(socket string, r io.Reader, size int64) (Taken, error) {
	var t Taken
	err := converse(socket, Request{Request: Import, Size: size}, r, &t, func([]byte) error { return nil })
	return t, err
}

// converse sends a request and what is behind it, has each line told, and reads the reply.
func converse(socket string, q Request, behind io.Reader, reply any, tell func([]byte) error) error {
	c, err := net.DialTimeout("unix", socket, deadline)
	if err != nil {
		return err
	}
	defer c.Close()
	line, err := json.Marshal(q)
	if err != nil {
		return err
	}
	p := patient{c, patience}
	if q.Request == Import {
		p.wait += importing
	}
	_, sent := p.Write(append(line, '\n'))
	if behind != nil && sent == nil {
		_, sent = io.CopyN(p, behind, q.Size)
	}
	in := bufio.NewScanner(p)
	in.Buffer(make([]byte, 0, 64<<10), maxLine+1)
	for in.Scan() {
		if line, is := bytes.CutPrefix(in.Bytes(), []byte(lineHead)); is { // most are lines: they are taken apart but once
			if line, is = bytes.CutSuffix(line, []byte{'}'}); !is {
				return errCut
			}
			if err := tell(line); err != nil {
				return err
			}
			continue
		}
		var a answer
		switch err := json.Unmarshal(in.Bytes(), &a); {
		case err != nil:
			return fmt.Errorf("no reply of eximpolicyd's: %w", err)
		case a.Error != "":
			return &Refusal{a.Kind, a.Error}
		case a.Reply != nil:
			return json.Unmarshal(a.Reply, reply)
		}
		return errors.New("no reply of eximpolicyd's")
	}
	if err := errors.Join(sent, in.Err()); err != nil {
		return err
	}
	return errCut
}

var errCut = errors.New("the answer is cut")

// patient is a connection that waits as long for each octet.
type patient struct {
	net.Conn
	wait time.Duration
}

// Read waits for the daemon.
func (p patient) Read(b []byte) (int, error) {
	p.SetDeadline(time.Now().Add(p.wait))
	return p.Conn.Read(b)
}

// Write waits for the daemon.
func (p patient) Write(b []byte) (int, error) {
	p.SetDeadline(time.Now().Add(p.wait))
	return p.Conn.Write(b)
}
