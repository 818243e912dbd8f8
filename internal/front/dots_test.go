package front

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// endings are what could stand where a message ends, with what is to be made of each.
func endings() []struct {
	name, end string
	want      verdict
} {
	return []struct {
		name, end string
		want      verdict
	}{
		{"LF dot LF", "\n.\n", smuggled},
		{"LF dot CR LF", "\n.\r\n", smuggled},
		{"LF dot CR", "\n.\rx", smuggled},
		{"CR dot CR", "\r.\rx", smuggled},
		{"CR dot LF", "\r.\n", smuggled},
		{"CR dot CR LF", "\r.\r\n", smuggled},
		{"CR LF dot LF", "\r\n.\n", smuggled},
		{"CR LF dot CR", "\r\n.\rx", smuggled},
		{"CR LF dot CR CR LF", "\r\n.\r\r\n", smuggled},
		{"CR CR LF dot CR LF", "\r\r\n.\r\n", smuggled},
		{"CR CR CR LF dot CR LF", "\r\r\r\n.\r\n", smuggled},
		{"LF LF dot CR LF", "\n\n.\r\n", smuggled},
		{"CR LF LF dot LF", "\r\n\n.\n", smuggled},
		{"LF CR dot LF CR", "\n\r.\n\r", smuggled},
		{"CR LF NUL dot CR LF", "\r\n\x00.\r\n", smuggled},
		{"CR LF dot NUL CR LF", "\r\n.\x00\r\n", smuggled},
		{"LF NUL dot NUL LF", "\n\x00.\x00\n", smuggled},
		{"CR LF dot CR LF", "\r\n.\r\n", ended},
		{"an empty line, and the end", "\r\n\r\n.\r\n", ended},
		{"a bare CR in the line before", "a\rb\r\n.\r\n", ended},
		{"a bare LF two lines before", "a\nb\r\n.\r\n", ended},
		{"two dots", "\r\n..\r\n", within},
		{"two dots with bare LF", "\n..\n", within},
		{"a dot and a blank", "\r\n. \r\n", within},
		{"a dot behind a letter", "\r\na.\r\n", within},
		{"NUL alone", "\r\n\x00\r\n", within},
		{"bare CR and LF in text", "a\rb\nc\r\r\nd\r\n", within},
	}
}

func TestOnlyOneFormEndsAMessageAndWhatOthersMayTakeForItIsRefused(t *testing.T) {
	for _, e := range endings() {
		t.Run(e.name, func(t *testing.T) {
			var d dots
			text := []byte("text" + e.end)
			n, v := d.scan(text)
			if v != e.want {
				t.Errorf("%q: %v, want %v", text, v, e.want)
			}
			if v != within && v != smuggled && n != len(text) {
				t.Errorf("%q ends after %d octets", text, n)
			}
		})
	}
}

func TestTheFirstLineMayBeTheDot(t *testing.T) {
	var d dots
	if n, v := d.scan([]byte(".\r\nQUIT")); v != ended || n != 3 {
		t.Errorf("%d %v", n, v)
	}
	d = dots{}
	if _, v := d.scan([]byte(".\nQUIT")); v != smuggled {
		t.Error(v)
	}
}

// lone is a line that is but a dot, for somebody: after the beginning or an end of a line of any kind, before one.
var lone = regexp.MustCompile(`(^|\r\n|\r|\n)\x00*\.\x00*(\r\n|\n|\r[^\n])`)

// endOf is what dots must find, by looking at the whole.
func endOf(text []byte) (n int, v verdict) {
	for from := 0; from <= len(text); from++ {
		at := lone.FindSubmatchIndex(text[from:])
		if at == nil {
			return len(text), within
		}
		start, end := from+at[0], from+at[1]
		if behind := text[from+at[4] : end]; len(behind) > 2 { // a CR and a whole rune
			end -= len(behind) - 2
		}
		if at[0] == 0 && from > 0 && at[2] == at[3] { // the beginning of the rest is not that of the message
			continue
		}
		match := text[start:end]
		switch exact := bytes.Equal(match, []byte("\r\n.\r\n")) && (start == 0 || text[start-1] != '\r'); {
		case exact, start == 0 && bytes.Equal(match, []byte(".\r\n")):
			return end, ended
		}
		return end, smuggled
	}
	return len(text), within
}

func FuzzDots(f *testing.F) {
	for _, e := range endings() {
		f.Add([]byte("a"+e.end+"b"), uint8(3))
		f.Add([]byte(e.end), uint8(1))
	}
	f.Fuzz(func(t *testing.T, text []byte, step uint8) {
		wantN, want := endOf(text)
		var d dots
		n, v := 0, within
		for n < len(text) && v == within {
			var m int
			m, v = d.scan(text[n:min(len(text), n+1+int(step))])
			n += m
		}
		if n != wantN || v != want {
			t.Errorf("%q: %v after %d, want %v after %d", text, v, n, want, wantN)
		}
	})
}

// What the guard lets through has to end for go-smtp where it ends for the guard, or what follows is read by both in
// different modes. So after every message of a few octets of the dangerous alphabet, the dialogue goes on, or is over.
func TestGoSMTPFindsTheSameEndAsTheGuard(t *testing.T) {
	p := play(t, nil)
	alphabet := []string{"\r", "\n", ".", "a", "\r\n"}
	const long = 5
	total := 1
	for range long {
		total *= len(alphabet)
	}
	refused, taken := 0, 0
	var c *client
	for i := range total {
		var text strings.Builder
		for n, k := 0, i; n < long; n, k = n+1, k/len(alphabet) {
			text.WriteString(alphabet[k%len(alphabet)])
		}
		whole := text.String() + "\r\n.\r\n"
		end, v := endOf([]byte(whole))
		if v == ended && end < len(whole) {
			continue // a shorter message, with commands behind it
		}
		if c == nil {
			c = p.dial()
			c.say("", "220", "EHLO client.example", "250")
		}
		c.say("MAIL FROM:<a@example.org>", "250", "RCPT TO:<alice@example.com>", "250", "DATA", "354")
		c.raw(whole)
		if v == ended {
			c.say("", "250", fmt.Sprintf("XX%02d", i%100), "500 5.5.2", "RSET", "250")
			taken++
			if taken%3 == 0 { // go-smtp ends a dialogue of four bad commands
				c.say("QUIT", "221")
				c.conn.Close()
				c = nil
			}
			continue
		}
		c.say("", "550 5.5.2", "NOOP", "")
		c.conn.Close() // it would be waited for
		refused++
		c = nil
	}
	if refused == 0 || taken == 0 {
		t.Fatalf("%d refused, %d taken", refused, taken)
	}
	t.Logf("FIGURE of %d messages of 5 dangerous octets and an end, %d were refused and cut off, %d ended for go-smtp where they end", refused+taken, refused, taken)
}
