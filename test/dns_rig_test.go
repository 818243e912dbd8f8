package test

import (
	"encoding/json"
	"strings"
	"testing"

	"eximpolicyd/internal/dnstest"
	"eximpolicyd/test/rig"
)

// A health line is one that the daemon's log has for a change of a list's state.
type health struct {
	Level string `json:"level"`
	Msg   string `json:"msg"`
	List  string `json:"list"` // nothing: the resolver
	State string `json:"state"`
	Was   string `json:"was"`
	Why   string `json:"why"`
	Fix   string `json:"fix"`
}

// healthOf returns the last health line of each list.
func healthOf(t *testing.T, d *rig.Daemon) map[string]health {
	t.Helper()
	last := map[string]health{}
	for line := range strings.Lines(d.Log()) {
		var h health
		if !strings.HasPrefix(line, "{") || !strings.HasSuffix(line, "\n") {
			continue
		}
		if err := json.Unmarshal([]byte(line), &h); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if h.List != "" && h.State != "" {
			last[h.List] = h
		}
	}
	return last
}

// listsAreTested returns the state of each list as soon as all n have been tested.
func listsAreTested(t *testing.T, d *rig.Daemon, n int) map[string]health {
	t.Helper()
	var last map[string]health
	if err := rig.Await("the test of every list", func() bool { last = healthOf(t, d); return len(last) == n }); err != nil {
		t.Fatal(err)
	}
	return last
}

// enforcingLists is a configuration that enforces lists of addresses, as postscreen writes them, and no others.
func enforcingLists(zones ...string) string {
	return `policy.rbl = {mode = "enforce", zones = ["` + strings.Join(zones, `", "`) + "\"], name_zones = []}\n"
}

// rcpt brings a session as if from client to RCPT and returns the answer.
func rcpt(t *testing.T, s *rig.Site, client, helo string) rig.Reply {
	t.Helper()
	return mailFrom(t, s, client, helo, "x@example.org", "alice@"+rig.Domain)
}

func mailFrom(t *testing.T, s *rig.Site, client, helo, sender, recipient string) rig.Reply {
	t.Helper()
	c := dial(t, s, client)
	say(t, c, "EHLO "+helo, 250)
	say(t, c, "MAIL FROM:<"+sender+">", 250)
	r := c.Say("RCPT TO:<" + recipient + ">")
	if err := c.Close(); err != nil { // Exim takes 0.2 s to answer a QUIT
		t.Error(err)
	}
	return r
}

// unfolded is the text of an answer on one line, as a mail program shows it.
func unfolded(r rig.Reply) string {
	lines := strings.Split(r.Text, "\n")
	for i, l := range lines[1:] {
		l = l[min(4, len(l)):]
		lines[i+1] = strings.TrimPrefix(strings.TrimPrefix(l, "5.7.1 "), "4.7.1 ")
	}
	return strings.Join(lines, " ")
}

// scripted starts a server that answers as it is told.
func scripted(t *testing.T) *dnstest.Server {
	t.Helper()
	srv, err := dnstest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	return srv
}
