package main

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"eximpolicyd/internal/origin"
	"eximpolicyd/internal/relaytest"
)

// relaying is the subcommand relaytest with its flags.
type relaying struct {
	exim, config, client         string
	domain, helo, from, victim   string
	deliver                      string
	pace                         time.Duration
	mine, noTLS, json, listForms bool
}

// exOpen says that a form relays.
const exOpen = 1

func relaytestCommand() *cobra.Command {
	r := &relaying{}
	cmd := &cobra.Command{
		Use:   "relaytest HOST[:PORT]",
		Short: "am I an open relay? ask a mail server by every known form",
		Long: `Ask a mail server to take mail from a stranger for somebody elsewhere, in every form that is known to have fooled one, and
stop before DATA. --forms shows them. A form has a connection of its own, one a second; STARTTLS is used where it is
offered, and its certificate not checked.

Every server relays for its own machine and network, so a test from there may prove nothing, and says so. --exim needs no
network: it plays a client from outside to the Exim of this machine, by exim -bh, and finds the same.

A host that is not this machine needs --i-own-this, and so does a name, which is not looked up before: strangers take it for
an attack. --deliver sends a message to an address
of yours, elsewhere, by each form that is taken; where it arrives, that form relays. What does not may freeze in its queue.

  relays    taken, and for nobody of the server's
  accepted  taken, but perhaps for a mailbox of the server: look, or prove it by --deliver
  allowed   taken from a client that may relay, as it seems
  refused   by a 5xx
  deferred  by a 4xx, so that it is not tested
  skipped   the server does not offer SMTPUTF8
  error     no answer

The exit code is 1 if a form relays, 0 if none does, 75 if an answer is missing, as under greylisting, and 69 if the test
proves nothing: the server does not talk to us, refuses everything, or lets this machine relay by right.`,
		Example: `  eximpolicyd relaytest --exim
  eximpolicyd relaytest mx.example.com --i-own-this --deliver me@example.net`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd.OutOrStdout(), args) },
	}
	f := cmd.Flags()
	f.StringVar(&r.exim, "exim", "", "test the Exim of this machine by exim -bh, that of `PATH` or where it usually is")
	f.Lookup("exim").NoOptDefVal = "find"
	f.StringVar(&r.config, "config", "", "configuration `FILE` of that Exim (default: its own)")
	f.StringVar(&r.client, "client", "", "`ADDRESS` of the client: with --exim any (default 192.0.2.1), else one of this machine's to connect from")
	f.StringVar(&r.domain, "domain", "", "`DOMAIN` of the server (default: found by its postmaster)")
	f.StringVar(&r.helo, "helo", "", "`NAME` to say in EHLO (default: this machine's, with --exim the client's address)")
	f.StringVar(&r.from, "from", "relaytest@www.example.net", "`ADDRESS` of a stranger, which stands a check of senders")
	f.StringVar(&r.victim, "victim", "relaytest@www.example.org", "`ADDRESS` elsewhere, to relay to")
	f.StringVar(&r.deliver, "deliver", "", "really send, to this `ADDRESS` of yours elsewhere")
	f.DurationVar(&r.pace, "pace", time.Second, "`DURATION` from one connection to the next; below 1s on loopback only")
	f.BoolVar(&r.mine, "i-own-this", false, "HOST is yours, although it is not this machine")
	f.BoolVar(&r.noTLS, "no-tls", false, "do not use STARTTLS")
	f.BoolVar(&r.json, "json", false, "print a JSON object")
	f.BoolVar(&r.listForms, "forms", false, "print the forms, and test nothing")
	return cmd
}

func (r *relaying) run(out io.Writer, args []string) error {
	if r.listForms {
		return r.forms(out)
	}
	own := new(origin.Interfaces).Addresses(time.Now())
	o, where, err := r.options(args, own)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	t := &relayTable{out: out, paint: painter(out)}
	if !r.json {
		t.head(where, o)
		o.Each = t.row
	}
	rep, err := relaytest.Test(ctx, *o)
	if err != nil {
		return fail(exTemporary, "", "the test was cut short: %w", err)
	}
	rep.Server = where
	if r.json {
		err = jsonTo(out).Encode(rep)
	} else {
		err = t.end(rep)
	}
	if err != nil {
		return err
	}
	return r.failure(rep)
}

// options reads what the flags say.
func (r *relaying) options(args []string, own []netip.Addr) (*relaytest.Options, string, error) {
	o := &relaytest.Options{Own: own, Domain: r.domain, HELO: r.helo, From: r.from, Victim: r.victim, Pace: r.pace, TLS: !r.noTLS}
	if r.deliver != "" {
		o.Victim, o.Deliver = r.deliver, true
	}
	if err := errors.Join(relaytest.CheckAddress(o.From), relaytest.CheckAddress(o.Victim)); err != nil {
		return nil, "", fail(exUsage, "a test needs plain addresses, in which nothing can be mistaken for a form", "%w", err)
	}
	_, elsewhere, _ := strings.Cut(o.Victim, "@")
	switch {
	case r.domain != "" && !relaytest.IsName(r.domain):
		return nil, "", fail(exUsage, "write --domain example.com", "--domain %.60q is no name", r.domain)
	case r.helo != "" && !relaytest.IsName(r.helo) && !isLiteral(r.helo):
		return nil, "", fail(exUsage, "write --helo mail.example.com or --helo [192.0.2.1]", "--helo %.60q is no name", r.helo)
	case r.domain != "" && strings.EqualFold(r.domain, elsewhere):
		return nil, "", fail(exUsage, "give one whose mail another server takes", "<%s> is not elsewhere: %s is the server's", o.Victim, r.domain)
	}
	var client netip.Addr
	if r.client != "" {
		var err error
		if client, err = netip.ParseAddr(r.client); err != nil {
			return nil, "", fail(exUsage, "write --client 192.0.2.1", "--client %.60q is no address", r.client)
		}
	}
	switch {
	case r.exim != "" && len(args) > 0:
		return nil, "", fail(exUsage, "give one of both; a PATH is written --exim=PATH", "%.60q and --exim", args[0])
	case r.exim != "":
		return r.local(o, client)
	case len(args) == 0:
		return nil, "", fail(exUsage, "eximpolicyd relaytest --exim tests the Exim of this machine", "relaytest needs a host, or --exim")
	case r.config != "":
		return nil, "", fail(exUsage, "", "--config is for --exim")
	}
	return r.remote(o, args[0], client)
}

// outside is a client that nobody lets relay (RFC 5737).
const outside = "192.0.2.1"

// local has exim -bh tested.
func (r *relaying) local(o *relaytest.Options, client netip.Addr) (*relaytest.Options, string, error) {
	if o.Deliver {
		return nil, "", fail(exUsage, "test the host itself, from elsewhere", "exim -bh delivers nothing, and --deliver wants it to")
	}
	e := &relaytest.Exim{Path: r.exim, Config: r.config, Client: client}
	if !client.IsValid() {
		e.Client = netip.MustParseAddr(outside)
	}
	if r.exim == "find" {
		var err error
		if e.Path, err = relaytest.FindExim(); err != nil {
			return nil, "", fail(exNoInput, "write --exim=PATH", "%w", err)
		}
	}
	if _, err := os.Stat(r.config); r.config != "" && err != nil {
		return nil, "", fail(exNoInput, "give --config a configuration of Exim", "--config: %w", err)
	}
	if err := e.Check(); errors.Is(err, os.ErrNotExist) {
		return nil, "", fail(exNoInput, "write --exim=PATH", "%w", err)
	} else if err != nil {
		return nil, "", fail(exPermission, "as root, it has to be root's, and so do the folders above it", "%w", err)
	}
	o.Dial, o.Client, o.Pace, o.TLS = e.Dial, e.Client, 0, false // no server waits, and -bh can't speak TLS
	if o.HELO == "" {
		o.HELO = addressLiteral(e.Client)
	}
	for _, a := range o.Own {
		if !o.Server.IsValid() && !a.IsLoopback() && !a.IsLinkLocalUnicast() {
			o.Server = a
		}
	}
	return o, e.Path + " -bh " + e.Client.String(), nil
}

// addressLiteral is the name of a client that has none (RFC 5321 4.1.3).
func addressLiteral(a netip.Addr) string {
	if a.Is6() {
		return "[IPv6:" + a.String() + "]"
	}
	return "[" + a.String() + "]"
}

func isLiteral(s string) bool {
	a, err := netip.ParseAddr(strings.TrimPrefix(strings.Trim(s, "[]"), "IPv6:"))
	return err == nil && s == addressLiteral(a)
}

const (
	lookTime = 10 * time.Second // to find the addresses of HOST
	minPace  = time.Second      // of a host that others use
	tlsPort  = 465              // TLS from the first octet
)

// remote has a server on the network tested, if it is this machine or somebody says that it is his.
func (r *relaying) remote(o *relaytest.Options, host string, client netip.Addr) (*relaytest.Options, string, error) {
	h, err := relaytest.ParseHost(host)
	if err != nil {
		return nil, "", fail(exUsage, "write it like mx.example.com, 192.0.2.25:587 or [2001:db8::25]:25", "%w", err)
	}
	if len(h.Addrs) == 0 && !r.mine { // to look a name up is to ask others about it
		return nil, "", fail(exPermission, "if it is yours, say so: --i-own-this; or name this machine by its address", "%s may be somebody else's", h.Name)
	}
	ctx, stop := context.WithTimeout(context.Background(), lookTime)
	defer stop()
	if err := h.Resolve(ctx); err != nil || len(h.Addrs) == 0 {
		return nil, "", fail(exUnavailable, "give its address instead", "the address of %s is not found: %w", h.Name, err)
	}
	at := h.Addr()
	if !h.Is(o.Own) && !r.mine {
		return nil, "", fail(exPermission, "if it is yours, say so: --i-own-this", "%s, %s, is not this machine", host, at.Addr())
	}
	if r.pace < minPace && !at.Addr().IsLoopback() {
		return nil, "", fail(exUsage, "leave --pace out", "--pace %s: a host that is not loopback is asked once a second at most", r.pace)
	}
	h.From = client
	o.Name, o.Dial, o.Wrapped, o.TLS = h.Name, h.Dial, h.Port == tlsPort, o.TLS && h.Port != tlsPort
	if o.HELO == "" {
		o.HELO = heloName()
	}
	return o, at.String(), nil
}

// heloName is this machine's, if it has one that says anything to others.
func heloName() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "localhost"
	}
	return name
}

// failure is the exit code of a report, and what to do.
func (r *relaying) failure(rep *relaytest.Report) error {
	switch rep.Verdict {
	case relaytest.Open:
		hint := "if " + rep.Client + " may relay, that is its right: test from elsewhere, or with --exim"
		if r.exim != "" {
			hint = rep.Server + " on a terminal says which statement takes such a form"
		}
		return fail(exOpen, hint, "%s is an open relay", rep.Server)
	case relaytest.Permitted:
		return fail(exUnavailable, "test with --exim, which plays a client from outside, or from another network",
			"from here %s lets everything through, which proves nothing", rep.Server)
	case relaytest.Untested:
		code, hint := exUnavailable, "name its domain by --domain, yourself by --helo, or test it from another address"
		if len(rep.Forms) == 0 {
			hint = "is it up, and does it talk to this address, and to the name of --helo?"
		}
		if later(rep) {
			code, hint = exTemporary, "try again later, or from another address"
		}
		return fail(code, hint, "%s could not be tested: %s", rep.Server, rep.Why)
	}
	return nil
}

// later reports whether another time may bring the answers that are missing.
func later(rep *relaytest.Report) bool {
	deferred := func(r relaytest.Result) bool { return r.Result == relaytest.Deferred }
	return rep.Count(relaytest.Failed) > 0 || slices.ContainsFunc(rep.Forms, deferred) || slices.ContainsFunc(rep.Controls, deferred)
}
