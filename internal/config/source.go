package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"unicode/utf8"
)

// source is a text that knows its lines.
type source struct {
	name  string
	data  []byte
	lines []int // where each line begins
}

func newSource(name string, data []byte) *source {
	// Editors of Windows put a byte order mark in front, which they don't show: it is no column.
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	s := &source{name: name, data: slices.Clip(data), lines: []int{0}}
	for i, c := range data {
		if c == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	return s
}

// place returns line and column of an offset.
func (s *source) place(at int) (line, column int) {
	i, found := slices.BinarySearch(s.lines, at)
	if !found {
		i--
	}
	return i + 1, at - s.lines[i] + 1
}

// binary says why a text can't be a configuration at all, and where; then reading it would be a shower of mistakes.
func (s *source) binary() (at int, fault string) {
	if len(s.data) > maxFile {
		return 0, tooLarge(maxFile)
	}
	if bytes.HasPrefix(s.data, []byte("\xff\xfe")) || bytes.HasPrefix(s.data, []byte("\xfe\xff")) {
		return 0, "this is UTF-16: save the file as UTF-8"
	}
	if i := bytes.IndexByte(s.data, 0); i >= 0 {
		return i, "a byte 0: this is no text file"
	}
	// Random bytes are odd to a half. A text in Latin-1 is odd at its few umlauts; each of those gets its own line.
	head := s.data[:min(len(s.data), 8192)]
	first, odd := -1, 0
	for i := 0; i < len(head); {
		c, n := utf8.DecodeRune(head[i:])
		if c == utf8.RuneError && n == 1 || c < ' ' && c != '\n' && c != '\t' && c != '\r' {
			if odd++; first < 0 {
				first = i
			}
		}
		i += n
	}
	if odd > 16 && odd*10 > len(head)*3 {
		return first, "this is no text file"
	}
	return 0, ""
}

func tooLarge(limit int) string { return fmt.Sprintf("larger than %d MiB", limit>>20) }

// readFile reads a regular file of at most limit bytes; it never waits, as a FIFO would make it, and never reads more.
func readFile(file string, limit int) (data []byte, fault string) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, reason(err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, reason(err)
	case info.IsDir():
		return nil, "is a directory: name the file in it"
	case !info.Mode().IsRegular():
		return nil, "is no regular file"
	case info.Size() > int64(limit):
		return nil, tooLarge(limit)
	}
	data, err = io.ReadAll(io.LimitReader(f, int64(limit)+1))
	switch {
	case err != nil:
		return nil, reason(err)
	case len(data) > limit:
		return nil, tooLarge(limit)
	}
	return data, ""
}

// reason leaves the path out of an error of package os, since a mistake has it already.
func reason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return "can't be read: " + err.Error()
}
