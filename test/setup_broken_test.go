package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"eximpolicyd/test/rig"
)

// changing are the system calls by which setup changes the disk.
const changing = "renameat,renameat2,rename,linkat,link,unlinkat,unlink,rmdir,mkdirat,mkdir,fchmod,fchmodat,fchown,fchownat,lchown,utimensat,fsync"

// A moment is a changing call of a run: the n-th of its kind.
type moment struct {
	call string
	n    int
}

// traced runs setup under strace, which does something at a moment, in setup itself and not in Exim.
func (h *host) traced(inject string, at moment, args ...string) (string, error) {
	h.t.Helper()
	argv := append([]string{"strace", "-f", "-b", "execve", "-qq", "-o", "/dev/null", "-e", "trace=" + at.call, "-e", fmt.Sprintf("inject=%s:%s:when=%d", at.call, inject, at.n),
		"--", h.binary, "setup", "--socket", h.SocketPath()}, args...)
	return h.Run(argv...)
}

// moments runs setup and returns where it can be stopped: at one call while all is private, then at every one that follows
// the first of its journal, or at some of these unless SETUP_EVERY_MOMENT is set.
func (h *host) moments(args ...string) (list []moment) {
	h.t.Helper()
	argv := append([]string{"strace", "-f", "-b", "execve", "-qq", "-o", "/run/calls", "-e", "trace=" + changing, "--", h.binary, "setup", "--socket", h.SocketPath()}, args...)
	if out, err := h.Run(argv...); err != nil {
		h.t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(h.Dir(), "runs", "calls"))
	check(h.t, err)
	var all []moment
	counts, real := map[string]int{}, 0
	for line := range strings.Lines(string(text)) {
		m := regexp.MustCompile(`^\d+ +(\w+)\(`).FindStringSubmatch(line) // all are of one thread: see the command
		if m == nil {
			continue
		}
		counts[m[1]]++
		if real == 0 && strings.Contains(line, "journal.json") {
			real = len(all)
		}
		all = append(all, moment{m[1], counts[m[1]]})
	}
	if real == 0 {
		h.t.Fatalf("no journal is written:\n%s", text)
	}
	// The last calls take the private folder away.
	end := len(all)
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if strings.Contains(line, "journal.json") && i > real {
			end = min(i+1, len(all))
		}
	}
	step := 9
	if os.Getenv("SETUP_EVERY_MOMENT") != "" {
		step = 1
	}
	list = []moment{all[real/2]}
	for i := real; i < end; i += step {
		list = append(list, all[i])
	}
	return list
}

// works wants that Exim takes mail, whatever the state of the disk.
func (h *host) works(when string) {
	h.t.Helper()
	out, err := h.BH("203.0.113.7", "EHLO client.example", "MAIL FROM:<x@client.example>", "RCPT TO:<alice@"+rig.Domain+">", "QUIT")
	if err != nil || !strings.Contains(out, "\n250 Accepted") || strings.Contains(out, "\n451") {
		h.t.Fatalf("%s: Exim does not take mail: %v\n%s", when, err, out)
	}
}

func TestSetupThatIsKilledAtAnyMomentLeavesAnEximThatWorksAndIsUndone(t *testing.T) {
	onEveryHost(t, func(h *host) {
		h.daemon()
		pristine := h.tree()
		begin := h.save()
		adding := h.moments("--add")
		within := h.save()
		stopped, unfinished := 0, 0
		for i, at := range adding {
			begin()
			if out, err := h.traced("signal=SIGKILL", at, "--add"); err == nil {
				h.t.Errorf("add is not killed at %v\n%s", at, out)
			}
			when := fmt.Sprintf("add, killed at %v", at)
			h.works(when)
			stopped++
			if out, _ := h.setup("--check"); strings.Contains(out, "did not come to its end") {
				unfinished++
			}
			if i%2 == 0 {
				h.does(0, "--add")
			}
			h.does(0, "--remove")
			h.unchanged(pristine, when)
		}
		if unfinished < 2 {
			h.t.Errorf("%d checks have seen an unfinished run", unfinished)
		}
		within()
		removing := h.moments("--remove")
		h.unchanged(pristine, "removed")
		for _, at := range removing {
			within()
			if out, err := h.traced("signal=SIGKILL", at, "--remove"); err == nil {
				h.t.Errorf("remove is not killed at %v\n%s", at, out)
			}
			when := fmt.Sprintf("remove, killed at %v", at)
			h.works(when)
			stopped++
			h.does(0, "--remove")
			h.unchanged(pristine, when)
		}
		h.t.Logf("FIGURE %s: killed at %d changes: Exim took mail each time, files identical after the next run", h.flavour, stopped)
	})
}

func TestSetupThatIsInterruptedBringsEveryFileBack(t *testing.T) {
	onEveryHost(t, func(h *host) {
		h.daemon()
		before := h.tree()
		moments := h.moments("--add")
		h.does(0, "--remove")
		interrupted := 0
		for i, signal := range []string{"SIGTERM", "SIGINT", "SIGHUP", "SIGTERM"} {
			at := moments[i*len(moments)/6]
			out, err := h.traced("signal="+signal, at, "--add")
			exit, ok := err.(*exec.ExitError)
			switch {
			case err == nil: // it came after the last step
				h.does(0, "--remove")
			case ok && exit.ExitCode() == 75 && strings.Contains(out, "interrupted"):
				interrupted++
			default:
				h.t.Errorf("%s at %v: %v\n%s", signal, at, err, out)
			}
			h.unchanged(before, fmt.Sprintf("%s at %v", signal, at))
		}
		if interrupted < 2 {
			h.t.Errorf("only %d runs were interrupted", interrupted)
		}
	})
}

func TestADiskThatFailsOrIsFullLeavesEveryFileAsItWas(t *testing.T) {
	onEveryHost(t, func(h *host) {
		h.daemon()
		before := h.tree()
		moments := h.moments("--add")
		h.does(0, "--remove")
		failed := 0
		for _, at := range moments {
			out, err := h.traced("error=ENOSPC", at, "--add")
			if strings.Contains(out, "now reload Exim") || strings.Contains(out, "could not all be brought back") {
				h.does(0, "--remove") // it came when all was done, or in going back
			}
			if err != nil {
				failed++
				if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 74 {
					h.t.Errorf("ENOSPC at %v: %v\n%s", at, err, out)
				}
			}
			h.unchanged(before, fmt.Sprintf("ENOSPC at %v: %v\n%s", at, err, out))
		}
		if failed < 3 {
			h.t.Errorf("only %d runs have failed", failed)
		}
		// A real one: the folders of the configuration on a disk with no octet left.
		h.root("sh", "-ec", `mkdir /run/full; mount -t tmpfs -o size=640k,mode=755 tmpfs /run/full; cp -a /etc/exim4/. /run/full; mount --bind /run/full /etc/exim4
			dd if=/dev/zero of=/etc/exim4/filler bs=4k 2>/dev/null || :`)
		const look = "cd /etc/exim4 && find . -type f -exec sha256sum {} + && find . -printf '%p %m %U %G %T@\\n' | sort"
		sum := h.root("sh", "-c", look)
		out, code := h.setup("--add")
		if code != 74 || !strings.Contains(out, "no space left") || !strings.Contains(out, "everything is as before") {
			h.t.Errorf("full: exit %d\n%s", code, out)
		}
		if now := h.root("sh", "-c", look); now != sum {
			h.t.Errorf("full: before\n%s\nafter\n%s", sum, now)
		}
		h.works("on a full disk")
	})
}

func TestSetupRunsOnlyWhatRootAloneCanChange(t *testing.T) {
	h := newHost(t, "stock")
	h.daemon()
	before := h.tree()
	own := filepath.Join(h.Dir(), "own")
	h.root("sh", "-ec", "mkdir "+own+"; cp /usr/sbin/exim4 "+own+"/exim; chmod 755 "+own+"/exim; ln -s exim "+own+"/link; mkfifo "+own+"/pipe; "+
		"mkdir "+own+"/open; cp "+own+"/exim "+own+"/open/; chmod 777 "+own+"/open; cp "+own+"/exim "+own+"/users; chown nobody "+own+"/users; ln -s "+own+" "+own+"/way")
	for name, c := range map[string]struct {
		exim, says string
		code       int
	}{
		"a link":                              {own + "/link", "is a link", 77},
		"one behind a link":                   {own + "/way/exim", "is a link", 77},
		"a pipe":                              {own + "/pipe", "is no program", 77},
		"one in a folder for everybody":       {own + "/open/exim", "can be changed by everybody", 77},
		"a user's":                            {own + "/users", "belongs to uid 65534", 77},
		"one that is not there":               {own + "/none", "there is no", 69},
		"one in a folder that is not there":   {"/nowhere/exim", "there is no", 69},
		"a name that is no path":              {"exim4", "not a plain absolute path", 64},
		"a path that goes up and down a step": {"/usr/sbin/../sbin/exim4", "not a plain absolute path", 64},
	} {
		out, code := h.setup("--add", "--exim", c.exim)
		if code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("%s: exit %d\n%s", name, code, out)
		}
	}
	h.unchanged(before, "after programs that are not root's")
	if out, code := h.setup("--add", "--flavour", "postfix"); code != 64 || !strings.Contains(out, "debian-split") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if out, code := h.setup("--add", "--flavour", "debian-split"); code != 64 || !strings.Contains(out, "arranged as stock") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if out, err := h.As("nobody", "/", "", h.copyOf(), "setup", "--check"); err == nil || !strings.Contains(out, "run it as root") || err.(*exec.ExitError).ExitCode() != 77 {
		t.Errorf("%v\n%s", err, out)
	}
	h.root("sh", "-ec", "mount -t tmpfs -o mode=755 tmpfs /usr/sbin")
	if out, code := h.setup("--add"); code != 69 || !strings.Contains(out, "no Exim is installed here") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

// copyOf is the program under a name that every user can reach.
func (h *host) copyOf() string {
	h.t.Helper()
	path := filepath.Join(h.Dir(), "eximpolicyd")
	h.root("cp", h.binary, path)
	h.root("chmod", "755", path)
	return path
}

func TestOnlyOneSetupRunsAtATime(t *testing.T) {
	h := newHost(t, "stock")
	h.daemon()
	before := h.tree()
	h.root("mkdir", "/var/lib/eximpolicyd-setup")
	h.root("chmod", "700", "/var/lib/eximpolicyd-setup")
	for _, what := range []string{" --add", " --add --dry-run", " --remove"} {
		cmd := "flock -n /var/lib/eximpolicyd-setup/lock " + h.binary + " setup --socket " + h.SocketPath() + what
		out, err := h.Run("sh", "-c", cmd)
		exit, ok := err.(*exec.ExitError)
		if !ok || exit.ExitCode() != 75 || !strings.Contains(out, "another setup is running") {
			t.Errorf("%s: %v\n%s", what, err, out)
		}
	}
	h.does(0, "--remove") // takes the empty folder away
	h.unchanged(before, "after a run that had to wait")
}

func TestFilesThatARunningEximReadsStayUntilItDoesNot(t *testing.T) {
	h := newHost(t, "debian-unsplit")
	h.daemon()
	before := h.tree()
	h.does(0, "--add")
	pid := strings.TrimSpace(h.root("sh", "-c", "exim4 -bdf -oX 127.0.0.1:0 -oP /run/exim4/exim.pid >/dev/null 2>&1 & echo $!"))
	check(t, rig.Await("Exim's pid file", func() bool {
		text, err := os.ReadFile(filepath.Join(h.Dir(), "runs/exim4/exim.pid"))
		return err == nil && strings.TrimSpace(string(text)) == pid
	}))
	out := h.does(75, "--remove")
	if !strings.Contains(out, "still read them (pid "+pid+")") || !strings.Contains(out, "hint: eximpolicyd setup --remove --reload reloads Exim and takes them out") {
		t.Errorf("it says\n%s", out)
	}
	if _, err := os.Stat(h.real("/etc/exim4/eximpolicyd/policy.acl")); err != nil {
		t.Errorf("a file that Exim still reads is gone: %v", err)
	}
	h.works("between the two steps")
	if out := h.does(1, "--check"); !strings.Contains(out, "Exim asks no more, but our files are still here") || strings.Contains(out, "setup --add") {
		t.Errorf("check says\n%s", out)
	}
	h.does(0, "--remove", "--reload")
	h.unchanged(before, "after Exim was reloaded")
	n, err := strconv.Atoi(pid)
	check(t, err)
	// The same where somebody has taken the line out by hand.
	h.does(0, "--add")
	h.edit("/etc/exim4/exim4.conf.localmacros", func(string) string { return "" })
	h.does(75, "--remove") // and has not run update-exim4.conf
	h.works("where the line was taken out by hand")
	h.does(75, "--remove")
	h.does(0, "--add")
	h.edit("/etc/exim4/exim4.conf.localmacros", func(string) string { return "" })
	h.remake(h.flavour)
	h.does(75, "--remove")
	if _, err := os.Stat(h.real("/etc/exim4/eximpolicyd/policy.acl")); err != nil {
		t.Errorf("a file that Exim still reads is gone: %v", err)
	}
	h.does(0, "--remove", "--reload")
	if _, err := os.Stat(h.real("/etc/exim4/eximpolicyd")); err == nil {
		t.Error("our folder is still there")
	}
	h.root("kill", strconv.Itoa(n))
}

func TestWhatAnAdministratorHasEditedIsKeptUnlessHeSaysOtherwise(t *testing.T) {
	onEveryHost(t, func(h *host) {
		h.daemon()
		before := h.tree()
		h.does(0, "--add")
		edit := func() {
			h.edit(h.mine("call", h.flavour), func(text string) string { return text + "# mine\n" })
			h.remake(h.flavour)
		}
		edit()
		edited := h.tree()
		for _, what := range []string{"--add", "--remove"} {
			if out := h.does(78, what); !strings.Contains(out, "has been edited since setup made it") || !strings.Contains(out, "--force") {
				h.t.Errorf("%s says\n%s", what, out)
			}
			h.unchanged(edited, what)
		}
		h.does(0, "--add", "--force")
		h.does(0, "--check")
		edit()
		h.does(0, "--remove", "--force")
		now := h.tree()
		for name, line := range before { // the test has changed times
			if fields := strings.Fields(line); len(fields) > 2 {
				fields[2] = ""
				before[name] = strings.Join(fields, " ")
			}
		}
		for name, line := range now {
			if fields := strings.Fields(line); len(fields) > 2 {
				fields[2] = ""
				now[name] = strings.Join(fields, " ")
			}
		}
		if diff := cmp.Diff(before, now); diff != "" {
			h.t.Errorf("removed by force (-before +now):\n%s", diff)
		}
	})
}
