package test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	eximsnippets "eximpolicyd/exim-snippets"
	"eximpolicyd/test/rig"
)

// A host is a site on which nothing of ours is, with the folders of its own that setup writes in.
type host struct {
	*rig.Site
	t       *testing.T
	flavour string
	binary  string
}

func newHost(t *testing.T, flavour string) *host {
	t.Helper()
	return hostOf(t, rig.Config{Flavour: flavour, Without: true})
}

func hostOf(t *testing.T, cfg rig.Config) *host {
	t.Helper()
	h := &host{Site: site(t, cfg), t: t, flavour: cfg.Flavour, binary: binary(t)}
	dir := h.Dir()
	h.root("sh", "-ec", "mkdir "+dir+"/varlib "+dir+"/varlib/exim4 "+dir+"/runs; mount --bind "+dir+"/varlib /var/lib; mount --bind "+dir+"/lib /var/lib/exim4\n"+
		"mount --bind "+dir+"/runs /run; mkdir /run/exim4; chown Debian-exim: /run/exim4; chmod 750 /run/exim4")
	return h
}

// root runs a command that must do.
func (h *host) root(argv ...string) string {
	h.t.Helper()
	out, err := h.Run(argv...)
	if err != nil {
		h.t.Fatalf("%q: %v\n%s", argv, err, out)
	}
	return out
}

// setup runs eximpolicyd setup and returns what it said and its exit code.
func (h *host) setup(args ...string) (string, int) {
	h.t.Helper()
	argv := append([]string{h.binary, "setup", "--socket", h.SocketPath()}, args...)
	out, err := h.Run(argv...)
	code := 0
	if err != nil {
		exit, ok := err.(*exec.ExitError)
		if !ok {
			h.t.Fatal(err)
		}
		code = exit.ExitCode()
	}
	return out, code
}

// does runs setup and wants an exit code.
func (h *host) does(code int, args ...string) string {
	h.t.Helper()
	out, got := h.setup(args...)
	if got != code {
		h.t.Fatalf("setup %q: exit %d, want %d\n%s", args, got, code, out)
	}
	return out
}

// tree is everything setup could touch: each path with its mode, owner, time and checksum.
func (h *host) tree() map[string]string {
	h.t.Helper()
	all := map[string]string{}
	for _, top := range []string{"etc-exim4", "lib", "varlib"} {
		err := filepath.WalkDir(filepath.Join(h.Dir(), top), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			name, err := filepath.Rel(h.Dir(), path)
			if err != nil {
				return err
			}
			owner := info.Sys().(*syscall.Stat_t)
			line := fmt.Sprintf("%v %d:%d %d", info.Mode(), owner.Uid, owner.Gid, info.ModTime().UnixNano())
			if top == "varlib" && d.IsDir() {
				line = info.Mode().String() // the journal's folder comes and goes in it
			}
			if info.Mode().IsRegular() {
				text, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				line += fmt.Sprintf(" %d links %x", owner.Nlink, sha256.Sum256(text))
			}
			all[name] = line
			return nil
		})
		check(h.t, err)
	}
	return all
}

// unchanged wants the tree to be as it was.
func (h *host) unchanged(before map[string]string, when string) {
	h.t.Helper()
	if diff := cmp.Diff(before, h.tree()); diff != "" {
		h.t.Errorf("%s: the files are not as before (-before +now):\n%s", when, diff)
	}
}

// daemon is a policy daemon at the socket of the site.
func (h *host) daemon() *rig.Fake { return fake(h.t, h.Site, rig.Always(rig.Dunno())) }

// onEveryHost runs a test in every arrangement that setup can write.
func onEveryHost(t *testing.T, try func(h *host)) {
	for _, flavour := range eximsnippets.Flavours() {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, flavour)
			h.t = t
			try(h)
		})
	}
}

// edit changes a file of the site by its path inside it.
func (h *host) edit(path string, change func(text string) string) {
	h.t.Helper()
	real := h.real(path)
	text, err := os.ReadFile(real)
	check(h.t, err)
	now := change(string(text))
	if now == string(text) {
		h.t.Fatalf("%s: the fault changes nothing", path)
	}
	check(h.t, os.WriteFile(real, []byte(now), 0o644))
}

// real is where a path of the site lies.
func (h *host) real(path string) string {
	for _, m := range [][2]string{{"/etc/exim4", "etc-exim4"}, {"/var/lib/exim4", "lib"}, {"/var/lib", "varlib"}} {
		if rest, is := strings.CutPrefix(path, m[0]); is {
			return filepath.Join(h.Dir(), m[1]+rest)
		}
	}
	h.t.Fatalf("%s is not of the site", path)
	return ""
}

// put makes a file of the site.
func (h *host) put(path, text string) {
	h.t.Helper()
	check(h.t, os.WriteFile(h.real(path), []byte(text), 0o644))
}

// save keeps the tree as it is now, and returns what brings it back, times and second names included.
func (h *host) save() (restore func()) {
	h.t.Helper()
	kept, err := os.MkdirTemp("/tmp", "eximsaved-")
	check(h.t, err)
	h.t.Cleanup(func() { os.RemoveAll(kept) })
	tops := []string{"etc-exim4", "lib", "varlib/eximpolicyd-setup"} // a mount point that is removed is a mount less
	copyAll := func(from, to string) {
		for _, top := range tops {
			to := filepath.Join(to, top)
			out, err := exec.Command("sh", "-ec", `[ -d "$1" ] || { rm -rf "$2"; exit 0; }; mkdir -p "$2"; find "$2" -mindepth 1 -delete; cp -a "$1"/. "$2"`, "sh", filepath.Join(from, top), to).CombinedOutput()
			if err != nil {
				h.t.Fatalf("%v\n%s", err, out)
			}
		}
	}
	copyAll(h.Dir(), kept)
	return func() { copyAll(kept, h.Dir()) }
}
