package test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	eximsnippets "eximpolicyd/exim-snippets"
	"eximpolicyd/test/rig"
)

// panelSites are the panels, and cPanel as its switches rewrite the text.
func panelSites() map[string]rig.Config {
	return map[string]rig.Config{
		"cpanel":                          {Flavour: "cpanel"},
		"cpanel with sender verification": {Flavour: "cpanel", Switches: map[string]int{"senderverify": 1, "callouts": 1}},
		"directadmin":                     {Flavour: "directadmin"},
	}
}

func onPanels(t *testing.T, try func(t *testing.T, cfg rig.Config)) {
	for name, cfg := range panelSites() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			try(t, cfg)
		})
	}
}

// stagesOf are what a fake was asked about, in order.
func stagesOf(t *testing.T, f *rig.Fake) (stages []string) {
	t.Helper()
	for _, r := range f.Requests() {
		values, err := strict(r)
		if err != nil {
			t.Fatalf("malformed request: %v\n%q", err, r)
		}
		stages = append(stages, values["protocol_state"])
	}
	return stages
}

func TestAPanelsEximAsksAtEveryStageWithItsFields(t *testing.T) {
	onPanels(t, func(t *testing.T, cfg rig.Config) {
		s := started(t, cfg)
		f := fake(t, s, rig.Always(rig.Dunno()))
		c := dial(t, s, "203.0.113.7:4321")
		say(t, c, "EHLO client.example", 250)
		for _, subject := range []string{"one", "two"} {
			if r := c.Message("x@client.example", []string{"alice@" + rig.Domain}, mail(subject)); r.Code != 250 {
				t.Fatal(r)
			}
		}
		say(t, c, "QUIT", 221)
		check(t, s.AwaitDelivered("alice", 2))
		message := []string{"MAIL", "RCPT", "DATA"}
		want := append(append([]string{"CONNECT", "HELO"}, slices.Concat(message, message)...), "QUIT")
		if got := stagesOf(t, f); !slices.Equal(got, want) {
			t.Errorf("asked at %v", got)
		}
		for stage, fields := range map[string]map[string]string{
			"CONNECT": {"client_address": "203.0.113.7", "client_port": "4321", "relay_host": "0"},
			"HELO":    {"helo_name": "client.example"},
			"MAIL":    {"sender": "x@client.example", "rcpt_verify": "none"},
			"RCPT":    {"recipient": "alice@" + rig.Domain, "rcpt_verify": "ok", "rcpt_count": "1"},
			"DATA":    {"msgid_present": "1", "msgid_count": "1", "recipient_count": "1", "date_present": "1"},
			"QUIT":    {"helo_name": "client.example"},
		} {
			for name, value := range fields {
				if got := last(t, f, stage)[name]; got != value {
					t.Errorf("at %s %s is %q, want %q", stage, name, got, value)
				}
			}
		}
		if out, err := s.As("nobody", "/tmp", mail("local"), sendmail, "friend@"+rig.Foreign, "alice@"+rig.Domain); err != nil {
			t.Errorf("%v %s", err, out)
		}
		if r := last(t, f, "NOT_SMTP"); r["uid"] != "65534" || r["cwd"] != "/tmp" || r["remote_count"] != "1" || r["remote_first"] != "friend@"+rig.Foreign {
			t.Errorf("NOT_SMTP: %v", r)
		}
		c = dial(t, s, "203.0.113.8")
		say(t, c, "EHLO client.example", 250)
		check(t, c.Close())
		check(t, rig.Await("NOTQUIT", func() bool { return slices.Contains(stagesOf(t, f), "NOTQUIT") }))
		healthy(t, s)
	})
}

func TestAPanelsRecipientsAreNoneOkOrUnknown(t *testing.T) {
	onPanels(t, func(t *testing.T, cfg rig.Config) {
		s := site(t, cfg)
		f := fake(t, s, rig.Always(rig.Dunno()))
		// The same as a web server's user does by -bs, and as a stranger: nothing accepts before we are asked.
		lines := []string{"EHLO client.example", "MAIL FROM:<x@client.example>", "RCPT TO:<friend@" + rig.Foreign + ">", "RCPT TO:<nosuch@" + rig.Domain + ">",
			"RCPT TO:<alice@" + rig.Domain + ">", "RCPT TO:<nosuch@" + rig.Domain + ">", "RCPT TO:<later@" + rig.Domain + ">", "QUIT"}
		out, err := s.BH("203.0.113.7", lines...)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if out, err = s.As("nobody", "/", strings.Join(lines, "\r\n")+"\r\n", sendmail, "-bs"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		var got []string
		for _, r := range asked(t, f, "RCPT") {
			got = append(got, r["rcpt_verify"])
		}
		once := []string{"none", "unknown", "ok", "unknown", "ok"}
		if !slices.Equal(got, slices.Concat(once, once)) {
			t.Errorf("%v\n%s", got, out)
		}
		healthy(t, s)
	})
}

func TestAPanelsEximRefusesWhatTheDaemonRefuses(t *testing.T) {
	codes := map[string]string{"CONNECT": "550", "HELO": "550", "MAIL": "550", "RCPT": "550", "DATA": "550"}
	onPanels(t, func(t *testing.T, cfg rig.Config) {
		s := site(t, cfg)
		f := fake(t, s, rig.Always(rig.Dunno()))
		lines := []string{"EHLO client.example", "MAIL FROM:<x@client.example>", "RCPT TO:<alice@" + rig.Domain + ">", "DATA", mail("x") + ".", "QUIT"}
		for stage, code := range codes {
			for _, verb := range []string{"deny", "defer", "drop"} {
				if verb == "defer" {
					code = "451"
				} else {
					code = codes[stage]
				}
				f.Follow(atStage(stage, rig.Whole(fmt.Sprintf(`action=%s msg="%s 5.7.1 no at %s" log="rule=test.T1"`, verb, code, stage))))
				out, _ := s.BH("203.0.113.7", lines...) // how Exim ends when it has closed the connection does not matter
				if !strings.Contains(out, "no at "+stage) || !strings.Contains(out, code+" ") || !strings.Contains(out, "rule=test.T1") || strings.Contains(out, "Temporary local problem") {
					t.Errorf("%s at %s:\n%s", verb, stage, out)
				}
				if strings.Contains(out, "<= x@client.example") || strings.Contains(out, "message would be accepted") {
					t.Errorf("%s at %s: taken all the same:\n%s", verb, stage, out)
				}
			}
		}
		f.Follow(atStage("NOT_SMTP", rig.Whole(`action=deny msg="550 5.7.1 no" log="rule=nobody.N1"`)))
		if out, err := s.As("nobody", "/", mail("local"), sendmail, "-oep", "friend@"+rig.Foreign); err == nil || !strings.Contains(out, "550 5.7.1 no") {
			t.Errorf("a local submission: %v %s", err, out)
		}
		healthy(t, s)
	})
}

func TestMailPassesAPanelsEximWithoutADaemonAndInADryRun(t *testing.T) {
	forged := "X-Eximpolicyd: forged\n"
	onPanels(t, func(t *testing.T, cfg rig.Config) {
		hasty := cfg
		hasty.Timeout = "1s" // for one that hangs
		s := started(t, hasty)
		n := 0
		send := func(what string) {
			t.Helper()
			twoMessages(t, s, "203.0.113.7")
			n += 2
			if out, err := s.As("nobody", "/", forged+mail(what), sendmail, "alice@"+rig.Domain); err != nil {
				t.Errorf("%s: %v %s", what, err, out)
			}
			n++
			check(t, s.AwaitDelivered("alice", n))
		}
		send("no daemon")
		if !strings.Contains(s.Mainlog(), "stage=CONNECT no usable answer") {
			t.Error("nobody was told that there is no daemon")
		}
		f := fake(t, s, rig.Always(rig.Act{How: rig.Hang}))
		send("a daemon that hangs")
		check(t, f.Close())
		healthy(t, s)
		s, n = started(t, cfg), 0
		f = fake(t, s, rig.Always(rig.Whole(`action=dunno note="would=deny rule=helo.H3"`)))
		send("dry run")
		for _, stage := range []string{"CONNECT", "HELO", "MAIL", "RCPT", "DATA", "QUIT", "NOT_SMTP"} {
			if !strings.Contains(s.Mainlog(), "eximpolicyd: stage="+stage+" would=deny rule=helo.H3\n") {
				t.Errorf("the log does not tell what would have been refused at %s", stage)
			}
		}
		// What comes from outside as ours goes, and ours is added once.
		f.Follow(atStage("RCPT", rig.Whole(`action=dunno hdr="X-Eximpolicyd: ours"`)))
		c := dial(t, s, "203.0.113.7")
		say(t, c, "EHLO client.example", 250)
		if r := c.Message("x@client.example", []string{"alice@" + rig.Domain, "bob@" + rig.Domain}, forged+mail("header")); r.Code != 250 {
			t.Fatal(r)
		}
		check(t, s.AwaitDelivered("alice", n+1))
		if box := s.Mailbox("alice"); strings.Contains(box, "forged") || !strings.Contains(box, "X-Eximpolicyd: ours\n") {
			t.Errorf("the header:\n%s", tail(box))
		}
		healthy(t, s)
	})
}

// The text that is in main.inc, put into the section instead, loses the panel's own options: that is why it is included.
func TestCPanelsBuilderWouldTakeAMacrosLinesForOptions(t *testing.T) {
	macros := ""
	for _, f := range render(t, "cpanel") {
		if f.Name == "main.inc" {
			macros = f.Text
		}
	}
	_, err := rig.New(rig.Config{Flavour: "cpanel", Edit: func(text string) string {
		return strings.Replace(text, ".include /etc/exim4/eximpolicyd/main.inc", macros, 1)
	}})
	if err == nil || !strings.Contains(err.Error(), "exim4 -bV") {
		t.Errorf("built all the same: %v", err)
	}
}

func render(t *testing.T, flavour string) []eximsnippets.File {
	t.Helper()
	files, err := eximsnippets.Render(flavour, eximsnippets.Options{})
	check(t, err)
	return files
}
