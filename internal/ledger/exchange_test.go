package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// filled returns an engine with some of everything.
func filled(t testing.TB, h *hands) *Engine {
	e := open(t, Options{Clock: h.read})
	for i := range 20 {
		offend(t, e, offence(fmt.Sprintf("192.0.2.%d", i), i%2 == 0))
		if i%5 == 0 {
			h.pass(time.Hour)
		}
	}
	offend(t, e, Offence{Network: prefix("2001:db8::/48"), Enforced: true, Rule: "auth.AU1", Because: `a "reason" \ <of> & é`})
	for _, b := range []Ban{{Network: prefix("198.51.100.0/24"), Because: "for ever"}, {Network: prefix("192.0.2.0"), Until: e.Now().Add(50 * 24 * time.Hour)}} {
		if _, err := e.Ban(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Allow(t.Context(), Allowed{Network: prefix("203.0.113.0/24"), Because: "our own"}); err != nil {
		t.Fatal(err)
	}
	for i, k := range []Key{Total, Account("nobody"), Domain("example.org"), Of(prefix("192.0.2.1")), Of(prefix("2001:db8::/64"))} {
		d := Delta{Good: uint16(i), Bad: 3, Failed: 1, Held: 2, Trapped: 1, Clean: 9, Login: i == 1, Seen: uint16(i)}
		if err := e.Count(t.Context(), []Tally{{Key: k, Add: d}}); err != nil {
			t.Fatal(err)
		}
	}
	h.pass(40 * time.Minute)
	return e
}

func export(t testing.TB, e *Engine) string {
	t.Helper()
	var out bytes.Buffer
	if err := e.Export(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestAnExportIsTheSameAfterAnImport(t *testing.T) {
	h := newHands()
	e := filled(t, h)
	text := export(t, e)
	other := &hands{wall: newHands().wall.Add(4*time.Hour + 40*time.Minute), steady: time.Hour}
	if !strings.Contains(text, `"made":"`+other.wall.Format(time.RFC3339)) {
		t.Fatalf("the rig is of another time: %.200s", text)
	}
	dir := t.TempDir()
	into := open(t, Options{Dir: dir, Clock: other.read})
	n, err := into.Import(soon(t), strings.NewReader(text))
	if want := (Imported{Bans: 23, Allowed: 1, Counters: 5}); err != nil || n != want {
		t.Fatalf("%+v, %v; wanted %+v", n, err, want)
	}
	durable := strings.NewReplacer(`"durable":false`, `"durable":true`)
	if again := export(t, into); again != durable.Replace(text) {
		t.Errorf("the export of the import is\n%s\nnot\n%s", again, text)
	}
	if s := standing(t, into, "198.51.100.1"); s.Enforced == nil || !s.Enforced.Until.IsZero() {
		t.Errorf("%+v", s)
	}
	if err := into.Close(); err != nil {
		t.Fatal(err)
	}
	if again := export(t, open(t, Options{Dir: dir, Clock: other.read})); again != durable.Replace(text) {
		t.Errorf("after a restart it is\n%s\nnot\n%s", again, text)
	}
}

func TestAnExportMovesToAMachineWithAnotherSteadyTime(t *testing.T) {
	h := newHands()
	e := filled(t, h)
	h.set(-90 * time.Hour) // its steady time is ahead of the wall clock from now on
	text := export(t, e)
	other := &hands{wall: h.wall.Add(50 * time.Hour)}
	into := open(t, Options{Clock: other.read})
	other.set(-50 * time.Hour)
	if _, err := into.Import(t.Context(), strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	if again := export(t, into); again != text {
		t.Errorf("the export of the import is\n%s\nnot\n%s", again, text)
	}
	for i, b := range e.Bans() {
		if got := into.Bans()[i]; got.Active(into.Now()) != b.Active(e.Now()) {
			t.Errorf("%+v was active: %t", got, b.Active(e.Now()))
		}
	}
}

// wrongLines are lines of an export, each wrong in one way, and a word of what is said.
var wrongLines = []struct{ name, line, says string }{
	{"nothing", ``, "no line of an export"},
	{"no JSON", `ban 192.0.2.1`, "no line of an export"},
	{"two values", `{"ban":BAN} {}`, "more follows"},
	{"a bracket too many", `{"ban":BAN}}`, "more follows"},
	{"no object", `[]`, "no line of an export"},
	{"an object without anything", `{}`, "not exactly one"},
	{"two things", `{"ban":BAN,"allowed":ALLOWED}`, "not exactly one"},
	{"a first line", `{"eximpolicyd":"state","version":1}`, "not exactly one"},
	{"a first line and a ban", `{"eximpolicyd":"state","version":1,"ban":BAN}`, "not exactly one"},
	{"an unknown thing", `{"bans":BAN}`, `unknown field "bans"`},
	{"an unknown field", `{"ban":{"networks":"192.0.2.9/32"}}`, `unknown field "networks"`},
	{"a number that is a text", `{"ban":BAN|"level":1|"level":"1"}`, "no line of an export"},
	{"no network", `{"ban":BAN|"network":"192.0.2.9/32"|"network":""}`, "no network"},
	{"a network with host bits", `{"ban":BAN|192.0.2.9/32|192.0.2.9/24}`, "is written 192.0.2.0/24"},
	{"a network of IPv4 in IPv6", `{"ban":BAN|192.0.2.9/32|::ffff:192.0.2.9/128}`, "is written 192.0.2.9/32"},
	{"an address", `{"ban":BAN|192.0.2.9/32|192.0.2.9}`, "no line of an export"},
	{"level 6", `{"ban":BAN|"level":1|"level":6}`, "level 6"},
	{"level -1", `{"ban":BAN|"level":1|"level":-1}`, "level -1"},
	{"a level of an administrator's", `{"ban":BAN|"rule":"x.y"|"rule":"admin"}`, "is an administrator's"},
	{"a rule of level 0", `{"ban":BAN|"level":1|"level":0}`, "is an administrator's"},
	{"no rule", `{"ban":BAN|"rule":"x.y"|"rule":""}`, "no rule"},
	{"a rule with a line end", `{"ban":BAN|x.y|x\ny}`, "rule: it is no line"},
	{"a reason with a control character", `{"ban":BAN|"because":""|"because":"\u001b[2J"}`, "because: "},
	{"a reason that is too long", `{"ban":BAN|"because":""|"because":"` + strings.Repeat("x", 201) + `"}`, "201 octets"},
	{"a rule's ban for ever", `{"ban":BAN|,"until":"2026-11-01T12:30:00Z"|}`, "for ever"},
	{"longer than its level", `{"ban":BAN|T12:30|T13:01}`, "lasts 1h1m0s"},
	{"over before it was made", `{"ban":BAN|T12:30|T11:30}`, "not after it was made"},
	{"made in two days", `{"ban":BAN|2026-11-01|2026-11-03}`, "is a clock wrong"},
	{"no time", `{"ban":BAN|"2026-11-01T12:00:00Z"|"yesterday"}`, "no line of an export"},
	{"not made", `{"ban":BAN|"made":"2026-11-01T12:00:00Z",|}`, "when it was made"},
	{"an administrator's that is observed", `{"ban":{"network":"192.0.2.9/32","level":0,"enforced":false,"rule":"admin","because":"","made":"2026-11-01T12:00:00Z"}}`, "only observed"},
	{"the same ban twice", `{"ban":BAN|192.0.2.9/32|192.0.2.1/32}`, "in line 2 already"},
	{"allowed until the year 9999", `{"allowed":ALLOWED|}|,"until":"9999-11-01T12:30:00Z"}}`, "the year 9999"},
	{"a network allowed that is none", `{"allowed":ALLOWED|203.0.113.9/32|203.0.113.9/33}`, "no line of an export"},
	{"counts of no key", `{"counts":{"key":"","start":"2026-11-01T12:00:00Z"}}`, "line 3"},
	{"counts without a start", `{"counts":{"key":"total"}}`, "start"},
	{"counts with part of a second", `{"counts":{"key":"total","start":"2026-11-01T12:00:00.5Z"}}`, "whole seconds"},
	{"counts below 0", `{"counts":{"key":"total","start":"2026-11-01T12:00:00Z","hour":{"bad":-1}}}`, "no line of an export"},
	{"a line of 5 kB", `{"ban":BAN|"because":""|"because":"` + strings.Repeat("x", 5000) + `"}`, "4 kB"},
}

// wrong returns a line with its words filled in; |old|new replaces a part.
func wrong(text string) string {
	if strings.Contains(text, "|") {
		p := strings.Split(text, "|")
		text = strings.Replace(fill1(p[0]+"}"), p[1], strings.TrimSuffix(p[2], "}"), 1)
	}
	return fill1(text)
}

func fill1(text string) string {
	return strings.NewReplacer(
		"BAN", `{"network":"192.0.2.9/32","level":1,"enforced":true,"rule":"x.y","because":"","made":"2026-11-01T12:00:00Z","until":"2026-11-01T12:30:00Z"}`,
		"ALLOWED", `{"network":"203.0.113.9/32","because":"","made":"2026-11-01T12:00:00Z"}`,
	).Replace(text)
}

func TestAWrongLineIsNamedAndNothingIsChanged(t *testing.T) {
	const first = `{"eximpolicyd":"state","version":1}` + "\n"
	second := strings.Replace(wrong(`{"ban":BAN}`), "192.0.2.9", "192.0.2.1", 1) + "\n"
	whole := wrong(`{"allowed":ALLOWED}`) + "\n"
	h := newHands()
	try := func(name, text, says string) {
		t.Helper()
		e := filled(t, newHands())
		e.clock.read = h.read
		before := export(t, e)
		n, err := e.Import(t.Context(), strings.NewReader(text))
		if err == nil || !strings.Contains(err.Error(), says) || n != (Imported{}) {
			t.Errorf("%s: %+v, %v; it should say %q", name, n, err, says)
		}
		if export(t, e) != before {
			t.Errorf("%s: something was changed", name)
		}
	}
	for _, w := range wrongLines {
		try(w.name, first+second+wrong(w.line)+"\n"+whole, w.says)
		try(w.name, first+second+wrong(w.line)+"\n"+whole, "line 3")
	}
	try("an empty file", "", "line 1")
	try("no first line", second, "an export begins with")
	try("of something else", `{"eximpolicyd":"lists","version":1}`, "an export begins with")
	try("of version 2", `{"eximpolicyd":"state","version":2}`, "version 2")
	try("counts of a key twice", first+strings.Repeat(`{"counts":{"key":"total","start":"2026-11-01T12:00:00Z"}}`+"\n", 2), "line 2 already")
	try("a disk that fails", "", "line 1")
	e := open(t, Options{Clock: h.read})
	if _, err := e.Import(t.Context(), &failing{strings.NewReader(first + second)}); err == nil || len(e.Bans()) > 0 {
		t.Errorf("a disk that fails: %v", err)
	}
	if n, err := e.Import(t.Context(), strings.NewReader(first+second+whole)); err != nil || n.Bans != 1 || n.Allowed != 1 {
		t.Errorf("without a wrong line: %+v, %v", n, err)
	}
}

type failing struct{ *strings.Reader }

func (f *failing) Read(b []byte) (int, error) {
	if n, err := f.Reader.Read(b); err == nil {
		return n, nil
	}
	return 0, errors.New("input/output error")
}

func TestAnImportIsBounded(t *testing.T) {
	h := newHands()
	var text strings.Builder
	text.WriteString(`{"eximpolicyd":"state","version":1}` + "\n")
	for i := range MaxAllowed + 1 {
		fmt.Fprintf(&text, `{"allowed":{"network":"10.0.%d.%d/32","because":"","made":"2026-11-01T12:00:00Z"}}`+"\n", i>>8, i&255)
	}
	e := open(t, Options{Clock: h.read})
	if _, err := e.Import(t.Context(), strings.NewReader(text.String())); !errors.Is(err, errFullAllowed) || len(e.Allows()) > 0 {
		t.Errorf("%v, %d are allowed", err, len(e.Allows()))
	}
	long := `{"eximpolicyd":"state","version":1}` + strings.Repeat(" ", 4000) + "\n"
	one := `{"allowed":{"network":"10.0.0.0/32","because":"","made":"2026-11-01T12:00:00Z"}}` + strings.Repeat(" ", 3900) + "\n"
	endless := &repeating{first: long, next: func(n int) string {
		return strings.Replace(one, "10.0.0.0", fmt.Sprintf("10.%d.%d.%d", n>>16, n>>8&255, n&255), 1)
	}}
	if _, err := e.Import(t.Context(), endless); err == nil || !strings.Contains(err.Error(), "128 MB") || len(e.Allows()) > 0 {
		t.Errorf("without an end: %v", err)
	}
}

// repeating is a file without an end.
type repeating struct {
	first string
	next  func(n int) string
	n     int
}

func (r *repeating) Read(b []byte) (int, error) {
	if r.first == "" {
		r.first = r.next(r.n)
		r.n++
	}
	n := copy(b, r.first)
	r.first = r.first[n:]
	return n, nil
}

func FuzzImport(f *testing.F) {
	text := export(f, filled(f, newHands()))
	f.Add(text)
	var all []string
	for _, w := range wrongLines {
		all = append(all, `{"eximpolicyd":"state","version":1}`+"\n"+wrong(w.line))
	}
	for _, line := range slices.Compact(all) {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h := newHands()
		e := open(t, Options{Clock: h.read, Keys: 64})
		n, err := e.Import(t.Context(), strings.NewReader(text))
		if err != nil {
			if n != (Imported{}) || len(e.Bans())+len(e.Allows())+e.counts.keys() > 0 {
				t.Fatalf("something was changed: %+v", n)
			}
			return
		}
		once := export(t, e)
		for _, b := range e.Bans() {
			if b.Level > 0 && b.Until.After(e.Now().Add(Length(b.Level))) {
				t.Fatalf("%+v is longer than its level", b)
			}
			if err := b.check(e.Now()); err != nil {
				t.Fatalf("%+v: %v", b, err)
			}
		}
		other := open(t, Options{Clock: h.read, Keys: 64})
		if _, err := other.Import(t.Context(), strings.NewReader(once)); err != nil {
			t.Fatalf("its export cannot be imported: %v\n%s", err, once)
		}
		if again := export(t, other); again != once {
			t.Fatalf("the export of the import is\n%s\nnot\n%s", again, once)
		}
	})
}
