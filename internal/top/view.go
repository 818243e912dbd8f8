package top

import (
	"fmt"
	"strings"
	"time"

	"eximpolicyd/internal/control"
)

// page is what a view is written on.
type page struct {
	seen          seen
	width, height int
	colour        bool
	focus         int
	scroll        [len(panels)]int
	paused, help  bool
	away          error
	since         time.Time
	interval      time.Duration
}

// Heights in lines, and a width.
const (
	withStages = 16 // of a screen that has the table of stages
	withAll    = 24 // of a body that has all panels
	withTwo    = 12 // of one that has two
	small      = 5  // of a panel that is not in focus
	withNames  = 64 // columns of a screen that names all panels
)

// screen writes as many lines as there are.
func (p *page) screen() string {
	if p.height <= 0 || p.width <= 0 {
		return ""
	}
	lines := p.header()
	if p.height >= withStages {
		lines = append(append(lines, ""), p.stages()...)
		lines = append(lines, "")
	}
	lines = append(lines, p.tabs())
	if p.help {
		lines = append(lines, p.keys()...)
	} else {
		for i, rows := range p.heights(p.height - len(lines)) {
			lines = append(lines, p.part(i, rows)...)
		}
	}
	return strings.Join(lines[:min(len(lines), p.height)], "\n")
}

// heights shares out the lines of the body among the panels.
func (p *page) heights(body int) (rows [len(panels)]int) {
	for i := range rows {
		if i != p.focus && (body >= withAll || body >= withTwo && i == len(panels)-1) {
			rows[i] = small
		}
	}
	rows[p.focus] = body
	for i := range rows {
		if i != p.focus {
			rows[p.focus] -= rows[i]
		}
	}
	return rows
}

// part writes a panel in so many lines, from where it is scrolled to.
func (p *page) part(i, rows int) []string {
	if rows <= 0 {
		return nil
	}
	title, body := p.panel(i, rows)
	body = body[min(p.scroll[i], max(len(body)-1, 0)):]
	lines := []string{p.line(title...)}
	for _, r := range body[:min(len(body), rows-1)] {
		lines = append(lines, p.line(r...))
	}
	for len(lines) < rows {
		lines = append(lines, "")
	}
	return lines
}

// header says who that is, how much there is to do, and what is wrong.
func (p *page) header() []string {
	st := &p.seen.last.Status
	name := fmt.Sprintf("eximpolicyd %s  %s  up %s", st.Version, st.Mode, control.Span(time.Duration(st.Uptime)*time.Second))
	state, how := "", faint
	switch {
	case p.paused:
		state, how = "paused", bold
	case p.interval > 0:
		state = "every " + p.interval.String()
	}
	lines := []string{p.line(cell{name, max(p.width-len(state)-2, 0), bold}, cell{state, -len(state), how})}
	_, _, sum, rates := p.seen.stages()
	write, unit := rate, "/s"
	if !rates {
		write, unit = count, ""
	}
	var words []cell
	for _, n := range []struct {
		what string
		n    float64
		look look
	}{
		{"requests", sum[all], ""}, {"refused", sum.refused(), bad}, {"would", sum[would], ""}, {"degraded", sum[degraded], bad}, {"synthetic", sum[synthetic], ""},
	} {
		text := n.what + unit + " " + write(n.n)
		if n.n <= 0 {
			n.look = ""
		}
		words = append(words, cell{text, -len(text), n.look})
	}
	lines = append(lines, p.line(words...))
	if wrong := p.wrong(); wrong != "" {
		lines = append(lines, p.line(cell{wrong, 0, bad}))
	}
	return lines
}

// wrong says what is, in a line.
func (p *page) wrong() string {
	faults := p.seen.last.Status.Faults
	switch {
	case p.away != nil:
		return fmt.Sprintf("away since %s: %v; what is below is old", p.since.Format(time.TimeOnly), p.away)
	case len(faults) == 1:
		return "fault: " + faults[0].What
	case len(faults) > 1:
		return fmt.Sprintf("%d faults, see eximpolicyd status: %s", len(faults), faults[0].What)
	}
	return ""
}

// stages writes the table of decisions.
func (p *page) stages() []string {
	names, list, _, rates := p.seen.stages()
	title, write := "A SECOND", rate
	if !rates {
		title, write = "SO FAR", count
	}
	columns := func(first string, l look, words ...string) string {
		cells := []cell{{first, 9, l}}
		for i, w := range words {
			cells = append(cells, cell{w, []int{-8, -7, -6, -6, -6, -6, -6, -6, -8, -9, -6}[i], l})
		}
		return p.line(cells...)
	}
	lines := []string{columns(title, faint, "ASKED", "DUNNO", "DELAY", "DEFER", "DENY", "DROP", "FREEZE", "WOULD", "DEGRADED", "SYNTHETIC", "LATE")}
	for i, name := range names {
		var words []string
		for _, n := range list[i] {
			words = append(words, write(n))
		}
		lines = append(lines, columns(name, "", words...))
	}
	if len(names) == 0 {
		lines = append(lines, p.line(cell{"nothing has been asked yet", 0, ""}))
	}
	return lines
}

// tabs says which panel is in focus.
func (p *page) tabs() string {
	var cells []cell
	for i, panel := range panels {
		text, how := fmt.Sprintf(" %d %s ", i+1, panel), faint
		if i == p.focus {
			text, how = fmt.Sprintf("[%d %s]", i+1, panel), bold
		} else if p.width < withNames {
			text = fmt.Sprintf(" %d ", i+1)
		}
		cells = append(cells, cell{text, len(text), how})
	}
	return p.line(append(cells, cell{"? help", -6, faint}, cell{"q quit", -6, faint})...)
}

// keys says what they do.
func (p *page) keys() []string {
	var lines []string
	for _, k := range [][2]string{
		{"", ""}, {"q", "quit"}, {"p", "pause: nothing is asked, what is there stays"}, {"1 2 3 4", "rules, lists, networks, decisions"}, {"tab", "the next of them"},
		{"up down", "scroll; page up, page down, home, end too"}, {"?", "this"}, {"", ""},
		{"rates", "of the last 10 s"}, {"rules", "what they found in the last minute"}, {"busiest", "networks of the decisions shown of a minute"},
		{"decision", "eximpolicyd explain ID says why"},
	} {
		lines = append(lines, p.line(cell{k[0], 8, bold}, cell{k[1], 0, ""}))
	}
	return lines
}

// modeOf says what a rule does now.
func modeOf(r *control.Rules, rule string) (string, look) {
	for _, m := range []struct {
		word string
		look look
		in   []string
	}{{"enforced", bad, r.Enforced}, {"observed", faint, r.Observed}, {"off", faint, r.Off}} {
		for _, name := range m.in {
			if name == rule {
				return m.word, m.look
			}
		}
	}
	return "-", "" // the sum of scores, a ban: of no rule
}
