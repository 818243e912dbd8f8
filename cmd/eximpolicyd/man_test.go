package main

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"eximpolicyd/acl"
	"eximpolicyd/internal/config"
	"eximpolicyd/internal/manual"
	"eximpolicyd/policy"
)

// elsewhere are the pages of other packages that ours point to.
var elsewhere = map[string]bool{"exim4(8)": true, "sysexits(3)": true, "systemd.socket(5)": true}

// allPages returns the pages by name(section), and the root of the commands that they are of.
func allPages(t *testing.T) (map[string]manual.Page, *cobra.Command) {
	t.Helper()
	root := command()
	list, err := manualPages(root)
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]manual.Page{}
	for _, p := range list {
		pages[p.Name+"("+string(rune('0'+p.Section))+")"] = p
	}
	if len(pages) != len(list) || len(pages) < 20 {
		t.Fatalf("%d pages, %d names", len(list), len(pages))
	}
	return pages, root
}

// read returns what a reader sees of a page, in one line.
func read(t *testing.T, p manual.Page) string {
	t.Helper()
	cmd := exec.Command("mandoc", "-T", "ascii", "-O", "width=1000")
	cmd.Stdin = strings.NewReader(p.Text)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: mandoc: %v; make install-tests installs it", p.File(), err)
	}
	text := regexp.MustCompile(`.\x08`).ReplaceAllString(string(out), "") // bold and underlined
	return strings.Join(strings.Fields(text), " ")
}

func TestMandocFindsNothingToSayOfAnyPage(t *testing.T) {
	if _, err := exec.LookPath("mandoc"); err != nil {
		t.Fatalf("%v; make install-tests installs it", err)
	}
	pages, root := allPages(t)
	dir := t.TempDir()
	root.SetArgs([]string{"man", "--dir", dir})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(dir + "/man?/*")
	if err != nil || len(files) != len(pages) {
		t.Fatalf("%d files of %d pages, %v", len(files), len(pages), err)
	}
	for _, f := range files {
		out, _ := exec.Command("mandoc", "-T", "lint", f).Output() // it exits 2 on the least thing
		for line := range strings.Lines(string(out)) {
			// It looks for pages on this machine; TestEveryReferenceIsToAPageThatIsThere looks for them among ours.
			if !strings.Contains(line, "referenced manual not found: Xr ") && !strings.Contains(line, "outdated mandoc.db lacks ") {
				t.Errorf("%s: %s", filepath.Base(f), line)
			}
		}
	}
}

func TestEveryReferenceIsToAPageThatIsThere(t *testing.T) {
	pages, _ := allPages(t)
	found := 0
	for _, p := range pages {
		for _, ref := range regexp.MustCompile(`\bXr (\S+) ([0-9])`).FindAllStringSubmatch(p.Text, -1) {
			found++
			if name := ref[1] + "(" + ref[2] + ")"; pages[name].Text == "" && !elsewhere[name] {
				t.Errorf("%s points to %s", p.File(), name)
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d references were found", found)
	}
}

func TestEveryCommandHasAPageThatItCanBeLearntFrom(t *testing.T) {
	pages, root := allPages(t)
	for _, cmd := range root.Commands() {
		if cmd.Name() == "help" || cmd.Hidden {
			continue
		}
		p, ok := pages[root.Name()+"-"+cmd.Name()+"(8)"]
		if !ok {
			t.Errorf("%s has no page", cmd.CommandPath())
			continue
		}
		if !strings.Contains(pages["eximpolicyd(8)"].Text, ".It Xr "+p.Name+" 8\n") {
			t.Errorf("eximpolicyd(8) does not name %s", p.Name)
		}
		for _, title := range []string{"NAME", "SYNOPSIS", "DESCRIPTION", `"EXIT STATUS"`, "EXAMPLES", `"SEE ALSO"`} {
			if !strings.Contains(p.Text, "\n.Sh "+title+"\n") {
				t.Errorf("%s has no section %s", p.File(), title)
			}
		}
		text := read(t, p)
		learnt(t, cmd, text)
		for _, sub := range cmd.Commands() {
			learnt(t, sub, text)
		}
	}
}

// learnt finds a command in its page: how it is called, each of its flags, and an example.
func learnt(t *testing.T, cmd *cobra.Command, page string) {
	if cmd.HasSubCommands() && cmd.Long == "" { // it does nothing itself
		return
	}
	if cmd.Example == "" {
		t.Errorf("%s has no example", cmd.CommandPath())
	}
	_, after, _ := strings.Cut(page, "SYNOPSIS")
	if !strings.Contains(after, strings.Join(strings.Fields(cmd.Example), " ")) {
		t.Errorf("%s: the page does not have %q", cmd.CommandPath(), cmd.Example)
	}
	call, _, _ := strings.Cut(after, "DESCRIPTION")
	for _, words := range append(strings.Fields(cmd.Use)[1:], cmd.CommandPath()) {
		if !strings.Contains(call, words) {
			t.Errorf("%s: the synopsis does not have %q: %s", cmd.CommandPath(), words, call)
		}
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if _, usage := pflag.UnquoteUsage(f); f.Name != "help" && !f.Hidden && !strings.Contains(page, strings.Join(strings.Fields(usage), " ")) {
			t.Errorf("%s: the page does not have %q", cmd.CommandPath(), usage)
		}
	})
}

func TestEveryKeyOfTheConfigurationIsInItsPage(t *testing.T) {
	pages, _ := allPages(t)
	page := read(t, pages["eximpolicyd.toml(5)"])
	keys := 0
	for _, table := range config.Tables(policy.Table()) {
		if table.Name == "" {
			// the keys above the first table
		} else if _, rest, ok := strings.Cut(page, "["+table.Name+"] "); ok {
			page = rest
		} else if len(table.Keys) > 0 {
			t.Errorf("the page does not have the table %s, or not in its place", table.Name)
		}
		for _, k := range table.Keys {
			keys++
			for _, text := range []string{k.Name, k.About, k.Value, k.Example} {
				if !strings.Contains(page, strings.Join(strings.Fields(text), " ")) {
					t.Errorf("[%s] %s: the page does not have %q", table.Name, k.Name, text)
				}
			}
		}
	}
	if keys < 80 {
		t.Errorf("only %d keys", keys)
	}
}

func TestTheDefaultFileHasTheKeysOfThePage(t *testing.T) {
	var lines []string
	for _, table := range config.Tables(policy.Table()) {
		for _, k := range table.Keys {
			lines = append(lines, k.Name)
		}
	}
	var written []string
	for _, m := range regexp.MustCompile(`(?m)^#?([A-Za-z0-9_]+) = `).FindAllStringSubmatch(config.DefaultText(policy.Table()), -1) {
		written = append(written, m[1])
	}
	if strings.Join(lines, " ") != strings.Join(written, " ") {
		t.Errorf("the page has  %s\nthe file has  %s", lines, written)
	}
}

func TestThePageOfTheProtocolHasEveryNameOfTheWire(t *testing.T) {
	pages, _ := allPages(t)
	page := read(t, pages["eximpolicyd-protocol(7)"])
	for _, name := range append(acl.WireNames(), "action", "hdr", "synthetic", "end=1") {
		if !regexp.MustCompile(`\b` + name + `\b`).MatchString(page) {
			t.Errorf("the page does not have %s", name)
		}
	}
}

func TestThePageOfScenariosHasItsSectionsAndLines(t *testing.T) {
	pages, _ := allPages(t)
	page := read(t, pages["eximpolicyd-scenario(5)"])
	for _, text := range []string{"-- config --", "-- dns --", "-- exim --", "-- case NAME --", "> CONNECT 203.0.113.7", "< deny 550 5.7.1 rule=helo.H3", "@ reconnect"} {
		if !strings.Contains(page, text) {
			t.Errorf("the page does not have %q", text)
		}
	}
}
