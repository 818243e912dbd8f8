package trace

import (
	"fmt"
	"io"
	"strings"
	"time"

	"eximpolicyd/internal/prose"
)

// textDeeds are the deeds that a text has; JSON has more.
const textDeeds = 20

// Found is what a log tells of the messages that were asked for.
type Found struct {
	Stories []*Story `json:"stories"`
	Others  *Others  `json:"others,omitempty"` // of the sender of the first
	Log     *Log     `json:"log"`
}

// Text writes it.
func (f *Found) Text(out io.Writer) error {
	w := newPage(out)
	for i, s := range f.Stories {
		if i > 0 {
			w.line("")
		}
		w.story(s)
	}
	if f.Others != nil {
		w.others(f.Others)
	}
	if f.Log.Missing != "" || f.Log.Planted > 0 {
		w.line("")
		w.log(f.Log)
	}
	return w.Flush()
}

func (w *page) story(t *Story) {
	m := t.Message
	if m == nil {
		w.line("%s", t.ID)
		w.hang("    arrival: ", "not in this log, which may begin later")
	} else {
		w.line("%s %s", t.ID, m.Time.Format("2006-01-02 15:04:05 MST"))
		w.message(m)
	}
	for i, d := range t.Deeds {
		if i == textDeeds {
			w.hang("    ", fmt.Sprintf("%d more: --json has %d of them", len(t.Deeds)-i+t.More, len(t.Deeds)-i))
			break
		}
		w.hang("    "+d.Time.Format("15:04:05 "), deedText(&d))
	}
	if t.Delivered+t.Failed+t.Deferred > 1 {
		w.hang("    sum: ", fmt.Sprintf("%d delivered, %d failed, deferred %s", t.Delivered, t.Failed, prose.Many(t.Deferred, "time")))
	}
	for _, b := range t.Bounces {
		w.hang("    bounce: ", b.ID+" at "+b.Time.Format("15:04:05"))
	}
	switch {
	case !t.Ended.IsZero() && m != nil:
		w.hang("    completed: ", "after "+t.Ended.Sub(m.Time).Round(time.Second).String())
	case !t.Ended.IsZero():
		w.hang("    completed: ", t.Ended.Format("2006-01-02 15:04:05"))
	case m != nil && !m.Refused:
		w.hang("    not completed: ", "it was still in the queue at the end of this log")
	}
}

// message tells who sent one.
func (w *page) message(m *Message) {
	w.hang("    from: ", "<"+m.Sender+">")
	w.hang("    by: ", m.by())
	guess := ""
	if m.Guess {
		guess = " (a guess: the next local message after its command line)"
	}
	for _, field := range []struct{ label, text string }{
		{"    uid: ", m.UID}, {"    directory: ", m.Directory + guess}, {"    command: ", m.Arguments}, {"    script: ", m.Script},
		{"    subject: ", m.Subject}, {"    Message-ID: ", m.MessageID}, {"    bounce about: ", m.Reference},
	} {
		if field.text != "" && field.text != guess {
			w.hang(field.label, field.text)
		}
	}
	if m.Size > 0 {
		w.hang("    size: ", prose.Many(m.Size, "octet"))
	}
	if len(m.Recipients) > 0 {
		to := strings.Join(m.Recipients[:min(len(m.Recipients), 5)], " ")
		if m.listed > 5 {
			to += fmt.Sprintf(" and %d more", m.listed-5)
		}
		w.hang("    to: ", to)
	}
}

// by says in words who sent a message.
func (m *Message) by() string {
	from := ""
	if m.Client.IsValid() {
		from = " from [" + m.Client.String() + "]"
		if m.Host != "" {
			from += " " + m.Host
		}
	}
	switch {
	case m.LoggedIn:
		return "account " + m.Account + ", who logged in" + from
	case m.Client.IsLoopback() && m.Account != "":
		return "the local user " + m.Account + ", over SMTP" + from
	case m.Client.IsLoopback():
		return "a program of this machine, over SMTP" + from
	case m.Client.IsValid():
		return "another host," + strings.TrimPrefix(from, " from")
	case m.Account != "":
		return "the local user " + m.Account
	}
	return "a local user"
}

func deedText(d *Deed) string {
	text := d.What
	if d.To != "" {
		text += " " + d.To
	}
	if d.Original != "" {
		text += " <" + d.Original + ">"
	}
	if d.Host != "" {
		text += " at " + d.Host
	}
	if d.Said != "" {
		text += ": " + d.Said
	}
	return text
}

// others tells what else the sender sent.
func (w *page) others(s *Others) {
	w.line("")
	if s.Messages < 2 {
		w.hang("", "nothing else of "+s.Who+" in this log")
		return
	}
	w.hang("", fmt.Sprintf("%d more of %s, %s to %s, %s octets in all", s.Messages-1, s.Who, minute(s.First), minute(s.Last), octets(s.Bytes)))
	for i, list := range [][]*Message{s.Before, s.After} {
		for _, m := range list {
			text := "<" + m.Sender + ">"
			if m.Subject != "" {
				text = m.Subject
			}
			w.hang("    "+[]string{"before ", "after  "}[i], fmt.Sprintf("%s %s %s", m.Time.Format("01-02 15:04:05"), m.ID, text))
		}
	}
}
