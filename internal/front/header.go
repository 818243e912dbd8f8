package front

import "bytes"

// header reads the header of a message as Exim does, octet by octet: to the first line that is empty or no field. A line
// that begins with a blank continues the one before; a bare CR ends a line, and the rest continues it, and so does a bare LF if
// the first line of all ended by CR LF; lines of blanks at the end of a field are dropped. What follows is counted only. It
// keeps the fields that rules read, cut as the snippet cuts them, and never more.
type header struct {
	chunked                       bool // it came by BDAT
	messageID, date, from, listID field
	other                         field // the others, of which nothing is kept

	size int64 // octets of the message, with LF for CR LF
	head int64 // of them, of the header
	over bool  // the header has ended
	line end   // of its first line
	cr   bool  // the last octet is a CR, whose LF may come
	at   part
	name []byte // of the line's field, lower case
	in   *field // that the line belongs to; nil: there was none yet
}

// end is what a line ended by.
type end uint8

const (
	notYet end = iota
	byLF
	byCRLF
)

// part is where in a line we are.
type part uint8

const (
	atStart part = iota
	inName
	behindName // blanks before the colon; such a name is another one for Exim
	inValue
)

// field is what is kept of a field: several of one name with their values joined, each with its LF, as $rh_ gives them.
type field struct {
	present bool
	count   int    // of those that are not empty
	most    int    // octets kept of the value
	value   []byte // raw, with its leading blanks
	size    int    // octets of the whole value

	stays int  // of size, up to the last line that is not only blanks
	blank bool // the line at hand is only blanks
	empty bool // the field is, so far
	first bool // the line at hand is its first, which stays whatever it is
}

// Cuts of the snippet, in octets.
const (
	cutMessageID = 2100
	cutOther     = 998
	longestName  = len("message-id")
)

func newHeader() *header {
	return &header{messageID: field{most: cutMessageID}, date: field{most: cutOther}, from: field{most: cutOther}, listID: field{most: cutOther}}
}

// Write reads on. It fails when the header is longer than Exim's may be, and when of one that came by BDAT the first line ends
// by a bare LF.
func (h *header) Write(b []byte) (int, error) {
	for i, c := range b {
		if h.over {
			h.count(b[i:])
			return len(b), nil
		}
		exact := h.cr && c == '\n'
		bare := h.cr && !exact
		h.cr = false
		if bare {
			h.broken()
		}
		switch {
		case h.over:
			h.count(b[i:])
			return len(b), nil
		case c == '\r':
			h.cr = true
		case c == '\n':
			if err := h.newline(exact); err != nil {
				return i, err
			}
		default:
			h.octet(c)
		}
		if h.head > maxHeader {
			return i, errHeader
		}
	}
	return len(b), nil
}

// newline ends a line by CR LF exactly, or by a bare LF.
func (h *header) newline(exact bool) error {
	switch {
	case h.line == byCRLF && !exact:
		h.broken()
		return nil
	case h.line == notYet && exact:
		h.line = byCRLF
	case h.line == notYet && h.chunked && h.at == inValue:
		return errBareLF
	case h.line == notYet:
		h.line = byLF
	}
	h.octet('\n')
	return nil
}

// broken ends a line that the next one continues.
func (h *header) broken() {
	h.octet('\n')
	h.octet(' ')
}

// close ends the last field. A message may end within its header.
func (h *header) close() {
	if h.at != atStart && !h.over {
		h.octet('\n')
	}
	h.endField()
}

// count counts octets of the body.
func (h *header) count(b []byte) {
	h.size += int64(len(b) - bytes.Count(b, []byte("\r\n")))
	if h.cr && len(b) > 0 && b[0] == '\n' { // a pair that two reads have cut: its CR was counted
		h.size--
	}
	h.cr = len(b) > 0 && b[len(b)-1] == '\r'
}

// octet takes one octet of the header, where every line ends by LF.
func (h *header) octet(c byte) {
	h.size++
	h.head++
	switch h.at {
	case atStart:
		h.start(c)
	case inName, behindName:
		h.inName(c)
	case inValue:
		h.in.add(c)
		if c == '\n' {
			h.in.endLine()
			h.at = atStart
		}
	}
}

func (h *header) start(c byte) {
	if (c == ' ' || c == '\t') && h.in != nil {
		h.at = inValue
		h.in.add(c)
		return
	}
	h.endField()
	h.name = h.name[:0]
	h.at = inName
	h.inName(c)
}

// inName takes an octet of a name: printable ASCII but the colon, with blanks behind it at most.
func (h *header) inName(c byte) {
	blank := c == ' ' || c == '\t'
	switch {
	case c == ':' && len(h.name) > 0:
		h.in = &h.other
		if h.at == inName {
			h.in = h.named(string(h.name))
		}
		h.in.begin()
		h.at = inValue
	case blank && len(h.name) > 0:
		h.at = behindName
	case c <= ' ' || c > '~' || c == ':' || h.at == behindName:
		h.over = true
	case len(h.name) <= longestName:
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		h.name = append(h.name, c)
	}
}

func (h *header) named(name string) *field {
	switch name {
	case "message-id":
		return &h.messageID
	case "date":
		return &h.date
	case "from":
		return &h.from
	case "list-id":
		return &h.listID
	}
	return &h.other
}

func (h *header) endField() {
	if h.in != nil {
		h.size -= int64(h.in.end())
	}
}

// begin begins one more field of this name.
func (f *field) begin() {
	f.present, f.blank, f.empty, f.first = true, true, true, true
	f.stays = f.size
}

func (f *field) add(c byte) {
	if len(f.value) == f.size && f.size < f.most {
		f.value = append(f.value, c)
	}
	f.size++
	switch c {
	case ' ', '\t', '\n':
	case '\v', '\f': // white, and no blank of a header
		f.blank = false
	default:
		f.blank, f.empty = false, false
	}
}

func (f *field) endLine() {
	if f.first || !f.blank {
		f.stays = f.size
	}
	f.first, f.blank = false, true
}

// end ends a field, and returns how many octets of blanks it loses at its end.
func (f *field) end() (lost int) {
	lost = f.size - f.stays
	f.size = f.stays
	f.value = f.value[:min(len(f.value), f.size)]
	if !f.empty {
		f.count++
		f.empty = true
	}
	return lost
}
