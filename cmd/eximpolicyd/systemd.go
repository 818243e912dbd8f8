package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"

	"eximpolicyd/acl"
)

// The names that our units give their sockets (FileDescriptorName= of systemd.socket(5)).
const (
	policyName  = "policy"
	controlName = "control"
)

// handed are the sockets that systemd listens on for us (sd_listen_fds(3)); without systemd there are none. We neither
// remove nor change what stands in the file system: the next daemon gets the same sockets, with all that waits in them.
type handed []handedSocket

type handedSocket struct {
	name string
	l    *net.UnixListener
}

// takeHanded takes them once: what we start ourselves is not to have them.
func takeHanded() (handed, error) {
	var h handed
	for _, f := range activation.Files(true) {
		name := f.Name()
		l, err := net.FileListener(f) // a copy, that is not removed from the file system when it is closed
		f.Close()
		u, is := l.(*net.UnixListener)
		if err != nil || !is {
			h.close()
			if err == nil {
				err = fmt.Errorf("it is of kind %s", l.Addr().Network())
				l.Close()
			}
			return nil, fail(exConfig, "its unit needs a line ListenStream=/run/eximpolicyd/policy.sock and none of Accept=yes",
				"systemd handed over a socket, %q, that is no listening Unix socket: %w", name, err)
		}
		h = append(h, handedSocket{name, u})
	}
	return h, nil
}

// take returns the socket of a name, or else, since a name is easily forgotten, the one at a path; nil if there is none.
func (h *handed) take(name, path string) *net.UnixListener {
	i := slices.IndexFunc(*h, func(s handedSocket) bool { return s.name == name })
	if i < 0 {
		i = slices.IndexFunc(*h, func(s handedSocket) bool { return s.l.Addr().String() == path })
	}
	if i < 0 {
		return nil
	}
	l := (*h)[i].l
	*h = slices.Delete(*h, i, i+1)
	return l
}

// rest closes what nobody took, and says so.
func (h handed) rest(log *slog.Logger) {
	for _, s := range h {
		log.Warn("systemd handed over a socket that is not known, and nobody is answered on it: FileDescriptorName= of its unit is "+
			"policy or control", "name", s.name, "socket", s.l.Addr().String())
	}
	h.close()
}

func (h handed) close() {
	for _, s := range h {
		s.l.Close()
	}
}

// tell tells systemd how we are (sd_notify(3)), in a word and a line for systemctl status; without systemd, nobody.
func (s *server) tell(state, status string) {
	const most = 200 // of a status: one line of a terminal or two
	status, more, _ := strings.Cut(status, "\n")
	if more != "" {
		status += " ..."
	}
	if len(status) > most {
		status = strings.ToValidUTF8(status[:most], "") + "..."
	}
	if status != "" {
		state += "\nSTATUS=" + status
	}
	if _, err := daemon.SdNotify(false, state); err != nil {
		s.log.Load().Warn("systemd is not told how we are", "state", state, "error", err)
	}
}

// reloading is what systemd is told before a configuration is read. The time is how it knows which of two reloads is
// meant.
func reloading() string {
	return daemon.SdNotifyReloading + "\n" + strings.TrimSpace(daemon.SdNotifyMonotonicUsec())
}

// ready tells systemd that the daemon answers.
func (s *server) ready() {
	in := s.inForce.Load()
	s.tell(daemon.SdNotifyReady, "answers on "+s.at+": "+summary(in.settings.Decider.Rules))
}

// watched tells systemd's watchdog that we live, as long as alive says so, until ctx ends; then, that we stop. A third of
// what it grants lies between two questions, and one unanswered leaves time for the next.
func (s *server) watched(ctx context.Context, alive func(context.Context) error) {
	grants, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		s.log.Load().Warn("the watchdog of systemd is not understood and will end this daemon", "error", err)
	}
	var tick <-chan time.Time
	if grants > 0 {
		t := time.NewTicker(grants / 3)
		defer t.Stop()
		tick = t.C
	}
	for told := false; ; {
		select {
		case <-ctx.Done():
			s.tell(daemon.SdNotifyStopping, "stops: answers what it was asked, and saves what it remembers")
			return
		case <-tick:
		}
		within, done := context.WithTimeout(ctx, grants/3)
		err := alive(within)
		done()
		switch {
		case ctx.Err() != nil:
			continue
		case errors.Is(err, acl.ErrSilent):
			s.log.Load().Error("the watchdog of systemd is not told that we live", "error", err)
			continue
		case err != nil && !told:
			s.log.Load().Warn("the watchdog of systemd cannot know whether we answer", "error", err)
		}
		told = err != nil
		s.tell(daemon.SdNotifyWatchdog, "")
	}
}
