package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Each ‸ is a mistake that must be reported there; nothing else may be.
func TestAfterASyntaxErrorReadingGoesOn(t *testing.T) {
	for name, text := range map[string]string{
		"a list that is never closed ends at the next key": `
[exempt]
relay = ‸["192.0.2.0/24",
allow = [‸"bogus"]
deny = [
  "192.0.2.1",
]
[log]
level = ‸"loud"
`,
		"a list over several lines that is never closed ends at the next header": `
[exempt]
relay = ‸[
  "192.0.2.0/24",
  "192.0.2.1/24",
[log]
level = ‸"loud"
`,
		"a list that is never closed at the end of the file": "[exempt]\nrelay = ‸[\n  \"192.0.2.0/24\",",
		"a closed list with a key inside it is one mistake": `
[exempt]
relay = [
  "192.0.2.0/24",
  ‸allow = "192.0.2.1",
  "198.51.100.1",
]
deny = [‸"bogus"]
`,
		"lists in a list are no headers": `
[exempt]
relay = [
  ‸["a"],
  ‸[true],
]
deny = [‸"bogus"]
`,
		"an inline table that is never closed on its line": `
[policy.helo]
rules = ‸{H3 = "off"
preset = ‸"soft"
[policy.nobody]
mode = ‸"on"
`,
		"an inline table over several lines without a comma": `
[policy.helo]
rules = {
H3 = "off"
‸H8 = "off",
}
preset = ‸"soft"
`,
		"an inline table over several lines is TOML 1.1": `
[policy.helo]
rules = {
  H3 = "off", # ours
  H8 = ‸"of",
}
`,
		"brackets of the wrong kind": `
[exempt]
relay = ["192.0.2.1"‸}
deny = [‸"bogus"]
`,
		"a text without its closing quote in a list over several lines": `
[exempt]
relay = [
  "192.0.2.1",
  ‸"192.0.2.2,
  "192.0.2.3",
]
deny = [‸"bogus"]
`,
		"a text without its first quote in a list": `
[exempt]
relay = ["192.0.2.1", ‸192.0.2.2"]
deny = [‸"bogus"]
`,
		"long quotes that are never closed": `
[listen]
socket = ‸"""/run/x.sock
group = ‸"a b"
[log]
level = ‸"loud"
`,
		"long quotes that close much later": `
[listen]
socket = ‸"""/run/x.sock
group = ‸"a b"
[log]
format = """text"""
level = ‸"loud"
`,
		"a header that is never closed is still the header": `
‸[log
level = ‸"loud"
[own]
names = [‸""]
`,
		"a header that can't be understood: its keys are nobody's": `
[‸$log]
level = "loud"
colour = 1
[own]
names = [‸""]
`,
		"a line of words": `
mode = ‸"on"
please refuse all spam
[log]
level = ‸"loud"
`,
		"a value without quotes": `
mode = ‸enforce
[listen]
socket = ‸/run/x.sock
peers = [‸mail, 8]
[log]
level = ‸info
format = ‸text
privacy = ‸full # no
[exempt]
relay = [‸192.0.2.0/24]
allow = [
  ‸2001:db8::1,
]
[policy.helo]
rules = {H3 = ‸off}
`,
		"a typo'd table is read as the one that was meant": `
[‸lisen]
socket = ‸"x"
[policy.‸hallo]
robots = ‸5
`,
		"a doubled table is read for its mistakes": `
[listen]
socket = "/run/x.sock"
[‸listen]
socket = ‸"x"
`,
		"a table in two ways": `
policy.helo.mode = "off"
[policy.‸helo]
preset = ‸"soft"
[policy.nobody]
mode = ‸"on"
`,
		"a value where a table must be": "listen = ‸\"/run/x.sock\"\n[policy]\nhelo = ‸5\n",
		"a table after a value":         "log = ‸1\n[‸log]\nlevel = ‸\"loud\"\n",
	} {
		t.Run(name, func(t *testing.T) {
			f := &file{}
			for i, piece := range strings.Split(text, "‸") {
				if i > 0 {
					f.want = append(f.want, fmt.Sprintf("f.toml:%d:%d: ", f.line, f.column))
				}
				f.put(piece)
			}
			if name == "a line of words" {
				f.want = append(f.want, "f.toml:3:8: expected '=' after key")
			}
			agree(t, f)
		})
	}
}

// crlf are the same mistakes in a file of Windows.
func TestWindowsFilesHaveTheSamePlaces(t *testing.T) {
	f := written(seeds())
	text := "\xef\xbb\xbf" + strings.ReplaceAll(f.String(), "\n", "\r\n")
	got := mistakesOf(t, text)
	want := mistakesOf(t, f.String())
	if got.Error() != want.Error() {
		t.Errorf("with CR and byte order mark:\n%v\nwithout:\n%v", got, want)
	}
}

func TestMistakesAreBounded(t *testing.T) {
	m := mistakesOf(t, strings.Repeat("= 1\n", 3000)+strings.Repeat("a.b = {c = [1]}\n", 3000))
	if len(m) != maxShown+1 || m[maxShown].Text != "and more mistakes" {
		t.Fatalf("%d mistakes, the last is %v", len(m), m[len(m)-1])
	}
	for i := range maxShown {
		if m[i].Line != i+1 {
			t.Fatalf("mistake %d is in line %d", i, m[i].Line)
		}
	}
}

// What is hostile costs no more than what is long, and is one mistake where one says all.
func TestHostileFilesAreReadInTime(t *testing.T) {
	mega := func(s string) string { return strings.Repeat(s, maxFile/len(s)) }
	for name, c := range map[string]struct {
		text string
		most int
	}{
		"open brackets":            {"a = " + mega("[")[4:], 1},
		"open tables in lines":     {mega("x = {\n"), maxShown + 1},
		"open lists in lines":      {mega("x = [\n"), maxShown + 1},
		"open brackets in lines":   {"x = [\n" + mega(" [\n")[6:], 1},
		"long quotes":              {mega("x = '''\"\"\"\n"), maxShown + 1},
		"short quotes":             {mega("x = \"\n"), maxShown + 1},
		"a long key":               {mega("x"), 1},
		"a long dotted key":        {mega("x.")[2:] + "=1", 1},
		"a long header":            {"[" + mega("x.")[4:] + "x]", 1},
		"many keys":                {mega("xy=1\nxx=2\n"), maxShown + 1},
		"one list of many numbers": {"x = [" + mega("1,")[6:] + "]", 1},
		"one list in a known key":  {"exempt.relay = [" + mega("1,")[20:] + "]", maxShown + 1},
		"many headers":             {mega("[x]\n"), maxShown + 1},
		"escapes":                  {"mode = \"" + mega(`\u0007`)[16:] + "\"", 1},
		"a text of line ends":      {"mode = \"\"\"" + mega("\n")[16:] + "\"\"\"", 1},
		"a long unquoted word":     {"mode = " + mega("w")[8:], 1},
		"carriage returns":         {mega("\rmode"), 1},
		"hashes":                   {mega("#\x01\n"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			m := mistakesOf(t, c.text)
			if took := time.Since(start); took > time.Minute { // a second on a busy machine; what grows with the square, a day
				t.Errorf("took %v", took)
			}
			if len(m) > c.most {
				t.Errorf("%d mistakes, at first %v, %v", len(m), m[0], m[1])
			}
			for _, one := range m {
				if s := one.Error(); len(s) > 1000 || strings.ContainsAny(s, "\n\r\x00") {
					t.Fatalf("no clear line: %q", s)
				}
			}
		})
	}
}
