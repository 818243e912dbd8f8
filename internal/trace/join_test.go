package trace

import (
	"context"
	"strings"
	"testing"

	"eximpolicyd/internal/mainlog"
)

const (
	arrival = `1xVTqk-0006FJ-1W <= www@example.net U=www-data P=local S=359`
	calling = `cwd=/home/a 3 args: /usr/sbin/sendmail -t -i`
)

func TestADirectoryIsThatOfTheCommandThatSentTheMessage(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  string // of the message, with ? if it is a guess; empty: not known
	}{
		{"no command", []string{`13:00:00 ` + arrival}, ""},
		{"one that was too long ago", []string{`13:00:00 ` + calling, `13:00:03 ` + arrival}, ""},
		{"a delivery of Exim's", []string{`13:00:00 cwd=/var/spool/exim4 3 args: /usr/sbin/exim4 -Mc 1xVTqk-0006FA-1W`, `13:00:00 ` + arrival}, ""},
		{"a run of the queue", []string{`13:00:00 cwd=/ 2 args: exim4 -qff`, `13:00:00 ` + arrival}, ""},
		{"somebody who looks at the queue", []string{`13:00:00 cwd=/root 1 args: mailq`, `13:00:00 cwd=/root 2 args: exim -bp`, `13:00:00 ` + arrival}, ""},
		{"mail that came by SMTP", []string{`13:00:00 ` + calling, `13:00:00 1xVTqk-0006FJ-1W <= a@b H=x [192.0.2.1] P=esmtp S=3`}, ""},
		{"another process", []string{`13:00:00 [7] ` + calling, `13:00:00 [8] ` + arrival}, ""},
		{"the same number long ago", []string{`13:00:00 [7] ` + calling, `13:20:00 [7] ` + arrival}, ""},
		{"the command before", []string{`13:00:00 ` + calling, `13:00:00 ` + arrival}, "/home/a ?"},
		{"the first of two", []string{`13:00:00 ` + calling, `13:00:00 cwd=/home/b 2 args: sendmail -t`, `13:00:00 ` + arrival}, "/home/a ?"},
		{"the one that names the sender", []string{`13:00:00 ` + calling, `13:00:00 cwd=/home/b 3 args: sendmail -t -fWWW@example.net`, `13:00:00 ` + arrival}, "/home/b ?"},
		{"the same process, slowly", []string{`13:00:00 [7] ` + calling, `13:05:00 [7] ` + arrival}, "/home/a"},
		{"the same process again: sendmail -bs", []string{`13:00:00 [7] cwd=/home/c 2 args: sendmail -bs`, `13:00:00 [7] 1xVTqj-0006FJ-1W <= a@b U=c P=local-smtp S=1`, `13:00:01 [7] ` + arrival}, "/home/c"},
		{"options that look like another command", []string{`13:00:00 cwd=/home/a 5 args: sendmail -F -Mc -t -q`, `13:00:00 ` + arrival}, ""},
		{"a name that looks like another command", []string{`13:00:00 cwd=/home/a 4 args: sendmail -F -Mc -t`, `13:00:00 ` + arrival}, "/home/a ?"},
		{"a recipient that looks like another command", []string{`13:00:00 cwd=/home/a 5 args: sendmail -i -- -q x@y`, `13:00:00 ` + arrival}, "/home/a ?"},
		{"our own note of it", []string{`13:00:00 ` + calling, `13:00:00 1xVTqk-0006FJ-1W eximpolicyd: stage=NOT_SMTP account=site cwd="/home/si\"te"`, `13:00:00 ` + arrival}, `/home/si"te`},
		{"the daemon's log before it", []string{`13:00:00 msg=decision stage=NOT_SMTP queue_id=1xVTqk-0006FJ-1W uid=33 cwd=/home/d`, `13:00:00 ` + arrival}, "/home/d"},
		{"the daemon's log after it", []string{`13:00:00 ` + arrival, `13:00:01 level=INFO msg=decision stage=NOT_SMTP queue_id=1xVTqk-0006FJ-1W uid=33 cwd=/home/d`}, "/home/d"},
		{"the daemon's log as JSON", []string{`13:00:00 ` + arrival + "\n" + `{"time":"2026-11-23T13:00:00.1Z","level":"INFO","msg":"decision","queue_id":"1xVTqk-0006FJ-1W","uid":33,"cwd":"/home/\"d"}`}, `/home/"d`},
		{"a note of another message", []string{`13:00:00 msg=decision stage=NOT_SMTP queue_id=1xVTqk-0006FJ-1X cwd=/home/d`, `13:00:00 ` + arrival}, ""},
		{"a client that talks as the daemon does", []string{`13:00:00 H=(x msg=decision queue_id=1xVTqk-0006FJ-1W cwd=/evil) [192.0.2.1] Warning: no`, `13:00:00 ` + arrival}, ""},
	} {
		j := newJoiner()
		r := readerOf(t, c.lines...)
		if err := each(context.Background(), r, func(e *mainlog.Event) { j.take(e) }); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, m := range j.waiting {
			if got = m.Directory; m.ID == "1xVTqk-0006FJ-1W" && m.Guess {
				got += " ?"
			}
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestAScriptIsWhatNotesHeadersAndArgumentsName(t *testing.T) {
	for _, c := range []struct{ name, want, log string }{
		{"nothing", "", arrival},
		{"an argument", "/home/a/mail.php", "cwd=/home/a 3 args: sendmail -t /home/a/mail.php\n2026-11-23 13:00:00 " + arrival},
		{"a field as an argument", "33:mail.php", "cwd=/home/a 3 args: sendmail -t \"X-PHP-Originating-Script: 33:mail.php\"\n2026-11-23 13:00:00 " + arrival},
		{"an address is none", "", "cwd=/home/a 3 args: sendmail -i someone@example.pl\n2026-11-23 13:00:00 " + arrival},
		{"the daemon, the program alone", "/usr/bin/php", "msg=decision queue_id=1xVTqk-0006FJ-1W program=/usr/bin/php\n2026-11-23 13:00:00 " + arrival},
		{"the daemon, with its arguments", "php send.php", "msg=decision queue_id=1xVTqk-0006FJ-1W program=/usr/bin/php args=\"php send.php\"\n2026-11-23 13:00:00 " + arrival},
		{"a header of the reject log", "/home/a/x.pl -v", "1xVTqk-0006FJ-1W H=[192.0.2.1] F=<a@b> A=plain:alice rejected after DATA: no\nEnvelope-to: <c@d>\n  X-Source-Args: /home/a/x.pl -v\n  Subject: x"},
	} {
		top, err := CountTop(context.Background(), readerOf(t, "13:00:00 "+c.log), TopOptions{By: "script"})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if len(top.Rows) > 0 {
			got = top.Rows[0].Key
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestWhatASelectorWouldTellIsNamedOnce(t *testing.T) {
	local, remote := `13:00:00 `+arrival, `13:00:01 1xVTqk-0006FK-1W <= a@b H=x [192.0.2.1] P=esmtp S=3`
	for _, c := range []struct {
		by    string
		lines []string
		want  string
	}{
		{"account", []string{local}, ""},
		{"directory", []string{remote}, ""},
		{"directory", []string{local}, "+arguments"},
		{"directory", []string{`13:00:00 ` + calling, local}, "+pid"},
		{"directory", []string{`13:00:00 [7] ` + calling, `13:00:00 [7] ` + arrival}, ""},
		{"subject", []string{remote}, "+subject"},
		{"subject", []string{local + ` T="x"`, remote}, ""},
		{"script", []string{local}, "+arguments"},
	} {
		top := topOf(t, TopOptions{By: c.by}, c.lines...)
		var text strings.Builder
		if err := top.Text(&text); err != nil {
			t.Fatal(err)
		}
		named := strings.Count(text.String(), "\n    log_selector = "+c.want+"\n")
		if top.Log.Missing != c.want || c.want != "" && named != 1 || c.want == "" && strings.Contains(text.String(), "log_selector") {
			t.Errorf("by %s, %q: %q\n%s", c.by, c.lines, top.Log.Missing, text.String())
		}
	}
}
