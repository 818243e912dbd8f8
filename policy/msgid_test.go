package policy

import (
	"strings"
	"testing"
)

func TestParseMessageID(t *testing.T) {
	for _, c := range []struct {
		name, raw string
		want      msgID
	}{
		{"nothing", "", msgID{fault: "no brackets"}},
		{"an opening bracket", "<", msgID{fault: "no brackets"}},
		{"a closing bracket", ">", msgID{fault: "no brackets"}},
		{"empty brackets", "<>", msgID{fault: "no @"}},
		{"an @ alone", "<@>", msgID{fault: "an empty side"}},
		{"two @ alone", "<@@>", msgID{fault: "several @"}},
		{"a comment alone", "(<1@example.net>)", msgID{fault: "no brackets"}},
		{"a comment inside", "<1@example.net(c)>x(", msgID{left: "1", right: "", fault: "no brackets"}},
		{"an unclosed comment behind", "<1@example.net> (c", msgID{left: "1", fault: "no brackets"}},
		{"a closed comment and an unclosed one behind", "<1@example.net> (c) (d", msgID{left: "1", fault: "no brackets"}},
		{"a comment that ends in a backslash", `(c\) <1@example.net>`, msgID{fault: "no brackets"}},
		{"a bracket in an unclosed comment behind", "<1@example.net>(>", msgID{left: "1", fault: "brackets inside"}},
		{"an @ in an unclosed comment behind", "<1@example.net>(@>", msgID{left: "1", fault: "several @"}},
		{"text between comments", "<1@example.net> (c) x (d)", msgID{left: "1", fault: "no brackets"}},
		{"white space and comments", "\t(a)\r\n (b(c)\\)d) <1@example.net> (e)\r\n (f) ", msgID{left: "1", right: "example.net"}},
		{"an id", "<1@example.net>", msgID{left: "1", right: "example.net"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := parseMessageID(c.raw, len(c.raw), false)
			if got.fault != c.want.fault || got.right != c.want.right || c.want.left != "" && !strings.HasPrefix(got.left, c.want.left) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// around is what may stand around an id and change nothing.
var around = []string{"", " ", "\r\n ", "(c)", " (a (b) \\) > @) ", "\t(\xff)\r\n (<1@example.net>)"}

// FuzzMessageID takes an octet and a place besides the value: an illegal octet put inside the brackets of any id makes
// a fault of it.
func FuzzMessageID(f *testing.F) {
	for _, s := range []string{"", "<>", "<1@example.net>", " (c) <1@example.net> (d)", "<1@[192.0.2.1]>", "<a@b@c>", "<ü@example.net>", "<1@example.net",
		"((((<1@example.net>", "<1@example.net>(>", "<1\x00@example.net>", "x\r\n y"} {
		f.Add(s, uint8(3), uint16(2))
	}
	bound := Bind(Table(), nil, Enforce)
	f.Fuzz(func(t *testing.T, raw string, n uint8, at uint16) {
		for _, utf8 := range []bool{false, true} {
			if id := parseMessageID(raw, len(raw), utf8); id.fault == "" {
				checkID(t, id, utf8)
				checkDamage(t, id, n, at, utf8)
			} else if id.right != "" {
				t.Fatalf("%q has a fault and a domain: %+v", raw, id)
			}
		}
		q := Request{Stage: Data, Client: addr("203.0.113.7"), MessageID: Field{Known(true), Known(1), raw}, MessageIDSize: len(raw),
			Date: Field{Known(true), Known(1), raw}}
		q.Settle()
		facts := Facts{Own: &Own{}, Now: now}
		for _, b := range bound {
			if v := b.Judge(&q, &facts); v.Hit && (!oneLine.MatchString(v.Reason) || len(v.Reason) > 300) {
				t.Fatalf("%s: reason %q", b.Name, v.Reason)
			}
		}
	})
}

// checkID renders an id and reads it again, with white space and comments around.
func checkID(t *testing.T, id msgID, utf8 bool) {
	t.Helper()
	text := "<" + id.left + "@" + id.right + ">"
	for i, before := range around {
		behind := around[len(around)-1-i]
		if len(before+text+behind) > maxMessageID {
			continue
		}
		if again := parseMessageID(before+text+behind, len(before+text+behind), utf8); again != id {
			t.Fatalf("%+v, and with %q and %q around %+v", id, before, behind, again)
		}
	}
	if long := parseMessageID(text, maxMessageID+1, utf8); long.fault == "" || long.right != "" {
		t.Fatalf("999 octets: %+v", long)
	}
	for i := 0; i < len(text); i++ {
		if c := text[i]; c <= ' ' || c == 0x7f || c >= 0x80 && !utf8 {
			t.Fatalf("%q is legal in %+v", c, id)
		}
	}
	if strings.Count(text, "<")+strings.Count(text, ">") != 2 || strings.Count(text, "@") != 1 || id.left == "" || id.right == "" {
		t.Fatalf("%+v is legal", id)
	}
}

func checkDamage(t *testing.T, id msgID, n uint8, at uint16, utf8 bool) {
	t.Helper()
	illegal := n <= ' ' || n == 0x7f || n == '<' || n == '>' || n == '@' || n >= 0x80 && !utf8
	inner := id.left + "@" + id.right
	i := int(at) % (len(inner) + 1)
	text := "<" + inner[:i] + string([]byte{n}) + inner[i:] + ">"
	if len(text) > maxMessageID {
		return
	}
	if got := parseMessageID(text, len(text), utf8); (got.fault != "") != illegal {
		t.Fatalf("%q with %q inside: %+v", inner, n, got)
	}
}
