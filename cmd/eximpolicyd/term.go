package main

import (
	"io"
	"os"
	"strings"
	"unicode"

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
