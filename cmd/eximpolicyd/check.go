package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"eximpolicyd/acl"
	"eximpolicyd/internal/origin"
	"eximpolicyd/internal/prose"
	"eximpolicyd/policy"
)

// checker is the subcommand check with its flags.
type checker struct {
	config, now, jsonl  string
	dryRun, json, noDNS bool

	out     io.Writer
	decider *acl.Decider
	given   acl.Given
	at      time.Time
}

func checkCommand() *cobra.Command {
	c := &checker{}
	cmd := &cobra.Command{
		Use:   "check NAME=VALUE...",
		Short: "judge one request, or a file of them, and show every rule",
		Long: `Judge a request with the names of the wire protocol (eximpolicyd-protocol(7)) as a session of one recipient up to its
protocol_state, RCPT if none is given, stopping at the first stage that refuses. A name that is not given is a
fact that is not known. helo_history=a,b are greetings before this one, client_name= is a confirmed PTR.

Block lists are tested first and count if they pass, as in the daemon. What the DNS said is shown with the server that
said it and for how long that holds. --no-dns asks nothing: what rules need of the DNS is then not known, as with
dns.ask = "off". Nothing is sent to a daemon and nothing is remembered.`,
		Example: `  eximpolicyd check client_address=203.0.113.7 helo_name=localhost
  eximpolicyd check --json protocol_state=DATA client_address=203.0.113.7 helo_name=mx.example.com msgid_present=0`,
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd, args) },
	}
	f := cmd.Flags()
	f.StringVar(&c.config, "config", "", "configuration `FILE`")
	f.BoolVar(&c.dryRun, "dry-run", false, "observe everything, whatever the configuration enforces")
	f.BoolVar(&c.json, "json", false, "print one JSON object")
	f.StringVar(&c.jsonl, "jsonl", "", "judge a `FILE` (- is standard input) of one JSON object a line, print one a line")
	f.StringVar(&c.now, "now", "", "judge as of a `TIME` of RFC 3339")
	f.BoolVar(&c.noDNS, "no-dns", false, "ask no DNS, whatever the configuration says")
	return cmd
}

func (c *checker) run(cmd *cobra.Command, args []string) error {
	c.out = cmd.OutOrStdout()
	c.at = time.Now()
	if c.now != "" {
		at, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			return fail(exUsage, "write it as 2026-12-01T08:00:00Z", "--now %q is no time of RFC 3339", c.now)
		}
		c.at = at
	}
	conf, err := load(c.config)
	if err != nil {
		return err
	}
	c.decider = decider(conf, most(c.dryRun))
	var interfaces origin.Interfaces
	c.given.Interfaces = interfaces.Addresses(c.at)
	switch {
	case c.jsonl != "" && len(args) > 0:
		return fail(exUsage, "give either a file or a request", "--jsonl takes no NAME=VALUE")
	case c.jsonl == "" && len(args) == 0:
		return fail(exUsage, "try eximpolicyd check client_address=203.0.113.7 helo_name=localhost", "no request given")
	}
	pairs, err := parsePairs(args)
	if err != nil {
		return err
	}
	if conf.DNS.Ask && !c.noDNS {
		a, err := newAsking(wantsOf(conf, c.decider.Rules), nil, nil)
		if err != nil {
			return err
		}
		defer a.Close()
		c.ask(a, conf.Own)
	}
	if c.jsonl != "" {
		return c.lines(cmd.InOrStdin())
	}
	d, err := c.judge(pairs)
	if err != nil {
		return fail(exData, "eximpolicyd man protocol lists the names and their values", "%w", err)
	}
	if c.json {
		return jsonTo(c.out).Encode(d)
	}
	return printDecision(c.out, d.Decision, d.DNS)
}

// Bounds of waiting for the DNS. Nobody but the person who typed waits, so a request may take as long as three questions
// one after the other can.
const (
	testTime  = 3 * time.Second
	checkTime = 9 * time.Second
)

// ask puts the DNS into what is known, as the daemon has it a while after its start.
func (c *checker) ask(a *asking, own *policy.Own) {
	c.given.DNS, c.given.Own = a.dns, acl.NewOwnDNS(a.resolver, own, nil)
	test, stop := context.WithTimeout(context.Background(), testTime)
	defer stop()
	a.lists.Test(test)
	look, stop := context.WithTimeout(context.Background(), testTime)
	defer stop()
	c.given.Own.Refresh(look)
}

func (c *checker) judge(pairs []acl.Pair) (acl.Judged, error) {
	q, err := acl.NewRequest(pairs)
	if err != nil {
		return acl.Judged{}, err
	}
	ctx, stop := context.WithTimeout(context.Background(), checkTime)
	defer stop()
	d := c.decider.Session(ctx, q, c.at, c.given)
	if d.Rules == nil {
		d.Rules = []string{}
	}
	return d, nil
}

func parsePairs(args []string) ([]acl.Pair, error) {
	pairs := make([]acl.Pair, 0, len(args))
	for _, a := range args {
		name, value, ok := strings.Cut(a, "=")
		if !ok {
			return nil, fail(exUsage, "write helo_name=mx.example.com", "%q is no NAME=VALUE", a)
		}
		pairs = append(pairs, acl.Pair{Name: name, Value: value})
	}
	return pairs, nil
}

// lines judges JSON lines. A line that is no request is answered by an object with an error, so that output and input
// have the same number of lines, and told on standard error.
func (c *checker) lines(stdin io.Reader) error {
	in, name := stdin, "standard input"
	if c.jsonl != "-" {
		file, err := os.Open(c.jsonl)
		if err != nil {
			return fail(exNoInput, "- is standard input", "%w", err)
		}
		defer file.Close()
		in, name = file, c.jsonl
	}
	out := bufio.NewWriter(c.out)
	encode := jsonTo(out)
	bad, n := 0, 0
	for lines := bufio.NewReaderSize(in, maxLine); ; n++ {
		line, err := nextLine(lines)
		if err == io.EOF {
			break
		}
		if err != nil {
			return fail(exIO, "", "%s:%d: %w", name, n+1, err)
		}
		var answer any
		d, err := c.line(line)
		answer = d
		if err != nil {
			bad++
			fmt.Fprintf(os.Stderr, "eximpolicyd: %s:%d: %v\n", name, n+1, err)
			answer = map[string]any{"error": err.Error(), "line": n + 1}
		}
		if err := encode.Encode(answer); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if bad > 0 {
		return fail(exData, "", "%s: %d of %s %s", name, bad, prose.Many(n, "line"), prose.Form(bad, "is no request", "are no requests"))
	}
	return nil
}

// maxLine bounds a line, which is one request of at most 64 kB, written as JSON.
const maxLine = 1 << 20

var errLongLine = errors.New("the line is over 1 MB")

// nextLine returns the next line without its end. One that is too long is skipped and is nil.
func nextLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if err == nil || err == io.EOF && len(line) > 0 {
		return bytes.TrimRight(line, "\r\n"), nil
	}
	if err != bufio.ErrBufferFull {
		return nil, err
	}
	for err == bufio.ErrBufferFull {
		_, err = r.ReadSlice('\n')
	}
	return nil, nil
}

func (c *checker) line(line []byte) (acl.Judged, error) {
	if line == nil {
		return acl.Judged{}, errLongLine
	}
	var object map[string]any
	decode := json.NewDecoder(strings.NewReader(string(line)))
	decode.UseNumber()
	if err := decode.Decode(&object); err != nil {
		return acl.Judged{}, fmt.Errorf("no JSON object: %w", err)
	}
	if object == nil {
		return acl.Judged{}, fmt.Errorf("no JSON object: null")
	}
	if decode.More() {
		return acl.Judged{}, fmt.Errorf("more than one JSON object")
	}
	var pairs []acl.Pair
	for name, value := range object {
		text, ok := valueText(value)
		if !ok {
			return acl.Judged{}, fmt.Errorf("the value of %q is no string, number or list of strings", name)
		}
		if value != nil {
			pairs = append(pairs, acl.Pair{Name: name, Value: text})
		}
	}
	return c.judge(pairs)
}

// valueText writes a JSON value as the protocol does: true as 1, a list with commas.
func valueText(value any) (string, bool) {
	switch v := value.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		if v {
			return "1", true
		}
		return "0", true
	case []any:
		var list []string
		for _, item := range v {
			s, ok := item.(string)
			if !ok {
				return "", false
			}
			list = append(list, s)
		}
		return strings.Join(list, ","), true
	}
	return "", false
}

// printDecision writes the trace as a table, what the DNS said if it was asked, and the outcome below.
func printDecision(out io.Writer, d acl.Decision, dns []acl.Heard) error {
	paint := painter(out)
	w := &page{Writer: bufio.NewWriter(out), paint: paint}
	printTrace(w, d.Trace, "", paint, isTerminal(out))
	w.dns(dns)
	fmt.Fprintln(w)
	switch {
	case d.Action != policy.Dunno:
		fmt.Fprintf(w, "%s at %s: %s %s (%s)\n", paint("hit", d.Action.String()), d.Stage, d.Code, d.Text, d.Rule)
	case d.Would.String() != "":
		fmt.Fprintf(w, "dunno, but would %s: %s %s (%s is only observed)\n", d.Would, d.Code, d.Text, d.Rule)
	case d.Mark:
		fmt.Fprintf(w, "dunno, and the message is marked: score %s\n", d.Score)
	default:
		fmt.Fprintf(w, "dunno: no opinion, score %s\n", d.Score)
	}
	return w.Flush()
}

// printTrace writes the steps as a table, each behind an indent: on a line of its own, as grep wants it, or fit for a terminal of
// 80 columns.
func printTrace(w io.Writer, trace []acl.Step, indent string, paint func(result, text string) string, fit bool) {
	width := 0
	for _, s := range trace {
		width = max(width, len(s.Rule))
	}
	for _, s := range trace {
		score := ""
		if s.Score != 0 {
			score = s.Score.String()
		}
		rule, result := fmt.Sprintf("%s%-*s  %-7s  ", indent, width, s.Rule, s.Mode), fmt.Sprintf("%-7s", s.Result)
		score = fmt.Sprintf("  %4s  ", score)
		why := s.Why + "\n"
		if fit {
			var lines strings.Builder
			hanging(&lines, rule+result+score, s.Why)
			why = strings.TrimPrefix(lines.String(), rule+result+score)
		}
		fmt.Fprint(w, rule, paint(s.Result, result), score, why)
	}
}
