package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"eximpolicyd/acl"
	"eximpolicyd/internal/config"
	"eximpolicyd/internal/control"
	"eximpolicyd/internal/metrics"
	"eximpolicyd/rbl"
)

// figures are the daemon's metrics and where they are served. That they are not is no reason not to answer Exim: it stands
// in the log once, and in status until it is over.
type figures struct {
	*metrics.Metrics
	of      *server
	started time.Time
	door    *acl.Server
	desk    *control.Server

	server metrics.Server
	place  config.Metrics         // in force; only run and reload look
	wrong  atomic.Pointer[string] // why it is not the one of the configuration; nil: it is
	took   atomic.Bool            // the last reload
	read   atomic.Int64           // when the configuration in force was read, UnixNano
}

// newFigures makes figures that are served nowhere yet.
func (s *server) newFigures() (*figures, error) {
	f := &figures{of: s, started: time.Now()}
	var err error
	if f.Metrics, err = metrics.New(version(), f.started, f.reading); err != nil {
		return nil, err
	}
	f.server = metrics.Server{Metrics: f.Metrics, Log: s.log.Load}
	f.reloaded(true)
	return f, nil
}

// Ended takes a question to the DNS that has ended; nil, as smtp has it, counts none.
func (f *figures) Ended(o rbl.Outcome, took time.Duration) {
	if f != nil {
		f.Metrics.Ended(o, took)
	}
}

// begin serves what the two know where the configuration says.
func (f *figures) begin(desk *control.Server, door *acl.Server, c *config.Config) {
	f.desk, f.door = desk, door
	f.serve(c.Metrics)
}

// reading is the status that an administrator gets, and what he does not.
func (f *figures) reading() metrics.Reading {
	st := f.desk.Stands()
	r := metrics.Reading{
		Door: st.Door, Lists: st.Lists, Memory: st.Memory, Faults: len(st.Faults), DNSAsked: st.DNS != control.DNSOff,
		Dropped: f.of.outlet.dropped.Load(), Reloaded: f.took.Load(), Read: time.Unix(0, f.read.Load()),
		Enforced: st.Rules.Enforced, Observed: st.Rules.Observed, Off: st.Rules.Off,
	}
	c := &st.Caches
	r.Clients = rbl.Usage{Used: c.Clients, Most: c.MostClients, Hits: c.ClientHits, Misses: c.ClientMisses}
	r.Names = rbl.Usage{Used: c.Names, Most: c.MostNames, Hits: c.NameHits, Misses: c.NameMisses}
	r.Answers = rbl.Usage{Used: c.AnswerBytes, Most: c.MostAnswerBytes, Hits: c.AnswerHits, Misses: c.AnswerMisses}
	r.Decisions, r.MostDecisions = c.DecisionBytes, c.MostDecisionBytes
	if a := f.of.asking.Load(); a != nil {
		r.DNSUp = !a.resolver.Down()
	}
	r.Taken, r.Seats = f.door.Seats()
	return r
}

// reloaded notes whether a reload took.
func (f *figures) reloaded(took bool) {
	f.took.Store(took)
	if took {
		f.read.Store(time.Now().UnixNano())
	}
}

// fault says why the metrics are not where they should be, or nothing.
func (f *figures) fault() string {
	if why := f.wrong.Load(); why != nil {
		return *why
	}
	return ""
}

// serve serves at another place, if the configuration names another. If it can't, they stay where they are.
func (f *figures) serve(c config.Metrics) {
	log := f.of.log.Load()
	if c == f.place {
		f.wrong.Store(nil)
		return
	}
	if err := f.move(c); err != nil {
		why := fmt.Sprintf("%v: %v", c, err)
		f.wrong.Store(&why)
		log.Error("the metrics are not served where metrics.listen says", "listen", c.String(), "error", err, "served", f.place.String())
		return
	}
	f.place = c
	f.wrong.Store(nil)
	if c.Off() {
		log.Info("the metrics are served no more")
		return
	}
	log.Info("the metrics are served", "listen", c.String())
}

// move listens at the new place before it leaves the old one.
func (f *figures) move(c config.Metrics) error {
	switch {
	case c.Off():
		f.server.Use(nil)
		return nil
	case c.Socket != "" && c.Socket == f.place.Socket:
		return openTo(c.Socket, c.Group)
	case c.Socket != "" && c.Socket == f.of.at:
		return errors.New("that is the socket that Exim asks")
	}
	l, err := listenMetrics(c)
	if err == nil {
		f.server.Use(l)
	}
	return err
}

// Close ends serving.
func (f *figures) Close() { f.server.Close() }

// listenMetrics opens a port, or a socket of mode 0660.
func listenMetrics(c config.Metrics) (net.Listener, error) {
	if c.Socket == "" {
		return net.Listen("tcp", c.Listen.String())
	}
	if err := os.Mkdir(filepath.Dir(c.Socket), 0o755); err != nil && !errors.Is(err, fs.ErrExist) { // no parents, as for the other socket
		return nil, err
	}
	if err := removeStale(c.Socket); err != nil {
		return nil, err
	}
	l, err := listenPrivate(c.Socket)
	if err != nil {
		return nil, err
	}
	if err := openTo(c.Socket, c.Group); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// listenPrivate opens a socket that nobody else can reach from its first moment: the mode that it has before it is bound is its
// file's. A umask is the whole process's, which may be writing other files.
func listenPrivate(path string) (net.Listener, error) {
	c := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (failed error) {
		err := raw.Control(func(fd uintptr) { failed = unix.Fchmod(int(fd), 0o600) })
		return errors.Join(err, failed)
	}}
	return c.Listen(context.Background(), "unix", path)
}

// openTo lets a group in, our own if none is named. The folder may be somebody else's: what has taken the place
// of the socket is left alone.
func openTo(socket, group string) error {
	gid := os.Getegid()
	if group != "" {
		g, err := user.LookupGroup(group)
		if err != nil {
			return fmt.Errorf("metrics.group: %w", err)
		}
		if gid, err = strconv.Atoi(g.Gid); err != nil {
			return fmt.Errorf("metrics.group: %w", err)
		}
	}
	fd, err := unix.Open(socket, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot look at the socket: %w", err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK || st.Uid != uint32(os.Geteuid()) {
		return errors.New("somebody has put something else in the place of the socket")
	}
	if err := letIn(fd, gid, int(st.Gid)); err != nil {
		return fmt.Errorf("cannot let the group %s in: put the socket below /run, whose file systems have access lists: %w", group, err)
	}
	return nil
}
