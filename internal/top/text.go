package top

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"eximpolicyd/internal/control"
)

// plain makes what may be a client's word printable ASCII on one line.
func plain(s string) string {
	q := strconv.QuoteToASCII(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

// fit makes a text printable ASCII in at most so many columns; what is cut ends in ~.
func fit(s string, columns int) string {
	if columns <= 0 {
		return ""
	}
	cut := len(s) > 4*columns // no octet is shown in less than a column, and none of a long text is looked at in vain
	if cut {
		s = s[:4*columns]
	}
	p := plain(s)
	if len(p) > columns || cut {
		return p[:min(len(p), columns-1)] + "~"
	}
	return p
}

// look is how a text is shown where there are colours.
type look string

const (
	bad   look = "31"
	good  look = "32"
	faint look = "2"
	bold  look = "1"
)

// cell is a column of a line.
type cell struct {
	text  string
	width int // 0: what is left; less: its text stands at the right
	look  look
}

// row is a line that is not written yet.
type row []cell

// fewest columns a text is cut to.
const fewest = 4

// line writes cells side by side as far as there is room. All that is shown goes through here.
func (p *page) line(cells ...cell) string {
	var b strings.Builder
	used, blank := 0, 0
	for _, c := range cells {
		room := p.width - used - blank
		width := min(max(c.width, -c.width), room)
		if c.width == 0 {
			width = room
		}
		if width < -c.width || width < min(fewest, len(c.text)) { // half a number would be another one
			break
		}
		text := fit(c.text, width)
		pad := width - len(text)
		if c.width < 0 {
			blank, pad = blank+pad, 0
		}
		if text != "" {
			b.WriteString(strings.Repeat(" ", blank) + p.paint(c.look, text))
			used, blank = used+blank+len(text), 0
		}
		blank += pad + 2
	}
	return b.String()
}

// paint colours a text that is printable already.
func (p *page) paint(l look, text string) string {
	if l == "" || !p.colour {
		return text
	}
	return "\x1b[" + string(l) + "m" + text + "\x1b[0m"
}

// rate writes how often something is in a second.
func rate(f float64) string {
	switch {
	case f <= 0:
		return "0"
	case f < 100:
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return strconv.FormatFloat(f, 'f', 0, 64)
}

// count writes a number.
func count(f float64) string { return strconv.FormatFloat(f, 'f', 0, 64) }

// ago writes how long ago something was, in at most 5 columns.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return control.Span(now.Sub(t))
}

// shown writes one address as that.
func shown(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}
