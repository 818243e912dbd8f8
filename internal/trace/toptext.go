package trace

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"eximpolicyd/internal/prose"
)

// keyRoom is what a row of the table leaves of 80 columns for its key. A longer one stands below.
const keyRoom = 16

// Text writes a table of at most 80 columns, and what there is to know about it.
func (t *Top) Text(out io.Writer) error {
	w := newPage(out)
	if len(t.Rows) > 0 {
		w.line("%8s %7s %7s %7s %6s %-11s %-11s %s", "MESSAGES", "RCPTS", "DOMAINS", "SIZE", "FAILED", "FIRST", "LAST", strings.ToUpper(t.By))
	}
	for _, r := range t.Rows {
		w.row(r)
	}
	if len(t.Rows) > 0 {
		w.line("")
	}
	t.about(w)
	return w.Flush()
}

func (w *page) row(r *Row) {
	domains, day := fmt.Sprint(r.Domains), "01-02 15:04"
	if r.DomainsAbout {
		domains = "~" + domains
	}
	key := Printable(r.Key)
	below := utf8.RuneCountInString(key) > keyRoom
	beside := key
	if below {
		beside = ""
	}
	w.line("%s", strings.TrimRight(fmt.Sprintf("%8d %7d %7s %7s %6s %-11s %-11s %s", r.Messages, r.Recipients, domains, octets(r.Bytes),
		percent(r.Failed, r.Failed+r.Delivered), r.First.Format(day), r.Last.Format(day), beside), " "))
	if below {
		w.hang("    ", key)
	}
	var more []string
	for _, n := range []struct {
		count int
		what  string
	}{{r.Refused, "refused"}, {r.Guessed, "guessed"}, {r.Missed, "more at most"}} {
		if n.count > 0 {
			more = append(more, fmt.Sprintf("%d %s", n.count, n.what))
		}
	}
	if len(more) > 0 {
		w.hang("      ", strings.Join(more, ", "))
	}
	w.hang("        ", strings.Join(r.Examples, " "))
}

// about tells what was counted, and what the log does not tell.
func (t *Top) about(w *page) {
	if t.Log.First.IsZero() {
		w.line("the log has no entry of that time")
		return
	}
	text := prose.Many(t.Messages, "message")
	if t.Different > 0 {
		of := " of "
		if t.About {
			of = " of about "
		}
		text += of + prose.Many(t.Different, t.By)
	}
	w.hang("", fmt.Sprintf("%s, %s to %s", text, minute(t.Log.First), minute(t.Log.Last)))
	if t.Refused > 0 {
		w.hang("", prose.Many(t.Refused, "message")+" more that Exim did not take")
	}
	if t.Without > 0 {
		w.hang("", fmt.Sprintf("of %s the log does not tell the %s", prose.Many(t.Without, "message"), t.By))
	}
	if t.Outside > 0 {
		w.hang("", prose.Many(t.Outside, "message")+" of other hosts: --all counts them too")
	}
	if t.LetGo > 0 {
		w.hang("", fmt.Sprintf("too many to keep all: those with few messages were let go %s; a row says what it may lack", prose.Many(t.LetGo, "time")))
	}
	if t.Unfollowed > 0 {
		w.hang("", "the deliveries of "+prose.Many(t.Unfollowed, "message")+" were not followed to the end: too many were on their way")
	}
	w.log(&t.Log)
}

// log tells what there is to know of a log: who tampers with it, and what would tell more, with the line that makes Exim write it.
func (w *page) log(l *Log) {
	if l.Planted > 0 {
		w.hang("", fmt.Sprintf("%s of this log stood in the name of a directory and did not count: a local user has tried to write it", prose.Many(l.Planted, "line")))
	}
	if l.Missing != "" {
		w.hang("", "this log lacks "+l.Missing+", which would tell more; in Exim's configuration (on Debian as MAIN_LOG_SELECTOR in exim4.conf.localmacros), with what it has there already:")
		w.line("    log_selector = %s", l.Missing)
	}
}
