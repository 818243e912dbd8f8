package trace

import (
	"bytes"
	"io"
	"strings"

	"github.com/emersion/go-message"
	"golang.org/x/net/html"
)

// pasted finds headers in a text: as they were copied, quoted with ">" or indented, and with lines that a mail program broke.
func (w *walker) pasted(text string) {
	var block []byte
	end := func() {
		if low := bytes.ToLower(block); bytes.Contains(low, []byte("\nreceived:")) || bytes.Contains(low, []byte("\nmessage-id:")) {
			e, _ := message.ReadWithOptions(io.MultiReader(bytes.NewReader(block[1:]), strings.NewReader("\n\n")), &message.ReadOptions{MaxHeaderBytes: maxHeader})
			if e != nil {
				w.add(mailOf(&e.Header, "in the text"))
			}
		}
		block = block[:0]
	}
	for line := range strings.Lines(text) {
		if len(w.mails) == maxMails {
			return
		}
		line = unquoted(line)
		switch name, value, ok := strings.Cut(line, ":"); {
		case line == "":
			end()
		case ok && fieldName(name) && (value == "" || value[0] == ' ' || value[0] == '\t'):
			block = append(append(block, '\n'), line...)
		case len(block) > 0:
			block = append(append(block, " "...), line...)
		}
		if len(block) > maxHeader {
			end()
		}
	}
	end()
}

// unquoted returns a line without what a mail program puts before a quoted one.
func unquoted(line string) string { return strings.TrimSpace(strings.TrimLeft(line, "> |\t")) }

// fieldName reports whether a text can be the name of a field: the start of an address or of a time can't.
func fieldName(s string) bool {
	if len(s) < 2 || len(s) > 60 || s[0] <= '9' {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c != '-' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}

func plainText(s string) string { return s }

// textOfHTML returns the text of a page, a line for what is shown on one.
func textOfHTML(page string) string {
	var b strings.Builder
	for z := html.NewTokenizer(strings.NewReader(page)); ; {
		switch z.Next() {
		case html.ErrorToken:
			return b.String()
		case html.TextToken:
			b.Write(z.Text())
		case html.StartTagToken, html.SelfClosingTagToken:
			switch name, _ := z.TagName(); string(name) {
			case "br", "p", "div", "tr", "li", "pre":
				b.WriteByte('\n')
			}
		}
	}
}
