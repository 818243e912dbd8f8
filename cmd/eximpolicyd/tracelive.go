package main

import (
	"context"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"eximpolicyd/internal/trace"
)

// watchEvery is how often trace live --watch looks. A message over loopback takes about as long.
const watchEvery = 200 * time.Millisecond

// liveTracer is the subcommand trace live with its flags.
type liveTracer struct {
	*tracer
	ports []uint
	watch bool
}

func (t *tracer) liveCommand() *cobra.Command {
	l := &liveTracer{tracer: t}
	cmd := &cobra.Command{
		Use:   "live",
		Short: "show who is connected to a mail server now, from this host",
		Long: `Show which processes of this host talk to a mail server at the moment, to Exim here or past it to another one: user,
program or script, directory, arguments, and the processes of the same user that started it. It is the search by netstat and
/proc, and it reads the same tables of the kernel: user, program and directory are the kernel's word, arguments the process's
own.

A message over loopback is gone in a fraction of a second. --watch looks five times a second and shows each connection once,
until it is interrupted; what was quicker is in the log, for eximpolicyd trace top. Who runs sendmail does not connect.

Run it as root: others see the users, and the processes of their own. With --json each connection is one object and line.`,
		Example: `  eximpolicyd trace live
  eximpolicyd trace live --watch --json >>senders.jsonl`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return l.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.UintSliceVar(&l.ports, "ports", []uint{25, 465, 587}, "`PORTS` of mail servers")
	f.BoolVar(&l.watch, "watch", false, "go on looking, and show whoever is new")
	return cmd
}

func (l *liveTracer) run(ctx context.Context, out, errs io.Writer) error {
	var ports []uint16
	for _, p := range l.ports {
		if p == 0 || p > 65535 {
			return fail(exUsage, "a port is from 1 to 65535", "--ports: there is no port %d", p)
		}
		ports = append(ports, uint16(p))
	}
	told := false
	show := func(senders []trace.Sender, whole bool) error {
		if !whole && !told {
			told = true
			fmt.Fprintln(errs, "eximpolicyd: not root, so the programs of other users are not shown")
		}
		return l.print(out, senders)
	}
	if !l.watch {
		senders, whole, err := trace.Live(ctx, ports)
		switch {
		case err != nil:
			return fail(exUnavailable, "the kernel's modules inet_diag and tcp_diag tell of connections", "cannot see who is connected: %w", err)
		case len(senders) == 0 && !l.json:
			_, err = fmt.Fprintf(out, "nobody on this host talks to port %s now\n", portList(ports))
			return err
		}
		return show(senders, whole)
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	return trace.Watch(ctx, ports, tick.C, show)
}

func (l *liveTracer) print(out io.Writer, senders []trace.Sender) error {
	if !l.json {
		return trace.PrintSenders(out, senders)
	}
	lines := jsonTo(out)
	for i := range senders {
		if err := lines.Encode(&senders[i]); err != nil {
			return err
		}
	}
	return nil
}

// portList writes 25, 465 or 587.
func portList(ports []uint16) string {
	text := ""
	for i, p := range ports {
		switch {
		case i == 0:
		case i == len(ports)-1:
			text += " or "
		default:
			text += ", "
		}
		text += fmt.Sprint(p)
	}
	return text
}
