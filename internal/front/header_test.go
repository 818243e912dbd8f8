package front

import (
	"bytes"
	"io"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
)

// That a header is read as Exim reads it is tested with Exim, in package test.

func readHeader(t *testing.T, r io.Reader) *header {
	t.Helper()
	h := newHeader()
	if _, err := io.Copy(struct{ io.Writer }{h}, r); err != nil {
		t.Fatal(err)
	}
	h.close()
	return h
}

func TestAHeaderThatNeverEndsIsRefused(t *testing.T) {
	h := newHeader()
	_, err := io.Copy(h, strings.NewReader("Subject: "+strings.Repeat("a", maxHeader)))
	if err != errHeader {
		t.Errorf("%v", err)
	}
}

func TestOfAHeaderFourFieldsAreKeptAndNeverMoreThanTheSnippetSends(t *testing.T) {
	long := strings.Repeat("a", 3000)
	text := "Subject: " + long + "\r\nMessage-ID: <" + long + ">\r\nMessage-ID: <2@a.example>\r\nDate: " + long + "\r\nFrom: " + long +
		"\r\nList-Id: " + long + "\r\n\r\n" + long
	h := readHeader(t, strings.NewReader(text))
	if h.messageID.size != 3004+15 || len(h.messageID.value) != cutMessageID || h.messageID.count != 2 {
		t.Errorf("%d octets, %d kept, %d fields", h.messageID.size, len(h.messageID.value), h.messageID.count)
	}
	for _, f := range []*field{&h.date, &h.from, &h.listID} {
		if f.size != 3002 || len(f.value) != cutOther || f.count != 1 {
			t.Errorf("%d octets, %d kept, %d fields", f.size, len(f.value), f.count)
		}
	}
	if want := int64(len(text) - strings.Count(text, "\r\n")); h.size != want {
		t.Errorf("%d octets, want %d", h.size, want)
	}
}

func FuzzHeader(f *testing.F) {
	for _, s := range []string{
		"Message-ID: <1@a.example>\r\n\r\nbody\r\n", "Message-ID:\r\n \r\n\t\r\nDate: x\r\n", "Message-ID: <1\r2@a.example>\r\r\n", "From : x\nFrom: y\n \n z\n",
		" Message-ID: x\n", "A: b\r\nC: d\nMessage-ID: <1@a.example>\r\n", "Date: x\r\nA: b\n\nFrom: y\n", "Date", "Date:", "Date: x\r", ":\n", "A:\rB:\r\n\r\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		whole, slow := readHeader(t, bytes.NewReader(text)), readHeader(t, iotest.OneByteReader(bytes.NewReader(text)))
		for i, f := range whole.fields() {
			other := slow.fields()[i]
			if f.present != other.present || f.count != other.count || f.size != other.size || !bytes.Equal(f.value, other.value) {
				t.Errorf("%q read whole: %+v, by octets: %+v", text, *f, *other)
			}
			if len(f.value) > f.most || len(f.value) != min(f.size, f.most) || f.count > 0 && !f.present {
				t.Errorf("%q: %+v", text, *f)
			}
		}
		if whole.size != slow.size {
			t.Errorf("%q has %d or %d octets", text, whole.size, slow.size)
		}
		for i, name := range []string{"message-id", "date", "from", "list-id"} {
			f := whole.fields()[i]
			if present, count, value := model(string(text), name); f.present != present || f.count != count || f.size != len(value) || string(f.value) != value[:min(len(value), f.most)] {
				t.Errorf("%q: %s is %+v, want %q", text, name, *f, value)
			}
		}
	})
}

var (
	nameOnly = regexp.MustCompile(`^[!-9;-~]+$`)
	isField  = regexp.MustCompile(`^[!-9;-~]+[ \t]*:`)
	blankEnd = regexp.MustCompile(`(\n[ \t]+)+\n\z`)
)

// model reads a header by looking at all of it: lines first, then fields, then blanks at their ends.
func model(text, want string) (present bool, count int, all string) {
	var fields []string
	if first := strings.IndexByte(text, '\n'); first > 0 && text[first-1] == '\r' {
		lines := strings.Split(text, "\r\n")
		for i := range lines {
			lines[i] = strings.ReplaceAll(lines[i], "\n", "\n ")
		}
		text = strings.Join(lines, "\r\n")
	}
	text = strings.TrimSuffix(text, "\r") // a CR at the very end is the end of a line that did not come
reading:
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		line = strings.ReplaceAll(line, "\r", "\n ") + "\n"
		switch {
		case (line[0] == ' ' || line[0] == '\t') && len(fields) > 0:
			fields[len(fields)-1] += line
		case !isField.MatchString(line):
			break reading
		default:
			fields = append(fields, line)
		}
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ":")
		if !nameOnly.MatchString(name) || !strings.EqualFold(name, want) {
			continue
		}
		value = blankEnd.ReplaceAllString(value, "\n")
		present, all = true, all+value
		if strings.Trim(value, " \t\n\v\f") != "" {
			count++
		}
	}
	return present, count, all
}

func (h *header) fields() []*field { return []*field{&h.messageID, &h.date, &h.from, &h.listID} }
