package acl

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"eximpolicyd/policy"
)

// someRequest makes a request out of values that the rules know to object to.
func someRequest(rnd *rand.Rand) []Pair {
	one := func(list ...string) string { return list[rnd.IntN(len(list))] }
	pairs := pairsOf(
		"protocol_state="+one("CONNECT", "HELO", "MAIL", "RCPT", "RCPT", "RCPT", "PREDATA", "MIME", "DATA", "DATA", "QUIT", "NOT_SMTP_START", "NOT_SMTP"),
		"client_address="+one("203.0.113.7", "203.0.113.7", "198.51.100.9", "10.1.2.3", "127.0.0.1", "192.0.2.2", "2001:db8::7", "198.51.100.77", ""),
		"client_port=4321", "server_address="+one("192.0.2.2", "192.0.2.2", "10.0.0.2"), "server_port="+one("25", "25", "25", "587"),
		"primary_hostname=mx.example.org", "server_name=mx.example.org", "uid="+one("103", "0", "65534", "65534", ""),
		"relay_host="+one("0", "0", "0", "0", "1"), "sender="+one("", "a@example.com", "a@example.com", "a@example.org"),
		"recipient="+one("bob@example.org", "bob@example.org", "postmaster@example.org"), "rcpt_verify="+one("", "none", "ok", "unknown"),
		"remote_count="+one("unknown", "0", "2"), "remote_first=x@example.net", "recipient_count="+one("0", "1", "2"),
		"date_present="+one("", "0", "1"), "date_count="+one("0", "1", "2"), "from_present="+one("", "0", "1"), "from_count="+one("1", "3"),
		"date="+one("", "Mon, 1 Jan 2001 00:00:00 +0000", "Tue, 1 Dec 2026 12:00:00 +0000"),
		"msgid_present="+one("", "0", "1", "1"), "msgid_count="+one("0", "1", "1", "2"),
		"msgid="+one("", "<a@b.example.com>", "<a@example.org>", "<a@localhost>", "<a@192.0.2.1>", "a b", "<a@[192.0.2.1]>"),
		"list_id="+one("", "", "<x>"),
	)
	if rnd.IntN(10) > 0 {
		pairs = append(pairs, Pair{"helo_name", one("", "mail.example.com", "mx.example.org", "192.0.2.2", "[192.0.2.2]", "[198.51.100.1]", "203.0.113.7", "localhost",
			"dotless", "ylmf-pc", "a_b.example.com", "a..b", "mail.invalidtld", "ip-203-0-113-7.example.com", "-x-.example.com")})
	}
	if rnd.IntN(8) == 0 {
		pairs = append(pairs, Pair{"sasl_method", "plain"})
	}
	if rnd.IntN(3) == 0 {
		pairs = append(pairs, Pair{"helo_history", one("localhost", "a.example.com,b.example.com", "mail.example.com")})
	}
	return pairs
}

// TestADryRunSaysWhatWouldBe is row 41 of the promises: the same decision, but nothing refused.
func TestADryRunSaysWhatWouldBe(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	refused, held, byGrace := 0, 0, 0
	for i := range 10_000 {
		preset := policy.Preset(rnd.IntN(3))
		grace := time.Time{}
		if rnd.IntN(3) == 0 {
			grace = noon.Add(time.Hour)
		}
		of := func(most policy.Mode) *Decider {
			setups := map[string]policy.Setup{}
			for _, p := range policy.Table() {
				setups[p.Name] = policy.Setup{Mode: policy.Known(policy.Enforce), Preset: preset, GraceUntil: grace}
			}
			d := deciderOf(policy.Bind(policy.Table(), setups, most)...)
			d.Mode = most
			d.Exempt.Deny, d.Exempt.Allow, d.Exempt.Relay = prefixes("198.51.100.64/26"), prefixes("198.51.100.80/32"), prefixes("2001:db8:1::/48")
			return d
		}
		pairs := someRequest(rnd)
		q, err := NewRequest(pairs)
		if err != nil {
			t.Fatal(err)
		}
		live := of(policy.Enforce).Decide(context.Background(), q, noon, Given{}, false)
		dry := of(policy.Observe).Decide(context.Background(), q, noon, Given{}, false)
		if dry.Action != policy.Dunno || dry.Mark {
			t.Fatalf("request %d: %s in a dry run: %v", i, brief(&dry), pairs)
		}
		// What live itself only observes whatever its mode, such as H3 behind NAT, a dry run says too.
		want := live.Action.String()
		if live.Action == policy.Dunno {
			want = live.Would.String()
		}
		if dry.Would.String() != want || dry.Score != live.Score || !slices.Equal(dry.Rules, live.Rules) {
			t.Fatalf("request %d:\nlive %s\ndry  %s\n%v", i, brief(&live), brief(&dry), pairs)
		}
		if dry.Rule != live.Rule || dry.Code != live.Code || dry.Text != live.Text {
			t.Fatalf("request %d: another rule:\nlive %s\ndry  %s\n%v", i, brief(&live), brief(&dry), pairs)
		}
		reply := dry.Reply(q)
		if verb, _ := extract(string(reply.Append(nil)), "action"); verb != "dunno" {
			t.Fatalf("request %d: %s", i, reply.Append(nil))
		}
		switch live.Action {
		case policy.Dunno:
			held++
		case policy.Defer:
			byGrace++
		default:
			refused++
		}
	}
	if refused < 500 || held < 1000 || byGrace < 150 {
		t.Errorf("%d refused, %d deferred, %d passed: this proves little", refused, byGrace, held)
	}
}

// carried are the costly facts that a stage can have. The greetings of a connection and its recipients are in the
// connection table from HELO on, and what the client tried is counted at RCPT and DATA, and at the end; the account of a local caller is there whenever Exim asks.
// What the DNS says is asked for from CONNECT on and read at RCPT.
func carried(stage policy.Stage) policy.Need {
	needs := policy.NeedAccount
	if stage == policy.Data || stage == policy.NotSMTP { // of a local caller: who asks is the process that took the message
		needs |= policy.NeedProgram
	}
	if stage >= policy.Helo && stage <= policy.NotQuit {
		needs |= policy.NeedGreetings
	}
	if stage == policy.RCPT || stage == policy.Data {
		needs |= policy.NeedAllMail | policy.NeedDNS | policy.NeedTried
	}
	if stage == policy.Quit || stage == policy.NotQuit {
		needs |= policy.NeedTried
	}
	return needs
}

func TestNeedsAreWhatTheStageCarries(t *testing.T) {
	for _, b := range table(policy.Enforce, policy.Enforce, policy.RFC) {
		for stage := policy.Connect; stage <= policy.NotSMTP; stage++ {
			if missing := b.Needs &^ carried(stage); b.Policy.Stages.Has(stage) && missing != 0 {
				t.Errorf("%s needs %b at %s, which does not carry it", b.Name, missing, stage)
			}
		}
	}
}

func TestOnlyTheNeedsOfTheRulesAskedAreGathered(t *testing.T) {
	greets := says(made("g", 99, atRCPT), "1", policy.Enforce, deny)
	greets.Needs = policy.NeedGreetings
	account := says(made("a", 99, 1<<policy.NotSMTP), "1", policy.Enforce, deny)
	account.Needs = policy.NeedAccount
	mail := policy.NeedAllMail // tells the class, out of memory
	for _, c := range []struct {
		name  string
		words []string
		mode  policy.Mode
		skip  policy.Class
		want  policy.Need
	}{
		{"nothing at CONNECT", []string{"protocol_state=CONNECT"}, policy.Enforce, 0, 0},
		{"the greetings at RCPT", nil, policy.Enforce, 0, mail | policy.NeedGreetings},
		{"the greetings for a rule that observes", nil, policy.Observe, 0, mail | policy.NeedGreetings},
		{"nothing for a rule that is off", nil, policy.Off, 0, mail},
		{"nothing for a class that the rule skips", []string{"sasl_method=plain"}, policy.Enforce, policy.Auth, mail},
		{"nothing for who is allowed", []string{"client_address=198.51.100.1"}, policy.Enforce, 0, mail},
		{"nothing for who is denied", []string{"client_address=198.51.100.2"}, policy.Enforce, 0, mail},
		{"the account of a local submission", []string{"protocol_state=NOT_SMTP", "client_address"}, policy.Enforce, 0, policy.NeedAccount},
		{"the greetings at DATA, for the sum", []string{"protocol_state=DATA"}, policy.Enforce, 0, mail | policy.NeedGreetings},
	} {
		g, a := greets, account
		g.Mode, a.Mode = c.mode, c.mode
		if c.skip != 0 {
			g.Skip = 1 << c.skip
		}
		d := deciderOf(g, a)
		d.Exempt.Allow, d.Exempt.Deny = prefixes("198.51.100.1/32"), prefixes("198.51.100.0/24")
		known := &facts{}
		d.Decide(t.Context(), rcpt(t, c.words...), noon, known, false)
		if known.asked != c.want {
			t.Errorf("%s: gathered %b, want %b", c.name, known.asked, c.want)
		}
	}
}

// TestTheAccountOfATCPClientIsNotLookedUp holds that no password file is read for the world's mail.
func TestTheAccountOfATCPClientIsNotLookedUp(t *testing.T) {
	for _, known := range []Provider{&live{}, Given{}} {
		for _, c := range []struct{ client, want string }{{"client_address=203.0.113.7", ""}, {"client_address=127.0.0.1", ""}, {"client_address", "root"}} {
			var f policy.Facts
			known.Gather(t.Context(), policy.NeedAccount, rcpt(t, "uid=0", c.client), &f)
			if f.Account != c.want {
				t.Errorf("%T, %s: account %q, want %q", known, c.client, f.Account, c.want)
			}
		}
	}
}

func TestOurOwnAddresses(t *testing.T) {
	interfaces := []netip.Addr{netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("2001:db8::9")}
	for client, own := range map[string]bool{
		"127.0.0.1": true, "127.0.0.77": true, "::1": true, "::ffff:127.0.0.1": true, "192.0.2.9": true, "2001:db8::9": true,
		"192.0.2.2": true, "203.0.113.7": false, "192.0.2.8": false, "": false,
	} {
		if q := rcpt(t, "client_address="+client); ownAddress(q, interfaces) != own {
			t.Errorf("%q: %v", client, !own)
		}
	}
	if q := ask(t, fmt.Sprint("protocol_state=", policy.NotSMTP)); ownAddress(q, interfaces) {
		t.Error("neither client nor server are known, yet they are called the same")
	}
}
