package test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"eximpolicyd/internal/ledger"
	"eximpolicyd/test/rig"
)

// listed are the recipients of a mailing list: 200 that are there and 6 that have died.
func listed(order string) (to []string) {
	for range 200 {
		to = append(to, "alice@"+rig.Domain)
	}
	dead := guesses(6)
	switch order {
	case "dead first":
		return append(dead, to...)
	case "dead last":
		return append(to, dead...)
	case "spread evenly":
		for i, d := range dead {
			to = slices.Insert(to, 33*i+16, d)
		}
		return to
	}
	to = append(to, dead...)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(to), func(i, j int) { to[i], to[j] = to[j], to[i] })
	return to
}

// delivers brings recipients as a mail server does: so many a connection, one that is refused for good is given up, and
// those that a lost connection leaves are tried again. It returns how many were taken, and how many connections that took.
func delivers(t *testing.T, s *rig.Site, from caller, to []string, each int) (taken, connections int) {
	t.Helper()
	for len(to) > 0 {
		connections++
		answers := from.asks(t, s, "list@example.org", to[:min(each, len(to))]...)
		for _, r := range answers {
			switch r.Code {
			case 250:
				taken++
			case 550:
			default:
				t.Fatalf("after %d of a list: %q", taken, r.Text)
			}
		}
		to = to[len(answers):]
	}
	return taken, connections
}

func TestAMailingListIsNeverBannedForItsDead(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "stock"})
	d := daemon(t, s, guarded)
	n := 0
	for _, order := range []string{"dead first", "dead last", "spread evenly", "shuffled"} {
		var figures []string
		for _, each := range []int{206, 50, 10, 1} {
			if each == 1 && strings.HasPrefix(order, "dead") {
				continue // first: five connections with nothing but bad are all that is known of it then
			}
			n++
			from := caller{client: fmt.Sprintf("203.0.113.%d", n)}
			taken, connections := delivers(t, s, from, listed(order), each)
			want := (206 + each - 1) / each
			if order == "dead first" || order == "dead last" && each < 200 { // one has nothing but dead, and is lost for the fifth
				want++
			}
			if taken != 200 || connections != want {
				t.Errorf("%s, %d a connection: %d taken in %d connections, want %d", order, each, taken, connections, want)
			}
			answered(t, order+": the next message", from.asksGood(t, s), 250, "")
			figures = append(figures, fmt.Sprintf("%d in %d", taken, connections))
		}
		t.Logf("FIGURE mailing list of 200 good and 6 dead, %s: taken in connections %s, 0 bans", order, strings.Join(figures, ", "))
	}
	if banned := bans(t, d); len(banned) != 0 {
		t.Errorf("banned: %v", banned)
	}
}

func TestBouncesAndProbesNeverGetAnybodyBanned(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "stock"})
	d := daemon(t, s, guarded)
	asked := 0
	for i := range 60 {
		from := caller{client: fmt.Sprintf("203.0.113.%d", 1+i%6)}
		for _, r := range from.asks(t, s, "", guesses(10)...) {
			asked++
			answered(t, "a probe", r, 550, "")
		}
		answered(t, "mail of the same host", from.asksGood(t, s), 250, "")
	}
	for i := range 6 { // nor later, when one of them makes a mistake
		from := caller{client: fmt.Sprintf("203.0.113.%d", 1+i)}
		answered(t, "a recipient that is not there", from.asks(t, s, "x@example.org", guess(i))[0], 550, "")
	}
	banned := bans(t, d)
	if asked != 600 || len(banned) != 0 {
		t.Errorf("%d asked, banned: %v", asked, banned)
	}
	t.Logf("FIGURE probes and bounces: %d unknown recipients from 6 hosts of a /24, %d bans", asked, len(banned))
}

func TestWhoCarriesOtherPeoplesMailIsNeverBanned(t *testing.T) {
	t.Parallel()
	dns := names(t, rig.Served{Records: []string{"example.com. MX 20 backup.example.net.", "backup.example.net. A 198.51.100.77"}})
	s := started(t, rig.Config{Flavour: "stock", RelayHosts: []string{"198.51.100.5"}})
	d := daemon(t, s, dns.Settings()+guarded+"own.domains = [\"example.com\"]\nexempt.relay = [\"198.51.100.64/29\"]\n")
	mx := caller{client: "198.51.100.77"}
	err := rig.Await("the MX host of own.domains to be known", func() bool {
		mx.asksGood(t, s)
		list, err := d.Decisions()
		return err != nil || slices.ContainsFunc(list, func(l rig.Decision) bool { return l.ClientAddress == mx.client && l.Class == "relay" })
	})
	if err != nil {
		t.Fatal(err)
	}
	relays := []string{"198.51.100.5", "198.51.100.66", mx.client}
	for _, client := range relays {
		from := caller{client: client}
		asked := 0
		for range 8 {
			for _, r := range from.asks(t, s, "x@example.org", guesses(10)...) {
				asked++
				if rule := ruleOf(r); rule != "" { // Exim takes everything of a host that it relays for
					t.Errorf("%s: refused by %s", client, rule)
				}
			}
		}
		if asked != 80 {
			t.Errorf("%s: %d asked", client, asked)
		}
		answered(t, client+": a good recipient", from.asksGood(t, s), 250, "")
		decided(t, d, "RCPT", "of "+client, func(l rig.Decision) bool { return l.ClientAddress == client && l.Class == "relay" })
	}
	if banned := bans(t, d); len(banned) != 0 {
		t.Errorf("banned: %v", banned)
	}
	kept := memory(t, s)
	for _, client := range relays[:2] { // the third was a stranger until its name was known
		if n := keysOf(kept, client, "/32"); n != 0 {
			t.Errorf("%s is counted:\n%s", client, strings.Join(kept, ""))
		}
	}
	t.Logf("FIGURE relays: 80 unknown recipients of each of %d, 0 refused, 0 bans, and none of the configured ones counted", len(relays))
}

func TestABigRelayIsDeferredAfterTenTimesAsMuchAndNeverBanned(t *testing.T) {
	t.Parallel()
	dns := names(t, rig.Served{Records: []string{
		"77.113.0.203.in-addr.arpa. PTR mail-x.google.com.", "mail-x.google.com. A 203.0.113.77",
		"78.113.0.203.in-addr.arpa. PTR mail-y.google.com.", "mail-y.google.com. A 203.0.113.99", // a lie
	}})
	s := started(t, rig.Config{Flavour: "stock"})
	d := daemon(t, s, dns.Settings()+guarded)
	relay := caller{client: "203.0.113.77", helo: "mail-x.google.com"}
	var rules []string
	asked := 0
	for _, each := range []int{60, 49, 49, 43} {
		for i, r := range relay.asks(t, s, "x@example.org", guesses(each)...) {
			asked++
			want := ""
			switch {
			case asked >= 200:
				want = "dictionary.window"
			case i >= 49:
				want = "dictionary.hard"
			}
			code := map[bool]int{true: 451, false: 550}[want != ""]
			if r.Code != code || ruleOf(r) != want {
				t.Errorf("guess %d, %d of its connection: want %d %q, got %q", asked, i+1, code, want, r.Text)
			}
			rules = append(rules, ruleOf(r))
		}
		answered(t, "a good recipient", relay.asksGood(t, s), 250, "")
	}
	liar := caller{client: "203.0.113.78", helo: "mail-y.google.com"}
	if answers := liar.asks(t, s, "x@example.org", guesses(20)...); len(answers) != 5 {
		t.Errorf("one whose name does not confirm: dropped at guess %d", len(answers))
	}
	if banned := bans(t, d); len(banned) != 0 {
		t.Errorf("banned: %v", banned)
	}
	t.Logf("FIGURE big relay with a confirmed name: %d dead recipients, first deferred at %d in one connection, at %d in all, 0 bans",
		asked, 1+slices.Index(rules, "dictionary.hard"), 1+slices.Index(rules, "dictionary.window"))
}

func TestBehindAPrivateAddressGuessesAreOnlyDeferred(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "stock"})
	d := daemon(t, s, guarded)
	from := caller{client: "10.9.8.7"}
	deferred := 0
	for range 10 {
		for i, r := range from.asks(t, s, "x@example.org", guesses(10)...) {
			if ruleOf(r) != "" {
				deferred++
				if r.Code != 451 {
					t.Errorf("guess %d of a connection: %q", i+1, r.Text)
				}
			}
		}
		answered(t, "a good recipient", from.asksGood(t, s), 250, "")
	}
	banned := bans(t, d)
	if deferred == 0 || len(banned) != 0 {
		t.Errorf("%d deferred, banned: %v", deferred, banned)
	}
	t.Logf("FIGURE behind a private address: %d of 100 guesses deferred, 0 dropped, 0 bans", deferred)
}

// TestTheOnlyWayInIsNeverBanned has two servers that bring mail, and then guesses.
func TestTheOnlyWayInIsNeverBanned(t *testing.T) {
	for _, c := range []struct {
		name          string
		mails, others int
		banned        bool
	}{
		{"20 messages of 39", 20, 19, false},
		{"20 messages of 20", 20, 0, false},
		{"19 messages of 19", 19, 0, true},
		{"20 messages of 40", 20, 20, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := started(t, rig.Config{Flavour: "stock", Queue: true})
			d := daemon(t, s, guarded)
			from := caller{client: "203.0.113.7"}
			brings(t, s, from, c.mails)
			brings(t, s, caller{client: "198.51.100.7"}, c.others)
			refused := 0
			for range 10 {
				for _, r := range from.asks(t, s, "x@example.org", guesses(4)...) {
					if ruleOf(r) != "" {
						refused++
					}
				}
			}
			if banned := len(bans(t, d)) > 0; banned != c.banned || (refused > 0) != c.banned {
				t.Errorf("banned: %v, %d refused", banned, refused)
			}
			t.Logf("FIGURE only way in, %s of the day: %d of 40 guesses refused, banned: %v", c.name, refused, c.banned)
		})
	}
}

// brings sends messages in one connection.
func brings(t *testing.T, s *rig.Site, from caller, n int) {
	t.Helper()
	conn, _ := from.greets(t, s)
	defer conn.Close()
	for i := range n {
		if r := conn.Message("x@example.org", []string{"alice@" + rig.Domain}, mail(fmt.Sprint("day", i))); r.Code != 250 {
			t.Fatalf("message %d: %q", i, r.Text)
		}
	}
}

// TestAShieldThatCleanMailHasEarnedKeepsFromABan has a server that was well known three hours ago, so that nothing of this hour speaks for
// it: 30 dead recipients, in connections that do nothing else.
func TestAShieldThatCleanMailHasEarnedKeepsFromABan(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "stock"})
	p := longAgo(t, s, 3*time.Hour)
	for _, c := range []struct {
		client string
		of     ledger.Delta
	}{
		{"203.0.113.1/32", ledger.Delta{Good: 40, Clean: 5}},
		{"203.0.113.2/32", ledger.Delta{Good: 40, Clean: 4}},
		{"203.0.113.3/32", ledger.Delta{Good: 10, Clean: 5}},
	} {
		tallies := []ledger.Tally{{Key: ledger.Of(prefix(t, c.client)), Add: c.of}}
		if err := p.Count(t.Context(), tallies); err != nil {
			t.Fatal(err)
		}
	}
	p.passes(3 * time.Hour)
	p.present(t)
	d := daemon(t, s, guarded)
	for _, c := range []struct {
		name, client string
		step         int // 0: never
	}{
		{"5 messages and 40 good recipients", "203.0.113.1", 0},
		{"4 messages and 40 good recipients", "203.0.113.2", 20},
		{"5 messages and 10 good recipients", "203.0.113.3", 20}, // the shield ends with the tenth guess
	} {
		from := caller{client: c.client}
		step, refused := 0, 0
		for range 10 {
			for _, r := range from.asks(t, s, "x@example.org", "alice@"+rig.Domain, guess(1), guess(2), guess(3)) {
				if r.Code == 250 {
					continue
				}
				step++
				if ruleOf(r) != "" && refused == 0 {
					refused = step
				}
			}
		}
		if refused != c.step {
			t.Errorf("%s: refused at guess %d, want %d", c.name, refused, c.step)
		}
		t.Logf("FIGURE shield, %s hours ago, then %d guesses: refused at %d", c.name, step, refused)
	}
	if banned := strings.Join(bans(t, d), " "); banned != "203.0.113.2/32 203.0.113.3/32" {
		t.Errorf("banned: %s", banned)
	}
}
