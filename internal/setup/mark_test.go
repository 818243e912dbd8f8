package setup

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

func TestAFileOfOursIsKnownByItsMark(t *testing.T) {
	const text = "# a file\nacl_smtp_connect = x\n"
	made := marked("0.1.0", text)
	cases := []struct {
		name string
		have []byte
		want state
	}{
		{"no mark", []byte(text), foreign},
		{"nothing at all", nil, foreign},
		{"a mark that is cut", made[:20], foreign},
		{"a mark not in the first line", append([]byte("\n"), made...), foreign},
		{"a line added", append(bytes.Clone(made), '\n'), edited},
		{"a line taken away", made[:len(made)-1], edited},
		{"another mark's text", bytes.Replace(made, []byte("= x"), []byte("= y"), 1), edited},
		{"another text of ours", marked("0.1.0", text+"# more\n"), outdated},
		{"another version's, and the same text", marked("9.9.9", text), current},
		{"ours", made, current},
	}
	for _, c := range cases {
		if got := judge(c.have, text); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestOurLinesGoBesideTheirAnchorAndComeOutAgain(t *testing.T) {
	s := &Setup{o: Options{Version: "0.1.0"}}
	const conf = "a = 1\nbegin acl\n\nacl_check_rcpt:\n  accept\n"
	begin := regexp.MustCompile(`(?m)^begin acl\n`)
	lines := []ownLine{
		{"/c", ".include /main\n", begin, "begin acl", false}, {"/c", ".include /acl\n", begin, "begin acl", true},
		{"/c", ".include /rcpt\n", regexp.MustCompile(`(?m)^acl_check_rcpt:\n`), "acl_check_rcpt:", true}, {"/other", ".include /no\n", nil, "", false},
	}
	got, err := s.with([]byte(conf), "/c", lines)
	if err != nil {
		t.Fatal(err)
	}
	var plain strings.Builder
	for line := range strings.Lines(string(got)) {
		if !strings.HasPrefix(line, "# eximpolicyd setup") {
			plain.WriteString(line)
		}
	}
	if want := "a = 1\n.include /main\nbegin acl\n.include /acl\n\nacl_check_rcpt:\n.include /rcpt\n  accept\n"; plain.String() != want {
		t.Errorf("%q", plain.String())
	}
	if again, err := s.with(got, "/c", lines); err != nil || !bytes.Equal(again, got) {
		t.Errorf("a second time: %v\n%s", err, again)
	}
	if string(without(got)) != conf {
		t.Errorf("taken out again: %q", without(got))
	}
	if _, err := s.with([]byte(conf+"begin acl\n"), "/c", lines); err == nil || !strings.Contains(err.Error(), "but 2") {
		t.Errorf("two anchors: %v", err)
	}
	spoilt := bytes.Replace(got, []byte(".include /acl"), []byte(".include /else"), 1)
	if _, err := s.with(spoilt, "/c", lines); err == nil || !strings.Contains(err.Error(), "has been edited") {
		t.Errorf("an edited line: %v", err)
	}
	if p := pairs(spoilt); len(p) != 3 || !p[1].edited || p[0].edited || p[1].line != 6 {
		t.Errorf("%+v", p)
	}
}

// FuzzOurLinesComeOutAgain: whatever a file of the administrator's is, with our line and without it it is the same.
func FuzzOurLinesComeOutAgain(f *testing.F) {
	f.Add([]byte("a = 1\n"), ".include /x")
	f.Add([]byte("no end of line"), "x")
	f.Add(marked("1", ".include /x\n"), ".include /y")
	f.Add([]byte("# eximpolicyd setup 1 sha256=\n"), "")
	f.Fuzz(func(t *testing.T, file []byte, line string) {
		bare := without(file)
		if len(pairs(bare)) > 0 || strings.Contains(line, "\n") {
			return // a line that somebody has edited stays, and stops whoever would add one
		}
		s := &Setup{o: Options{Version: "0.1.0"}}
		got, err := s.with(file, "/c", []ownLine{{path: "/c", line: line + "\n"}})
		if err != nil {
			t.Fatal(err)
		}
		if len(pairs(got)) != 1 || !bytes.Equal(without(got), bare) {
			t.Errorf("%q with %q is %q, and without it %q", file, line, got, without(got))
		}
	})
}

func TestATimeThatEximWouldTakeForNeverIsNone(t *testing.T) {
	for value, never := range map[string]bool{"500ms": true, "0.5s": true, "1": true, "0s": true, "0m0s": true, "abc": true, "s": true, "-1s": true, " 3s": true,
		"": false, "3s": false, "1m": false, "1m30s": false, "10s": false, "1w": false} {
		if forever(value) != never {
			t.Errorf("%q: %v", value, !never)
		}
	}
}

func TestACallIsReadWithItsTimeOutAndItsFailString(t *testing.T) {
	const inner = "${readsocket{/s}{reset}{1s}{ }{}}"
	cases := []struct {
		name, text string
		want       []call
	}{
		{"none", "warn condition = ${if eq{a}{b}}", nil},
		{"another daemon's", "${readsocket{/x}{hello}{1}}", nil},
		{"without a time-out", "${readsocket{/s}{request=exim_acl\\n}}", []call{{}}},
		{"without a fail string", `${readsocket{/s}{request=exim_acl\n a=${quote:${length_9:$x}}}{3s}{ }}`, []call{{"3s", ""}}},
		{"as it is", `${if def:a {}{${readsocket{/s}{request=exim_acl\n}{3s:shutdown=no}{ }{` + inner + `}}}}`, []call{{"3s", inner}}},
		{"cut off", "${readsocket{/s}{request=exim_acl", nil},
	}
	for _, c := range cases {
		got := callsIn(c.text)
		if len(got) != len(c.want) || len(got) == 1 && got[0] != c.want[0] {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

func TestDebiansAnswerFileIsReadAsItsScriptReadsIt(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "dc_use_split_config='false'\n": false, "#dc_use_split_config='true'\n": false, "dc_use_split_config=''\n": false,
		"dc_use_split_config='true'\n": true, "dc_use_split_config=true\n": true, "dc_use_split_config=\"TRUE\"\n": true,
		"dc_use_split_config='true'\ndc_use_split_config='false'\n": false,
	} {
		if split([]byte(text)) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}
