package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// confined is a daemon in a control group of its own, which kills it if it takes more than soakMemory. Where we can make none, its
// RSS is held against that all the same.
type confined struct {
	*process
	group   string // empty: none
	binary  string
	metrics string // socket
	said    *lastWords
}

// confine starts one. Its log is read and thrown away, but for what it said last.
func (b *bench) confine(ctx context.Context, settings string) (d *confined, err error) {
	dir, err := os.MkdirTemp(b.dir, "soak-")
	if err != nil {
		return nil, err
	}
	d = &confined{binary: b.binary, metrics: filepath.Join(dir, "metrics"), said: &lastWords{}}
	if d.group, err = newGroup(); err != nil {
		progress("without a control group, which would kill it:", err.Error())
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.leave())
		}
	}()
	config := filepath.Join(dir, "eximpolicyd.toml")
	if err := os.WriteFile(config, []byte(settings+"[metrics]\nlisten = \"unix:"+d.metrics+"\"\n"), 0o644); err != nil {
		return nil, err
	}
	p := &process{socket: filepath.Join(dir, "policy")}
	const enter = `[ -z "$1" ] || echo $$ >"$1/cgroup.procs" && shift && exec "$@"`
	p.cmd = exec.CommandContext(ctx, "sh", "-c", enter, "sh", d.group, b.binary, "serve", "--config", config, "--socket", p.socket)
	p.cmd.Env = append(os.Environ(), soakGo, "STATE_DIRECTORY="+filepath.Join(dir, "state"))
	p.cmd.Stderr = d.said
	p.stop = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	d.process = p
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	for range 1000 {
		if strings.Count(d.said.String(), " state=ok ") == lists {
			return d, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, errors.Join(fmt.Errorf("the daemon does not find all lists in order: %s", d.said), p.end())
}

// newGroup makes a control group with a bound for memory, below our own, of version 2 or 1.
func newGroup() (string, error) {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(own)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		file := "memory.limit_in_bytes"
		if f[1] == "" {
			file = "memory.max"
		} else if f[1] != "memory" {
			continue
		}
		dir := filepath.Join(mountOf(string(mounts), f[1]), f[2], fmt.Sprint("eximpolicyd-soak-", os.Getpid()))
		if err := os.Mkdir(dir, 0o755); err != nil {
			return "", err
		}
		err := os.WriteFile(filepath.Join(dir, file), fmt.Append(nil, soakMemory), 0o644)
		if err == nil {
			return dir, nil
		}
		if err := os.Remove(dir); err != nil {
			return "", err
		}
	}
	return "", errors.New("no control group has a bound for memory: be root, and see /proc/self/cgroup")
}

// mountOf returns where the hierarchy of a controller is mounted; without a name, that of version 2.
func mountOf(mounts, controller string) string {
	for line := range strings.Lines(mounts) {
		f := strings.Fields(line)
		if controller == "" && f[2] == "cgroup2" || controller != "" && f[2] == "cgroup" && strings.HasSuffix(f[3], ","+controller) {
			return f[1]
		}
	}
	return ""
}

func (d *confined) end() error { return errors.Join(d.process.end(), d.leave()) }

// leave removes the control group, in which nobody is left.
func (d *confined) leave() error {
	if d.group == "" {
		return nil
	}
	return os.Remove(d.group)
}

// administer does what an administrator does: he looks, and reloads.
func (d *confined) administer(ctx context.Context) error {
	for _, args := range [][]string{{"status", "--json"}, {"lists", "--json"}, {"ban", "list"}} {
		cmd := exec.CommandContext(ctx, d.binary, append(args, "--socket", filepath.Join(filepath.Dir(d.socket), "control.sock"))...)
		if out, err := cmd.CombinedOutput(); err != nil && cmd.ProcessState.ExitCode() != 69 {
			return fmt.Errorf("%s: %w: %s", cmd, err, out)
		}
	}
	return d.cmd.Process.Signal(syscall.SIGHUP)
}

// sample is how a daemon is at a moment.
type sample struct {
	rss, heap         float64 // octets; of the heap, what the last collection left
	files, goroutines int
}

func (s sample) String() string {
	return fmt.Sprintf("RSS %.1f MB, %.1f MB live, %d files, %d goroutines", s.rss/1e6, s.heap/1e6, s.files, s.goroutines)
}

func (d *confined) sample() (s sample, err error) {
	pid := d.cmd.Process.Pid
	m, err := memoryOf(pid)
	if err != nil {
		return s, fmt.Errorf("the daemon is gone: %w", err)
	}
	s.rss = m.rss
	if s.files, err = filesOf(pid); err != nil {
		return s, err
	}
	return s, d.figures(map[string]func(float64){
		"go_goroutines":         func(n float64) { s.goroutines = int(n) },
		"go_gc_heap_live_bytes": func(n float64) { s.heap = n },
	})
}

// figures reads some of the daemon's metrics.
func (d *confined) figures(wanted map[string]func(float64)) error {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", d.metrics)
	}, DisableKeepAlives: true}
	reply, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Get("http://metrics/metrics")
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	lines := bufio.NewScanner(reply.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if take := wanted[name]; take != nil {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return err
			}
			take(n)
			delete(wanted, name)
		}
	}
	if len(wanted) > 0 {
		return errors.Join(lines.Err(), fmt.Errorf("the metrics do not tell of %v", slices.Sorted(maps.Keys(wanted))))
	}
	return lines.Err()
}

// rest returns how the daemon is when nobody asks it any more: the same twice, a little apart.
func (d *confined) rest(ctx context.Context) (last sample, err error) {
	for range 20 {
		if err := sleep(ctx, 3*time.Second); err != nil {
			return last, err
		}
		now, err := d.sample()
		if err != nil {
			return last, err
		}
		if now.files == last.files && now.goroutines == last.goroutines {
			return now, nil
		}
		last = now
	}
	return last, fmt.Errorf("a minute after it was asked last the daemon does not rest: %s", last)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// lastWords keeps the end of what is written to it.
type lastWords struct {
	mu   sync.Mutex
	text []byte
}

// Write never fails.
func (l *lastWords) Write(p []byte) (int, error) {
	const most = 2 << 10
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.text = append(l.text, p...); len(l.text) > 2*most {
		l.text = append(l.text[:0], l.text[len(l.text)-most:]...)
	}
	return len(p), nil
}

// String returns it.
func (l *lastWords) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}
