package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	eximsnippets "eximpolicyd/exim-snippets"
	"eximpolicyd/test/rig"
)

var originField = regexp.MustCompile(`(?im)^x-eximpolicyd-origin:`)

// fromOutside sends a message from a client that nobody knows, or as alice.
func fromOutside(t *testing.T, s *rig.Site, client, auth, text string) {
	t.Helper()
	c := dial(t, s, client)
	say(t, c, "EHLO mx.example.org", 250)
	if auth != "" {
		say(t, c, strings.TrimSuffix(auth, "|"), 235)
	}
	if r := c.Message("x@example.org", []string{"alice@" + rig.Domain}, text); r.Code != 250 {
		t.Fatal(r)
	}
	say(t, c, "QUIT", 221)
}

// withField puts a header field before the others of a message.
func withField(name, value, text string) string { return name + ":" + value + "\n" + text }

func TestAnOriginThatIsNotOursToTellGoes(t *testing.T) {
	for _, flavour := range eximsnippets.Flavours() {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			s := started(t, rig.Config{Flavour: flavour})
			daemon(t, s, "")
			dir := folder(t, s, "site")
			if out, err := s.As("nobody", dir, letterText("first"), sendmail, "-t"); err != nil {
				t.Fatalf("%v %s", err, out)
			}
			first := letterTo(t, s, "alice", "first")
			stolen := field(first, "X-Eximpolicyd-Origin")

			// From outside it is stripped, however it is spelled.
			for i, name := range []string{"X-Eximpolicyd-Origin", "x-eximpolicyd-origin", "X-EXIMPOLICYD-Origin"} {
				subject := fmt.Sprintf("outside%d", i)
				fromOutside(t, s, fmt.Sprintf("203.0.113.%d", i+1), "", withField(name, stolen, letterText(subject)))
				letter := letterTo(t, s, "alice", subject)
				if list, code := origins(t, s, letter); len(list) != 0 || code != 65 || originField.MatchString(letter) {
					t.Errorf("%s from outside: %+v, exit %d\n%s", name, list, code, letter)
				}
			}
			// From a login and from a script of another user it is replaced by the true one.
			fromOutside(t, s, "203.0.113.9", login, withField("X-Eximpolicyd-Origin", stolen, letterText("login")))
			if out, err := s.As("12002", "/tmp", withField("X-Eximpolicyd-Origin", stolen, letterText("script")), sendmail, "-t"); err != nil {
				t.Fatalf("%v %s", err, out)
			}
			for subject, want := range map[string]toldOrigin{"login": {Source: "login", Account: "alice"}, "script": {Source: "sendmail", Account: "bob", Directory: "/tmp"}} {
				letter := letterTo(t, s, "alice", subject)
				list, code := origins(t, s, letter)
				if len(list) != 1 || code != 0 || len(originField.FindAllString(letter, -1)) != 1 {
					t.Fatalf("%s: %+v, exit %d\n%s", subject, list, code, letter)
				}
				if got := list[0]; got.Account != want.Account || got.Source != want.Source || got.Directory != want.Directory || !*got.Belongs || (got.UID == nil) != (subject == "login") {
					t.Errorf("%s: %+v", subject, got)
				}
			}
			// Put by hand onto another message it does not belong; changed, it is not signed.
			moved := withField("X-Eximpolicyd-Origin", stolen, "Message-ID: <2@example.org>\nDate: Mon, 23 Nov 2026 12:00:00 +0000\n"+letterText("moved"))
			if list, code := origins(t, s, moved); len(list) != 1 || code != 1 || !list[0].Signed || list[0].Belongs == nil || *list[0].Belongs {
				t.Errorf("moved: %+v, exit %d", list, code)
			}
			changed := strings.Replace(first, "s=sendmail", "s=smtp", 1)
			if list, code := origins(t, s, changed); len(list) != 1 || code != 1 || list[0].Signed || list[0].Account != "" || !list[0].Known {
				t.Errorf("changed: %+v, exit %d", list, code)
			}
			if list, code := origins(t, s, first); len(list) != 1 || code != 0 || list[0].Account != "nobody" {
				t.Errorf("the first: %+v, exit %d", list, code)
			}
			healthy(t, s)
		})
	}
}

var sourceFields = regexp.MustCompile(`(?im)^x-source[a-z-]*:.*$`)

func TestXSourceIsShownWhereItIsSwitchedOnAndThenAForgedOneGoes(t *testing.T) {
	const forged = "X-Source: forged\nX-Source-Args: forged\nx-source-dir: forged\n"
	for _, flavour := range eximsnippets.Flavours() {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			s := started(t, rig.Config{Flavour: flavour})
			d := daemon(t, s, "")
			for i, c := range []struct {
				name, config string
				flags        []string
				inside       int // fields of ours
				outside      int // fields that came
			}{
				{"as it comes", "", nil, 0, 3},
				{"all of them", "policy.origin = {x_source = true, x_source_dir = true, x_source_args = true}\n", nil, 3, 0},
				{"only the directory", "policy.origin = {header = false, x_source_dir = true}\n", nil, 1, 0},
				{"only looking", "mode = \"observe\"\npolicy.origin = {x_source = true, x_source_dir = true, x_source_args = true}\n", nil, 0, 3},
			} {
				check(t, d.Reload(c.config))
				dir := folder(t, s, fmt.Sprintf("shown%d", i))
				inside, outside := fmt.Sprintf("inside%d", i), fmt.Sprintf("outside%d", i)
				php(t, s, "nobody", dir, `mail($argv[1], $argv[2], "text\n", $argv[3]) or exit(1);`, "alice@"+rig.Domain, inside, strings.TrimSpace(strings.ReplaceAll(forged, "\n", "\r\n"))+"\r\nX-Last: x")
				fromOutside(t, s, fmt.Sprintf("203.0.113.%d", i+1), "", forged+letterText(outside))
				letter := letterTo(t, s, "alice", inside)
				fields := sourceFields.FindAllString(letter, -1)
				text := strings.Join(fields, "\n")
				if c.inside == 0 {
					if len(fields) != 3 || strings.Count(text, ": forged") != 3 {
						t.Errorf("%s: what came is not as it was: %q", c.name, fields)
					}
				} else if len(fields) != c.inside || strings.Contains(text+"\n", ": forged\n") || !strings.Contains(text, "X-Source-Dir: "+dir) {
					t.Errorf("%s: %q", c.name, fields)
				}
				if c.inside == 3 && (!strings.Contains(text, "X-Source: "+dir+"/send.php") || !strings.Contains(text, "X-Source-Args: /usr/bin/php ")) {
					t.Errorf("%s: %q", c.name, fields)
				}
				if got := originField.MatchString(letter); got != (i < 2) {
					t.Errorf("%s: the signed field is there: %v", c.name, got)
				}
				one, err := d.Await("of "+inside, func(l rig.Decision) bool { return l.CWD == dir })
				if check(t, err); one.Account != "nobody" || one.Source != "sendmail" {
					t.Errorf("%s: the log lacks it: %+v", c.name, one)
				}
				if fields := sourceFields.FindAllString(letterTo(t, s, "alice", outside), -1); len(fields) != c.outside {
					t.Errorf("%s, from outside: %q", c.name, fields)
				}
			}
			healthy(t, s)
		})
	}
}

// What a user makes of his directory, his environment and his name for himself changes nothing but what stands in quotes.
func TestAnOriginIsToldOfAUserWhoDoesNotWantIt(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "debian-unsplit"})
	d := daemon(t, s, "policy.origin = {x_source = true, x_source_dir = true, x_source_args = true}\n")
	home := folder(t, s, "evil")
	check(t, os.Chown(home, nobodyUID, nobodyUID))
	deep := home + strings.Repeat("/"+strings.Repeat("d", 200), 20) // 4 kB
	for i, c := range []struct {
		name, dir string
		argv      []string
		shown     string // the directory as it is told, its beginning
	}{
		{"a line end in a directory", home + "/x\nX-Source: /root\nuid=0\naction=accept \"\\\r", []string{sendmail, "-t"}, home + `/x\nX-Source: /root\nuid=0\naction=accept "\\\r`},
		{"a directory of 4 kB", deep, []string{sendmail, "-t"}, home + "/ddd"},
		{"octets that are no text", home + "/\xff\xfe\x1b[2J", []string{sendmail, "-t"}, home + `/\xff\xfe\x1b[2J`},
		{"an environment", home, []string{"env", "PWD=/root", "OLDPWD=/root", "USER=root", "LOGNAME=root", "HOME=/root", "SUDO_UID=0", sendmail, "-t"}, home},
		{"a shell that calls itself Exim", home, []string{"bash", "-c", `exec -a /usr/sbin/exim4 bash -c "` + sendmail + ` -t; true"`}, home},
		{"the sender of somebody else", home, []string{sendmail, "-f", "alice@" + rig.Domain, "-oi", "-t"}, home},
	} {
		check(t, os.MkdirAll(c.dir, 0o755))
		subject := fmt.Sprintf("evil%d", i)
		if out, err := s.As("nobody", "/", letterText(subject), append([]string{"sh", "-c", `cd "$1" && shift && exec "$@"`, "sh", c.dir}, c.argv...)...); err != nil {
			t.Fatalf("%s: %v %s", c.name, err, out)
		}
		letter := letterTo(t, s, "alice", subject)
		list, code := origins(t, s, letter)
		if len(list) != 1 || code != 0 {
			t.Fatalf("%s: %+v, exit %d\n%s", c.name, list, code, letter)
		}
		got := list[0]
		if got.Account != "nobody" || got.UID == nil || *got.UID != nobodyUID || !strings.HasPrefix(got.Directory, c.shown) || !*got.Belongs {
			t.Errorf("%s: %+v", c.name, got)
		}
		if c.dir == deep && got.Directory != deep[:1024] { // as much as the snippet sends
			t.Errorf("%s: %d octets: %q", c.name, len(got.Directory), got.Directory)
		}
		line, err := d.Await("of "+c.name, func(l rig.Decision) bool { return l.QueueID == got.Queue })
		if check(t, err); loggedUID(line) != nobodyUID || line.Account != "nobody" {
			t.Errorf("%s: %+v", c.name, line)
		}
		for _, f := range sourceFields.FindAllString(letter, -1) {
			if len(f) > 998 || strings.HasPrefix(f, "X-Source: /root") {
				t.Errorf("%s: %q", c.name, f)
			}
		}
	}
	healthy(t, s)
}

// Keys and names are on the disk; without a key that can be trusted mail flows without the field.
func TestAnOriginIsToldAfterARestartAndWithoutAKeyMailFlows(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "stock"})
	d := daemon(t, s, "")
	dir := folder(t, s, "site")
	send := func(subject string) string {
		if out, err := s.As("nobody", dir, letterText(subject), sendmail, "-t"); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		return letterTo(t, s, "alice", subject)
	}
	told := func(when, letter string) {
		t.Helper()
		if list, code := origins(t, s, letter); len(list) != 1 || code != 0 || list[0].Account != "nobody" || list[0].Directory != dir || !*list[0].Belongs {
			t.Errorf("%s: %+v, exit %d", when, list, code)
		}
	}
	first := send("first")
	check(t, d.Stop())
	d = daemon(t, s, "")
	told("after a restart", first)

	second := send("second")
	names := filepath.Join(s.StateDir(), "origin.names")
	if out := administers(t, s, "origin", "--new-key"); !strings.Contains(out, "is signed with key ") {
		t.Error(out)
	}
	third := send("third")
	keys := filepath.Join(s.StateDir(), "origin.keys")
	if field(third, "X-Eximpolicyd-Origin")[:40] == field(second, "X-Eximpolicyd-Origin")[:40] {
		t.Error("the key has not changed")
	}
	check(t, rig.Await("the new names on the disk", func() bool {
		text, _ := os.ReadFile(names)
		return strings.Count(string(text), `"account"`) == 2
	}))
	check(t, d.Kill())
	d = daemon(t, s, "")
	for when, letter := range map[string]string{"the first, after a kill": first, "the second": second, "the third, by the new key": third} {
		told(when, letter)
	}
	check(t, d.Stop())

	text, err := os.ReadFile(keys)
	check(t, err)
	for name, spoil := range map[string]func() error{
		"damaged":            func() error { return os.WriteFile(keys, text[:len(text)-20], 0o600) },
		"readable by others": func() error { return os.Chmod(keys, 0o644) },
	} {
		check(t, os.WriteFile(keys, text, 0o600))
		check(t, os.Chmod(keys, 0o600))
		check(t, spoil())
		d = daemon(t, s, "")
		letter := send(strings.ReplaceAll(name, " ", "-"))
		if originField.MatchString(letter) {
			t.Errorf("%s: it is signed nevertheless", name)
		}
		if n := strings.Count(d.Log(), "goes out without X-Eximpolicyd-Origin"); n != 1 {
			t.Errorf("%s: told %d times:\n%s", name, n, d.Log())
		}
		check(t, d.Stop())
	}
	healthy(t, s)
}

// The command is for those who have a report and no patience.
func TestTheOriginOfWhatIsNoMessageIsAClearLine(t *testing.T) {
	t.Parallel()
	s := site(t, rig.Config{Flavour: "stock"})
	run := func(args ...string) (string, int) {
		cmd := exec.Command(binary(t), append([]string{"origin", "--socket", filepath.Join(s.Dir(), "none.sock")}, args...)...)
		out, err := cmd.CombinedOutput()
		if err == nil {
			t.Errorf("%q: %s", args, out)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	empty := filepath.Join(s.Dir(), "report.eml")
	check(t, os.WriteFile(empty, []byte("a report without headers\n"), 0o600))
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{nil, 64, "origin needs a header field or a file"},
		{[]string{"--new-key", "x"}, 64, "--new-key takes no argument"},
		{[]string{"one", "two"}, 64, "origin takes one field or one file"},
		{[]string{filepath.Join(s.Dir(), "nothing")}, 66, "no such file or directory"},
		{[]string{s.Dir()}, 66, "is a directory"},
		{[]string{empty}, 65, "has no X-Eximpolicyd-Origin"},
		{[]string{"v=1 x"}, 65, "no X-Eximpolicyd-Origin of this version"},
		{[]string{"v=1 t=1 k=1 b=1"}, 69, "no daemon at"},
	} {
		if out, code := run(c.args...); code != c.code || !strings.Contains(out, "eximpolicyd: ") || !strings.Contains(out, c.says) {
			t.Errorf("%q: exit %d: %s", c.args, code, out)
		}
	}
}
