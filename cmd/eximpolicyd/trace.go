package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"eximpolicyd/internal/mainlog"
	"eximpolicyd/internal/prose"
	"eximpolicyd/internal/trace"
)

// tracer is the subcommand trace with the flags that all of its own share.
type tracer struct {
	admin
	zone  string
	json  bool
	names []string
	own   bool // the logs are those that were found
}

func newTrace() *cobra.Command {
	t := &tracer{}
	cmd := &cobra.Command{
		Use:   "trace MESSAGE-ID|REPORT.eml [LOG...]",
		Short: "find out who sent something: an account, a directory, a script",
		Long: `Tell the whole story of one message from Exim's logs: who sent it, from which host, account, directory and script, what
became of each recipient, and what else of this sender is in the log. Without LOG these are all logs of this host.

MESSAGE-ID is Exim's (1xVTqk-0006FJ-1W), or that of the header (<...@...>). REPORT.eml is a complaint about spam: the spam with
its full header, a mail with it attached, a report of a machine (ARF), or a mail that has the header in its text; - is standard
input. Of each message in it one of these is said:

  came from here                 a line of the log confirms it: who sent it, and how much more
  came through here              likewise, but another host brought it
  claims to have come from here  but the log knows no such message, or another by that id
  nothing but its id fits what the log says
  not from here

An id proves nothing, since anybody can copy a Received field: time, sender, Message-ID and subject must fit as far as the log
has them, and something outside of that field must be among what fits. A signature of this host is asked of the daemon.

The exit code is 0 if the message, or one of the report, is in the log; 1 if none is, 65 if the report has no header or the log is
none of Exim's, 66 if there is no report or no log, and 77 if one may not be read that could have had it.`,
		Example: `  eximpolicyd trace 1xVTqk-0006FJ-1W
  eximpolicyd trace report.eml /var/log/exim4/mainlog*
  eximpolicyd trace top --by directory --since 2d`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.one(cmd.OutOrStdout(), cmd.ErrOrStderr(), cmd.InOrStdin(), args[0], args[1:])
		},
	}
	f := cmd.PersistentFlags()
	f.StringVar(&t.zone, "zone", "", "time `ZONE` of stamps that have none, like Europe/Berlin (default: this machine's)")
	f.BoolVar(&t.json, "json", false, "print a JSON object")
	own := cmd.Flags()
	own.StringVar(&t.config, "config", "", "configuration `FILE`, for own.names and listen.socket")
	own.StringVar(&t.socket, "socket", "", "`PATH` of the daemon's control.sock, to check signatures (default: beside listen.socket)")
	own.StringArrayVar(&t.names, "name", nil, "a `NAME` that this host has in Received fields, besides its own and own.names")
	cmd.AddCommand(t.topCommand(), t.liveCommand())
	return cmd
}

func (t *tracer) topCommand() *cobra.Command {
	var o trace.TopOptions
	var since moment
	cmd := &cobra.Command{
		Use:   "top [LOG...]",
		Short: "count who sent how many messages, from Exim's logs",
		Long: `Read Exim's main logs, plain or .gz, rotated ones in any order, - for standard input, also as syslog and the journal have
them, and count who sent what. Without LOG these are the logs of this host, as far back as --since says, or two days.

Mail counts that was sent from this host or by somebody who logged in; --all counts what other hosts brought, too.

  account    who logged in (A=), or the local user who called sendmail (U=)
  directory  where sendmail was called; needs +arguments, and without +pid it is a guess that says so
  script     as PHP or a hosting panel names it; needs our note of it, or the reject log
  uid        of the local user, in this machine's account database
  address    the sender of the envelope, which anybody chooses
  subject    needs +subject
  client     the address that it came from

RCPTS is the log's list of recipients if it has one (+received_recipients), else those with a delivery. DOMAINS counts those
whose hosts were tried. FAILED is the share of recipients that were given up. The memory is bounded: of more than 4,096
senders, those with few messages are let go, and a row says how many messages it may lack for that.

The exit code is 65 if nothing in the logs is an entry of Exim's, 66 if there is no log, and 77 if it may not be read.`,
		Example: `  eximpolicyd trace top --by directory --since 2d
  eximpolicyd trace top --by subject -n 20 /var/log/exim4/mainlog*`,
		RunE: func(cmd *cobra.Command, args []string) error {
			where, err := zoneNamed(t.zone)
			if err != nil {
				return err
			}
			o.Since = since.before(time.Now().In(where), len(args) > 0)
			return t.top(cmd.OutOrStdout(), cmd.ErrOrStderr(), args, &o)
		},
	}
	f := cmd.Flags()
	o.By = trace.Keys()[0]
	f.Var(&choice{&o.By, trace.Keys()}, "by", "tell senders apart by `KEY`: "+strings.Join(trace.Keys(), ", "))
	_ = cmd.RegisterFlagCompletionFunc("by", cobra.FixedCompletions(trace.Keys(), cobra.ShellCompDirectiveNoFileComp)) // fails only for no flag
	f.Var(&since, "since", "count what is not older than `TIME`: 2d, 12h, 2026-11-23 or \"2026-11-23 13:00\"")
	f.IntVarP(&o.Most, "count", "n", 10, "print `COUNT` senders; 0 is all that are kept")
	f.BoolVar(&o.All, "all", false, "count mail of other hosts, too")
	return cmd
}

func (t *tracer) top(out, errs io.Writer, args []string, o *trace.TopOptions) error {
	if o.Most < 0 {
		return fail(exUsage, "0 prints all that are kept", "--count: %d senders can't be printed", o.Most)
	}
	o.UID = accountsOnce()
	logs, err := t.logs(args, o.Since, o.By == "script")
	if err != nil {
		return err
	}
	var top *trace.Top
	_, err = t.read(errs, logs, func(ctx context.Context, r *mainlog.Reader) (err error) {
		top, err = trace.CountTop(ctx, r, *o)
		return err
	})
	if err != nil {
		return err
	}
	if t.json {
		return jsonTo(out).Encode(top)
	}
	return top.Text(out)
}

// logs returns the logs to read: those named, else this host's.
func (t *tracer) logs(args []string, since time.Time, reject bool) ([]string, error) {
	if len(args) > 0 {
		return args, nil
	}
	t.own = true
	own, err := trace.OwnLogs("/", since, reject)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fail(exPermission, readers, "%w", err)
	case errors.Is(err, trace.ErrNoLog):
		return nil, fail(exNoInput, "name the log, or a longer --since", "%w that was written to since %s", err, clock(since))
	case err != nil:
		return nil, fail(exNoInput, "name the log", "%w", err)
	}
	return own, nil
}

// zoneNamed is the zone of a log: the one that --zone names, else this machine's.
func zoneNamed(name string) (*time.Location, error) {
	if name == "" {
		return time.Local, nil
	}
	where, err := time.LoadLocation(name)
	if err != nil {
		return nil, fail(exUsage, "write it like Europe/Berlin or UTC; all but UTC are in the package tzdata", "--zone: %w", err)
	}
	return where, nil
}

// read reads logs with a bar. What is wrong with one of them is told, and the others are read; forbidden says that one of
// them may not be read.
func (t *tracer) read(errs io.Writer, logs []string, read func(context.Context, *mainlog.Reader) error) (forbidden bool, err error) {
	frugal()
	where, err := zoneNamed(t.zone)
	if err != nil {
		return false, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends what waits for a pipe
	as := mainlog.File
	if t.own {
		as = mainlog.OwnFile
	}
	bar := newBar(errs, logs, as)
	defer bar.Close()
	reader := mainlog.NewReader(bar.inputs, mainlog.Options{Location: where})
	defer reader.Close()
	err = read(ctx, reader)
	bar.Close()
	if err != nil {
		return false, fail(exTemporary, "", "the reading was cut short: %w", err)
	}
	forbidden = tellFaults(errs, reader.Faults())
	c := reader.Counts()
	switch {
	case c.Bytes == 0 && len(reader.Faults()) > 0:
		return forbidden, noLog(reader.Faults())
	case c.Lines > 0 && c.Entries() == c.Kinds[mainlog.Unknown]:
		return false, fail(exData, "give Exim's mainlog", "nothing in %s is an entry of Exim's", prose.Many(c.Lines, "line"))
	}
	return forbidden, nil
}
