package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"eximpolicyd/internal/control"
	"eximpolicyd/internal/origin"
	"eximpolicyd/policy"
)

// admin is what the commands share that ask the running daemon over the administrator's socket. None of them ever
// touches the daemon's files: what it does not know of, it would undo.
type admin struct {
	config, socket string
}

// flags gives a command, and those below it, the flags that say where the daemon is.
func (a *admin) flags(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringVar(&a.config, "config", "", "configuration `FILE`, for listen.socket")
	f.StringVar(&a.socket, "socket", "", "`PATH` of the daemon's control.sock (default: beside listen.socket)")
}

// path returns where the socket is.
func (a *admin) path() (string, error) {
	if a.socket != "" {
		return a.socket, nil
	}
	conf, err := load(a.config)
	if err != nil {
		return "", err
	}
	return controlSocket(conf.Listen.Socket), nil
}

// ask asks the daemon.
func (a *admin) ask(q control.Request, reply any) error {
	return a.at(func(socket string) error { return control.Ask(socket, q, reply) })
}

// each asks the daemon for lines.
func each[T any](a *admin, q control.Request) (things []T, err error) {
	err = a.at(func(socket string) error {
		return control.Each(socket, q, func(thing T) { things = append(things, thing) })
	})
	return things, err
}

// at has something asked at the socket, and says what went wrong.
func (a *admin) at(ask func(socket string) error) error {
	socket, err := a.path()
	if err != nil {
		return err
	}
	err = ask(socket)
	if noDaemon(err) {
		return fail(exUnavailable, "is eximpolicyd serve running (systemctl start eximpolicyd)? control.sock stands beside its socket", "no daemon at %s", socket)
	}
	return noAnswer(socket, err)
}

func noDaemon(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// noAnswer is an error of the socket with its exit code. That there is no daemon stays as it is.
func noAnswer(socket string, err error) error {
	refusal := new(control.Refusal)
	known := new(failure)
	switch {
	case err == nil, noDaemon(err), errors.As(err, &known):
		return err
	case errors.As(err, &refusal):
		codes := map[control.Kind]int{control.Denied: exPermission, control.Wrong: exData, control.Busy: exTemporary}
		code, ok := codes[refusal.Kind]
		if !ok {
			code = exUnavailable
		}
		return fail(code, "", "the daemon at %s says: %w", socket, err)
	case errors.Is(err, fs.ErrPermission):
		return fail(exPermission, "ask as root or as the daemon's user", "this user may not open %s", socket)
	}
	return fail(exUnavailable, "see the daemon's log", "no answer from %s: %w", socket, err)
}

// networkHint says how networks are typed.
const networkHint = "write one like 192.0.2.7, 192.0.2.0/24 or 2001:db8::/64"

// network reads a network that somebody has typed, and tells him if another is taken.
func network(errs io.Writer, text string) (netip.Prefix, error) {
	p, note, err := control.ParseNetwork(text)
	if err != nil {
		return p, fail(exUsage, networkHint, "%w", err)
	}
	if note != "" {
		fmt.Fprintln(errs, "eximpolicyd: note:", note)
	}
	return p, nil
}

// shown writes a network for a reader: one address as that.
func shown(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// networks reads all that somebody has typed before anything is done.
func networks(errs io.Writer, args []string) ([]netip.Prefix, error) {
	list := make([]netip.Prefix, len(args))
	for i, text := range args {
		p, err := network(errs, text)
		if err != nil {
			return nil, err
		}
		list[i] = p
	}
	return list, nil
}

// reason refuses what no log and no table could show.
func reason(because string) error {
	if err := control.CheckReason(because); err != nil {
		return fail(exUsage, "", "--because: %w", err)
	}
	return nil
}

// notWide refuses a network that is too wide to be meant, unless it is.
func notWide(p netip.Prefix, force bool) error {
	err := control.CheckWide(p)
	if err == nil || force {
		return nil
	}
	return fail(exUsage, "if you mean it, add --force", "%w: that is a good part of the world", err)
}

// dangers says what it means to shut out some networks.
func dangers(p netip.Prefix, own []netip.Addr) []string {
	var list []string
	for _, a := range own {
		if p.Contains(a) && !a.IsLoopback() {
			list = append(list, fmt.Sprintf("%s is an address of this machine: what it sends itself over that address is shut out", a))
		}
	}
	a := p.Addr()
	switch {
	case a.IsLoopback():
		list = append(list, fmt.Sprintf("%s is this machine itself: every program here that submits mail over it is shut out", shown(p)))
	case policy.Private(a):
		list = append(list, fmt.Sprintf("%s is private: behind a proxy or a NAT every client there may come from it, and all of them are shut out", shown(p)))
	}
	return list
}

// warn tells the dangers of shutting out a network.
func warn(errs io.Writer, p netip.Prefix, own []netip.Addr) {
	for _, danger := range dangers(p, own) {
		fmt.Fprintln(errs, "eximpolicyd: warning:", danger)
	}
}

// ownAddresses are those of the interfaces, which are the daemon's too: a Unix socket does not leave the machine.
func ownAddresses() []netip.Addr {
	var own origin.Interfaces
	return own.Addresses(time.Now())
}
