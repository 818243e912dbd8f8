package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"eximpolicyd/acl"
	"eximpolicyd/internal/config"
	"eximpolicyd/internal/front"
	"eximpolicyd/internal/ledger"
	"eximpolicyd/policy"
)

// rehearsal is the subcommand smtp with its flags.
type rehearsal struct {
	server // what asks the DNS, as serve has it

	listen, name, user, client string
	domains, known, relay      []string
	port                       int
	proxyWait                  time.Duration
	public, explain            bool
}

func smtpCommand() *cobra.Command {
	r := &rehearsal{}
	cmd := &cobra.Command{
		Use:   "smtp",
		Short: "try the rules by SMTP, without Exim: mail is judged and delivered to nowhere",
		Long: `Take mail by SMTP and judge it as the daemon would if Exim asked it, in the foreground, until SIGINT: for trying rules with
swaks or a mail client. Nothing is delivered, relayed or kept, and what is remembered of a client is forgotten at the end.

A client on loopback may begin with a PROXY header, of version 1 or 2, which says who it is, or counts as the address of --client;
without either it is this machine, of which most rules have no opinion. Recipients at own.domains, at --domain or, without
both, at --name are taken; with --known only those that are listed; others are a relay and refused, but for --relay-host and
who has logged in. STARTTLS has a certificate that nobody vouches for.

It listens on loopback. Another address needs --public: anybody could then fill the terminal, and ask the DNS about addresses
of his choosing.`,
		Example: `  eximpolicyd smtp --client 203.0.113.7 --explain
  eximpolicyd smtp --listen 127.0.0.1:2525 --domain example.com --known alice@example.com --user test:secret`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return r.run(cmd.OutOrStdout()) },
	}
	f := cmd.Flags()
	f.StringVar(&r.config, "config", "", "configuration `FILE`")
	f.BoolVar(&r.dryRun, "dry-run", false, "observe everything, whatever the configuration enforces")
	f.BoolVar(&r.noDNS, "no-dns", false, "ask no DNS, whatever the configuration says")
	f.StringVar(&r.listen, "listen", "127.0.0.1:2525", "`ADDRESS:PORT`; port 0 takes a free one")
	f.BoolVar(&r.public, "public", false, "listen on an address that is not loopback's")
	f.BoolVar(&r.explain, "explain", false, "print the trace of every decision, as check does")
	f.StringVar(&r.name, "name", "", "`NAME` of the server (default: this machine's)")
	f.StringArrayVar(&r.domains, "domain", nil, "`DOMAIN` that is delivered here, besides own.domains; may be repeated")
	f.StringArrayVar(&r.known, "known", nil, "recipient that exists, an `ADDRESS` or a file of them; may be repeated")
	f.StringVar(&r.user, "user", "", "`NAME:PASSWORD` of a user who may log in")
	f.StringArrayVar(&r.relay, "relay-host", nil, "`NETWORK` that may relay, as Exim's relay_from_hosts; may be repeated")
	f.StringVar(&r.client, "client", "", "`ADDRESS` that a client on loopback counts as if no PROXY header says another")
	f.IntVar(&r.port, "port", 25, "`PORT` that clients count as having connected to; 0 is the real one")
	f.DurationVar(&r.proxyWait, "proxy-wait", 300*time.Millisecond, "`DURATION` that a client on loopback may take to begin with a PROXY header; 0: none")
	return cmd
}

func (r *rehearsal) run(out io.Writer) error {
	signal.Ignore(syscall.SIGPIPE) // a reader of the traces who goes ends nothing
	conf, err := load(r.config)
	if err != nil {
		return err
	}
	srv, err := r.front(conf)
	if err != nil {
		return err
	}
	r.outlet = newOutlet(os.Stderr)
	defer r.outlet.Close()
	log := newLog(r.outlet, conf.Log)
	r.log.Store(log)
	settings, err := judging(conf, most(r.dryRun), log)
	if err != nil {
		return err
	}
	l, err := r.open()
	if err != nil {
		return err
	}
	memory, err := ledger.Open(ledger.Options{Log: log})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	settings.Ledger = memory
	prover := newProver(log, false)
	defer prover.Close()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	r.attach(ctx, conf, settings)
	srv.Talks, srv.Log = acl.NewTalks(settings, prover), log
	if r.explain {
		srv.Explain = explainer(out)
	}
	r.welcome(out, l.Addr(), srv, settings.Decider, log)
	err = srv.Serve(ctx, l)
	stop()
	r.own.Close()
	err = errors.Join(err, r.asking.Load().Close(), memory.Close())
	log.Info("stopped")
	return err
}

// front makes the front that the flags and the configuration say.
func (r *rehearsal) front(conf *config.Config) (*front.Server, error) {
	s := &front.Server{Name: strings.ToLower(r.name), Port: r.port, ProxyWait: r.proxyWait, Domains: maps.Clone(conf.Own.Domains)}
	if s.Name == "" {
		name, err := os.Hostname()
		if err != nil {
			return nil, fail(exUsage, "give it by --name", "this machine has no name: %w", err)
		}
		s.Name = strings.ToLower(name)
	}
	s.Name = strings.TrimSuffix(s.Name, ".")
	if !policy.IsHostname(s.Name) {
		return nil, fail(exUsage, "write --name mx.example.com", "--name %q is no host name", s.Name)
	}
	if err := r.deliver(s); err != nil {
		return nil, err
	}
	if r.port < 0 || r.port > 65535 {
		return nil, fail(exUsage, "25 is where mail servers connect", "--port %d is no port", r.port)
	}
	if r.proxyWait < 0 || r.proxyWait > time.Minute {
		return nil, fail(exUsage, "", "--proxy-wait: %s is not from 0s to 1m", r.proxyWait)
	}
	if r.user != "" {
		var ok bool
		if s.User, s.Password, ok = strings.Cut(r.user, ":"); !ok || s.User == "" {
			return nil, fail(exUsage, "write --user test:secret", "--user is no NAME:PASSWORD")
		}
	}
	if r.client != "" {
		a, err := netip.ParseAddr(r.client)
		if err != nil {
			return nil, fail(exUsage, "write --client 203.0.113.7", "--client %q is no address", r.client)
		}
		s.Client = a.Unmap().WithZone("")
	}
	var err error
	if s.Relay, err = relays(r.relay); err != nil {
		return nil, err
	}
	s.Secure, err = front.SelfMade(s.Name, time.Now())
	return s, err
}

// deliver says who is here: domains, and the recipients that exist if they are listed.
func (r *rehearsal) deliver(s *front.Server) (err error) {
	if s.Domains == nil {
		s.Domains = map[string]bool{}
	}
	for _, d := range r.domains {
		name := strings.ToLower(strings.TrimSuffix(d, "."))
		if !policy.IsHostname(name) {
			return fail(exUsage, "write --domain example.com", "--domain %q is no domain", d)
		}
		s.Domains[name] = true
	}
	if len(s.Domains) == 0 {
		s.Domains[s.Name] = true
	}
	if s.Known, err = recipients(r.known); err != nil {
		return err
	}
	for _, known := range slices.Sorted(maps.Keys(s.Known)) {
		if domain := known[strings.LastIndexByte(known, '@')+1:]; !s.Domains[domain] {
			return fail(exUsage, fmt.Sprintf("add --domain %q", domain), "--known: %q is at a domain that is not delivered here", known)
		}
	}
	return nil
}

func relays(list []string) (*policy.Prefixes, error) {
	all := &policy.Prefixes{}
	for _, text := range list {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			a, bad := netip.ParseAddr(text)
			if bad != nil {
				return nil, fail(exUsage, "write --relay-host 192.0.2.0/24", "--relay-host %q is no address and no network", text)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		all.Add(p.Masked())
	}
	return all, nil
}

// maxKnown bounds the recipients that are listed, about 100 octets each.
const maxKnown = 1_000_000

// recipients reads the addresses that exist: written out, or one a line of a file. Without any it returns nil.
func recipients(list []string) (map[string]bool, error) {
	if len(list) == 0 {
		return nil, nil
	}
	known := map[string]bool{}
	for _, item := range list {
		if strings.Contains(item, "@") {
			known[policy.Lower(item)] = true
			continue
		}
		if err := addFile(known, item); err != nil {
			return nil, err
		}
	}
	return known, nil
}

func addFile(known map[string]bool, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fail(exNoInput, "an address has an @", "--known: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		line = policy.Lower(strings.TrimSpace(line))
		switch {
		case line == "":
		case !strings.Contains(line, "@"):
			return fail(exData, "one address a line; # begins a comment", "%s:%d: %q is no address", path, n, line)
		case len(known) == maxKnown:
			return fail(exData, "", "%s:%d: over %d recipients", path, n, maxKnown)
		default:
			known[line] = true
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return fail(exData, "one address a line; # begins a comment", "%s: a line is too long for an address", path)
	case err != nil:
		return fail(exIO, "", "%s: %w", path, err)
	}
	return nil
}

// open listens, on loopback unless somebody means it.
func (r *rehearsal) open() (net.Listener, error) {
	at, err := listenAddress(r.listen)
	if err != nil {
		return nil, fail(exUsage, "write --listen 127.0.0.1:2525", "--listen: %w", err)
	}
	if !r.public && !at.Addr().IsLoopback() {
		return nil, fail(exUsage, "listen on 127.0.0.1, or add --public if the network may try it", "%s is not on loopback", r.listen)
	}
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
	if err != nil {
		return nil, fail(exUnavailable, "is the port in use, or below 1024?", "cannot listen: %w", err)
	}
	return l, nil
}

// listenAddress reads an address and a port. No host name is asked for in the DNS; without a host every address is meant.
func listenAddress(text string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return netip.AddrPort{}, err
	}
	addr := netip.IPv6Unspecified()
	switch host {
	case "":
	case "localhost":
		addr = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	default:
		if addr, err = netip.ParseAddr(host); err != nil {
			return netip.AddrPort{}, fmt.Errorf("%s is no address", host)
		}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%s is no port", port)
	}
	return netip.AddrPortFrom(addr, uint16(n)), nil
}

// welcome tells how to begin, by a line to paste: as a stranger, to whom a rule may object.
func (r *rehearsal) welcome(out io.Writer, at net.Addr, s *front.Server, d *acl.Decider, log *slog.Logger) {
	stranger := ""
	if !s.Client.IsValid() {
		stranger = ` --proxy "TCP4 203.0.113.7 127.0.0.1 4321 25"`
	}
	fmt.Fprintf(out, "eximpolicyd %s takes mail on %s, judges it and delivers it to nowhere\n", version(), at)
	fmt.Fprintf(out, "enforce: %s\n", orNone(byMode(d.Rules, policy.Enforce)))
	fmt.Fprintf(out, "try: swaks --server %s%s --helo localhost --from a@example.org --to %s\n", at, stranger, someone(s))
	log.Info("listening", "address", at.String(), "rules", summary(d.Rules), "version", version())
}

// someone returns a recipient that exists, the first by alphabet.
func someone(s *front.Server) string {
	if len(s.Known) > 0 {
		return slices.Min(slices.Collect(maps.Keys(s.Known)))
	}
	return "you@" + slices.Min(slices.Collect(maps.Keys(s.Domains)))
}

// explainer prints traces, one at a time.
func explainer(out io.Writer) func(front.Decision) {
	var mu sync.Mutex
	return func(d front.Decision) {
		mu.Lock()
		defer mu.Unlock()
		q := d.Request
		fmt.Fprintf(out, "\n-- %s %s:%d", d.ID, q.Client, q.ClientPort)
		if q.HELO.Value != "" {
			fmt.Fprintf(out, " helo=%q", q.HELO.Value)
		}
		if q.Stage >= policy.Mail && q.Stage < policy.Quit {
			fmt.Fprintf(out, " from=%q", q.Sender.Value)
		}
		if q.Recipient != "" {
			fmt.Fprintf(out, " to=%q verify=%s", q.Recipient, q.Verify)
		}
		fmt.Fprintf(out, " at %s --\n", q.Stage)
		_ = printDecision(out, d.Decision, nil) // who reads may have gone
	}
}
