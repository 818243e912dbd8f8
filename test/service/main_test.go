// Package service holds the daemon as a service to account: started by systemd or what does the same, restarted, killed
// and hung while it is asked, and its unit files.
package service

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"eximpolicyd/test/rig"
)

// binary is the real eximpolicyd.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "eximpolicyd")
	if err == nil {
		binary, err = rig.Build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}
