package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"eximpolicyd/acl"
	"eximpolicyd/internal/config"
	"eximpolicyd/internal/control"
	"eximpolicyd/internal/ledger"
	"eximpolicyd/policy"
)

// mtaGroups are the groups that mail servers run as, by system; the first that exists owns the socket.
func mtaGroups() []string { return []string{"Debian-exim", "exim", "mailnull", "mail"} }

// maxSocket is what fits sockaddr_un, which Exim fills without a word.
const maxSocket = 107

// door returns the socket that Exim asks at, systemd's or else our own, and notes its path.
func (s *server) door(c *config.Listen, log *slog.Logger) (l *net.UnixListener, err error) {
	if s.handed, err = takeHanded(); err != nil {
		return nil, err
	}
	s.at = c.Socket
	if l = s.handed.take(policyName, c.Socket); l == nil {
		return listen(c.Socket, c.Group, log)
	}
	if s.at = l.Addr().String(); s.at != c.Socket {
		log.Warn("systemd listens at another socket than the configuration says; that of its unit counts", "socket", s.at, "listen.socket", c.Socket)
	}
	if _, err := os.Stat(s.at); err != nil {
		log.Warn("this user cannot look into the folder of the socket, and does not see a file named bypass there", "error", err)
	}
	return l, nil
}

// listen opens the socket for Exim's group. A socket that nobody answers on is removed; one that somebody does is left
// alone.
func listen(path, group string, log *slog.Logger) (*net.UnixListener, error) {
	if len(path) > maxSocket {
		return nil, fail(exUsage, "Exim cuts a longer one", "a socket's path has at most %d octets: %s", maxSocket, path)
	}
	gid, err := groupID(group)
	if err != nil {
		return nil, err
	}
	if err := makeDir(filepath.Dir(path), gid); err != nil {
		return nil, err
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	old := unix.Umask(0o117) // the socket is 0660 from its first moment
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	unix.Umask(old)
	if err != nil {
		return nil, fail(exUnavailable, "may this user write there?", "cannot listen on %s: %w", path, err)
	}
	if gid >= 0 {
		if err := os.Lchown(path, -1, gid); err != nil {
			l.Close()
			return nil, fail(exPermission, "the daemon's user must be a member of the group", "cannot give %s to group %d: %w", path, gid, err)
		}
	}
	if dir := hiding(filepath.Dir(path), gid); dir != "" && os.Getuid() == 0 {
		log.Warn("Exim cannot reach the socket below this folder, and mail passes unasked", "socket", path, "folder", dir)
	}
	return l, nil
}

// controlSocket is the path of the administrator's socket, beside Exim's.
func controlSocket(socket string) string { return filepath.Join(filepath.Dir(socket), "control.sock") }

// listenControl returns systemd's socket for the administrator, or opens one for root and our own user. Without it mail is
// judged all the same, so what is wrong with it only stands in the log, and the listener is nil. It is the last of systemd's
// that we know.
func (s *server) listenControl(path string, log *slog.Logger) *net.UnixListener {
	defer func() { s.handed.rest(log) }()
	if l := s.handed.take(controlName, path); l != nil {
		return l
	}
	err := removeStale(path)
	if err == nil {
		old := unix.Umask(0o177) // 0600 from its first moment
		defer unix.Umask(old)
		var l *net.UnixListener
		if l, err = net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"}); err == nil {
			return l
		}
	}
	log.Error("the administrator's socket is missing: no command can look into this daemon or ban anybody", "error", err)
	return nil
}

// desk is what answers the administrator.
func (s *server) desk(door *acl.Server, recent *decisions, whose *stamps) *control.Server {
	return &control.Server{
		Lists: s.health, Status: func() control.Status { return s.status(door, recent) }, Spared: s.spared,
		Refuses: func(b *ledger.Ban) bool { return s.inForce.Load().settings.Decider.Refuses(b) },
		Memory:  s.memory, Log: s.log.Load(), Decisions: recent, Stamps: whose,
	}
}

// control answers the administrator until ctx ends.
func (s *server) control(ctx context.Context, l *net.UnixListener, desk *control.Server) {
	if l == nil {
		return
	}
	if err := desk.Serve(ctx, l); err != nil {
		s.log.Load().Error("the administrator's socket is closed", "error", err)
	}
}

// status returns how the daemon does.
func (s *server) status(door *acl.Server, recent *decisions) control.Status {
	in := s.inForce.Load()
	d := in.settings.Decider
	st := control.Status{
		Version: version(), Started: s.figures.started, Uptime: int64(time.Since(s.figures.started) / time.Second), Mode: d.Mode.String(),
		Rules: control.Rules{
			Enforced: byMode(d.Rules, policy.Enforce), Observed: byMode(d.Rules, policy.Observe), Off: byMode(d.Rules, policy.Off),
		},
		DNS: control.DNSAsked, Lists: s.health(), Door: door.Stats(), Metrics: s.figures.fault(), Unsaved: recent.fault(),
	}
	st.Caches.DecisionBytes, st.Caches.MostDecisionBytes = recent.Octets()
	switch a := s.asking.Load(); {
	case a != nil:
		clients, names := a.lists.Remembered()
		answers := a.resolver.Remembered()
		c := &st.Caches
		c.Clients, c.MostClients, c.ClientHits, c.ClientMisses = clients.Used, clients.Most, clients.Hits, clients.Misses
		c.Names, c.MostNames, c.NameHits, c.NameMisses = names.Used, names.Most, names.Hits, names.Misses
		c.AnswerBytes, c.MostAnswerBytes, c.AnswerHits, c.AnswerMisses = answers.Used, answers.Most, answers.Hits, answers.Misses
		if outage, down := a.resolver.Outage(); down {
			st.DNS, st.Outage = control.DNSDown, outage
		}
	case s.noDNS || !in.conf.DNS.Ask:
		st.DNS = control.DNSOff
	default:
		st.DNS = control.DNSFailed
	}
	return st
}

// spared returns the networks that bans of rules pass by, as far as they are written down, and our own addresses.
func (s *server) spared() []netip.Prefix {
	exempt := &s.inForce.Load().conf.Exempt
	list := slices.AppendSeq(slices.Collect(exempt.Allow.All()), exempt.Relay.All())
	for _, a := range ownAddresses() {
		list = append(list, netip.PrefixFrom(a, a.BitLen()))
	}
	return list
}

// groupID returns the group of the socket, -1 to leave it as it is: only root can give a socket to any group.
func groupID(name string) (int, error) {
	if name != "" {
		g, err := user.LookupGroup(name)
		if err != nil {
			return -1, fail(exConfig, "exim -bP exim_group tells Exim's", "listen.group: %w", err)
		}
		return strconv.Atoi(g.Gid)
	}
	if os.Getuid() != 0 {
		return -1, nil
	}
	for _, name := range mtaGroups() {
		if g, err := user.LookupGroup(name); err == nil {
			return strconv.Atoi(g.Gid)
		}
	}
	return -1, nil
}

func makeDir(dir string, gid int) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.Mkdir(dir, 0o750); err != nil { // no parents: a mistyped path must not become a tree
		return fail(exPermission, "make the folder, or choose another with --socket", "cannot make the socket's folder: %w", err)
	}
	if gid >= 0 {
		if err := os.Lchown(dir, -1, gid); err != nil {
			return fail(exPermission, "", "cannot give %s to group %d: %w", dir, gid, err)
		}
	}
	return nil
}

func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fail(exPermission, "run it as root, or choose another --socket", "%w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fail(exUnavailable, "remove it, or choose another --socket", "%s exists and is no socket", path)
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
		return fail(exTemporary, "stop it first", "another daemon listens on %s", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fail(exPermission, "", "cannot tell whether a daemon listens on %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fail(exPermission, "", "%w", err)
	}
	return nil
}

// hiding returns the first folder, dir or above it, that a member of a group cannot enter.
func hiding(dir string, gid int) string {
	for {
		var st unix.Stat_t
		if unix.Stat(dir, &st) == nil && st.Mode&0o001 == 0 && (st.Mode&0o010 == 0 || int(st.Gid) != gid) {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}
