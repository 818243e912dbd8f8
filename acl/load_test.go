package acl

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"eximpolicyd/policy"
)

// socketVar tells a child process where to listen.
const socketVar = "EXIMPOLICYD_ACL_SOCKET"

// descriptors is how many files a process may have open.
func descriptors(t testing.TB) int {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	return int(min(limit.Cur, 1<<20))
}

// TestIdleConnectionsDoNotStopGoodOnes is row 8 of the promises. Both ends are in this process, so an idle connection
// costs two descriptors of its limit.
func TestIdleConnectionsDoNotStopGoodOnes(t *testing.T) {
	idle := min(10_000, (descriptors(t)-500)/2)
	t.Logf("%d idle connections; 10,000 need a limit of 20,500 descriptors, here are %d", idle, descriptors(t))
	d := open(t, 16_384, nil)
	forged := wire(overlay(ordinary, "helo_name=mx.example.org")...)
	var held []*net.UnixConn
	for i := range idle {
		c := d.dial(t)
		held = append(held, c)
		if i%2 == 0 {
			io.WriteString(c, head) // half a request
		}
	}
	for range 500 {
		if reply := d.say(t, forged); field(t, reply, "rule") != "helo.H3" {
			t.Fatalf("%q", reply)
		}
	}
	if taken, _ := d.Seats(); taken < idle {
		t.Errorf("%d of %d are still there", taken, idle)
	}
	for _, c := range held {
		c.Close()
	}
}

// waiting is a line of the log that tells of a wait for descriptors.
var waiting = regexp.MustCompile(`^time=(\S+) .*"cannot accept a connection, waiting" .* wait=(\S+)$`)

// backoff holds what such lines say against each other.
type backoff struct {
	lines int
	last  time.Duration
	ends  time.Time // the last wait, at the soonest
}

// read takes in a line. A wait is twice as long as the one before, or begins anew behind a connection that was accepted;
// and nothing is tried before its end, however slow the machine is.
func (b *backoff) read(line string) error {
	m := waiting.FindStringSubmatch(line)
	if m == nil {
		return nil
	}
	at, err := time.Parse(time.RFC3339, m[1])
	if err != nil {
		return err
	}
	wait, err := time.ParseDuration(m[2])
	if err != nil {
		return err
	}
	if first := 5 * time.Millisecond; wait != first && wait != min(2*b.last, maxBackoff) || at.Before(b.ends) {
		return fmt.Errorf("no backing off from %s until %s: %s", b.last, b.ends, line)
	}
	b.lines, b.last, b.ends = b.lines+1, wait, at.Add(wait-time.Millisecond) // which the log cuts its times to
	return nil
}

// starved is a server in a process with few descriptors, that lives until its input ends.
func starved(socket string) error {
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 40, Max: 40}); err != nil {
		return err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	srv := NewServer(socket, 0, nowhere{}, &Settings{
		Decider: deciderOf(table(policy.Enforce, policy.Enforce, policy.RFC)...), Peers: map[uint32]bool{uint32(os.Getuid()): true},
		Log: slog.New(slog.NewTextHandler(os.Stdout, nil)),
	})
	srv.patience = time.Hour // no descriptor comes back before its client wants it to
	fmt.Println("ready")
	return srv.Serve(ctx, l)
}

// TestOutOfDescriptors is row 9 of the promises: no spinning, and all is well again when connections end.
func TestOutOfDescriptors(t *testing.T) {
	path := filepath.Join(short(t), "s")
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), roleVar+"=starved", socketVar+"="+path)
	input, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	if !lines.Scan() || lines.Text() != "ready" {
		t.Fatal("no server:", lines.Text())
	}
	d := &door{path: path}
	var held []*net.UnixConn
	for range 80 { // twice as many as it can have; the rest waits in the backlog
		held = append(held, d.dial(t))
	}
	var waits backoff
	for waits.lines < 4 && lines.Scan() {
		if err := waits.read(lines.Text()); err != nil {
			t.Fatal(err)
		}
	}
	if waits.last != 40*time.Millisecond {
		t.Errorf("%d lines tell of waiting, the last of %s; want 5, 10, 20 and 40 ms", waits.lines, waits.last)
	}
	for _, c := range held {
		c.Close()
	}
	for range 20 {
		if reply := d.say(t, wire(overlay(ordinary, "helo_name=mx.example.org")...)); field(t, reply, "rule") != "helo.H3" {
			t.Fatalf("not well again: %q", reply)
		}
	}
	input.Close()
	for lines.Scan() {
		if err := waits.read(lines.Text()); err != nil {
			t.Fatal(err)
		}
	}
	if err := child.Wait(); err != nil {
		t.Error(err)
	}
	usage := child.ProcessState.SysUsage().(*syscall.Rusage)
	t.Logf("%d waits, %v of processor time", waits.lines, time.Duration(usage.Utime.Nano()+usage.Stime.Nano()))
}

// idleCost opens idle connections and returns what each costs in octets of heap and stacks, and in goroutines.
func idleCost(t testing.TB, n int) (octets, goroutines float64) {
	d := open(t, n+10, nil)
	use := func() (uint64, int) {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse, runtime.NumGoroutine()
	}
	d.say(t, wire(ordinary...))
	fds := make([]int, 0, n) // of the client's ends, which cost this process no memory of Go's
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	before, count := use()
	for range n {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, fd)
		if err := unix.Connect(fd, &unix.SockaddrUnix{Name: d.path}); err != nil {
			t.Fatal(err)
		}
	}
	for len(d.seats) < n {
		runtime.Gosched()
	}
	after, now := use()
	return float64(after-before) / float64(n), float64(now-count) / float64(n)
}

// TestAnIdleConnectionIsCheap is "under 5 kB an idle connection"; with the race detector there is more to each.
func TestAnIdleConnectionIsCheap(t *testing.T) {
	octets, goroutines := idleCost(t, 2000)
	t.Logf("%.0f octets and %.2f goroutines an idle connection", octets, goroutines)
	if goroutines > 1.05 {
		t.Errorf("%.2f goroutines an idle connection, want one", goroutines)
	}
	if octets > 5000 && !raceDetector {
		t.Errorf("%.0f octets an idle connection, at most 5,000", octets)
	}
}

func BenchmarkIdleConnection(b *testing.B) {
	var octets, goroutines float64
	for b.Loop() {
		octets, goroutines = idleCost(b, 5000)
	}
	b.ReportMetric(octets, "octets/connection")
	b.ReportMetric(goroutines, "goroutines/connection")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkCallout is one request after the other over the socket, and by eight callers at once.
func BenchmarkCallout(b *testing.B) {
	for _, callers := range []int{1, 8} {
		b.Run(fmt.Sprint(callers, " callers"), func(b *testing.B) {
			d := open(b, 0, func(s *Settings) { s.Log = quiet() })
			var all sync.WaitGroup
			took := make([]time.Duration, b.N)
			for i := range callers {
				all.Go(func() {
					for j := i; j < b.N; j += callers {
						start := time.Now()
						c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: d.path})
						if err != nil {
							b.Error(err)
							return
						}
						io.WriteString(c, fullRequest)
						c.CloseWrite()
						io.Copy(io.Discard, c)
						c.Close()
						took[j] = time.Since(start)
					}
				})
			}
			all.Wait()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "us-p99")
		})
	}
}
