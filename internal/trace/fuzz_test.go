package trace

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"mime"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"eximpolicyd/internal/prose"
)

// FuzzReport holds that any octets are a report within bounds or none, the same each time, and that a message of the log that is
// put into a report, in whatever form, is found again as that message.
func FuzzReport(f *testing.F) {
	f.Add([]byte("From x\nReceived: from a by b id 1xVTqk-0006FJ-1W; Mon, 23 Nov 2026 13:00:00 +0000\n\nx"), "cheap pills", "www@example.net", "a@one.example", uint8(0))
	f.Add([]byte("Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: message/rfc822\n\nMessage-ID: <a@b>\n\n--x--"), `"q" \ ü`, "a+b@example.net", "b@two.example", uint8(1))
	f.Add([]byte("Content-Type: text/html\n\n<pre>Received: a<br>Message-ID: &lt;x@y>"), "x\nSubject: y", "", "c@d", uint8(2))
	f.Add([]byte("> Received: (((\\)\n> by\n>\n| Message-ID: <x"), strings.Repeat("long ü", 30), "x@y", "c@d", uint8(3))
	f.Add([]byte("x"), "x", "\"\xb8a>  \\\"b\"@example.net", "c@d", uint8(0))
	f.Add([]byte("x"), "x", "\" <= a@b U=c \"@example.net", "c@d", uint8(4))
	f.Fuzz(func(t *testing.T, text []byte, subject, sender, to string, form uint8) {
		bounded(t, text)
		if !utf8.ValidString(subject) || len(subject) > 300 || sender != "" && !address(sender) && !quoted(sender) || !address(to) {
			return
		}
		log := fmt.Sprintf("13:00:00 1xVTqk-0006FJ-1W <= %s U=www-data P=local S=359 T=\"%s\" for %s", cmp.Or(sender, "<>"), logged(subject), to)
		q := newReport(t, spamOf(subject, sender, to), form)
		stories, found, err := Find(context.Background(), readerOf(t, log), q.Query(&ReportOptions{}))
		if err != nil {
			t.Fatal(err)
		}
		j := q.Judge(&ReportOptions{}, stories, found)
		if c := j.Confirmed(); j.Verdict != FromHere || c.Story.ID != "1xVTqk-0006FJ-1W" || len(c.Differs) > 0 {
			t.Fatalf("form %d of %q from %q to %q: %s %+v\nin the log %s", form%forms, subject, sender, to, j.Verdict, j.Findings[0], log)
		}
	})
}

// bounded reads a report and holds what is promised of any.
func bounded(t *testing.T, text []byte) {
	r, err := ReadReport(bytes.NewReader(text))
	again, errAgain := ReadReport(bytes.NewReader(text))
	if fmt.Sprint(err) != fmt.Sprint(errAgain) || !reflect.DeepEqual(r, again) {
		t.Fatalf("%q is one report and then another", text)
	}
	if err != nil {
		return
	}
	if len(r.Mails) > maxMails {
		t.Fatalf("%d mails", len(r.Mails))
	}
	for _, m := range r.Mails {
		size := len(m.MessageID) + len(m.Subject) + len(m.From) + len(m.ReturnPath) + len(m.Script)
		for _, h := range m.Hops {
			size += len(h.From) + len(h.By) + len(h.With) + len(h.ID) + len(h.EnvelopeFrom) + len(h.For)
		}
		if size > maxText*(5+6*len(m.Hops)) || len(m.Hops) > maxHops || len(m.To) > maxNamed || len(m.Origin) > maxOrigin {
			t.Fatalf("%+v is too much", m)
		}
	}
	var out strings.Builder
	if err := r.Judge(&ReportOptions{}, nil, &Log{}).Text(&out, "report.eml"); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if line = strings.TrimSuffix(line, "\n"); utf8.RuneCountInString(line) > prose.Columns || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Fatalf("a line that is too long or not printable: %q", line)
		}
	}
}

// spamOf is a message as Exim sent it out.
func spamOf(subject, sender, to string) string {
	return fmt.Sprintf("Received: from www-data by mx.example.net with local (Exim 4.98)\n\t(envelope-from <%s>)\n\tid 1xVTqk-0006FJ-1W\n\tfor %s;\n\tMon, 23 Nov 2026 14:00:01 +0100\n"+
		"To: x\nSubject: %s\nMessage-Id: <E1xVTqk-0006FJ-1W@mx.example.net>\n\nbuy\n", sender, to, mime.QEncoding.Encode("utf-8", subject))
}

const forms = 5

// newReport puts spam into a report of one of several forms.
func newReport(t *testing.T, spam string, form uint8) *Report {
	const front = "From: abuse@victim.example\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"=_x\"\n\n--=_x\nContent-Type: text/plain\n\nsee below\n--=_x\n"
	text := spam
	switch form % forms {
	case 1:
		text = front + "Content-Type: message/rfc822\n\n" + spam + "\n--=_x--\n"
	case 2:
		text = front + "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString([]byte(spam)) + "\n--=_x--\n"
	case 3:
		text = "From: abuse@victim.example\n\nHello,\n\n> " + strings.ReplaceAll(spam, "\n", "\n> ")
	case 4:
		header, _, _ := strings.Cut(spam, "\n\n")
		text = front + "Content-Type: text/rfc822-headers\n\n" + header + "\n--=_x--\n"
	}
	r, err := ReadReport(strings.NewReader(strings.ReplaceAll(text, "\n", "\r\n")))
	if err != nil {
		t.Fatalf("form %d: %v of %q", form%forms, err, text)
	}
	return r
}

// logged is a subject as Exim logs it: at most 100 octets, quotes and what is not printable escaped.
func logged(s string) string {
	var b strings.Builder
	for _, c := range []byte(s[:min(len(s), maxLogged)]) {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, "\\%03o", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// address reports whether a text is a plain address, as Exim takes it without quotes.
func address(s string) bool {
	local, domain, ok := strings.Cut(s, "@")
	for _, c := range []byte(local + domain) {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && strings.IndexByte("-_.+", c) < 0 {
			return false
		}
	}
	return ok && local != "" && domain != "" && len(s) < 200
}

var quotedPart = regexp.MustCompile(`^"(?:[^"\\[:cntrl:]]|\\[^[:cntrl:]])*"$`)

// quoted reports whether a text is an address whose local part is in quotes.
func quoted(s string) bool {
	at := strings.LastIndexByte(s, '@')
	return at > 0 && quotedPart.MatchString(s[:at]) && address("a"+s[at:])
}

func TestTheTimeOfAnIDIsThatOfItsMessage(t *testing.T) {
	if got := TimeOfID("1xVTqk-0006FJ-1W"); !got.Equal(time.Date(2026, 11, 23, 13, 12, 50, 0, time.UTC)) {
		t.Error(got)
	}
	for _, s := range []string{"", "1xVTqk-0006FJ-1", "1xVTqk_0006FJ-1W", "1xVTqk-0006FJ-1Wx", "1xVT\xc3\xbck-0006F-1W"} {
		if IsID(s) || !TimeOfID(s).IsZero() {
			t.Errorf("%q is an id", s)
		}
	}
	if !IsID("1xVUmm-000000006FZ-000q") {
		t.Error("an id of Exim 4.97 is none")
	}
}
