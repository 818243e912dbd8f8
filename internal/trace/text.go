package trace

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"eximpolicyd/internal/prose"
)

// page is a text that is being written, in lines of at most 80 columns, with nothing in it that a terminal obeys.
type page struct{ *bufio.Writer }

func newPage(out io.Writer) *page { return &page{bufio.NewWriter(out)} }

func (w *page) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

// hang writes a text behind a label, all lines but the first indented as far.
func (w *page) hang(label, text string) { prose.Hang(w, label, Printable(text)) }

// Printable makes one line of a text that somebody chose: what is not printable, to a terminal or to the eye, is escaped as Go
// does, and a long text is cut.
func Printable(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		}
	}
	return b.String()
}

func minute(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format("2006-01-02 15:04")
}

// octets writes a size in at most 7 columns.
func octets(n int64) string {
	switch {
	case n < 10_000:
		return strconv.FormatInt(n, 10)
	case n < 10_000_000:
		return fmt.Sprintf("%d kB", n/1000)
	case n < 10_000_000_000:
		return fmt.Sprintf("%d MB", n/1_000_000)
	}
	return fmt.Sprintf("%d GB", n/1_000_000_000)
}

// percent writes a share, empty if there is nothing to share.
func percent(part, all int) string {
	if all == 0 {
		return "-"
	}
	return strconv.FormatFloat(100*float64(part)/float64(all), 'f', 1, 64) + "%"
}
