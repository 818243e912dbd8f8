package origin

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestStartedIsLaterForAChild(t *testing.T) {
	self, err := Started(int32(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	first, err := Started(1)
	if err != nil {
		t.Fatal(err)
	}
	c := start(t, os.Getuid(), "name")
	c.line(t)
	young, err := Started(c.pid)
	if err != nil {
		t.Fatal(err)
	}
	if first > self || self > young {
		t.Errorf("pid 1 started at %d, this test at %d, its child at %d", first, self, young)
	}
	raw, err := os.ReadFile("/proc/uptime")
	if err != nil {
		t.Fatal(err)
	}
	uptime, err := strconv.ParseFloat(strings.Fields(string(raw))[0], 64)
	if err != nil {
		t.Fatal(err)
	}
	if age := uptime - float64(young)/100; age < -1 || age > 600 {
		t.Errorf("a child started just now is %.2f s old", age)
	}
}

func TestStartedIsNotMisledByAName(t *testing.T) {
	c := start(t, os.Getuid(), "name")
	c.line(t)
	want, err := Started(c.pid)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"a) R 1 (b", ") S 1 1 1 1 1 1", "x\n) R 1\n", "))))))))))))))))", "((((((((", " ", "\n", ")", "\x00", "\xff\xfe) ",
	} {
		t.Run(strconv.Quote(name), func(t *testing.T) {
			c.tell(t, strconv.Quote(name))
			if got, err := Started(c.pid); got != want || err != nil {
				t.Errorf("Started = %d, %v; before the name it was %d", got, err, want)
			}
		})
	}
	if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", c.pid)); err != nil || string(comm) != "\xff\xfe) \n" {
		t.Errorf("the child is named %q (%v): the test names nobody", comm, err)
	}
}

func TestStartedIsNotMisledByAFileName(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a) R 1 (b")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, file); err != nil { // execve(2) names the process after the link
		t.Fatal(err)
	}
	cmd := exec.Command(file)
	cmd.Env = append(os.Environ(), roleVar+"=name", "GORACE=atexit_sleep_ms=0")
	in, out := piped(t, cmd)
	defer cmd.Wait()
	defer in.Close()
	if _, err := out.Read(make([]byte, 6)); err != nil { // ready
		t.Fatal(err)
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
	if err != nil || !strings.Contains(string(stat), "(a) R 1 (b) ") {
		t.Fatalf("stat is %q, %v", stat, err)
	}
	want := strings.Fields(string(stat[strings.Index(string(stat), "(b) "):]))[startField+1]
	if got, err := Started(int32(cmd.Process.Pid)); strconv.FormatUint(got, 10) != want || err != nil {
		t.Errorf("Started = %d, %v; stat says %s", got, err, want)
	}
}

func TestStartedOfNoProcess(t *testing.T) {
	c := start(t, os.Getuid(), "name")
	c.end(t)
	for _, pid := range []int32{c.pid, 0, -1, math.MinInt32, math.MaxInt32} {
		if start, err := Started(pid); start != 0 || !errors.Is(err, os.ErrNotExist) {
			t.Errorf("Started(%d) = %d, %v; want os.ErrNotExist", pid, start, err)
		}
	}
}

// A shell forks a part of itself, which starts nothing.
func TestAProcessThatWasStartedIsNotForked(t *testing.T) {
	cmd := exec.Command("bash", "-c", `(echo $BASHPID; read); exit 0`)
	in, out := piped(t, cmd)
	var part int32
	if _, err := fmt.Fscanln(out, &part); err != nil {
		t.Fatal(err)
	}
	whole := int32(cmd.Process.Pid)
	for pid, want := range map[int32]bool{part: true, whole: false} {
		if got, err := Forked(pid); got != want || err != nil {
			t.Errorf("process %d: %t, %v; want %t", pid, got, err, want)
		}
	}
	if err := errors.Join(in.Close(), cmd.Wait()); err != nil || part == whole {
		t.Error(part, whole, err)
	}
	if got, err := Forked(whole); got || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of a process that is gone: %t, %v", got, err)
	}
}

func TestStatThatIsNotOne(t *testing.T) {
	for _, stat := range []string{
		"", ")", "1 (a)", "1 (a) ", "1 (a) S", "1 (a) S 1 2 3",
		"1 (a) S" + strings.Repeat(" 1", 18) + " 77",  // cut off: who knows what follows
		"1 (a) S" + strings.Repeat(" 1", 18) + " x ",  // not a number
		"1 (a) S" + strings.Repeat(" 1", 18) + " -1 ", // not one of ours
	} {
		if start, ok := startOf([]byte(stat)); ok {
			t.Errorf("startOf(%q) = %d", stat, start)
		}
	}
}

func TestStatBufferHoldsTheLongest(t *testing.T) {
	stat := fmt.Sprintf("%d (%s) D", math.MaxInt32, strings.Repeat("x", 64))
	for range 3 + 2 + 3 { // ppid pgrp session, tty tpgid, priority nice num_threads
		stat += " " + strconv.Itoa(math.MinInt32)
	}
	for range 1 + 4 + 4 + 1 { // flags, faults, times, itrealvalue
		stat += " " + strconv.FormatUint(math.MaxUint64, 10)
	}
	stat += " " + strconv.FormatUint(math.MaxUint64, 10) + " "
	if len(stat) > statSize {
		t.Fatalf("%d octets, the buffer has %d", len(stat), statSize)
	}
	if got, ok := startOf([]byte(stat)); got != math.MaxUint64 || !ok {
		t.Errorf("startOf = %d, %t", got, ok)
	}
}

// FuzzStartOf: whatever a process calls itself, its start is read right, and no text at all is a crash.
func FuzzStartOf(f *testing.F) {
	f.Add("exim4", uint64(1))
	f.Add("a) R 1 (b", uint64(math.MaxUint64))
	f.Add(") S"+strings.Repeat(" 1", 30), uint64(7))
	f.Fuzz(func(t *testing.T, name string, start uint64) {
		startOf([]byte(name))
		stat := fmt.Sprintf("7 (%s) S%s %d 1 2 3", name, strings.Repeat(" 1", startField-1), start)
		if got, ok := startOf([]byte(stat)); got != start || !ok {
			t.Errorf("startOf(%q) = %d, %t; want %d", stat, got, ok, start)
		}
	})
}

func BenchmarkStarted(b *testing.B) {
	pid := int32(os.Getpid())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Started(pid); err != nil {
			b.Fatal(err)
		}
	}
}
