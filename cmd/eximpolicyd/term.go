package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// isTerminal reports whether something is written to a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// columns returns how wide a terminal is, 80 if it does not say.
func columns(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
			return int(size.Col)
		}
	}
	return 80
}

// legible makes a message fit for a terminal: names of files, and what others wrote, may be in it. Its lines stay lines.
func legible(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

// jsonTo makes an encoder of JSON in ASCII, which is the same JSON to a machine. As Go writes it, what clients have sent would
// come raw to a terminal: controls of C1, and those that turn the direction of a line.
func jsonTo(w io.Writer) *json.Encoder { return json.NewEncoder(asciiJSON{w}) }

// asciiJSON writes JSON that comes whole, a value a write.
type asciiJSON struct{ io.Writer }

// Write writes what is not printable ASCII as JSON escapes it: outside of strings there is none but the ends of lines.
func (w asciiJSON) Write(p []byte) (int, error) {
	line := make([]byte, 0, len(p))
	for rest := p; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		rest = rest[n:]
		switch {
		case r < 0x7f:
			line = append(line, byte(r))
		case r < 0x10000:
			line = fmt.Appendf(line, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			line = fmt.Appendf(line, `\u%04x\u%04x`, high, low)
		}
	}
	if _, err := w.Writer.Write(line); err != nil {
		return 0, err
	}
	return len(p), nil
}

// painter returns a function that colours a text by what a step found, on a terminal and without NO_COLOR only.
func painter(w io.Writer) func(result, text string) string {
	if !isTerminal(w) || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return func(_, text string) string { return text }
	}
	return func(result, text string) string {
		switch result {
		case "hit", "listed", "error-code", "inert", "world", "hijacked", "timeout", "in force", "not saved":
			return "\x1b[31m" + text + "\x1b[0m"
		case "applies", "ok":
			return "\x1b[32m" + text + "\x1b[0m"
		case "no", "off", "skip", "unknown", "untested", "over", "observed":
			return "\x1b[2m" + text + "\x1b[0m"
		}
		return text
	}
}
