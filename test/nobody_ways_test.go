package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	eximsnippets "eximpolicyd/exim-snippets"
	"eximpolicyd/test/rig"
)

const nobodyUID = 65534

// A way is how a web server's user may send a mail: it runs as that user in a folder.
type way struct {
	name string
	run  func(s *rig.Site, user, dir, to, bcc string) (string, error)
}

func localText(to, bcc string) string {
	text := "From: Shop <shop@" + rig.Domain + ">\nTo: " + to + "\nSubject: local\n"
	if bcc != "" {
		text += "Bcc: " + bcc + "\n"
	}
	return text + "\ntext\n"
}

// script runs a shell script of a site, as cron or CGI does.
func script(s *rig.Site, user, dir, text string) (string, error) {
	file := filepath.Join(dir, "send.sh")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return "", err
	}
	// Not run by its name: while another test starts a process, that one may hold the file open for writing.
	return s.As(user, dir, "", "/bin/sh", file)
}

func ways() []way {
	pipe := func(to, bcc string) string {
		return "printf '%s' '" + localText(to, bcc) + "' | " + sendmail + " -t -i"
	}
	return []way{
		{"sendmail -t", func(s *rig.Site, user, dir, to, bcc string) (string, error) {
			return s.As(user, dir, localText(to, bcc), sendmail, "-t")
		}},
		{"sendmail -bs", func(s *rig.Site, user, dir, to, bcc string) (string, error) {
			talk := "EHLO x\r\nMAIL FROM:<" + user + "@" + rig.Domain + ">\r\nRCPT TO:<" + to + ">\r\n"
			if bcc != "" {
				talk += "RCPT TO:<" + bcc + ">\r\n"
			}
			return s.As(user, dir, talk+"DATA\r\n"+strings.ReplaceAll(localText(to, ""), "\n", "\r\n")+".\r\nQUIT\r\n", sendmail, "-bs")
		}},
		{"a shell script", func(s *rig.Site, user, dir, to, bcc string) (string, error) {
			return script(s, user, dir, pipe(to, bcc)+"\n")
		}},
		{"a script that leaves an orphan", func(s *rig.Site, user, dir, to, bcc string) (string, error) {
			return script(s, user, dir, "setsid sh -c \"$(cat <<'END'\n"+pipe(to, bcc)+"\nEND\n)\" >/dev/null 2>&1 &\nexit 0\n")
		}},
		{"PHP's mail()", func(s *rig.Site, user, dir, to, bcc string) (string, error) {
			headers := "From: shop@" + rig.Domain
			if bcc != "" {
				headers += "\\r\\nBcc: " + bcc
			}
			return s.As(user, dir, "", "/usr/bin/php", "-d", "sendmail_path="+sendmail+" -t -i", "-r",
				fmt.Sprintf(`echo mail("%s", "php", "text\n", "%s") ? "sent" : "not sent";`, to, headers))
		}},
	}
}

// folder makes one below nobody's home, where its scripts stand.
func folder(t *testing.T, s *rig.Site, name string) string {
	t.Helper()
	dir := filepath.Join(s.Dir(), "home", "nobody", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// submitted waits for the decision about what was sent from a folder to the
// last of its recipients: at NOT_SMTP, or at the RCPT of -bs.
func submitted(t *testing.T, d *rig.Daemon, dir, last string) rig.Decision {
	t.Helper()
	one, err := d.Await("from "+dir, func(l rig.Decision) bool {
		return l.CWD == dir && (l.Stage == "NOT_SMTP" || l.Stage == "RCPT" && l.Recipient == last)
	})
	if err != nil {
		t.Fatal(err)
	}
	return one
}

// neverDeferred holds what Exim makes of a deferred local submission: a refusal for good.
func neverDeferred(t *testing.T, d *rig.Daemon) {
	t.Helper()
	check(t, d.Settle())
	lines, err := d.Decisions()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		if l.Stage == "NOT_SMTP" && l.Action == "defer" {
			t.Errorf("deferred: %+v", l)
		}
	}
}

func TestNobodyMailsNobodyElsewhereInAnyWay(t *testing.T) {
	if _, err := exec.LookPath("php"); err != nil {
		t.Fatal("php is missing: apt-get install -y --no-install-recommends php-cli")
	}
	alice, friend := "alice@"+rig.Domain, "friend@"+rig.Foreign
	for _, flavour := range eximsnippets.Flavours() {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			s := site(t, rig.Config{Flavour: flavour})
			d := daemon(t, s, enforcing("lenient"))
			for i, w := range ways() {
				for j, c := range []struct{ name, to, bcc string }{
					{"local", alice, ""}, {"remote", friend, ""}, {"mixed", alice, friend}, {"local and local", alice, "bob@" + rig.Domain},
				} {
					dir := folder(t, s, fmt.Sprintf("site%d%d", i, j))
					out, err := w.run(s, "nobody", dir, c.to, c.bcc)
					last := c.bcc
					if last == "" {
						last = c.to
					}
					one := submitted(t, d, dir, last)
					if one.UID == nil || *one.UID != nobodyUID || one.Class != "local" {
						t.Errorf("%s, %s: %+v", w.name, c.name, one)
					}
					refused := c.name == "remote" || c.name == "mixed"
					if refused != (one.Action == "deny" && one.Rule == "nobody.N1" && one.Code == "550 5.7.1") || !refused && one.Action != "dunno" {
						t.Errorf("%s, %s: %+v", w.name, c.name, one)
					}
					asTold(t, w.name+", "+c.name, refused, out, err)
				}
			}
			// Local mail is there, and what -bs had sent to alice before the other recipient was refused.
			if err := s.AwaitDelivered("alice", 2*len(ways())+1); err != nil {
				t.Error(err)
			}
			bounced(t, s, d, 2*(len(ways())-1))
			neverDeferred(t, d)
		})
	}
}

// asTold holds what the caller hears of it, as far as the way tells him.
func asTold(t *testing.T, name string, refused bool, out string, err error) {
	t.Helper()
	switch way, _, _ := strings.Cut(name, ", "); way {
	case "sendmail -t", "a shell script":
		if refused != (err != nil) || out != "" {
			t.Errorf("%s: %v %q", name, err, out)
		}
	case "sendmail -bs":
		if refused != (strings.Contains(out, "\n550 5.7.1 ") || strings.Contains(out, "\n550-5.7.1 ")) {
			t.Errorf("%s: %v %q", name, err, out)
		}
	case "PHP's mail()":
		if want := map[bool]string{true: "not sent", false: "sent"}[refused]; out != want {
			t.Errorf("%s: %v %q, want %q", name, err, out, want)
		}
	}
}

// bounced holds that Exim's own reports of refused mail pass and arrive, and that nothing has left the machine.
func bounced(t *testing.T, s *rig.Site, d *rig.Daemon, n int) {
	t.Helper()
	if err := s.AwaitDelivered("nobody", n); err != nil {
		t.Error(err)
	}
	check(t, d.Settle())
	lines, err := d.Decisions()
	if err != nil {
		t.Fatal(err)
	}
	own := 0
	for _, l := range lines {
		if l.Stage == "NOT_SMTP" && l.UID != nil && *l.UID != nobodyUID {
			own++
			if l.Action != "dunno" || l.Would != "" || l.Sender != "" {
				t.Errorf("a bounce: %+v", l)
			}
		}
	}
	if own != n || s.Delivered("nobody") != n || s.Relayed() != 0 {
		t.Errorf("%d bounces of Exim's, %d delivered, want %d; %d left the machine", own, s.Delivered("nobody"), n, s.Relayed())
	}
}
