// Package script runs the dialogues under testdata: what an operator types, and what must come back. Each is a text file
// of commands (go doc github.com/rogpeppe/go-internal/testscript); they need no root and no Exim.
package script

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"eximpolicyd/internal/dnstest"
	"eximpolicyd/test/rig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestScripts(t *testing.T) {
	bin := t.TempDir()
	if _, err := rig.Build(bin); err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	modules, err := exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+string(os.PathListSeparator)+e.Getenv("PATH"))
			e.Setenv("ROOT", root)
			e.Setenv("STATE_DIRECTORY", filepath.Join(e.WorkDir, "state"))
			e.Setenv("GOCACHE", line(cache))
			e.Setenv("GOMODCACHE", line(modules))
			// A Unix socket's path has at most 107 octets, and $WORK may be longer.
			short, err := os.MkdirTemp("", "ep")
			if err != nil {
				return err
			}
			e.Defer(func() { os.RemoveAll(short) })
			e.Setenv("SHORT", short)
			e.Values["dns"] = new(*dnstest.Server)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "await": await, "lines": lines, "dns": serveDNS, "asked": asked, "awaitasked": awaitAsked,
			"smtp": speakSMTP, "terminal": terminal,
		},
	})
}
