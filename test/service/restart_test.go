package service

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"eximpolicyd/test/rig"
)

const (
	restarts = 20
	rate     = 500             // callouts/s
	between  = rate / 4        // answered between two restarts, at least
	eximAsks = 3 * time.Second // how long Exim waits for an answer
	standing = time.Second     // from connecting to asking: the daemon waits 2 s for a request
)

// A pacer asks at a rate that does not wait for the answers: call n is due at n/rate, and what is late is caught up with.
type pacer struct {
	path                            string
	calls                           sync.WaitGroup
	quit                            chan struct{}
	sent, answered, late            atomic.Int64
	refused, cut, wrong, unanswered atomic.Int64
	stopped                         atomic.Int64 // cut off since we stood still and had not asked yet; they are not in sent
	slowest                         atomic.Int64 // ns
	first                           sync.Once
	failure                         error // the first that was none of these
}

func (p *pacer) run() {
	p.quit = make(chan struct{})
	p.calls.Go(func() { // stop ends it and waits
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for begin, n := time.Now(), 0; ; {
			select {
			case <-p.quit:
				return
			case <-tick.C:
			}
			due := int(time.Since(begin) * rate / time.Second)
			for i := n; i < due; i++ {
				p.calls.Go(func() { p.call(i) }) // ends with its answer, or after patience
			}
			n = max(n, due)
		}
	})
}

// stop asks no more and waits for what was asked.
func (p *pacer) stop() {
	close(p.quit)
	p.calls.Wait()
}

// call is one callout, and what came of it.
func (p *pacer) call(n int) {
	p.sent.Add(1)
	begin := time.Now()
	c, err := dial(p.path)
	if err != nil {
		p.refused.Add(1)
		return
	}
	defer c.Close()
	raw, action := request(n)
	_, err = c.Write(raw)
	asked := time.Since(begin)
	if err == nil {
		err = hear(c, action)
	}
	took := time.Since(begin)
	var timeout net.Error
	switch {
	case err == nil:
		p.answered.Add(1)
		if took > eximAsks {
			p.late.Add(1)
		}
		for was := p.slowest.Load(); int64(took) > was && !p.slowest.CompareAndSwap(was, int64(took)); was = p.slowest.Load() {
		}
	case cutOff(err):
		if asked > standing {
			p.sent.Add(-1)
			p.stopped.Add(1)
			return
		}
		p.cut.Add(1)
	case errors.As(err, &timeout) && timeout.Timeout():
		p.unanswered.Add(1)
	default:
		p.wrong.Add(1)
		p.first.Do(func() { p.failure = err })
	}
}

// cutOff reports whether who was asked went away without an answer.
func cutOff(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE)
}

// figure is what is told of a run.
func (p *pacer) figure(t *testing.T, what string) {
	t.Helper()
	t.Logf("FIGURE %s under %d callouts/s: %d asked, %d answered, %d refused a connection, %d cut off, %d without an answer; "+
		"the slowest answer after %.2f s, %d after the 3 s that Exim waits; %d cut off besides that had not asked for 1 s", what, rate, p.sent.Load(), p.answered.Load(), p.refused.Load(),
		p.cut.Load(), p.unanswered.Load(), time.Duration(p.slowest.Load()).Seconds(), p.late.Load(), p.stopped.Load())
}

// under asks all the while that each is called, once for each restart, and returns what came of it.
func under(t *testing.T, path string, restart func()) *pacer {
	t.Helper()
	p := &pacer{path: path}
	p.run()
	var once sync.Once
	stop := func() { once.Do(p.stop) }
	defer stop()
	for range restarts {
		before := p.answered.Load()
		err := rig.Await("callouts to be answered", func() bool { return p.answered.Load() >= before+between || p.wrong.Load() > 0 })
		if err != nil {
			t.Fatal(err)
		}
		restart()
	}
	stop()
	return p
}

func TestARestartUnderLoadLeavesNoCalloutUnanswered(t *testing.T) {
	m := manage(t, forgeries)
	m.start()
	p := under(t, m.path(), func() {
		m.stop()
		m.start()
	})
	p.figure(t, "20 restarts")
	if p.answered.Load() != p.sent.Load() {
		t.Errorf("%d of %d were answered; first failure: %v", p.answered.Load(), p.sent.Load(), p.failure)
	}
}

// What a daemon has taken up when it is killed is cut off at once, and Exim passes it; nobody is refused a connection, and
// nobody waits for a dead one.
func TestAKillUnderLoadCutsOffOnlyWhatWasBeingJudged(t *testing.T) {
	m := manage(t, forgeries)
	m.start()
	p := under(t, m.path(), func() {
		m.signal(syscall.SIGKILL)
		<-m.gone
		m.start()
	})
	p.figure(t, "20 kill -9")
	if p.answered.Load()+p.cut.Load() != p.sent.Load() {
		t.Errorf("%d of %d were answered, %d cut off; first failure: %v", p.answered.Load(), p.sent.Load(), p.cut.Load(), p.failure)
	}
}

// One has asked and its judgement waits for the DNS, which is silent; one has asked half, and says nothing more. The daemon
// waits for the DNS as long as it ever would, and for him as long as anybody may take for a request.
func TestWhatIsAskedBeforeSIGTERMIsAnsweredBeforeTheEnd(t *testing.T) {
	dns, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer dns.Close()
	m := manage(t, fmt.Sprintf("policy.helo = {mode = \"enforce\"}\n[dns]\nservers = [%q]\n[policy.rbl]\nmode = \"off\"\n", dns.LocalAddr()))
	m.start()
	raw, _ := request(0)
	judged, silent := ask(t, m, raw), ask(t, m, raw[:len(raw)/2])
	for asked := make([]byte, 512); !bytes.Contains(bytes.ToLower(asked), []byte("\x04mail\x07example\x03com")); { // what the judgement waits for
		if _, _, err := dns.ReadFrom(asked); err != nil {
			t.Fatal(err)
		}
	}
	m.signal(syscall.SIGTERM)
	for name, c := range map[string]*net.UnixConn{"asked": judged, "half asked": silent} {
		if err := hear(c, "dunno"); err != nil {
			t.Errorf("%s at SIGTERM: %v", name, err)
		}
	}
	<-m.gone
	if code := m.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the daemon ended with %d", code)
	}
}

// ask sends a request, or the beginning of one, and returns when the daemon has read it.
func ask(t *testing.T, m *manager, raw []byte) *net.UnixConn {
	t.Helper()
	c, err := dial(m.path())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := c.Write(raw); err != nil {
		t.Fatal(err)
	}
	fd, err := c.File()
	if err != nil {
		t.Fatal(err)
	}
	defer fd.Close()
	err = rig.Await("the daemon to read", func() bool {
		n, err := unix.IoctlGetInt(int(fd.Fd()), unix.SIOCOUTQ)
		return err == nil && n == 0
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhatIsAskedWhileNoDaemonRunsIsAnsweredByTheNext(t *testing.T) {
	m := manage(t, forgeries)
	m.start()
	m.stop()
	raw, action := request(1)
	c, err := dial(m.path())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(raw); err != nil {
		t.Fatal(err)
	}
	m.start()
	if err := hear(c, action); err != nil {
		t.Error(err)
	}
}

// The backlog is full at 4,096: who comes later waits for room, Exim as long as it waits for an answer.
func TestFiveThousandConnectsAtOnceGetTheRightAnswerOrNone(t *testing.T) {
	const connects = 5000
	m := manage(t, forgeries)
	m.start()
	m.signal(syscall.SIGSTOP)
	var all sync.WaitGroup
	var queued, full, right, other atomic.Int64
	for n := range connects {
		all.Go(func() { // ends with its answer
			c, err := dial(m.path())
			if errors.Is(err, unix.EAGAIN) {
				full.Add(1)
				return
			}
			if err != nil {
				other.Add(1)
				t.Error(err)
				return
			}
			defer c.Close()
			raw, action := request(n)
			if _, err = c.Write(raw); err == nil {
				queued.Add(1)
				err = hear(c, action)
			}
			if err != nil {
				other.Add(1)
				t.Error(err)
				return
			}
			right.Add(1)
		})
	}
	err := rig.Await("5,000 connects", func() bool { return queued.Load()+full.Load()+other.Load() == connects })
	m.signal(syscall.SIGCONT)
	all.Wait()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("FIGURE %d connects at once to a daemon that stands still: %d waited and were answered, all rightly; %d found the backlog full",
		connects, right.Load(), full.Load())
	if right.Load() < 4096 || right.Load() != queued.Load() {
		t.Errorf("%d of %d that waited were answered rightly, the backlog holds 4096", right.Load(), queued.Load())
	}
}
