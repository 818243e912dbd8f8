package setup

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// How long Exim may take to begin anew, and its last sessions to end.
const (
	reloadTime = 10 * time.Second
	retell     = time.Second // until it is told again
)

// pidFile is where a running Exim writes its process id. Exim's user can change it, so what it says is held against /proc.
func (s *Setup) pidFile() string {
	if p := s.option("pid_file_path"); p != "" {
		return strings.ReplaceAll(p, "%s", "")
	}
	return filepath.Join(s.option("spool_directory"), "exim-daemon.pid")
}

// daemon returns the process of a running Exim; 0 if none is known.
func (s *Setup) daemon() int {
	f, err := os.OpenFile(s.pidFile(), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return 0
	}
	defer f.Close()
	b := make([]byte, 32)
	n, err := f.Read(b)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil || pid < 2 || !s.isExim(strconv.Itoa(pid)) {
		return 0
	}
	return pid
}

// isExim reports whether a process runs our Exim, and sees the same files.
func (s *Setup) isExim(pid string) bool {
	exe, err := os.Readlink(filepath.Join("/proc", pid, "exe"))
	if err != nil || strings.TrimSuffix(exe, " (deleted)") != s.exim { // deleted: it was upgraded under it
		return false
	}
	theirs, err := os.Readlink(filepath.Join("/proc", pid, "ns/mnt"))
	ours, oerr := os.Readlink("/proc/self/ns/mnt")
	return err == nil && oerr == nil && theirs == ours
}

// image tells one run of a program from the next one of the same process: where the kernel has put it. A child that was
// forked has its parent's, and so the configuration that the parent has read. Where addresses are not random all are alike,
// and then every process counts as an old one.
func image(pid string) string {
	b, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // the name may hold anything
	if len(fields) < 46 {
		return ""
	}
	return fields[23] + " " + fields[25] + " " + fields[45] // startcode, startstack and arg_start of proc(5)
}

// images are those of every process of Exim that runs now.
func (s *Setup) images() []string { return slices.Sorted(maps.Values(s.processes())) }

// processes are Exim's, with their images, by pid.
func (s *Setup) processes() map[string]string {
	all := map[string]string{}
	procs, err := os.ReadDir("/proc")
	if err != nil {
		return all
	}
	for _, e := range procs {
		if _, err := strconv.Atoi(e.Name()); err != nil || !s.isExim(e.Name()) {
			continue
		}
		if i := image(e.Name()); i != "" {
			all[e.Name()] = i
		}
	}
	return all
}

// readers are the pids of those that go by the configuration from before a run.
func (s *Setup) readers(j *journal) (pids []string) {
	if j == nil || len(j.Images) == 0 {
		return nil
	}
	for pid, i := range s.processes() {
		if slices.Contains(j.Images, i) {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// await returns the processes of Exim that still read our files: with Reload, after it was told and they had some time.
func (s *Setup) await(ctx context.Context, j *journal) (pids []string, err error) {
	pids = s.readers(j)
	if len(pids) == 0 || !s.o.Reload {
		return pids, nil
	}
	if pid := s.daemon(); pid != 0 && slices.Contains(j.Images, image(strconv.Itoa(pid))) {
		if err := s.reload(ctx); err != nil {
			return pids, err
		}
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(reloadTime); len(pids) > 0 && time.Now().Before(end); pids = s.readers(j) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return pids, nil
		}
	}
	return pids, nil
}

// reload tells a running Exim of a change, if that is wanted, and waits until it has read it; else it says how.
func (s *Setup) reload(ctx context.Context) error {
	pid := s.daemon()
	if !s.o.Reload {
		how := "kill -HUP $(cat " + s.pidFile() + ")"
		if exists("/run/systemd/system") {
			how = "systemctl reload " + filepath.Base(s.exim)
		}
		s.o.Say("now reload Exim: " + how)
		return nil
	}
	if pid == 0 {
		s.o.Say("no Exim runs as a daemon: none is reloaded")
		return nil
	}
	was := image(strconv.Itoa(pid))
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var told time.Time
	for begun := time.Now(); ; {
		switch {
		case !s.isExim(strconv.Itoa(pid)): // its number may be another's by the next time that it is told
			return fault(Failed, "see its log, and start it", "Exim was told to reload, and has ended")
		case image(strconv.Itoa(pid)) != was:
			s.o.Say("Exim is reloaded")
			return nil
		case time.Since(begun) > reloadTime:
			return fault(Failed, "see its log", "Exim was told to reload, and has not within %s", reloadTime)
		}
		// A signal that comes just before Exim's poll(2), which has no end, is not seen before something else happens.
		// Telling it again is safe: it ignores the signal until it has begun anew.
		if time.Since(told) > retell {
			if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
				return fault(Failed, "reload it yourself", "cannot reload Exim: %w", err)
			}
			told = time.Now()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(fault(Busy, "", "interrupted: Exim was told to reload"), ctx.Err())
		}
	}
}
