package origin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAProcessTellsWhatItIs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a place\nwith a line end")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	sh, p := shell(t, dir, os.Getuid(), "read x; :", "script\x1b[31m", "", strings.Repeat("a", 100))
	got, err := Proc{}.Look(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := filepath.EvalSymlinks(sh)
	if err != nil {
		t.Fatal(err)
	}
	started, err := Started(p)
	if err != nil {
		t.Fatal(err)
	}
	want := Process{
		PID: p, Parent: int32(os.Getpid()), Started: started, UID: uint32(os.Getuid()), Name: "sh", Exe: exe, Dir: dir,
		Args: []string{"sh", "-c", "echo ready; read x; :", "script\x1b[31m", "", strings.Repeat("a", 100)},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestArgumentsWithoutEndAreCut(t *testing.T) {
	_, p := shell(t, "/", os.Getuid(), "read x; :", strings.Repeat("x", 2000), strings.Repeat("y", 100_000))
	got, err := Proc{}.Look(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if size := len(strings.Join(got.Args, "\x00")); size > maxArgs || size < maxArgs-1 || !got.Cut {
		t.Errorf("%d octets of arguments, cut %v", size, got.Cut)
	}
}

func TestAProcessThatIsGoneDoesNotExist(t *testing.T) {
	c := exec.Command("true")
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int32{int32(c.Process.Pid), 0, -1} {
		if p, err := (Proc{}).Look(t.Context(), pid); !errors.Is(err, os.ErrNotExist) || p.UID != NoUID {
			t.Errorf("%d is %+v, %v", pid, p, err)
		}
	}
}

func TestStatusIsReadAsTheKernelWritesIt(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want *Process
	}{
		"cut before the uid":         {"Name:\tphp\nPPid:\t1\nUid:", nil},
		"a parent that is no number": {"Name:\tphp\nPPid:\tx\nUid:\t1\t2\t3\t4\n", nil},
		"a uid that is no number":    {"Name:\tphp\nPPid:\t1\nUid:\t\t2\t3\t4\n", nil},
		"no parent":                  {"Name:\tphp\nUid:\t1\t2\t3\t4\n", nil},
		"a name that plays uid":      {"Name:\tx\\nUid:\t0\\\\n\nState:\tS (sleeping)\nPPid:\t7\nUid:\t33\t0\t0\t0\n", &Process{Name: "x\nUid:\t0\\n", Parent: 7, UID: 33}},
	} {
		t.Run(name, func(t *testing.T) {
			var p Process
			if ok := p.status([]byte(c.text)); ok != (c.want != nil) {
				t.Fatalf("understood: %v", ok)
			} else if ok && cmp.Diff(*c.want, p) != "" {
				t.Error(cmp.Diff(*c.want, p))
			}
		})
	}
}

// family is a set of processes.
type family map[int32]Process

func (f family) Look(_ context.Context, pid int32) (Process, error) {
	p, ok := f[pid]
	if !ok {
		return Process{PID: pid, UID: NoUID}, fmt.Errorf("process %d: %w", pid, os.ErrNotExist)
	}
	return p, nil
}

func TestTheChainOfParentsEndsWhereTheUIDChanges(t *testing.T) {
	const exim, alice = 100, 1001
	born := func(pid, parent int32, started uint64, uid uint32) Process {
		return Process{PID: pid, Parent: parent, Started: started, UID: uid}
	}
	web := family{}
	for _, p := range []Process{
		born(1, 0, 0, 0), born(20, 1, 5, 0), born(30, 20, 6, alice), born(31, 30, 7, alice), born(40, 31, 8, exim),
	} {
		web[p.PID] = p
	}
	with := func(changed ...Process) family {
		f := maps.Clone(web)
		for _, p := range changed {
			f[p.PID] = p
		}
		return f
	}
	round := family{}
	for i := range int32(100) {
		round[i+2] = born(i+2, (i+1)%100+2, 1, alice)
	}
	for name, c := range map[string]struct {
		all  family
		uid  uint32
		want []int32
	}{
		"nothing is known of Exim's own process":    {family{}, alice, nil},
		"the parent is another user's":              {web, 1002, nil},
		"nobody at all":                             {web, NoUID, nil},
		"the parent is gone, and process 1 took it": {with(born(40, 1, 8, exim)), 0, nil},
		"a parent is younger than its child":        {with(born(31, 30, 9, alice)), alice, nil},
		"a parent that goes while we look":          {with(born(31, 29, 7, alice)), alice, []int32{31}},
		"the web server's own process is root's":    {web, alice, []int32{31, 30}},
		"a daemon of root's stands below process 1": {with(born(40, 20, 8, exim)), 0, []int32{20}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []int32
			for _, p := range Chain(t.Context(), c.all, 40, c.uid) {
				got = append(got, p.PID)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%v, not %v", got, c.want)
			}
		})
	}
	if got := Chain(t.Context(), round, 2, alice); len(got) != maxChain {
		t.Errorf("a circle of parents has %d", len(got))
	}
}

func TestTheScriptIsWhatAnInterpreterRuns(t *testing.T) {
	for name, c := range map[string]struct {
		p    Process
		want string
	}{
		"nothing is known":                {Process{}, ""},
		"only a name":                     {Process{Name: "formmail"}, "formmail"},
		"a program":                       {Process{Name: "x", Exe: "/opt/x", Args: []string{"php", "/no.php"}}, "/opt/x"},
		"a program that was removed":      {Process{Exe: "/tmp/.x (deleted)"}, "/tmp/.x"},
		"the text is an argument":         {Process{Exe: "/usr/bin/dash", Args: []string{"sh", "-c", "sendmail -t"}}, ""},
		"an interpreter that waits":       {Process{Exe: "/usr/sbin/php-fpm8.2", Args: []string{"php-fpm: pool www"}}, "/usr/sbin/php-fpm8.2"},
		"a shell without arguments":       {Process{Exe: "/bin/bash", Args: []string{"-bash"}}, ""},
		"an option's own value":           {Process{Args: []string{"php", "-d", "memory_limit=1G", "-c", "/etc/php.ini", "-q", "/home/a/x.php"}}, "/home/a/x.php"},
		"an option with its value":        {Process{Args: []string{"php", "-dmemory_limit=1G", "-f/home/a/x.php"}}, "/home/a/x.php"},
		"the file is an option's":         {Process{Args: []string{"php", "-f", "/home/a/x.php", "--", "y"}}, "/home/a/x.php"},
		"no option after two hyphens":     {Process{Args: []string{"perl", "-I", "lib", "--", "-odd.pl"}, Dir: "/srv"}, "/srv/-odd.pl"},
		"the file is missing":             {Process{Args: []string{"php", "-f"}}, ""},
		"nothing after two hyphens":       {Process{Args: []string{"php", "--"}}, ""},
		"a module":                        {Process{Args: []string{"python3", "-u", "-m", "smtplib"}}, ""},
		"standard input":                  {Process{Args: []string{"sh", "-"}}, ""},
		"a relative path":                 {Process{Exe: "/usr/bin/php8.2", Dir: "/home/a/www", Args: []string{"php", "-q", "../x.php"}}, "/home/a/x.php"},
		"a relative path, directory kept": {Process{Args: []string{"/usr/bin/perl", "x.pl"}}, "x.pl"},
		"an absolute path":                {Process{Args: []string{"/usr/bin/python3.11", "/srv/x.py", "-c"}}, "/srv/x.py"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.p.Script(); got != c.want {
				t.Errorf("%q, not %q", got, c.want)
			}
		})
	}
}

// shell runs a shell in a directory, as a user, that waits for its input to end, and returns its path and number.
func shell(t *testing.T, dir string, uid int, args ...string) (string, int32) {
	t.Helper()
	c := exec.Command("sh", append([]string{"-c"}, args...)...)
	c.Dir = dir
	if uid != os.Getuid() {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Args[2] = "echo ready; " + c.Args[2]
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := c.Wait(); err != nil {
			t.Log(err) // "read" at the end of its input is no success
		}
	})
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return c.Path, int32(c.Process.Pid)
}
