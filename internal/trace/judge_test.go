package trace

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// judgedBy reads a report and judges it by a log.
func judgedBy(t *testing.T, o *ReportOptions, report string, log ...string) *Judged {
	t.Helper()
	r, err := ReadReport(strings.NewReader(report))
	if err != nil {
		t.Fatal(err)
	}
	stories, found, err := Find(context.Background(), readerOf(t, log...), r.Query(o))
	if err != nil {
		t.Fatal(err)
	}
	return r.Judge(o, stories, found)
}

// of is a mail with our Received field and what is given.
func of(id, rest string) string {
	return "Received: from alice by mx.example.net with esmtpa (Exim 4.98) (envelope-from <alice@example.net>) id " + id +
		" for x@one.example; Mon, 23 Nov 2026 13:00:00 +0000\n" + rest + "\n\nbody\n"
}

const (
	login    = `13:00:00 1xVTqk-0006FJ-1W <= alice@example.net H=(pc) [192.0.2.7] P=esmtpsa A=plain:alice S=268 id=1@pc T="hello" for x@one.example`
	incoming = `13:00:00 1xVTqk-0006FJ-1W <= alice@example.net H=mx.far.example [203.0.113.7] P=esmtps S=268 id=1@pc T="hello"`
	silent   = `13:00:00 1xVTqk-0006FJ-1W <= alice@example.net H=(pc) [192.0.2.7] P=esmtpsa A=plain:alice S=268`
)

func TestAVerdictRestsOnMoreThanWhatCanBeCopiedInOneField(t *testing.T) {
	for _, c := range []struct{ name, report, log, verdict, fact string }{
		{"the field alone", of("1xVTqk-0006FJ-1W", "From: a"), login, string(Undecided), "time"},
		{"another subject", of("1xVTqk-0006FJ-1W", "Subject: casino\nMessage-ID: <1@pc>"), login, string(Another), "subject: the log has hello"},
		{"another Message-ID", of("1xVTqk-0006FJ-1W", "Subject: hello\nMessage-ID: <2@pc>"), login, string(Another), "Message-ID: the log has 1@pc"},
		{"another time", strings.Replace(of("1xVTqk-0006FJ-1W", "Subject: hello"), "13:00:00", "13:20:00", 1), login, string(Another), "time: the log has 2026-11-23 13:00:00 +0000"},
		{"no time", strings.Replace(of("1xVTqk-0006FJ-1W", "Subject: hello"), "; Mon, 23 Nov 2026 13:00:00 +0000", "", 1), login, string(Another), "time: the Received field has none"},
		{"another sender", strings.Replace(of("1xVTqk-0006FJ-1W", "Subject: hello"), "alice@", "bob@", 1), login, string(Another), "sender: the log has <alice@example.net>"},
		{"an id that never was", of("1xVTqk-0006FJ-1X", "Subject: hello"), login, string(Unknown), ""},
		{"an id that never was, of a host that is not ours", strings.Replace(of("1xVTqk-0006FJ-1X", "Subject: hello"), "by mx.", "by other.", 1), login, string(NotOurs), ""},
		{"a Message-ID alone", "Message-ID: <1@pc>\nFrom: a\n\nx", login, string(Undecided), "Message-ID"},
		{"a log that has nothing to compare", of("1xVTqk-0006FJ-1W", "Subject: hello\nMessage-ID: <1@pc>"), silent, string(Undecided), "sender"},
		{"the subject", of("1xVTqk-0006FJ-1W", "Subject: [SPAM] =?utf-8?q?hello?="), login, string(FromHere), "subject"},
		{"the Message-ID", of("1xVTqk-0006FJ-1W", "Message-ID: <1@pc>"), login, string(FromHere), "Message-ID"},
		{"the recipient", of("1xVTqk-0006FJ-1W", "Delivered-To: X@one.example"), login, string(FromHere), "recipient X@one.example"},
		{"the Message-ID and who sent it, without our field", "Message-ID: <1@pc>\nReturn-Path: <alice@example.net>\n\nx", login, string(FromHere), "sender <alice@example.net>"},
		{"mail that another host brought", of("1xVTqk-0006FJ-1W", "Subject: hello"), incoming, string(Through), "subject"},
	} {
		j := judgedBy(t, &ReportOptions{Names: []string{"MX.example.net"}}, c.report, c.log)
		f := j.Findings[0]
		if string(j.Verdict) != c.verdict || c.fact != "" && !slices.Contains(append(f.Fits, f.Differs...), c.fact) {
			t.Errorf("%s: %s, fits %q, differs %q", c.name, j.Verdict, f.Fits, f.Differs)
		}
	}
}

func TestASignatureOfOursConfirmsAMessageThatTheLogHasForgotten(t *testing.T) {
	key := func(field, messageID, date, _ string) (Origin, bool) {
		return Origin{ID: "1xVTqk-0006FJ-1W", Account: "alice"}, field == "v=1 b=good" && messageID == "<1@pc>" && date == "today"
	}
	mail := "X-Eximpolicyd-Origin: v=1\n\tb=good\nMessage-ID: <1@pc>\nDate: today\nSubject: hello\n\nx"
	for _, c := range []struct {
		name, report, log string
		verdict           Verdict
	}{
		{"a bad one", strings.Replace(mail, "b=good", "b=bad", 1), silent, NotOurs},
		{"one that was put on another message", strings.Replace(mail, "1@pc", "2@pc", 1), silent, NotOurs},
		{"of a message that the log has not", mail, strings.Replace(silent, "1W", "1X", 1), FromHere},
		{"of one that it has", mail, silent, FromHere},
	} {
		j := judgedBy(t, &ReportOptions{Origin: key}, c.report, c.log)
		if j.Verdict != c.verdict || (j.Findings[0].Origin != nil) != (c.verdict != NotOurs) {
			t.Errorf("%s: %s, %+v", c.name, j.Verdict, j.Findings[0])
		}
	}
}

func TestAReportIsLookedIntoWithinBounds(t *testing.T) {
	const mail = "Message-ID: <x@y>\n\nbody\n"
	nest := func(n int) string { return strings.Repeat("Content-Type: message/rfc822\n\n", n) + mail }
	parts := func(n int) string {
		return "Content-Type: multipart/mixed; boundary=x\n\n" + strings.Repeat("--x\n\nx\n", n) + "--x\nContent-Type: message/rfc822\n\n" + mail + "\n--x--\n"
	}
	for _, c := range []struct {
		name, text string
		mails      int
		how        string // the first was found
		err        error
	}{
		{"nothing", "", 0, "", ErrNoHeader},
		{"a letter", "Dear sir,\nyour mail is spam.\n", 0, "", ErrNoHeader},
		{"too long", strings.Repeat("x", MaxReport+1), 0, "", ErrLongReport},
		{"a header that is too long is none, but a text", "X: " + strings.Repeat("x", maxHeader) + "\n" + mail, 1, "in the text", nil},
		{"too deep to be more than a text", nest(maxDepth + 1), 1, "in the text", nil},
		{"as deep as may be", nest(maxDepth), 1, "attached", nil},
		{"more parts than are looked at, and a text", parts(maxParts), 1, "in the text", nil},
		{"as many as may be", parts(maxParts - 3), 1, "attached", nil},
		{"many mails", "Subject: x\n\n" + strings.Repeat("Message-ID: <x@y>\n\n", 100), maxMails, "in the text", nil},
		{"many hosts", strings.Repeat("Received: from a by b\n", 100) + "\nx", 1, "the mail itself", nil},
	} {
		r, err := ReadReport(strings.NewReader(c.text))
		if !errors.Is(err, c.err) || err == nil && (len(r.Mails) != c.mails || r.Mails[0].How != c.how) {
			t.Errorf("%s: %v, %+v", c.name, err, r)
		}
		if err == nil && len(r.Mails[0].Hops) > maxHops {
			t.Errorf("%s: %d hops", c.name, len(r.Mails[0].Hops))
		}
	}
}

func TestAHeaderOfAPartTakesNoMoreMemoryThanAReportIsLong(t *testing.T) {
	const head = "Message-ID: <a@example.com>\nContent-Type: multipart/mixed; boundary=b\n\n--b\n"
	text := head + strings.Repeat("a:\n", (MaxReport-2*len(head))/3) + "\n--b--\n"
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, err := ReadReport(strings.NewReader(text))
	runtime.ReadMemStats(&after)
	took := (after.TotalAlloc - before.TotalAlloc) >> 20
	if err != nil || len(r.Mails) != 1 || took > 100 {
		t.Errorf("%v: a report of 10 MB takes %d MB", err, took)
	}
	t.Logf("FIGURE trace: a report of 10 MB that is one header of a part takes %d MB in all", took)
}

func TestAReceivedFieldIsReadAsMailServersWriteIt(t *testing.T) {
	at := time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		text string
		want Hop
	}{
		{"from [203.0.113.7] (helo=x)\n\tby mx.example.net with esmtps (TLS1.3) tls TLS_AES (Exim 4.98)\n\t(envelope-from <a@example.com>)\n\tid 1xVTqk-0006FJ-1W\n\tfor b@example.net;\n\tMon, 23 Nov 2026 14:00:00 +0100",
			Hop{"[203.0.113.7] (helo=x)", "mx.example.net", "esmtps", "1xVTqk-0006FJ-1W", "a@example.com", "b@example.net", at}},
		{"from a.example (a.example [192.0.2.1]) by b.example (Postfix) with ESMTPS id 4Xabc for <c@d>; Mon, 23 Nov 2026 13:00:00 +0000 (UTC)",
			Hop{"a.example (a.example [192.0.2.1])", "b.example", "ESMTPS", "4Xabc", "", "c@d", at}},
		{"by 2002:a05:1 with SMTP id x-y; Mon, 23 Nov 2026 05:00:00 -0800 (PST)", Hop{By: "2002:a05:1", With: "SMTP", ID: "x-y", Time: at}},
		{"from nobody by mx with local (Exim 4.96) (envelope-from <>) id 1xVTqk-0006FJ-1W for a@b; yesterday",
			Hop{From: "nobody", By: "mx", With: "local", ID: "1xVTqk-0006FJ-1W", EnvelopeFrom: "<>", For: "a@b"}},
		{`from www by mx with local (Exim 4.96) (envelope-from <"x>) id 1xVTqk-0006FJ-1X for c@d; ("@example.net>) id 1xVTqk-0006FJ-1W for a@b; yesterday`,
			Hop{From: "www", By: "mx", With: "local", ID: "1xVTqk-0006FJ-1W", EnvelopeFrom: `"x>) id 1xVTqk-0006FJ-1X for c@d; ("@example.net`, For: "a@b"}},
		{`by mx (envelope-from <"a\"\\"@b>) id 1`, Hop{By: "mx", ID: "1", EnvelopeFrom: `"a\"\\"@b`}},
		{`by mx (envelope-from <a\>b@c>) id 1`, Hop{By: "mx", ID: "1", EnvelopeFrom: `a\>b@c`}},
		{`by mx (envelope-from <a"b@c>) id 1`, Hop{By: "mx", ID: "1", EnvelopeFrom: `a"b@c`}},
		{`by mx (envelope-from <a) id 1`, Hop{By: "mx", ID: "1", EnvelopeFrom: "a"}},
		{"from x by (by evil id 1) id", Hop{From: "x", By: "(by evil id 1)"}},
		{"(from a by b", Hop{}},
		{"", Hop{}},
	} {
		got := readHop(c.text)
		got.Time = got.Time.UTC()
		if c.want.Time.IsZero() {
			got.Time = time.Time{}
		}
		if got != c.want {
			t.Errorf("%q\n got %+v\nwant %+v", c.text, got, c.want)
		}
	}
}

func TestAnIDAmongManyThatWereCopiedIsFound(t *testing.T) {
	var log []string
	report := ""
	for i := range maxHops - 1 {
		id := "1xVTqk-0000" + string(rune('A'+i/26)) + string(rune('a'+i%26)) + "-1W"
		log = append(log, `12:00:00 `+id+` <= bob@example.net H=(pc) [192.0.2.8] P=esmtpsa A=plain:bob S=268 id=x@pc T="x"`)
		report += "Received: by mx.example.net with esmtpa id " + id + "; Mon, 23 Nov 2026 12:00:00 +0000\n"
	}
	j := judgedBy(t, &ReportOptions{}, report+of("1xVTqk-0006FJ-1W", "Subject: hello\nMessage-ID: <1@pc>"), append(log, login)...)
	if j.Verdict != FromHere || j.Findings[0].Story.ID != "1xVTqk-0006FJ-1W" {
		t.Errorf("%s: %+v", j.Verdict, j.Findings[0])
	}
}
