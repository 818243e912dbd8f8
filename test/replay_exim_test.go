package test

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"eximpolicyd/internal/report"
	"eximpolicyd/test/rig"
)

// What a daemon that only looks on would have refused, and what a replay of Exim's log says of it, are the same mails by the same
// rules, whatever the log shows.
func TestAReplayLosesTheMailThatTheDaemonWouldHaveRefused(t *testing.T) {
	t.Parallel()
	for _, selector := range []string{"+pid", "+all", "+all -pid -incoming_interface -received_recipients"} {
		t.Run(selector, func(t *testing.T) {
			t.Parallel()
			s := started(t, rig.Config{Flavour: "stock", LogSelector: selector})
			d := daemon(t, s, enforcing("rfc")+"own.names = [\""+rig.Domain+"\"]\npolicy.dictionary.mode = \"enforce\"\n", "--dry-run")
			clients := bringAll(t, s)
			for _, client := range clients {
				decided(t, d, "QUIT", "of "+client, ofClient(client))
			}
			all, err := d.Decisions()
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{}
			for _, l := range all {
				if l.Would == "deny" || l.Would == "drop" { // whoever is dropped brings nothing afterwards
					want[l.ClientAddress] = cmp.Or(want[l.ClientAddress], l.Rule)
				}
			}
			if got := replayed(t, s, d); !maps.Equal(got, want) {
				t.Errorf("lost:\n got %v\nwant %v\n%s", got, want, s.Mainlog())
			}
			if len(want) == 0 || len(want) == len(clients) {
				t.Errorf("%d of %d would have been refused", len(want), len(clients))
			}
		})
	}
}

// bringAll brings a mail of each kind, from a client of its own, and returns the clients. Every one is taken.
func bringAll(t *testing.T, s *rig.Site) (clients []string) {
	t.Helper()
	to := []string{"alice@" + rig.Domain, "bob@" + rig.Domain}
	plain := "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00alice\x00"+rig.Password))
	guess := func(n int) []string {
		return []string{"MAIL FROM:<guess@client.example>", fmt.Sprintf("RCPT TO:<guess%d@%s>", n, rig.Domain)}
	}
	guesses, resets := guess(0)[:1], []string(nil)
	for n := range 5 {
		guesses = append(guesses, guess(n)[1])
		resets = append(append(resets, guess(n)...), "RSET")
	}
	for n, c := range []struct {
		name, helo string
		first      []string // said after the greeting
		text       string   // empty: one with a Message-ID
	}{
		{name: "honest", helo: "mx.example.org"},
		{name: "local", helo: "localhost"},
		{name: "ours", helo: rig.Domain},
		{name: "twice", helo: "mx.example.org", first: []string{"EHLO " + rig.Domain}},
		{name: "user", helo: "localhost", first: []string{plain}},
		{name: "guesser", helo: "mx.example.org", first: append(guesses, "RSET")},
		{name: "resetter", helo: "mx.example.org", first: resets},
		{name: "without", helo: "mx.example.org", text: "From: <x@client.example>\nDate: Mon, 23 Nov 2026 12:00:00 +0000\n\ntext\n"},
		{name: "half", helo: "mx.example.org", text: strings.Replace(mail("half"), "half@client.example", "half", 1)},
	} {
		clients = append(clients, fmt.Sprintf("203.0.113.%d", n+1))
		conn := dial(t, s, fmt.Sprintf("%s:%d", clients[n], 5001+n))
		say(t, conn, "EHLO "+c.helo, 250)
		for _, line := range c.first {
			conn.Say(line)
		}
		if r := conn.Message(c.name+"@client.example", to, cmp.Or(c.text, mail(c.name))); r.Code != 250 {
			t.Fatalf("%s: %v\n%s", c.name, r, conn.Transcript())
		}
		say(t, conn, "QUIT", 221)
	}
	return clients
}

// replayed returns the clients whose mail is lost to a replay of a site's logs, each with the rule.
func replayed(t *testing.T, s *rig.Site, d *rig.Daemon) map[string]string {
	t.Helper()
	dir := t.TempDir()
	main, reject := filepath.Join(dir, "mainlog"), filepath.Join(dir, "rejectlog")
	for name, text := range map[string]string{main: s.Mainlog(), reject: s.Rejectlog()} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(binary(t), "replay", "--json", "--config", d.ConfigFile(), main, reject).Output()
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	var rep report.Report
	if err := json.Unmarshal(out, &rep); err != nil {
		t.Fatal(err)
	}
	lost := map[string]string{}
	for _, l := range rep.Lost {
		lost[l.Example.Client] = l.Example.Rule
	}
	return lost
}
