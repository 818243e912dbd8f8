package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"eximpolicyd/internal/config"
	"eximpolicyd/internal/control"
	"eximpolicyd/internal/prose"
	"eximpolicyd/rbl"
)

// lister is the subcommand lists with its flags.
type lister struct {
	config, socket string
	json           bool
	now            time.Time
}

func listsCommand() *cobra.Command {
	l := &lister{}
	cmd := &cobra.Command{
		Use:   "lists",
		Short: "show how each block list does",
		Long: `Ask the running daemon how each block list does: its state, when it was tested last and since when it is in this
state, how many of our questions timed out, and which part of the last 200 clients it listed. Below a list that
is not ok stands why, the error codes that it answered, and what to do. Only a list that is ok counts.

If no daemon runs, the lists of the configuration are tested now. Run it as root or as the daemon's user.

The exit code is 0 if every list is ok and 69 if one is not, so that cron tells you with
    eximpolicyd lists >/dev/null`,
		Example: `  eximpolicyd lists
  eximpolicyd lists --json | jq -r '.[] | select(.state != "ok").zone'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l.now = time.Now()
			return l.run(cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&l.socket, "socket", "", "`PATH` of the daemon's control.sock (default: beside listen.socket)")
	f.BoolVar(&l.json, "json", false, "print a JSON array")
	cmd.PersistentFlags().StringVar(&l.config, "config", "", "configuration `FILE`")
	cmd.AddCommand(listsCheckCommand(&l.config))
	return cmd
}

func (l *lister) run(out, errs io.Writer) error {
	health, err := l.health(errs)
	if err != nil {
		return err
	}
	if l.json {
		if health == nil {
			health = []rbl.ZoneHealth{}
		}
		err = jsonTo(out).Encode(health)
	} else {
		err = printHealth(out, health, l.now)
	}
	if err != nil {
		return err
	}
	bad := 0
	for _, h := range health {
		if h.State != rbl.OK {
			bad++
		}
	}
	if bad > 0 {
		return fail(exUnavailable, "", "%d of %s %s nothing: not ok", bad, prose.Many(len(health), "list"), prose.Form(bad, "counts", "count"))
	}
	return nil
}

// health asks the daemon at the socket named, or at that of the configuration, whose lists are tested if no daemon runs.
func (l *lister) health(errs io.Writer) (health []rbl.ZoneHealth, err error) {
	if l.socket != "" {
		a := admin{socket: l.socket}
		err := a.ask(control.Request{Request: control.Lists}, &health)
		return health, err
	}
	conf, err := load(l.config)
	if err != nil {
		return nil, err
	}
	socket := controlSocket(conf.Listen.Socket)
	err = control.Ask(socket, control.Request{Request: control.Lists}, &health)
	if !noDaemon(err) {
		return health, noAnswer(socket, err)
	}
	fmt.Fprintf(errs, "eximpolicyd: no daemon at %s; these lists are tested now\n", socket)
	a, err := askingNow(conf)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	return a.lists.States(), nil
}

// askingNow makes what asks the DNS and tests its lists.
func askingNow(conf *config.Config) (*asking, error) {
	if !conf.DNS.Ask {
		return nil, fail(exUnavailable, `set dns.ask = "on" to ask them`, `dns.ask is "off": no list is asked`)
	}
	a, err := newAsking(wantsOf(conf, decider(conf, conf.Mode).Rules), nil, nil)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeout(context.Background(), testTime)
	defer stop()
	a.lists.Test(ctx)
	return a, nil
}

// listWidth is of the column with the names, so that a line has at most 80 columns. A longer name has a line of its own.
const listWidth = 30

// printHealth writes a table.
func printHealth(out io.Writer, health []rbl.ZoneHealth, now time.Time) error {
	if len(health) == 0 {
		_, err := fmt.Fprintln(out, "no list is asked: policy.rbl names none, its rule is off, or dns.ask = \"off\"")
		return err
	}
	paint := painter(out)
	w := bufio.NewWriter(out)
	line := func(name, state, tested, since, timeouts, listed string) {
		if len(name) > listWidth {
			fmt.Fprintln(w, name)
			name = ""
		}
		fmt.Fprintf(w, "%-*s  %s  %7s  %7s  %9s  %7s\n", listWidth, name, paint(state, fmt.Sprintf("%-10s", state)), tested, since, timeouts, listed)
	}
	line("LIST", "STATE", "TESTED", "SINCE", "TIME-OUTS", "LISTED")
	for _, h := range health {
		line(h.Zone, h.State.String(), ago(h.Tested, now), ago(h.Since, now), strconv.FormatUint(h.Timeouts, 10), share(h.Share))
		if h.State == rbl.OK {
			continue
		}
		if h.Why != "" {
			wrapped(w, "why: ", h.Why)
		}
		if len(h.Errors) > 0 {
			wrapped(w, "error codes seen: ", strings.Join(h.Errors, " "))
		}
		if h.Fix != "" {
			wrapped(w, "fix: ", h.Fix)
		}
	}
	return w.Flush()
}

// wrapped writes a text below a list, in lines of at most 80 columns.
func wrapped(w io.Writer, label, text string) { hanging(w, "    "+label, text) }

// hanging writes a text behind a label, in lines of at most 80 columns. What would change a terminal, as a daemon's damaged file may
// have it, becomes "?": escape a client's words before.
func hanging(w io.Writer, label, text string) { prose.Hang(w, legible(label), legible(text)) }

// ago writes how long ago something was, in at most 5 columns.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return control.Span(now.Sub(t))
}

// since says how long ago something was, in words.
func since(t, now time.Time) string {
	text := ago(t, now)
	if text == "now" {
		return "just now"
	}
	return text + " ago"
}

// share writes a part of one; a negative one is not known yet.
func share(part float64) string {
	if part < 0 {
		return "-"
	}
	return strconv.FormatFloat(100*part, 'f', 1, 64) + "%"
}
