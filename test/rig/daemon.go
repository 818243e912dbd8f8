package rig

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"eximpolicyd/acl"
)

// A Daemon is the real eximpolicyd. That of a site runs inside it, where the
// users have the site's names. It logs JSON to a file of its own.
type Daemon struct {
	p      *process
	config string   // its path
	output string   // likewise
	status []string // asks it for its status
}

// A Decision is a decision line of the daemon's log, in its own words.
type Decision struct {
	Msg           string      `json:"msg"`
	Stage         string      `json:"stage"`
	Action        string      `json:"action"`
	ID            string      `json:"id"`
	ClientAddress string      `json:"client_address"`
	ClientPort    int         `json:"client_port"`
	Code          string      `json:"code"`
	Rule          string      `json:"rule"`
	Would         string      `json:"would"`
	Rules         []string    `json:"rules"`
	Score         json.Number `json:"score"`
	Mark          bool        `json:"mark"`
	Reason        string      `json:"reason"`
	Class         string      `json:"class"`
	HELO          string      `json:"helo_name"`
	Sender        string      `json:"sender"`
	Recipient     string      `json:"recipient"`
	QueueID       string      `json:"queue_id"`
	UID           *uint32     `json:"uid"`
	CWD           string      `json:"cwd"`
	ClientUID     *uint32     `json:"client_uid"`
	Source        string      `json:"source"`
	Account       string      `json:"account"`
	Program       string      `json:"program"`
	Args          string      `json:"args"`
	Synthetic     bool        `json:"synthetic"`
	Degraded      bool        `json:"degraded"`
}

// A Ban is one that a decision line says was made.
type Ban struct {
	Network string `json:"network"`
	Level   int    `json:"level"`
	Mode    string `json:"mode"`
	Rule    string `json:"rule"`
}

// Serve starts a daemon on the site's socket with a configuration and more
// flags, and returns when it listens. The configuration must not have a table
// [log]: that is ours, and log.level is debug, so that every stage has a line.
// Without [dns] or dns.servers in it the daemon asks no DNS.
func (s *Site) Serve(binary, config string, flags ...string) (*Daemon, error) {
	s.daemons++
	d := &Daemon{
		config: filepath.Join(s.dir, "eximpolicyd.toml"),
		output: filepath.Join(s.dir, fmt.Sprintf("eximpolicyd-%d.log", s.daemons)),
		status: []string{binary, "status", "--json", "--socket", filepath.Join(filepath.Dir(s.SocketPath()), "control.sock")},
	}
	if err := d.write(config); err != nil {
		return nil, err
	}
	argv := append([]string{binary, "serve", "--config", d.config, "--socket", s.SocketPath()}, flags...)
	cmd := s.command("/", argv...)
	cmd.Env = append(cmd.Env, "STATE_DIRECTORY="+s.StateDir())
	return d, d.start(cmd)
}

// start runs the daemon and returns when it listens.
func (d *Daemon) start(cmd *exec.Cmd) error {
	p, err := begin(cmd, d.output)
	if err != nil {
		return err
	}
	d.p = p
	err = Await("eximpolicyd to listen", func() bool { return d.gone() || d.says(`"msg":"listening"`) })
	if err == nil && d.gone() {
		err = fmt.Errorf("rig: eximpolicyd did not start: %s", d.Log())
	}
	if err != nil {
		return join(err, p.end())
	}
	return nil
}

func (d *Daemon) write(config string) error {
	text := "log = {format = \"json\", level = \"debug\"}\n" + config
	if !strings.Contains(config, "[dns]") && !strings.Contains(config, "dns.servers") {
		text += "\n[dns]\nask = \"off\"\n"
	}
	if err := os.WriteFile(d.config, []byte(text), 0o644); err != nil {
		return fmt.Errorf("rig: %w", err)
	}
	return nil
}

// StateDir is where the daemons of a site keep what they remember.
func (s *Site) StateDir() string { return filepath.Join(s.dir, "state") }

// ConfigFile is the path of the configuration, as the daemon names it in its log.
func (d *Daemon) ConfigFile() string { return d.config }

// Log returns all that the daemon has written so far.
func (d *Daemon) Log() string {
	text, err := os.ReadFile(d.output)
	if err != nil {
		return ""
	}
	return string(text)
}

func (d *Daemon) says(text string) bool { return strings.Contains(d.Log(), text) }

func (d *Daemon) gone() bool {
	select {
	case <-d.p.gone:
		return true
	default:
		return false
	}
}

// Decisions returns the decision lines written so far, in the order of their
// ids, which is that of the decisions: the daemon answers first and writes then,
// so that the lines of a busy one stand in another order, and the newest may
// still be missing, unless Settle has waited for it.
func (d *Daemon) Decisions() ([]Decision, error) {
	var list []Decision
	text := d.Log()
	for line := range strings.Lines(text) {
		if !strings.HasSuffix(line, "\n") || !strings.Contains(line, `"msg":"decision"`) {
			continue
		}
		var one Decision
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			return nil, fmt.Errorf("rig: decision line %q: %w", line, err)
		}
		list = append(list, one)
	}
	slices.SortStableFunc(list, func(a, b Decision) int { return strings.Compare(a.ID, b.ID) })
	return list, nil
}

// banKey comes before a ban in a decision line: of its network, a client can have a second one.
var banKey = regexp.MustCompile(`"ban\d*":`)

// Bans returns the bans that were made so far, in the order of the log. A decision may make several.
func (d *Daemon) Bans() ([]Ban, error) {
	var list []Ban
	for line := range strings.Lines(d.Log()) {
		if !strings.HasSuffix(line, "\n") {
			break // not whole yet
		}
		for _, part := range banKey.Split(line, -1)[1:] {
			var one Ban
			if err := json.NewDecoder(strings.NewReader(part)).Decode(&one); err != nil {
				return nil, fmt.Errorf("rig: decision line %q: %w", line, err)
			}
			list = append(list, one)
		}
	}
	return list, nil
}

// Await returns the first decision line that fits, as soon as it is written.
func (d *Daemon) Await(what string, fits func(Decision) bool) (Decision, error) {
	var found Decision
	var bad error
	err := Await("a decision line: "+what, func() bool {
		list, err := d.Decisions()
		if err != nil {
			bad = err
			return true
		}
		for _, one := range list {
			if fits(one) {
				found = one
				return true
			}
		}
		return false
	})
	return found, join(err, bad)
}

// Settle returns when the log of a site's daemon has a line of every decision that there has been.
func (d *Daemon) Settle() error {
	return Await("a line of every decision", func() bool {
		out, _ := exec.Command(d.status[0], d.status[1:]...).Output() // a daemon with faults makes it fail, and is told all the same
		var st struct{ Door acl.Stats }
		if json.Unmarshal(out, &st) != nil {
			return d.gone()
		}
		made := 0
		for i := range st.Door.Stages {
			made += int(st.Door.Stages[i].Decisions())
		}
		list, err := d.Decisions()
		return err != nil || len(list) >= made
	})
}

// Reload gives the daemon another configuration by SIGHUP and returns when it
// has said whether it took it.
func (d *Daemon) Reload(config string) error {
	answers := func() int {
		return strings.Count(d.Log(), `"msg":"configuration read"`) + strings.Count(d.Log(), `"msg":"the configuration is not changed"`)
	}
	before := answers()
	if err := d.write(config); err != nil {
		return err
	}
	if err := d.p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		return fmt.Errorf("rig: %w", err)
	}
	return Await("eximpolicyd to read its configuration", func() bool { return d.gone() || answers() > before })
}

// Kill ends the daemon as the kernel does when memory is short; its socket stays behind.
func (d *Daemon) Kill() error {
	err := d.p.cmd.Process.Kill()
	<-d.p.gone
	return err
}

// Stop asks the daemon to end and waits for it. It may have ended before.
func (d *Daemon) Stop() error { return d.p.end() }
