package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"eximpolicyd/test/rig"
)

// forged is a letter that helo.H7 refuses in every preset.
func forged(t *testing.T) letter { return written(t, "forged", "helo localhost") }

// hears brings a letter and wants a code.
func hears(t *testing.T, s *rig.Site, l letter, port, code int) {
	t.Helper()
	if a, err := l.speak(s, port); err != nil || a.code != code {
		t.Fatalf("%s: want %d, %v %+v", l.name, code, err, a)
	}
}

func TestADryRunRefusesNothingAndSaysWhatItWouldHave(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "debian-split"})
	d := daemon(t, s, enforcing("rfc")+"exempt.deny = [\"198.51.100.130\"]\n", "--dry-run")
	for i, c := range []struct{ lines, stage, rule, code string }{
		{"client 203.0.113.1\nhelo localhost", "RCPT", "helo.H7", "550 5.7.1"},
		{"client 203.0.113.2\n- Message-ID", "DATA", "messageid.M1", "550 5.7.1"},
		{"client 198.51.100.130", "RCPT", "deny", "554 5.7.1"},
	} {
		l := written(t, c.rule, c.lines)
		hears(t, s, l, firstLetterPort+i, 250)
		one := decided(t, d, c.stage, "of "+l.client, ofClient(l.client))
		if one.Action != "dunno" || one.Would != "deny" || one.Rule != c.rule || one.Code != c.code || one.Mark {
			t.Errorf("%+v", one)
		}
		if want := "stage=" + c.stage + " would=deny rule=" + c.rule + " id=" + one.ID; !strings.Contains(s.Mainlog(), want) {
			t.Errorf("mainlog has no %q", want)
		}
	}
	out, err := s.As("nobody", "/tmp", mail("remote"), sendmail, "friend@"+rig.Foreign)
	if err != nil || out != "" {
		t.Errorf("%v %s", err, out)
	}
	one := decided(t, d, "NOT_SMTP", "of nobody", func(l rig.Decision) bool { return true })
	if one.Action != "dunno" || one.Would != "deny" || one.Rule != "nobody.N1" {
		t.Errorf("%+v", one)
	}
	if err := s.AwaitDelivered("alice", 3); err != nil {
		t.Error(err)
	}
}

func TestAReloadChangesTheNextMessageAndABadFileNothing(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "stock"})
	d := daemon(t, s, "")
	c := dial(t, s, "203.0.113.7")
	say(t, c, "EHLO localhost", 250)
	to := []string{"alice@" + rig.Domain}
	if r := c.Message("x@example.org", to, mail("observed")); r.Code != 250 {
		t.Fatal(r)
	}
	if err := d.Reload("policy.helo.mode = \"enforce\"\n"); err != nil {
		t.Fatal(err)
	}
	if r := c.Message("x@example.org", to, mail("enforced")); r.Code != 550 || !strings.Contains(r.Text, "(helo.H7 ") {
		t.Fatal(r)
	}
	say(t, c, "RSET", 250)
	if err := d.Reload("policy.helo.mode = \"enfroce\"\nown.adresses = []\n"); err != nil {
		t.Fatal(err)
	}
	// The rig puts one line before what it is given.
	for _, want := range []string{d.ConfigFile() + ":2:20: ", d.ConfigFile() + ":3:5: ", `"msg":"the configuration is not changed"`} {
		if !strings.Contains(d.Log(), want) {
			t.Errorf("the log has no %q", want)
		}
	}
	if r := c.Message("x@example.org", to, mail("still enforced")); r.Code != 550 {
		t.Error(r)
	}
	say(t, c, "RSET", 250)
	if err := d.Reload(""); err != nil {
		t.Fatal(err)
	}
	if r := c.Message("x@example.org", to, mail("observed again")); r.Code != 250 {
		t.Error(r)
	}
}

func TestTheBypassFileMakesEverythingPass(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "stock"})
	d := daemon(t, s, enforcing("strict")+"exempt.deny = [\"198.51.100.130\"]\n")
	hears(t, s, forged(t), firstLetterPort, 550)
	bypass := filepath.Join(filepath.Dir(s.SocketPath()), "bypass")
	if err := os.WriteFile(bypass, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	hears(t, s, forged(t), firstLetterPort+1, 250)
	hears(t, s, written(t, "no Message-ID", "- Message-ID"), firstLetterPort+2, 250)
	hears(t, s, written(t, "denied", "client 198.51.100.130"), firstLetterPort+3, 250)
	if out, err := s.As("nobody", "/tmp", mail("remote"), sendmail, "friend@"+rig.Foreign); err != nil {
		t.Errorf("%v %s", err, out)
	}
	if !strings.Contains(s.Mainlog(), "stage=RCPT bypass") || !strings.Contains(d.Log(), `"msg":"bypassed"`) {
		t.Errorf("the logs do not say so: %s", s.Mainlog())
	}
	if err := os.Remove(bypass); err != nil {
		t.Fatal(err)
	}
	hears(t, s, forged(t), firstLetterPort+4, 550)
}

func TestADaemonThatIsKilledInASessionLosesNoMailAndANewOneRefusesAgain(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "debian-unsplit"})
	steps := []string{"EHLO mx.example.org", "MAIL FROM:<x@example.org>", "RCPT TO:<alice@" + rig.Domain + ">", "DATA"}
	for until := range len(steps) + 1 {
		d := daemon(t, s, enforcing("strict"))
		hears(t, s, forged(t), firstLetterPort+until, 550)
		c := dial(t, s, "203.0.113.8")
		for i, line := range steps {
			if i == until {
				if err := d.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			if r := c.Say(line); r.Code/100 > 3 {
				t.Fatalf("killed before step %d: %s: %q", until, line, r.Text)
			}
		}
		if until == len(steps) {
			if err := d.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		say(t, c, strings.ReplaceAll(mail("first"), "\n", "\r\n")+"\r\n.", 250)
		if r := c.Message("x@example.org", []string{"alice@" + rig.Domain}, mail("second")); r.Code != 250 {
			t.Errorf("killed before step %d: the second message: %q", until, r.Text)
		}
		say(t, c, "QUIT", 221)
		if err := s.AwaitDelivered("alice", 2*(until+1)); err != nil {
			t.Error(err)
		}
	}
	if log := s.Mainlog(); s.Paniclog() != "" || strings.Contains(log, "protocol_state") {
		t.Errorf("request text in mainlog, or paniclog %q", s.Paniclog())
	}
}
