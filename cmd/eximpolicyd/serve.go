package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"eximpolicyd/acl"
	"eximpolicyd/internal/config"
	"eximpolicyd/internal/ledger"
	"eximpolicyd/internal/origin"
	"eximpolicyd/policy"
)

// server is the subcommand serve with its flags.
type server struct {
	config, socket string
	dryRun, noDNS  bool
	log            atomic.Pointer[slog.Logger]
	outlet         *outlet
	asking         atomic.Pointer[asking] // nil: the DNS is not asked
	own            *own                   // likewise; only run and reload look
	memory         *ledger.Engine
	stamps         origin.Stamps
	senders        *senders
	inForce        atomic.Pointer[inForce]
	handed         handed // what systemd listens on for us and nobody has taken yet; only run looks
	at             string // the socket that Exim asks at
	figures        *figures
}

// inForce is what status tells of: a configuration and what was made of it.
type inForce struct {
	conf     *config.Config
	settings *acl.Settings
}

func serveCommand() *cobra.Command {
	s := &server{}
	s.senders = newSenders(origin.Helper(origin.PeekSocket), s.log.Load)
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "answer Exim on the socket, in the foreground",
		Long: `Answer Exim's questions until SIGTERM or SIGINT. SIGHUP reads the configuration again; a bad file leaves the old one
in force and says why. While a file named bypass stands beside the socket, every answer is "no opinion".

Started by systemd, it takes the sockets named policy and control from it, and tells it when it answers, reads its
configuration, stops, and lives.

Without --config, ` + defaultConfig + ` is read, or the embedded defaults, which observe everything.`,
		Example: `  eximpolicyd serve
  eximpolicyd serve --config strict.toml --dry-run --no-dns --socket /run/eximpolicyd/policy.sock`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.run(cmd.OutOrStdout()) },
	}
	f := cmd.Flags()
	f.StringVar(&s.config, "config", "", "configuration `FILE`")
	f.StringVar(&s.socket, "socket", "", "`PATH` of the socket, instead of listen.socket")
	f.BoolVar(&s.dryRun, "dry-run", false, "observe everything, whatever the configuration enforces")
	f.BoolVar(&s.noDNS, "no-dns", false, "ask no DNS, whatever the configuration says")
	return cmd
}

// gcPercent lets the heap, of which little lives on, grow a little more before it is collected. Measured under load: 100
// took 4 % more time a callout, 200 kept 17 MB where this keeps 15. GOGC overrides it.
const gcPercent = 150

func (s *server) run(out io.Writer) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	signal.Ignore(syscall.SIGPIPE)  // a reader of the log who goes must not take us along
	s.config = configFile(s.config) // a file that vanishes later is a mistake, not a return to the defaults
	conf, err := load(s.config)
	if err != nil {
		return err
	}
	if s.socket != "" {
		conf.Listen.Socket = s.socket
	}
	s.outlet = newOutlet(os.Stderr)
	defer s.outlet.Close()
	log := newLog(s.outlet, conf.Log)
	s.log.Store(log)
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	prover := newProver(log, conf.Listen.Prove)
	defer prover.Close()
	if s.figures, err = s.newFigures(); err != nil {
		return err
	}
	settings, err := s.settings(conf, log)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	l, err := s.door(&conf.Listen, log)
	if err != nil {
		return err
	}
	if s.memory, err = openMemory(ctx, conf.State, log); err != nil {
		return errors.Join(err, l.Close())
	}
	settings.Ledger = s.memory
	admin := s.listenControl(controlSocket(s.at), log)
	s.attach(ctx, conf, settings)
	srv := acl.NewServer(s.at, 0, prover, settings)
	recent, whose := s.kept(srv)
	desk := s.desk(srv, recent, whose)
	s.figures.begin(desk, srv, conf)
	trim()
	s.greet(out, conf, settings.Decider)
	open, shut := context.WithCancel(context.Background())
	var loops sync.WaitGroup
	loops.Go(func() { s.reload(ctx, hup, srv, conf.Listen, conf.State) }) // run waits for it; it ends with ctx
	loops.Go(func() { s.control(ctx, admin, desk) })                      // likewise
	loops.Go(func() { recent.outlive(ctx); shut() })                      // likewise
	loops.Go(func() { whose.keep(ctx) })                                  // likewise
	loops.Go(func() { s.watched(ctx, srv.Alive) })                        // likewise
	s.ready()
	err = srv.Serve(open, l)
	stop()
	loops.Wait()
	return errors.Join(err, s.save(recent, whose))
}

// save ends what asks the DNS, and keeps for the next daemon what this one remembers.
func (s *server) save(recent *decisions, whose *stamps) error {
	s.figures.Close()
	s.own.Close()
	err := s.asking.Load().Close()
	recent.save() // which tells what goes wrong
	whose.save()  // likewise
	if unsaved := s.memory.Close(); unsaved != nil {
		s.log.Load().Error("the memory is not saved whole", "error", unsaved)
	}
	s.log.Load().Info("stopped")
	return err
}

// reload swaps the configuration at each SIGHUP until ctx ends.
func (s *server) reload(ctx context.Context, hup <-chan os.Signal, srv *acl.Server, now config.Listen, kept config.State) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
		}
		s.tell(reloading(), "reads its configuration")
		old, err := s.reread(ctx, srv, now, kept)
		s.figures.reloaded(err == nil)
		if err != nil {
			s.log.Load().Error("the configuration is not changed", "error", err)
			s.tell(daemon.SdNotifyReady, "the configuration is not changed: "+err.Error())
			continue
		}
		s.ready()
		if old != nil {
			pause(ctx, afterwards)
			if err := old.Close(); err != nil {
				s.log.Load().Error("cannot end what asked the DNS before", "error", err)
			}
		}
	}
}

// reread puts the configuration of now into force, and returns what asked the DNS before.
func (s *server) reread(ctx context.Context, srv *acl.Server, now config.Listen, kept config.State) (old *asking, err error) {
	log := s.log.Load()
	conf, err := load(s.config)
	if err != nil {
		return nil, err
	}
	if s.socket == "" && conf.Listen.Socket != now.Socket || conf.Listen.Group != now.Group {
		log.Warn("listen.socket and listen.group change with a restart only", "listening", s.at)
	}
	settings, err := s.settings(conf, newLog(s.outlet, conf.Log))
	if err != nil {
		return nil, err
	}
	if conf.State != kept {
		log.Warn("[state] changes with a restart only", "dir", stateDir(kept))
	}
	settings.Ledger = s.memory
	s.log.Store(settings.Log)
	old = s.attach(ctx, conf, settings)
	srv.Swap(settings)
	s.figures.serve(conf.Metrics)
	settings.Log.Info("configuration read", "file", s.config, "rules", summary(settings.Decider.Rules))
	return old, nil
}

// settings puts a configuration into what the door takes.
func (s *server) settings(c *config.Config, log *slog.Logger) (*acl.Settings, error) {
	settings, err := judging(c, most(s.dryRun), log)
	if err != nil {
		return nil, err
	}
	peers, err := allowedPeers(c.Listen.Peers)
	if err != nil {
		return nil, err
	}
	for _, name := range unknownUsers(c) {
		log.Warn("policy.nobody.users names a user whom this machine does not have", "user", name)
	}
	if !c.Listen.Prove {
		log.Warn("listen.prove is off: any local user can make Exim ask about an address of his choosing, and what is then " +
			"remembered may shut out somebody else; use it only for an Exim in another network name space")
	}
	settings.Peers, settings.Prove, settings.Observer = peers, c.Listen.Prove, s.figures.Metrics
	stamped(c, settings, &s.stamps, s.senders)
	return settings, nil
}

// judging puts of a configuration what judges into settings, and what is written of it.
func judging(c *config.Config, most policy.Mode, log *slog.Logger) (*acl.Settings, error) {
	d := decider(c, most)
	var told sync.Map // rules that have failed: the stack once is enough
	d.Fault = func(rule string, cause any, stack []byte) {
		if _, again := told.LoadOrStore(rule, true); again {
			return
		}
		log.Error("a rule failed and is skipped; please report this", "rule", rule, "cause", fmt.Sprint(cause), "stack", string(stack))
	}
	privacy, ok := acl.ParsePrivacy(c.Log.Privacy)
	if !ok {
		return nil, fail(exConfig, "full, hashed or none", "log.privacy %q is not known", c.Log.Privacy)
	}
	return &acl.Settings{Decider: d, Privacy: privacy, Log: log}, nil
}

// allowedPeers returns the uids that may ask: those configured, or root, ourselves and the users Exim runs as on the
// systems we know.
func allowedPeers(names []string) (map[uint32]bool, error) {
	peers := map[uint32]bool{0: true, uint32(os.Getuid()): true}
	for _, name := range names {
		uid, ok := origin.UID(name)
		if !ok {
			return nil, fail(exConfig, "write the user that Exim runs as: exim -bP exim_user", "listen.peers: there is no user %q", name)
		}
		peers[uid] = true
	}
	if len(names) == 0 {
		for _, name := range []string{"Debian-exim", "exim", "mailnull", "mail"} {
			if uid, ok := origin.UID(name); ok {
				peers[uid] = true
			}
		}
	}
	return peers, nil
}

// prover asks the kernel.
type prover struct{ *origin.Diag }

// newProver goes on without a kernel that tells of its sockets: then no connection is proven, and nothing remembered.
// proves says that connections are to be proven, for which other users' processes must be seen, too.
func newProver(log *slog.Logger, proves bool) prover {
	if _, err := origin.Started(1); proves && err != nil {
		log.Error("/proc hides the processes of other users, so every request is synthetic and nothing is remembered; "+
			"run eximpolicyd by its systemd unit, which sees them, or mount /proc without hidepid, or with gid= a group of eximpolicyd's user", "error", err)
	}
	d, err := origin.NewDiag()
	if err != nil {
		log.Error("the kernel tells nothing of its sockets, so every request is synthetic and nothing is remembered; "+
			"load the modules inet_diag and tcp_diag", "error", err)
		return prover{&origin.Diag{}} // answers net.ErrClosed
	}
	return prover{d}
}

// Started returns when a process started.
func (prover) Started(pid int32) (uint64, error) { return origin.Started(pid) }

// Forked reports whether a process goes on with its parent's program.
func (prover) Forked(pid int32) (bool, error) { return origin.Forked(pid) }

// greet tells an operator who starts the daemon by hand what he has.
func (s *server) greet(out io.Writer, c *config.Config, d *acl.Decider) {
	socket := s.at
	fmt.Fprintf(out, "eximpolicyd %s listens on %s\n", version(), socket)
	enforced := byMode(d.Rules, policy.Enforce)
	fmt.Fprintf(out, "enforce: %s\n", orNone(enforced))
	fmt.Fprintf(out, "observe: %s\n", orNone(byMode(d.Rules, policy.Observe)))
	if d.Mode != policy.Enforce {
		fmt.Fprintf(out, "nothing can be enforced: the top-level mode is %s, or this is a dry run\n", d.Mode)
	} else if !slices.Contains(enforced, "helo.H2") || !slices.Contains(enforced, "helo.H3") || !slices.Contains(enforced, "helo.H17") {
		fmt.Fprintf(out, "to refuse forged greetings, write into the configuration, above the first [table]:\n%s", forgeries)
	}
	fmt.Fprintln(out, s.listsLine(socket))
	if len(c.Own.Addresses) == 0 && !hasPublic(time.Now()) {
		fmt.Fprintln(out, "this host has no public address, so helo.H3 only observes what comes to a private one: set own.addresses")
	}
	fmt.Fprintf(out, "try: %s ask --socket %s protocol_state=RCPT client_address=203.0.113.7 helo_name=localhost recipient=you@example.com\n",
		os.Args[0], socket)
	s.log.Load().Info("listening", "socket", socket, "rules", summary(d.Rules), "version", version())
}

// forgeries are the lines that enforce the rules that no honest sender breaks.
const forgeries = `    policy.helo.rules.H2 = "enforce"
    policy.helo.rules.H3 = "enforce"
    policy.helo.rules.H17 = "enforce"
`

func byMode(rules []policy.Bound, mode policy.Mode) []string {
	var names []string
	for i := range rules {
		if rules[i].Mode == mode {
			names = append(names, rules[i].Name)
		}
	}
	return names
}

// orNone writes rules by policy: helo.H1 H2 H3; messageid.M1 M2.
func orNone(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	var b strings.Builder
	last := ""
	for _, name := range names {
		policy, id, _ := strings.Cut(name, ".")
		switch {
		case policy == last:
			b.WriteString(" " + id)
		case last == "":
			b.WriteString(name)
		default:
			b.WriteString("; " + name)
		}
		last = policy
	}
	return b.String()
}

func summary(rules []policy.Bound) string {
	return fmt.Sprintf("%d enforced, %d observed, %d off",
		len(byMode(rules, policy.Enforce)), len(byMode(rules, policy.Observe)), len(byMode(rules, policy.Off)))
}

func hasPublic(now time.Time) bool {
	var own origin.Interfaces
	for _, a := range own.Addresses(now) {
		if !policy.Private(a) && !a.IsLoopback() {
			return true
		}
	}
	return false
}
