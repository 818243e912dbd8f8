package test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"

	"eximpolicyd/internal/origin"
	"eximpolicyd/test/rig"
)

const aliceUID = 12001

// unprivileged starts a daemon of a site as alice, who has no capability, and returns it.
func unprivileged(t *testing.T, s *rig.Site) *rig.Daemon {
	t.Helper()
	group, err := user.LookupGroup("Debian-exim")
	check(t, err)
	gid, err := strconv.Atoi(group.Gid)
	check(t, err)
	// Her own copy: the descriptor that the other tests start it by is root's.
	program, err := os.ReadFile(binary(t))
	check(t, err)
	path := filepath.Join(s.Dir(), "eximpolicyd")
	check(t, os.WriteFile(path, program, 0o755))
	check(t, os.MkdirAll(s.StateDir(), 0o750))
	check(t, os.Chown(s.StateDir(), aliceUID, gid))
	check(t, os.Chown(filepath.Dir(s.SocketPath()), aliceUID, gid))
	wrapper := filepath.Join(s.Dir(), "serve")
	check(t, os.WriteFile(wrapper, fmt.Appendf(nil, "#!/bin/sh\nexec setpriv --reuid=%d --regid=%d --clear-groups --inh-caps=-all -- %s \"$@\"\n",
		aliceUID, gid, path), 0o755))
	d, err := s.Serve(wrapper, "")
	check(t, err)
	t.Cleanup(func() { check(t, d.Stop()) })
	return d
}

// helper listens where the daemon looks for it, as eximpolicyd-peek does, and knows nobody but alice.
func helper(t *testing.T, socket string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	check(t, err)
	check(t, os.Chmod(socket, 0o666))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	p := origin.Peek{Allowed: func(uid uint32) bool { return uid == aliceUID }, Log: slog.New(slog.DiscardHandler)}
	go func() { done <- p.Serve(ctx, l) }() // ended and waited for below
	t.Cleanup(func() {
		stop()
		check(t, <-done)
	})
}

func TestTheHelperTellsTheScriptAndWithoutItUserAndDirectoryAreRight(t *testing.T) {
	t.Parallel()
	s := site(t, rig.Config{Flavour: "stock"})
	// The helper's place, as this site sees it, is a folder of the site's own.
	peek := filepath.Join(s.Dir(), "peek")
	check(t, os.Mkdir(peek, 0o755))
	place := filepath.Dir(origin.PeekSocket)
	if out, err := s.Run("sh", "-c", "mount -t tmpfs tmpfs /run && mkdir -p /run/exim4 $1 && mount --bind $2 $1", "sh", place, peek); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	check(t, s.Start())
	d := unprivileged(t, s)
	for i, c := range []struct {
		name   string
		helper bool // who tells where the script lies: its arguments do not
	}{{"without a helper", false}, {"with a helper", true}} {
		if c.helper {
			helper(t, filepath.Join(peek, filepath.Base(origin.PeekSocket)))
		}
		dir := folder(t, s, fmt.Sprintf("site%d", i))
		subject := fmt.Sprintf("script%d", i)
		check(t, os.WriteFile(filepath.Join(dir, "send.php"), []byte(`<?php mail($argv[1], $argv[2], "text\n") or exit(1);`), 0o644))
		if out, err := s.As("nobody", dir, "", "/usr/bin/php", "-dsendmail_path="+sendmail+" -t -i", "send.php", "alice@"+rig.Domain, subject); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		want := "send.php"
		if c.helper {
			want = filepath.Join(dir, want)
		}
		got := originOf(t, s, subject)
		if got.Account != "nobody" || *got.UID != nobodyUID || got.Directory != dir || got.Program != want {
			t.Errorf("%s: %+v", c.name, got)
		}
		line, err := d.Await("of "+subject, func(l rig.Decision) bool { return l.QueueID == got.Queue })
		if check(t, err); loggedUID(line) != nobodyUID || line.Account != "nobody" || line.CWD != dir || line.Program != want {
			t.Errorf("%s: %+v", c.name, line)
		}
		// Whoever started sendmail here is root: that is not the user's program.
		subject = fmt.Sprintf("bare%d", i)
		if out, err := s.As("nobody", dir, letterText(subject), sendmail, "-t"); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		if got := originOf(t, s, subject); got.Account != "nobody" || got.Program != "" || got.Directory != dir {
			t.Errorf("%s, by another user: %+v", c.name, got)
		}
	}
	t.Log("FIGURE origin by a daemon without a capability: user and directory right 4 of 4; with the helper the script has its path, without it its argument")
	healthy(t, s)
}

// originOf returns what is told of the message with a subject that alice got.
func originOf(t *testing.T, s *rig.Site, subject string) toldOrigin {
	t.Helper()
	letter := letterTo(t, s, "alice", subject)
	list, code := origins(t, s, letter)
	if len(list) != 1 || code != 0 || list[0].UID == nil {
		t.Fatalf("%s: %+v, exit %d\n%s", subject, list, code, letter)
	}
	return list[0]
}
