package manual

import (
	"cmp"
	"embed"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"eximpolicyd/acl"
	"eximpolicyd/internal/config"
	"eximpolicyd/internal/scenario"
	"eximpolicyd/policy"
)

//go:embed text
var texts embed.FS

// Page is one manual page.
type Page struct {
	Name    string // eximpolicyd-ban
	Section int    // of the manual
	About   string // one line
	Text    string // in mdoc(7)
}

// File returns the name of the page's file.
func (p Page) File() string { return fmt.Sprintf("%s.%d", p.Name, p.Section) }

// Pages returns all pages of the program whose commands are those of root: its own, one of each command, then those of
// the configuration, the policies, the wire protocol and the scenarios. The day is that of the release.
func Pages(root *cobra.Command, table []policy.Policy, day time.Time) []Page {
	w := &writer{root: root, day: day}
	w.daemon()
	for _, cmd := range commands(root) {
		w.command(cmd)
	}
	w.configuration(config.Tables(table))
	w.policies(table)
	w.add("eximpolicyd-protocol", 7, "what Exim and the policy daemon say to each other", func(m *mdoc) {
		m.section("DESCRIPTION")
		m.prose(packageComment(acl.Doc()))
		seeAlso(m, "eximpolicyd-ask(8)", "eximpolicyd-snippets(8)", "exim4(8)", "eximpolicyd(8)")
	})
	w.add("eximpolicyd-scenario", 5, "policy tests as text", func(m *mdoc) {
		m.section("DESCRIPTION")
		m.prose(packageComment(scenario.Doc()))
		seeAlso(m, "eximpolicyd.toml(5)", "eximpolicyd-policies(7)", "eximpolicyd-test(8)")
	})
	return w.pages
}

// writer collects pages.
type writer struct {
	root  *cobra.Command
	day   time.Time
	pages []Page
}

// add makes a page: its head, and what body writes.
func (w *writer) add(name string, section int, about string, body func(*mdoc)) {
	m := &mdoc{}
	m.line(".Dd", w.day.Format("January 2, 2006"))
	m.line(".Dt", strings.ToUpper(name), fmt.Sprint(section))
	m.line(".Os")
	m.section("NAME")
	m.line(".Nm", name)
	m.line(".Nd", running(about))
	body(m)
	w.pages = append(w.pages, Page{name, section, about, m.String()})
}

// text returns one of the texts that no table has.
func text(name string) string {
	b, err := texts.ReadFile("text/" + name)
	if err != nil {
		return "" // a test reads them all
	}
	return string(b)
}

// daemon is the program's own page: a text, in which the list of commands has its place.
func (w *writer) daemon() {
	w.add(w.root.Name(), 8, w.root.Short, func(m *mdoc) {
		m.section("SYNOPSIS")
		m.line(".Nm")
		m.line(".Cm serve")
		m.line(".Op Ar option ...")
		m.line(".Nm")
		m.line(".Ar command")
		m.line(".Op Ar option ...")
		before, after, _ := strings.Cut(text("eximpolicyd.txt"), "COMMANDS HERE\n")
		m.blocks(parse(before), m.section)
		m.list("eximpolicyd-completion")
		for _, cmd := range commands(w.root) {
			m.item("Xr", pageOf(cmd), "8")
			m.text(cmd.Short)
		}
		m.endList()
		m.blocks(parse(after), m.section)
		seeAlso(m, "eximpolicyd.toml(5)", "eximpolicyd-policies(7)", "eximpolicyd-protocol(7)",
			"eximpolicyd-replay(8)", "exim4(8)", "systemd.socket(5)")
	})
}

// seeAlso closes a page with references, by section and name.
func seeAlso(m *mdoc, refs ...string) {
	var found [][]string
	for _, r := range refs {
		found = append(found, reference.FindStringSubmatch(r))
	}
	slices.SortFunc(found, func(a, b []string) int {
		return cmp.Or(strings.Compare(a[3], b[3]), strings.Compare(a[2], b[2]))
	})
	m.section("SEE ALSO")
	for i, ref := range found {
		comma := ","
		if i == len(found)-1 {
			comma = ""
		}
		m.refer("", ref[2], ref[3], comma)
	}
}
