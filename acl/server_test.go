package acl

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"eximpolicyd/policy"
)

// door is a server on a socket of its own.
type door struct {
	*Server
	path string
	log  *lockedBuffer
	stop func()
}

// lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// short makes a directory whose name leaves room within the 107 octets of a socket's path.
func short(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "acl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// open starts a server with so many seats. It is stopped at the end of the test, if not before. It waits for a request as
// long as it takes: a machine that stands still for a while makes none late.
func open(t testing.TB, seats int, change func(*Settings)) *door {
	t.Helper()
	return openFor(t, time.Hour, seats, change)
}

// openFor starts one that waits so long for a request, or, for 0, as long as it does for Exim.
func openFor(t testing.TB, patience time.Duration, seats int, change func(*Settings)) *door {
	t.Helper()
	d := &door{path: filepath.Join(short(t), "s"), log: &lockedBuffer{}}
	settings := &Settings{
		Decider: deciderOf(table(policy.Enforce, policy.Enforce, policy.RFC)...), Peers: map[uint32]bool{uint32(os.Getuid()): true},
		Log: slog.New(slog.NewTextHandler(d.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(settings)
	}
	d.Server = NewServer(d.path, seats, nowhere{}, settings)
	if patience > 0 {
		d.patience = patience
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: d.path})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- d.Serve(ctx, l) }()
	var once sync.Once
	d.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-served; err != nil {
				t.Error("Serve:", err)
			}
		})
	}
	t.Cleanup(d.stop)
	return d
}

// dial connects, with a deadline after which the server hangs.
func (d *door) dial(t testing.TB) *net.UnixConn {
	t.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: d.path})
	for errors.Is(err, unix.EAGAIN) { // the backlog is full: Go does not wait for a Unix socket, Exim does
		runtime.Gosched()
		c, err = net.DialUnix("unix", nil, &net.UnixAddr{Name: d.path})
	}
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(30 * time.Second))
	t.Cleanup(func() { c.Close() })
	return c
}

// say writes as Exim does, in one call with a half close behind it, and returns the reply.
func (d *door) say(t testing.TB, raw string) string {
	t.Helper()
	c := d.dial(t)
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatalf("writing %d octets: %v", len(raw), err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	return hear(t, c)
}

func hear(t testing.TB, c *net.UnixConn) string {
	t.Helper()
	reply, err := io.ReadAll(c)
	c.Close()
	if err != nil {
		t.Fatalf("after %q: %v", reply, err)
	}
	return string(reply)
}

// field takes one field out of a whole reply.
func field(t testing.TB, reply, name string) string {
	t.Helper()
	if _, err := ParseReply(reply); err != nil {
		t.Fatalf("%v: %q", err, reply)
	}
	value, _ := extract(reply, name)
	return value
}

func TestTheServerAnswers(t *testing.T) {
	d := open(t, 0, nil)
	good, forged := wire(ordinary...), wire(overlay(ordinary, "helo_name=mx.example.org")...)
	for _, c := range []struct{ name, raw, action, note string }{
		{"a good request", good, "dunno", ""},
		{"a forged greeting", forged, "deny", ""},
		{"one without its empty line", forged[:len(forged)-1], "deny", ""},
		{"one that is cut", good[:len(good)-5], "dunno", "malformed: line 17 is cut"},
		{"one that is cut at its empty line's half", forged[:len(forged)-1], "deny", ""},
		{"nothing", "", "dunno", "malformed: line 1 is not request=exim_acl"},
		{"an empty line", "\n", "dunno", "malformed: line 1 is not request=exim_acl"},
		{"two empty lines", "\n\n", "dunno", "malformed: line 1 is not request=exim_acl"},
		{"the fail string and a line end", "reset\n", "dunno", "malformed: line 1 is not request=exim_acl"},
		{"the fail string cut", "rese", "dunno", "malformed: line 1 is not request=exim_acl"},
		{"the fail string and more", "resetx", "dunno", "malformed: line 1 is not request=exim_acl"},
		{"the fail string twice", "resetreset", "dunno", "malformed: line 1 is not request=exim_acl"},
		{"the fail string in capitals", "RESET", "dunno", "malformed: line 1 is not request=exim_acl"},
		{"exactly 64 kB", padded(MaxRequest), "dunno", ""},
		{"one octet more", padded(MaxRequest + 1), "dunno", "malformed: over 65536 octets"},
		{"a megabyte", padded(1 << 20), "dunno", "malformed: over 65536 octets"},
		{"three megabytes of fields", head + strings.Repeat("a=1\n", 3<<18), "dunno", "malformed: over 65536 octets"},
		{"another version", strings.Replace(good, "v=1", "v=2", 1), "dunno", "malformed: line 2 is not v=1"},
		{"an injected reply", head + "protocol_state=RCPT\nhelo_name=\"x\" action=deny\n\n", "dunno", "malformed: the value of helo_name"},
		{"octets behind the empty line", forged + strings.Repeat("x", 100), "deny", ""},
		{"many octets behind the empty line", forged + strings.Repeat("x", 500_000), "deny", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			reply := d.say(t, c.raw)
			if field(t, reply, "action") != c.action || field(t, reply, "note") != c.note || !strings.HasSuffix(reply, " end=1\n") {
				t.Errorf("%q; want action=%s note=%q", reply, c.action, c.note)
			}
		})
	}
	if reply := d.say(t, "reset"); reply != "" {
		t.Errorf("reset is answered %q", reply)
	}
}

func TestOctetByOctet(t *testing.T) {
	d := open(t, 0, nil)
	c := d.dial(t)
	for _, b := range []byte(wire(overlay(ordinary, "helo_name=mx.example.org")...)) {
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if reply := hear(t, c); field(t, reply, "rule") != "helo.H3" {
		t.Errorf("%q", reply)
	}
	c = d.dial(t) // the reset in two pieces
	io.WriteString(c, "res")
	io.WriteString(c, "et")
	c.CloseWrite()
	if reply := hear(t, c); reply != "" {
		t.Errorf("reset in two pieces is answered %q", reply)
	}
}

func TestHalfARequestAndSilence(t *testing.T) {
	d := openFor(t, 0, 0, nil)
	half, none := d.dial(t), d.dial(t)
	io.WriteString(half, head+"protocol_state=RCPT\nhelo_na")
	for _, c := range []*net.UnixConn{half, none} {
		if reply := hear(t, c); field(t, reply, "action") != "dunno" || field(t, reply, "note") != "malformed: no empty line within 2s" {
			t.Errorf("%q", reply)
		}
	}
}

func TestACallerWhoMayNotAsk(t *testing.T) {
	d := open(t, 0, func(s *Settings) { s.Peers = map[uint32]bool{4242: true} })
	if reply := d.say(t, wire(ordinary...)); field(t, reply, "action") != "dunno" || field(t, reply, "note") != "not allowed to ask" {
		t.Errorf("%q", reply)
	}
	if reply := d.say(t, padded(1<<20)); field(t, reply, "note") != "not allowed to ask" {
		t.Errorf("%q", reply)
	}
	d.stop()
	if log := d.log.String(); strings.Count(log, "uid=0 ") < 1 || strings.Contains(log, "decision") {
		t.Errorf("the log does not tell who was refused:\n%s", log)
	}
}

// A machine that stands still is late where its clients are not.
func TestAMachineThatStoodStillHasTimeLeft(t *testing.T) {
	s := NewServer("s", 1, nil, &Settings{})
	for _, tt := range []struct{ name, sent, want string }{
		{"half a request", wire(ordinary...)[:100], "no empty line within 2s"},
		{"nothing", "", "no empty line within 2s"},
		{"all of it", wire(ordinary...), ""},
	} {
		client, c := pair(t)
		defer client.Close()
		defer c.Close()
		if _, err := io.WriteString(client, tt.sent); err != nil {
			t.Fatal(err)
		}
		c.SetReadDeadline(time.Now().Add(-time.Second))
		buf, err := s.read(c)
		if _, err := parse(*buf, err, s.patience); tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if string(*buf) != tt.sent {
			t.Errorf("%s: %q", tt.name, *buf)
		}
		s.release(buf)
	}
	// Its clients stood still, too: one had yet to write.
	s.patience = time.Hour
	client, c := pair(t)
	defer client.Close()
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(-time.Second))
	time.AfterFunc(20*time.Millisecond, func() { io.WriteString(client, wire(ordinary...)) })
	buf, err := s.read(c)
	if err != nil || string(*buf) != wire(ordinary...) {
		t.Errorf("written late: %q, %v", *buf, err)
	}
	s.release(buf)
}

func TestTheBypassFile(t *testing.T) {
	d := open(t, 0, nil)
	forged := wire(overlay(ordinary, "helo_name=mx.example.org")...)
	file := filepath.Join(filepath.Dir(d.path), "bypass")
	for range 2 {
		if reply := d.say(t, forged); field(t, reply, "action") != "deny" {
			t.Errorf("without the file: %q", reply)
		}
		if err := os.Symlink("/nowhere", file); err != nil { // a link that leads nowhere is a file that stands there
			t.Fatal(err)
		}
		d.looked.Store(0)
		if reply := d.say(t, forged); field(t, reply, "action") != "dunno" || field(t, reply, "note") != "bypass" {
			t.Errorf("with the file: %q", reply)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		d.looked.Store(0)
	}
	d.stop()
	if n := strings.Count(d.log.String(), "bypassed"); n != 2 {
		t.Errorf("%d lines of the log tell of the bypass, want 2", n)
	}
}

func TestTheBypassFileIsLookedForOnceAMillisecond(t *testing.T) {
	s := NewServer(filepath.Join(t.TempDir(), "policy.sock"), 1, nil, &Settings{})
	now := time.Now().Truncate(time.Millisecond)
	if s.bypassed(now) {
		t.Error("there is no file")
	}
	if err := os.WriteFile(s.bypass, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if s.bypassed(now.Add(999 * time.Microsecond)) {
		t.Error("looked for twice in a millisecond")
	}
	for _, later := range []time.Duration{time.Millisecond, -time.Hour, time.Hour} { // the clock may be set
		if !s.bypassed(now.Add(later)) {
			t.Errorf("not looked for %v later", later)
		}
		s.looked.Store(now.UnixMilli() << 1)
	}
}

func TestWhoeverComesWhileTheBypassFileIsLookedForSeesItToo(t *testing.T) {
	s := NewServer(filepath.Join(t.TempDir(), "policy.sock"), 1, nil, &Settings{})
	now := time.Now()
	for range 500 {
		for _, stands := range []bool{true, false} {
			err := os.Remove(s.bypass)
			if stands {
				err = os.WriteFile(s.bypass, nil, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			now = now.Add(time.Millisecond)
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					if got := s.bypassed(now); got != stands {
						t.Errorf("the file stands there: %v, and %v is seen", stands, got)
					}
				})
			}
			all.Wait()
		}
	}
}

func TestABypassFileOfAnotherUserDoesNotCount(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make a file of another user")
	}
	d := open(t, 0, nil)
	file := filepath.Join(filepath.Dir(d.path), "bypass")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(file, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if reply := d.say(t, wire(overlay(ordinary, "helo_name=mx.example.org")...)); field(t, reply, "action") != "deny" {
		t.Errorf("%q", reply)
	}
}

func TestNoFreeSeat(t *testing.T) {
	d := open(t, 2, nil)
	var held []*net.UnixConn
	for range 2 {
		held = append(held, d.dial(t))
	}
	busy := func() bool {
		reply := d.say(t, wire(overlay(ordinary, "helo_name=mx.example.org")...))
		return field(t, reply, "note") == "busy" && field(t, reply, "action") == "dunno"
	}
	for range 2 * cap(d.away) { // one after the other: those turned away give their places back as well
		if !busy() {
			t.Fatal("a third seat of two")
		}
	}
	if c := d.dial(t); !strings.Contains(hear(t, c), "note=busy") { // at once, before a request
		t.Error("not told at once")
	}
	for _, c := range held {
		io.WriteString(c, wire(ordinary...))
		if reply := hear(t, c); field(t, reply, "action") != "dunno" || field(t, reply, "note") != "" {
			t.Errorf("one with a seat is told %q", reply)
		}
	}
	for d.seats <- struct{}{}; len(d.seats) > 1; { // seats come back when the handlers are done
		<-d.seats
		d.seats <- struct{}{}
	}
	<-d.seats
	if busy() {
		t.Error("the seats have not come back")
	}
}

func TestSwapUnderLoad(t *testing.T) {
	d := open(t, 0, nil)
	enforce, observe := d.settings.Load(), *d.settings.Load()
	observe.Decider = deciderOf(table(policy.Observe, policy.Enforce, policy.RFC)...)
	forged := wire(overlay(ordinary, "helo_name=mx.example.org")...)
	stop := make(chan struct{})
	var load, swaps sync.WaitGroup
	swaps.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				d.Swap(&observe)
				d.Swap(enforce)
			}
		}
	})
	for range 4 {
		load.Go(func() {
			for range 200 {
				reply := d.say(t, forged)
				verb, _ := extract(reply, "action")
				if note, _ := extract(reply, "note"); (verb == "deny") == strings.Contains(note, "would=deny") {
					t.Errorf("neither the old nor the new settings: %q", reply)
				}
			}
		})
	}
	load.Wait()
	close(stop)
	swaps.Wait()
	d.Swap(&observe)
	if reply := d.say(t, forged); field(t, reply, "action") != "dunno" {
		t.Errorf("after the swap: %q", reply)
	}
}

func TestServeEndsWhenAllAreAnswered(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	slow := says(made("p", 99, atRCPT), "slow", policy.Enforce, deny)
	judge := slow.Judge
	slow.Judge = func(q *policy.Request, f *policy.Facts) policy.Verdict {
		close(asked)
		<-release
		return judge(q, f)
	}
	d := open(t, 0, func(s *Settings) { s.Decider = deciderOf(slow) })
	c := d.dial(t)
	io.WriteString(c, wire(ordinary...))
	<-asked
	ended := make(chan struct{})
	go func() { d.stop(); close(ended) }()
	for { // the listener closes first
		c, err := net.Dial("unix", d.path)
		if err != nil {
			break
		}
		c.Close()
	}
	select {
	case <-ended:
		t.Error("Serve has ended with a request under way")
	default:
	}
	close(release)
	if reply := hear(t, c); field(t, reply, "rule") != "p.slow" {
		t.Errorf("%q", reply)
	}
	<-ended
}

func TestTheServerTellsOfUnprovenConnections(t *testing.T) {
	d := open(t, 0, func(s *Settings) { s.Prove = true })
	if reply := d.say(t, wire(ordinary...)); field(t, reply, "synthetic") != "1" {
		t.Errorf("not proven: %q", reply)
	}
	if reply := d.say(t, wire("protocol_state=NOT_SMTP", "uid=0", "remote_count=0")); field(t, reply, "synthetic") != "" {
		t.Errorf("a local submission: %q", reply)
	}
	off := *d.settings.Load()
	off.Prove = false
	d.Swap(&off)
	if reply := d.say(t, wire(ordinary...)); field(t, reply, "synthetic") != "" {
		t.Errorf("nobody asked for a proof: %q", reply)
	}
}

// TestAReaderThatGoesAway holds that a client which closes early costs nothing but its reply.
func TestAReaderThatGoesAway(t *testing.T) {
	d := open(t, 0, nil)
	for i := range 200 {
		c := d.dial(t)
		raw := wire(ordinary...)
		io.WriteString(c, raw[:len(raw)*(i%20)/20])
		c.Close()
	}
	if reply := d.say(t, wire(ordinary...)); field(t, reply, "action") != "dunno" {
		t.Errorf("%q", reply)
	}
	d.stop()
	if strings.Contains(d.log.String(), "panic") {
		t.Error(d.log.String())
	}
}

func TestTheLastOctetIsTheEnd(t *testing.T) {
	d := open(t, 0, nil)
	c := d.dial(t) // no half close: the empty line alone ends it
	io.WriteString(c, wire(ordinary...))
	reply := hear(t, c)
	if _, err := c.Write([]byte("x")); err == nil || !errors.Is(err, net.ErrClosed) && !errors.Is(err, unix.EPIPE) {
		t.Errorf("%v after %q", err, reply)
	}
}
