package origin

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestStampsAreFoundWhereAMessageHasThem(t *testing.T) {
	const head = "From shop@example.org Wed Nov 25 19:12:31 2026\nReceived: by mx.example.org\n\tid 1\nX-Eximpolicyd-Origin: v=1 t=1\n k=1 b=1\n" +
		"Message-ID: <1@example.org>\nDate: today\nFrom: shop@example.org\n"
	one := Carried{" v=1 t=1 k=1 b=1", " <1@example.org>", " today", " shop@example.org"}
	const dated = "Date: then\n"
	for _, c := range []struct {
		name, text string
		want       []Carried
	}{
		{"nothing", "", nil},
		{"a message without one", "From: a\nSubject: X-Eximpolicyd-Origin: v=1\n\nX-Eximpolicyd-Origin is a field\n", nil},
		{"a name with a blank, which Exim does not strip", "X-Eximpolicyd-Origin : v=1 t=1 k=1 b=1\n\n", nil},
		{"a message", head + "\nFrom: no field\n", []Carried{one}},
		{"a message with CRLF", strings.ReplaceAll(head, "\n", "\r\n") + "\r\n", []Carried{one}},
		{"a bare header whose last line has no end", strings.TrimSuffix(head, "\n"), []Carried{one}},
		{"a report with the message inside", "From: fbl@example.net\nDate: later\n\ntext\n\n--b\nContent-Type: message/rfc822\n\n" + head + "\ntext\n--b--\n", []Carried{one}},
		{"two of one message, the date of which is doubtful", "X-Eximpolicyd-Origin: 1\n" + dated + dated + "x-eximpolicyd-origin: 2\n\n",
			[]Carried{{" 1", "", "", ""}, {" 2", "", "", ""}}},
		{"of two messages each has its own", "X-Eximpolicyd-Origin: 1\nDate: a\n\nDate: b\nX-Eximpolicyd-Origin: 2\n", []Carried{{" 1", "", " a", ""}, {" 2", "", " b", ""}}},
	} {
		got, err := FindStamps(strings.NewReader(c.text))
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", c.name, err, diff)
		}
	}
}

func TestATextThatIsMadeToCostCostsLittle(t *testing.T) {
	many := strings.Repeat("X-Eximpolicyd-Origin: v=1\n\n", 1000)
	if got, err := FindStamps(strings.NewReader(many)); len(got) != maxFields || err != nil {
		t.Errorf("%d %v", len(got), err)
	}
	folded := "X-Eximpolicyd-Origin: v=1\n" + strings.Repeat(" x\n", 1<<20)
	got, err := FindStamps(strings.NewReader(folded))
	if len(got) != 1 || len(got[0].Field) > 2*maxLine || err != nil {
		t.Errorf("%d %v", len(got), err)
	}
	line := "From: " + strings.Repeat("x", 10<<20) + "\nX-Eximpolicyd-Origin: 1\n"
	if got, err := FindStamps(strings.NewReader(line)); len(got) != 1 || len(got[0].From) > maxLine || err != nil {
		t.Errorf("%d %v", len(got), err)
	}
	if _, err := FindStamps(iotest.ErrReader(errors.New("the disk fails"))); err == nil {
		t.Error("a disk that fails is not told of")
	}
}
