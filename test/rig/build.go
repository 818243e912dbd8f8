package rig

import (
	"fmt"
	"os/exec"
	"path/filepath"
)

// Build makes the eximpolicyd binary in a folder and returns its path. Call it
// once a test run: the tests of a package share the result.
func Build(dir string) (string, error) {
	binary := filepath.Join(dir, "eximpolicyd")
	out, err := exec.Command("go", "build", "-o", binary, "eximpolicyd/cmd/eximpolicyd").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("rig: go build ./cmd/eximpolicyd: %w\n%s", err, out)
	}
	return binary, nil
}
