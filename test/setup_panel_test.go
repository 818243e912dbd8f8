package test

import (
	"os"
	"strings"
	"testing"

	"eximpolicyd/test/rig"
)

func TestSetupChecksAPanelsEximAndLeavesItsWritingToThePanel(t *testing.T) {
	const own = "/etc/exim4/eximpolicyd/"
	cases := map[string][]struct {
		name       string
		seed       func(h *host)
		says, file string
	}{
		"cpanel": {
			{"a block is switched off", func(h *host) { h.edit("/etc/exim4/exim4.conf", replace("  require acl = eximpolicyd MAIL\n", "")) },
				"acl_smtp_mail does not ask at MAIL", "/etc/exim4/exim4.conf:"},
			{"the HELO ACL has nothing after ours", func(h *host) {
				h.edit("/etc/exim4/exim4.conf", func(text string) string {
					head, rest, _ := strings.Cut(text, "  require acl = eximpolicyd HELO\n")
					return head + "  require acl = eximpolicyd HELO\n" + strings.Replace(rest, "  accept\n", "", 1)
				})
			}, "nothing follows ours in acl_smtp_helo", "/etc/exim4/exim4.conf:"},
			{"a time-out that Exim takes for never", func(h *host) { h.edit(own+"main.inc", replace("TIMEOUT = 3s", "TIMEOUT = 500ms")) },
				`the time-out "500ms" is none that Exim reads`, own + "main.inc:"},
		},
		"directadmin": {
			{"the administrator accepts before us", func(h *host) {
				h.edit("/etc/exim4/exim.acl_check_recipient.pre.conf", func(text string) string { return "  accept  senders = boss@example.org\n" + text })
			}, "accepts before eximpolicyd is asked at RCPT: accept senders = boss@example.org", "/etc/exim4/exim.acl_check_recipient.pre.conf:1"},
			{"a room is empty", func(h *host) { check(h.t, os.Remove(h.real("/etc/exim4/exim.acl_check_message.pre.conf"))) },
				"acl_check_message does not ask at DATA", "/etc/exim4/exim4.conf:"},
			{"a call without a fail string", func(h *host) {
				h.edit(own+"policy.acl", func(text string) string {
					start := strings.LastIndex(text, "{${readsocket{")
					end := start + strings.Index(text[start:], "{reset}{1s}{ }{}}}") + len("{reset}{1s}{ }{}}}")
					return text[:start] + "{}" + text[end:]
				})
			}, "no other one as its fail string", own + "policy.acl:"},
		},
	}
	for panel, faults := range cases {
		t.Run(panel, func(t *testing.T) {
			t.Parallel()
			h := hostOf(t, rig.Config{Flavour: panel, Timeout: "3s"})
			h.daemon()
			// As setup finds it out.
			h.root("sh", "-ec", "mount -t tmpfs -o mode=755 tmpfs /usr/local; mkdir /usr/local/"+panel)
			before := h.tree()
			if out := h.does(78, "--add"); !strings.Contains(out, "eximpolicyd snippets --flavour "+panel+" prints") {
				t.Errorf("add says\n%s", out)
			}
			if add, dry := h.does(78, "--add"), h.does(78, "--add", "--dry-run"); add != dry {
				t.Errorf("a dry run says\n%s", dry)
			}
			h.does(78, "--remove")
			h.does(0, "--check")
			h.unchanged(before, "after add, remove and check")
			restore := h.save()
			for _, f := range faults {
				f.seed(h)
				if out := strings.Join(strings.Fields(h.does(1, "--check")), " "); !strings.Contains(out, f.says) || !strings.Contains(out, f.file) {
					t.Errorf("%s:\n%s", f.name, out)
				}
				restore()
			}
		})
	}
}
