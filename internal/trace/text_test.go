package trace

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"eximpolicyd/internal/prose"
)

// TestNoLineOfATextIsTooLongOrObeyedByATerminal whatever a user calls himself, his folders, subjects and hosts.
func TestNoLineOfATextIsTooLongOrObeyedByATerminal(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		word := func(name string) string {
			s := rapid.StringN(0, 300, 1000).Draw(rt, name)
			return strings.Map(func(r rune) rune { return map[bool]rune{true: '_', false: r}[r == '\n' || r == '\r' || r == 0] }, s)
		}
		lines := []string{
			fmt.Sprintf("13:00:00 cwd=/%s 3 args: /usr/sbin/sendmail -t %s", word("dir"), word("argument")),
			fmt.Sprintf("13:00:00 1xVTqk-0006FJ-1W <= %s U=u P=local S=359 T=\"%s\" for %s", word("sender"), word("subject"), word("to")),
			fmt.Sprintf("13:00:00 1xVTqk-0006FJ-1W ** %s R=dnslookup T=x H=%s [198.51.100.2]: %s", word("recipient"), word("host"), word("reason")),
		}
		for _, by := range Keys() {
			top, err := CountTop(context.Background(), readerOf(t, lines...), TopOptions{By: by, All: true})
			if err != nil {
				rt.Fatal(err)
			}
			var text strings.Builder
			if err := top.Text(&text); err != nil {
				rt.Fatal(err)
			}
			tame(rt, text.String())
		}
		stories, log, err := Find(context.Background(), readerOf(t, lines...), Query{IDs: []string{"1xVTqk-0006FJ-1W"}})
		if err != nil {
			rt.Fatal(err)
		}
		var text strings.Builder
		if err := (&Found{Stories: stories, Log: log}).Text(&text); err != nil {
			rt.Fatal(err)
		}
		tame(rt, text.String())
	})
}

func tame(t *rapid.T, text string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if utf8.RuneCountInString(line) > prose.Columns || !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u202e' }) {
			t.Fatalf("%q", line)
		}
	}
}
