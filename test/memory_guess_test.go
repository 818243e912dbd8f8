package test

import (
	"fmt"
	"strings"
	"testing"

	eximsnippets "eximpolicyd/exim-snippets"
	"eximpolicyd/test/rig"
)

// A guesser asks for unknown recipients until we refuse one, and changes something each time.
type guesser struct {
	name   string
	client func(connection int) string
	helo   func(connection int) string // nil: mx.example.org
	good   int                         // recipients that are there, first of all in each connection
	each   int                         // guesses a connection
	step   int                         // which guess is refused
	rule   string
	banned string // the network that is banned by then; "": none
}

func only(client string) func(int) string { return func(int) string { return client } }

func guessers() []guesser {
	rotating := func(n int) string { return fmt.Sprintf("2001:db8:1:2:%x::%x", n*97, n) }
	changing := func(n int) string { return fmt.Sprintf("mx%d.example.org", n) }
	return []guesser{
		{"one guess a connection", only("203.0.113.10"), nil, 0, 1, 5, "dictionary.window", "203.0.113.10/32"},
		{"and with ever new names", only("203.0.113.11"), changing, 0, 1, 5, "dictionary.window", "203.0.113.11/32"},
		{"and from ever new addresses of a /64", rotating, nil, 0, 1, 5, "dictionary.window", "2001:db8:1:2::/64"},
		{"two guesses behind one that is there", only("203.0.113.12"), nil, 1, 2, 20, "dictionary.window", "203.0.113.12/32"},
		{"many in a connection", only("203.0.113.13"), nil, 0, 30, 5, "dictionary.hard", ""},
	}
}

// guess tries until a guess is refused by us, and returns which.
func (g *guesser) guess(t *testing.T, s *rig.Site) (step int, r rig.Reply) {
	t.Helper()
	for n := 1; n <= 10*g.step; n++ {
		c := caller{client: g.client(n)}
		if g.helo != nil {
			c.helo = g.helo(n)
		}
		var to []string
		for range g.good {
			to = append(to, "alice@"+rig.Domain)
		}
		for i, r := range c.asks(t, s, "x@example.org", append(to, guesses(g.each)...)...) {
			if i < g.good {
				answered(t, fmt.Sprintf("%s: the good one of connection %d", g.name, n), r, 250, "")
				continue
			}
			step++
			if ruleOf(r) != "" {
				return step, r
			}
			answered(t, fmt.Sprintf("%s: guess %d", g.name, step), r, 550, "")
		}
	}
	return step, r
}

func TestAGuesserIsShutOutAtTheStepThatIsWritten(t *testing.T) {
	for _, flavour := range eximsnippets.Flavours() {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			s := started(t, rig.Config{Flavour: flavour})
			d := daemon(t, s, guarded)
			for _, g := range guessers() {
				step, r := g.guess(t, s)
				if step != g.step || ruleOf(r) != g.rule {
					t.Fatalf("%s: at guess %d: %q", g.name, step, r.Text)
				}
				t.Logf("FIGURE guesser %s, %s: refused at guess %d by %s", flavour, g.name, step, ruleOf(r))
				another := caller{client: g.client(99)}
				if g.banned == "" {
					answered(t, g.name+": after it", another.asksGood(t, s), 250, "")
					continue
				}
				answered(t, g.name+": the refusal", r, 451, g.rule)
				b := bannedBy(t, d, g.banned)
				if b.Level != 1 || b.Mode != "enforce" || b.Rule != g.rule {
					t.Errorf("%s: %+v", g.name, b)
				}
				saved(t, s, g.banned)
				answered(t, g.name+": a good recipient after it", another.asksGood(t, s), 451, "ban")
			}
			kept := memory(t, s)
			if n := keysOf(kept, "2001:db8:", "/64"); n != 1 {
				t.Errorf("%d keys of one /64:\n%s", n, strings.Join(kept, ""))
			}
		})
	}
}

// TestWithinAConnectionNothingMakesAGuesserNew has what resets Exim's own counts.
func TestWithinAConnectionNothingMakesAGuesserNew(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "stock"})
	d := daemon(t, s, guarded)
	for i, c := range []struct {
		name    string
		between []string
	}{
		{"RSET", []string{"RSET", "MAIL FROM:<x@example.org>"}},
		{"another greeting", []string{"EHLO other%d.example.org", "MAIL FROM:<x@example.org>"}},
		{"another sender", []string{"RSET", "MAIL FROM:<x%d@example.net>"}},
		{"nothing", nil},
		{"bounces", []string{"RSET", "MAIL FROM:<>", "RCPT TO:<nosuch@" + rig.Domain + ">", "RSET", "MAIL FROM:<x@example.org>"}},
	} {
		from := caller{client: fmt.Sprintf("203.0.113.%d", 30+i)}
		conn, _ := from.greets(t, s)
		say(t, conn, "MAIL FROM:<x@example.org>", 250)
		step := 0
		var r rig.Reply
		for step < 20 && ruleOf(r) == "" {
			step++
			if r = conn.Say("RCPT TO:<" + guess(step) + ">"); ruleOf(r) != "" {
				break
			}
			for _, line := range c.between {
				if strings.Contains(line, "%") {
					line = fmt.Sprintf(line, step)
				}
				conn.Say(line)
			}
		}
		t.Logf("FIGURE guesser with %s between two guesses: dropped at guess %d", c.name, step)
		if step != 5 {
			t.Errorf("%s: dropped at guess %d", c.name, step)
		}
		answered(t, c.name, r, 550, "dictionary.hard")
		if r := conn.Reply(); r.Code != 0 {
			t.Errorf("%s: not closed: %q", c.name, r.Text)
		}
	}
	// Five at a time: the fourth connection brings the twentieth.
	from := caller{client: "203.0.113.40"}
	total := 0
	for n := 1; n <= 4; n++ {
		answers := from.asks(t, s, "x@example.org", guesses(10)...)
		total += len(answers)
		answered(t, fmt.Sprintf("connection %d", n), answers[len(answers)-1], 550, "dictionary.hard")
	}
	if b := bannedBy(t, d, "203.0.113.40/32"); total != 20 || b.Level != 1 || b.Rule != "dictionary.window" {
		t.Errorf("after %d: %+v", total, b)
	}
	answered(t, "a good recipient after 20", from.asksGood(t, s), 451, "ban")
}

// TestANetworkOfGuessersIsBannedIfManyOfItsMembersAre has each member below the limits of one client.
func TestANetworkOfGuessersIsBannedIfManyOfItsMembersAre(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "stock"})
	d := daemon(t, s, guarded)
	for _, c := range []struct {
		network string
		member  string // with %d
		members int
		each    int // guesses of a member
		step    int // 0: never
	}{
		{"203.0.113.0/24", "203.0.113.%d", 4, 16, 0},
		{"198.51.100.0/24", "198.51.100.%d", 5, 12, 60},
		{"2001:db8:7::/56", "2001:db8:7:%d::9", 5, 12, 60},
		{"2001:db8:8::/48", "2001:db8:8:%d00::9", 15, 12, 180},
	} {
		step, refused := 0, 0
		for m := range c.members {
			from := caller{client: fmt.Sprintf(c.member, m+1)}
			for range c.each / 4 {
				for _, r := range from.asks(t, s, "x@example.org", guesses(4)...) {
					step++
					if ruleOf(r) == "" {
						answered(t, fmt.Sprintf("%s: guess %d", c.network, step), r, 550, "")
					} else if refused == 0 {
						refused = step
						answered(t, c.network, r, 451, "dictionary.spread")
					}
				}
			}
		}
		t.Logf("FIGURE spread over %d members of %s: refused at guess %d of %d", c.members, c.network, refused, step)
		if refused != c.step {
			t.Errorf("%s: refused at guess %d, want %d", c.network, refused, c.step)
		}
		neighbour := caller{client: fmt.Sprintf(c.member, 42)}
		if c.step == 0 {
			answered(t, c.network+": a neighbour", neighbour.asksGood(t, s), 250, "")
			continue
		}
		if b := bannedBy(t, d, c.network); b.Level != 1 || b.Rule != "dictionary.spread" {
			t.Errorf("%+v", b)
		}
		answered(t, c.network+": a neighbour", neighbour.asksGood(t, s), 451, "ban")
	}
	want := "198.51.100.0/24 2001:db8:7::/56 2001:db8:8::/48"
	if got := strings.Join(bans(t, d), " "); got != want {
		t.Errorf("banned: %s, want %s", got, want)
	}
}
