package trace

import (
	"fmt"
	"io"
	"strings"

	"eximpolicyd/internal/prose"
)

// Judged is what was found of each message of a report.
type Judged struct {
	Verdict  Verdict    `json:"verdict"` // of the first that the log confirms, else of the first
	Findings []*Finding `json:"findings"`
	Log      *Log       `json:"log"`
}

// Text writes it, for a report of that name.
func (j *Judged) Text(out io.Writer, name string) error {
	w := newPage(out)
	for i, f := range j.Findings {
		if i > 0 {
			w.line("")
		}
		w.finding(name, f, j.Log)
	}
	if !j.Verdict.Confirmed() {
		w.line("")
		w.hang("", fmt.Sprintf("looked for in %s, %s to %s", prose.Many(j.Log.Lines, "line"), minute(j.Log.First), minute(j.Log.Last)))
	}
	if j.Log.Missing != "" || j.Log.Planted > 0 {
		w.line("")
		w.log(j.Log)
	}
	return w.Flush()
}

func (w *page) finding(name string, f *Finding, log *Log) {
	m := f.Mail
	w.hang("", name+", "+m.How+": "+string(f.Verdict))
	for _, part := range []struct{ label, text string }{{"    from: ", m.From}, {`    subject: `, m.Subject}} {
		if part.text != "" {
			w.hang(part.label, part.text)
		}
	}
	if len(f.Fits) > 0 {
		label := "    confirmed by: "
		if !f.Verdict.Confirmed() {
			label = "    fits: "
		}
		w.hang(label, strings.Join(f.Fits, ", "))
	}
	for _, d := range f.Differs {
		w.hang("    differs: ", d)
	}
	if o := f.Origin; o != nil {
		w.hang("    signed origin: ", strings.TrimSpace(strings.Join([]string{o.ID, o.Account, o.Directory, o.Program}, " ")))
	}
	switch f.Verdict {
	case FromHere, Through:
		if f.Story != nil {
			w.line("")
			w.story(f.Story)
		}
		if f.Others != nil {
			w.others(f.Others)
		}
	case Undecided:
		w.hang("    so: ", "an id can be copied from any mail of this host, and so can all that stands beside it")
	case Unknown:
		w.way(m)
		if f.Early {
			w.hang("    but: ", "this log begins at "+minute(log.First)+", after that message: read older ones, too")
		}
	case NotOurs:
		w.way(m)
	}
}

// way tells the way that a message says it took, the first host first.
func (w *page) way(m *Mail) {
	const most = 5
	for i := len(m.Hops) - 1; i >= max(0, len(m.Hops)-most); i-- {
		h := &m.Hops[i]
		text := h.By
		if h.From != "" {
			text = h.From + " to " + h.By
		}
		if h.ID != "" {
			text += ", id " + h.ID
		}
		w.hang("    says: ", text)
	}
	if n := len(m.Hops) - most; n > 0 {
		w.hang("    says: ", prose.Many(n, "more host"))
	}
}
