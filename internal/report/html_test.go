package report_test

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"eximpolicyd/internal/report"
)

// mayStand are the elements of the page. None of them can run or load anything.
const mayStand = " html head meta title style body main h1 h2 p div b span code br ul li details summary table tbody tr th td svg rect line text figure figcaption "

// elements looks at what stands in a page, and returns its text.
func elements(t *testing.T, page []byte) string {
	t.Helper()
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var texts strings.Builder
	for n := range root.Descendants() {
		switch n.Type {
		case html.TextNode:
			texts.WriteString(n.Data)
		case html.ElementNode:
			if !strings.Contains(mayStand, " "+n.Data+" ") {
				t.Errorf("an element %s", n.Data)
			}
			for _, a := range n.Attr {
				if strings.HasPrefix(a.Key, "on") || strings.Contains(" src href style action srcset data ", " "+a.Key+" ") {
					t.Errorf("%s %s=%q", n.Data, a.Key, a.Val)
				}
			}
		}
	}
	return texts.String()
}

func page(t *testing.T, rep *report.Report) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := rep.HTML(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestThePageNeedsNothingElseAndIsWellFormed(t *testing.T) {
	o := report.Options{Decider: configured(t, ours)}
	accounts(&o)
	facts := []string{"mainlog", read(t, "testdata/facts.log"), "rejectlog", read(t, "testdata/reject.log")}
	out := page(t, replay(t, o, facts...))
	for _, word := range []string{"http:", "https:", "//", "url(", "@import", "<script", "<link", "<img", "ZgotmplZ"} {
		if strings.Contains(strings.ToLower(string(out)), strings.ToLower(word)) {
			t.Errorf("the page has %s", word)
		}
	}
	// Elements that are opened are closed, but for those that have no end.
	open := []string{}
	for z := html.NewTokenizer(bytes.NewReader(out)); z.Next() != html.ErrorToken; {
		switch tok := z.Token(); {
		case tok.Type == html.StartTagToken && tok.Data != "meta" && tok.Data != "br":
			open = append(open, tok.Data)
		case tok.Type == html.EndTagToken:
			if len(open) == 0 || open[len(open)-1] != tok.Data {
				t.Fatalf("</%s> closes %v", tok.Data, open)
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		t.Errorf("not closed: %v", open)
	}
	text := elements(t, out)
	for _, want := range []string{"Mail that was taken and would be refused", `HELO "localhost" is every host's name`, "dictionary.hard", "192.0.2.11"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	o.Against = configured(t, `policy.helo.rules = {H7 = "enforce"}`)
	if text := elements(t, page(t, replay(t, o, facts...))); !strings.Contains(text, "deny by helo.H7") {
		t.Error("the page does not tell differences")
	}
}

// FuzzPage: whatever clients write into a log, the page has only elements that can neither run nor load anything, and the text
// has lines of printable ASCII that fit a terminal.
func FuzzPage(f *testing.F) {
	f.Add("localhost</code><script>alert(1)</script>", "a@example.org")
	f.Add("localhost", `"<img src=x onerror=alert(1)>"@example.org`)
	f.Add("x\" onmouseover=\"y", "{{.}}@example.org")
	f.Add("\x00\xff\u202e", "&lt;@example.org")
	strict := configured(f, "policy.helo.preset = \"strict\"\npolicy.messageid.preset = \"strict\"")
	f.Fuzz(func(t *testing.T, helo, sender string) {
		rep := replay(t, report.Options{Decider: strict}, "mainlog", "2026-11-23 13:12:39 1xVTqZ-0005zq-08 <= s@example.org H=(localhost) [192.0.2.5]:4002 P=esmtps S=509 id=a@vm\n"+
			"2026-11-23 13:12:40 1xVTqZ-0005zr-08 <= "+sender+" H=("+helo+") [192.0.2.6]:4003 P=esmtps S=509\n"+
			"2026-11-23 13:12:41 H=("+helo+") [192.0.2.7]:4004 F=<"+sender+"> rejected RCPT <nosuch@example.net>: Unrouteable address\n")
		elements(t, page(t, rep))
		var text bytes.Buffer
		if err := rep.Text(&text); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(text.String()) {
			if len(line) > 81 || strings.ContainsFunc(line, func(c rune) bool { return c != '\n' && (c < ' ' || c > '~') }) {
				t.Errorf("a line of the text: %q", line)
			}
		}
	})
}
