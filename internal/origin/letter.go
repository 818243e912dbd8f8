package origin

import (
	"bufio"
	"errors"
	"io"
	"strings"
)

// Bounds of a text that is searched for stamps.
const (
	maxLetter = 64 << 20 // octets that are read
	maxLine   = 8 << 10  // of a line, and of a field about; the rest of a longer one is left out
	maxFields = 16       // stamps of one text
)

// Carried is a stamp as it stands in a message, and the header fields beside it that it may bind.
type Carried struct {
	Field                 string
	MessageID, Date, From string // as with Mail
}

// FindStamps searches a message, a spam report with one inside, or a bare header, for stamps, in their order. Every run of
// header lines is looked at, so that one of a message in a message is found; what is in base64 is not.
func FindStamps(r io.Reader) (found []Carried, err error) {
	in := bufio.NewReaderSize(io.LimitReader(r, maxLetter), maxLine)
	var h header
	for len(found) < maxFields {
		line, err := nextLine(in)
		if err != nil && err != io.EOF {
			return found, err
		}
		if !h.take(line) || err == io.EOF {
			found = append(found, h.carried()...)
			h = header{}
			h.take(line)
		}
		if err == io.EOF {
			break
		}
	}
	return found[:min(len(found), maxFields)], nil
}

// nextLine returns a line without its end, or as much of it as fits.
func nextLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadSlice('\n')
	text := strings.TrimRight(string(line), "\r\n")
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = in.ReadSlice('\n')
	}
	return text, err
}

// header is a run of header lines. Of its fields only those that matter here are kept.
type header struct {
	stamps []string
	values [3][]string // of Message-ID, Date, From
	last   *string     // the field that a folded line goes on with; nil: one that does not matter
	begun  bool
}

// take takes a line, and reports false for one that ends the run.
func (h *header) take(line string) bool {
	if line != "" && (line[0] == ' ' || line[0] == '\t') {
		if h.last != nil && len(*h.last) < maxLine {
			*h.last += line
		}
		return h.begun
	}
	name, value, ok := strings.Cut(line, ":")
	if name = strings.ToLower(name); !ok || name == "" || strings.ContainsAny(name, " \t") {
		return false
	}
	h.begun, h.last = true, nil
	keep := func(list *[]string) {
		if len(*list) < maxFields {
			*list = append(*list, value)
			h.last = &(*list)[len(*list)-1]
		}
	}
	switch name {
	case strings.ToLower(FieldName):
		keep(&h.stamps)
	case "message-id":
		keep(&h.values[0])
	case "date":
		keep(&h.values[1])
	case "from":
		keep(&h.values[2])
	}
	return true
}

// carried are the stamps of the run. A field that stands there twice is none that could be bound.
func (h *header) carried() (list []Carried) {
	one := func(values []string) string {
		if len(values) != 1 {
			return ""
		}
		return values[0]
	}
	for _, s := range h.stamps {
		list = append(list, Carried{s, one(h.values[0]), one(h.values[1]), one(h.values[2])})
	}
	return list
}
