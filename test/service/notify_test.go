package service

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"eximpolicyd/test/rig"
)

func TestSystemdIsToldHowTheDaemonIs(t *testing.T) {
	m := manage(t, forgeries)
	m.start()
	m.reload(t, "mode = \"observe\"\n[dns]\nask = \"off\"\n")
	m.reload(t, "mode = \"some\ntimes\"\nREADY=7")
	m.stop()
	if err := rig.Await("STOPPING", func() bool { return m.count("STOPPING=1") == 1 }); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"READY=1\nSTATUS=answers on " + regexp.QuoteMeta(m.path()) + `: [1-9][0-9]* enforced, [0-9]+ observed, [0-9]+ off`,
		"RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]*\nSTATUS=reads its configuration",
		"READY=1\nSTATUS=answers on " + regexp.QuoteMeta(m.path()) + `: 0 enforced, [1-9][0-9]* observed, [0-9]+ off`,
		"RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]*\nSTATUS=reads its configuration",
		"READY=1\nSTATUS=the configuration is not changed: " + regexp.QuoteMeta(m.config) + `:1:8: [^\n]* \.\.\.`,
		"STOPPING=1\nSTATUS=stops: [^\n]+",
	}
	got := m.states()
	if len(got) != len(want) {
		t.Fatalf("told %d states, want %d: %q", len(got), len(want), got)
	}
	for i := range want {
		if !regexp.MustCompile("^" + want[i] + "$").MatchString(got[i]) {
			t.Errorf("state %d is %q, want %s", i, got[i], want[i])
		}
	}
}

// reload gives the daemon another configuration and returns when it has said that it is ready again.
func (m *manager) reload(t *testing.T, config string) {
	t.Helper()
	before := m.count("READY=1")
	m.write(config)
	m.signal(syscall.SIGHUP)
	if err := rig.Await("READY after SIGHUP", func() bool { return m.count("READY=1") > before || m.ended() }); err != nil || m.ended() {
		t.Fatalf("%v, ended: %v", err, m.ended())
	}
}

// systemd tells by the time which of two reloads a word belongs to: it must be of the clock it reads itself.
func TestTheTimeOfAReloadIsOfTheMonotonicClock(t *testing.T) {
	m := manage(t, forgeries)
	m.start()
	before := monotonic(t)
	m.reload(t, forgeries)
	after := monotonic(t)
	found := regexp.MustCompile(`MONOTONIC_USEC=(\d+)`).FindStringSubmatch(strings.Join(m.states(), "\n"))
	if found == nil {
		t.Fatalf("%q", m.states())
	}
	if at, err := strconv.ParseInt(found[1], 10, 64); err != nil || at < before || at > after {
		t.Errorf("%d is not between %d and %d", at, before, after)
	}
	m.stop()
}

func monotonic(t *testing.T) int64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	return now.Nano() / 1000
}

func TestABadFileAtSIGHUPLeavesTheOldOneInForce(t *testing.T) {
	m := manage(t, forgeries)
	m.start()
	answers(t, m.path()) // refuses
	m.reload(t, "mode = \"sometimes\"\n")
	answers(t, m.path()) // still
	m.reload(t, "mode = \"observe\"\n[dns]\nask = \"off\"\n")
	c, err := dial(m.path())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, _ := request(1)
	if _, err := c.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := hear(c, "dunno"); err != nil {
		t.Errorf("after a good one: %v", err)
	}
	m.stop()
}

// A ban is saved as it is made, and the last decisions are at the stop.
func TestWhatIsRememberedIsThereAfterARestart(t *testing.T) {
	m := manage(t, forgeries)
	look := func(argv ...string) string {
		t.Helper()
		out, err := exec.Command(binary, append(argv, "--socket", filepath.Join(m.dir, "control.sock"))...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v: %s", argv, err, out)
		}
		return string(out)
	}
	m.start()
	look("ban", "add", "203.0.113.7", "--for", "1h")
	answers(t, m.path())
	id, _, _ := strings.Cut(look("explain", "--last", "1"), " ")
	m.stop()
	m.start()
	if out := look("ban", "list"); !strings.Contains(out, "203.0.113.7") {
		t.Errorf("the ban is gone: %s", out)
	}
	if out := look("explain", id); !strings.Contains(out, "helo.H7") {
		t.Errorf("the decision is gone: %s", out)
	}
	m.stop()
}

// The hang is strace's: it keeps the accept loop of the real daemon in its system call.
func TestTheWatchdogHearsNothingOfADaemonThatHangs(t *testing.T) {
	m := manage(t, forgeries)
	m.more = []string{"WATCHDOG_USEC=600000"}
	m.start()
	m.pings(t, 2)
	var attached lockedBuffer
	hang := exec.Command("strace", "-f", "-o", os.DevNull, "-e", "trace=accept4", "-e", "inject=accept4:delay_enter="+
		fmt.Sprint((10*time.Minute).Microseconds()), "-p", strconv.Itoa(m.cmd.Process.Pid))
	hang.Stderr = &attached
	if err := hang.Start(); err != nil {
		t.Fatal(err)
	}
	silent := func() int { return strings.Count(m.log.String(), "the watchdog of systemd is not told that we live") }
	err := rig.Await("strace", func() bool { return strings.Contains(attached.String(), " attached") })
	before := silent()
	if err == nil { // the first question may have been put before
		err = rig.Await("the daemon to notice that it hangs", func() bool { return silent() >= before+2 })
	}
	pings := m.count("WATCHDOG=1")
	if err == nil {
		err = rig.Await("more questions to itself", func() bool { return silent() >= before+5 })
	}
	if now := m.count("WATCHDOG=1"); now != pings {
		t.Errorf("%d pings while it hangs", now-pings)
	}
	if err != nil {
		t.Error(err)
	}
	if err := hang.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	_ = hang.Wait() // it ends by our signal
	m.pings(t, pings+2)
	answers(t, m.path())
	m.stop()
}

// pings waits for the watchdog to have heard so often.
func (m *manager) pings(t *testing.T, n int) {
	t.Helper()
	if err := rig.Await("pings", func() bool { return m.count("WATCHDOG=1") >= n }); err != nil {
		t.Fatal(err)
	}
}

func TestADaemonThatMayNotAskItselfIsNotTakenForOneThatHangs(t *testing.T) {
	m := manage(t, forgeries)
	m.more = []string{"WATCHDOG_USEC=300000"}
	m.start()
	if err := os.Remove(m.path()); err != nil {
		t.Fatal(err)
	}
	m.pings(t, m.count("WATCHDOG=1")+3)
	m.stop()
	if n := strings.Count(m.log.String(), "the watchdog of systemd cannot know whether we answer"); n != 1 {
		t.Errorf("the log says so %d times", n)
	}
}

func TestOneThatNoWatchdogWaitsForTellsNone(t *testing.T) {
	m := manage(t, forgeries)
	m.start()
	answers(t, m.path())
	m.stop()
	if n := m.count("WATCHDOG"); n != 0 {
		t.Errorf("%d pings", n)
	}
}
