package setup

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Where private folders lie, and how their names begin.
const (
	privateParent = "/run"
	privateName   = "eximpolicyd-setup-"
)

// openPrivate makes the private folder: a name that nobody can foresee, in a folder of root's, for root and Exim's group
// (which reads ACL files as its own user) and for nobody else.
func (s *Setup) openPrivate() error {
	if err := rootOnly(privateParent); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(privateParent, privateName) // 0700
	if err != nil {
		return fault(Failed, "", "cannot make a private folder: %w", err)
	}
	s.private = dir
	return s.lend(dir)
}

// privateOld is when a private folder is one that a killed run has left: no run takes an hour.
const privateOld = time.Hour

// sweepPrivate removes such folders.
func (s *Setup) sweepPrivate() {
	list, err := os.ReadDir(privateParent)
	if err != nil {
		return // they end with this boot of the machine
	}
	for _, e := range list {
		path := filepath.Join(privateParent, e.Name())
		info, err := os.Lstat(path)
		if err == nil && strings.HasPrefix(e.Name(), privateName) && info.IsDir() && path != s.private && time.Since(info.ModTime()) > privateOld {
			_ = os.RemoveAll(path)
		}
	}
}

// lend lets Exim's group look into a private folder.
func (s *Setup) lend(dir string) error {
	if err := os.Lchown(dir, 0, s.gid); err != nil {
		return err
	}
	return os.Chmod(dir, 0o750)
}

// Close removes what was private and lets go of the lock.
func (s *Setup) Close() error {
	var err error
	if s.private != "" {
		err = os.RemoveAll(s.private)
	}
	if s.lock != nil {
		s.letGo()
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

// place writes a file of a private folder, which nobody else can touch.
func (s *Setup) place(path string, text []byte) error {
	for dir := filepath.Dir(path); !exists(dir); dir = filepath.Dir(path) {
		top := dir
		for !exists(filepath.Dir(top)) {
			top = filepath.Dir(top)
		}
		if err := os.Mkdir(top, 0o700); err != nil {
			return err
		}
		if err := s.lend(top); err != nil {
			return err
		}
	}
	if err := os.WriteFile(path, text, 0o640); err != nil {
		return err
	}
	return os.Lchown(path, 0, s.gid)
}

// candidate makes the whole new configuration in the private folder, with the witness in the place of the daemon, and
// returns its file.
func (s *Setup) candidate(ctx context.Context) (string, error) {
	dir := filepath.Join(s.private, "files")
	if s.flavour == "debian-split" {
		dir = filepath.Join(s.private, "etc", "conf.d")
	}
	l, err := s.layout(witnessSocket(s.private), dir)
	if err != nil {
		return "", err
	}
	if s.debian() {
		err = s.copySources(s.private)
	}
	for _, f := range l.files {
		if err == nil {
			err = s.place(f.path, []byte(f.text))
		}
	}
	if err != nil {
		return "", err
	}
	conf := filepath.Join(s.private, "config")
	if s.debian() {
		if len(l.lines) > 0 {
			err = s.stageMacros(l.lines)
		}
		if err == nil {
			err = s.generate(ctx, conf, filepath.Join(s.private, "etc"))
		}
		return conf, err
	}
	old, _, err := read(s.conf)
	if err != nil {
		return "", err
	}
	text, err := s.with(old, s.conf, l.lines)
	if err != nil {
		return "", err
	}
	return conf, s.place(conf, text)
}

// copySources copies what Debian's configuration is made of. Reading it is also the proof that only root can change it: the
// script runs the answer file.
func (s *Setup) copySources(private string) error {
	to := filepath.Join(private, "etc")
	paths := []string{debianSettings, debianTemplate, debianMacros}
	if s.flavour == "debian-split" {
		list, err := sections()
		if err != nil {
			return err
		}
		paths = append(paths, list...)
	}
	for _, path := range paths {
		text, _, err := read(path)
		if errors.Is(err, fs.ErrNotExist) && path != debianSettings {
			continue
		}
		if err == nil {
			err = s.place(filepath.Join(to, strings.TrimPrefix(path, debianFolder)), text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sections are the files below conf.d that the script reads, in its order.
func sections() (paths []string, err error) {
	used := regexp.MustCompile(`^[[:alnum:]_-]+(\.rul)?$`)
	for _, section := range []string{"main", "acl", "router", "transport", "retry", "rewrite", "auth"} {
		dir := filepath.Join(debianFolder, "conf.d", section)
		if err := rootOnly(dir); err != nil {
			return nil, err
		}
		list, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range list {
			if used.MatchString(e.Name()) && !e.IsDir() {
				paths = append(paths, filepath.Join(dir, e.Name()))
			}
		}
	}
	return paths, nil
}

// stageMacros puts the lines for exim4.conf.localmacros before the copy of the template: the script reads one after the
// other, but looks for the first at its real place only.
func (s *Setup) stageMacros(lines []ownLine) error {
	macros, _, err := read(debianMacros)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if macros, err = s.with(macros, debianMacros, lines); err != nil {
		return err
	}
	template, _, err := read(debianTemplate)
	if err != nil {
		return err
	}
	etc := filepath.Join(s.private, "etc")
	if err := s.place(filepath.Join(etc, "exim4.conf.localmacros"), nil); err != nil {
		return err
	}
	return s.place(filepath.Join(etc, "exim4.conf.template"), append(macros, template...))
}

// generate runs Debian's script into a private file.
func (s *Setup) generate(ctx context.Context, conf, from string) error {
	// Made by us first: the script gives an existing file the owner and mode of the real one, and Exim's group may read that.
	if err := s.place(conf, nil); err != nil {
		return err
	}
	r := s.run(ctx, "", debianScript, "-o", conf, "-d", from)
	if r.err != nil {
		return fault(BadConfiguration, "run it yourself; nothing was changed", "%s: %s", debianScript, firstWords(r))
	}
	return os.Chmod(conf, 0o640)
}

// submit tries a local submission with a copy of the candidate in which our ACL says no in the end: so nothing is taken,
// whatever the rest says. Its spool and its log are private where the configuration allows it.
func (s *Setup) submit(ctx context.Context, conf string, w *witness) error {
	text, err := os.ReadFile(conf) // in the private folder
	if err != nil {
		return err
	}
	const no = "  deny    message = eximpolicyd setup tries a local submission\n"
	end := regexp.MustCompile(`(?m)^([ \t]*require[ \t]+acl[ \t]*=[^\n]*NOT_SMTP)\n[ \t]*accept[ \t]*\n`)
	if s.flavour == "debian-unsplit" {
		acl := filepath.Join(s.private, "files", "not_smtp.acl")
		b, err := os.ReadFile(acl)
		if err == nil {
			err = s.place(acl, end.ReplaceAll(b, []byte("$1\n"+no)))
		}
		if err != nil {
			return err
		}
	}
	acl := filepath.Join(s.private, "files", "eximpolicyd-acl.inc")
	if b, err := os.ReadFile(acl); err == nil {
		if err := s.place(acl, end.ReplaceAll(b, []byte("$1\n"+no))); err != nil {
			return err
		}
	}
	trial := filepath.Join(s.private, "trial")
	text = end.ReplaceAll(text, []byte("$1\n"+no))
	if err := s.place(trial, s.ownSpool(text)); err != nil {
		return err
	}
	if s.tested(ctx, trial) != nil { // an included file sets them too
		if err := s.place(trial, text); err != nil {
			return err
		}
	}
	r := s.eximAt(ctx, trial, "Subject: eximpolicyd setup\n\nNothing is wrong.\n", "-oep", "-f", "<>", "-i", "postmaster")
	switch {
	case !w.asked("NOT_SMTP"):
		return errors.New("a local submission: Exim did not ask: " + firstWords(r))
	case !strings.Contains(r.out, "eximpolicyd setup tries a local submission"):
		return errors.New("a local submission: " + firstWords(r))
	}
	return nil
}

// ownSpool gives a configuration a spool and a log in the private folder.
func (s *Setup) ownSpool(text []byte) []byte {
	for _, name := range []string{"spool", "log"} {
		dir := filepath.Join(s.private, name)
		if err := os.Mkdir(dir, 0o700); err != nil || os.Lchown(dir, s.uid, s.gid) != nil {
			return text
		}
	}
	option := regexp.MustCompile(`(?m)^[ \t]*(spool_directory|log_file_path)[ \t]*=(.*\\\n)*.*\n`)
	head := "spool_directory = " + filepath.Join(s.private, "spool") + "\nlog_file_path = " + filepath.Join(s.private, "log") + "/%slog\n"
	return append([]byte(head), bytes.TrimLeft(option.ReplaceAll(text, nil), "\n")...)
}
