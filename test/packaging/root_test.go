package packaging

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// root is a clean Debian with Exim, of nothing but its packages.
type root struct{ dir string }

// mirror returns where this machine's apt finds Debian, and the release: whatever way its sources are written. Whose a source
// is, apt knows only once it has asked there.
func mirror(t *testing.T) (site, release string) {
	t.Helper()
	codename := strings.TrimSpace(must(t, "sh", "-c", `. /etc/os-release && echo "$VERSION_CODENAME"`))
	out := must(t, "apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(SITE) $(ORIGIN)", "Created-By: Packages")
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) >= 3 && f[0] == codename && f[1] == "main" && (len(f) == 3 || f[3] == "Debian") {
			return f[2], codename
		}
	}
	t.Fatalf("apt has no source of Debian %s\n%s", codename, out)
	return "", ""
}

// debootstrap makes a clean root. Its second stage, which runs what the packages bring, has no network, and no process of it
// stays.
func debootstrap(t *testing.T) *root {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("a clean root is made by root only")
	}
	began := time.Now()
	site, release := mirror(t)
	r := &root{t.TempDir()}
	if err := os.Chmod(r.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := run("debootstrap", "--foreign", "--variant=minbase", "--include=exim4-daemon-light,systemd-standalone-sysusers,systemd-standalone-tmpfiles",
		release, r.dir, site)
	if err != nil {
		t.Fatalf("cannot make a clean root of %s: is there a network?\n%v", site, err)
	}
	must(t, "unshare", "-m", "-n", "-p", "-f", "--mount-proc", "--kill-child", "env", "DEBIAN_FRONTEND=noninteractive",
		"chroot", r.dir, "/debootstrap/debootstrap", "--second-stage")
	t.Logf("FIGURE a clean root of Debian %s with Exim: %.0f s", release, time.Since(began).Seconds())
	return r
}

// command is one in the root, in name spaces of its own, of processes too unless it is ours to end.
func (r *root) command(processes bool, args ...string) *exec.Cmd {
	spaces := []string{"-m", "-n"}
	if processes {
		spaces = append(spaces, "-p", "-f", "--kill-child")
	}
	const enter = `mount -t proc proc "$0/proc" && mount -t tmpfs -o mode=755 tmpfs "$0/dev" && mknod -m 666 "$0/dev/null" c 1 3 && ip link set lo up &&
		exec chroot "$0" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive "$@"`
	cmd := exec.Command("unshare", append(append(spaces, "sh", "-c", enter, r.dir), args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// run runs a shell's line in the root, which may not fail, and returns what it wrote.
func (r *root) run(t *testing.T, line string) string {
	t.Helper()
	cmd := r.command(true, "sh", "-c", line)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

func (r *root) write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, path), []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// names returns the paths of all that is in the root, but for what dpkg and its log keep of every package.
func (r *root) names(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for line := range strings.Lines(r.run(t, "find / -xdev -path /proc -prune -o -path /dev -prune -o -print")) {
		found[strings.TrimSpace(line)] = true
	}
	return found
}

// daemon starts the daemon by hand and returns what stops it, after which it must have ended well.
func (r *root) daemon(t *testing.T) (stop func()) {
	t.Helper()
	cmd := r.command(false, "eximpolicyd", "serve", "--no-dns")
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	told := func() string { text, _ := os.ReadFile(log.Name()); return string(text) }
	line, _ := bufio.NewReader(out).ReadString('\n')
	if !strings.Contains(line, "listens on /run/eximpolicyd/policy.sock") {
		cmd.Process.Kill()
		cmd.Wait()
		t.Fatalf("the daemon does not start: %s%s", line, told())
	}
	return func() {
		t.Helper()
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the daemon ends with %v\n%s", err, told())
		}
	}
}

// takesMail asks Exim itself, by a dialogue, whether it takes mail, and returns the dialogue.
func (r *root) takesMail(t *testing.T) string {
	t.Helper()
	out := r.run(t, `exim -bV >/dev/null && printf 'EHLO mail.example.net\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<root@localhost>\r\nQUIT\r\n' | exim -bh 203.0.113.7 2>&1`)
	if !strings.Contains(out, "\n250 Accepted\r\n") || strings.Contains(out, "\n4") || strings.Contains(out, "\n5") {
		t.Errorf("Exim says:\n%s", out)
	}
	return out
}

// want reports what a text does not have.
func want(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is missing in:\n%s", p, text)
		}
	}
}

// older builds a package of version 0.0.9, whose configuration as it comes is another.
func older(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, "make", "-C", "../..", "deb", "VERSION=0.0.9", "B="+dir)
	tree := filepath.Join(dir, "taken-apart")
	must(t, "dpkg-deb", "-R", filepath.Join(dir, "eximpolicyd_0.0.9-1_"+arch(t)+".deb"), tree)
	conf := filepath.Join(tree, "etc/eximpolicyd/eximpolicyd.toml")
	if err := os.WriteFile(conf, []byte("# as it came with 0.0.9\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	must(t, "dpkg-deb", "--root-owner-group", "-Zgzip", "-b", tree, filepath.Join(dir, "older.deb"))
	return filepath.Join(dir, "older.deb")
}

func arch(t *testing.T) string {
	return strings.TrimSpace(must(t, "dpkg", "--print-architecture"))
}

func TestThePackageInACleanRoot(t *testing.T) {
	_, deb, _ := built(t)
	old := older(t)
	r := debootstrap(t)
	must(t, "cp", old, filepath.Join(r.dir, "root/older.deb"))
	must(t, "cp", deb, filepath.Join(r.dir, "root/newer.deb"))
	r.takesMail(t)
	before := r.names(t)

	r.installs(t)
	r.asks(t)
	r.upgrades(t)
	r.removes(t)
	r.purges(t, before)
}

func (r *root) installs(t *testing.T) {
	out := r.run(t, "dpkg -i /root/older.deb && eximpolicyd version && eximpolicyd config check /etc/eximpolicyd/eximpolicyd.toml && dpkg -V eximpolicyd && id eximpolicyd")
	want(t, out, "eximpolicyd 0.0.9 ", "eximpolicyd.toml: no mistake", "(eximpolicyd)")
	modes := r.run(t, `stat -c '%n %a %U:%G' /usr/sbin/eximpolicyd /etc/eximpolicyd /etc/eximpolicyd/eximpolicyd.toml /run/eximpolicyd
		getent passwd eximpolicyd; ls /etc/systemd/system/*.wants`)
	want(t, modes, "/usr/sbin/eximpolicyd 755 root:root", "/etc/eximpolicyd 755 root:root",
		"/etc/eximpolicyd/eximpolicyd.toml 640 root:eximpolicyd", "/run/eximpolicyd 750 root:Debian-exim",
		"/usr/sbin/nologin", "\neximpolicyd.service\n", "\neximpolicyd.socket\n")
	if strings.Contains(modes, "peek") {
		t.Errorf("the helper with a capability is on without being asked for:\n%s", modes)
	}
	r.takesMail(t)
}

// asks starts the daemon by hand, and asks it as Exim's user, and as the administrator.
func (r *root) asks(t *testing.T) {
	stop := r.daemon(t)
	defer stop()
	out := r.run(t, `setpriv --reuid Debian-exim --regid Debian-exim --clear-groups eximpolicyd ask --socket /run/eximpolicyd/policy.sock \
		protocol_state=RCPT client_address=203.0.113.7 helo_name=localhost recipient=root@localhost`)
	want(t, out, "action    dunno\n", "would=deny rule=helo.H7")
	want(t, r.run(t, `eximpolicyd ban add 192.0.2.7 --because "before the upgrade" && eximpolicyd status --json`), `"version":"0.0.9"`)
}

// upgrades puts the new version over the old one, after the configuration was edited and made its owner's alone, and as where
// systemd runs: with a systemctl that writes down what it is told. The sockets, in which Exim's questions wait, are only ever
// started.
func (r *root) upgrades(t *testing.T) {
	r.run(t, `cd /etc/eximpolicyd && echo 'exempt.relay = ["192.0.2.0/24"]' >>eximpolicyd.toml && chmod 600 eximpolicyd.toml && chown eximpolicyd eximpolicyd.toml`)
	r.write(t, "usr/bin/systemctl", "#!/bin/sh\necho \"$*\" >>/root/told\n[ \"$2\" != is-enabled ] || echo enabled\n", 0o755)
	out := r.run(t, `mkdir -p /run/systemd/system && dpkg --force-confdef --force-confold -i /root/newer.deb
		eximpolicyd version && eximpolicyd config check /etc/eximpolicyd/eximpolicyd.toml`)
	want(t, out, "eximpolicyd.toml: no mistake")
	if strings.Contains(out, "eximpolicyd 0.0.9 ") {
		t.Errorf("the old version is still there:\n%s", out)
	}
	told := r.run(t, "cat /root/told; rm /root/told")
	want(t, told, " daemon-reload\n", " start eximpolicyd.socket eximpolicyd-control.socket\n", " restart eximpolicyd.service\n")
	for line := range strings.Lines(told) {
		if strings.Contains(line, "stop") || strings.Contains(line, ".socket") && strings.Contains(line, "restart") {
			t.Errorf("questions are lost: systemctl %s", line)
		}
	}
	want(t, r.run(t, "cat /etc/eximpolicyd/eximpolicyd.toml; stat -c '%a %U:%G' /etc/eximpolicyd/eximpolicyd.toml"),
		"# as it came with 0.0.9\n", `exempt.relay = ["192.0.2.0/24"]`, "600 eximpolicyd:eximpolicyd")
	r.staysWithABadConfiguration(t)
	r.run(t, "rm -r /run/systemd /usr/bin/systemctl /root/told")
	r.takesMail(t)
	stop := r.daemon(t)
	defer stop()
	want(t, r.run(t, "eximpolicyd ban list"), "192.0.2.7", "before the upgrade")
}

// staysWithABadConfiguration upgrades once more, with a configuration that the new version does not take.
func (r *root) staysWithABadConfiguration(t *testing.T) {
	told := r.run(t, `cd /etc/eximpolicyd && cp -p eximpolicyd.toml right.toml && echo 'no_such_key = 1' >>eximpolicyd.toml
		dpkg --force-confold -i /root/newer.deb 2>&1; mv right.toml eximpolicyd.toml; cat /root/told`)
	want(t, told, "no_such_key", "the version before this one goes on", " start eximpolicyd.socket eximpolicyd-control.socket\n")
	if strings.Contains(told, " restart eximpolicyd.service\n") {
		t.Errorf("the daemon is ended, and cannot start again:\n%s", told)
	}
}

// removes takes the package away while Exim still asks.
func (r *root) removes(t *testing.T) {
	r.run(t, `sed -i "s/^dc_use_split_config=.*/dc_use_split_config='true'/" /etc/exim4/update-exim4.conf.conf
		eximpolicyd snippets --flavour debian-split --dir /etc/exim4/conf.d && update-exim4.conf`)
	want(t, r.run(t, "exim -bP acl_smtp_connect"), "eximpolicyd")
	r.takesMail(t)
	out := r.run(t, "dpkg -r eximpolicyd")
	want(t, out, "eximpolicyd setup --remove", "/etc/exim4/conf.d/main/00_eximpolicyd")
	if n := strings.Count(out, "eximpolicyd: "); n != 1 {
		t.Errorf("it is told in %d lines:\n%s", n, out)
	}
	want(t, r.takesMail(t), "stage=CONNECT no usable answer")
	want(t, r.run(t, "cat /etc/eximpolicyd/eximpolicyd.toml; ls /var/lib/eximpolicyd; getent passwd eximpolicyd; ! command -v eximpolicyd"),
		`exempt.relay = ["192.0.2.0/24"]`, "\nledger.db\n", "nologin")
}

// purges takes the rest away, as far as it is ours: the user stays, and the administrator's snippets.
func (r *root) purges(t *testing.T, before map[string]bool) {
	r.run(t, "rm -f /etc/exim4/conf.d/*/*eximpolicyd && update-exim4.conf && dpkg -P eximpolicyd")
	var left []string
	for name := range r.names(t) {
		if !before[name] && name != "/etc/passwd-" && name != "/etc/group-" && name != "/etc/shadow-" && name != "/etc/gshadow-" {
			left = append(left, name)
		}
	}
	if len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	r.takesMail(t)
}
