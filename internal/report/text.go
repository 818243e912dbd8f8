package report

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"eximpolicyd/acl"
	"eximpolicyd/internal/prose"
)

// How much of each list the text has; the JSON has all.
const (
	textSenders   = 10
	textAttackers = 10
	textDays      = 31
	textKinds     = 20
)

// Text writes the report in lines of at most 80 columns, what matters most first. What the log's clients chose is printed as
// printable ASCII.
func (r *Report) Text(out io.Writer) error {
	w := &page{Writer: bufio.NewWriter(out)}
	w.about("log", fmt.Sprintf("%s to %s: %s, %s, %s", minute(r.Log.First), minute(r.Log.Last),
		prose.Many(r.Log.Lines, "line"), prose.Many(r.Log.Entries, "entry"), prose.Many(r.Log.Connections, "connection")))
	w.about("", besides(&r.Log))
	for _, f := range r.Log.Faults {
		w.about("fault", f)
	}
	if r.DNS {
		w.about("DNS", "was asked, today: lists and names may have said something else when the mail came")
	} else {
		w.about("DNS", "was not asked: rules that need it, block lists among them, have no opinion")
	}
	if r.Differences != nil {
		w.differences(r.Differences)
		return w.Flush()
	}
	w.sums(r)
	w.lost(r)
	w.rules(r)
	w.days(r)
	w.attackers(r)
	w.unjudged(r)
	w.exemptions(r)
	return w.Flush()
}

// page is a text that is being written.
type page struct{ *bufio.Writer }

func (w *page) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

func (w *page) head(title string) { w.line("\n%s", strings.ToUpper(title)) }

// about writes a label and a text behind it.
func (w *page) about(label, text string) { w.hang(fmt.Sprintf("%-10s", label), text) }

// hang writes a text behind a label, in lines of at most 80 columns.
func (w *page) hang(label, text string) { prose.Hang(w, label, printable(text)) }

// printable makes text of a log printable ASCII on one line.
func printable(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0 {
		return s
	}
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return string(b)
}

// short cuts a text to so many columns.
func short(s string, most int) string {
	if s = printable(s); len(s) > most {
		return s[:most-2] + ".."
	}
	return s
}

func minute(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format("2006-01-02 15:04")
}

// besides tells what was read and not judged.
func besides(l *Log) string {
	text := prose.Many(l.NoEntry, "line") + prose.Form(l.NoEntry, " is no entry", " are no entries")
	for i, r := range l.Reasons {
		text += []string{" (", ", "}[min(i, 1)] + fmt.Sprintf("%s: %d", r.What, r.Lines)
	}
	if len(l.Reasons) > 0 {
		text += ")"
	}
	for _, n := range []struct {
		count     uint64
		one, more string
	}{
		{l.Unknown, "entry of no known form", "entries of no known form"},
		{l.Doubtful, "may be of two clients and is held against nobody", "may be of two clients and are held against nobody"},
		{l.Orphans, "names no client", "name no client"},
	} {
		if n.count > 0 {
			text += fmt.Sprintf(", %d %s", n.count, prose.Form(n.count, n.one, n.more))
		}
	}
	return text
}

func (w *page) sums(r *Report) {
	w.head("what would be")
	row := func(what string, enforced, present int) { w.line("%-52s %13d %13d", what, enforced, present) }
	w.line("%-52s %13s %13s", "", "ALL ENFORCED", "PRESENT MODES")
	e, p := &r.Enforced, &r.Present
	row("messages that were taken", e.Taken, p.Taken)
	row("  of them, would be refused", e.TakenRefused, p.TakenRefused)
	row("  would be deferred", e.TakenDeferred, p.TakenDeferred)
	row("  would be marked", e.Marked, p.Marked)
	row("recipients and messages that would be refused, all", e.Refused, p.Refused)
	row("  deferred", e.Deferred, p.Deferred)
	if e.Held+p.Held > 0 {
		row("  put on hold", e.Held, p.Held)
	}
	row("bans", e.Bans, p.Bans)
}

func (w *page) lost(r *Report) {
	w.head("mail that was taken and would be refused")
	if len(r.Lost) == 0 {
		w.line("none of %s", prose.Many(r.Enforced.Taken, "message"))
		return
	}
	w.line("%8s %8s %8s  %s", "MESSAGES", "REFUSED", "DEFERRED", "SENDER")
	for i := range r.Lost[:min(len(r.Lost), textSenders)] {
		s := &r.Lost[i]
		name := s.Sender
		if name == "" {
			name = "<> (bounces)"
		}
		w.line("%8d %8d %8d  %s", s.Messages, s.Refused, s.Deferred, short(name, prose.Columns-28))
		w.example(&s.Example)
	}
	if n := r.lostBesides(r.Lost[:min(len(r.Lost), textSenders)]); n > 0 {
		w.line("%s of other senders: --json lists %s", prose.Many(n, "message"), prose.Many(len(r.Lost), "sender"))
	}
}

func (w *page) example(e *Example) {
	from := "of this machine"
	if e.Client != "" {
		from = "from [" + e.Client + "]"
		if e.PTR != "" {
			from += " " + e.PTR
		}
		if e.HELO != "" {
			from += ", HELO " + e.HELO
		}
	}
	w.hang("    ", fmt.Sprintf("%s %s %s to %s", e.Time.Format("2006-01-02 15:04:05"), e.ID, from, cmp.Or(e.To, "-")))
	w.hang("    "+e.Rule+": ", strings.TrimSpace(e.Action+" "+e.Code)+": "+e.Reason)
	for _, s := range e.Trace {
		if told(&s) && s.Rule != e.Rule {
			w.hang("      "+s.Rule+" ", stepText(&s))
		}
	}
}

// told reports whether a step says something of its message: what hit, or could not be known.
func told(s *acl.Step) bool { return s.Result == "hit" || s.Result == "applies" }

func stepText(s *acl.Step) string {
	text := s.Result
	if s.Score != 0 {
		text += " " + s.Score.String()
	}
	if s.Why != "" {
		text += ": " + s.Why
	}
	return text
}

func (w *page) rules(r *Report) {
	w.head("rules, all enforced")
	w.line("%-17s %-7s %9s %9s %7s %7s %6s  %s", "RULE", "MODE", "HIT TAKEN", "HIT OTHER", "REFUSES", "DEFERS", "BANS", "SUGGESTED")
	quiet := []string{}
	for i := range r.Rules {
		n := &r.Rules[i]
		if n.Taken+n.Hits+n.Refuses+n.Defers+n.Bans == 0 {
			if n.Mode != "" {
				quiet = append(quiet, n.Rule)
			}
			continue
		}
		w.line("%-17s %-7s %9d %9d %7d %7d %6d  %s", n.Rule, n.Mode, n.Taken, n.Hits, n.Refuses, n.Defers, n.Bans, n.Suggested)
	}
	if len(quiet) > 0 {
		w.hang("no hit: ", strings.Join(quiet, " "))
	}
	w.hang("", "HIT TAKEN are messages that were taken; enforce is suggested for what hit none of them and something else, if it was judged of all.")
	if r.Enforced.Taken == 0 {
		w.hang("", "This log has no mail that was taken, so that it suggests nothing.")
	}
}

func (w *page) days(r *Report) {
	w.head("days")
	w.line("%-10s %9s %8s %8s %7s %9s %9s %6s", "DAY", "TAKEN", "REFUSED", "DEFERRED", "MARKED", "ATTEMPTS", "MET", "BANS")
	for _, d := range r.Days[max(0, len(r.Days)-textDays):] {
		w.line("%-10s %9d %8d %8d %7d %9d %9d %6d", d.Day, d.Taken, d.TakenRefused, d.TakenDeferred, d.Marked, d.Attempts, d.Met, d.Bans)
	}
	if n := len(r.Days) - textDays; n > 0 {
		w.line("%s: --json has %s, and the rules of each", prose.Many(n, "earlier day"), prose.Form(n, "it", "them"))
	}
}

func (w *page) attackers(r *Report) {
	a := &r.Attempts
	w.head("attackers")
	w.hang("", fmt.Sprintf("%s: %s of recipients, %s, %s to relay. A ban would have met %s of them; %s would not have been served.",
		prose.Many(a.All, "attempt"), prose.Many(a.Guesses, "guess"), prose.Many(a.Logins, "failed login"), prose.Many(a.Relays, "try"), percent(a.Met, a.All), percent(a.Refused, a.All)))
	for _, list := range []struct {
		head string
		of   []Client
	}{{"ADDRESS", r.Attackers}, {"NETWORK", r.Networks}} {
		if len(list.of) == 0 {
			continue
		}
		w.line("\n%-24s %8s %7s %7s %6s %7s  %s", list.head, "ATTEMPTS", "GUESSES", "LOGINS", "RELAY", "MET", "NAME")
		for _, c := range list.of[:min(len(list.of), textAttackers)] {
			w.line("%-24s %8d %7d %7d %6d %7s  %s", c.Network, c.Attempts, c.Guesses, c.Logins, c.Relays, percent(c.Met, c.Attempts),
				short(cmp.Or(c.PTR, c.HELO), 14))
		}
	}
}

func percent(part, all int) string {
	if all == 0 {
		return "-"
	}
	return strconv.FormatFloat(100*float64(part)/float64(all), 'f', 1, 64) + "%"
}

func (w *page) unjudged(r *Report) {
	if len(r.Unjudged) == 0 {
		return
	}
	w.head("what this log says too little of")
	for _, part := range []bool{false, true} {
		by := map[string][]string{}
		var needs []string
		for _, u := range r.Unjudged {
			if u.Part != part {
				continue
			}
			if by[u.Needs] == nil {
				needs = append(needs, u.Needs)
			}
			by[u.Needs] = append(by[u.Needs], u.Rule)
		}
		slices.Sort(needs)
		for _, n := range needs {
			how := "not judged: "
			if part {
				how = "judged in part: "
			}
			w.hang(how, strings.Join(by[n], " "))
			w.hang("    needs: ", n)
		}
	}
}

const keyHint = "A key stands once, above the first [table]: if the configuration has it, add to that."

func (w *page) exemptions(r *Report) {
	if len(r.Exemptions) == 0 {
		return
	}
	w.head("exemptions, if you know them")
	for _, l := range lines(r.Exemptions) {
		w.line("%s", l)
	}
	w.hang("", keyHint)
}

func (w *page) differences(d *Differences) {
	w.head("what the other configuration decides differently")
	w.line("%d of %d recipients, messages and failed logins; %d really taken", d.Differ, d.Events, d.Taken)
	for i, k := range d.Kinds {
		if i == textKinds {
			n := len(d.Kinds) - i
			w.line("\n%s: --json has %s", prose.Many(n, "more kind"), prose.Form(n, "it", "them"))
			break
		}
		w.line("")
		w.hang(fmt.Sprintf("%8d  ", k.Count), fmt.Sprintf("%s -> %s (%d taken)", k.This, k.That, k.Taken))
		for _, x := range k.Examples {
			about := fmt.Sprintf("%s %s %s [%s] HELO %s", x.Time, x.What, x.ID, x.Client, cmp.Or(x.HELO, "-"))
			if x.What != "login" {
				about += fmt.Sprintf(", from <%s> to <%s>", x.Sender, x.To)
			}
			w.hang("          ", about)
			if x.This != "" {
				w.hang("            this: ", x.This)
			}
			if x.That != "" && x.That != x.This {
				w.hang("            that: ", x.That)
			}
		}
	}
}
