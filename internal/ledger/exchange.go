package ledger

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Bounds of what is imported.
const (
	maxLine   = 4 << 10
	MaxImport = 128 << 20 // octets; a full memory of the usual size has 80 MB, with long reasons 90
)

// The first line of an export, and what it is of.
const exportOf = "state"

// line is one line of an export: the first, or one of the others, with times of the wall clock. So another machine, whose
// steady time is another, can read it.
type line struct {
	Of      string    `json:"eximpolicyd,omitempty"` // "state"
	Version int       `json:"version,omitempty"`
	Made    time.Time `json:"made,omitzero"`

	Ban     *Ban     `json:"ban,omitempty"`
	Allowed *Allowed `json:"allowed,omitempty"`
	Counts  *Windows `json:"counts,omitempty"`
}

// Export writes everything as lines of JSON: what it is, then bans, allowed networks and counters. The error is w's.
func (e *Engine) Export(w io.Writer) error {
	e.look()
	ahead, _ := e.clock.lead()
	buffered := bufio.NewWriter(w)
	out := json.NewEncoder(buffered)
	out.SetEscapeHTML(false)
	now := e.clock.now()
	if err := out.Encode(line{Of: exportOf, Version: version, Made: now.Add(ahead)}); err != nil {
		return err
	}
	for _, b := range e.Bans() {
		b.move(ahead)
		if err := out.Encode(line{Ban: &b}); err != nil {
			return err
		}
	}
	for _, a := range e.Allows() {
		a.move(ahead)
		if err := out.Encode(line{Allowed: &a}); err != nil {
			return err
		}
	}
	err := e.counts.each(now, func(w Windows) error {
		w.move(ahead)
		return out.Encode(line{Counts: &w})
	})
	if err != nil {
		return err
	}
	return buffered.Flush()
}

// move moves the times of windows, by whole seconds.
func (w *Windows) move(by time.Duration) {
	by = by.Round(time.Second)
	for _, t := range []*time.Time{&w.Start, &w.LastGood, &w.LastLogin} {
		if !t.IsZero() {
			*t = t.Add(by)
		}
	}
}

// Imported is how much Import has taken in.
type Imported struct {
	Bans     int `json:"bans"`
	Allowed  int `json:"allowed"`
	Counters int `json:"counters"`
}

// Import takes in what Export wrote, in place of what is known of the same networks and keys. Of what is long over nothing
// is taken. An error names the line, and then nothing has changed, but for ErrUnsaved: then everything is taken in.
func (e *Engine) Import(ctx context.Context, r io.Reader) (Imported, error) {
	e.look()
	ahead, _ := e.clock.lead()
	in := importer{now: e.clock.now(), ahead: ahead, seen: make(map[id]int), keys: make(map[Key]int), scratch: newTable(1)}
	if err := in.read(r); err != nil {
		return Imported{}, err
	}
	return e.bring(ctx, &in)
}

// bring takes in what was found right.
func (e *Engine) bring(ctx context.Context, in *importer) (n Imported, err error) {
	e.mu.Lock()
	now := e.sweep()
	if err := e.fits(in.entries, now); err != nil {
		e.mu.Unlock()
		return n, err
	}
	var change uint64
	for _, of := range in.entries {
		if of.over(now.Add(-Remembered)) {
			continue
		}
		of.cut(now)
		if change, err = e.keep(of, now); err != nil {
			break // fits has seen to it
		}
		if of.class == allowed {
			n.Allowed++
		} else {
			n.Bans++
		}
	}
	e.mu.Unlock()
	for _, w := range in.windows {
		if err := e.counts.put(w, now); err == nil { // the scratch table took it
			n.Counters++
		}
	}
	if n.Counters > 0 {
		e.snapshotSoon()
	}
	return n, errors.Join(err, e.saved(ctx, change))
}

// fits reports whether there is room for all, so that keep finds some for each. The lock is held.
func (e *Engine) fits(list []*entry, now time.Time) error {
	var n [classes]int
	replaced := make(map[id]bool)
	for _, of := range list {
		n[of.class]++
		replaced[of.id] = true
	}
	for _, c := range []class{banned, allowed} {
		for _, of := range e.entries.queues[c] {
			if !of.over(now) && !replaced[of.id] {
				n[c]++
			}
		}
	}
	switch {
	case n[allowed] > MaxAllowed:
		return errFullAllowed
	case n[banned]+min(n[enforced]+n[observed], 1) > MaxBans:
		return errFullBans
	}
	return nil
}

// importer reads an export.
type importer struct {
	now     time.Time // steady
	ahead   time.Duration
	seen    map[id]int  // in which line
	keys    map[Key]int // likewise
	scratch *table      // takes windows only to say what is wrong with them

	entries []*entry
	windows []Windows
}

// read reads all lines. The error names the first that is wrong.
func (in *importer) read(r io.Reader) error {
	lines := bufio.NewScanner(io.LimitReader(r, MaxImport+1))
	lines.Buffer(nil, maxLine)
	n, octets := 0, 0
	for lines.Scan() {
		n++
		if octets += len(lines.Bytes()) + 1; octets > MaxImport {
			return fmt.Errorf("line %d: more than 128 MB: split the export, each part with the first line", n)
		}
		if err := in.line(n, lines.Bytes()); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("line %d: longer than 4 kB", n+1)
	case err != nil:
		return fmt.Errorf("after line %d: %w", n, err)
	case n == 0:
		return errors.New("line 1: it is empty: no export")
	}
	return nil
}

func (in *importer) line(n int, text []byte) error {
	var l line
	if err := strictly(text, &l); err != nil {
		return fmt.Errorf("no line of an export: %w", err)
	}
	parts := 0
	for _, is := range []bool{l.Of != "" || l.Version != 0 || !l.Made.IsZero(), l.Ban != nil, l.Allowed != nil, l.Counts != nil} {
		if is {
			parts++
		}
	}
	switch {
	case n == 1 && (l.Of != exportOf || parts != 1):
		return fmt.Errorf(`an export begins with {"eximpolicyd":%q,"version":%d}`, exportOf, version)
	case n == 1 && l.Version != version:
		return fmt.Errorf("version %d, this is version %d", l.Version, version)
	case n == 1:
		return nil
	case parts != 1 || l.Of != "" || l.Version != 0 || !l.Made.IsZero():
		return errors.New("not exactly one of ban, allowed and counts")
	case l.Ban != nil:
		return in.entry(n, entryOf(l.Ban))
	case l.Allowed != nil:
		return in.entry(n, entryOfAllowed(l.Allowed))
	}
	return in.count(n, l.Counts)
}

func (in *importer) entry(n int, of *entry) error {
	of.move(-in.ahead)
	if err := of.check(in.now); err != nil {
		return err
	}
	if of.ban != nil {
		of.ban.Durable = false
	} else {
		of.let.Durable = false
	}
	if first := in.seen[of.id]; first != 0 {
		return fmt.Errorf("%s %s is in line %d already", of.class, of.network, first)
	}
	in.seen[of.id] = n
	in.entries = append(in.entries, of)
	return nil
}

func (in *importer) count(n int, w *Windows) error {
	if first := in.keys[w.Key]; first != 0 {
		return fmt.Errorf("%s is in line %d already", w.Key, first)
	}
	w.move(-in.ahead)
	if err := in.scratch.put(*w, in.now); err != nil {
		return err
	}
	in.keys[w.Key] = n
	in.windows = append(in.windows, *w)
	return nil
}
