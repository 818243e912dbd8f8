package top

import (
	"strconv"
	"time"

	"eximpolicyd/internal/control"
)

// panels are what there is to look at, in the order of their keys. The last stands below the others where two fit.
var panels = [...]string{"rules", "lists", "networks", "decisions"}

// panel returns the title and all rows of a panel that has so many lines on the screen.
func (p *page) panel(i, rows int) (title row, body []row) {
	switch i {
	case 0:
		return p.rules()
	case 1:
		return p.lists()
	case 2:
		return p.networks(rows)
	}
	return p.decisions()
}

func (p *page) rules() (title row, body []row) {
	line := func(rule, mode, hits, refused, would string, l, title look) row {
		return row{cell{rule, 20, title}, cell{mode, 8, l}, cell{hits, -8, title}, cell{refused, -8, title}, cell{would, -8, title}}
	}
	list, recent := p.seen.rules()
	when := "RULE, A MINUTE"
	if !recent {
		when = "RULE, SO FAR"
	}
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	for _, r := range list {
		mode, l := modeOf(&p.seen.last.Status.Rules, r.name)
		body = append(body, line(r.name, mode, number(r.hits), number(r.refused), number(r.would), l, ""))
	}
	return line(when, "MODE", "HITS", "REFUSED", "WOULD", faint, faint), none(body, "no rule has found anything")
}

// none says that there is nothing.
func none(body []row, text string) []row {
	if len(body) == 0 {
		return []row{{{text, 0, ""}}}
	}
	return body
}

func (p *page) lists() (title row, body []row) {
	line := func(name, state, since, timeouts, listed, why string, l, title look) row {
		return row{cell{name, 30, title}, cell{state, 10, l}, cell{since, -5, title}, cell{timeouts, -9, title}, cell{listed, -6, title}, cell{why, 0, title}}
	}
	now := p.seen.last.At
	for _, i := range p.seen.lists() {
		h := &p.seen.last.Status.Lists[i]
		l, share := bad, "-"
		switch h.State.String() {
		case "ok":
			l = good
		case "untested":
			l = faint
		}
		if h.Share >= 0 {
			share = strconv.FormatFloat(100*h.Share, 'f', 1, 64) + "%"
		}
		body = append(body, line(h.Zone, h.State.String(), ago(h.Since, now), strconv.FormatUint(h.Timeouts, 10), share, h.Why, l, ""))
	}
	return line("LIST", "STATE", "SINCE", "TIME-OUTS", "LISTED", "WHY", faint, faint), none(body, "no list is asked")
}

// busiestShown is how many networks stand above the banned ones, if there is room.
const busiestShown = 3

func (p *page) networks(rows int) (title row, body []row) {
	line := func(network, state, level, since, left, rule string, l, title look) row {
		return row{cell{network, 24, title}, cell{state, 9, l}, cell{level, -5, title}, cell{since, -5, title}, cell{left, -5, title}, cell{rule, 18, title}}
	}
	busy := func(network, seen, refused string, title look) row {
		return row{cell{network, 24, title}, cell{seen, -9, title}, cell{refused, -8, title}}
	}
	list := p.seen.busiest()
	for _, b := range list[:min(len(list), max(rows/3, 1), busiestShown)] {
		body = append(body, busy(shown(b.network), strconv.Itoa(b.seen), strconv.Itoa(b.refused), ""))
	}
	body = none(body, "nobody has come within a minute")
	body = append(body, line("BANNED LAST", "STATE", "LEVEL", "SINCE", "LEFT", "RULE", faint, faint))
	now := p.seen.last.At
	if len(p.seen.last.Bans) == 0 {
		body = append(body, row{{"nobody is banned", 0, ""}})
	}
	for i := range p.seen.last.Bans {
		b := &p.seen.last.Bans[i]
		l, left := bad, "ever"
		if !b.Refuses {
			l = faint
		}
		if b.Left > 0 {
			left = control.Span(time.Duration(b.Left) * time.Second)
		}
		body = append(body, line(shown(b.Network), standing(b), strconv.Itoa(b.Level), ago(b.Made, now), left, b.Rule, l, ""))
	}
	return busy("BUSIEST, A MINUTE", "DECISIONS", "REFUSED", faint), body
}

func (p *page) decisions() (title row, body []row) {
	width := max(18, min(p.width-62, 39)) // what is left of 80 columns, and of an address
	line := func(id, age, stage, answer, rule, client, helo, reason string, l, title look) row {
		return row{cell{id, 10, title}, cell{age, -5, title}, cell{stage, 8, title}, cell{answer, 12, l}, cell{rule, 17, title},
			cell{client, width, title}, cell{helo, 24, title}, cell{reason, 0, title}}
	}
	now := p.seen.last.At
	for i := range p.seen.decisions {
		d := &p.seen.decisions[i]
		client := "this machine"
		if d.Client.IsValid() {
			client = d.Client.String()
		}
		l, rule := look(""), "-"
		switch {
		case d.refuses():
			l = bad
		case d.Action == "dunno":
			l = faint
		}
		if d.Rule != "" {
			rule = d.Rule
		}
		body = append(body, line(d.ID, ago(d.Time, now), d.Stage, d.answer(), rule, client, d.Inputs.HELO, d.Reason, l, ""))
	}
	return line("DECISION", "AGE", "STAGE", "ANSWER", "RULE", "CLIENT", "HELO", "WHY", faint, faint),
		none(body, "nothing has been decided yet that the log tells of at info")
}
