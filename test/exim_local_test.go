package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	eximsnippets "eximpolicyd/exim-snippets"
	"eximpolicyd/test/rig"
)

const sendmail = "/usr/sbin/sendmail"

func TestWhatAWebServersUserSendsIsSeenBeforeTheSiteTakesIt(t *testing.T) {
	for _, flavour := range eximsnippets.Flavours() {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			s := site(t, rig.Config{Flavour: flavour, Queue: true})
			f := fake(t, s, rig.Always(rig.Dunno()))
			out, err := s.As("nobody", "/", "EHLO x\r\nMAIL FROM:<nobody@"+rig.Domain+">\r\nRCPT TO:<friend@"+rig.Foreign+">\r\n"+
				"RCPT TO:<nosuch@"+rig.Domain+">\r\nRCPT TO:<alice@"+rig.Domain+">\r\nRCPT TO:<other@"+rig.Foreign+">\r\n"+
				"RCPT TO:<nosuch@"+rig.Domain+">\r\nRCPT TO:<later@"+rig.Domain+">\r\nQUIT\r\n", sendmail, "-bs")
			if err != nil {
				t.Fatalf("%v %s", err, out)
			}
			rcpts := asked(t, f, "RCPT")
			// later's router defers: that is no unknown recipient, though Exim names a failure for it too.
			verdicts := []string{"none", "unknown", "ok", "none", "unknown", "ok"}
			if len(rcpts) != len(verdicts) {
				t.Fatalf("asked at RCPT %d times:\n%s", len(rcpts), out)
			}
			for i, want := range verdicts {
				r := rcpts[i]
				if why := r["rcpt_verify_failure"]; (why == "route") != (want == "unknown" || i == 5) {
					t.Errorf("recipient %d: %s because of %q", i, want, why)
				}
				if r["rcpt_verify"] != want || r["uid"] != "65534" || r["client_address"] != "" || r["relay_host"] != "0" || r["cwd"] != "/" {
					t.Errorf("recipient %d: %v", i, r)
				}
			}
			if strings.Contains(s.Mainlog(), "statement skipped") {
				t.Error("a recipient that cannot be verified now trips a statement")
			}
			f.Follow(atStage("RCPT", rig.Whole(`action=deny msg="550 5.7.1 not by this way"`)))
			out, _ = s.As("nobody", "/", "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<friend@"+rig.Foreign+">\r\nQUIT\r\n", sendmail, "-bs")
			if !strings.Contains(out, "\n550 5.7.1 not by this way\r\n") {
				t.Errorf("not refused:\n%s", out)
			}
		})
	}
}

func TestEximsOwnBouncePassesAndTheUserGetsIt(t *testing.T) {
	for _, flavour := range eximsnippets.Flavours() {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			s := site(t, rig.Config{Flavour: flavour})
			refusal := rig.Whole(`action=deny msg="550 5.7.1 not from a script" log="rule=nobody.N1"`)
			f := fake(t, s, func(request []byte) rig.Act {
				if strings.Contains(string(request), "\nuid=65534\n") {
					return refusal
				}
				return rig.Dunno()
			})
			if out, err := s.As("nobody", "/tmp", mail("spam"), sendmail, "friend@"+rig.Foreign); err == nil || out != "" {
				t.Errorf("%v %q", err, out)
			}
			check(t, s.AwaitDelivered("nobody", 1))
			questions := asked(t, f, "NOT_SMTP")
			if len(questions) != 2 {
				t.Fatalf("%d questions", len(questions))
			}
			first, bounce := questions[0], questions[1]
			if first["uid"] != "65534" || first["cwd"] != "/tmp" || first["remote_count"] != "1" || first["remote_first"] != "friend@"+rig.Foreign {
				t.Errorf("the submission: %v", first)
			}
			if bounce["uid"] == "65534" || bounce["sender"] != "" || bounce["remote_count"] != "0" || bounce["protocol_name"] != "local" {
				t.Errorf("the bounce: %v", bounce)
			}
			if box := s.Mailbox("nobody"); !strings.Contains(box, "550 5.7.1 not from a script") {
				t.Errorf("the bounce does not say why:\n%s", box)
			}
			if s.Relayed() != 0 {
				t.Error("the mail left")
			}
			healthy(t, s)
		})
	}
}

func TestEveryRemoteRecipientOfALocalSubmissionIsCountedAndNoLocalOne(t *testing.T) {
	local, foreign := "alice@"+rig.Domain, "friend@"+rig.Foreign
	var bcc strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&bcc, "Bcc: friend%d@%s\n", i, rig.Foreign)
	}
	cases := []struct {
		name, headers string
		argv          []string
		count, first  string
	}{
		{"a local one only", "", []string{local}, "0", ""},
		{"a remote one only", "", []string{foreign}, "1", foreign},
		{"mixed, the local one first", "", []string{local, foreign}, "1", foreign},
		{"hidden in Bcc", "To: " + local + "\nBcc: bob@" + rig.Domain + ", " + foreign + "\n", []string{"-t"}, "1", foreign},
		{"3,000 in Bcc", "To: " + local + "\n" + bcc.String(), []string{"-t"}, "3000", "friend0@" + rig.Foreign},
		{"a comma in a quoted local part is no second address", "To: \"a,b\"@" + rig.Domain + "\n", []string{"-t"}, "0", ""},
		{"and hides no remote one", "To: \"a,b@" + rig.Domain + ",c\"@" + rig.Foreign + "\n", []string{"-t"}, "1",
			"\"a,b@" + rig.Domain + ",c\"@" + rig.Foreign},
		{"a colon in a quoted local part", "To: \"a:b\"@" + rig.Foreign + ", \"c:d\"@" + rig.Domain + "\n", []string{"-t"}, "1",
			"\"a:b\"@" + rig.Foreign},
		{"a quote and a backslash in a local part", "To: \"a\\\"b\\\\,\"@" + rig.Foreign + ", " + local + "\n", []string{"-t"}, "1",
			"\"a\\\"b\\\\,\"@" + rig.Foreign},
		{"a local part that begins like a choice of separator", "To: \"<;\"@" + rig.Foreign + ", \">;\"@" + rig.Foreign + "\n", []string{"-t"}, "2",
			"\"<;\"@" + rig.Foreign},
		{"a name and a comment around it", "To: \"x, y\" <" + foreign + "> (z, w), " + local + "\n", []string{"-t"}, "1", foreign},
		{"a local part with signs", "To: a=b#c/d!e'f@" + rig.Foreign + "\n", []string{"-t"}, "1", "a=b#c/d!e'f@" + rig.Foreign},
		{"a local part that is not ASCII", "", []string{"\xc3\xb6@" + rig.Foreign, local}, "1", "\xc3\xb6@" + rig.Foreign},
		{"a domain in capitals is still ours", "", []string{"alice@" + strings.ToUpper(rig.Domain)}, "0", ""},
		{"no domain at all is ours", "", []string{"alice"}, "0", ""},
		{"a source route counts by where it ends", "", []string{"@" + rig.Domain + ":" + foreign}, "1", foreign},
	}
	for _, flavour := range eximsnippets.Flavours() {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			s := site(t, rig.Config{Flavour: flavour, Queue: true})
			f := fake(t, s, rig.Always(rig.Dunno()))
			for _, c := range cases {
				f.Forget()
				out, err := s.As("nobody", "/", c.headers+"Subject: x\n\nx\n", append([]string{sendmail}, c.argv...)...)
				if err != nil {
					t.Errorf("%s: %v %.500s", c.name, err, out)
					continue
				}
				r := last(t, f, "NOT_SMTP")
				if r["remote_count"] != c.count || r["remote_first"] != c.first {
					t.Errorf("%s: count %q of %s, first %q", c.name, r["remote_count"], r["recipient_count"], r["remote_first"])
				}
			}
			healthy(t, s)
		})
	}
}

func TestAFolderWithALineEndInItsNameIsOnlyAName(t *testing.T) {
	s := site(t, rig.Config{Flavour: "debian-unsplit", Queue: true})
	f := fake(t, s, rig.Always(rig.Dunno()))
	dir := filepath.Join(s.Dir(), "home", "nobody", "x\nuid=0\naction=accept \"\\\r")
	check(t, os.Mkdir(dir, 0o755))
	if out, err := s.As("nobody", dir, mail("x"), sendmail, "alice@"+rig.Domain); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if r := last(t, f, "NOT_SMTP"); r["cwd"] != dir || r["uid"] != "65534" {
		t.Errorf("cwd %q, uid %s", r["cwd"], r["uid"])
	}
}

func TestWhatATrustedCallerClaimsIsQuotedToo(t *testing.T) {
	s := site(t, rig.Config{Flavour: "stock", Queue: true})
	f := fake(t, s, likeTheDaemon)
	evil := "bo\"b\\\rend=1\naction=accept \x01"
	out, err := s.Run("sh", "-c", `printf 'EHLO x\r\nMAIL FROM:<x@a.example>\r\nQUIT\r\n' | exec "$@"`, "sh", "exim4",
		"-oMa", "203.0.113.7.4321", "-oMt", evil, "-oMr", evil, "-oMs", evil, "-oMaa", evil, "-oMai", evil, "-bs")
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	r := last(t, f, "MAIL")
	for _, name := range []string{"ident", "sasl_method", "sasl_username"} {
		if r[name] != evil {
			t.Errorf("%s is %q", name, r[name])
		}
	}
	if r["client_address"] != "203.0.113.7" || r["client_port"] != "4321" || strings.Contains(out, "\n451") {
		t.Errorf("%v\n%s", r, out)
	}
	// A client address without SMTP: the relay list may not be asked then, and that must be no 451.
	out, err = s.Run("sh", "-c", `printf 'Subject: x\n\nx\n' | exec exim4 -oMa 127.0.0.1 alice@`+rig.Domain)
	if n := last(t, f, "NOT_SMTP"); err != nil || n["client_address"] != "127.0.0.1" || n["relay_host"] != "0" {
		t.Errorf("%v %s\n%v", err, out, n)
	}
	healthy(t, s)
}

func TestStrictACLVariablesAreNo451(t *testing.T) {
	for _, flavour := range eximsnippets.Flavours() {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			cfg := everyStage(flavour)
			cfg.Main += "strict_acl_vars\n"
			s := started(t, cfg)
			f := fake(t, s, rig.Always(rig.Whole(`action=dunno tag=T`)))
			n := whole(t, s, "strict")
			check(t, f.Close())
			n += whole(t, s, "down")
			check(t, s.AwaitDelivered("alice", n))
			healthy(t, s)
		})
	}
}

func TestARelayHostIsMarkedAndNobodyElse(t *testing.T) {
	for _, flavour := range eximsnippets.Flavours() {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			s := started(t, rig.Config{Flavour: flavour, RelayHosts: []string{"198.51.100.0/24", "2001:db8:1::/48"}})
			f := fake(t, s, rig.Always(rig.Dunno()))
			for client, want := range map[string]string{
				"198.51.100.5": "1", "[2001:db8:1::5]:25": "1", "": "1", "203.0.113.7": "0", "[2001:db8:2::5]:25": "0",
			} {
				c := dial(t, s, client)
				say(t, c, "EHLO x.example", 250)
				for _, stage := range []string{"CONNECT", "HELO"} {
					if got := last(t, f, stage)["relay_host"]; got != want {
						t.Errorf("%q at %s: relay_host=%s", client, stage, got)
					}
				}
				check(t, c.Close())
			}
		})
	}
}
