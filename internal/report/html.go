package report

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"eximpolicyd/acl"
	"eximpolicyd/internal/prose"
)

//go:embed page.html
var pageText string

// How much of each list the page has.
const (
	pageSenders   = 10 // that are shown at once
	pageAttackers = 25
)

// HTML writes the report as one page that needs nothing else: no script, no picture, no font from elsewhere. What the log's
// clients chose is escaped, and made printable.
func (r *Report) HTML(out io.Writer) error {
	page, err := template.New("page").Funcs(template.FuncMap{
		"n": thousands, "percent": percent, "plain": printable, "join": func(list []string) string { return strings.Join(list, " ") },
		"minute": minute, "second": func(e Example) string { return e.Time.Format("2006-01-02 15:04:05") }, "or": cmp.Or[string],
		"lines": lines, "keyHint": func() string { return keyHint },
		"count": func(n uint64) string { return thousands(int(n)) }, "form": prose.Form[int], "forms": prose.Form[uint64],
		"told":  func(s acl.Step) bool { return told(&s) },
		"open":  func(s Sender, open bool) pageSender { return pageSender{s, open} },
		"share": func(part, all int) string { return fmt.Sprintf("%.1f", 100*float64(part)/float64(max(all, 1))) },
	}).Parse(pageText)
	if err != nil {
		return err
	}
	return page.Execute(out, r.page())
}

// pageSender is a sender whose message is shown at once, or when somebody wants to see it.
type pageSender struct {
	Of   Sender
	Open bool
}

// pageData is what the page shows.
type pageData struct {
	*Report
	Senders  []Sender
	More     []Sender
	Unlisted int // messages of further senders
	Clients  []Client
	Nets     []Client
	Active   []Rule
	Quiet    []string
	Charts   []chart
	Besides  string
	Unjudged []Unjudged
}

func (r *Report) page() *pageData {
	p := &pageData{Report: r, Besides: besides(&r.Log), Unjudged: r.Unjudged}
	p.Senders = r.Lost[:min(len(r.Lost), pageSenders)]
	p.More = r.Lost[len(p.Senders):]
	p.Unlisted = r.lostBesides(r.Lost)
	p.Clients = r.Attackers[:min(len(r.Attackers), pageAttackers)]
	p.Nets = r.Networks[:min(len(r.Networks), pageAttackers)]
	for _, n := range r.Rules {
		switch {
		case n.Taken+n.Hits+n.Refuses+n.Defers+n.Bans > 0:
			p.Active = append(p.Active, n)
		case n.Mode != "":
			p.Quiet = append(p.Quiet, n.Rule)
		}
	}
	if r.Differences == nil {
		p.Charts = []chart{
			chartOf("Taken mail that would be refused", r.Days,
				part{"bad", "would be refused", func(d *Day) int { return d.TakenRefused }},
				part{"late", "would be deferred", func(d *Day) int { return d.TakenDeferred }},
				part{"note", "would be marked", func(d *Day) int { return d.Marked }}),
			chartOf("Attempts to guess and to relay", r.Days,
				part{"good", "while a ban was in force", func(d *Day) int { return d.Met }},
				part{"rest", "before any ban", func(d *Day) int { return d.Attempts - d.Met }}),
		}
	}
	return p
}
