package test

import (
	"net"
	"strings"
	"testing"

	eximsnippets "eximpolicyd/exim-snippets"
	"eximpolicyd/test/rig"
)

// enforcing is a configuration that enforces every policy, with one preset.
func enforcing(preset string) string {
	return `own.addresses = ["` + ownAddress + `"]
exempt.relay = ["198.51.100.0/28"]
policy.helo = {mode = "enforce", preset = "` + preset + `"}
policy.messageid = {mode = "enforce", preset = "` + preset + `", date_ahead = 0, date_old = 0}
policy.nobody = {mode = "enforce"}
`
}

// written makes a letter of lines in the words of test/mails/set.txt.
func written(t *testing.T, name, lines string) letter {
	t.Helper()
	l, _, err := writtenLetter(lines)
	if err != nil {
		t.Fatal(err)
	}
	l.name = name
	return l
}

func TestEveryPolicyRefusesAndPassesInEveryFlavour(t *testing.T) {
	cases := []struct{ name, lines, rule string }{
		{"a client that greets as localhost is refused", "helo localhost", "helo.H7"},
		{"a client that greets with our name is refused", "helo " + rig.Domain, "helo.H3"},
		{"a mail without Message-ID is refused", "- Message-ID", "messageid.M1"},
		{"a mail with two Message-IDs is refused", "+ Message-ID: <2@mx.example.org>", "messageid.M2"},
		{"a clean mail passes", "helo mx.example.org", ""},
		{"an authenticated user passes", "helo localhost\nauth alice\n- Message-ID", ""},
		{"a host that Exim relays for passes", "client " + setRelay + "\nhelo " + rig.Domain + "\n- Message-ID", ""},
		{"a relay of the configuration greets as it likes", "client 198.51.100.5\nhelo localhost", ""},
		{"a client at our own address passes", "client " + ownAddress + "\nhelo localhost\n- Message-ID", ""},
	}
	for _, flavour := range eximsnippets.Flavours() {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			s := started(t, rig.Config{Flavour: flavour, RelayHosts: []string{setRelay}})
			d := daemon(t, s, enforcing("rfc"))
			passed := 0
			for i, c := range cases {
				l := written(t, c.name, c.lines)
				a, err := l.speak(s, firstLetterPort+i)
				if err != nil {
					t.Fatal(err)
				}
				if c.rule == "" {
					passed++
				}
				if c.rule == "" && a.code != 250 || c.rule != "" && (a.code != 550 || !strings.Contains(a.text, "("+c.rule)) {
					t.Errorf("%s: %d %s", c.name, a.code, a.text)
				}
			}
			if err := s.AwaitDelivered("alice", passed); err != nil {
				t.Error(err)
			}
			if n := s.Delivered("alice"); n != passed || s.Paniclog() != "" {
				t.Errorf("%d delivered, want %d; paniclog %s", n, passed, s.Paniclog())
			}
			refusalsAreLogged(t, s, d)
		})
	}
}

// refusalsAreLogged holds that Exim's log names rule and decision of every refusal.
func refusalsAreLogged(t *testing.T, s *rig.Site, d *rig.Daemon) {
	t.Helper()
	check(t, d.Settle())
	lines, err := d.Decisions()
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, l := range lines {
		if l.Action == "dunno" {
			continue
		}
		refused++
		if want := "rule=" + l.Rule + " id=" + l.ID + " client=" + l.ClientAddress + ": "; !strings.Contains(s.Mainlog(), want) {
			t.Errorf("mainlog has no %q", want)
		}
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
}

func TestAMailProgramOnASubmissionPortGreetsAsItLikes(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "stock"})
	_, port, err := net.SplitHostPort(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	d := daemon(t, s, "exempt.submission_ports = ["+port+"]\n"+enforcing("rfc"))
	l := written(t, "submission", "helo localhost")
	if a, err := l.speak(s, firstLetterPort); err != nil || a.code != 250 {
		t.Errorf("%v %+v", err, a)
	}
	if one := decided(t, d, "RCPT", "of it", ofClient(l.client)); one.Class != "submission" {
		t.Errorf("%+v", one)
	}
	if err := d.Reload(enforcing("rfc")); err != nil {
		t.Fatal(err)
	}
	if a, err := l.speak(s, firstLetterPort+1); err != nil || a.code != 550 {
		t.Errorf("on another port: %v %+v", err, a)
	}
}

func TestADeniedNetworkIsRefusedButNotItsAuthenticatedUsers(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "stock"})
	daemon(t, s, "exempt.deny = [\"198.51.100.128/25\"]\n")
	l := written(t, "denied", "client 198.51.100.130")
	if a, err := l.speak(s, firstLetterPort); err != nil || a.code != 554 || !strings.Contains(a.text, "(deny ") {
		t.Errorf("%v %+v", err, a)
	}
	l = written(t, "denied, with a login", "client 198.51.100.130\nauth alice")
	if a, err := l.speak(s, firstLetterPort+1); err != nil || a.code != 250 {
		t.Errorf("%v %+v", err, a)
	}
}
