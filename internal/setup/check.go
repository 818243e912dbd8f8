package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	eximsnippets "eximpolicyd/exim-snippets"
	"eximpolicyd/internal/prose"
)

// A Finding is something that is not as it should be, where, and what to do about it.
type Finding struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"` // 0 for the file as a whole
	What string `json:"what"`
	Fix  string `json:"fix"`
}

// Place is file:line, or the file.
func (f Finding) Place() string { return place{f.File, f.Line}.String() }

// findings collects them.
type findings []Finding

func (f *findings) add(p place, fix, format string, args ...any) {
	n := Finding{p.file, p.line, fmt.Sprintf(format, args...), fix}
	if !slices.Contains(*f, n) {
		*f = append(*f, n)
	}
}

// fault adds what kept a file from being read.
func (f *findings) fault(path string, err error) {
	var known *Fault
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.add(place{file: path}, again, "is missing")
	case errors.As(err, &known):
		f.add(place{file: path}, known.Hint, "%v", known.Err)
	default:
		f.add(place{file: path}, "see that root can read it", "%v", err)
	}
}

// again is what mends whatever nobody has edited.
const again = "eximpolicyd setup --add"

// anyway is what mends a file of ours that somebody has edited. To take it away would leave Exim without it.
const anyway = "copy what you need of it elsewhere, and run " + again + " --force"

// Check looks for everything that keeps Exim from asking, or from going on when nobody answers. It changes nothing.
func (s *Setup) Check(ctx context.Context) ([]Finding, error) {
	var f findings
	running, err := s.readRunning(ctx)
	if err != nil {
		return nil, err
	}
	leaves := s.checkJournal(&f) && s.named() == ""
	panel := slices.Contains(eximsnippets.Panels(), s.flavour)
	if !panel {
		if there, err := s.anything(); err != nil {
			return nil, err
		} else if !there {
			f.add(place{file: s.conf}, again, "Exim does not ask eximpolicyd: nothing of it is here")
			return f, nil
		}
		s.checkFiles(&f)
		if !leaves { // else --remove has taken these out
			s.checkLines(&f)
			s.checkOptions(&f)
		}
	}
	s.checkOrder(&f, running)
	s.checkCalls(&f, running)
	s.checkFrozen(&f)
	f = append(f, s.unreachable()...)
	if s.debian() {
		s.checkStale(ctx, &f)
	}
	s.checkReloaded(&f)
	s.checkSession(ctx, &f)
	return f, nil
}

// anything reports whether any file, line or option of ours is in this Exim.
func (s *Setup) anything() (bool, error) {
	l, err := s.ownPaths()
	if err != nil {
		return false, err
	}
	for _, path := range l {
		if exists(path) {
			return true, nil
		}
	}
	for _, path := range s.shared() {
		if b, _, err := read(path); err == nil && len(pairs(b)) > 0 {
			return true, nil
		}
	}
	return s.named() != "", nil
}

// ownPaths are where our files lie.
func (s *Setup) ownPaths() (paths []string, err error) {
	files, err := s.files(s.o.Socket, s.dir)
	for _, f := range files {
		paths = append(paths, f.path)
	}
	return paths, err
}

// shared are the files of the administrator's in which lines of ours stand.
func (s *Setup) shared() []string {
	return map[string][]string{"stock": {s.conf}, "debian-unsplit": {debianMacros}}[s.flavour]
}

// rearranged is what to do where the arrangement has changed under us.
func (s *Setup) rearranged(j *journal) string {
	return "arrange it as " + j.Flavour + " again, run eximpolicyd setup --remove, and only then change it"
}

// checkJournal looks for a run that others must end, and reports whether that is a removal which waits for Exim to be reloaded.
func (s *Setup) checkJournal(f *findings) (leaves bool) {
	j, err := loadJournal(s.state)
	switch {
	case err != nil:
		f.fault(filepath.Join(s.state, "journal.json"), err)
	case j == nil:
	case j.Flavour != s.flavour:
		f.add(place{file: s.conf}, s.rearranged(j), "was arranged as %s when setup was run, and is as %s now", j.Flavour, s.flavour)
	case j.Phase == adding || j.Phase == removing:
		f.add(place{file: j.path}, "run eximpolicyd setup --add or --remove: it first brings back what was", "an earlier run did not come to its end")
	case j.Phase == leaving:
		f.add(place{file: s.dir}, "eximpolicyd setup --remove --reload", "Exim asks no more, but our files are still here")
		return true
	}
	return false
}

// checkFiles looks at each file of ours.
func (s *Setup) checkFiles(f *findings) {
	files, err := s.files(s.o.Socket, s.dir)
	if err != nil {
		return // anything has said so
	}
	for _, own := range files {
		have, info, err := read(own.path)
		if err != nil {
			f.fault(own.path, err)
			continue
		}
		p := place{file: own.path}
		switch judge(have, own.text) {
		case foreign:
			f.add(place{own.path, 1}, anyway, "is not made by setup: the mark of its first line is missing")
		case edited:
			f.add(p, anyway, "has been edited since setup made it")
		case outdated:
			f.add(place{own.path, 1}, again, "is made by another version (%s), or with another socket or time-out", markLine.FindSubmatch(have)[1])
		}
		if mode := info.Mode().Perm(); mode&0o444 != 0o444 {
			f.add(p, "chmod 644 "+own.path, "has mode %04o, and not everybody who runs Exim can read it", mode)
		}
	}
	if info, err := os.Lstat(s.dir); err == nil && info.Mode().Perm()&0o555 != 0o555 {
		f.add(place{file: s.dir}, "chmod 755 "+s.dir, "has mode %04o, and Exim's user cannot look into it", info.Mode().Perm())
	}
}

// checkLines looks at our lines in the administrator's files.
func (s *Setup) checkLines(f *findings) {
	l, err := s.layout(s.o.Socket, s.dir)
	if err != nil {
		f.fault(s.conf, err)
		return
	}
	for _, path := range s.shared() {
		have, err := readOwn(path)
		if err != nil {
			f.fault(path, err)
			continue
		}
		there := pairs(have)
		for _, p := range there {
			if p.edited {
				f.add(place{path, p.line}, "take it and the line above it out, and run "+again, "a line of ours has been edited: %s", strings.TrimSpace(p.text))
			}
		}
		for _, line := range l.lines {
			if line.path == path && !slices.ContainsFunc(there, func(p pair) bool { return p.text == line.line }) {
				f.add(place{file: path}, again, "the line %q is missing", strings.TrimSpace(line.line))
			}
		}
	}
}

// checkOptions holds what Exim has for each stage against ours.
func (s *Setup) checkOptions(f *findings) {
	for _, h := range s.hooks() {
		switch value := s.option(h.option); {
		case h.ours == "" || value == h.ours:
		case value == "":
			f.add(place{file: s.conf}, again, "%s is not set, so that nobody is asked at %s", h.option, h.stage)
		default:
			at := s.optionAt(h.option)
			f.add(at, "take that line out, or write at the top of that ACL: "+s.call(h.stage), "%s is %s and not ours (%s), so that nobody is asked at %s",
				h.option, value, h.ours, h.stage)
		}
	}
}

// checkOrder looks at each ACL as Exim runs it: what accepts before us, and whether anything follows.
func (s *Setup) checkOrder(f *findings, c *running) {
	for _, h := range s.hooks() {
		acl := s.option(h.option)
		if acl == "" || h.ours != "" && acl != h.ours {
			if h.ours == "" {
				f.add(place{file: s.conf}, s.how(), "%s is not set, so that nobody is asked at %s", h.option, h.stage)
			}
			continue // checkOptions has said so
		}
		list, ok := s.statements(c, acl)
		if !ok {
			f.add(s.optionAt(h.option), "see that Exim can read it", "%s is %s, which is no ACL that can be looked at", h.option, acl)
			continue
		}
		at := s.asksAt(c, list, h.stage)
		if at < 0 {
			p, _ := s.where(regexp.MustCompile(`^\s*`+regexp.QuoteMeta(acl)+`\s*:`), "")
			if p.file == "" {
				p.file = acl
			}
			f.add(p, s.how(), "%s does not ask at %s", acl, h.stage)
			continue
		}
		for _, st := range list[:at] {
			if st.verb == "accept" || st.verb == "discard" {
				f.add(s.statementAt(acl, st), "move it below ours", "accepts before eximpolicyd is asked at %s: %.60s", h.stage, st.text())
			}
		}
		if at == len(list)-1 {
			f.add(s.statementAt(acl, list[at]), `write "accept" below it`, "nothing follows ours in %s, and what no statement accepts is refused", acl)
		}
	}
}

// how is what makes a stage ask.
func (s *Setup) how() string {
	if slices.Contains(eximsnippets.Panels(), s.flavour) {
		return "eximpolicyd snippets --flavour " + s.flavour + " says where the lines go"
	}
	return again
}

// checkFrozen looks for what throws mail away that we hold.
func (s *Setup) checkFrozen(f *findings) {
	after := s.option("timeout_frozen_after")
	if !s.o.Freeze || after == "" || after == "0s" {
		return
	}
	fix := "write there: timeout_frozen_after = 0s"
	at, ok := s.where(regexp.MustCompile(`^\s*(MAIN_TIMEOUT_FROZEN_AFTER|timeout_frozen_after)\s*=`), "")
	if !ok {
		at = place{file: s.conf}
	}
	switch s.flavour {
	case "debian-split":
		fix = "write in a file of your own, " + debianFolder + "/conf.d/main/00_local: MAIN_TIMEOUT_FROZEN_AFTER = 0s"
	case "debian-unsplit":
		fix = "write in " + debianMacros + ": MAIN_TIMEOUT_FROZEN_AFTER = 0s"
	}
	f.add(at, fix, "policy.nobody holds mail in the queue (action = freeze), and Exim throws it away after %s", after)
}

// checkSession holds the dialogues that go through all the others, and only if one fails, finds the stage.
func (s *Setup) checkSession(ctx context.Context, f *findings) {
	whole := slices.DeleteFunc(dialogues(), func(d dialogue) bool { return d.stage != "DATA" && d.stage != "NOTQUIT" })
	if !slices.ContainsFunc(whole, func(d dialogue) bool { return s.trouble(ctx, "", d) != "" }) {
		return
	}
	for _, d := range dialogues() {
		if bad := s.trouble(ctx, "", d); bad != "" {
			f.add(place{file: s.conf}, "hold the dialogue yourself: exim -bh "+client+"; or take us out: eximpolicyd setup --remove",
				"Exim does not get through a session up to %s: %s", d.stage, bad)
			return
		}
	}
}

// checkStale looks whether Debian's script has run since something changed.
func (s *Setup) checkStale(ctx context.Context, f *findings) {
	stale, err := s.stale(ctx)
	switch {
	case err != nil:
		f.fault(debianScript, err)
	case stale:
		f.add(place{file: debianGenerated}, "update-exim4.conf, and reload Exim", "is not what update-exim4.conf makes of %s now", debianFolder)
	}
}

// checkReloaded looks for an Exim that has begun before setup was done.
func (s *Setup) checkReloaded(f *findings) {
	j, err := loadJournal(s.state)
	if err != nil {
		return // checkJournal has said so
	}
	if n := len(s.readers(j)); n > 0 {
		f.add(place{file: s.conf}, "reload Exim, and let its sessions end", "%s of Exim %s since before this configuration was made",
			prose.Many(n, "process"), prose.Form(n, "runs", "run"))
	}
}
