package test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"eximpolicyd/test/rig"
)

// A seeded fault is what is done to a host, and what setup must say of it.
type seeded struct {
	name string
	in   []string // flavours; nil for all
	seed func(h *host)
	code int    // of --add, where the fault is there before it
	file string // that is named; "" for any
	says string
	fix  string
	args []string
}

// mine are files of ours: of each flavour one in which the call is written, and one at RCPT.
func (h *host) mine(which, flavour string) string {
	return map[string]map[string]string{
		"call": {"stock": "/etc/exim4/eximpolicyd-main.inc", "debian-split": "/etc/exim4/conf.d/main/00_eximpolicyd", "debian-unsplit": "/etc/exim4/eximpolicyd/policy.acl"},
		"rcpt": {"stock": "/etc/exim4/eximpolicyd-rcpt.inc", "debian-split": "/etc/exim4/conf.d/acl/10_eximpolicyd", "debian-unsplit": "/etc/exim4/eximpolicyd/rcpt.acl"},
		"site": {"stock": "/etc/exim4/exim4.conf", "debian-split": "/etc/exim4/conf.d/main/01_local", "debian-unsplit": "/etc/exim4/exim4.conf.localmacros"},
	}[which][flavour]
}

// remake has Debian make its configuration of what is there.
func (h *host) remake(flavour string) {
	if strings.HasPrefix(flavour, "debian-") {
		h.root("update-exim4.conf")
	}
}

// setting adds a line to the site's own main section.
func (h *host) setting(flavour, line string) {
	site := h.mine("site", flavour)
	if flavour == "debian-split" {
		h.put(site, line+"\n")
	} else {
		h.edit(site, func(text string) string { return line + "\n" + text })
	}
	h.remake(flavour)
}

func replace(old, new string) func(string) string {
	return func(text string) string { return strings.Replace(text, old, new, 1) }
}

// timeout is a fault of the time-out that Exim takes for "never".
func timeout(value string) seeded {
	return seeded{name: "a time-out of " + value, says: `the time-out "` + value + `" is none that Exim reads`, fix: "whole seconds with their unit", file: "call",
		seed: func(h *host) {
			h.edit(h.mine("call", h.flavour), func(text string) string {
				return strings.Replace(strings.Replace(text, "}{3s}{ }", "}{"+value+"}{ }", 1), "TIMEOUT = 3s", "TIMEOUT = "+value, 1)
			})
			h.remake(h.flavour)
		}}
}

// faultsWithin are those that come after setup: --check finds them.
func faultsWithin() []seeded {
	chmod := func(which string, mode os.FileMode) func(h *host) {
		return func(h *host) { check(h.t, os.Chmod(h.real(h.mine(which, h.flavour)), mode)) }
	}
	instead := func(make func(path string) error) func(h *host) {
		return func(h *host) {
			path := h.real(h.mine("rcpt", h.flavour))
			check(h.t, os.Remove(path))
			check(h.t, make(path))
		}
	}
	return []seeded{
		{name: "a file of ours is gone", seed: instead(func(string) error { return nil }), file: "rcpt", says: "is missing", fix: "setup --add", in: []string{"debian-split", "debian-unsplit"}},
		{name: "a file of ours is edited", seed: func(h *host) {
			h.edit(h.mine("rcpt", h.flavour), func(text string) string { return text + "# mine\n" })
		}, file: "rcpt", says: "has been edited since setup made it", fix: "--add --force"},
		{name: "a file of ours has lost its mark", seed: func(h *host) {
			h.edit(h.mine("rcpt", h.flavour), func(text string) string { _, rest, _ := strings.Cut(text, "\n"); return rest })
		}, file: "rcpt", says: "the mark of its first line is missing", fix: "--add --force"},
		{name: "made with another time-out", seed: func(h *host) {}, file: "call", says: "another socket or time-out", fix: "setup --add", args: []string{"--timeout", "5s"}},
		timeout("500ms"), timeout("1"), timeout("0s"),
		{name: "a call without a fail string", seed: func(h *host) {
			h.edit(h.mine("call", h.flavour), func(text string) string {
				start := strings.LastIndex(text, "{${readsocket{") // the inner one
				end := start + strings.Index(text[start:], "{reset}{1s}{ }{}}}") + len("{reset}{1s}{ }{}}}")
				return text[:start] + "{}" + text[end:]
			})
			h.remake(h.flavour)
		}, file: "call", says: "no other one as its fail string", fix: "setup --add"},
		{name: "Exim's user cannot reach the socket's folder", seed: func(h *host) { check(h.t, os.Chmod(filepath.Join(h.Dir(), "run"), 0o700)) },
			says: "Exim's user cannot reach", fix: "let Exim's group in"},
		{name: "Exim's user may not use the socket", seed: func(h *host) { check(h.t, os.Chmod(h.SocketPath(), 0o600)) }, says: "the socket has mode 0600", fix: "listen.group"},
		{name: "there is no daemon", seed: func(h *host) { check(h.t, os.Rename(h.SocketPath(), h.SocketPath()+"x")) }, says: "nobody listens", fix: "start eximpolicyd"},
		{name: "the daemon is switched off", seed: func(h *host) { check(h.t, os.WriteFile(filepath.Join(h.Dir(), "run", "bypass"), nil, 0o644)) },
			says: "switches the daemon off", fix: "rm "},
		{name: "a file that everybody can change", seed: chmod("rcpt", 0o666), file: "rcpt", says: "can be changed by everybody", fix: "chmod o-w"},
		{name: "a file that Exim's user cannot read", in: []string{"debian-split", "debian-unsplit"}, seed: chmod("rcpt", 0o600), file: "rcpt", says: "has mode 0600", fix: "chmod 644"},
		{name: "a file that belongs to a user", seed: func(h *host) { check(h.t, os.Chown(h.real(h.mine("rcpt", h.flavour)), 65534, 65534)) },
			file: "rcpt", says: "belongs to uid 65534", fix: "chown root"},
		{name: "a link in the place of a file", seed: instead(func(path string) error { return os.Symlink("/etc/passwd", path) }), in: []string{"debian-split", "debian-unsplit"},
			file: "rcpt", says: "is a link", fix: "make it a real file"},
		{name: "a pipe in the place of a file", seed: instead(func(path string) error { return syscall.Mkfifo(path, 0o644) }), in: []string{"debian-split"},
			file: "rcpt", says: "is not a regular file", fix: "take it away"},
		{name: "a folder that everybody can change", seed: func(h *host) {
			check(h.t, os.Chmod(filepath.Dir(h.real(h.mine("rcpt", h.flavour))), 0o777))
		}, says: "can be changed by everybody", fix: "chmod o-w"},
		{name: "accept hosts = : above ours", in: []string{"stock"}, seed: func(h *host) {
			h.edit("/etc/exim4/exim4.conf", replace("acl_check_rcpt:\n", "acl_check_rcpt:\n  accept  hosts = : \n"))
		}, file: "site", says: "accepts before eximpolicyd is asked at RCPT: accept hosts = :", fix: "move it below ours"},
		{name: "an accept of the administrator's in our ACL", in: []string{"debian-split", "debian-unsplit"}, seed: func(h *host) {
			h.edit(h.mine("rcpt", h.flavour), replace("  warn    set acl_m_eximpolicyd_verify = none\n          domains", "  accept  hosts = 192.0.2.0/24\n  warn    set acl_m_eximpolicyd_verify = none\n          domains"))
			h.remake(h.flavour)
		}, file: "rcpt", says: "accepts before eximpolicyd is asked at RCPT: accept hosts = 192.0.2.0/24", fix: "move it below ours"},
		{name: "somebody else has set the ACL at RCPT since", in: []string{"debian-split", "debian-unsplit"}, seed: func(h *host) {
			if h.flavour == "debian-split" {
				h.setting(h.flavour, "MAIN_ACL_CHECK_RCPT == acl_check_rcpt")
				return
			}
			h.edit("/etc/exim4/exim4.conf.localmacros", func(text string) string { return text + "MAIN_ACL_CHECK_RCPT == acl_check_rcpt\n" })
			h.remake(h.flavour)
		}, file: "site", says: "acl_smtp_rcpt is acl_check_rcpt and not ours", fix: "take that line out"},
		{name: "somebody else has set the ACL at CONNECT since", in: []string{"stock", "debian-split"}, seed: func(h *host) {
			own := map[string]string{"stock": "/etc/exim4/eximpolicyd-main.inc", "debian-split": "/etc/exim4/conf.d/main/95_eximpolicyd"}[h.flavour]
			h.edit(own, replace("acl_smtp_connect = eximpolicyd_connect\n", ""))
			h.setting(h.flavour, "acl_smtp_connect = accept")
		}, file: "site", says: "acl_smtp_connect is accept and not ours (eximpolicyd_connect)", fix: "take that line out"},
		{name: "one of our lines is taken out", in: []string{"stock"}, seed: func(h *host) {
			h.edit("/etc/exim4/exim4.conf", replace(".include /etc/exim4/eximpolicyd-data.inc\n", ""))
		}, file: "site", says: `the line ".include /etc/exim4/eximpolicyd-data.inc" is missing`, fix: "setup --add"},
		{name: "one of our lines is edited", in: []string{"stock"}, seed: func(h *host) {
			h.edit("/etc/exim4/exim4.conf", replace(".include /etc/exim4/eximpolicyd-data.inc\n", ".include_if_exists /etc/exim4/eximpolicyd-data.inc\n"))
		}, file: "site", says: "a line of ours has been edited", fix: "take it and the line above it out"},
		{name: "Debian's configuration was not made anew", in: []string{"debian-split", "debian-unsplit"}, seed: func(h *host) {
			h.root("cp", "/var/lib/exim4/config.autogenerated.eximpolicyd-before", "/var/lib/exim4/config.autogenerated")
		}, says: "is not what update-exim4.conf makes", fix: "update-exim4.conf"},
		{name: "held mail is thrown away", args: []string{"--config", "FREEZE"}, seed: func(h *host) {}, says: "Exim throws it away after 1w", fix: "= 0s"},
		{name: "a statement that Exim cannot carry out", in: []string{"debian-unsplit"}, seed: func(h *host) {
			h.edit(h.mine("rcpt", h.flavour), replace("  require acl", "  require condition = ${bogus:x}\n  require acl"))
		}, says: "Exim does not get through a session up to RCPT", fix: "setup --remove"},
		{name: "Exim was not reloaded", seed: func(h *host) {
			h.does(0, "--remove")
			pid := strings.TrimSpace(h.root("sh", "-c", "exim4 -bdf -oX 127.0.0.1:0 >/dev/null 2>&1 & echo $!"))
			check(h.t, os.WriteFile(filepath.Join(h.Dir(), "runs/exim4/exim.pid"), []byte(pid+"\n"), 0o644))
			check(h.t, rig.Await("Exim to run", func() bool { return strings.Contains(h.Mainlog(), "daemon started: pid="+pid) }))
			h.does(0, "--add")
		}, says: "runs since before this configuration was made", fix: "reload Exim"},
	}
}

// within seeds a fault, and wants it found where it is, with what to do, and nothing changed by looking.
func within(h *host, f seeded) {
	h.t.Helper()
	if f.name == "made with another time-out" {
		h.does(0, append([]string{"--add"}, f.args...)...)
		f.args = nil
	}
	f.seed(h)
	args := slices.Clone(f.args)
	if i := slices.Index(args, "FREEZE"); i >= 0 {
		args[i] = filepath.Join(h.Dir(), "freeze.toml")
		check(h.t, os.WriteFile(args[i], []byte("[policy.nobody]\naction = \"freeze\"\n"), 0o644))
	}
	before := h.tree()
	out, code := h.setup(append([]string{"--check", "--json"}, args...)...)
	h.unchanged(before, f.name+": after a check")
	text, _, _ := strings.Cut(out, "\n")
	var found []struct {
		File, What, Fix string
		Line            int
	}
	if err := json.Unmarshal([]byte(text), &found); err != nil || code != 1 {
		h.t.Errorf("%s: exit %d: %v\n%s", f.name, code, err, out)
		return
	}
	for _, one := range found {
		file := f.file
		if named := h.mine(file, h.flavour); named != "" {
			file = named
		}
		if strings.Contains(one.What, f.says) && strings.Contains(one.Fix, f.fix) && (file == "" || one.File == file) {
			return
		}
	}
	h.t.Errorf("%s: not found\n%s", f.name, strings.ReplaceAll(out, "},{", "},\n{"))
}

func TestEveryFaultThatComesAfterSetupIsFoundWithItsFix(t *testing.T) {
	onEveryHost(t, func(h *host) {
		h.daemon()
		before := h.tree()
		h.does(0, "--add")
		restore := h.save()
		sockets := func() {
			check(h.t, os.Chmod(filepath.Join(h.Dir(), "run"), 0o750))
			os.Remove(filepath.Join(h.Dir(), "run", "bypass"))
			os.Rename(h.SocketPath()+"x", h.SocketPath())
			check(h.t, os.Chmod(h.SocketPath(), 0o660))
			if pid, err := os.ReadFile(filepath.Join(h.Dir(), "runs/exim4/exim.pid")); err == nil {
				h.root("kill", strings.TrimSpace(string(pid)))
				check(h.t, os.Remove(filepath.Join(h.Dir(), "runs/exim4/exim.pid")))
			}
		}
		n := 0
		for _, fault := range faultsWithin() {
			if fault.in != nil && !slices.Contains(fault.in, h.flavour) {
				continue
			}
			within(h, fault)
			restore()
			sockets()
			n++
		}
		h.does(0, "--check")
		h.does(0, "--remove")
		h.unchanged(before, "after all faults, and removed")
		h.t.Logf("FIGURE %s: %d faults seeded after setup, all found; files identical afterwards", h.flavour, n)
	})
}

// faultsBefore are those that are there before setup: --add says so and changes nothing.
func faultsBefore() []seeded {
	ours := func(make func(path string) error) func(h *host) {
		return func(h *host) {
			path := h.real(h.mine("rcpt", h.flavour))
			check(h.t, os.MkdirAll(filepath.Dir(path), 0o755))
			check(h.t, make(path))
		}
	}
	debian := []string{"debian-split", "debian-unsplit"}
	return []seeded{
		{name: "the ACL at CONNECT is the administrator's", seed: func(h *host) { h.setting(h.flavour, "acl_smtp_connect = accept") },
			code: 78, says: "acl_smtp_connect = accept is yours", fix: "require acl = "},
		{name: "a configuration that Exim does not take", in: []string{"stock"}, seed: func(h *host) { h.setting(h.flavour, "no_such_option = 1") },
			code: 78, says: `main option "no_such_option" unknown`, fix: "mend that first"},
		{name: "a file of somebody else in the place of ours", seed: ours(func(path string) error { return os.WriteFile(path, []byte("# mine\n"), 0o644) }),
			code: 78, says: "is there already, and not made by setup", fix: "--add --force"},
		{name: "a link in the place of ours", seed: ours(func(path string) error { return os.Symlink("/etc/passwd", path) }), code: 77, says: "is a link, and setup never follows one"},
		{name: "a link that leads nowhere in the place of ours", seed: ours(func(path string) error { return os.Symlink("/nowhere", path) }), code: 77, says: "is a link, and setup never follows one"},
		{name: "a pipe in the place of ours", seed: ours(func(path string) error { return syscall.Mkfifo(path, 0o644) }), code: 77, says: "is not a regular file"},
		{name: "a folder that everybody can write in", seed: func(h *host) {
			folder := "/etc/exim4"
			if h.flavour == "debian-split" {
				folder += "/conf.d/acl"
			}
			check(h.t, os.Chmod(h.real(folder), 0o777))
		}, code: 77, says: "can be changed by everybody", fix: "chmod o-w"},
		{name: "an answer file that a user can change, which the script runs", in: debian, seed: func(h *host) { check(h.t, os.Chown(h.real("/etc/exim4/update-exim4.conf.conf"), 65534, 65534)) },
			code: 77, says: "belongs to uid 65534", fix: "chown root"},
		{name: "a configuration file that is a link", in: debian, seed: func(h *host) {
			check(h.t, os.Rename(h.real("/etc/exim4/update-exim4.conf.conf"), h.real("/etc/exim4/answers")))
			check(h.t, os.Symlink("answers", h.real("/etc/exim4/update-exim4.conf.conf")))
		}, code: 77, says: "is a link, and setup never follows one"},
		{name: "an edit of the administrator's that is not in force yet", in: debian, seed: func(h *host) {
			check(h.t, os.WriteFile(h.real(h.mine("site", h.flavour)), []byte("split_spool_directory = true\n"), 0o644))
		},
			code: 78, says: "is not what update-exim4.conf makes", fix: "run update-exim4.conf"},
		{name: "the ACL at RCPT is chosen by an expansion", in: []string{"stock"}, seed: func(h *host) {
			h.edit("/etc/exim4/exim4.conf", replace("acl_smtp_rcpt =         acl_check_rcpt", "acl_smtp_rcpt = ${if bool{yes}{acl_check_rcpt}}"))
		}, code: 78, says: "not the name of an ACL", fix: "eximpolicyd snippets"},
		{name: "the ACL at RCPT stands in another file", in: []string{"stock"}, seed: func(h *host) {
			h.edit("/etc/exim4/exim4.conf", replace("acl_check_rcpt:\n", ".include /etc/exim4/label\n"))
			h.put("/etc/exim4/label", "acl_check_rcpt:\n")
		}, code: 78, says: `has not one line "acl_check_rcpt:"`, fix: "eximpolicyd snippets"},
		{name: "the label that the line stands below is in a part that Exim passes over", in: []string{"stock"}, seed: func(h *host) {
			h.edit("/etc/exim4/exim4.conf", replace("acl_check_data:\n", ".ifdef NEVER\nacl_check_data:\n.endif\n.include /etc/exim4/label\n"))
			h.put("/etc/exim4/label", "acl_check_data:\n")
		}, code: 78, says: "exim -bh up to DATA: Exim did not ask", fix: "nothing was changed"},
		{name: "a list that ours asks for has another name", in: []string{"stock"}, seed: func(h *host) {
			h.edit("/etc/exim4/exim4.conf", func(text string) string { return strings.ReplaceAll(text, "relay_from_hosts", "relayers") })
		}, code: 78, says: "Exim does not get through with our files", fix: "nothing was changed"},
		{name: "the site itself answers 451", in: []string{"stock"}, seed: func(h *host) {
			h.edit("/etc/exim4/exim4.conf", replace("acl_check_data:\n", "acl_check_data:\n  require condition = ${bogus:x}\n"))
		}, code: 78, says: "without us either, up to DATA", fix: "mend that first"},
	}
}

// nameless is what setup said without what is another each time: its private folder, an id and a time of Exim's.
func (h *host) nameless(said string) string {
	return regexp.MustCompile(`eximpolicyd-setup-\d+|\b\w{6}-\w{6,11}-\w{2,4}\b|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`).ReplaceAllString(said, "N")
}

func TestEveryFaultThatIsThereBeforeSetupLeavesEveryFileAsItWas(t *testing.T) {
	onEveryHost(t, func(h *host) {
		h.daemon()
		restore := h.save()
		n := 0
		for _, f := range faultsBefore() {
			if f.in != nil && !slices.Contains(f.in, h.flavour) {
				continue
			}
			f.seed(h)
			before := h.tree()
			dry, dryCode := h.setup("--add", "--dry-run")
			out, code := h.setup("--add")
			h.unchanged(before, f.name)
			if dryCode != code || h.nameless(dry) != h.nameless(out) {
				h.t.Errorf("%s: a dry run: exit %d and not %d\n%s---\n%s", f.name, dryCode, code, dry, out)
			}
			if code != f.code || !strings.Contains(out, f.says) || !strings.Contains(out, f.fix) {
				h.t.Errorf("%s: exit %d\n%s", f.name, code, out)
			}
			restore()
			n++
		}
		h.does(0, "--add")
		h.t.Logf("FIGURE %s: %d faults seeded before setup, all told; files identical each time", h.flavour, n)
	})
}
