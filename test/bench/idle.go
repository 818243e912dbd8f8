package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	idleDaemons     = 3    // fresh ones; the worst counts
	idleConnections = 5000 // below the daemon's 8,192 seats
	idleTime        = 1500 * time.Millisecond
)

// memory is what a process has, in octets.
type memory struct{ rss, pss float64 }

// idle measures the memory of a daemon that nobody asks, and what each connection adds on which nobody has written yet.
func idle(ctx context.Context, b *bench) ([]row, error) {
	var rss, pss, each float64
	for i := range idleDaemons {
		m, growth, err := idleOnce(ctx, b, filepath.Join(b.dir, fmt.Sprintf("idle%d.sock", i)))
		if err != nil {
			return nil, err
		}
		rss, pss, each = max(rss, m.rss), max(pss, m.pss), max(each, growth)
	}
	return []row{
		under("idle daemon, RSS", rss/1e6, 15, "%.1f", " MB"),
		under("idle daemon, PSS", pss/1e6, 15, "%.1f", " MB"),
		under(fmt.Sprintf("each of %d idle connections, PSS (the kernel's sockets are not in it)", idleConnections), each/1000, 5, "%.1f", " kB"),
	}, nil
}

func idleOnce(ctx context.Context, b *bench, socket string) (before memory, growth float64, err error) {
	p, err := b.serve(ctx, socket)
	if err != nil {
		return memory{}, 0, err
	}
	defer func() { err = errors.Join(err, p.end()) }()
	if before, err = memoryOf(p.cmd.Process.Pid); err != nil {
		return memory{}, 0, err
	}
	files, err := filesOf(p.cmd.Process.Pid)
	if err != nil {
		return memory{}, 0, err
	}
	conns := make([]int, 0, idleConnections)
	defer func() {
		for _, fd := range conns {
			unix.Close(fd)
		}
	}()
	begin := time.Now()
	for range idleConnections {
		fd, err := dial(&unix.SockaddrUnix{Name: socket})
		if err != nil {
			return memory{}, 0, err
		}
		conns = append(conns, fd)
	}
	for open := 0; open < files+idleConnections-1; { // the one that tried whether it listens may have been among the files
		if open, err = filesOf(p.cmd.Process.Pid); err != nil {
			return memory{}, 0, err
		}
		if time.Since(begin) > idleTime {
			return memory{}, 0, fmt.Errorf("%d files open after %v: the daemon did not take %d connections before the first timed out",
				open, idleTime, idleConnections)
		}
	}
	after, err := memoryOf(p.cmd.Process.Pid)
	return before, (after.pss - before.pss) / idleConnections, err
}

// filesOf counts the open files of a process.
func filesOf(pid int) (int, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	names, err := f.Readdirnames(0)
	return len(names), err
}

// memoryOf reads /proc/PID/smaps_rollup.
func memoryOf(pid int) (m memory, err error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return memory{}, err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for s.Scan() {
		words := strings.Fields(s.Text())
		if len(words) != 3 || words[2] != "kB" {
			continue
		}
		kib, err := strconv.ParseFloat(words[1], 64)
		if err != nil {
			return memory{}, err
		}
		switch words[0] {
		case "Rss:":
			m.rss = kib * 1024
		case "Pss:":
			m.pss = kib * 1024
		}
	}
	if err := s.Err(); err != nil {
		return memory{}, err
	}
	if m.pss == 0 {
		return memory{}, fmt.Errorf("process %d has no memory", pid)
	}
	return m, nil
}
