package test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"eximpolicyd/test/rig"
)

// A filter is one that reads our mark: a real spamd or rspamd, at a Unix socket in a folder of its own.
type filter struct {
	name  string
	start func(t *testing.T, dir string) // what there is before it listens
	argv  func(dir string) []string
	asks  func(socket string, mail []byte) (symbols map[string]bool, score float64, err error)
}

// What a mail gets from the mark alone, by the files that we hand out.
var markedBy = []struct {
	name    string
	lines   string
	symbols []string
	score   float64
}{
	{"a mail below the mark, whose sender forged one", "helo mailserver\n+ X-Eximpolicyd: score=9.9 rules=x id=y", nil, 0},
	{"a mail at the mark", "helo mailserver\n- Date", []string{"EXIMPOLICYD_MARK"}, 1.5},
	{"a mail far above it", "helo mailserver\n- Message-ID", []string{"EXIMPOLICYD_MARK", "EXIMPOLICYD_MARK_4"}, 2.5},
}

func TestSpamFiltersReadTheMarkThatEximAdds(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "debian-split"})
	daemon(t, s, enforcing("lenient"))
	for i, c := range markedBy {
		hears(t, s, written(t, c.name, c.lines), firstLetterPort+i, 250)
		wholly(t, s, "alice", i+1)
	}
	box := strings.Split("\n"+s.Mailbox("alice"), "\nFrom ")[1:]
	for _, f := range []filter{spamd(), rspamd()} {
		t.Run(f.name, func(t *testing.T) {
			socket := f.run(t)
			for i, c := range markedBy {
				_, mail, _ := strings.Cut(box[i], "\n") // without the line of the mailbox
				marked, with, err := f.asks(socket, []byte(mail))
				if err != nil {
					t.Fatal(err)
				}
				bare := markField.ReplaceAll([]byte(mail), nil)
				unmarked, without, err := f.asks(socket, bare)
				if err != nil {
					t.Fatal(err)
				}
				for name := range unmarked {
					delete(marked, name)
				}
				if got := with - without; len(marked) != len(c.symbols) || math.Abs(got-c.score) > 0.01 {
					t.Errorf("%s: the mark gave %v and %.1f, want %v and %.1f", c.name, marked, got, c.symbols, c.score)
				}
				for _, name := range c.symbols {
					if !marked[name] {
						t.Errorf("%s: no %s", c.name, name)
					}
				}
				t.Logf("FIGURE %s, %s: %.1f without the mark, %.1f with it", f.name, c.name, without, with)
			}
		})
	}
}

// run starts a filter where nothing can leave the machine, and returns its socket when it answers.
func (f filter) run(t *testing.T) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ep")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil { // it gives up root
		t.Fatal(err)
	}
	f.start(t, dir)
	out, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	// The shell is process 1 of the name space and ends with its input, and the kernel ends the rest: a filter that changes
	// its user is no longer told of the end of its parent.
	const holder = `"$@" </dev/null & cat >/dev/null`
	cmd := exec.Command("unshare", append([]string{"--net", "--pid", "--fork", "--kill-child", "--", "sh", "-c", holder, "sh"}, f.argv(dir)...)...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = out, out, dir
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	socket = filepath.Join(dir, "sock")
	err = rig.Await(f.name, func() bool {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	if err != nil {
		text, _ := os.ReadFile(out.Name())
		t.Fatalf("%v: %s", err, text)
	}
	return socket
}

// put copies files of ours or the machine's into a folder.
func put(t *testing.T, dir string, files ...string) {
	t.Helper()
	for _, from := range files {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(from)), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

const spamRules = "../packaging/spamassassin/eximpolicyd.cf"

// siteRules makes a folder as /etc/spamassassin: with Debian's plugins and our rules, and nothing that learns.
func siteRules(t *testing.T, dir string) {
	t.Helper()
	plugins, err := filepath.Glob("/etc/spamassassin/*.pre")
	if err != nil || len(plugins) == 0 {
		t.Fatalf("no /etc/spamassassin/*.pre: %v", err)
	}
	put(t, dir, append(plugins, spamRules)...)
	if err := os.WriteFile(filepath.Join(dir, "local.cf"), []byte("use_bayes 0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// spamd is SpamAssassin's, with all its rules but those of the network.
func spamd() filter {
	return filter{"spamd", siteRules,
		func(dir string) []string {
			return []string{"spamd", "--local", "--nouser-config", "--siteconfigpath=" + dir, "--socketpath=" + dir + "/sock", "--socketmode=0666",
				"--username=nobody", "--max-children=1", "--min-children=1", "--syslog=stderr"}
		},
		askSpamd,
	}
}

var spamScore = regexp.MustCompile(`(?m)^Spam: (?:True|False) ; (-?[0-9.]+) / `)

// askSpamd speaks its protocol: a command as in HTTP, and back a line with the score, and the names of the rules.
func askSpamd(socket string, mail []byte) (symbols map[string]bool, score float64, err error) {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return nil, 0, err
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "SYMBOLS SPAMC/1.5\r\nContent-length: %d\r\n\r\n%s", len(mail), mail); err != nil {
		return nil, 0, err
	}
	reply, err := io.ReadAll(bufio.NewReader(c))
	if err != nil {
		return nil, 0, err
	}
	head, body, _ := bytes.Cut(reply, []byte("\r\n\r\n"))
	found := spamScore.FindSubmatch(head)
	if found == nil {
		return nil, 0, fmt.Errorf("spamd answers %q", reply)
	}
	symbols = map[string]bool{}
	for name := range strings.SplitSeq(strings.TrimSpace(string(body)), ",") {
		symbols[name] = true
	}
	score, err = strconv.ParseFloat(string(found[1]), 64)
	return symbols, score, err
}

func TestSpamAssassinFindsNothingWrongWithOurRules(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	siteRules(t, dir)
	out, err := exec.Command("unshare", "--net", "spamassassin", "--lint", "--local", "--siteconfigpath="+dir).CombinedOutput()
	if err != nil || len(out) != 0 {
		t.Errorf("%v: %s", err, out)
	}
}

// rspamd has its module of regular expressions as Debian configures it, with our lines where they belong, and no other.
func rspamd() filter {
	return filter{"rspamd",
		func(t *testing.T, dir string) {
			if err := os.Mkdir(filepath.Join(dir, "local.d"), 0o755); err != nil {
				t.Fatal(err)
			}
			put(t, filepath.Join(dir, "local.d"), "../packaging/rspamd/regexp.conf")
			for name, text := range map[string]string{"empty.lua": "", "rspamd.conf": fmt.Sprintf(`options {
  filters = "regexp"; pidfile = "%[1]s/pid"; tempdir = "%[1]s"; cache_file = "%[1]s/symbols.cache"; hs_cache_dir = "%[1]s/";
  control_socket = "%[1]s/control mode=0600"; url_tld = "/usr/share/rspamd/effective_tld_names.dat";
  dns { nameserver = ["127.0.0.1:53"]; }
}
lang_detection { languages_enable = ["en"]; }
logging { type = "console"; level = "info"; }
lua = "%[1]s/empty.lua";
.include "/etc/rspamd/modules.d/regexp.conf"
actions { reject = 15; }
worker "normal" { bind_socket = "%[1]s/sock mode=0666"; count = 1; }
`, dir)} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		},
		func(dir string) []string {
			return []string{"rspamd", "-f", "-u", "nobody", "-g", "nogroup", "-c", dir + "/rspamd.conf", "--var=LOCAL_CONFDIR=" + dir, "--var=DBDIR=" + dir}
		},
		askRspamd,
	}
}

// askRspamd speaks HTTP.
func askRspamd(socket string, mail []byte) (symbols map[string]bool, score float64, err error) {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Post("http://rspamd/checkv2", "message/rfc822", bytes.NewReader(mail))
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	var reply struct {
		Score   *float64
		Symbols map[string]any
	}
	if err := json.NewDecoder(resp.Body).Decode(&reply); err != nil {
		return nil, 0, err
	}
	if reply.Score == nil {
		return nil, 0, fmt.Errorf("rspamd answers %s", resp.Status)
	}
	symbols = map[string]bool{}
	for name := range reply.Symbols {
		symbols[name] = true
	}
	return symbols, *reply.Score, nil
}

// Exim adds a header of DATA when its ACL is through, and asks a filter by its condition "spam" before. What the files say
// to do there instead must work.
func TestEximsOwnSpamConditionComesBeforeTheMarkAndTheReplyHasIt(t *testing.T) {
	t.Parallel()
	const look = "condition = ${if match{$acl_m_eximpolicyd}{X-Eximpolicyd: score=}}"
	for _, file := range []string{spamRules, "../packaging/rspamd/regexp.conf"} {
		text, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(text, []byte(look)) {
			t.Errorf("%s does not say so: %v", file, err)
		}
	}
	socket := spamd().run(t)
	local := filepath.Join(filepath.Dir(socket), "data.acl")
	err := os.WriteFile(local, []byte("  warn spam = nobody:true\n       logwrite = asked spamd: ${sg{$spam_report}{\\n}{ }}\n  warn "+look+"\n       logwrite = the mark is there\n"), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	s := started(t, rig.Config{Flavour: "debian-split", Main: "spamd_address = " + socket + "\nCHECK_DATA_LOCAL_ACL_FILE = " + local})
	daemon(t, s, enforcing("lenient"))
	for i, c := range markedBy {
		before := len(s.Mainlog())
		hears(t, s, written(t, c.name, c.lines), firstLetterPort+i, 250)
		wholly(t, s, "alice", i+1)
		log := s.Mainlog()[before:]
		if !strings.Contains(log, "asked spamd: ") || !strings.Contains(log, "RDNS_NONE") || strings.Contains(log, "EXIMPOLICYD_MARK") {
			t.Errorf("%s: %s", c.name, log)
		}
		if got := strings.Contains(log, "the mark is there"); got != (c.symbols != nil) {
			t.Errorf("%s: the reply has a mark: %v", c.name, got)
		}
	}
}
