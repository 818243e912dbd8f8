package test

import (
	"strings"
	"testing"

	"eximpolicyd/test/rig"
)

func TestSetupPutsTheSnippetsInAndLeavesEveryFileAsItWas(t *testing.T) {
	onEveryHost(t, func(h *host) {
		f := h.daemon()
		before := h.tree()
		plan := h.does(0, "--add", "--dry-run")
		h.unchanged(before, "after a dry run")
		if !strings.Contains(plan, "try   all of it in a private folder") || !strings.Contains(plan, "write ") {
			h.t.Errorf("the plan says:\n%s", plan)
		}
		if out := h.does(1, "--check"); !strings.Contains(out, "fix: eximpolicyd setup --add") {
			h.t.Errorf("check before: %s", out)
		}
		h.unchanged(before, "after a check")
		out := h.does(0, "--add")
		for line := range strings.Lines(plan) {
			if !strings.Contains(out, line) {
				h.t.Errorf("the plan says %q, and add does not", line)
			}
		}
		if !strings.Contains(out, "now reload Exim: ") {
			h.t.Errorf("nobody is told to reload:\n%s", out)
		}
		h.does(0, "--check")
		within := h.tree()
		if strings.Contains(h.does(0, "--add"), "write ") {
			h.t.Error("a second add writes something")
		}
		if again := h.tree(); len(again) != len(within) {
			h.t.Error("a second add changes something")
		}
		f.Forget()
		if out, err := h.BH("203.0.113.7", "EHLO client.example", "MAIL FROM:<x@client.example>", "RCPT TO:<alice@"+rig.Domain+">", "DATA",
			strings.ReplaceAll(mail("x"), "\n", "\r\n")+".", "QUIT"); err != nil {
			h.t.Errorf("%v\n%s", err, out)
		}
		if got := strings.Join(stagesOf(h.t, f), " "); got != "CONNECT HELO MAIL RCPT DATA QUIT" {
			h.t.Errorf("asked at %s", got)
		}
		h.does(0, "--remove")
		h.unchanged(before, "after it is removed")
		h.does(0, "--remove")
		h.unchanged(before, "after it is removed again")
		for line := range strings.Lines(h.Mainlog() + h.Rejectlog() + h.Paniclog()) {
			if !strings.Contains(line, " args: ") { // this site's log_selector has +arguments
				h.t.Errorf("setup has written into Exim's logs: %s", line)
			}
		}
	})
}
