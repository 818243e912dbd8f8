package manual

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"eximpolicyd/policy"
)

// shown is what a reader sees of a page with this body.
func shown(t *testing.T, body func(*mdoc)) string {
	t.Helper()
	w := &writer{}
	w.add("page", 7, "a page", func(m *mdoc) {
		m.section("DESCRIPTION")
		body(m)
	})
	cmd := exec.Command("mandoc", "-T", "ascii", "-O", "width=1000")
	cmd.Stdin = strings.NewReader(w.pages[0].Text)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("mandoc: %v; make install-tests installs it\n%s%s", err, out, w.pages[0].Text)
	}
	text := regexp.MustCompile(`.\x08`).ReplaceAllString(string(out), "")
	_, text, _ = strings.Cut(text, "DESCRIPTION\n")
	return text[:strings.LastIndex(strings.TrimRight(text, "\n"), "\n")] // without the foot
}

// Texts that roff would take for something else.
var strange = []string{".Sh begins with a dot", "'br begins with a quote", `C:\new\table \fB \(bu`, `"quoted" and 'quoted' and ` + "`quoted`",
	"Ar Fl Op Nm Xr are macros", "In At Bx", "a - b -- c --dry-run", "~ ^ | # $ % & * ( ) [ ] { } < >", "x=${lc:$y}", "a . b , c : d ; e ! f ?", ".", "'", `\`, `"`}

func TestWhatIsWrittenIsWhatIsRead(t *testing.T) {
	for _, text := range strange {
		want := strings.Join(strings.Fields(text), " ")
		for name, write := range map[string]func(*mdoc){
			"running": func(m *mdoc) { m.text(text) },
			"literal": func(m *mdoc) { m.literal(text) },
			"term":    func(m *mdoc) { m.terms([]term{{text, "its text"}}) },
			"heading": func(m *mdoc) { m.sub(text); m.text("its text") },
		} {
			got := strings.Join(strings.Fields(shown(t, write)), " ")
			got = strings.TrimSpace(strings.TrimSuffix(got, "its text"))
			if got != want {
				t.Errorf("%s: %s is read as %s", name, want, got)
			}
		}
	}
}

func TestLinesInTwoColumnsAreAListOfTerms(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []term
	}{
		{"a session", "$ eximpolicyd status\nall is well\n", nil},
		{"one line", "cron   tells\n", nil},
		{"aligned by chance in one line of three", "a  b\nlonger line\nanother line\n", nil},
		{"two", "hdr    header fields\nnote   for the log\n", []term{{"hdr", "header fields"}, {"note", "for the log"}}},
		{"a text goes on below", "hdr    header\n       fields\nnote   for the log\n", []term{{"hdr", "header fields"}, {"note", "for the log"}}},
		{"a term alone", "hdr    header fields\nand this\nnote   for the log\n", []term{{"hdr", "header fields"}, {"and this", ""}, {"note", "for the log"}}},
		{"a term that is too wide", "hdr    header fields\nwider than the column\nnote   for the log\n",
			[]term{{"hdr", "header fields"}, {"wider than the column", ""}, {"note", "for the log"}}},
	} {
		got := columns(c.text)
		if len(got) != len(c.want) {
			t.Errorf("%s: %q", c.name, got)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: %q", c.name, got)
			}
		}
	}
}

// A rule without a text would be a title and nothing to go by, and a text without a rule is of one that is gone.
func TestEveryPolicyAndEveryRuleHasAHeadingAndEveryHeadingIsOfOne(t *testing.T) {
	common, named := sections(text("policies.txt"))
	if len(common) < 5 {
		t.Errorf("only %d blocks are of no policy", len(common))
	}
	w := &writer{}
	w.policies(policy.Table())
	page := w.pages[0].Text
	heading := func(name, macro, title string) {
		if !strings.Contains(page, "\n"+macro+" "+word(title)+"\n") {
			t.Errorf("%s has no heading %q", name, title)
		}
		if len(named[name]) == 0 {
			t.Errorf("%s has no text: write it into internal/manual/text/policies.txt", name)
		}
		delete(named, name)
	}
	for _, p := range policy.Table() {
		heading(p.Name, ".Sh", p.Name+": "+p.About)
	}
	for _, b := range policy.Bind(policy.Table(), nil, policy.Enforce) {
		heading(b.Name, ".Ss", b.Name+": "+b.Title)
	}
	for name := range named {
		t.Errorf("there is a text of %s, and no such policy or rule", name)
	}
}

func TestTheTextsThatNoTableHasAreThere(t *testing.T) {
	for _, name := range []string{"eximpolicyd.txt", "toml.txt", "policies.txt"} {
		if text(name) == "" {
			t.Errorf("%s is missing", name)
		}
	}
	if !strings.Contains(text("eximpolicyd.txt"), "\nCOMMANDS HERE\n") {
		t.Error("eximpolicyd.txt has no place for the commands")
	}
}
