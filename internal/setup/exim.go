package setup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// Bounds of one run of a program.
const (
	runTime = time.Minute // a DNS server that does not answer costs Exim some 20 s
	maxSaid = 4 << 20     // -bh tells of each test that Exim makes
)

// said is what a program has written, and how it ended.
type said struct {
	out string
	err error // how it ended; a code that is not 0 is an error
}

// run runs a program that only root can change, in an environment of ours. It is in a process group of its own, so that a
// signal from the terminal is for us, who then let it end; and it holds the lock, so that nobody undoes what it still does.
func (s *Setup) run(ctx context.Context, stdin, path string, args ...string) said {
	if err := program(path); err != nil {
		return said{err: err}
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), runTime)
	defer stop()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "TMPDIR=" + s.private}
	cmd.Dir = "/"
	cmd.Stdin = strings.NewReader(stdin)
	out := &bounded{most: maxSaid}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if s.lock != nil {
		cmd.ExtraFiles = []*os.File{s.lock}
	}
	err := cmd.Run()
	if ctx.Err() != nil {
		err = fmt.Errorf("it was still running after %s", runTime)
	}
	return said{out.String(), err}
}

// bounded keeps the first octets that are written to it.
type bounded struct {
	bytes.Buffer
	most int
}

// Write keeps what has room, and says that it kept all.
func (b *bounded) Write(p []byte) (int, error) {
	if room := b.most - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(len(p), room)])
	}
	return len(p), nil
}

// eximAt runs Exim with a configuration, "" being its own.
func (s *Setup) eximAt(ctx context.Context, conf, stdin string, args ...string) said {
	if conf == "" && s.o.Config != "" {
		conf = s.o.Config
	}
	if conf != "" {
		args = append([]string{"-C", conf}, args...)
	}
	return s.run(ctx, stdin, s.exim, args...)
}

// eximPlaces are where an Exim lies that was not named.
func eximPlaces() []string {
	return []string{"/usr/sbin/exim4", "/usr/sbin/exim", "/usr/bin/exim4", "/usr/bin/exim", "/usr/exim/bin/exim", "/usr/local/sbin/exim"}
}

// findExim returns the one named, or the first that is there. One that is a link or that users can change is passed over
// only if there is another.
func findExim(named string) (string, error) {
	places := eximPlaces()
	if named != "" {
		places = []string{named}
	}
	var first error
	for _, p := range places {
		err := program(p)
		if err == nil {
			return p, nil
		}
		if first == nil && !errors.Is(err, fs.ErrNotExist) {
			first = err
		}
	}
	if first != nil {
		return "", first
	}
	if named != "" {
		return "", fault(NoExim, "", "there is no %s", named)
	}
	return "", fault(NoExim, "name it with --exim", "no Exim is installed here (looked at %s)", strings.Join(places, ", "))
}

// readOptions asks Exim for its options, all at once; a value is as Exim prints it.
func (s *Setup) readOptions(ctx context.Context) error {
	r := s.eximAt(ctx, "", "", "-bP")
	if r.err != nil {
		return fault(BadConfiguration, "mend that first; nothing was changed", "Exim does not take its configuration: %s", firstWords(r))
	}
	s.options = map[string]string{}
	for line := range strings.Lines(r.out) {
		line = strings.TrimSuffix(line, "\n")
		if name, value, ok := strings.Cut(line, " = "); ok {
			s.options[name] = value
		} else if name, ok := strings.CutSuffix(line, " ="); ok {
			s.options[name] = ""
		}
	}
	return nil
}

// option is the value of an option of Exim's as it runs; "" if it is not set.
func (s *Setup) option(name string) string { return strings.TrimSpace(s.options[name]) }

// firstWords is what a program complains of, short and on one line. Its words may quote a configuration, which has no
// secrets here, and nothing of a client's.
func firstWords(r said) string {
	lines := strings.FieldsFunc(r.out, func(c rune) bool { return c == '\n' })
	for i, line := range lines {
		if strings.Contains(line, "onfiguration error") || strings.Contains(line, "LOG: ") || strings.HasPrefix(line, "exim: ") {
			lines = lines[i:min(i+2, len(lines))]
			break
		}
	}
	lines = lines[max(0, len(lines)-3):]
	text := regexp.MustCompile(`\s+|[^[:print:]]`).ReplaceAllString(strings.Join(lines, " "), " ")
	if r.err != nil && text == "" {
		text = r.err.Error()
	}
	return text[:min(len(text), 400)]
}

// tested runs -bV with a configuration.
func (s *Setup) tested(ctx context.Context, conf string) error {
	if r := s.eximAt(ctx, conf, "", "-bV"); r.err != nil {
		return fmt.Errorf("exim -bV: %s", firstWords(r))
	}
	return nil
}
