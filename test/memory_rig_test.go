package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"eximpolicyd/internal/control"
	"eximpolicyd/internal/ledger"
	"eximpolicyd/test/rig"
)

// guarded is a configuration that shuts out who guesses recipients or passwords.
const guarded = "policy.dictionary.mode = \"enforce\"\npolicy.auth.mode = \"enforce\"\n"

// A caller is one who opens sessions.
type caller struct {
	at     string // where; "": the site's own port
	client string
	helo   string
}

// greets opens a session and greets. A server that does not want the client says so instead of the greeting.
func (c caller) greets(t *testing.T, s *rig.Site) (*rig.Session, rig.Reply) {
	t.Helper()
	at, helo := c.at, c.helo
	if at == "" {
		at = s.Addr()
	}
	if helo == "" {
		helo = "mx.example.org"
	}
	conn, r, err := rig.DialAt(at, c.client)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // it is closed long before, but for one that failed
	if r.Code != 220 {
		return conn, r
	}
	return conn, conn.Say("EHLO " + helo)
}

// asks goes through one connection: a greeting, a sender, and recipients until one is refused with the connection. The
// last answer is the one that decided, if it did not come to recipients.
func (c caller) asks(t *testing.T, s *rig.Site, sender string, recipients ...string) (answers []rig.Reply) {
	t.Helper()
	conn, r := c.greets(t, s)
	defer conn.Close()
	if r.Code == 250 {
		r = conn.Say("MAIL FROM:<" + sender + ">")
	}
	if r.Code != 250 {
		return []rig.Reply{r}
	}
	for _, to := range recipients {
		r := conn.Say("RCPT TO:<" + to + ">")
		if r.Code == 0 {
			return answers
		}
		answers = append(answers, r)
	}
	return answers
}

// asksGood asks for one recipient that is there, and returns the answer.
func (c caller) asksGood(t *testing.T, s *rig.Site) rig.Reply {
	t.Helper()
	answers := c.asks(t, s, "x@example.org", "alice@"+rig.Domain)
	return answers[len(answers)-1]
}

// guess is an address of ours that nobody has.
func guess(n int) string { return fmt.Sprintf("guess%d@%s", n, rig.Domain) }

// guesses are several.
func guesses(n int) (list []string) {
	for i := range n {
		list = append(list, guess(i))
	}
	return list
}

// ofOurs is what our refusals end in, and Exim's own do not.
var ofOurs = regexp.MustCompile(`\(([a-z]+(?:\.[A-Za-z0-9]+)?) [0-9A-Za-z]{10}\)$`)

// ruleOf returns which rule refused, or nothing if none of ours did.
func ruleOf(r rig.Reply) string {
	if m := ofOurs.FindStringSubmatch(unfolded(r)); m != nil {
		return m[1]
	}
	return ""
}

// answered wants a code and a rule of ours, or none of ours.
func answered(t *testing.T, what string, r rig.Reply, code int, rule string) {
	t.Helper()
	if r.Code != code || ruleOf(r) != rule {
		t.Errorf("%s: want %d %q, got %q", what, code, rule, r.Text)
	}
}

// bannedBy waits until a ban of a network is in the log, and returns it.
func bannedBy(t *testing.T, d *rig.Daemon, network string) rig.Ban {
	t.Helper()
	var found rig.Ban
	var bad error
	err := rig.Await("a ban of "+network, func() bool {
		var list []rig.Ban
		list, bad = d.Bans()
		i := slices.IndexFunc(list, func(b rig.Ban) bool { return b.Network == network })
		if i >= 0 {
			found = list[i]
		}
		return bad != nil || i >= 0
	})
	if err = errors.Join(err, bad); err != nil {
		t.Fatal(err)
	}
	return found
}

// saved waits until a ban is on the disk, which may take longer than a decision.
func saved(t *testing.T, s *rig.Site, network string) {
	t.Helper()
	check(t, rig.Await("the ban of "+network+" to be saved", func() bool {
		var list []control.Ban
		check(t, json.Unmarshal([]byte(administers(t, s, "ban", "list", "--format", "json")), &list))
		return slices.ContainsFunc(list, func(b control.Ban) bool { return b.Network == prefix(t, network) && b.Durable })
	}))
}

// bans returns the networks banned so far, each once, sorted.
func bans(t *testing.T, d *rig.Daemon) (networks []string) {
	t.Helper()
	check(t, d.Settle())
	list, err := d.Bans()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range list {
		if !slices.Contains(networks, b.Network) {
			networks = append(networks, b.Network)
		}
	}
	slices.Sort(networks)
	return networks
}

// administers runs a command of the administrator's, and returns what it printed.
func administers(t *testing.T, s *rig.Site, words ...string) string {
	t.Helper()
	socket := filepath.Join(filepath.Dir(s.SocketPath()), "control.sock")
	out, err := s.Run(append(append([]string{binary(t)}, words...), "--socket", socket)...)
	if err != nil {
		t.Fatalf("%v: %v %s", words, err, out)
	}
	return out
}

// memory is what the daemon of a site remembers, but for the line that says when it was asked.
func memory(t *testing.T, s *rig.Site) (lines []string) {
	t.Helper()
	for line := range strings.Lines(administers(t, s, "state", "export")) {
		lines = append(lines, line)
	}
	return lines[1:]
}

// keysOf counts the lines of counters whose key begins in one way and ends in another: of a /64 within a network say.
func keysOf(lines []string, begin, end string) (n int) {
	key := regexp.MustCompile(`^\{"counts":\{"key":"` + regexp.QuoteMeta(begin) + `[^"]*` + regexp.QuoteMeta(end) + `"`)
	for _, l := range lines {
		if key.MatchString(l) {
			n++
		}
	}
	return n
}

// atOnce does something so often, some at a time, and fails with the first that does.
func atOnce(t *testing.T, times int, do func(n int) error) {
	t.Helper()
	const most = 8
	turn := make(chan int)
	errs := make(chan error, most)
	for range most {
		go func() { // atOnce waits for its error, which comes when there are no turns left
			var first error
			for n := range turn {
				if err := do(n); first == nil {
					first = err
				}
			}
			errs <- first
		}()
	}
	for n := range times {
		turn <- n
	}
	close(turn)
	var all error
	for range most {
		all = errors.Join(all, <-errs)
	}
	if all != nil {
		t.Fatal(all)
	}
}

// prefix reads a network.
func prefix(t *testing.T, text string) netip.Prefix {
	t.Helper()
	p, err := netip.ParsePrefix(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A past is a memory that is filled before the daemon starts, with a clock that the test sets. It ends now.
type past struct {
	*ledger.Engine
	ago time.Duration
	end time.Time
}

// longAgo opens the memory of a site as it was some time ago.
func longAgo(t *testing.T, s *rig.Site, ago time.Duration) *past {
	t.Helper()
	p := &past{ago: ago, end: time.Now()}
	var err error
	p.Engine, err = ledger.Open(ledger.Options{Dir: s.StateDir(), Clock: func() (time.Time, time.Duration) {
		return p.end.Add(-p.ago), 1000*time.Hour - p.ago
	}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// passes lets time pass.
func (p *past) passes(by time.Duration) { p.ago -= by }

// present ends the past: a daemon may start.
func (p *past) present(t *testing.T) {
	t.Helper()
	p.ago = 0
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}
