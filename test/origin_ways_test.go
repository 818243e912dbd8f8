package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	eximsnippets "eximpolicyd/exim-snippets"
	"eximpolicyd/test/rig"
)

// A toldOrigin is what eximpolicyd origin --json says of a field.
type toldOrigin struct {
	Known     bool    `json:"known"`
	Signed    bool    `json:"signed"`
	Account   string  `json:"account"`
	UID       *uint32 `json:"uid"`
	Directory string  `json:"directory"`
	Program   string  `json:"program"`
	Host      string  `json:"host"`
	Key       string  `json:"key"`
	Queue     string  `json:"queue_id"`
	Source    string  `json:"source"`
	Belongs   *bool   `json:"belongs"`
	Error     string  `json:"error"`
}

// origins has the daemon of a site tell the fields of a text, and returns the exit code besides.
func origins(t *testing.T, s *rig.Site, text string) (list []toldOrigin, code int) {
	t.Helper()
	cmd := exec.Command(binary(t), "origin", "--json", "--socket", filepath.Join(filepath.Dir(s.SocketPath()), "control.sock"), "-")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.Output()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if len(out) > 0 {
		if err := json.Unmarshal(out, &list); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return list, cmd.ProcessState.ExitCode()
}

// letters are the messages of an mbox file.
func letters(mbox string) []string { return strings.Split("\n"+mbox, "\nFrom ")[1:] }

// letterTo waits for the message with a subject in a mailbox.
func letterTo(t *testing.T, s *rig.Site, user, subject string) string {
	t.Helper()
	var found string
	err := rig.Await("mail for "+user+" about "+subject, func() bool {
		for _, l := range letters(s.Mailbox(user)) {
			if strings.Contains(l, "\nSubject: "+subject+"\n") && strings.Contains(l, "\n\ntext\n") {
				found = l
			}
		}
		return found != ""
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// php runs a PHP program as a user in a folder, from a file that stands there, as cron and a web server do.
func php(t *testing.T, s *rig.Site, user, dir, text string, args ...string) {
	t.Helper()
	file := filepath.Join(dir, "send.php")
	check(t, os.WriteFile(file, []byte("<?php\n"+text), 0o644))
	argv := append([]string{"/usr/bin/php", "-dsendmail_path=" + sendmail + " -t -i", "-f", file, "--"}, args...)
	if out, err := s.As(user, dir, "", argv...); err != nil || out != "" {
		t.Fatalf("%v %s", err, out)
	}
}

// letterText is a message to alice.
func letterText(subject string) string {
	return "From: shop@" + rig.Domain + "\nTo: alice@" + rig.Domain + "\nSubject: " + subject + "\n\ntext\n"
}

// bySMTP sends a message over the loopback; hurried, all of it is written at once, and the connection closed.
const bySMTP = `
[, $to, $me, $him, $subject, $hurried] = $argv;
$f = fsockopen("tcp://" . $to) or exit(1);
$hear = function () use ($f) { do { $l = fgets($f); } while ($l !== false && $l[3] == "-"); };
$mail = "From: $me\r\nTo: $him\r\nSubject: $subject\r\n\r\ntext\r\n";
$hear(); fwrite($f, "EHLO script.example.org\r\n"); $hear();
if ($hurried) {
  fwrite($f, "MAIL FROM:<$me>\r\nRCPT TO:<$him>\r\nBDAT " . strlen($mail) . " LAST\r\n{$mail}QUIT\r\n");
} else {
  foreach (["MAIL FROM:<$me>", "RCPT TO:<$him>", "DATA", "$mail."] as $line) { fwrite($f, "$line\r\n"); $hear(); }
  fwrite($f, "QUIT\r\n"); $hear();
}
fclose($f);`

// An originWay is one in which a web script sends, as nobody. Only sendmail tells where it stands.
type originWay struct {
	name, source string
	orphan       bool // its parents are gone
	send         func(t *testing.T, s *rig.Site, dir, subject string)
}

func originWays() []originWay {
	overTCP := func(hurried string) func(*testing.T, *rig.Site, string, string) {
		return func(t *testing.T, s *rig.Site, dir, subject string) {
			php(t, s, "nobody", dir, bySMTP, s.Addr(), "bob@"+rig.Domain, "alice@"+rig.Domain, subject, hurried)
		}
	}
	return []originWay{
		{"sendmail -t", "sendmail", false, func(t *testing.T, s *rig.Site, dir, subject string) {
			php(t, s, "nobody", dir, `$p = popen("`+sendmail+` -t -i", "w"); fwrite($p, $argv[1]); pclose($p);`, letterText(subject))
		}},
		{"PHP mail()", "sendmail", false, func(t *testing.T, s *rig.Site, dir, subject string) {
			php(t, s, "nobody", dir, `mail($argv[1], $argv[2], "text\n", "From: shop@`+rig.Domain+`") or exit(1);`, "alice@"+rig.Domain, subject)
		}},
		{"loopback SMTP", "smtp", true, overTCP("")},
		{"background double fork", "sendmail", true, func(t *testing.T, s *rig.Site, dir, subject string) {
			file := filepath.Join(dir, "letter")
			check(t, os.WriteFile(file, []byte(letterText(subject)), 0o644))
			// It sends when the script is gone and two shells with it: no parent is left, and no session.
			php(t, s, "nobody", dir, `exec("setsid sh -c '(while [ -d /proc/" . getmypid() . " ]; do :; done; `+sendmail+` -t -i <letter) &' >/dev/null 2>&1 &");`)
		}},
		{"pipelined BDAT and close", "smtp", true, overTCP("1")},
	}
}

func TestOfAWebScriptsMailTheOriginIsToldInEveryWay(t *testing.T) {
	for _, flavour := range eximsnippets.Flavours() {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			s := started(t, rig.Config{Flavour: flavour})
			d := daemon(t, s, "")
			uids, dirs, programs := 0, 0, 0
			for i, w := range originWays() {
				dir := folder(t, s, fmt.Sprintf("site%d/public_html", i))
				check(t, os.Chmod(filepath.Dir(dir), 0o755))
				subject := fmt.Sprintf("way%d", i)
				w.send(t, s, dir, subject)
				letter := letterTo(t, s, "alice", subject)

				list, code := origins(t, s, letter)
				if len(list) != 1 || code != 0 {
					t.Fatalf("%s: %d, exit %d:\n%s", w.name, len(list), code, letter)
				}
				one := list[0]
				line, err := d.Await("of "+w.name, func(l rig.Decision) bool { return l.QueueID == one.Queue && l.Source != "" })
				check(t, err)
				want := dir
				if w.source == "smtp" {
					want = "" // it tells none
				}
				if one.UID != nil && *one.UID == nobodyUID && line.Account == "nobody" && loggedUID(line) == nobodyUID {
					uids++
				}
				if one.Directory == want && line.CWD == want {
					dirs++
				}
				script := filepath.Join(dir, "send.php")
				if w.orphan {
					script = ""
				}
				if one.Program == script && line.Program == script && strings.Contains(line.Args, script) {
					programs++
				}
				if one.Account != "nobody" || one.Source != w.source || line.Source != w.source || one.Belongs == nil || !*one.Belongs {
					t.Errorf("%s: %+v\n%+v", w.name, one, line)
				}
				if strings.Contains(letter, "nobody, uid") || strings.Contains(field(letter, "X-Eximpolicyd-Origin"), "site") {
					t.Errorf("%s: the world can read it: %s", w.name, letter)
				}
			}
			t.Logf("FIGURE origin of a web script as nobody: uid right %d of 5, directory right or untold %d of 5, script right or untold %d of 5, in log and header",
				uids, dirs, programs)
			if uids != 5 || dirs != 5 || programs != 5 {
				t.Error("want 5 of 5")
			}
			healthy(t, s)
		})
	}
}

// loggedUID is the uid in a decision line: of the caller, or of the other end of a connection.
func loggedUID(l rig.Decision) uint32 {
	switch {
	case l.UID != nil && l.ClientAddress == "":
		return *l.UID
	case l.ClientUID != nil && l.UID == nil:
		return *l.ClientUID
	}
	return 0
}

// field returns a header field of a message with what is folded.
func field(letter, name string) string {
	head, _, _ := strings.Cut(letter, "\n\n")
	_, rest, ok := strings.Cut("\n"+head, "\n"+name+":")
	if !ok {
		return ""
	}
	lines := strings.SplitAfter(rest, "\n")
	text := lines[0]
	for _, l := range lines[1:] {
		if !strings.HasPrefix(l, " ") && !strings.HasPrefix(l, "\t") {
			break
		}
		text += l
	}
	return strings.TrimSuffix(text, "\n")
}
