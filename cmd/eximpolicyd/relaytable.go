package main

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"

	"eximpolicyd/internal/relaytest"
)

// relayTable prints the results of a relay test as they come, in lines of at most 80 columns.
type relayTable struct {
	out   io.Writer
	paint func(result, text string) string
}

// Widths of the columns of names and results; the answer has the rest.
const (
	formWidth   = 21
	resultWidth = 8
	answerWidth = 80 - formWidth - resultWidth - 4
)

// head says what is tested, and by whom.
func (t *relayTable) head(where string, o *relaytest.Options) {
	fmt.Fprintf(t.out, "testing %s, as %s, for <%s>\n\n", where, o.HELO, o.Victim)
	t.line("FORM", "RESULT", "", "ANSWER")
}

func (t *relayTable) line(form, result, colour, answer string) {
	if len(answer) > answerWidth {
		answer = answer[:answerWidth-3] + "..."
	}
	fmt.Fprintf(t.out, "%-*s  %s  %s\n", formWidth, form, t.paint(colour, fmt.Sprintf("%-*s", resultWidth, result)), answer)
}

// colours are those of painter for each result.
func colours(result string) string {
	switch result {
	case relaytest.Relays, relaytest.Failed:
		return "hit"
	case relaytest.Refused:
		return "ok"
	case relaytest.Skipped, relaytest.Deferred:
		return "off"
	}
	return ""
}

// row prints a result; below one that was taken stands how it was asked.
func (t *relayTable) row(r relaytest.Result) {
	answer := r.Reply
	if r.Code != 0 {
		answer = strconv.Itoa(r.Code) + " " + answer
	}
	colour := colours(r.Result)
	t.line(r.Form, r.Result, colour, answer)
	if r.Result == relaytest.Relays || r.Result == relaytest.Accepted && !r.Control {
		asked(t.out, "    ", r.Mail, r.Rcpt)
		hanging(t.out, "    ", r.Exploits+" ("+r.Source+")")
	}
}

// asked writes two commands, on a line if they fit.
func asked(w io.Writer, label, mail, rcpt string) {
	mail, rcpt = "MAIL FROM:<"+plain(mail)+">", "RCPT TO:<"+plain(rcpt)+">"
	between := "\n" + strings.Repeat(" ", len(label))
	if len(label)+len(mail)+len(rcpt) < 79 {
		between = "  "
	}
	fmt.Fprintln(w, label+mail+between+rcpt)
}

// end prints what all of it says.
func (t *relayTable) end(rep *relaytest.Report) error {
	w := bufio.NewWriter(t.out)
	fmt.Fprintln(w)
	tls := "without TLS"
	if rep.TLS != "" {
		tls = rep.TLS + ", whose certificate was not checked"
	}
	hanging(w, "server: ", orDash(rep.Host)+" for "+orDash(rep.Domain)+", "+tls)
	for _, r := range rep.Remarks {
		hanging(w, "remark: ", plain(r))
	}
	for _, f := range rep.Forms {
		if f.Sent {
			hanging(w, "sent: ", "look for "+rep.Token+" in subjects at "+rep.Victim+": what comes shows by which form")
			break
		}
	}
	hanging(w, rep.Verdict.String()+": ", plain(rep.Why))
	if rep.Verdict == relaytest.Unclear {
		hanging(w, "", "--deliver ADDRESS, an address of yours elsewhere, shows whether they relay")
	}
	return w.Flush()
}

// forms prints the table without asking anybody.
func (r *relaying) forms(out io.Writer) error {
	if r.json {
		return printJSON(out, relaytest.Forms())
	}
	w := bufio.NewWriter(out)
	for _, f := range relaytest.Forms() {
		asked(w, fmt.Sprintf("%-*s", formWidth+1, f.Name), f.Mail, f.Rcpt)
		hanging(w, "    ", f.Exploits+" ("+f.Source+")")
	}
	return w.Flush()
}
