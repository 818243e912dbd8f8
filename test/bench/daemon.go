package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// build makes the daemon as make build does.
func build(ctx context.Context, binary string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s", "-o", binary, "eximpolicyd/cmd/eximpolicyd")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build ./cmd/eximpolicyd: %w\n%s", err, out)
	}
	return nil
}

// process is a server of ours, or the bare one.
type process struct {
	cmd    *exec.Cmd
	socket string
	log    string // the file with its standard error
	stop   func() error
}

// settings are the defaults, with everything observed, no DNS asked, and the log on as it is without a journal.
const settings = "mode = \"observe\"\n[dns]\nask = \"off\"\n[log]\nlevel = \"info\"\nformat = \"text\"\n"

// ownConnections are settings for a bench that asks by itself, about connections of its own: it is a program that was started, and
// not forked as Exim's children are, so the daemon proves nothing of it. It looks for each connection all the same, and then
// goes on as with one that is proven.
const ownConnections = "[listen]\nprove = \"off\"\n"

// serve starts the daemon on a socket and returns when it listens.
func (b *bench) serve(ctx context.Context, socket string) (*process, error) {
	return b.serveWith(ctx, socket, settings)
}

// serveWith starts it with settings of one's own.
func (b *bench) serveWith(ctx context.Context, socket, settings string) (*process, error) {
	dir, err := os.MkdirTemp(b.dir, "serve-")
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "eximpolicyd.toml")
	if err := os.WriteFile(config, []byte(settings), 0o644); err != nil {
		return nil, err
	}
	p := &process{cmd: exec.CommandContext(ctx, b.binary, "serve", "--config", config, "--socket", socket), socket: socket}
	p.cmd.Env = append(os.Environ(), "STATE_DIRECTORY="+filepath.Join(dir, "state"))
	p.stop = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	if err := p.start(filepath.Join(dir, "log")); err != nil {
		return p, err
	}
	return p, p.started()
}

// started returns when the daemon says that it listens: its socket takes connections before.
func (p *process) started() error {
	for range 1000 {
		if strings.Contains(p.text(), "msg=listening") {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return errors.Join(fmt.Errorf("%s does not say that it listens: %s", p.cmd.Path, p.text()), p.end())
}

// bare starts the bare server on a socket and returns when it listens.
func (b *bench) bare(ctx context.Context, socket, reply string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.CommandContext(ctx, self, bareServer, socket, reply), socket: socket}
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.stop = stdin.Close
	dir, err := os.MkdirTemp(b.dir, "bare-")
	if err != nil {
		return nil, err
	}
	return p, p.start(filepath.Join(dir, "log"))
}

func (p *process) start(log string) error {
	out, err := os.Create(log)
	if err != nil {
		return err
	}
	defer out.Close()
	p.log, p.cmd.Stderr = log, out
	if err := p.cmd.Start(); err != nil {
		return err
	}
	for range 1000 {
		c, err := net.Dial("unix", p.socket)
		if err == nil {
			return c.Close()
		}
		time.Sleep(5 * time.Millisecond)
	}
	return errors.Join(fmt.Errorf("%s does not listen on %s: %s", p.cmd.Path, p.socket, p.text()), p.end())
}

// end asks the process to stop and waits for it.
func (p *process) end() error { return errors.Join(p.stop(), p.cmd.Wait()) }

func (p *process) text() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(b))
}

// decisions counts the decision lines of a stage in the log. It is an error if one of them is of a connection that was
// not proven, or was late: then not everything was done that is done for real mail.
func (p *process) decisions(stage string) (int, error) {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return 0, err
	}
	n := 0
	for line := range bytes.Lines(b) {
		switch {
		case !bytes.Contains(line, []byte("msg=decision stage="+stage+" ")):
		case !bytes.Contains(line, []byte(" class=")) && bytes.Contains(line, []byte(" synthetic=false degraded=false ")):
			n++
		default:
			return 0, fmt.Errorf("not judged as mail from outside: %s", line)
		}
	}
	return n, nil
}

// expect is an error if the log has not so many decisions of a stage. The daemon answers first and writes then, so the
// last lines may take a moment.
func (p *process) expect(stage string, want int) error {
	got, err := p.decisions(stage)
	for tries := 0; err == nil && got < want && tries < 100; tries++ {
		time.Sleep(10 * time.Millisecond)
		got, err = p.decisions(stage)
	}
	if err == nil && got != want {
		err = fmt.Errorf("%d decisions at %s in %s, want %d", got, stage, p.log, want)
	}
	return err
}
