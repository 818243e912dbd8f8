package main

import (
	"bytes"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"

	"eximpolicyd/acl"
	"eximpolicyd/internal/ledger"
)

// hostile is what a client may send, and more than a line of it.
var hostile = "\x1b[31m\r\n\u202edeny\x00\xff " + strings.Repeat("\u00e9x", 200)

// poison puts a text into every string of a value.
func poison(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Pointer:
		poison(v.Elem(), text)
	case reflect.Slice:
		for i := range v.Len() {
			poison(v.Index(i), text)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() || v.Type() == reflect.TypeFor[netip.Addr]() || v.Type() == reflect.TypeFor[netip.Prefix]() {
			return
		}
		for i := range v.NumField() {
			poison(v.Field(i), text)
		}
	}
}

func TestAPageShowsOnlyWhatIsPrintableIn80Columns(t *testing.T) {
	for _, text := range []string{hostile, "", "a b"} {
		x := &acl.Explanation{
			Client: netip.MustParseAddr("2001:db8:1234:5678:9abc:def0:1234:5678"), Rules: []string{""}, Inputs: map[string]string{"helo_name": text},
			Trace: []acl.Step{{Score: 10}, {}}, DNS: []acl.Heard{{What: []string{"", ""}, TTL: 60}}, Memory: []acl.Counted{{Bad: 3, Offended: true}},
			Allowed: &ledger.Allowed{}, Bans: []ledger.Ban{{}}, Made: []ledger.Ban{{Level: 2}}, Changes: []acl.Change{{}}, Synthetic: true, Degraded: true,
		}
		poison(reflect.ValueOf(x), text)
		x.ID, x.Stage, x.Rule, x.Class, x.Action = "1xWDejTdYC", "RCPT", "helo.H3", "outside", "deny" // words of ours
		for i := range x.Trace {
			x.Trace[i].Rule, x.Trace[i].Mode, x.Trace[i].Result = "helo.H3", "enforce", []string{"hit", "pass"}[i]
		}
		for i := range x.Made {
			x.Made[i].Rule = "helo.H3"
		}
		var page bytes.Buffer
		if err := printPage(&page, x); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(page.String()) {
			line = strings.TrimSuffix(line, "\n")
			if len(line) > 80 || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%q", line)
			}
			if strings.HasPrefix(line, "deny") && line[4] != ':' {
				t.Errorf("%q passes for a line of ours", line)
			}
		}
		if n := strings.Count(page.String(), "\n\n"); n != 5 {
			t.Errorf("%d paragraphs:\n%s", n+1, page.String())
		}
	}
}

func TestWhatADamagedFileOfDecisionsHasCannotChangeATerminal(t *testing.T) {
	x := acl.Explanation{
		Rules: []string{""}, Inputs: map[string]string{hostile: hostile}, Trace: []acl.Step{{}, {Score: 10}}, DNS: []acl.Heard{{What: []string{""}}},
		Memory: []acl.Counted{{Bad: 3}}, Allowed: &ledger.Allowed{}, Bans: []ledger.Ban{{}}, Made: []ledger.Ban{{Level: 2}}, Changes: []acl.Change{{}},
	}
	poison(reflect.ValueOf(&x), hostile)
	x.ID, x.Client = "1xWDejTdYC", netip.MustParseAddr("fe80::1").WithZone(hostile) // without such an id it is not loaded
	silent := x
	silent.Trace, silent.Would = []acl.Step{{Rule: hostile, Result: "pass"}, {Rule: hostile, Result: "skip", Why: hostile}}, ""
	for _, x := range []acl.Explanation{x, silent} {
		var page bytes.Buffer
		if err := errors.Join(printPage(&page, &x), printRecent(&page, []acl.Explanation{x}, time.Now())); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsFunc(page.String(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
			t.Errorf("%q", page.String())
		}
	}
}

func TestBlanksThatEximSaidAreAllShown(t *testing.T) {
	var page bytes.Buffer
	if err := printPage(&page, &acl.Explanation{Inputs: map[string]string{"helo_name": " a   b  c "}}); err != nil {
		t.Fatal(err)
	}
	if want := `helo_name=" a \x20 b \x20c "`; !strings.Contains(page.String(), want) {
		t.Errorf("%s is not in\n%s", want, page.String())
	}
}
