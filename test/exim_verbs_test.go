package test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	eximsnippets "eximpolicyd/exim-snippets"
	"eximpolicyd/test/rig"
)

// everyStage wires the stages the snippets leave out, as an administrator would.
func everyStage(flavour string) rig.Config {
	policy := "eximpolicyd"
	if flavour == "debian-unsplit" {
		policy = "/etc/exim4/eximpolicyd/policy.acl"
	}
	return rig.Config{
		Flavour: flavour,
		Main:    "acl_smtp_predata = rig_predata\nacl_smtp_mime = rig_mime\nacl_not_smtp_start = rig_start\n",
		ACL: "rig_predata:\n  require acl = " + policy + " PREDATA\n  accept\n" +
			"rig_mime:\n  require acl = " + policy + " MIME\n  accept\n" +
			"rig_start:\n  warn acl = " + policy + " NOT_SMTP_START\n  accept\n",
	}
}

// mime is a message the MIME ACL sees.
func mime(subject string) string {
	return "MIME-Version: 1.0\nContent-Type: text/plain\n" + mail(subject)
}

// smtpSteps are the commands of a session and the stages Exim asks at for each.
func smtpSteps(subject string) []struct{ stages, line string } {
	return []struct{ stages, line string }{
		{"HELO", "EHLO client.example"},
		{"MAIL", "MAIL FROM:<x@client.example>"},
		{"RCPT", "RCPT TO:<alice@" + rig.Domain + ">"},
		{"PREDATA", "DATA"},
		{"MIME DATA", strings.ReplaceAll(mime(subject), "\n", "\r\n") + "\r\n."},
		{"QUIT", "QUIT"},
	}
}

// walk goes through a session and returns the answer at the stage, and what the
// connection says next.
func walk(t *testing.T, s *rig.Site, stage, subject string) (rig.Reply, *rig.Session) {
	t.Helper()
	c, greeting, err := s.Dial("203.0.113.7")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // the server may have closed it first
	if stage == "CONNECT" {
		return greeting, c
	}
	for _, step := range smtpSteps(subject) {
		r := c.Say(step.line)
		if slices.Contains(strings.Fields(step.stages), stage) {
			return r, c
		}
		if r.Code/100 > 3 {
			t.Fatalf("before %s: %.60s: %q", stage, step.line, r.Text)
		}
	}
	t.Fatalf("no stage %s", stage)
	return rig.Reply{}, nil
}

func TestEveryVerbSaysInSMTPAndInTheLogWhatTheDaemonSaid(t *testing.T) {
	phrases := []struct{ stage, log string }{
		{"CONNECT", `rejected connection in "connect" ACL: `},
		{"HELO", `rejected EHLO or HELO client.example: `},
		{"MAIL", `rejected MAIL <x@client.example>: `},
		{"RCPT", `rejected RCPT <alice@lab.example.test>: `},
		{"PREDATA", `rejected DATA: `},
		{"MIME", `rejected during MIME ACL checks: `},
		{"DATA", `rejected after DATA: `},
	}
	verbs := []struct {
		verb, code, enhanced string
		temporarily          string
	}{
		{"deny", "550", "5.7.1", ""}, {"defer", "451", "4.7.1", "temporarily "}, {"drop", "554", "5.7.9", ""},
	}
	for _, flavour := range eximsnippets.Flavours() {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			s := started(t, everyStage(flavour))
			f := fake(t, s, rig.Always(rig.Dunno()))
			for _, p := range phrases {
				for _, v := range verbs {
					mark := fmt.Sprintf("%s-%s", v.verb, p.stage)
					f.Follow(atStage(p.stage, rig.Whole(fmt.Sprintf(
						`action=%s msg="%s %s refused \"%s\"\nsecond line" log="reason %s"`, v.verb, v.code, v.enhanced, mark, mark))))
					r, c := walk(t, s, p.stage, mark)
					want := fmt.Sprintf("%s-%s refused \"%s\"\n%s %s second line", v.code, v.enhanced, mark, v.code, v.enhanced)
					if r.Text != want {
						t.Errorf("%s at %s:\n got %q\nwant %q", v.verb, p.stage, r.Text, want)
					}
					after := c.Say("NOOP")
					if ends := v.verb == "drop" || p.stage == "CONNECT"; ends != (after.Code == 0) {
						t.Errorf("%s at %s: afterwards %q", v.verb, p.stage, after.Text)
					}
					if _, err := s.AwaitLog(v.temporarily + p.log + "reason " + mark + "\n"); err != nil {
						t.Errorf("%s at %s: %v", v.verb, p.stage, err)
					}
				}
			}
			if s.Paniclog() != "" || strings.Contains(s.Mainlog(), "no usable answer") {
				t.Errorf("paniclog %q", s.Paniclog())
			}
		})
	}
}

func TestEveryVerbRefusesALocalSubmissionWithItsMessage(t *testing.T) {
	for _, flavour := range eximsnippets.Flavours() {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			s := started(t, everyStage(flavour))
			f := fake(t, s, rig.Always(rig.Dunno()))
			for _, verb := range []string{"deny", "defer", "drop"} {
				code := map[string]string{"deny": "550 5.7.1", "defer": "451 4.7.1", "drop": "550 5.7.1"}[verb]
				f.Follow(atStage("NOT_SMTP", rig.Whole(fmt.Sprintf(`action=%s msg="%s not by %s" log="reason %s"`, verb, code, verb, verb))))
				out, err := s.As("nobody", "/", mail("x"), "/usr/sbin/sendmail", "-oep", "alice@"+rig.Domain)
				if err == nil || !strings.Contains(out, "message rejected by non-SMTP ACL: "+code+" not by "+verb) {
					t.Errorf("%s: %v %q", verb, err, out)
				}
				if _, err := s.AwaitLog("rejected by non-SMTP ACL: reason " + verb + "\n"); err != nil {
					t.Error(err)
				}
			}
			f.Follow(rig.Always(rig.Dunno()))
			if out, err := s.As("nobody", "/", mail("y"), "/usr/sbin/sendmail", "alice@"+rig.Domain); err != nil {
				t.Errorf("dunno: %v %q", err, out)
			}
			if err := s.AwaitDelivered("alice", 1); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAVerbWhereEximCannotRefuseDoesNoHarm(t *testing.T) {
	s := started(t, everyStage("stock"))
	f := fake(t, s, rig.Always(rig.Dunno()))
	delivered := 0
	for _, verb := range []string{"deny", "defer", "drop"} {
		answer := rig.Whole("action=" + verb + ` msg="550 5.7.1 no"`)
		for _, stage := range []string{"QUIT", "NOTQUIT", "NOT_SMTP_START"} {
			f.Follow(atStage(stage, answer))
			r, c := walk(t, s, "DATA", verb+stage)
			if r.Code != 250 {
				t.Errorf("%s at %s: %q", verb, stage, r.Text)
			}
			if stage == "QUIT" {
				say(t, c, "QUIT", 221)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if out, err := s.As("nobody", "/", mail("x"), "/usr/sbin/sendmail", "alice@"+rig.Domain); err != nil {
				t.Errorf("%s at %s: %v %q", verb, stage, err, out)
			}
			delivered += 2
		}
	}
	if err := s.AwaitDelivered("alice", delivered); err != nil {
		t.Error(err)
	}
	for _, stage := range []string{"QUIT", "NOTQUIT", "NOT_SMTP_START"} {
		if len(asked(t, f, stage)) == 0 {
			t.Errorf("never asked at %s", stage)
		}
	}
}
