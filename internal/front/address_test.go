package front

import (
	"strings"
	"testing"
)

func TestAnAddressIsReadAsEximReadsIt(t *testing.T) {
	none := "none"
	for _, c := range []struct{ name, text, want, rest string }{
		{"nothing", "", none, ""},
		{"no bracket at the end", "<a@a.example", none, ""},
		{"no bracket at the beginning", "a@a.example>", "a@a.example", ">"},
		{"two brackets", "<<a@a.example>>", none, ""},
		{"no local part", "<@a.example>", none, ""},
		{"no domain", "<a@>", none, ""},
		{"no domain, no brackets", "a@", none, ""},
		{"a quote that does not end", `<"a@a.example>`, none, ""},
		{"a quote that a backslash keeps from ending", `<"a\"@a.example>`, none, ""},
		{"a comment that does not end", "<a(b@a.example>", none, ""},
		{"a route without an address", "<@b.example:>", none, ""},
		{"a route to a local part", "<@b.example:a>", none, ""},
		{"a route that is none", "<@b_c.example:a@a.example>", none, ""},
		{"a phrase without an address", "A B", none, ""},
		{"a phrase before an address without brackets", "A a@a.example", none, ""},
		{"a phrase in pieces", "A ] <a@a.example>", none, ""},
		{"an underscore in the domain", "<a@a_b.example>", none, ""},
		{"a domain that begins with a hyphen", "<a@-a.example>", none, ""},
		{"UTF-8 in the domain", "<a@\u00e9.example>", none, ""},
		{"an address in brackets", "<a@[203.0.113.7]>", none, ""},
		{"257 octets", "<" + strings.Repeat("a", 247) + "@a.example>", none, ""},

		{"a bounce", "<>", "@", ""},
		{"a bounce with a comment and a size", "< (none) > SIZE=3", "@", "SIZE=3"},
		{"256 octets", "<" + strings.Repeat("a", 246) + "@a.example>", strings.Repeat("a", 246) + "@a.example", ""},
		{"a local part alone", "<a>", "a@", ""},
		{"blanks", " < a @ a . example > SIZE=3", "a@a.example", "SIZE=3"},
		{"a comment within one", "<a(b(c)\\))@a.example>", "a@a.example", ""},
		{"quotes", `<"a b>@\"\\"@a.example>`, `"a b>@\"\\"@a.example`, ""},
		{"quotes around nothing", `<""@a.example>`, `""@a.example`, ""},
		{"words and quotes", `<a."b c".d@a.example>`, `a."b c".d@a.example`, ""},
		{"a backslash without quotes", `<a\@b@a.example>`, `a\@b@a.example`, ""},
		{"many dots", "<.a..b.@a.example>", ".a..b.@a.example", ""},
		{"octets that are no UTF-8", "<\xff\x80@a.example>", "\xff\x80@a.example", ""},
		{"no brackets", "a@a.example BODY=7BIT", "a@a.example", "BODY=7BIT"},
		{"a route", "<@b.example,@c.example:a@a.example>", "a@a.example", ""},
		{"a route without brackets", "@b.example:a@a.example", "a@a.example", ""},
		{"a phrase", `A. "B c" d <a@a.example>`, "a@a.example", ""},
	} {
		a, rest, ok := readAddress(c.text)
		got := a.local + "@" + a.domain
		if !ok {
			got, rest = none, ""
		}
		if got != c.want || rest != c.rest {
			t.Errorf("%s: %q is %q and %q, want %q and %q", c.name, c.text, got, rest, c.want, c.rest)
		}
	}
}

// What go-smtp is handed comes back from it as Exim has it, a recipient without its quotes.
func TestAnAddressArrivesAsItWasWritten(t *testing.T) {
	p := play(t, nil)
	for _, local := range []string{`"a b"`, `"a\"b\\c\d"`, `""`, `a\@b`, `a."b c".d`, `">"`, "\xff", `"\` + "\xff" + `"`} {
		c := p.dial()
		c.say("", "220", "EHLO client.example", "250", "MAIL FROM:<"+local+"@a.example>", "250", "RCPT TO:<"+local+"@elsewhere.example>", "550 5.7.1 relay", "QUIT", "221")
	}
	var got []string
	for _, d := range p.all {
		if q := d.Request; q.Recipient != "" {
			got = append(got, q.Sender.Value+" "+q.Recipient)
		}
	}
	want := []string{`"a b"@a.example a b@elsewhere.example`, `"a\"b\\c\d"@a.example a"b\cd@elsewhere.example`, `""@a.example @elsewhere.example`,
		`a\@b@a.example a@b@elsewhere.example`, `a."b c".d@a.example a.b c.d@elsewhere.example`, `">"@a.example >@elsewhere.example`,
		"\xff@a.example \xff@elsewhere.example", `"\` + "\xff\"@a.example \xff@elsewhere.example"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%q\nwant %q", got, want)
	}
}

// An address that has been read is one, and the same.
func FuzzAnAddress(f *testing.F) {
	for _, s := range []string{"<>", `A. <@b.example:a."b\" c".d(e)@a.example> SIZE=3`, "a@b", `<\<@[>`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, _, ok := readAddress(s)
		if !ok || a.domain == "" {
			return
		}
		if again, rest, ok := readAddress("<" + a.local + "@" + a.domain + ">"); !ok || again != a || rest != "" {
			t.Errorf("%q is %+v, and then %+v and %q, %v", s, a, again, rest, ok)
		}
		if b, rest, ok := readAddress(a.again()); !ok || rest != "" || quoting.ReplaceAllString(b.local, "$1") != a.local {
			t.Errorf("%q is handed on as %q", s, a.again())
		}
	})
}
