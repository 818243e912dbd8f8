package test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"eximpolicyd/internal/ledger"
	"eximpolicyd/test/rig"
)

func TestABanMadeWhileObservedNeverRefuses(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "debian-unsplit", Ports: []int{25}})
	offended(t, s, false, offender{"198.51.100.9/32", "dictionary.window", false, 3})
	d := daemon(t, s, "")
	from := caller{client: "203.0.113.7"}
	for n := range 7 {
		answered(t, fmt.Sprintf("guess %d", n+1), from.asks(t, s, "x@example.org", guess(n))[0], 550, "")
	}
	if b := bannedBy(t, d, "203.0.113.7/32"); b.Mode != "observe" || b.Level != 1 {
		t.Errorf("%+v", b)
	}
	old := caller{at: s.At(25), client: "198.51.100.9"}
	stays := func(when string) {
		for _, c := range []caller{from, old} {
			answered(t, c.client+", "+when, c.asksGood(t, s), 250, "")
		}
	}
	stays("observed")
	would := decided(t, d, "RCPT", "of a good recipient", func(l rig.Decision) bool {
		return l.ClientAddress == from.client && strings.HasPrefix(l.Recipient, "alice@")
	})
	if would.Would != "defer" || would.Rule != "ban" {
		t.Errorf("%+v", would)
	}
	if err := d.Reload(guarded); err != nil {
		t.Fatal(err)
	}
	stays("enforced")
	if err := d.Kill(); err != nil {
		t.Fatal(err)
	}
	d = daemon(t, s, guarded)
	stays("enforced, and started again")
	// What is counted counts: five connections more are an offence under the rule that is in force now.
	for n := range 5 {
		from.asks(t, s, "x@example.org", guess(n))
	}
	if b := bannedBy(t, d, "203.0.113.7/32"); b.Mode != "enforce" {
		t.Errorf("%+v", b)
	}
	answered(t, "after an offence that is enforced", from.asksGood(t, s), 451, "ban")
	answered(t, "the other one", old.asksGood(t, s), 250, "")
}

// An offender is one who was banned again each time that a ban was over. The last of his bans begins now.
type offender struct {
	network  string
	rule     string
	enforced bool
	times    int
}

// offended fills the memory of a site with what offenders have done, before its daemon starts. A login is of all of them,
// so long ago as the first offence.
func offended(t *testing.T, s *rig.Site, login bool, list ...offender) {
	t.Helper()
	type offence struct {
		offender
		nth int
		ago time.Duration
	}
	var all []offence
	for _, o := range list {
		for n := 1; n <= o.times; n++ {
			all = append(all, offence{o, n, before(o.times) - before(n)})
		}
	}
	slices.SortFunc(all, func(a, b offence) int { return int(b.ago - a.ago) })
	p := longAgo(t, s, all[0].ago)
	for _, o := range all {
		p.passes(p.ago - o.ago)
		network := prefix(t, o.network)
		if tally := []ledger.Tally{{Key: ledger.Of(network), Add: ledger.Delta{Login: true}}}; login {
			check(t, p.Count(t.Context(), tally))
		}
		b, made, err := p.Offend(t.Context(), ledger.Offence{Network: network, Enforced: o.enforced, Rule: o.rule, Because: "long ago"})
		if err != nil || !made || b.Level != o.nth || !b.Durable {
			t.Fatalf("%+v: %v %+v", o, err, b)
		}
	}
	p.present(t)
}

// before is how long it takes until somebody is banned for the nth time.
func before(nth int) (ago time.Duration) {
	for n := 1; n < nth; n++ {
		ago += ledger.Length(n)
	}
	return ago
}

// TestABanAnswersByItsLevelAndLetsWhoLogsInPass has an office at each level: a server of it on port 25, a person on 587.
func TestABanAnswersByItsLevelAndLetsWhoLogsInPass(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "debian-split", Ports: []int{25, 587}})
	office := func(level int) string { return fmt.Sprintf("203.0.113.%d", level) }
	var list []offender
	for level := 1; level <= 5; level++ {
		list = append(list, offender{office(level) + "/32", "dictionary.window", true, level})
	}
	offended(t, s, false, list...)
	daemon(t, s, guarded)
	const admins = 6
	administers(t, s, "ban", "add", office(admins), "--because", "calls every night")
	for level := 1; level <= admins; level++ {
		server := caller{at: s.At(25), client: office(level)}
		person := caller{at: s.At(587), client: office(level)}
		what := fmt.Sprintf("level %d", level)
		if level == admins {
			what = "an administrator"
		}
		if level < 3 {
			answered(t, what+", on 25", server.asksGood(t, s), 451, "ban")
			answered(t, what+", to postmaster", server.asks(t, s, "x@example.org", "postmaster@"+rig.Domain)[0], 250, "")
			answered(t, what+", on 587", person.asksGood(t, s), 451, "ban")
		} else {
			conn, r := server.greets(t, s)
			answered(t, what+", on 25", r, 554, "ban")
			if r := conn.Reply(); r.Code != 0 {
				t.Errorf("%s: not closed: %q", what, r.Text)
			}
			answered(t, what+", on 587", person.asksGood(t, s), 554, "ban")
		}
		for _, c := range []caller{person, server} {
			conn, r := c.greets(t, s)
			if level >= 3 && c == server {
				continue // a server does not come so far
			}
			answered(t, what, r, 250, "")
			say(t, conn, strings.TrimSuffix(login, "|"), 235)
			say(t, conn, "MAIL FROM:<alice@"+rig.Domain+">", 250)
			answered(t, what+", logged in at "+c.at, conn.Say("RCPT TO:<friend@"+rig.Foreign+">"), 250, "")
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
		}
		t.Logf("FIGURE ban of %s on port 25: %s", what, map[bool]string{true: "451 at RCPT", false: "554 at CONNECT"}[level < 3])
	}
}

// fails has a client try wrong passwords in one connection.
func (c caller) fails(t *testing.T, s *rig.Site, d *rig.Daemon, times int) {
	t.Helper()
	conn, _ := c.greets(t, s)
	for range times {
		say(t, conn, "AUTH PLAIN AGFsaWNlAHdyb25n", 535)
	}
	check(t, conn.Close())
}

// counted waits until a daemon has heard of the end of n connections of a client.
func counted(t *testing.T, d *rig.Daemon, client string, n int) {
	t.Helper()
	check(t, rig.Await(fmt.Sprintf("the end of %d connections of %s", n, client), func() bool {
		lines, err := d.Decisions()
		ends := 0
		for _, l := range lines {
			if l.ClientAddress == client && l.Stage == "NOTQUIT" {
				ends++
			}
		}
		return err != nil || ends >= n
	}))
}

func TestWhoGuessesPasswordsIsBannedAndWhoKnowsOneIsNot(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "stock", Ports: []int{587}})
	d := daemon(t, s, guarded)
	at := s.At(587)
	one := caller{at: at, client: "203.0.113.7"}
	one.fails(t, s, d, 5)
	one.fails(t, s, d, 4)
	counted(t, d, one.client, 2)
	answered(t, "after 9 wrong passwords", one.asksGood(t, s), 250, "")
	one.fails(t, s, d, 1)
	if b := bannedBy(t, d, "203.0.113.7/32"); b.Level != 1 || b.Rule != "auth.AU1" || b.Mode != "enforce" {
		t.Errorf("%+v", b)
	}
	saved(t, s, "203.0.113.7/32")
	answered(t, "after 10 wrong passwords", one.asksGood(t, s), 451, "ban")
	conn, _ := one.greets(t, s)
	say(t, conn, strings.TrimSuffix(login, "|"), 235)
	say(t, conn, "MAIL FROM:<alice@"+rig.Domain+">", 250)
	answered(t, "with the right one", conn.Say("RCPT TO:<friend@"+rig.Foreign+">"), 250, "")

	for _, c := range []struct {
		network       string
		members, each int
		banned        bool
	}{{"192.0.2.0/24", 4, 9, false}, {"198.51.100.0/24", 5, 6, true}} {
		total := 0
		for m := range c.members {
			member := caller{at: at, client: strings.Replace(c.network, "0/24", fmt.Sprint(m+60), 1)}
			for range c.each / 3 {
				member.fails(t, s, d, 3)
				total += 3
			}
			counted(t, d, member.client, c.each/3)
		}
		neighbour := caller{at: at, client: strings.Replace(c.network, "0/24", "44", 1)}
		if !c.banned {
			answered(t, "a neighbour in "+c.network, neighbour.asksGood(t, s), 250, "")
		} else if b := bannedBy(t, d, c.network); b.Rule != "auth.AU1" {
			t.Errorf("%+v", b)
		} else {
			answered(t, "a neighbour in "+c.network, neighbour.asksGood(t, s), 451, "ban")
		}
		t.Logf("FIGURE wrong passwords: %d from %d members of %s, 3 a connection, banned: %v", total, c.members, c.network, c.banned)
	}
	if got := strings.Join(bans(t, d), " "); got != "198.51.100.0/24 203.0.113.7/32" {
		t.Errorf("banned: %s", got)
	}
}

func TestABanForPasswordsShutsOutOfSubmissionUnlessSomebodyThereKnowsOne(t *testing.T) {
	for name, known := range map[string]bool{"nobody has logged in": false, "somebody has": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := started(t, rig.Config{Flavour: "stock", Ports: []int{587}})
			offended(t, s, known, offender{"203.0.113.0/24", "auth.AU1", true, 3})
			daemon(t, s, guarded)
			conn, r := caller{at: s.At(587), client: "203.0.113.7"}.greets(t, s)
			if !known {
				answered(t, "at CONNECT", r, 554, "ban")
				return
			}
			answered(t, "at CONNECT", r, 250, "")
			say(t, conn, strings.TrimSuffix(login, "|"), 235)
			say(t, conn, "MAIL FROM:<alice@"+rig.Domain+">", 250)
			say(t, conn, "RCPT TO:<friend@"+rig.Foreign+">", 250)
		})
	}
}

func TestABanOutlivesTheDaemon(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "stock"})
	const rounds = 8
	for round := range rounds {
		d := daemon(t, s, guarded)
		from := caller{client: fmt.Sprintf("203.0.113.%d", round+1)}
		for n := range 5 {
			from.asks(t, s, "x@example.org", guess(n))
		}
		end := d.Kill // the moment it has answered
		if round%4 == 3 {
			end = d.Stop
		}
		check(t, end())
		answered(t, "no daemon", from.asksGood(t, s), 250, "")
		d = daemon(t, s, guarded)
		for earlier := range round + 1 {
			c := caller{client: fmt.Sprintf("203.0.113.%d", earlier+1)}
			answered(t, fmt.Sprintf("round %d, the ban of round %d", round, earlier), c.asksGood(t, s), 451, "ban")
		}
		check(t, d.Stop())
	}
	t.Logf("FIGURE bans after kill -9 or a restart: %d of %d in force", rounds, rounds)
}

func TestTwoMessagesToATrapAreABan(t *testing.T) {
	t.Parallel()
	dns := names(t, rig.Served{Records: []string{"77.113.0.203.in-addr.arpa. PTR mail-x.google.com.", "mail-x.google.com. A 203.0.113.77"}})
	s := started(t, rig.Config{Flavour: "stock", Queue: true})
	trap := "carol@" + rig.Domain
	d := daemon(t, s, dns.Settings()+"policy.dictionary = {mode = \"enforce\", traps = [\"Carol@"+rig.Domain+"\"]}\n")
	const list = "List-Id: <list.example.org>\n"
	for _, c := range []struct {
		name, client, sender string
		heads                []string // of each message
		to                   string
		banned               bool
	}{
		{"one", "203.0.113.1", "x@example.org", []string{""}, trap, false},
		{"three of a list", "203.0.113.2", "x@example.org", []string{list, list, list}, trap, false},
		{"three bounces", "203.0.113.3", "", []string{"", "", ""}, trap, false},
		{"three to somebody else", "203.0.113.4", "x@example.org", []string{"", "", ""}, "alice@" + rig.Domain, false},
		{"three of a big relay", "203.0.113.77", "x@example.org", []string{"", "", ""}, trap, false},
		{"two", "203.0.113.5", "x@example.org", []string{"", ""}, trap, true},
		{"one of a list between two", "203.0.113.6", "x@example.org", []string{"", list, ""}, trap, true},
	} {
		from := caller{client: c.client}
		for i, head := range c.heads {
			conn, _ := from.greets(t, s)
			r := conn.Message(c.sender, []string{"bob@" + rig.Domain, c.to}, head+mail(fmt.Sprint("trap", i)))
			check(t, conn.Close())
			if last := i == len(c.heads)-1; c.banned && last {
				answered(t, c.name, r, 451, "dictionary.trap")
			} else {
				answered(t, fmt.Sprintf("%s: message %d", c.name, i+1), r, 250, "")
			}
		}
		want := map[bool]int{true: 451, false: 250}[c.banned]
		if r := from.asksGood(t, s); r.Code != want {
			t.Errorf("%s: afterwards %q", c.name, r.Text)
		}
	}
	got := bans(t, d)
	if strings.Join(got, " ") != "203.0.113.5/32 203.0.113.6/32" {
		t.Errorf("banned: %v", got)
	}
	t.Logf("FIGURE traps: banned %d of 2 who hit one twice, and %d of 5 others", len(got), 0)
}
