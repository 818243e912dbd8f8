package mainlog

import (
	"bytes"
	"errors"
	"io"
)

// Bounds of reading. What is in the air of one stream is a few chunks, with their events 150 kB each: a processor's cache holds
// them, and there is little for the garbage collector to go through.
const (
	chunkSize = 32 << 10 // octets read at once: some 200 entries
	mostChunk = 64 << 10 // likewise, where one entry has more lines
	maxLine   = 16 << 10 // octets of a line that are looked at; Exim writes no entry over 8 kB (LOG_BUFFER_SIZE)
	maxEmpty  = 100      // reads in a row that bring nothing; after them, nothing is expected any more
	maxAfter  = 32 << 10 // octets of the lines after the first that belong to an entry
)

// chunk is a part of an input, cut between two entries.
type chunk struct {
	input  *Input
	line   int // number of its first line
	text   string
	first  bool // of its input
	long   int  // lines that were cut
	fault  error
	events []Event
	counts Counts
	ready  chan struct{} // closed when events and counts are there
}

// cutter cuts an input into chunks.
type cutter struct {
	input *Input
	from  io.Reader
	buf   []byte
	fill  int
	line  int
	first bool
	skip  bool // in a line that is too long
	stamp stamper
}

func newCutter(in *Input, r io.Reader) *cutter {
	return &cutter{input: in, from: r, buf: make([]byte, 2*mostChunk), line: 1, first: true}
}

// next returns the next chunk, at the end with io.EOF or what went wrong; a chunk may come with either.
func (c *cutter) next() (*chunk, error) {
	for empty := 0; ; {
		n, err := c.from.Read(c.buf[c.fill:min(c.fill+chunkSize, len(c.buf))])
		if empty++; n > 0 {
			empty = 0
		}
		if err == nil && empty == maxEmpty {
			err = io.ErrNoProgress
		}
		if c.skip {
			n = c.skipLine(n)
		}
		c.fill += n
		if err != nil {
			k := c.take(c.fill)
			if errors.Is(err, io.ErrUnexpectedEOF) {
				err = errCutGzip
			}
			return k, err
		}
		if c.fill < chunkSize {
			continue
		}
		if at := c.border(); at > 0 && (c.fill >= mostChunk || bytes.IndexByte(c.buf[at:c.fill], '\n') >= 0) {
			return c.take(at), nil
		}
		if c.fill == len(c.buf) { // one line fills it
			at := maxLine
			k := c.take(at)
			k.long++
			c.line, c.fill, c.skip = c.line+1, 0, true
			return k, nil
		}
	}
}

// skipLine drops what was read now up to the end of the line.
func (c *cutter) skipLine(n int) int {
	end := bytes.IndexByte(c.buf[:n], '\n')
	if end < 0 {
		return 0
	}
	c.skip = false
	return copy(c.buf, c.buf[end+1:n])
}

// border returns where the last entry starts that has a whole first line before the end, or the last line, if no entry does;
// 0 is no line at all.
func (c *cutter) border() int {
	end := bytes.LastIndexByte(c.buf[:c.fill], '\n') + 1
	if end == 0 {
		return 0
	}
	var f front
	for at := end; at > 0 && at > end-maxAfter; {
		start := bytes.LastIndexByte(c.buf[:at-1], '\n') + 1
		head := c.buf[start:min(at, start+120)]
		if _, shape, _ := c.stamp.read(string(head), &f); shape && f.piece < 2 {
			if start > 0 {
				return c.whole(start)
			}
			break
		}
		at = start
	}
	return end
}

// whole moves a border before the entry of a command line that it would cut. It looks at the lines before as parse does: those of
// a folder's name, and of a header, may be like such an entry.
func (c *cutter) whole(border int) int {
	from := bytes.LastIndexByte(c.buf[:max(0, border-maxPlanted)], '\n') + 1
	if !bytes.Contains(c.buf[from:border], []byte(" cwd=")) {
		return border
	}
	line, open := 0, -1
	for text := range bytes.Lines(c.buf[from:border]) {
		line, from = from, from+len(text)
		switch {
		case open < 0 && c.opens(text):
			open = line
		case open >= 0 && (bytes.Contains(text, []byte(argsWord)) || from-open > maxPlanted):
			open = -1
		}
	}
	if open > 0 {
		return open
	}
	return border
}

// opens reports whether a line is the first of a command line's entry that goes on in the next.
func (c *cutter) opens(line []byte) bool {
	if len(line) > maxLine || !bytes.Contains(line, []byte(" cwd=")) {
		return false
	}
	var f front
	body, _, valid := c.stamp.read(string(line), &f)
	return valid && f.piece < 2 && !f.syslog && opens(body)
}

// take returns the first octets as a chunk.
func (c *cutter) take(n int) *chunk {
	k := &chunk{input: c.input, line: c.line, text: string(c.buf[:n]), first: c.first}
	c.line += bytes.Count(c.buf[:n], []byte{'\n'})
	c.fill = copy(c.buf, c.buf[n:c.fill])
	c.first = false
	return k
}
