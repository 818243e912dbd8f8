package origin

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var made = time.Date(2026, 11, 25, 19, 12, 31, 0, time.UTC)

// aMail is one of a web script.
func aMail() *Mail {
	uid := uint32(65534)
	return &Mail{Time: made, Host: "mx.example.org", Queue: "1xVTqk-0006FJ-1W", Source: "sendmail",
		Account: "nobody", UID: &uid, Dir: "/home/site/public_html", Program: "/usr/bin/php8.2",
		MessageID: " <1@example.org>\n", Date: " Wed, 25 Nov 2026\n 19:12:31 +0000\n", From: " Shop <shop@example.org>\n"}
}

// opened are stamps with a key of their own.
func opened(t testing.TB) *Stamps {
	t.Helper()
	s := &Stamps{}
	if err := s.Open(filepath.Join(t.TempDir(), "keys"), made); err != nil {
		t.Fatal(err)
	}
	return s
}

// parse reads a field that must be one.
func parse(t testing.TB, field string) *Stamp {
	t.Helper()
	s, err := ParseStamp(field)
	if err != nil {
		t.Fatalf("%v: %q", err, field)
	}
	return &s
}

func TestAStampIsToldByTheHostThatMadeIt(t *testing.T) {
	s := opened(t)
	field := s.Stamp(aMail())
	stamp := parse(t, field)
	got := s.Tell(stamp)
	if !got.Known || !got.Sealed || got.Account != "nobody" || *got.UID != 65534 || got.Dir != "/home/site/public_html" || got.Program != "/usr/bin/php8.2" {
		t.Errorf("%+v", got)
	}
	if stamp.Host != "mx.example.org" || stamp.Queue != "1xVTqk-0006FJ-1W" || stamp.Source != "sendmail" || !stamp.Time.Equal(made) {
		t.Errorf("%+v", stamp)
	}
	if again := parse(t, strings.ReplaceAll(strings.TrimPrefix(field, FieldName+":"), "\n ", "\r\n\t  ")); !s.Tell(again).Sealed {
		t.Error("folded in another way it is not ours")
	}
	for _, clear := range []string{"nobody", "65534", "/home", "site", "php", "shop"} {
		if strings.Contains(field, clear) {
			t.Errorf("the world reads %q in %s", clear, field)
		}
	}
	t.Logf("FIGURE stamp: %d octets with its name", len(field))
}

// However long and odd what it is made of, a line has at most 78 columns and the field 998 octets; no octet of it is another's.
func TestAStampIsAHeaderFieldWhateverItIsMadeOf(t *testing.T) {
	s := opened(t)
	for _, text := range []string{strings.Repeat("x", 4096), "a\nBcc: victim@example.com", "\x00\xff\r\n\r\n", " ", "b=forged v=1", "é", strings.Repeat("é", 2000)} {
		m := aMail()
		m.Account, m.Dir, m.Program, m.Host, m.Queue, m.Source, m.MessageID, m.From = text, text, text, text, text, text, text, text
		field := s.Stamp(m)
		for line := range strings.SplitSeq(field, "\n") {
			if len(line) > 78 || !strings.HasPrefix(line, FieldName+": v=1 ") && !strings.HasPrefix(line, " ") {
				t.Errorf("%.20q makes a line %q", text, line)
			}
		}
		stamp := parse(t, field)
		if got := s.Tell(stamp); !got.Sealed || len(field) > 998 || got.Dir != "" && got.Dir != escape(text) || got.Dir == "" && len(text) <= maxText {
			t.Errorf("%.20q: %+v", text, got)
		}
		if !stamp.Fits(m.MessageID, m.Date, m.From) {
			t.Errorf("%.20q: a stamp does not fit its own message", text)
		}
	}
	long := aMail()
	long.Host = strings.Repeat("h", 255)
	if field := s.Stamp(long); len(field) > 700 {
		t.Errorf("%d octets", len(field))
	}
}

func TestAForgedStampIsNot(t *testing.T) {
	s, other := opened(t), opened(t)
	field := s.Stamp(aMail())
	if got := other.Tell(parse(t, field)); got != (Told{}) {
		t.Errorf("another host's: %+v", got)
	}
	words := strings.Fields(strings.TrimPrefix(field, FieldName+":"))
	sealed := 0
	try := func(name string, words []string) {
		stamp, err := ParseStamp(strings.Join(words, " "))
		if err != nil {
			return
		}
		if got := s.Tell(&stamp); got.Sealed || got.Account != "" {
			t.Errorf("%s: %+v", name, got)
		}
		sealed++
	}
	for i, w := range words {
		for at := 2; at < len(w); at++ {
			forged := append([]string{}, words...)
			c := byte('x')
			if w[at] == c {
				c = 'y'
			}
			forged[i] = w[:at] + string(c) + w[at+1:]
			try("octet "+fmt.Sprint(at)+" of "+w, forged)
		}
		try("without "+w, append(append([]string{}, words[:i]...), words[i+1:]...))
	}
	try("a word more", append([]string{"v=1", "z=1"}, words[1:]...))
	swapped := append([]string{}, words...)
	swapped[6], swapped[7] = "a="+swapped[7][2:], "d="+swapped[6][2:]
	try("account and directory changed", swapped)
	if sealed < 100 {
		t.Errorf("only %d forgeries could be read", sealed)
	}
}

func TestWhatIsNoStampIsNone(t *testing.T) {
	good := opened(t).Stamp(aMail())
	for name, field := range map[string]string{
		"nothing": "", "only the name": FieldName + ":", "another field": "X-Eximpolicyd: " + good[len(FieldName)+1:],
		"another version": strings.Replace(good, "v=1", "v=2", 1), "no seal": good[:strings.Index(good, "b=")],
		"a seal before the end": strings.Replace(good, "t=", "b=AAAA t=", 1), "a word twice": strings.Replace(good, " k=", " t=1 k=", 1),
		"an octet that no stamp has": strings.Replace(good, "h=mx", "h=m\x1b", 1), "a time before all time": strings.Replace(good, "t=1", "t=-1", 1),
		"a time without end": strings.Replace(good, "t=", "t=99999999999999999999", 1), "no time": strings.Replace(good, " t=1795633951", "", 1),
		"no key": strings.Replace(good, " k=", " y=", 1), "too much": good + strings.Repeat(" ", 1000), "a long word": strings.Replace(good, "h=", "h="+strings.Repeat("h", 256), 1),
		"seventeen words": "v=1 t=1 k=1 c=1 e=1 g=1 i=1 j=1 l=1 n=1 o=1 r=1 u=1 w=1 x=1 y=1 b=1",
	} {
		if s, err := ParseStamp(field); err == nil {
			t.Errorf("%s: %+v", name, s)
		} else if strings.ContainsAny(err.Error(), "\x1b\n") {
			t.Errorf("%s: %q", name, err)
		}
	}
}

func TestAStampOfAnotherMessageDoesNotFit(t *testing.T) {
	s := opened(t)
	m := aMail()
	stamp := parse(t, s.Stamp(m))
	for _, c := range []struct {
		name           string
		id, date, from string
		fits           bool
	}{
		{"another Message-ID", "<2@example.org>", m.Date, m.From, false},
		{"another date", m.MessageID, "Thu, 26 Nov 2026 19:12:31 +0000", m.From, false},
		{"another author", m.MessageID, m.Date, "Bank <bank@example.net>", false},
		{"no author", m.MessageID, m.Date, "", false},
		{"fields that have changed places", m.Date, m.MessageID, m.From, false},
		{"a header that is folded elsewhere", "<1@example.org>", "Wed, 25 Nov\r\n\t2026 19:12:31  +0000", " Shop\n <shop@example.org>", true},
	} {
		if stamp.Fits(c.id, c.date, c.from) != c.fits {
			t.Errorf("%s: fits is %v", c.name, !c.fits)
		}
	}
	// A Message-ID that a server on the way has made is none that could be bound.
	m.MessageID = ""
	if stamp := parse(t, s.Stamp(m)); !stamp.Fits("<made@relay.example.net>", m.Date, m.From) || stamp.Fits("", m.Date, "x") || stamp.Bound != "df" {
		t.Errorf("%+v", stamp)
	}
	m.Date, m.From = " ", "\n"
	if stamp := parse(t, s.Stamp(m)); stamp.Bound != "" || stamp.Digest != "" || !stamp.Fits("a", "b", "c") {
		t.Errorf("%+v", stamp)
	}
}

func TestEqualDirectoriesHaveEqualTokensAndNothingElseHas(t *testing.T) {
	s := opened(t)
	one := parse(t, s.Stamp(aMail()))
	m := aMail()
	m.Account, m.Queue, m.MessageID = "anna", "1xVTqk-0006FJ-2X", "<3@example.org>"
	two := parse(t, s.Stamp(m))
	if one.Dir != two.Dir || one.Account == two.Account || one.Program != two.Program {
		t.Errorf("%+v\n%+v", one, two)
	}
	m.Account, m.Program = m.Dir, m.Dir
	same := parse(t, s.Stamp(m))
	if same.Dir != one.Dir || same.Account == same.Dir || same.Program == same.Dir || same.Account == same.Program {
		t.Errorf("an account called like a directory has its token: %+v", same)
	}
	if other := parse(t, opened(t).Stamp(aMail())); other.Dir == one.Dir || other.Account == one.Account {
		t.Error("tokens of another host are the same")
	}
}

// FuzzStamp holds that what can be read is written as it was, and that nothing is ours but what we made.
func FuzzStamp(f *testing.F) {
	s := opened(f)
	good := s.Stamp(aMail())
	f.Add(good)
	f.Add("v=1 t=0 k=0 b=0")
	f.Add("X-Eximpolicyd-Origin: v=1\n t=1 q=a:b k=_ x=y b=-")
	a := strings.Repeat("a", maxWord)
	f.Add("v=1 t=0 k=" + a + " h=" + a + " q=" + a + " s=" + a[:maxStamp-3*maxWord-len("v=1 t=0 k= h= q= s= b=x")] + " b=x")
	f.Fuzz(func(t *testing.T, field string) {
		stamp, err := ParseStamp(field)
		if err != nil {
			return
		}
		text := stamp.Field()
		if len(text) > len(FieldName+":")+maxStamp { // its folds are more blanks than the field was read with
			text = stamp.signed + " b=" + stamp.seal
		}
		again := parse(t, text)
		if *again != stamp {
			t.Fatalf("%q is %+v, and written again %+v", field, stamp, again)
		}
		told := s.Tell(&stamp)
		if sealed := stamp.Field() == good; told.Sealed != sealed {
			t.Fatalf("%q is sealed: %v", field, told.Sealed)
		}
	})
}
