package test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"eximpolicyd/test/rig"
)

// metered is a configuration with H3 enforced, H7 only observed, and metrics at a place.
func metered(place string) string {
	return `own.addresses = ["` + ownAddress + `"]
policy.helo.rules = {H3 = "enforce", H7 = "observe"}
metrics.listen = "` + place + `"
`
}

// awaitSamples waits until a place has some samples; the daemon answers first and counts for the last time then.
func awaitSamples(t *testing.T, place string, want map[string]float64) map[string]float64 {
	t.Helper()
	var got map[string]float64
	err := rig.Await("the metrics", func() bool {
		text, err := tryScrape(place)
		if err != nil {
			return false
		}
		got = sampled(t, text)
		for sample, value := range want {
			if got[sample] != value {
				return false
			}
		}
		return true
	})
	if err != nil {
		for sample, value := range want {
			if got[sample] != value {
				t.Errorf("%s is %v, want %v", sample, got[sample], value)
			}
		}
		t.Fatal(err)
	}
	return got
}

// agrees holds the metrics, which may be a second old, against the status of the same daemon.
func agrees(t *testing.T, s *rig.Site, place string) {
	t.Helper()
	var want map[string]float64
	diff := ""
	err := rig.Await("metrics like the status", func() bool {
		st, _ := standing(t, s)
		want = stoodFor(&st)
		diff = cmp.Diff(want, samplesOf(sampled(t, scrape(t, place)), stoodForNames()...))
		return diff == ""
	})
	if err != nil {
		t.Fatalf("%v: -status +metrics:\n%s", err, diff)
	}
	t.Logf("FIGURE metrics and status --json: %d figures, the same", len(want))
}

func TestTheMetricsAreWhatRealEximDidAndWhatStatusSays(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "stock"})
	place := "unix:" + filepath.Join(filepath.Dir(s.SocketPath()), "metrics.sock")
	d := daemon(t, s, metered(place))
	for i := range 2 { // two that greet with our name are refused
		c := dial(t, s, fmt.Sprintf("203.0.113.%d", 7+i))
		say(t, c, "EHLO "+rig.Domain, 250)
		say(t, c, "MAIL FROM:<x@client.example>", 250)
		say(t, c, "RCPT TO:<alice@"+rig.Domain+">", 550)
		say(t, c, "QUIT", 221)
	}
	for i := range 3 { // three as localhost would be, and one of these sends a whole mail
		c := dial(t, s, fmt.Sprintf("203.0.113.%d", 20+i))
		say(t, c, "EHLO localhost", 250)
		say(t, c, "MAIL FROM:<x@client.example>", 250)
		say(t, c, "RCPT TO:<alice@"+rig.Domain+">", 250)
		if i == 0 {
			say(t, c, "DATA", 354)
			say(t, c, strings.ReplaceAll(mail("one"), "\n", "\r\n")+"\r\n.", 250)
		}
		say(t, c, "QUIT", 221)
	}
	if answer := raw(t, s, "hello\n\n"); !strings.Contains(answer, "malformed") {
		t.Errorf("%q", answer)
	}
	raw(t, s, "request=exim_acl\nv=1\nprotocol_state=MAIL\nclient_address=203.0.113.99\n\n") // a connection that is not there
	awaitSamples(t, place, map[string]float64{
		`eximpolicyd_callouts_total{action="dunno",stage="CONNECT"}`:       5,
		`eximpolicyd_callouts_total{action="dunno",stage="HELO"}`:          5,
		`eximpolicyd_callouts_total{action="dunno",stage="MAIL"}`:          6,
		`eximpolicyd_callouts_total{action="dunno",stage="RCPT"}`:          3,
		`eximpolicyd_callouts_total{action="deny",stage="RCPT"}`:           2,
		`eximpolicyd_callouts_total{action="dunno",stage="DATA"}`:          1,
		`eximpolicyd_callouts_total{action="dunno",stage="QUIT"}`:          5,
		`eximpolicyd_callout_duration_seconds_count{stage="RCPT"}`:         5,
		`eximpolicyd_callout_duration_seconds_bucket{stage="RCPT",le="3"}`: 5,
		`eximpolicyd_callouts_would_refuse_total{stage="RCPT"}`:            3,
		`eximpolicyd_callouts_synthetic_total{stage="MAIL"}`:               1,
		`eximpolicyd_rule_refusals_total{rule="helo.H3"}`:                  2,
		`eximpolicyd_rule_would_refuse_total{rule="helo.H7"}`:              3,
		`eximpolicyd_rule_refusals_total{rule="helo.H7"}`:                  0,
		`eximpolicyd_unjudged_requests_total{reason="malformed"}`:          1,
		`eximpolicyd_rules{mode="enforce"}`:                                1,
		`eximpolicyd_config_last_reload_successful`:                        1,
		`eximpolicyd_faults`: 0,
	})
	agrees(t, s, place)

	// A bad file is told of, and what was counted stays.
	if err := d.Reload(metered(place) + "\ncolour = 1\n"); err != nil {
		t.Fatal(err)
	}
	awaitSamples(t, place, map[string]float64{`eximpolicyd_config_last_reload_successful`: 0, `eximpolicyd_rule_refusals_total{rule="helo.H3"}`: 2})

	// By another place, on loopback, and with a DNS that answers nobody: a decision is degraded.
	place = degrade(t, s, d)
	agrees(t, s, place)
	for _, word := range []string{"client.example", "203.0.113.", "alice", "localhost\""} {
		if strings.Contains(scrape(t, place), word) {
			t.Errorf("the metrics have %q, which a client chose", word)
		}
	}
}

// degrade moves a daemon's metrics to loopback and has one decision of it degraded.
func degrade(t *testing.T, s *rig.Site, d *rig.Daemon) (place string) {
	t.Helper()
	nobody := silent(t)
	for range 5 { // somebody may take the port before the daemon does
		var l net.Listener
		place, l = aPort(t)
		l.Close()
		if err := d.Reload(metered(place) + rig.Resolver(nobody.Addr()) + "policy.rbl.zones = [\"bl.example\"]\npolicy.rbl.name_zones = []\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := tryScrape(place); err == nil {
			break
		}
	}
	if path := filepath.Join(filepath.Dir(s.SocketPath()), "metrics.sock"); exists(path) {
		t.Errorf("%s is left behind", path)
	}
	c := dial(t, s, "203.0.113.30")
	say(t, c, "EHLO mx.example.org", 250)
	say(t, c, "MAIL FROM:<x@client.example>", 250)
	say(t, c, "RCPT TO:<alice@"+rig.Domain+">", 250)
	say(t, c, "QUIT", 221)
	got := awaitSamples(t, place, map[string]float64{
		`eximpolicyd_callouts_degraded_total{stage="RCPT"}`:       1,
		`eximpolicyd_callouts_total{action="dunno",stage="QUIT"}`: 6,
		`eximpolicyd_config_last_reload_successful`:               1,
		`eximpolicyd_dns_up`: 0,
		`eximpolicyd_list_state{kind="addresses",list="bl.example",state="untested"}`: 1,
		`eximpolicyd_dns_answer_duration_seconds_count`:                               0,
	})
	if asked := got[`eximpolicyd_dns_questions_total{outcome="timed_out"}`] + got[`eximpolicyd_dns_questions_total{outcome="down"}`]; asked == 0 {
		t.Error("no question to the DNS was counted")
	}
	return place
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestMetricsThatCannotBeServedHoldUpNoMailAndAreToldOnce(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "stock"})
	place, taken := aPort(t)
	defer taken.Close()
	d := daemon(t, s, metered(place))
	c := dial(t, s, "203.0.113.7")
	say(t, c, "EHLO "+rig.Domain, 250)
	say(t, c, "MAIL FROM:<x@client.example>", 250)
	say(t, c, "RCPT TO:<alice@"+rig.Domain+">", 550)
	say(t, c, "QUIT", 221)
	const said = `"msg":"the metrics are not served where metrics.listen says"`
	if n := strings.Count(d.Log(), said); n != 1 {
		t.Errorf("it stands in the log %d times", n)
	}
	st, code := standing(t, s)
	if code != 69 || len(st.Faults) != 1 || !strings.Contains(st.Faults[0].Why, place+": listen tcp "+place+": bind: address already in use") || st.Faults[0].Fix == "" {
		t.Errorf("exit %d: %+v", code, st.Faults)
	}

	// Whatever goes wrong at a reload, they stay where they are.
	good := "unix:" + filepath.Join(filepath.Dir(s.SocketPath()), "metrics.sock")
	reload := func(place string) {
		t.Helper()
		if err := d.Reload(metered(place)); err != nil {
			t.Fatal(err)
		}
	}
	reload(good)
	if st, code := standing(t, s); code != 0 {
		t.Errorf("it is served, and status says %+v", st.Faults)
	}
	for _, bad := range []string{place, "unix:/nonexistent/folder/metrics.sock", "unix:" + s.Dir(), "unix:" + filepath.Join(s.Dir(), "mailname")} {
		reload(bad)
		awaitSamples(t, good, map[string]float64{`eximpolicyd_faults`: 1, `eximpolicyd_config_last_reload_successful`: 1,
			`eximpolicyd_rule_refusals_total{rule="helo.H3"}`: 1})
		if st, _ := standing(t, s); len(st.Faults) != 1 || !strings.Contains(st.Faults[0].Why, bad) {
			t.Errorf("with %s: %+v", bad, st.Faults)
		}
	}
	reload("")
	if _, err := tryScrape(good); err == nil || exists(strings.TrimPrefix(good, "unix:")) {
		t.Error("they are off, and served")
	}
}

func TestTheSocketOfTheMetricsIsOfOneGroupAndAnOldOneIsNoObstacle(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "stock"})
	path := filepath.Join(s.Dir(), "metrics.sock")
	config := metered("unix:"+path) + "metrics.group = \"mail\"\n"
	d := daemon(t, s, config)
	look := func() (mode os.FileMode, group uint32) {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode(), info.Sys().(*syscall.Stat_t).Gid
	}
	if mode, group := look(); mode != os.ModeSocket|0o660 || group != 8 {
		t.Errorf("mode %v, group %d", mode, group)
	}
	if out, err := curl("Debian-exim", path); err == nil {
		t.Errorf("another user reads: %s", out)
	}
	if err := d.Reload(metered("unix:"+path) + "metrics.group = \"Debian-exim\"\n"); err != nil {
		t.Fatal(err)
	}
	if mode, group := look(); mode != os.ModeSocket|0o660 || group == 8 {
		t.Errorf("with another group: mode %v, group %d", mode, group)
	}
	if out, err := curl("Debian-exim", path); err != nil || !strings.Contains(out, "eximpolicyd_build_info{") {
		t.Errorf("its group does not read: %v %s", err, out)
	}
	if err := d.Kill(); err != nil {
		t.Fatal(err)
	}
	if !exists(path) {
		t.Fatal("there is no old socket")
	}
	daemon(t, s, config)
	if !strings.Contains(scrape(t, "unix:"+path), "eximpolicyd_build_info{") {
		t.Error("nothing is served beside the old socket")
	}
}

// curl reads the metrics as another user.
func curl(user, path string) (string, error) {
	out, err := exec.Command("setpriv", "--reuid", user, "--regid", user, "--clear-groups", "curl", "-sS", "--unix-socket", path, "http://x/metrics").CombinedOutput()
	return string(out), err
}

func TestPromtoolTakesTheMetricsTheAlertsAndTheDashboard(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "stock"})
	place := "unix:" + filepath.Join(filepath.Dir(s.SocketPath()), "metrics.sock")
	daemon(t, s, metered(place))
	c := dial(t, s, "203.0.113.7")
	say(t, c, "EHLO "+rig.Domain, 250)
	say(t, c, "QUIT", 221)
	check := func(stdin string, args ...string) {
		t.Helper()
		cmd := exec.Command("promtool", args...)
		cmd.Stdin = strings.NewReader(stdin)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", args, err, tail(string(out)))
		}
	}
	check(scrape(t, place), "check", "metrics")
	check("", "check", "rules", "../packaging/prometheus/eximpolicyd.rules.yml")
	check("", "check", "rules", dashboardRules(t))
	check("", "test", "rules", "../packaging/prometheus/eximpolicyd.test.yml")
}

// dashboardRules writes the expressions of the dashboard as rules, which promtool can parse, and returns the file.
func dashboardRules(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../packaging/grafana/eximpolicyd.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	var rules strings.Builder
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	n := 0
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			n++
			expr := strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*", "$job", ".*").Replace(q.Expr)
			fmt.Fprintf(&rules, "  - record: panel:%d\n    expr: %q\n", n, expr)
		}
	}
	if n < 40 {
		t.Errorf("only %d expressions", n)
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
