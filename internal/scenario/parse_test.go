package scenario

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"eximpolicyd/internal/config"
)

// client is a session up to the line that is looked at.
const client = "-- case a --\n> CONNECT 203.0.113.7\n> EHLO mail.example.net\n> MAIL FROM:<a@example.net>\n"

func TestEachMistakeIsToldWithLineColumnAndWhatWasMeant(t *testing.T) {
	const rcpt = client + "> RCPT TO:<b@example.org>\n"
	for _, c := range []struct {
		text string // ‸ stands where the mistake is
		want string
	}{
		{"‸hello\n", "stands in no section: begin one with -- config --, -- dns --, -- exim -- or -- case NAME --"},
		{"-- ‸confg --\n", `"confg" is no section: did you mean config?`},
		{"‸-- case a\n", "is no heading: write it as -- case a stranger greets with our name --"},
		{"‸-- case --\n", "the case has no name: write -- case NAME --"},
		{"-- ‸dns of mine --\n", "the section dns has no name"},
		{rcpt + "< dunno\n-- case ‸a --\n> CONNECT\n< dunno\n", "the case of line 1 has the same name"},
		{"‸-- case a --\n> CONNECT 203.0.113.7\n", "the case expects nothing: write < or ! below a line"},
		{"\n-- config --\n\npolicy.helo.mode = ‸\"enforced\"\n" + rcpt + "< dunno\n", `policy.helo.mode: "enforced" is no mode: off, observe or enforce`},
		{client + "> ‸RCTP TO:<b@example.org>\n< dunno\n", `"RCTP" is nothing that a client says: did you mean RCPT?`},
		{client + "‸> \n", "says nothing: write one of CONNECT, HELO, EHLO, STARTTLS, AUTH, MAIL, RCPT, DATA, RSET, QUIT, NOTQUIT, NOT_SMTP"},
		{client + "> RCPT ‸<b@example.org>\n< dunno\n", "is no TO:<address>: write it as RCPT TO:<b@example.org>"},
		{client + "> ‸RCPT\n< dunno\n", "RCPT says nothing: write it as RCPT TO:<b@example.org>"},
		{client + "> RCPT TO:<b@example.org> ‸unknwon\n< dunno\n", `"unknwon" does not follow RCPT: did you mean unknown?`},
		{client + "> RCPT TO:<b@example.org> unknown ‸x0\n< dunno\n", "write x1 to x1000"},
		{client + "> RCPT TO:<b@example.org> ‸recipent_count=1\n< dunno\n", `"recipent_count" is no name of a request: did you mean recipient_count?`},
		{client + "> RCPT TO:<b@example.org> rcpt_count=‸many\n< dunno\n", `"many": no number in its range`},
		{client + "> RCPT TO:<b@example.org> rcpt_count=1 ‸rcpt_count=2\n< dunno\n", "rcpt_count stands there twice"},
		{client + "> RCPT TO:<b@example.org> tag=‸\"a\\x\"\n< dunno\n", `a quote inside the value, or a backslash before another character than \ " n r`},
		{client + "> RCPT TO:<b@example.org> tag=‸\"a\n< dunno\n", "the quote is not closed"},
		{client + "> ‸RCPT TO:<b@example.org> user=anna\n< dunno\n", "user is known at CONNECT and NOT_SMTP only"},
		{client + "> QUIT ‸now\n< dunno\n", `"now" is no name=value`},
		{"-- case a --\n> CONNECT ‸203.0.113\n< dunno\n", `"203.0.113": is no address`},
		{"-- case a --\n> CONNECT 203.0.113.7 server_port=‸smtp\n< dunno\n", `"smtp": no number in its range`},
		{"-- case a --\n‸> EHLO mail.example.net\n> NOT_SMTP\n< dunno\n", "there is no connection: begin one with > CONNECT 203.0.113.7 or @ reconnect"},
		{client + "> QUIT\n‸> RSET\n> NOT_SMTP\n< dunno\n", "there is no connection: begin one with > CONNECT 203.0.113.7 or @ reconnect"},
		{"-- case a --\n‸@ reconnect\n> NOT_SMTP\n< dunno\n", "there was no connection yet: begin with > CONNECT 203.0.113.7"},
		{rcpt + "< ‸refuse\n", `action "refuse" is none of them: write one of dunno, delay, defer, deny, drop, freeze`},
		{rcpt + "< deny ‸550 4.7.1\n", `code "550 4.7.1" is no code: write it as 550 5.7.1`},
		{rcpt + "< deny code=‸\"550 5.\\\"11\"\n", `code "550 5.\"11" is no code: write it as 550 5.7.1`},
		{rcpt + "< deny ‸550 5.é1\n", `code "550 5.é1" is no code: write it as 550 5.7.1`},
		{rcpt + "< deny rule=‸helo.H33\n", `rule "helo.H33" is none of them: did you mean helo.H3?`},
		{rcpt + "! ‸wuold=deny\n", `"wuold" is nothing that can be expected: did you mean would?`},
		{rcpt + "! ‸would\n", "write it as would=value, in quotes if there are blanks in it"},
		{rcpt + "! score=‸high\n", `score "high" is no score: write it as 3.0`},
		{rcpt + "! score=‸nan\n", `score "nan" is no score: write it as 3.0`},
		{rcpt + "! ban=‸203.0\n", `ban "203.0" is no network: write it as 203.0.113.0/24`},
		{rcpt + "! hit=‸helo.H3,helo\n", `hit "helo.H3,helo" has "helo", which is none of them: did you mean helo.H1?`},
		{rcpt + "! level=‸high\n", `level "high" is no whole number`},
		{"-- dns --\nbl.example ‸192.0.2.7\n" + rcpt + "< dunno\n", `"192.0.2.7" is nothing that the DNS has: write bl.example lists 192.0.2.7`},
		{rcpt + "! mark=yes ‸mark=no\n", "mark stands there twice"},
		{rcpt + "‸!\n", "expects nothing: write one of action, code, rule, would, score, mark, class, delay, hit, reason, text, source, account, ban, level behind it"},
		{rcpt + "@ +1h\n‸< dunno\n", "stands below no line that begins with > or @ reconnect: what is it about?"},
		{client + "> RSET\n‸< dunno\n", "Exim does not ask at RSET, so nothing comes back"},
		{rcpt + "< dunno\n@ ‸recnnect\n", `"recnnect" is nothing that happens: did you mean reconnect?`},
		{rcpt + "< dunno\n@ ‸+-1h\n", `"-1h" is no time to wait: write 90s, 1h30m or 2d, at most 400 days in all`},
		{rcpt + "< dunno\n@ ‸+401d\n", `"401d" is no time to wait: write 90s, 1h30m or 2d, at most 400 days in all`},
		{rcpt + "< dunno\n@ +1h\n@ ‸2026-06-01T12:30:00Z\n", "it is 2026-06-01T13:00:00Z: write a time after it, at most 400 days after the beginning"},
		{rcpt + "< dunno\n‸@ +1h now\n", "write @ +1h, @ 2026-12-24T08:00:00Z or @ reconnect"},
		{rcpt + "< dunno\n‸RSET\n", "begins with none of > for the client, < and ! for what must come back, @ for time, # for a comment"},
		{rcpt + "‸  From: a@example.net\n< dunno\n", "begins with a blank, as a header does, and stands below no > DATA"},
		{rcpt + "> DATA\n  ‸From a@example.net\n< dunno\n", "is no header field: write it as Message-ID: <a@mail.example.net>"},
		{rcpt + "> DATA\n‸ From: a@example.net\n< dunno\n", "a line of a header has two blanks before it"},
		{"-- dns --\n‸*.example.net A 203.0.113.7\n" + rcpt + "< dunno\n", `"*.example.net" is no name of the DNS`},
		{"-- dns --\n‸mail.example.net\n" + rcpt + "< dunno\n", "says nothing of mail.example.net: write mail.example.net A 203.0.113.7"},
		{"-- dns --\n‸203.0.113.7\n" + rcpt + "< dunno\n", "says nothing of 203.0.113.7: write 203.0.113.7 PTR mail.example.net"},
		{"-- dns --\n203.0.113.7 timeout ‸3s\n" + rcpt + "< dunno\n", "nothing follows timeout"},
		{"-- dns --\nmail.example.net timeout ‸3s\n" + rcpt + "< dunno\n", "nothing follows timeout"},
		{"-- dns --\n‸203.0.113.7 lists 192.0.2.7\n" + rcpt + "< dunno\n", "an address is no list: write bl.example lists 203.0.113.7"},
		{"-- dns --\n‸" + strings.Repeat("a.", 100) + "example lists\n" + rcpt + "< dunno\n", "the name is too long for a list"},
		{"-- dns --\nbl.example lists ‸" + strings.Repeat("a.", 123) + "example\n" + rcpt + "< dunno\n", "the name is too long for this list"},
		{"-- dns --\nmail.example.net ‸timeuot\n" + rcpt + "< dunno\n", `"timeuot" is nothing that the DNS has: did you mean timeout?`},
		{"-- dns --\nmail.example.net ‸A 203.0.113\n" + rcpt + "< dunno\n", "is no A record: write it as its RFC does, as in mail.example.net MX 10 mx.example.net"},
		{"-- dns --\n203.0.113.7 ‸A 203.0.113.7\n" + rcpt + "< dunno\n", "an address has a PTR only: write 203.0.113.7 PTR mail.example.net"},
		{"-- dns --\nbl.example lists 203.0.113.7 ‸192.0.2.1\n" + rcpt + "< dunno\n", `"192.0.2.1" is no code of a list: write it as 127.0.0.2`},
		{"-- exim --\n‸user=anna\n" + rcpt + "< dunno\n", "user is known at CONNECT and NOT_SMTP only"},
		{"-- exim --\ntag=a\n‸tag=b\n" + rcpt + "< dunno\n", "tag stands there twice"},
		{"-- exim --\n‸protocol_state=DATA\n" + rcpt + "< dunno\n", `"protocol_state" is no name of a request: did you mean protocol_name?`},
		{rcpt + "< dunno ‸\x00\n", "a control character, or no UTF-8"},
		{rcpt + "< dunno ‸\u009b\n", "a control character, or no UTF-8"},
		{rcpt + "< dunno ‸\xff\n", "a control character, or no UTF-8"},
		{rcpt + "< dunno # " + strings.Repeat("x", maxLine), fmt.Sprintf("the line has over %d octets", maxLine)},
	} {
		before, _, marked := strings.Cut(c.text, "‸")
		_, err := Parse("a.scenario", []byte(strings.Replace(c.text, "‸", "", 1)))
		var mistakes config.Mistakes
		if !errors.As(err, &mistakes) || len(mistakes) != 1 {
			t.Errorf("%q: %v, not the one mistake: %s", c.text, err, c.want)
			continue
		}
		got := mistakes[0]
		if text := strings.TrimPrefix(got.Error(), fmt.Sprintf("a.scenario:%d:%d: ", got.Line, got.Column)); text != c.want {
			t.Errorf("%q:\n got %s\nwant %s", c.text, text, c.want)
		}
		line, column := strings.Count(before, "\n")+1, len(before)-strings.LastIndexByte(before, '\n')
		if marked && (got.Line != line || got.Column != column) {
			t.Errorf("%q: at %d:%d, not at %d:%d", c.text, got.Line, got.Column, line, column)
		}
	}
}

func TestAllMistakesAreToldInTheOrderOfTheFileAndNotTooMany(t *testing.T) {
	_, err := Parse("a.scenario", []byte("-- config --\ncolour = 1\n"+client+"> RCPT TO:<b@example.org>\n< deni\n! ruel=helo.H3\n"))
	want := []string{"a.scenario:2:1: ", "a.scenario:8:3: ", "a.scenario:9:3: "}
	lines := strings.Split(fmt.Sprint(err), "\n")
	if len(lines) != len(want) {
		t.Fatalf("%v", err)
	}
	for i := range want {
		if !strings.HasPrefix(lines[i], want[i]) {
			t.Errorf("%s, not %s", lines[i], want[i])
		}
	}
	var empty strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&empty, "-- case %d --\n", i)
	}
	for _, text := range []string{client + strings.Repeat("< deni\n", 1000), empty.String(), "-- config --\n" + strings.Repeat("a = 1\n[a]\n", 1000)} {
		_, err = Parse("a.scenario", []byte(text))
		if lines := strings.Split(fmt.Sprint(err), "\n"); len(lines) != mostMistakes+1 || !strings.HasSuffix(lines[mostMistakes], "and perhaps more mistakes") {
			t.Errorf("%.40q: %d lines, the last is %s", text, len(lines), lines[len(lines)-1])
		}
	}
}

func TestAFileOfAnotherKindIsToldOfOnce(t *testing.T) {
	_, err := Parse("a.scenario", []byte("# a title\n\nsome\nwords\n\nmore\n-- confg --\nx\n"))
	want := "a.scenario:3:1: stands in no section: begin one with -- config --, -- dns --, -- exim -- or -- case NAME --\n" +
		`a.scenario:7:4: "confg" is no section: did you mean config?`
	if got := fmt.Sprint(err); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestAFileThatIsTooLargeOrEmptyIsNone(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "a.scenario: has no case: begin one with -- case NAME --",
		"# only words\n":                   "a.scenario: has no case: begin one with -- case NAME --",
		strings.Repeat("#\n", MaxFile/2+1): "a.scenario: has over 1 MB: split it",
	} {
		if _, err := Parse("a.scenario", []byte(text)); fmt.Sprint(err) != want {
			t.Errorf("%.20q: %v, not %s", text, err, want)
		}
	}
	configs := strings.Repeat("-- config --\n", maxConfigs)
	if _, err := Parse("a.scenario", []byte(configs+"-- config --\n")); fmt.Sprint(err) != "a.scenario:1001:4: there are over 1000 sections config: split the file" {
		t.Error(err)
	}
	if _, err := Parse("a.scenario", []byte(configs+client+"> QUIT\n< dunno\n")); err != nil {
		t.Error(err)
	}
	many := client + strings.Repeat("> RCPT TO:<b@example.org> x1000\n", 101) + "< dunno\n"
	if _, err := Parse("a.scenario", []byte(many)); err == nil || !strings.Contains(err.Error(), "the case asks over 100000 times") {
		t.Errorf("%v", err)
	}
}
