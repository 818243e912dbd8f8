package rig

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// A Front is "eximpolicyd smtp". It needs no site.
type Front struct {
	*Daemon
	addr string
}

// ServeFront starts one, with its files in a folder, on a free port of loopback, with a configuration as Serve takes it and
// more flags.
func ServeFront(binary, dir, config string, flags ...string) (*Front, error) {
	f := &Front{Daemon: &Daemon{config: filepath.Join(dir, "front.toml"), output: filepath.Join(dir, "front.log")}}
	if err := f.write(config); err != nil {
		return nil, err
	}
	argv := append([]string{"smtp", "--config", f.config, "--listen", "127.0.0.1:0", "--name", Domain}, flags...)
	if err := f.start(exec.Command(binary, argv...)); err != nil {
		return nil, err
	}
	for line := range strings.Lines(f.Log()) {
		var said struct{ Msg, Address string }
		if json.Unmarshal([]byte(line), &said) == nil && said.Msg == "listening" {
			f.addr = said.Address
		}
	}
	if f.addr == "" {
		return nil, join(fmt.Errorf("rig: the front does not say where it listens: %s", f.Log()), f.Stop())
	}
	return f, nil
}

// Addr is where it listens.
func (f *Front) Addr() string { return f.addr }

// PID is its process.
func (f *Front) PID() int { return f.p.cmd.Process.Pid }
