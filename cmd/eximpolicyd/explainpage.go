package main

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"eximpolicyd/acl"
	"eximpolicyd/internal/control"
	"eximpolicyd/internal/prose"
	"eximpolicyd/policy"
)

// printPage writes an explanation in lines of at most 80 columns.
func printPage(out io.Writer, x *acl.Explanation) error {
	w := &page{Writer: bufio.NewWriter(out), paint: painter(out)}
	from := "from this machine"
	if x.Client.IsValid() {
		from = "from " + x.Client.String()
	}
	hanging(w, x.ID+" ", fmt.Sprintf("%s %s, %s, in %d us", x.Stage, from, clock(x.Time), x.Took))
	w.answer(x)
	w.inputs(x.Inputs)
	w.trace(x.Trace)
	w.dns(x.DNS)
	w.memory(x)
	if len(x.Changes) > 0 {
		w.title("what would have changed it")
	}
	for _, c := range x.Changes {
		wrapped(w, "", "if "+plain(c.If)+": "+plain(c.Then))
		if c.Do != "" {
			hanging(w, "        ", plain(c.Do))
		}
	}
	return w.Flush()
}

// page is what an explanation is written on.
type page struct {
	*bufio.Writer
	paint func(result, text string) string
}

func (w *page) title(text string) { fmt.Fprintf(w, "\n%s\n", text) }

// plain makes what may be a client's word printable ASCII.
func plain(s string) string {
	q := strconv.QuoteToASCII(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

// answer writes what Exim was told, and by which rule.
func (w *page) answer(x *acl.Explanation) {
	said := plain(strings.TrimSpace(x.Code + " " + x.Text))
	switch {
	case x.Action == policy.Delay.String():
		said = "a wait of " + prose.Many(x.Delay, "second")
	case x.Action == policy.Dunno.String() && x.Would != "":
		said = "no opinion, but would " + x.Would + ": " + said
	case x.Mark:
		said = "no opinion, and the message is marked"
	case x.Action == policy.Dunno.String():
		said = "no opinion"
	}
	result := "no"
	if x.Action != policy.Dunno.String() {
		result = "hit"
	}
	fmt.Fprint(w, w.paint(result, legible(x.Action)))
	hanging(w, ": ", said)
	if x.Rule != "" {
		wrapped(w, "rule: ", x.Rule)
	}
	if x.Reason != "" {
		wrapped(w, "because: ", plain(x.Reason))
	}
	if x.Stage == policy.RCPT.String() || x.Stage == policy.Data.String() {
		wrapped(w, "score: ", fmt.Sprintf("%s, of which %s is enforced: %s, and %s", x.Score, x.Enforced,
			away(policy.RefuseAt-x.Enforced, "reject"), away(policy.MarkAt-x.Enforced, "mark")))
	}
	wrapped(w, "class: ", x.Class)
	if x.Synthetic {
		wrapped(w, "synthetic: ", "the connection is not proven to exist, so nothing was counted or remembered")
	}
	if x.Degraded {
		wrapped(w, "degraded: ", "a fact that a rule needs came too late")
	}
	if x.Again != "" {
		wrapped(w, "note: ", plain(x.Again))
	}
}

// away says how far a score is from a limit.
func away(by policy.Score, what string) string {
	if by > 0 {
		return by.String() + " below " + what
	}
	return (-by).String() + " above " + what
}

// inputs writes what Exim said, a name a line.
func (w *page) inputs(inputs map[string]string) {
	w.title("what Exim said")
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		value := inputs[name]
		if printed := strconv.QuoteToASCII(value); value == "" || len(printed) != len(value)+2 || strings.ContainsAny(value, " \"\\") {
			value = strings.ReplaceAll(printed, "  ", ` \x20`) // where lines are broken one of two blanks would go
		}
		hanging(w, "    "+plain(name)+"=", value)
	}
}

// trace writes the exemptions, and the rules; of rules that found nothing and have nothing to say only the names.
func (w *page) trace(trace []acl.Step) {
	silent := map[string][]string{}
	w.title("who it was, and what the rules found")
	for _, s := range trace {
		if s.Why == "" || s.Result == "skip" {
			silent[s.Result] = append(silent[s.Result], s.Rule)
			continue
		}
		score := ""
		if s.Score != 0 {
			score = " " + s.Score.String()
		}
		label := fmt.Sprintf("    %-17s %-7s %s%s: ", s.Rule, s.Mode, s.Result, score)
		if s.Mode == "" {
			label = fmt.Sprintf("    %-17s %s: ", s.Rule, s.Result)
		}
		var lines strings.Builder
		hanging(&lines, label, plain(s.Why))
		fmt.Fprint(w, strings.Replace(lines.String(), " "+s.Result, " "+w.paint(s.Result, s.Result), 1))
	}
	for _, result := range []string{"pass", "unknown", "skip", "off"} {
		if rules := silent[result]; len(rules) > 0 {
			wrapped(w, map[string]string{"pass": "passed", "unknown": "no opinion", "skip": "not asked of this class", "off": "off"}[result]+": ", orNone(rules))
		}
	}
}

// below writes a text behind what it is about, or below that if it is long.
func (w *page) below(label, text string) {
	if len(label) <= 40 {
		wrapped(w, label, text)
		return
	}
	wrapped(w, "", label)
	hanging(w, "        ", text)
}

// dns writes what was asked and answered.
func (w *page) dns(list []acl.Heard) {
	if len(list) > 0 {
		w.title("what the DNS said")
	}
	for _, h := range list {
		said := h.Said
		if len(h.What) > 0 {
			said += " " + strings.Join(h.What, " ")
		}
		if h.Score != 0 {
			said += ", worth " + h.Score.String()
		}
		if h.Why != "" {
			said += ": " + h.Why
		}
		if h.Source != "" {
			said += fmt.Sprintf(" (held for %s more, %s)", control.Span(time.Duration(h.TTL)*time.Second), source(&h))
		}
		w.below(plain(h.Asked+" of "+h.Of+": "), plain(said))
	}
}

// source says where an answer came from.
func source(h *acl.Heard) string {
	from := ""
	if h.Server != "" {
		from = "from " + h.Server + " "
	}
	switch {
	case h.Source == acl.FromServer && from == "":
		return "from several servers"
	case h.Source == acl.FromServer:
		return strings.TrimSpace(from)
	case h.Age == 0:
		return "cached " + from + "just before"
	}
	return "cached " + from + control.Span(time.Duration(h.Age)*time.Second) + " before"
}

// memory writes what was counted and in force.
func (w *page) memory(x *acl.Explanation) {
	if x.Allowed != nil || len(x.Bans)+len(x.Made)+len(x.Memory) > 0 {
		w.title("what was remembered")
	}
	if a := x.Allowed; a != nil {
		wrapped(w, "", shown(a.Network)+" is allowed: "+plain(a.Because))
	}
	for i := range x.Bans {
		wrapped(w, "", plain(banned(&control.Ban{Ban: x.Bans[i]}, "is")))
	}
	for i := range x.Made {
		wrapped(w, "", plain(banned(&control.Ban{Ban: x.Made[i]}, "was now")))
	}
	for _, c := range x.Memory {
		words := tallied(
			tally{c.Good, "good", "good"}, tally{c.Bad, "bad", "bad"}, tally{c.NullBad, "bad of a bounce", "bad of a bounce"},
			tally{c.OnlyBad, "connection with only bad", "connections with only bad"}, tally{c.Failed, "failed login", "failed logins"},
			tally{c.Seen, "different member or name", "different members or names"}, tally{c.DayGood, "good a day", "good a day"},
			tally{c.DayBad, "bad a day", "bad a day"}, tally{c.Clean, "clean message a day", "clean messages a day"},
			tally{c.Trapped, "message to traps a day", "messages to traps a day"})
		if c.Offended {
			words = append(words, "an offence")
		}
		if len(words) > 0 {
			wrapped(w, "", plain(c.Of)+": "+strings.Join(words, ", "))
		}
	}
}

// banned tells of a ban.
func banned(b *control.Ban, was string) string {
	until := "for ever"
	if !b.Until.IsZero() {
		until = "until " + clock(b.Until)
	}
	observed := ""
	if !b.Enforced {
		observed = ", only observed"
	}
	because := ""
	if b.Because != "" {
		because = ": " + b.Because
	}
	return fmt.Sprintf("%s %s banned %s by %s%s%s", shown(b.Network), was, until, maker(b), observed, because)
}
