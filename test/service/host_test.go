package service

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"eximpolicyd/test/rig"
)

// A host is a machine inside the machine whose process 1 is the real systemd, with our units and no others: what is
// installed starts nothing there. Its files lie over ours, in memory; its processes, network and control groups are its
// own. Its end is the end of them all.
type host struct {
	t      *testing.T
	dir    string
	cgroup string
	cmd    *exec.Cmd
	init   int // pid of its process 1, as we see it
}

// boot makes the host from the files in $1, and becomes its process 1. systemd takes its own boot for that of a container
// because of the variable, and so leaves the kernel's settings alone, which are read-only besides.
const boot = `set -e
dir=$1; root=$dir/root
mount -t tmpfs tmpfs "$root"
mkdir "$root/upper" "$root/work" "$root/all"
mount -t overlay overlay -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" "$root/all"
cd "$root/all"
mount -t proc proc proc
mount -o bind,ro proc/sys proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for over in run tmp var/lib dev; do mount -t tmpfs -o mode=755 tmpfs $over; done
for node in null zero full random urandom tty; do touch dev/$node; mount --bind /dev/$node dev/$node; done
ln -s pts/ptmx dev/ptmx
mkdir dev/pts dev/shm var/lib/systemd
cp -r "$dir/files/." .
chroot . systemd-sysusers /usr/lib/sysusers.d/eximpolicyd.conf
chroot . systemd-tmpfiles --create /usr/lib/tmpfiles.d/eximpolicyd.conf
mkdir -p mnt
pivot_root . mnt
cd /
umount -l mnt
exec env -i container=eximpolicyd PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_UNIT_PATH=/units \
  /lib/systemd/systemd --system --unit=boot.target --show-status=no --log-target=null
`

// units are those that a host has beside ours.
var units = map[string]string{
	"boot.target":     "[Unit]\nDefaultDependencies=no\nAllowIsolate=yes\nWants=sockets.target eximpolicyd.socket eximpolicyd-control.socket eximpolicyd.service\n",
	"sysinit.target":  "[Unit]\nDefaultDependencies=no\n",
	"basic.target":    "[Unit]\nDefaultDependencies=no\n",
	"sockets.target":  "[Unit]\nDefaultDependencies=no\n",
	"shutdown.target": "[Unit]\nDefaultDependencies=no\n",
}

// newHost boots one whose daemon has a configuration, and changes its service by a drop-in.
func newHost(t *testing.T, config, dropIn string) *host {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("systemd in name spaces of its own needs root: run the tests as root, sudo make test")
	}
	dir, err := os.MkdirTemp("", "ep")
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, dir: dir}
	t.Cleanup(h.end)
	h.install(config, dropIn)
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	err = rig.Await("systemd to start the daemon", func() bool {
		out, _ := h.run("systemctl", "is-active", "eximpolicyd.service") // not yet is no failure
		return strings.TrimSpace(out) == "active"
	})
	if err != nil {
		out, _ := h.run("systemctl", "status", "--no-pager", "eximpolicyd.service", "eximpolicyd.socket")
		t.Fatalf("%v\n%s\n%s", err, out, h.log())
	}
	return h
}

// install lays out what goes over the machine's files: what a package would bring.
func (h *host) install(config, dropIn string) {
	h.t.Helper()
	files := map[string]string{
		"usr/sbin/eximpolicyd":                binary,
		"usr/lib/sysusers.d/eximpolicyd.conf": "../../packaging/sysusers.d/eximpolicyd.conf",
		"usr/lib/tmpfiles.d/eximpolicyd.conf": "../../packaging/tmpfiles.d/eximpolicyd.conf",
	}
	for _, unit := range ours {
		files["units/"+unit] = "../../packaging/systemd/" + unit
	}
	put := func(name string, text []byte, mode os.FileMode) {
		path := filepath.Join(h.dir, "files", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, text, mode)); err != nil {
			h.t.Fatal(err)
		}
	}
	for name, from := range files {
		text, err := os.ReadFile(from)
		if err != nil {
			h.t.Fatal(err)
		}
		mode := os.FileMode(0o644)
		if from == binary {
			mode = 0o755
		}
		put(name, text, mode)
	}
	for name, text := range units {
		put("units/"+name, []byte(text), 0o644)
	}
	put("units/eximpolicyd.service.d/test.conf", []byte("[Service]\nStandardOutput=append:/log\nStandardError=append:/log\n"+dropIn), 0o644)
	put("etc/eximpolicyd/eximpolicyd.toml", []byte(config), 0o644)
	if err := os.Mkdir(filepath.Join(h.dir, "root"), 0o755); err != nil {
		h.t.Fatal(err)
	}
}

// start starts the host in a control group of its own.
func (h *host) start() error {
	group, err := newGroup()
	if err != nil {
		return err
	}
	h.cgroup = group
	at, err := os.Open(group)
	if err != nil {
		return err
	}
	defer at.Close()
	h.cmd = exec.Command("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--net", "--uts", "--ipc",
		"--cgroup", "--", "sh", "-c", boot, "sh", h.dir)
	h.cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(at.Fd()), Pdeathsig: syscall.SIGKILL}
	out, err := os.Create(filepath.Join(h.dir, "boot"))
	if err != nil {
		return err
	}
	defer out.Close()
	h.cmd.Stdout, h.cmd.Stderr = out, out
	if err := h.cmd.Start(); err != nil {
		return err
	}
	pid := h.cmd.Process.Pid
	return rig.Await("systemd as process 1", func() bool {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
		if err != nil {
			return false
		}
		h.init, err = strconv.Atoi(strings.TrimSpace(string(children)))
		if err != nil {
			return false
		}
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", h.init))
		return err == nil && string(name) == "systemd\n"
	})
}

// newGroup makes a control group below our own, in the hierarchy of version 2, wherever that is.
func newGroup() (string, error) {
	at, err := unifiedHierarchy()
	if err != nil {
		return "", err
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(own)) {
		if path, is := strings.CutPrefix(strings.TrimSpace(line), "0::"); is {
			return os.MkdirTemp(filepath.Join(at, path), "eximpolicyd-test-")
		}
	}
	return "", errors.New("we are in no control group of version 2")
}

func unifiedHierarchy() (string, error) {
	mounts, err := os.Open("/proc/self/mounts")
	if err != nil {
		return "", err
	}
	defer mounts.Close()
	for scan := bufio.NewScanner(mounts); scan.Scan(); {
		if f := strings.Fields(scan.Text()); len(f) > 2 && f[2] == "cgroup2" {
			return f[1], nil
		}
	}
	return "", errors.New("no control groups of version 2 are mounted: mount -t cgroup2 cgroup2 /sys/fs/cgroup")
}

// in is a command inside the host, as root.
func (h *host) in(argv ...string) *exec.Cmd {
	target := strconv.Itoa(h.init)
	args := []string{"--target", target, "--mount", "--pid", "--net", "--root", "--wdns=/", "--"}
	cmd := exec.Command("nsenter", append(args, argv...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	return cmd
}

// run runs a command inside the host and returns what it printed.
func (h *host) run(argv ...string) (string, error) {
	out, err := h.in(argv...).CombinedOutput()
	return string(out), err
}

// must runs a command that has to succeed.
func (h *host) must(argv ...string) string {
	h.t.Helper()
	out, err := h.run(argv...)
	if err != nil {
		h.t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return out
}

// property is one that systemd knows of a unit.
func (h *host) property(unit, name string) string {
	h.t.Helper()
	return strings.TrimSpace(h.must("systemctl", "show", "--value", "--property="+name, unit))
}

// file is the path by which we see a file of the host.
func (h *host) file(path string) string { return fmt.Sprintf("/proc/%d/root%s", h.init, path) }

// log is what the daemon wrote.
func (h *host) log() string {
	text, err := os.ReadFile(h.file("/log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// end ends the host, and removes its control group when the kernel has ended what was in it.
func (h *host) end() {
	if h.t.Failed() && h.init != 0 {
		log := h.log()
		boot, _ := os.ReadFile(filepath.Join(h.dir, "boot"))
		h.t.Logf("the daemon's log:\n%s\n%s", log[max(0, len(log)-4000):], boot)
	}
	if h.cmd != nil && h.cmd.Process != nil {
		_ = h.cmd.Process.Kill()
		_ = h.cmd.Wait() // it ends by our signal
	}
	if h.cgroup != "" {
		if err := rig.Await("the host's end", func() bool { return removeGroup(h.cgroup) == nil }); err != nil {
			h.t.Error(err)
		}
	}
	os.RemoveAll(h.dir)
}

// removeGroup removes a control group with those below it.
func removeGroup(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if e.IsDir() {
			_ = removeGroup(filepath.Join(dir, e.Name())) // then dir cannot be removed either
		}
	}
	return unix.Rmdir(dir)
}

// ours are the unit files of the daemon.
var ours = []string{"eximpolicyd.service", "eximpolicyd.socket", "eximpolicyd-control.socket"}
