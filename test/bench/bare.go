package main

import (
	"bytes"
	"io"
	"net"
	"os"
)

// bareServer is the hidden first argument with which this program is the server that ours is compared to.
const bareServer = "bare-server"

// serveBare is the least that any Go server has to do: accept, read to the empty line, write a reply, close, with a
// goroutine for each connection. No deadline, no bound, no log, no thought. It ends when its standard input does, that
// is with the program that started it, which waits for it.
func serveBare(socket, reply string) error {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return err
	}
	if err := os.Chmod(socket, 0o666); err != nil { // Exim's user asks it, too
		return err
	}
	go func() { // ended by the end of the input
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return err
		}
		go answerBare(c, []byte(reply)) // ended by the client, which writes or goes
	}
}

func answerBare(c *net.UnixConn, reply []byte) {
	defer c.Close()
	var buf [4096]byte
	for n := 0; n < len(buf); {
		got, err := c.Read(buf[n:])
		n += got
		if bytes.Contains(buf[:n], []byte("\n\n")) {
			_, _ = c.Write(reply) // a client that has gone is its own loss
			return
		}
		if err != nil {
			return
		}
	}
}
