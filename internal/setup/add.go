package setup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A plan is what Add will do: files to write whole, and files of the administrator's that get lines.
type plan struct {
	layout layout
	files  []ownFile         // those that are not as they should be
	shared map[string][]byte // the new text of the administrator's files that change
	order  []string          // their paths
}

// plan compares the disk with what belongs there. What somebody else has made or edited is a fault: it is his.
func (s *Setup) plan() (plan, error) {
	p := plan{shared: map[string][]byte{}}
	var err error
	if p.layout, err = s.layout(s.o.Socket, s.dir); err != nil {
		return p, err
	}
	for _, f := range p.layout.files {
		have, err := readOwn(f.path)
		if err != nil {
			return p, err
		}
		if have == nil {
			p.files = append(p.files, f)
			continue
		}
		switch judge(have, f.text) {
		case foreign:
			err = fault(BadConfiguration, anyway, "%s is there already, and not made by setup", f.path)
		case edited:
			err = fault(BadConfiguration, anyway, "%s has been edited since setup made it", f.path)
		case current:
			continue
		}
		if err != nil && !s.o.Force {
			return p, err
		}
		p.files = append(p.files, f)
	}
	for _, path := range p.layout.shared() {
		have, err := readOwn(path)
		if err != nil {
			return p, err
		}
		want, err := s.with(have, path, p.layout.lines)
		if err != nil {
			return p, err
		}
		if !bytes.Equal(unversioned(have), unversioned(want)) {
			p.shared[path], p.order = want, append(p.order, path)
		}
	}
	return p, s.conflict()
}

// readOwn reads a file that may be missing: nil then. A folder that is missing has no file.
func readOwn(path string) ([]byte, error) {
	if !exists(filepath.Dir(path)) {
		return nil, rootOnlyUpTo(filepath.Dir(path))
	}
	b, _, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && b == nil {
		b = []byte{}
	}
	return b, err
}

// rootOnlyUpTo is rootOnly for the part of a path that is there.
func rootOnlyUpTo(dir string) error {
	for !exists(dir) {
		dir = filepath.Dir(dir)
	}
	return rootOnly(dir)
}

// unversioned is a text with the marks of any version taken for the same.
func unversioned(text []byte) []byte {
	b := slices.Clone(text)
	for _, p := range slices.Backward(pairs(text)) {
		line := []byte(p.text)
		b = slices.Concat(b[:p.from:p.from], []byte("#\n"), line, b[p.to:])
	}
	return b
}

// conflict says which of the options that we would set the administrator has set already: Exim takes none twice.
func (s *Setup) conflict() error {
	for _, h := range s.hooks() {
		if h.ours == "" {
			continue
		}
		value := s.option(h.option)
		site := "acl_check_" + strings.ToLower(h.stage) // Debian's own, on which ours goes on to call
		if value == "" || value == h.ours || s.debian() && slices.Contains([]string{"MAIL", "RCPT", "DATA"}, h.stage) && value == site {
			continue
		}
		return fault(BadConfiguration, "take that line out; or keep it, use eximpolicyd snippets by hand, and write at the top of your ACL: "+s.call(h.stage),
			"%s: %s = %s is yours, and Exim takes no second one", s.optionAt(h.option), h.option, value)
	}
	return nil
}

// call is the statement that asks at a stage, for an ACL of the administrator's.
func (s *Setup) call(stage string) string {
	verb, acl := "require", "eximpolicyd"
	if stage == "QUIT" || stage == "NOTQUIT" {
		verb = "warn"
	}
	if s.flavour == "debian-unsplit" {
		acl = s.dir + "/policy.acl"
	}
	return verb + " acl = " + acl + " " + stage
}

// Plan does what Add does up to its first change: it says the same, tries the new configuration in private, and refuses alike.
func (s *Setup) Plan(ctx context.Context) error {
	if err := s.refusePanel(); err != nil {
		return err
	}
	if err := s.glance(); err != nil {
		return err
	}
	if _, _, err := s.prepare(ctx); err != nil {
		return err
	}
	s.o.Say("nothing was changed: this was a dry run")
	return nil
}

func (s *Setup) tell(p plan) []string {
	lines := []string{fmt.Sprintf("Exim is %s, its configuration %s, arranged as %s", s.exim, s.conf, s.flavour)}
	for _, f := range p.files {
		lines = append(lines, "write "+f.path)
	}
	for _, path := range p.order {
		lines = append(lines, "edit  "+path+": add what is between our marks")
		for _, l := range p.layout.lines {
			if l.path == path {
				where := "at the top"
				if l.anchor != nil {
					where = map[bool]string{false: "before ", true: "after "}[l.after] + `"` + l.words + `"`
				}
				lines = append(lines, "      "+where+": "+strings.TrimSpace(l.line))
			}
		}
		if exists(path) {
			lines = append(lines, "keep  "+path+beforeName+": as it is now")
		}
	}
	if len(p.files)+len(p.order) == 0 {
		return append(lines, "everything is in place: try it only")
	}
	lines = append(lines, "try   all of it in a private folder: exim -bV, a dialogue a stage, a submission")
	if s.debian() {
		lines = append(lines, "make  "+debianGenerated+" (update-exim4.conf)", "keep  "+debianGenerated+beforeName+": as it is now")
	}
	return append(lines, "try   Exim once more; at any failure every file is as before")
}

// Add puts the snippets in. What it will do and has done it says by Options.Say.
func (s *Setup) Add(ctx context.Context) error {
	if err := s.refusePanel(); err != nil {
		return err
	}
	if err := s.take(); err != nil {
		return err
	}
	j, steps, err := s.prepare(ctx)
	if err != nil {
		return err
	}
	if len(j.Changes) > 0 {
		if err := s.carry(ctx, j, append(steps, func() error { return s.prove(ctx, "", nil) }), added); err != nil {
			return err
		}
	}
	return s.afterwards(ctx)
}

// prepare says what will be done, and refuses what can't be; the journal and the steps are still to be carried out.
func (s *Setup) prepare(ctx context.Context) (*journal, []step, error) {
	if err := s.readOptions(ctx); err != nil { // after what a killed run has left is undone
		return nil, nil, err
	}
	p, err := s.plan()
	if err != nil {
		return nil, nil, err
	}
	for _, line := range s.tell(p) {
		s.o.Say(line)
	}
	former, err := loadJournal(s.state)
	if err != nil {
		return nil, nil, err
	}
	if former != nil && former.Flavour != s.flavour {
		return nil, nil, fault(BadConfiguration, s.rearranged(former), "%s was arranged as %s when setup was run, and is as %s now", s.conf, former.Flavour, s.flavour)
	}
	if former == nil && s.debian() {
		if err := s.fresh(ctx); err != nil {
			return nil, nil, err
		}
	}
	if err := s.rehearse(ctx); err != nil {
		return nil, nil, err
	}
	s.o.Say("the new configuration asks at every stage")
	j := s.journal(adding)
	steps, err := s.addSteps(ctx, j, p)
	if err != nil {
		return nil, nil, err
	}
	j.inherit(former)
	return j, steps, nil
}

// fresh wants Exim's configuration to be what Debian's script would make: else more than ours would come into force with it.
func (s *Setup) fresh(ctx context.Context) error {
	stale, err := s.stale(ctx)
	if err == nil && stale {
		err = fault(BadConfiguration, "run update-exim4.conf and see that Exim is well, then run this again",
			"%s is not what update-exim4.conf makes of %s now", debianGenerated, debianFolder)
	}
	return err
}

// stale reports whether Debian's script would make another configuration than the one that is there.
func (s *Setup) stale(ctx context.Context) (bool, error) {
	if _, _, err := read(debianSettings); err != nil {
		return false, err
	}
	conf := filepath.Join(s.private, "fresh")
	if err := s.generate(ctx, conf, debianFolder); err != nil {
		return false, err
	}
	want, err := os.ReadFile(conf) // in the private folder
	if err != nil {
		return false, err
	}
	have, _, err := read(debianGenerated)
	return !bytes.Equal(nameless(want), nameless(have)), err
}

// nameless is what Debian's script has made without the comment in which it calls itself as it was called: /sbin/update-exim4.conf by
// one who looks there first.
func nameless(conf []byte) []byte {
	const by = "\n# dynamically by "
	before, after, found := bytes.Cut(conf, []byte(by))
	if !found {
		return conf
	}
	_, after, _ = bytes.Cut(after, []byte("\n"))
	return slices.Concat(before, []byte(by), after)
}

// rehearse makes the new configuration in private and has Exim use it.
func (s *Setup) rehearse(ctx context.Context) error {
	w, err := hear(witnessSocket(s.private), s.gid)
	if err != nil {
		return fault(Failed, "", "cannot listen in a private folder: %w", err)
	}
	defer w.Close()
	conf, err := s.candidate(ctx)
	if err != nil {
		var f *Fault
		if errors.As(err, &f) {
			return err
		}
		return fault(Failed, "nothing was changed", "cannot make the new configuration in a private folder: %w", err)
	}
	if err = s.prove(ctx, conf, w); err == nil {
		err = s.submit(ctx, conf, w)
	}
	if errors.Is(err, context.Canceled) {
		return fault(Busy, "", "interrupted: nothing was changed")
	}
	if err != nil {
		if before := s.troubleBefore(ctx); before != nil {
			return before
		}
		return fault(BadConfiguration, "nothing was changed", "Exim does not get through with our files: %w", err)
	}
	return nil
}

// addSteps notes every change in the journal and returns how it is done: ours first, then what refers to it.
func (s *Setup) addSteps(ctx context.Context, j *journal, p plan) (steps []step, err error) {
	for _, f := range p.files {
		text := marked(s.o.Version, f.text)
		c, err := j.note(f.path)
		if err != nil {
			return nil, err
		}
		c.After = checksum(text)
		at := len(j.Changes) - 1
		steps = append(steps, func() error { return j.Changes[at].put(text, 0o644) })
	}
	for _, path := range p.order {
		text := p.shared[path]
		c, err := j.note(path)
		if err != nil {
			return nil, err
		}
		c.After, c.Keep = checksum(text), true
		at := len(j.Changes) - 1
		steps = append(steps, func() error { return j.Changes[at].put(text, 0o644) })
	}
	if s.debian() {
		return s.generateStep(ctx, j, steps, true)
	}
	return steps, nil
}

// generateStep adds the step that makes Debian's configuration of what is there by then.
func (s *Setup) generateStep(ctx context.Context, j *journal, steps []step, keep bool) ([]step, error) {
	c, err := j.note(debianGenerated)
	if err != nil {
		return nil, err
	}
	if !c.Existed {
		return nil, fault(BadConfiguration, "run update-exim4.conf", "there is no %s", debianGenerated)
	}
	c.Keep = keep
	at := len(j.Changes) - 1
	return append(steps, func() error {
		conf := filepath.Join(s.private, "real")
		if err := s.generate(ctx, conf, debianFolder); err != nil {
			return err
		}
		if err := s.tested(ctx, conf); err != nil {
			return err
		}
		return s.install(&j.Changes[at], conf)
	}), nil
}

// afterwards tells Exim, or the administrator how to.
func (s *Setup) afterwards(ctx context.Context) error {
	if why := s.unreachable(); len(why) > 0 {
		s.o.Say("mail flows, but nobody is asked yet: " + why[0].What + "; " + why[0].Fix)
	}
	return s.reload(ctx)
}
