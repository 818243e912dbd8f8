package main

import (
	"context"
	"io"
	"log/slog"
	"os"

	"eximpolicyd/internal/config"
)

// newLog makes the log that the configuration asks for.
func newLog(w io.Writer, c config.Log) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.Level}
	format := c.Format
	if format == "auto" || format == "" {
		format = "text"
		if os.Getenv("JOURNAL_STREAM") != "" {
			format = "journal"
		}
	}
	switch format {
	case "json":
		return slog.New(slog.NewJSONHandler(w, options))
	case "journal":
		return slog.New(newJournalHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// journalHandler writes text without a time, which the journal has, and with the priority that sd-daemon(3) reads from
// a line's beginning.
type journalHandler struct {
	levels [4]slog.Handler // debug, info, warning, error
}

func newJournalHandler(w io.Writer, options *slog.HandlerOptions) *journalHandler {
	bare := *options
	bare.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
			return slog.Attr{}
		}
		return a
	}
	h := &journalHandler{}
	for i, prefix := range []string{"<7>", "<6>", "<4>", "<3>"} {
		h.levels[i] = slog.NewTextHandler(prefixed{w, prefix}, &bare)
	}
	return h
}

// prefixed writes a prefix before each line, in one call.
type prefixed struct {
	w      io.Writer
	prefix string
}

func (p prefixed) Write(line []byte) (int, error) {
	if _, err := p.w.Write(append([]byte(p.prefix), line...)); err != nil {
		return 0, err
	}
	return len(line), nil
}

func (h *journalHandler) of(l slog.Level) slog.Handler {
	switch {
	case l >= slog.LevelError:
		return h.levels[3]
	case l >= slog.LevelWarn:
		return h.levels[2]
	case l >= slog.LevelInfo:
		return h.levels[1]
	}
	return h.levels[0]
}

// Enabled asks the handler of the level.
func (h *journalHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.of(l).Enabled(ctx, l)
}

// Handle writes a record by the handler of its level.
func (h *journalHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.of(r.Level).Handle(ctx, r)
}

// WithAttrs adds attributes to every level.
func (h *journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.each(func(l slog.Handler) slog.Handler { return l.WithAttrs(attrs) })
}

// WithGroup opens a group in every level.
func (h *journalHandler) WithGroup(name string) slog.Handler {
	return h.each(func(l slog.Handler) slog.Handler { return l.WithGroup(name) })
}

func (h *journalHandler) each(change func(slog.Handler) slog.Handler) slog.Handler {
	changed := &journalHandler{}
	for i, l := range h.levels {
		changed.levels[i] = change(l)
	}
	return changed
}
