package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"eximpolicyd/acl"
	"eximpolicyd/internal/config"
	"eximpolicyd/internal/mainlog"
	"eximpolicyd/internal/origin"
	"eximpolicyd/internal/prose"
	"eximpolicyd/internal/report"
)

// replayer is the subcommand replay with its flags.
type replayer struct {
	config, against, zone, html string
	json, dns                   bool
}

func replayCommand() *cobra.Command {
	r := &replayer{}
	cmd := &cobra.Command{
		Use:   "replay LOG...",
		Short: "judge Exim's old logs: which mail would have been refused",
		Long: `Read Exim's main and reject logs, plain or .gz, rotated ones in any order, - for standard input, also as syslog and
the journal have them, and judge what happened as the daemon would have, in the time of the log and with a memory of
its own. Nothing is sent to a daemon, nothing is remembered, and the DNS is not asked, unless --dns says so: then
today's answers count.

Every rule that is on is taken as enforced, so that you see what enforcing it would do before you do. What the log does
not tell is unknown and refuses nobody; the report says which log_selector would tell more. A mail that is shown without
a Message-ID, where others have theirs, is taken for one without. Accounts and addresses of this machine are taken for
those of the log's.

The exit code is 65 if nothing in the logs is an entry of Exim's, 66 if no log could be read, and 77 if none may be.`,
		Example: `  eximpolicyd replay /var/log/exim4/mainlog* /var/log/exim4/rejectlog*
  eximpolicyd replay --against strict.toml --config lenient.toml /var/log/exim4/mainlog`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.run(cmd.OutOrStdout(), cmd.ErrOrStderr(), args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.config, "config", "", "configuration `FILE`")
	f.StringVar(&r.against, "against", "", "another configuration `FILE`: report only what it decides differently")
	f.StringVar(&r.zone, "zone", "", "time `ZONE` of stamps that have none, like Europe/Berlin (default: this machine's)")
	f.BoolVar(&r.dns, "dns", false, "ask the DNS, block lists and all, as it is today")
	f.BoolVar(&r.json, "json", false, "print a JSON object")
	f.StringVar(&r.html, "html", "", "write the report to `FILE`, a page that needs nothing else, instead of printing it as text")
	return cmd
}

func (r *replayer) run(out, errs io.Writer, args []string) error {
	frugal()
	if err := r.pageFile(); err != nil {
		return err
	}
	where, err := zoneNamed(r.zone)
	if err != nil {
		return err
	}
	conf, err := load(r.config)
	if err != nil {
		return err
	}
	o := report.Options{Decider: decider(conf, conf.Mode), Location: where, UID: accountsOnce(), Account: namesOnce()}
	if r.against != "" {
		other, err := load(r.against)
		if err != nil {
			return err
		}
		o.Against = decider(other, other.Mode)
	}
	var interfaces origin.Interfaces
	o.Interfaces = interfaces.Addresses(time.Now())
	if r.dns {
		a, err := r.ask(conf, &o)
		if err != nil {
			return err
		}
		defer a.Close()
	}
	rep, err := r.replay(&o, errs, args, where)
	if err != nil {
		return err
	}
	return r.write(out, rep)
}

// frugal has the heap grow to a size and stay there: nearly all of it is gone at once, and what is not is bounded. Whoever says
// otherwise in the environment is heard.
func frugal() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(heapGrows)
		debug.SetMemoryLimit(heapMost)
	}
}

// The heap may be five times what is alive, and 46 MB where that leaves room: with the program's own pages that is under 60 MB.
const (
	heapGrows = 400
	heapMost  = 46 << 20
)

// ask lets rules know what the DNS says today.
func (r *replayer) ask(conf *config.Config, o *report.Options) (*asking, error) {
	if !conf.DNS.Ask {
		return nil, fail(exUsage, `leave --dns out, or set dns.ask = "on"`, `dns.ask is "off"`)
	}
	a, err := newAsking(wantsOf(conf, o.Decider.Rules), nil, nil)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeout(context.Background(), testTime)
	defer stop()
	a.lists.Test(ctx)
	o.DNS, o.Own = a.dns, acl.NewOwnDNS(a.resolver, conf.Own, nil)
	look, stop := context.WithTimeout(context.Background(), testTime)
	defer stop()
	o.Own.Refresh(look)
	return a, nil
}

// replay reads the logs. What is wrong with one of them is told, and the others are read.
func (r *replayer) replay(o *report.Options, errs io.Writer, args []string, where *time.Location) (*report.Report, error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends what waits for a pipe
	bar := newBar(errs, args, mainlog.File)
	defer bar.Close()
	reader := mainlog.NewReader(bar.inputs, mainlog.Options{Location: where})
	defer reader.Close()
	rep, err := report.Replay(ctx, reader, *o)
	bar.Close()
	switch {
	case errors.Is(err, context.Canceled):
		return nil, fail(exTemporary, "", "the replay was cut short by a signal")
	case err != nil:
		return nil, fail(exTemporary, "", "the replay was cut short: %w", err)
	}
	tellFaults(errs, reader.Faults())
	for _, f := range rep.Log.Faults[len(reader.Faults()):] {
		fmt.Fprintln(errs, "eximpolicyd:", legible(f))
	}
	switch {
	case rep.Log.Entries == 0 && rep.Log.Bytes == 0 && len(rep.Log.Faults) > 0:
		return nil, noLog(reader.Faults())
	case rep.Log.Entries == rep.Log.Unknown:
		return nil, fail(exData, "give Exim's mainlog and rejectlog", "nothing in %s is an entry of Exim's", prose.Many(rep.Log.Lines, "line"))
	}
	return rep, nil
}

// write writes the report in the forms that were asked for.
func (r *replayer) write(out io.Writer, rep *report.Report) error {
	if r.html != "" {
		if err := r.page(rep); err != nil {
			return err
		}
	}
	switch {
	case r.json:
		return jsonTo(out).Encode(rep)
	case r.html != "":
		return nil
	}
	return rep.Text(out)
}

// page writes the page beside its file first, so that there is an old one or a whole one.
func (r *replayer) page(rep *report.Report) error {
	f, err := renameio.NewPendingFile(r.html, renameio.WithTempDir(filepath.Dir(r.html)), renameio.WithStaticPermissions(pageMode))
	if err != nil {
		return fail(exIO, htmlHint, "%w", err)
	}
	defer f.Cleanup()
	text := bufio.NewWriter(f)
	if err := errors.Join(rep.HTML(text), text.Flush()); err != nil {
		return fail(exIO, htmlHint, "%w", err)
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return fail(exIO, htmlHint, "%w", err)
	}
	return nil
}

const (
	pageMode = 0o600 // it has addresses of people
	htmlHint = "give --html a file in a folder that you may write to"
)

// pageFile looks, before long work, at what stands where the page is to be: a page in the place of /dev/stdout, or of a link,
// would be a surprise.
func (r *replayer) pageFile() error {
	if r.html == "" {
		return nil
	}
	info, err := os.Lstat(r.html)
	if err == nil && !info.Mode().IsRegular() {
		return fail(exIO, htmlHint, "%s is there and is no file that could be replaced", r.html)
	}
	folder := filepath.Dir(r.html)
	if err := unix.Access(folder, unix.W_OK|unix.X_OK); err != nil {
		return fail(exIO, htmlHint, "%s: %w", folder, err)
	}
	return nil
}

// accountsOnce looks up each account once.
func accountsOnce() func(login string) (uint32, bool) {
	type answer struct {
		uid   uint32
		known bool
	}
	seen := map[string]answer{}
	return func(login string) (uint32, bool) {
		a, ok := seen[login]
		if !ok {
			a.uid, a.known = origin.UID(login)
			if len(seen) < maxAccounts {
				seen[login] = a
			}
		}
		return a.uid, a.known
	}
}

// namesOnce looks up each uid once.
func namesOnce() func(uid uint32) (string, bool) {
	seen := map[uint32]string{}
	return func(uid uint32) (string, bool) {
		name, ok := seen[uid]
		if !ok {
			name, _ = origin.Account(uid)
			if len(seen) < maxAccounts {
				seen[uid] = name
			}
		}
		return name, name != ""
	}
}

const maxAccounts = 1 << 14 // that are remembered
