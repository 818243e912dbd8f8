package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"eximpolicyd/internal/config"
	"eximpolicyd/policy"
	"eximpolicyd/rbl"
)

// askTime is how long lists check waits for the lists, longer than a question lasts.
const askTime = 4 * time.Second

// explanation is what lists check --json prints.
type explanation struct {
	Subject   string       `json:"subject"`
	Answers   []listAnswer `json:"answers"`
	Score     rbl.Score    `json:"score"`     // what the listings add up to, those of one operator once
	Threshold rbl.Score    `json:"threshold"` // policy.rbl.threshold
	Reached   bool         `json:"reached"`
}

// listAnswer is what one list says.
type listAnswer struct {
	List     string    `json:"list"`   // a key masked
	Status   string    `json:"status"` // listed, clear or unknown
	Codes    []string  `json:"codes,omitempty"`
	Meanings []string  `json:"meanings,omitempty"`
	Score    rbl.Score `json:"score"`
	TTL      int       `json:"ttl"`            // seconds
	Why      string    `json:"why,omitempty"`  // an answer counts nothing
	Text     string    `json:"text,omitempty"` // what the list says
	URL      string    `json:"url,omitempty"`  // where a sender can look himself up
}

func listsCheckCommand(configFile *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check ADDRESS|NAME",
		Short: "ask all lists about an address or a name, and explain each answer",
		Long: `Test the lists of the configuration, then ask them about an address, or those of names about a name, and explain each
answer: its codes, what they mean and weigh, and for how long it holds. A list that fails its test is not asked, and the
reason stands below it. The daemon is not asked either.`,
		Example: `  eximpolicyd lists check 127.0.0.2
  eximpolicyd lists check mail.example.com`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			conf, err := load(*configFile)
			if err != nil {
				return err
			}
			e, err := explain(conf, args[0], cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if asJSON {
				return jsonTo(cmd.OutOrStdout()).Encode(e)
			}
			return printExplanation(cmd.OutOrStdout(), e)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return cmd
}

// explain asks the lists of a configuration about an address or a name.
func explain(conf *config.Config, subject string, errs io.Writer) (*explanation, error) {
	addr, notAddress := netip.ParseAddr(strings.Trim(subject, "[]"))
	if notAddress != nil && (!policy.IsHostname(subject) || !strings.Contains(strings.Trim(subject, "."), ".")) {
		return nil, fail(exUsage, "write one like 192.0.2.1, 2001:db8::1 or mail.example.com", "%q is no address and no name that a list can have", subject)
	}
	if isTerminal(errs) {
		fmt.Fprintln(errs, "testing the lists and asking them ...")
	}
	a, err := askingNow(conf)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	ctx, stop := context.WithTimeout(context.Background(), askTime)
	defer stop()
	kind, report := rbl.OfNames, rbl.Report{}
	if notAddress == nil {
		kind, report = rbl.OfAddresses, a.lists.Check(ctx, addr)
	} else {
		report = a.lists.CheckName(ctx, subject)
	}
	if len(report.Answers) == 0 {
		return nil, fail(exUnavailable, "policy.rbl.zones and name_zones name them", "no list of %s is set", kind)
	}
	e := &explanation{Subject: report.Subject, Answers: make([]listAnswer, len(report.Answers)), Score: report.Score()}
	if s, ok := conf.Policies["rbl"].Settings.(*policy.RBL); ok {
		e.Threshold = rbl.Score(s.Threshold*10 + 0.5)
	}
	e.Reached = e.Score >= e.Threshold
	health := a.lists.States()
	for i := range report.Answers {
		e.Answers[i] = answerOf(&report.Answers[i])
		for _, h := range health { // a list that is not ok has more to say than that
			if h.Zone == e.Answers[i].List && h.Kind == kind.String() && h.State != rbl.OK && h.Why != "" {
				e.Answers[i].Why = h.State.String() + ": " + h.Why
			}
		}
		if report.Answers[i].Status == rbl.Listed {
			e.Answers[i].Text = a.lists.Text(ctx, report.Subject, &report.Answers[i])
		}
	}
	return e, nil
}

func answerOf(a *rbl.Answer) listAnswer {
	out := listAnswer{List: a.Zone.Public, Status: a.Status.String(), TTL: int(a.TTL / time.Second), Why: a.Why}
	if a.Status != rbl.Listed {
		return out
	}
	out.Score, out.Meanings = a.Zone.Weigh(a.Codes)
	out.URL = a.Zone.URL
	for _, code := range a.Codes {
		out.Codes = append(out.Codes, code.String())
	}
	return out
}

// printExplanation writes a line an answer, with what there is to say below it, and the sum.
func printExplanation(out io.Writer, e *explanation) error {
	paint := painter(out)
	w := bufio.NewWriter(out)
	for _, a := range e.Answers {
		score, ttl := "", ""
		if a.Status == rbl.Listed.String() {
			score = a.Score.String()
		}
		if a.TTL > 0 {
			ttl = "for " + (time.Duration(a.TTL) * time.Second).String()
		}
		name := a.List
		if len(name) > listWidth {
			fmt.Fprintln(w, name)
			name = ""
		}
		line := fmt.Sprintf("%-*s  %s  %5s  %s", listWidth, name, paint(a.Status, fmt.Sprintf("%-7s", a.Status)), score, ttl)
		fmt.Fprintln(w, strings.TrimRight(line, " "))
		if len(a.Codes) > 0 {
			wrapped(w, "codes: ", strings.Join(a.Codes, " "))
		}
		for _, m := range a.Meanings {
			wrapped(w, "means: ", m)
		}
		if a.Why != "" {
			wrapped(w, "why: ", a.Why)
		}
		if a.Text != "" {
			wrapped(w, "says: ", a.Text)
		}
		if a.URL != "" {
			wrapped(w, "see: ", a.URL)
		}
	}
	verdict := "less than"
	if e.Reached {
		verdict = "which reaches"
	}
	fmt.Fprintf(w, "\n%s: together %s, %s the threshold of %s (lists of one operator count once)\n", e.Subject, e.Score, verdict, e.Threshold)
	return w.Flush()
}
