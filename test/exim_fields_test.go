package test

import (
	"slices"
	"strings"
	"testing"

	eximsnippets "eximpolicyd/exim-snippets"
	"eximpolicyd/test/rig"
)

// whole is a session and a local submission that nothing may object to: between
// them Exim asks at every stage there is. It returns how many messages that made.
func whole(t *testing.T, s *rig.Site, subject string) int {
	t.Helper()
	r, c := walk(t, s, "DATA", subject)
	if r.Code != 250 {
		t.Errorf("%s: %q", subject, r.Text)
	}
	say(t, c, "QUIT", 221)
	_, c = walk(t, s, "RCPT", subject)
	if err := c.Close(); err != nil { // a session that ends like this is asked about at NOTQUIT
		t.Error(err)
	}
	if out, err := s.As("nobody", "/", mime(subject), "/usr/sbin/sendmail", "alice@"+rig.Domain); err != nil {
		t.Errorf("%s: %v %q", subject, err, out)
	}
	return 2
}

func everySMTPStage() []string {
	return []string{"CONNECT", "HELO", "MAIL", "RCPT", "PREDATA", "MIME", "DATA", "QUIT", "NOTQUIT", "NOT_SMTP_START", "NOT_SMTP"}
}

// headerStages are those at which a header can be added or a message held.
func headerStages() []string {
	return []string{"MAIL", "RCPT", "PREDATA", "MIME", "DATA", "NOT_SMTP"}
}

func TestEveryFieldWorksWhereItIsAllowedAndIsPassedOverWhereNot(t *testing.T) {
	cases := []struct {
		name   string
		answer string
		stages []string // where it shows
		shows  func(s *rig.Site, stage string) bool
	}{
		{"a note is logged at every stage", `action=dunno note="would=deny rule=helo.H3 at STAGE"`, everySMTPStage(),
			func(s *rig.Site, stage string) bool {
				return strings.Contains(s.Mainlog(), "eximpolicyd: stage="+stage+" would=deny rule=helo.H3 at "+stage+"\n")
			}},
		{"two headers are added where a message can have some", `action=dunno hdr="X-STAGE-One: 1\nX-STAGE-Two: 2"`, headerStages(),
			func(s *rig.Site, stage string) bool {
				return strings.Contains(s.Mailbox("alice"), "\nX-"+stage+"-One: 1\nX-"+stage+"-Two: 2\n")
			}},
		{"a control that Exim does not have is passed over", `action=dunno control=bogus/STAGE`, nil, nil},
		{"a control of another kind is passed over", `action=dunno control="submission/sender_retain"`, nil, nil},
		{"a delay that is no time is passed over", `action=dunno delay=STAGE`, nil, nil},
		{"a negative delay is passed over", `action=dunno delay=-1s`, nil, nil},
		{"a delay of hours is passed over", `action=dunno delay=3h`, nil, nil},
		{"an unknown action is no opinion", `action=STAGE msg="550 no"`, nil, nil},
		{"a header line without a name is marked by Exim", `action=dunno hdr="no header at all"`, nil, nil},
	}
	for _, flavour := range eximsnippets.Flavours() {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			s := started(t, everyStage(flavour))
			f := fake(t, s, rig.Always(rig.Dunno()))
			delivered := 0
			for _, c := range cases {
				f.Follow(func(request []byte) rig.Act {
					_, stage, _ := strings.Cut(string(request), "\nprotocol_state=")
					stage, _, _ = strings.Cut(stage, "\n")
					return rig.Whole(strings.ReplaceAll(c.answer, "STAGE", stage))
				})
				delivered += whole(t, s, "field")
				if err := s.AwaitDelivered("alice", delivered); err != nil {
					t.Fatal(err)
				}
				for _, stage := range everySMTPStage() {
					if c.shows == nil {
						continue
					}
					want := slices.Contains(c.stages, stage)
					if want {
						_ = rig.Await(stage, func() bool { return c.shows(s, stage) }) // judged below
					}
					if c.shows(s, stage) != want {
						t.Errorf("%s: at %s it shows: %v", c.name, stage, !want)
					}
				}
			}
			if log := s.Mainlog(); s.Paniclog() != "" || strings.Contains(log, "no usable answer") || strings.Contains(log, "failed to expand") {
				t.Errorf("paniclog %q", s.Paniclog())
			}
		})
	}
}

func TestAMessageIsHeldAtEveryStageThatCan(t *testing.T) {
	s := started(t, everyStage("stock"))
	f := fake(t, s, rig.Always(rig.Dunno()))
	for _, stage := range headerStages() {
		for control, log := range map[string]string{
			"freeze/no_tell": "frozen by ", "freeze": "frozen by ", "queue": "queued by ", "queue_only": "queued by ",
		} {
			f.Follow(atStage(stage, rig.Whole("action=dunno control="+control)))
			before := strings.Count(s.Mainlog(), log)
			if stage == "NOT_SMTP" {
				if out, err := s.As("nobody", "/", mail("held"), "/usr/sbin/sendmail", "alice@"+rig.Domain); err != nil {
					t.Fatalf("%s: %v %q", control, err, out)
				}
			} else if r, _ := walk(t, s, "DATA", "held"); r.Code != 250 {
				t.Fatalf("%s at %s: %q", control, stage, r.Text)
			}
			if err := rig.Await(control+" at "+stage, func() bool { return strings.Count(s.Mainlog(), log) > before }); err != nil {
				t.Error(err)
			}
		}
	}
	queue, err := s.Queue()
	if err != nil || strings.Count(queue, "*** frozen ***") != 12 {
		t.Errorf("%v\n%s", err, queue)
	}
	if n := s.Delivered("alice"); n != 0 {
		t.Errorf("%d messages were delivered although held", n)
	}
}

func TestADelayIsAskedOfEximAtEveryStageButNotquit(t *testing.T) {
	s := site(t, everyStage("stock"))
	fake(t, s, rig.Always(rig.Whole("action=dunno delay=2s")))
	var lines []string
	for _, step := range smtpSteps("delay") {
		lines = append(lines, step.line)
	}
	// -bh says what it would wait for and does not.
	out, err := s.BH("203.0.113.7", lines...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if n := strings.Count(out, "delay modifier requests 2-second delay"); n != 8 {
		t.Errorf("%d delays for CONNECT HELO MAIL RCPT PREDATA MIME DATA QUIT:\n%s", n, out)
	}
	out, err = s.BH("203.0.113.7", lines[:3]...)
	if err != nil || !strings.Contains(out, "NOTQUIT") || strings.Contains(out, "\n451") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestATagComesBackInTheRestOfTheConnectionAndNotInTheNext(t *testing.T) {
	for _, flavour := range eximsnippets.Flavours() {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			s := started(t, everyStage(flavour))
			f := fake(t, s, atStage("HELO", rig.Whole(`action=dunno tag="T1 \"\\\n=x"`)))
			_, c := walk(t, s, "DATA", "tag")
			say(t, c, "QUIT", 221)
			for _, stage := range everySMTPStage() {
				for _, r := range asked(t, f, stage) {
					want := "T1 \"\\\n=x"
					if stage == "CONNECT" || stage == "HELO" {
						want = ""
					}
					if r["tag"] != want {
						t.Errorf("at %s: tag %q, want %q", stage, r["tag"], want)
					}
				}
			}
			f.Follow(rig.Always(rig.Dunno()))
			walk(t, s, "MAIL", "none")
			if tag := last(t, f, "MAIL")["tag"]; tag != "" {
				t.Errorf("next connection: tag %q", tag)
			}
		})
	}
}

func TestADeniedClientHearsSomethingEvenIfTheDaemonForgotTheWords(t *testing.T) {
	cases := []struct{ name, answer, text, log string }{
		{"no msg and no log", `action=deny`, "550 Administrative prohibition", "rejected MAIL <x@client.example>\n"},
		{"no log: the message is the reason", `action=deny msg="550 5.7.1 go away"`, "550 5.7.1 go away",
			"rejected MAIL <x@client.example>: 550 5.7.1 go away\n"},
		{"dollar and brace are not expanded", `action=deny msg="550 5.7.1 $primary_hostname ${run{/bin/false}}" log="$pid"`,
			"550 5.7.1 $primary_hostname ${run{/bin/false}}", "rejected MAIL <x@client.example>: $pid\n"},
	}
	s := started(t, rig.Config{Flavour: "stock"})
	f := fake(t, s, rig.Always(rig.Dunno()))
	for _, c := range cases {
		f.Follow(atStage("MAIL", rig.Whole(c.answer)))
		if r, _ := walk(t, s, "MAIL", "x"); r.Text != c.text {
			t.Errorf("%s: %q", c.name, r.Text)
		}
		if _, err := s.AwaitLog(c.log); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestOurHeaderFromOutsideIsTakenOutAndOursStays(t *testing.T) {
	forged := "X-Eximpolicyd: forged\nx-eximPOLICYd : forged with a blank\nX-Eximpolicyd:\n forged and folded\nX-Other: kept\n"
	for _, flavour := range eximsnippets.Flavours() {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			s := started(t, everyStage(flavour))
			f := fake(t, s, rig.Always(rig.Dunno()))
			for i, stage := range append(headerStages(), "nowhere") {
				f.Follow(atStage(stage, rig.Whole(`action=dunno hdr="X-Eximpolicyd: ours from `+stage+`"`)))
				c := dial(t, s, "203.0.113.7")
				say(t, c, "EHLO client.example", 250)
				if r := c.Message("x@client.example", []string{"alice@" + rig.Domain}, forged+mime(stage)); r.Code != 250 {
					t.Fatal(r)
				}
				if out, err := s.As("nobody", "/", forged+mime(stage), "/usr/sbin/sendmail", "bob@"+rig.Domain); err != nil {
					t.Fatalf("%v %s", err, out)
				}
				for _, user := range []string{"alice", "bob"} {
					if err := s.AwaitDelivered(user, i+1); err != nil {
						t.Fatal(err)
					}
				}
			}
			for user, stages := range map[string][]string{"alice": headerStages()[:5], "bob": headerStages()[5:]} {
				box := s.Mailbox(user)
				if strings.Contains(box, "forged") || !strings.Contains(box, "X-Other: kept") {
					t.Errorf("%s:\n%s", user, box)
				}
				for _, stage := range stages {
					if strings.Count(box, "X-Eximpolicyd: ours from "+stage+"\n") != 1 {
						t.Errorf("%s: ours from %s is not there once", user, stage)
					}
				}
			}
		})
	}
}
