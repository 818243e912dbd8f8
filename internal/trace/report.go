package trace

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"strings"

	"github.com/emersion/go-message"
)

// Report is a complaint about spam, or the spam itself.
type Report struct {
	Mails []*Mail `json:"mails"` // the innermost first; the file itself last
	ARF   bool    `json:"arf"`   // a machine wrote it (RFC 5965)
}

// Bounds of a report.
const (
	MaxReport = 10 << 20
	maxDepth  = 10
	maxParts  = 1000
	maxMails  = 16
	maxPasted = 1 << 20 // octets of text that are looked through for a header that somebody pasted
)

// What is wrong with a report.
var (
	ErrLongReport = errors.New("a report has at most 10 MB")
	ErrNoHeader   = errors.New("no header of a mail: neither Received nor Message-ID")
)

// ReadReport reads a report: the spam as it came, a mail with the spam attached (message/rfc822), an ARF report, which may have
// its header alone (text/rfc822-headers), or a mail into whose text the header was pasted. Whatever else it is: within bounds.
func ReadReport(r io.Reader) (*Report, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxReport+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > MaxReport:
		return nil, ErrLongReport
	}
	w := &walker{}
	w.message(bytes.NewReader(text), "the mail itself", 0)
	if len(w.mails) == 0 {
		w.pasted(string(text[:min(len(text), maxPasted)]))
	}
	if len(w.mails) == 0 {
		return nil, ErrNoHeader
	}
	return &Report{w.mails, w.arf}, nil
}

// walker looks through a report for messages.
type walker struct {
	mails []*Mail
	arf   bool
	parts int
	texts []string // of the message that is being read
	asked []string // recipients that an ARF report names
}

// message reads one, and those in it first.
func (w *walker) message(r io.Reader, how string, depth int) {
	if depth > maxDepth {
		return
	}
	raw := &counting{r: r}
	// A header that ends with the file ends as one with a body does.
	from := bufio.NewReader(io.MultiReader(raw, strings.NewReader("\n\n")))
	skipFront(from)
	entity, _ := message.ReadWithOptions(from, &message.ReadOptions{MaxHeaderBytes: maxHeader})
	if entity == nil {
		return
	}
	outer, before := w.texts, len(w.mails)
	w.texts = nil
	w.part(entity, depth)
	if len(w.mails) == before {
		for _, text := range w.texts {
			w.pasted(text)
		}
	}
	w.texts = outer
	_, _ = io.Copy(io.Discard, raw) // to count
	m := mailOf(&entity.Header, how)
	if raw.body {
		m.Size = raw.n
	}
	w.add(m)
}

func (w *walker) add(m *Mail) {
	if m.claims() && len(w.mails) < maxMails {
		for _, to := range w.asked {
			m.to(to)
		}
		w.mails = append(w.mails, m)
	}
}

// part looks into a part of a message.
func (w *walker) part(e *message.Entity, depth int) {
	if w.parts++; depth > maxDepth || w.parts > maxParts {
		return
	}
	kind, params, err := e.Header.ContentType()
	if strings.HasPrefix(kind, "multipart/") {
		// Not go-message's reader of parts: it has no bound for their headers, and 10 MB of short fields take 1.6 GB.
		parts := multipart.NewReader(e.Body, params["boundary"])
		for w.parts <= maxParts {
			p, err := parts.NextRawPart()
			if err != nil {
				return
			}
			inner, _ := message.New(message.HeaderFromMap(p.Header), p) // one with an encoding that is not known comes with an error
			w.part(inner, depth+1)
		}
		return
	}
	_, disposition, _ := e.Header.ContentDisposition()
	switch {
	case kind == "message/rfc822", kind == "message/global", strings.HasSuffix(strings.ToLower(disposition["filename"]), ".eml"):
		w.message(e.Body, "attached", depth+1)
	case kind == "text/rfc822-headers", kind == "message/rfc822-headers", kind == "message/global-headers":
		w.message(e.Body, "its header attached", depth+1)
	case kind == "message/feedback-report":
		w.feedback(e.Body)
	case kind == "text/plain", err != nil, kind == "":
		w.text(e.Body, plainText)
	case kind == "text/html":
		w.text(e.Body, textOfHTML)
	}
}

// text keeps a text to look through.
func (w *walker) text(r io.Reader, as func(string) string) {
	text, _ := io.ReadAll(io.LimitReader(r, maxPasted)) // what could be read of it counts
	if len(w.texts) < maxMails {
		w.texts = append(w.texts, as(string(text)))
	}
}

// feedback reads the machine's part of an ARF report (RFC 5965 3.1).
func (w *walker) feedback(r io.Reader) {
	w.arf = true
	e, _ := message.ReadWithOptions(io.MultiReader(r, strings.NewReader("\n\n")), &message.ReadOptions{MaxHeaderBytes: maxHeader})
	if e == nil {
		return
	}
	for _, to := range e.Header.Values("Original-Rcpt-To") {
		if len(w.asked) < maxNamed {
			w.asked = append(w.asked, to)
		}
	}
}

// skipFront passes over blank lines, and the line that mailbox files have before a mail.
func skipFront(r *bufio.Reader) {
	for {
		start, _ := r.Peek(5)
		switch {
		case len(start) > 0 && (start[0] == '\n' || start[0] == '\r'):
			_, _ = r.Discard(1)
		case string(start) == "From ", string(start) == ">From":
			if _, err := r.ReadString('\n'); err != nil {
				return
			}
		default:
			return
		}
	}
}

// counting counts octets with line ends of one, and sees whether anything follows the header.
type counting struct {
	r     io.Reader
	n     int64
	line  bool // something stands on this line
	ended bool // a blank line has come
	body  bool
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	for _, b := range p[:n] {
		switch b {
		case '\r':
			continue
		case '\n':
			c.ended = c.ended || !c.line && c.n > 0
			c.line = false
		default:
			c.line = true
			c.body = c.body || c.ended
		}
		c.n++
	}
	return n, err
}
