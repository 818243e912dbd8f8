package service

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"eximpolicyd/test/rig"
)

const (
	policySocket  = "/run/eximpolicyd/policy.sock"
	controlSocket = "/run/eximpolicyd/control.sock"
	metricsSocket = "/run/eximpolicyd-metrics/metrics.sock"
)

func TestTheUnitsWorkUnderSystemd(t *testing.T) {
	h := newHost(t, forgeries+"[metrics]\nlisten = \"unix:"+metricsSocket+"\"\n", "")
	t.Run("systemd finds nothing wrong with them", func(t *testing.T) {
		argv := []string{"systemd-analyze", "verify", "--man=no"}
		for _, unit := range ours {
			argv = append(argv, "/units/"+unit)
		}
		if out := h.must(argv...); out != "" {
			t.Error(out)
		}
	})
	t.Run("sockets, folder and state are whose they should be", func(t *testing.T) {
		for path, want := range map[string]string{
			"/run/eximpolicyd": "750 root:Debian-exim", policySocket: "660 eximpolicyd:Debian-exim", controlSocket: "600 root:root",
			"/run/eximpolicyd-metrics": "755 eximpolicyd:eximpolicyd", metricsSocket: "660 eximpolicyd:eximpolicyd",
			"/var/lib/eximpolicyd": "750 eximpolicyd:eximpolicyd",
		} {
			if got := strings.TrimSpace(h.must("stat", "-c", "%a %U:%G", path)); got != want {
				t.Errorf("%s is %s, want %s", path, got, want)
			}
		}
	})
	t.Run("the daemon has no right but its user's", func(t *testing.T) {
		status := h.must("cat", "/proc/"+h.property("eximpolicyd.service", "MainPID")+"/status")
		for _, line := range []string{"CapInh:\t0{16}", "CapPrm:\t0{16}", "CapEff:\t0{16}", "CapBnd:\t0{16}", "CapAmb:\t0{16}", "NoNewPrivs:\t1", "Seccomp:\t2"} {
			if !regexp.MustCompile("(?m)^" + line + "$").MatchString(status) {
				t.Errorf("no line %s in %s", line, status)
			}
		}
	})
	t.Run("systemctl status says what is in force", func(t *testing.T) {
		if got := h.property("eximpolicyd.service", "StatusText"); !strings.HasPrefix(got, "answers on "+policySocket+": 17 enforced, ") {
			t.Error(got)
		}
	})
	t.Run("Exim may ask and its connection is proven", func(t *testing.T) {
		replies := strings.Split(h.must("setpriv", "--reuid=Debian-exim", "--regid=Debian-exim", "--clear-groups", "perl", "-e", caller, policySocket), "\n")
		for i, what := range []string{"a real connection", "one made up", "a real one, by what a user started"} {
			if len(replies) != 4 || !strings.HasPrefix(replies[i], "action=dunno ") || strings.Contains(replies[i], "synthetic=1") != (i > 0) {
				t.Errorf("of %s: %q", what, replies)
			}
		}
	})
	t.Run("nobody else may", func(t *testing.T) {
		for _, socket := range []string{policySocket, controlSocket} {
			out, err := h.run("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "perl", "-e", caller, socket)
			if err == nil || out != "Permission denied\n" {
				t.Errorf("%s: %v %s", socket, err, out)
			}
		}
	})
	t.Run("root may look in, and switch it off by a file", func(t *testing.T) {
		if out := h.must("eximpolicyd", "status"); !strings.Contains(out, "saved in /var/lib/eximpolicyd") {
			t.Error(out)
		}
		ask := []string{"eximpolicyd", "ask", "protocol_state=RCPT", "client_address=203.0.113.7", "helo_name=localhost"}
		h.must("touch", "/run/eximpolicyd/bypass")
		if out := h.must(ask...); !strings.Contains(out, "bypass") {
			t.Errorf("with the file: %s", out)
		}
		h.must("rm", "/run/eximpolicyd/bypass")
		if out := h.must(ask...); !strings.Contains(out, "deny") {
			t.Errorf("without the file: %s", out)
		}
	})
	t.Run("a reload takes a good file", func(t *testing.T) { reloads(t, h) })
	t.Run("a group reads the metrics that its user is no member of", func(t *testing.T) { letsIn(t, h) })
	t.Run("stopping its socket stops it all", func(t *testing.T) {
		h.must("systemctl", "stop", "eximpolicyd.socket")
		for _, unit := range ours {
			if state := h.property(unit, "ActiveState"); state != "inactive" {
				t.Errorf("%s is %s", unit, state)
			}
		}
		if _, err := dial(h.file(policySocket)); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("Exim is told %v, want at once that nobody listens", err)
		}
	})
}

// letsIn names one group of the metrics after the other, and none.
func letsIn(t *testing.T, h *host) {
	reads := func(account string) bool {
		out, err := h.run("setpriv", "--reuid="+account, "--regid="+account, "--clear-groups", "curl", "-sS", "--unix-socket", metricsSocket, "http://x/metrics")
		return err == nil && strings.Contains(out, "\neximpolicyd_callouts_total{")
	}
	for _, group := range []string{"mail", "news", ""} {
		text := forgeries + "[metrics]\nlisten = \"unix:" + metricsSocket + "\"\ngroup = \"" + group + "\"\n"
		if err := os.WriteFile(h.file("/etc/eximpolicyd/eximpolicyd.toml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		h.must("systemctl", "reload", "eximpolicyd")
		for _, account := range []string{"mail", "news", "eximpolicyd"} {
			want := account == group || account == "eximpolicyd"
			if err := rig.Await("the group to change", func() bool { return reads(account) == want }); err != nil {
				t.Errorf("metrics.group = %q: %s reads them: %v, want %v\n%s", group, account, !want, want, h.log())
			}
		}
	}
}

// reloads gives a daemon a bad file, a good one, and the old one again.
func reloads(t *testing.T, h *host) {
	config := h.file("/etc/eximpolicyd/eximpolicyd.toml")
	for _, c := range []struct {
		name, text string
		good       bool
		status     string
	}{
		{"a bad file", "mode = \"sometimes\"\n", false, ": 17 enforced, "},
		{"a good one", "mode = \"observe\"\n[dns]\nask = \"off\"\n", true, ": 0 enforced, "},
		{"the old one", forgeries, true, ": 17 enforced, "},
	} {
		if err := os.WriteFile(config, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := h.run("systemctl", "reload", "eximpolicyd.service")
		if (err == nil) != c.good {
			t.Errorf("%s: %v %s", c.name, err, out)
		}
		has := func() bool { return strings.Contains(h.property("eximpolicyd.service", "StatusText"), c.status) }
		if err := rig.Await("the status of "+c.name, has); err != nil {
			t.Error(err)
		}
	}
	answers(t, h.file(policySocket))
}

// The exposure of 1.5 is what must be reached; each point above is a right that the service does not need.
func TestTheServiceIsHardened(t *testing.T) {
	const most = 1.5
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", fmt.Sprintf("--threshold=%.0f", 10*most), "--no-pager",
		"../../packaging/systemd/eximpolicyd.service").CombinedOutput()
	figure := regexp.MustCompile(`Overall exposure level for eximpolicyd\.service: ([0-9.]+)`).FindSubmatch(out)
	if err != nil || figure == nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Logf("FIGURE systemd-analyze security of the service: %s, of at most %.1f", figure[1], most)
}

func TestARestartBySystemdLeavesNoCalloutUnanswered(t *testing.T) {
	h := newHost(t, forgeries, "")
	p := under(t, h.file(policySocket), func() { h.must("systemctl", "restart", "eximpolicyd.service") })
	p.figure(t, "20 times systemctl restart")
	if p.answered.Load() != p.sent.Load() {
		t.Errorf("%d of %d were answered; first failure: %v", p.answered.Load(), p.sent.Load(), p.failure)
	}
}

func TestSystemdEndsADaemonThatHangsAndStartsAnother(t *testing.T) {
	h := newHost(t, forgeries, "WatchdogSec=4s\nTimeoutAbortSec=1s\n")
	pid := h.property("eximpolicyd.service", "MainPID")
	h.must("kill", "-"+fmt.Sprint(int(syscall.SIGSTOP)), pid)
	// systemd wakes it to abort it: what it takes then it may answer, or go down with. The next one answers.
	err := rig.Await("the next one to answer", func() bool {
		err := answer(h.file(policySocket))
		if err != nil && !cutOff(err) {
			t.Fatal(err)
		}
		return err == nil && h.property("eximpolicyd.service", "NRestarts") != "0"
	})
	if err != nil {
		t.Fatal(err)
	}
	if now := h.property("eximpolicyd.service", "MainPID"); now == pid {
		t.Error("the same daemon answers")
	}
}

func TestADaemonThatCannotStartGetsOutOfTheWayOfMail(t *testing.T) {
	h := newHost(t, forgeries, "")
	config := h.file("/etc/eximpolicyd/eximpolicyd.toml")
	if err := os.WriteFile(config, []byte("mode = \"sometimes\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := h.run("systemctl", "restart", "eximpolicyd.service"); err == nil {
		t.Errorf("it starts with a bad file: %s", out)
	}
	if code := h.property("eximpolicyd.service", "ExecMainStatus"); code != "78" {
		t.Errorf("exit code %s, want 78", code)
	}
	// Each connection has systemd try again, until it closes the socket. Then Exim is told at once.
	err := rig.Await("the socket to be closed", func() bool {
		c, err := dial(h.file(policySocket))
		if err == nil {
			c.Close()
		}
		return errors.Is(err, unix.ECONNREFUSED)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte(forgeries), 0o644); err != nil {
		t.Fatal(err)
	}
	h.must("systemctl", "reset-failed", "eximpolicyd.service", "eximpolicyd.socket", "eximpolicyd-control.socket")
	h.must("systemctl", "restart", "eximpolicyd.service")
	answers(t, h.file(policySocket))
	h.must("eximpolicyd", "status")
}
