// Package packaging holds the tests of what is installed: make install, the tarball and the Debian package, the last one in
// a clean root of Debian's that debootstrap makes.
package packaging

import (
	"bytes"
	"debug/elf"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// made is where make has built the package and the tarball, once for all tests.
var made = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "ep-made")
	if err != nil {
		return "", err
	}
	_, err = run("make", "-C", "../..", "deb", "tarball", "B="+dir)
	return dir, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, _ := made(); dir != "" {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// failure is a command that failed, with all that it wrote.
type failure struct {
	command string
	err     error
	out     []byte
}

func (f *failure) Error() string { return f.command + ": " + f.err.Error() + "\n" + string(f.out) }

// run runs a command and returns all that it wrote.
func run(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = &failure{strings.Join(cmd.Args, " "), err, out}
	}
	return string(out), err
}

// must runs a command that may not fail.
func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := run(name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// built returns the folder with what make made, the package and the tarball.
func built(t *testing.T) (dir, deb, tarball string) {
	t.Helper()
	dir, err := made()
	if err != nil {
		t.Fatal(err)
	}
	one := func(pattern string) string {
		list, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(list) != 1 {
			t.Fatalf("%s: %v, %v", pattern, list, err)
		}
		return list[0]
	}
	return dir, one("eximpolicyd_*.deb"), one("eximpolicyd-*.tar.gz")
}

// files returns the files below a folder, each with its mode.
func files(t *testing.T, root string) map[string]fs.FileMode {
	t.Helper()
	found := map[string]fs.FileMode{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		found[strings.TrimPrefix(path, root)] = info.Mode()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// install runs install.sh of what make gathered, with a strict umask and these variables, below a new folder.
func install(t *testing.T, dest string, args ...string) {
	t.Helper()
	dir, _, _ := built(t)
	must(t, "sh", append([]string{"-c", `umask 077; d=$1; shift; DESTDIR=$d exec env "$@"`, "sh", dest},
		append(args, filepath.Join(dir, "tree/install.sh"))...)...)
}

func TestEveryFileThatIsGatheredIsInstalledWhereItBelongs(t *testing.T) {
	dest := t.TempDir()
	install(t, dest)
	got := files(t, dest)
	dir, _, _ := built(t)
	gathered := files(t, filepath.Join(dir, "tree"))
	for _, stays := range []string{"/install.sh", "/LICENSE"} {
		if _, ok := gathered[stays]; !ok {
			t.Errorf("%s is not gathered", stays)
		}
		delete(gathered, stays)
	}
	if len(got) != len(gathered) || len(got) < 50 {
		t.Errorf("%d files are gathered, %d installed", len(gathered), len(got))
	}
	for _, path := range []string{"/usr/sbin/eximpolicyd", "/etc/eximpolicyd/eximpolicyd.toml", "/usr/share/man/man8/eximpolicyd.8.gz",
		"/usr/share/man/man8/eximpolicyd-replay.8.gz", "/usr/share/man/man5/eximpolicyd.toml.5.gz", "/usr/share/man/man7/eximpolicyd-protocol.7.gz",
		"/usr/share/bash-completion/completions/eximpolicyd", "/usr/share/zsh/vendor-completions/_eximpolicyd",
		"/usr/share/fish/vendor_completions.d/eximpolicyd.fish", "/usr/share/eximpolicyd/snippets/debian-split.conf",
		"/usr/share/doc/eximpolicyd/examples/helo.scenario", "/usr/share/doc/eximpolicyd/libraries.txt",
		"/usr/lib/systemd/system/eximpolicyd.service", "/usr/lib/systemd/system/eximpolicyd.socket",
		"/usr/lib/sysusers.d/eximpolicyd.conf", "/usr/lib/tmpfiles.d/eximpolicyd.conf"} {
		if _, ok := got[path]; !ok {
			t.Errorf("%s is not installed", path)
		}
	}
	for path, mode := range got {
		if want := map[bool]fs.FileMode{true: 0o755, false: 0o644}[path == "/usr/sbin/eximpolicyd"]; mode != want {
			t.Errorf("%s is %v", path, mode)
		}
		if !strings.Contains(path, "eximpolicyd") {
			t.Errorf("%s does not say whose it is", path)
		}
	}
	if info, err := os.Stat(dest + "/usr/share/eximpolicyd/snippets"); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the umask shows in a folder: %v, %v", info, err)
	}
}

// What others put beside packaging/systemd and its kin is taken along.
func TestEveryFolderOfPackagingIsInstalled(t *testing.T) {
	dest := t.TempDir()
	install(t, dest)
	installed := files(t, dest)
	for path := range files(t, "../../packaging") {
		if strings.HasPrefix(path, "/deb/") || !strings.Contains(path[1:], "/") {
			continue
		}
		found := slices.ContainsFunc([]string{"/usr/lib/systemd/system" + strings.TrimPrefix(path, "/systemd"), "/usr/lib" + path, "/usr/share/eximpolicyd" + path},
			func(place string) bool { _, ok := installed[place]; return ok })
		if !found {
			t.Errorf("packaging%s is not installed", path)
		}
	}
}

func TestAnEditedConfigurationIsKeptAndRemovingTakesAllButIt(t *testing.T) {
	dest := t.TempDir()
	install(t, dest)
	conf := dest + "/etc/eximpolicyd/eximpolicyd.toml"
	if err := os.WriteFile(conf, []byte("# edited\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	install(t, dest)
	if text, err := os.ReadFile(conf); err != nil || string(text) != "# edited\n" {
		t.Errorf("the configuration is %q, %v", text, err)
	}
	dir, _, _ := built(t)
	must(t, "env", "DESTDIR="+dest, filepath.Join(dir, "tree/install.sh"), "--remove")
	if left := files(t, dest); len(left) != 1 || left["/etc/eximpolicyd/eximpolicyd.toml"] == 0 {
		t.Errorf("left: %v", left)
	}
	if _, err := os.Stat(dest + "/usr/share/eximpolicyd"); err == nil {
		t.Error("an empty folder is left")
	}
}

func TestUnderAnotherPrefixTheUnitsNameTheBinaryThere(t *testing.T) {
	dest := t.TempDir()
	install(t, dest, "PREFIX=/usr/local")
	for path := range files(t, dest) {
		if !strings.HasPrefix(path, "/usr/local/") && !strings.HasPrefix(path, "/etc/eximpolicyd/") {
			t.Errorf("%s is not below the prefix", path)
		}
	}
	unit, err := os.ReadFile(dest + "/usr/local/lib/systemd/system/eximpolicyd.service")
	if err != nil || !bytes.Contains(unit, []byte("=/usr/local/sbin/eximpolicyd ")) || bytes.Contains(unit, []byte("/usr/sbin/eximpolicyd")) {
		t.Errorf("%v\n%s", err, unit)
	}
}

// In another folder, time zone and umask, so that none of them may show.
func TestTwoBuildsMakeTheSameOctets(t *testing.T) {
	_, deb, tarball := built(t)
	again := t.TempDir()
	must(t, "sh", "-c", `umask 077; TZ=Pacific/Auckland LC_ALL=C exec make -C ../.. deb tarball B="$1"`, "sh", again)
	for _, first := range []string{deb, tarball} {
		one, err := os.ReadFile(first)
		if err != nil {
			t.Fatal(err)
		}
		two, err := os.ReadFile(filepath.Join(again, filepath.Base(first)))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(one, two) {
			t.Errorf("%s differs: diffoscope would tell in what", filepath.Base(first))
		}
		t.Logf("FIGURE %s: %.1f MB", filepath.Base(first), float64(len(one))/1e6)
	}
}

func TestLintianFindsNothing(t *testing.T) {
	_, deb, _ := built(t)
	out := must(t, "lintian", "--allow-root", "--fail-on", "error,warning", deb)
	if strings.TrimSpace(out) != "" {
		t.Errorf("lintian:\n%s", out)
	}
	overrides, err := os.ReadFile("../../packaging/deb/lintian-overrides")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(overrides)), "\n")
	for i, line := range lines {
		if !strings.HasPrefix(line, "#") && (i == 0 || !strings.HasPrefix(lines[i-1], "# ")) {
			t.Errorf("no reason is given for %s", line)
		}
	}
}

func TestTheTarballHasAStaticBinaryAndInstallsItself(t *testing.T) {
	_, _, tarball := built(t)
	dir, dest := t.TempDir(), t.TempDir()
	must(t, "tar", "-xzf", tarball, "-C", dir)
	tree := filepath.Join(dir, strings.TrimSuffix(filepath.Base(tarball), ".tar.gz"))
	binary := filepath.Join(tree, "eximpolicyd")
	f, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the binary has a segment %v", p.Type)
		}
	}
	if out := must(t, "file", binary); !strings.Contains(out, "statically linked") {
		t.Error(out)
	}
	if out, err := run("ldd", binary); err == nil || !strings.Contains(out, "not a dynamic executable") {
		t.Errorf("ldd says: %s", out)
	}
	must(t, "env", "DESTDIR="+dest, filepath.Join(tree, "install.sh"))
	reference := t.TempDir()
	install(t, reference)
	if got, want := files(t, dest), files(t, reference); len(got) != len(want) || len(got) < 50 {
		t.Errorf("%d files from the tarball, %d from make install", len(got), len(want))
	}
	if out := must(t, filepath.Join(dest, "usr/sbin/eximpolicyd"), "version"); !strings.HasPrefix(out, "eximpolicyd ") {
		t.Error(out)
	}
}

// What is installed observes; what its comments offer is right.
func TestTheInstalledConfigurationOnlyObservesAndItsExamplesAreRight(t *testing.T) {
	dir, _, _ := built(t)
	binary, conf := filepath.Join(dir, "eximpolicyd"), "../../packaging/eximpolicyd.toml"
	must(t, binary, "config", "check", conf)
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	if set := regexp.MustCompile(`(?m)^[^#\n]`).Find(text); set != nil {
		t.Errorf("a line is no comment: %s", set)
	}
	offered := regexp.MustCompile(`(?m)^#([A-Za-z0-9_.]+ = )`)
	if n := len(offered.FindAll(text, -1)); n < 7 {
		t.Errorf("only %d lines are offered", n)
	}
	on := filepath.Join(t.TempDir(), "on.toml")
	if err := os.WriteFile(on, offered.ReplaceAll(text, []byte("$1")), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, binary, "config", "check", on)
	examples, err := filepath.Glob(dir + "/tree/examples/*.scenario")
	if err != nil || len(examples) < 7 {
		t.Fatalf("%v, %v", examples, err)
	}
	must(t, binary, append([]string{"test"}, examples...)...)
}

func TestTheLicenceOfEveryLinkedLibraryGoesAlong(t *testing.T) {
	dir, _, _ := built(t)
	text, err := os.ReadFile(dir + "/tree/libraries.txt")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(text), "==== ")[1:]
	linked := regexp.MustCompile(`(?m)^\tdep\t`).FindAllString(must(t, "go", "version", "-m", dir+"/eximpolicyd"), -1)
	if len(parts) != len(linked)+1 || len(linked) < 10 {
		t.Errorf("%d licences of %d libraries and Go", len(parts), len(linked))
	}
	for _, p := range parts {
		if !strings.Contains(strings.ToLower(p), "copyright") {
			t.Errorf("no licence: %.200s", p)
		}
	}
}
