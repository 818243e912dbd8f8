package eximsnippets

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// Bounds of the options; each says what Exim does beyond it.
const (
	maxSocket  = 107 // sun_path is 108 with its NUL; Exim cuts a longer path silently
	maxSeconds = 60  // a client gives up after five minutes, and a session has nine questions
)

// complete fills in the defaults and checks what Exim would not: a time-out it
// cannot read means "never", and a socket path is expanded before it is used.
func (o Options) complete(f flavour) (Options, error) {
	if o.Socket == "" {
		o.Socket = DefaultSocket
	}
	if o.Timeout == "" {
		o.Timeout = DefaultTimeout
	}
	if o.Dir == "" {
		o.Dir = f.dir
	}
	if err := checkPath("socket", o.Socket); err != nil {
		return o, err
	}
	if n := len(o.Socket); n > maxSocket {
		return o, fmt.Errorf("snippets: socket: path of %d bytes, and Exim cuts it silently after %d: use a shorter one", n, maxSocket)
	}
	if err := checkPath("dir", o.Dir); err != nil {
		return o, err
	}
	return o, checkTimeout(o.Timeout)
}

// checkPath wants the characters that neither Exim's expansion nor its option
// syntax reads as anything but themselves.
func checkPath(what, p string) error {
	switch {
	case !strings.HasPrefix(p, "/"):
		return fmt.Errorf("snippets: %s: %q is not an absolute path: begin it with /", what, p)
	case !regexp.MustCompile(`^[A-Za-z0-9._/+-]+$`).MatchString(p):
		return fmt.Errorf("snippets: %s: %q holds a character that Exim would expand: use letters, digits and . _ / + - only", what, p)
	case path.Clean(p) != p || p == "/":
		return fmt.Errorf("snippets: %s: %q is not a plain path: write %q, without ., .., // or a / at the end", what, p, path.Clean(p))
	}
	return nil
}

func checkTimeout(t string) error {
	digits, ok := strings.CutSuffix(t, "s")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || digits != strconv.Itoa(n) || n < 1 {
		return fmt.Errorf("snippets: timeout: %q is not whole seconds with the unit, and Exim would wait for ever: write 3s", t)
	}
	if n > maxSeconds {
		return fmt.Errorf("snippets: timeout: %q is longer than a client waits: write %ds or less", t, maxSeconds)
	}
	return nil
}
