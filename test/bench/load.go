package main

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// callers is how many ask at once.
const callers = 32

// load is what one round of callouts took.
type load struct {
	total time.Duration   // from the first to the end of the last
	each  []time.Duration // of every callout
}

// fire makes n callouts in all, from all callers at once, each with its own request.
func fire(socket string, requests [][]byte, n int) (load, error) {
	// A caller is a thread that sleeps in the kernel, as an Exim process does. With a processor in Go's sense for each,
	// the runtime has nothing to hand over when one blocks: half of the cost of a callout would be our own otherwise.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2 * len(requests)))
	var wait sync.WaitGroup
	share := n / len(requests)
	l := load{each: make([]time.Duration, share*len(requests))}
	failed := make([]error, len(requests))
	start := make(chan struct{})
	for i, request := range requests {
		times := l.each[i*share : (i+1)*share]
		wait.Go(func() { // ends after its share
			<-start
			failed[i] = shoot(socket, request, times)
		})
	}
	begin := time.Now()
	close(start)
	wait.Wait()
	l.total = time.Since(begin)
	return l, errors.Join(failed...)
}

// shoot asks as often as there are places for the times.
func shoot(socket string, request []byte, times []time.Duration) error {
	to := &unix.SockaddrUnix{Name: socket}
	reply := make([]byte, 4096)
	for i := range times {
		begin := time.Now()
		n, err := ask(to, request, reply)
		times[i] = time.Since(begin)
		if err == nil {
			err = whole(reply[:n])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ask makes one callout as Exim's readsocket does: connect, write in one call, shut down the writing side, read to the
// end, close.
func ask(to unix.Sockaddr, request, reply []byte) (n int, err error) {
	fd, err := dial(to)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	if m, err := unix.Write(fd, request); err != nil || m < len(request) {
		return 0, fmt.Errorf("a request of %d octets: %d written: %w", len(request), m, err)
	}
	if err := unix.Shutdown(fd, unix.SHUT_WR); err != nil {
		return 0, err
	}
	for n < len(reply) {
		m, err := unix.Read(fd, reply[n:])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return n, err
		case m == 0:
			return n, nil
		default:
			n += m
		}
	}
	return n, nil
}

// dial connects, and waits while the server's backlog is full, as net.Dial does not.
func dial(to unix.Sockaddr) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Connect(fd, to); err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// whole is an error if the reply is not the one that real mail gets.
func whole(reply []byte) error {
	const first, last = "action=dunno ", " end=1\n"
	if s := string(reply); len(s) < len(first)+len(last)-1 || s[:len(first)] != first || s[len(s)-len(last):] != last {
		return fmt.Errorf("unexpected reply %q", s)
	}
	return nil
}
