package service

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// calls are the system calls that a SystemCallFilter= of the unit lets through, groups written out by systemd itself.
func calls(t *testing.T, unit string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		list, is := strings.CutPrefix(strings.TrimSpace(line), "SystemCallFilter=")
		if !is {
			continue
		}
		list, denied := strings.CutPrefix(list, "~")
		for todo := strings.Fields(list); len(todo) > 0; todo = todo[1:] {
			if !strings.HasPrefix(todo[0], "@") {
				allowed[todo[0]] = !denied
				continue
			}
			out, err := exec.Command("systemd-analyze", "syscall-filter", todo[0]).Output()
			if err != nil {
				t.Fatalf("%s: %v", todo[0], err)
			}
			for member := range strings.Lines(string(out)) {
				if member = strings.TrimSpace(member); member != todo[0] && !strings.HasPrefix(member, "#") {
					todo = append(todo, member)
				}
			}
		}
	}
	return allowed
}

func TestTheHelperMayLookAtAProcessAndNotIntoItsMemory(t *testing.T) {
	allowed := calls(t, "../../packaging/systemd/eximpolicyd-peek.service")
	for _, needed := range []string{"openat", "readlinkat", "accept4"} {
		if !allowed[needed] {
			t.Errorf("%s is not let through", needed)
		}
	}
	for _, call := range []string{"ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp", "perf_event_open", "bpf"} {
		if allowed[call] {
			t.Errorf("with CAP_SYS_PTRACE it may call %s on any process", call)
		}
	}
}
