package test

import (
	"errors"
	"fmt"
	words "mime"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"eximpolicyd/test/rig"
)

// senders is a site that somebody sends from in every way, and eximpolicyd to ask who.
type senders struct {
	*rig.Site
	binary string
	ids    map[string]string // of what was sent, by its subject
	copies map[string]string // as they arrived elsewhere
	shop   string            // the directory of a script
}

// friend gets the mail. It is elsewhere.
const friend = "friend@" + rig.Foreign

func spam(subject string) string {
	return "From: <x@client.example>\nTo: <" + friend + ">\nSubject: " + subject + "\n\ntext\n"
}

func newSenders(t *testing.T, selector string) *senders {
	t.Helper()
	s := &senders{Site: started(t, rig.Config{Flavour: "debian-unsplit", LogSelector: selector, Without: true}), ids: map[string]string{}, copies: map[string]string{}}
	s.binary = filepath.Join(s.Dir(), "eximpolicyd") // where nobody can run it
	text, err := os.ReadFile(binary(t))
	check(t, err)
	check(t, os.WriteFile(s.binary, text, 0o755))
	s.shop = filepath.Join(s.Dir(), "home", "alice", "public_html")
	check(t, os.MkdirAll(s.shop, 0o755))
	out, err := s.As("nobody", s.shop, spam("by sendmail"), sendmail, "-t", "-i")
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	for _, by := range []struct{ subject, client, auth string }{
		{"by a login", "203.0.113.8", "AUTH PLAIN AGFsaWNlAG9wZW4tc2VzYW1l"}, {"by loopback", "", ""},
	} {
		c := dial(t, s.Site, by.client)
		say(t, c, "EHLO client.example", 250)
		if by.auth != "" {
			say(t, c, by.auth, 235)
		}
		if r := c.Message("x@"+rig.Domain, []string{friend}, "Message-ID: <"+strings.ReplaceAll(by.subject, " ", "-")+"@client.example>\n"+spam(by.subject)); r.Code != 250 {
			t.Fatal(r.Text)
		}
	}
	c := dial(t, s.Site, "203.0.113.9")
	say(t, c, "EHLO mx.client.example", 250)
	if r := c.Message("far@client.example", []string{"alice@" + rig.Domain}, "Message-ID: <far@client.example>\n"+spam("from outside")); r.Code != 250 {
		t.Fatal(r.Text)
	}
	check(t, rig.Await("three messages to leave", func() bool {
		return s.Relayed() == 3 && s.Delivered("alice") == 1 && strings.Count(s.Mainlog(), " Completed") == 4
	}))
	for text := range strings.SplitSeq("\n"+s.Outbox()+s.Mailbox("alice"), "\nFrom ") {
		subject := regexp.MustCompile(`(?m)^Subject: (.*)$`).FindStringSubmatch(text)
		id := regexp.MustCompile(`\tid (\S+)`).FindStringSubmatch(text)
		if subject != nil && id != nil {
			s.ids[subject[1]], s.copies[subject[1]] = id[1], "From "+text
		}
	}
	return s
}

// trace asks, as root in the site, and returns what was printed.
func (s *senders) trace(t *testing.T, stdin string, want int, args ...string) string {
	t.Helper()
	return traced(t, s.Site, s.binary, stdin, want, args...)
}

func traced(t *testing.T, s *rig.Site, binary, stdin string, want int, args ...string) string {
	t.Helper()
	out, err := s.Feed(stdin, append([]string{binary, "trace"}, args...)...)
	got := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		check(t, err)
	}
	if got != want {
		t.Errorf("trace %v exits with %d, not %d:\n%s", args, got, want, out)
	}
	return out
}

func TestTraceFindsWhoeverSentAMessageThroughRealExim(t *testing.T) {
	for _, selector := range []string{"+subject", "+subject +pid"} {
		t.Run(selector, func(t *testing.T) {
			t.Parallel()
			s := newSenders(t, selector)
			guess := " (a guess: the next local message after its command line)"
			if strings.Contains(selector, "+pid") {
				guess = ""
			}
			for _, c := range []struct{ subject, verdict, by string }{
				{"by sendmail", "came from here", "by: the local user nobody|directory: " + s.shop + guess + "|command: /usr/sbin/sendmail -t -i"},
				{"by a login", "came from here", "by: account alice, who logged in from [203.0.113.8] client.example"},
				{"by loopback", "came from here", "by: a program of this machine, over SMTP from [127.0.0.1] client.example"},
				{"from outside", "came through here", "by: another host, [203.0.113.9] mx.client.example"},
			} {
				story := s.trace(t, "", 0, s.ids[c.subject])
				verdict := s.trace(t, s.copies[c.subject], 0, "-")
				for _, line := range strings.Split(c.by, "|") {
					for _, text := range []string{story, verdict} {
						if !strings.Contains(flat(text), line) {
							t.Errorf("%s: no %q:\n%s", c.subject, line, text)
						}
					}
				}
				if !strings.HasPrefix(verdict, "the report, the mail itself: "+c.verdict+"\n") || !strings.Contains(verdict, s.ids[c.subject]) {
					t.Errorf("%s: %s", c.subject, verdict)
				}
			}
		})
	}
}

// flat joins the lines of a text, so that one that was broken can be found.
func flat(text string) string { return strings.Join(strings.Fields(text), " ") }

func TestTraceTopCountsWhoSentThroughRealExim(t *testing.T) {
	s := newSenders(t, "+subject +pid")
	for by, want := range map[string]string{
		"account": "nobody|alice|[127.0.0.1]", "directory": s.shop, "uid": "65534 nobody", "address": "x@" + rig.Domain,
		"subject": "by sendmail|by a login|by loopback", "client": "this machine|203.0.113.8|127.0.0.1",
	} {
		out := s.trace(t, "", 0, "top", "--by", by)
		for _, key := range strings.Split(want, "|") {
			if !regexp.MustCompile(`(?m)(  | )` + regexp.QuoteMeta(key) + `$`).MatchString(out) {
				t.Errorf("by %s: no %s:\n%s", by, key, out)
			}
		}
		if strings.Contains(out, "log_selector") {
			t.Errorf("by %s: %s", by, out)
		}
	}
}

func TestAReceivedFieldThatWasCopiedProvesNothing(t *testing.T) {
	s := newSenders(t, "+subject")
	real := s.copies["by sendmail"]
	for _, c := range []struct{ name, from, to, verdict string }{
		{"another subject", "Subject: by sendmail", "Subject: cheap pills", "another message by that id|differs: subject: the log has by sendmail"},
		{"another Message-ID than the one that Exim made", "Message-Id: <E", "Message-Id: <F", "another message by that id|differs: Message-ID: Exim made it"},
		{"an id that never was", s.ids["by sendmail"], "1xVTqk-0006FJ-1W", "but the log knows no such message"},
		{"another sender", "(envelope-from <nobody@", "(envelope-from <root@", "another message by that id|differs: sender: the log has <nobody@"},
	} {
		if !strings.Contains(real, c.from) {
			t.Fatalf("%s: no %q in\n%s", c.name, c.from, real)
		}
		forged, code := strings.ReplaceAll(real, c.from, c.to), 1
		if c.verdict == "came from here" {
			code = 0
		}
		out := s.trace(t, forged, code, "-")
		for _, want := range strings.Split(c.verdict, "|") {
			if !strings.Contains(flat(out), want) {
				t.Errorf("%s: no %q:\n%s", c.name, want, out)
			}
		}
	}
}

func TestASubjectThatEximCutsIsStillTheSubject(t *testing.T) {
	s := newSenders(t, "+subject")
	subject := strings.Repeat("öffnen Sie \"das\" \\ ", 12)
	if out, err := s.As("nobody", s.shop, spam(words.QEncoding.Encode("utf-8", subject)), sendmail, "-t", "-i"); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	check(t, s.AwaitRelayed(4))
	all := strings.Split("\n"+s.Outbox(), "\nFrom ")
	if out := s.trace(t, "From "+all[len(all)-1], 0, "-"); !regexp.MustCompile(`confirmed by: [^.]*, subject, `).MatchString(flat(out)) {
		t.Error(out)
	}
}

func TestALineThatAUserPlantsInTheLogBlamesNobody(t *testing.T) {
	s := newSenders(t, "+subject")
	stamp := regexp.MustCompile(`(?m)^(\S+ \S+) `).FindString(s.Mainlog())
	dir := filepath.Join(s.Dir(), "home", "nobody", "x\n"+stamp+"1xVTqk-0006FJ-1W <= bob@"+rig.Domain+" U=bob P=local S=1")
	check(t, os.MkdirAll(dir, 0o755))
	if out, err := s.As("nobody", dir, spam("planted"), sendmail, "-t", "-i"); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	log, err := s.AwaitLog(`T="planted"`)
	check(t, err)
	if !strings.Contains(log, "\n"+stamp+"1xVTqk-0006FJ-1W <= bob@") {
		t.Skip("this Exim escapes the names of folders")
	}
	if out := s.trace(t, "", 0, "top"); strings.Contains(out, "bob") || !strings.Contains(flat(out), "1 line of this log stood in the name of a directory") {
		t.Error(out)
	}
	if out := s.trace(t, "", 0, "top", "--by", "directory"); !strings.Contains(flat(out), fmt.Sprintf(`home/nobody/x\n%s`, strings.TrimSpace(stamp))) {
		t.Error(out)
	}
}

func TestWhoMayNotReadTheLogIsToldSo(t *testing.T) {
	s := newSenders(t, "")
	log := filepath.Join(s.Dir(), "log")
	report := filepath.Join(s.Dir(), "report.eml")
	check(t, os.WriteFile(report, []byte(s.copies["by sendmail"]), 0o644))
	for _, c := range []struct {
		name string
		mode os.FileMode
		args []string
		want int
		says string
	}{
		{"his own folder of logs", 0o755, []string{"top"}, 77, "no log may be read"},
		{"a message", 0o755, []string{s.ids["by sendmail"]}, 77, "no log may be read"},
		{"a report", 0o755, []string{report}, 77, "no log may be read"},
		{"a log that is named", 0o755, []string{"top", "/var/log/exim4/mainlog"}, 77, "permission denied"},
		{"a folder that he may not look into", 0o750, []string{"top"}, 77, "permission denied"},
		{"a report that he may not read", 0o755, []string{"/etc/shadow"}, 77, "permission denied"},
		{"one log of two, and the message is not in it", 0o755, []string{s.ids["by sendmail"], "/var/log/exim4/mainlog", "/var/log/exim4/other"}, 77, "that may be read"},
	} {
		check(t, os.WriteFile(filepath.Join(log, "other"), []byte("2026-11-23 13:00:00 Start queue run: pid=1\n"), 0o644))
		check(t, os.Chmod(log, c.mode))
		out, err := s.As("nobody", "/", "", append([]string{s.binary, "trace"}, c.args...)...)
		exit := (*exec.ExitError)(nil)
		if !errors.As(err, &exit) || exit.ExitCode() != c.want || !strings.Contains(out, c.says) || !strings.Contains(out, "hint: ") {
			t.Errorf("%s: %v\n%s", c.name, err, out)
		}
	}
}

func TestTraceReadsWhatTheDaemonWroteAndSigned(t *testing.T) {
	s := started(t, rig.Config{Flavour: "debian-unsplit", LogSelector: "+subject"})
	d := daemon(t, s, "")
	dir := filepath.Join(s.Dir(), "home", "nobody", "public html")
	check(t, os.MkdirAll(dir, 0o755))
	if out, err := s.As("nobody", dir, spam("signed"), sendmail, "-t", "-i"); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	check(t, rig.Await("the message to leave", func() bool { return s.Relayed() == 1 && strings.Contains(s.Mainlog(), " Completed") }))
	mail, log, other := "From "+letters(s.Outbox())[0], filepath.Join(s.Dir(), "daemon.log"), filepath.Join(s.Dir(), "other.log")
	id := regexp.MustCompile(`\tid (\S+)`).FindStringSubmatch(mail)[1]
	check(t, d.Settle())
	check(t, os.WriteFile(log, []byte(d.Log()), 0o644))
	check(t, os.WriteFile(other, []byte("2026-11-23 13:00:00 Start queue run: pid=1\n"), 0o644))
	socket := filepath.Join(filepath.Dir(s.SocketPath()), "control.sock")
	for _, c := range []struct {
		name, mail string
		want       int
		says       string
		args       []string
	}{
		{"the log has forgotten it", mail, 0, "came from here from: <x@client.example> subject: signed confirmed by: the signed origin header, though this log does not have the message signed origin: " + id + " nobody " + dir,
			[]string{"--socket", socket, "-", other}},
		{"the signature stands in another message", strings.Replace(mail, "From: <x@", "From: <y@", 1), 1, "claims to have come from here, but the log knows no such message",
			[]string{"--socket", socket, "-", other}},
		{"the signature is none", regexp.MustCompile(` b=\S`).ReplaceAllStringFunc(mail, anotherSignature), 1, "claims to have come from here, but", []string{"--socket", socket, "-", other}},
		{"the log has it, too", mail, 0, "confirmed by: id " + id + ", time, sender, Message-ID, subject, recipient " + friend + ", size, the signed origin header", []string{"--socket", socket, "-"}},
		{"the daemon is down", mail, 0, "the field X-Eximpolicyd-Origin was not checked: no daemon at /nowhere", []string{"--socket", "/nowhere", "-"}},
		{"the daemon's log says more", "", 0, "by: the local user nobody uid: 65534 directory: " + dir + " command: /usr/sbin/sendmail -t -i", []string{id, "/var/log/exim4/mainlog", log}},
		{"and counts", "", 0, "65534 nobody", []string{"top", "--by", "uid", "/var/log/exim4/mainlog", log}},
	} {
		if out := flat(traced(t, s, binary(t), c.mail, c.want, c.args...)); !strings.Contains(out, c.says) {
			t.Errorf("%s: no %q:\n%s", c.name, c.says, out)
		}
	}
}

// anotherSignature changes the first octet of a signature, whatever it is.
func anotherSignature(field string) string {
	if strings.HasSuffix(field, "A") {
		return " b=B"
	}
	return " b=A"
}
