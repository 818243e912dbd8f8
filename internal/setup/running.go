package setup

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A running is Exim's configuration as it runs: .include, .ifdef and macros done, as exim -bP config prints it.
type running struct {
	acls map[string][]statement
}

// A statement is one of an ACL: its verb, and all of it on one line.
type statement struct {
	verb  string
	lines []string // as they are printed, blanks made one
	file  string   // where the verb stands
}

// text is all of it on one line.
func (st statement) text() string { return strings.Join(st.lines, " ") }

var (
	verbLine = regexp.MustCompile(`^(accept|require|warn|deny|defer|drop|discard)\b`)
	labelOf  = regexp.MustCompile(`^([A-Za-z0-9_.-]+)\s*:$`)
	fromFile = regexp.MustCompile(`^# \d+ "(.*)"$`)
)

// readRunning asks Exim for it.
func (s *Setup) readRunning(ctx context.Context) (*running, error) {
	r := s.eximAt(ctx, "", "", "-bP", "config")
	if r.err != nil {
		return nil, fault(BadConfiguration, "", "exim -bP config: %s", firstWords(r))
	}
	c := &running{acls: map[string][]statement{}}
	file, section, acl := s.conf, "", ""
	for line := range strings.Lines(r.out) {
		line = strings.Join(strings.Fields(line), " ")
		if m := fromFile.FindStringSubmatch(line); m != nil {
			file = m[1]
			continue
		}
		if next, is := strings.CutPrefix(line, "begin "); is {
			section = next
			continue
		}
		if section != "acl" || line == "" {
			continue
		}
		if m := labelOf.FindStringSubmatch(line); m != nil {
			acl = m[1]
			c.acls[acl] = nil
			continue
		}
		c.acls[acl] = grow(c.acls[acl], line, file)
	}
	return c, nil
}

// grow adds a line of an ACL to its statements.
func grow(list []statement, line, file string) []statement {
	if verb := verbLine.FindString(line); verb != "" {
		return append(list, statement{verb, []string{line}, file})
	}
	if len(list) == 0 {
		return list
	}
	last := &list[len(list)-1]
	last.lines = append(last.lines, line)
	return list
}

// statements are those of an ACL that an option names: in the configuration, or a file.
func (s *Setup) statements(c *running, acl string) ([]statement, bool) {
	if list, ok := c.acls[acl]; ok {
		return list, true
	}
	if !filepath.IsAbs(acl) {
		return nil, false
	}
	text, _, err := read(acl)
	if err != nil {
		return nil, false
	}
	var list []statement
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", "")) {
		line = strings.Join(strings.Fields(line), " ")
		if line != "" && !strings.HasPrefix(line, "#") {
			list = grow(list, line, acl)
		}
	}
	return list, true
}

// called is the ACL that a statement calls, with its argument.
var called = regexp.MustCompile(`\bacl = ?(\S+)(?: ([A-Z_]+))?`)

// asksAt finds the statement of an ACL that asks the daemon at a stage, itself or by a file that it calls; -1 if none does.
func (s *Setup) asksAt(c *running, list []statement, stage string) int {
	return slices.IndexFunc(list, func(st statement) bool {
		m := called.FindStringSubmatch(st.text())
		if m == nil {
			return false
		}
		if m[2] == stage && (m[1] == "eximpolicyd" || filepath.Base(m[1]) == "policy.acl") {
			return true
		}
		if m[2] != "" || !filepath.IsAbs(m[1]) {
			return false
		}
		inner, ok := s.statements(c, m[1])
		return ok && slices.ContainsFunc(inner, func(st statement) bool {
			m := called.FindStringSubmatch(st.text())
			return m != nil && m[2] == stage
		})
	})
}

// sources are the files that Exim's configuration is written in, in the order in which they are read; a file that cannot be
// read safely is left out.
func (s *Setup) sources() []string {
	switch s.flavour {
	case "debian-split":
		list, err := sections()
		if err != nil {
			return nil
		}
		return list
	case "debian-unsplit":
		return []string{filepath.Join(s.dir, "localmacros.inc"), debianMacros, debianTemplate} // our line is the first
	}
	list := []string{s.conf}
	included := regexp.MustCompile(`(?m)^[ \t]*\.include(?:_if_exists)?[ \t]+(/\S+)`)
	for i := 0; i < len(list) && i < 100; i++ {
		text, _, err := read(list[i])
		if err != nil {
			continue
		}
		for _, m := range included.FindAllSubmatch(text, -1) {
			if !slices.Contains(list, string(m[1])) {
				list = append(list, string(m[1]))
			}
		}
	}
	return list
}

// A place is a line of a file; line 0 is the file as a whole.
type place struct {
	file string
	line int
}

// String writes it as compilers do.
func (p place) String() string {
	if p.line == 0 {
		return p.file
	}
	return fmt.Sprintf("%s:%d", p.file, p.line)
}

// where looks in the sources for the last line that matches, or, if only is given, in that file.
func (s *Setup) where(pattern *regexp.Regexp, only string) (p place, found bool) {
	list := s.sources()
	if only != "" {
		list = []string{only}
	}
	for _, file := range list {
		text, _, err := read(file)
		if err != nil {
			continue
		}
		n := 0
		for line := range strings.Lines(string(text)) {
			if n++; pattern.MatchString(strings.TrimSuffix(line, "\n")) {
				p, found = place{file, n}, true
			}
		}
	}
	return p, found
}

// optionAt says where an option of Exim's is set: by its own name, or in Debian's configuration by the macro that is its value.
func (s *Setup) optionAt(option string) place {
	p, ok := s.where(regexp.MustCompile(`^\s*`+option+`\s*=`), "")
	if !ok {
		return place{file: s.conf}
	}
	if macro := "MAIN_" + strings.ToUpper(strings.Replace(option, "acl_smtp_", "acl_check_", 1)); s.debian() {
		if m, ok := s.macroAt(macro); ok {
			return m
		}
	}
	return p
}

// macroAt says where a macro gets its value last, the default of the package aside: that stands below its .ifndef.
func (s *Setup) macroAt(macro string) (p place, found bool) {
	define := regexp.MustCompile(`^\s*` + macro + `\s*==?\s*\S`)
	for _, file := range s.sources() {
		text, _, err := read(file)
		if err != nil {
			continue
		}
		before := ""
		for i, line := range strings.Split(string(text), "\n") {
			if define.MatchString(line) && strings.Join(strings.Fields(before), " ") != ".ifndef "+macro {
				p, found = place{file, i + 1}, true
			}
			before = line
		}
	}
	return p, found
}

// statementAt says where a statement of an ACL stands in the sources: the place whose verb and next line are these, below
// the ACL's label.
func (s *Setup) statementAt(acl string, st statement) place {
	if filepath.IsAbs(acl) || st.file == acl {
		return s.lineIn(acl, "", st)
	}
	for _, file := range s.sources() {
		if p := s.lineIn(file, acl, st); p.line > 0 {
			return p
		}
	}
	if p := s.lineIn(st.file, "", st); p.line > 0 {
		return p
	}
	return place{file: st.file}
}

// lineIn looks for a statement in one file, below a label if one is given.
func (s *Setup) lineIn(file, label string, st statement) place {
	text, _, err := read(file)
	if err != nil {
		return place{file: file}
	}
	lines := strings.Split(string(text), "\n")
	for i := range lines {
		lines[i] = strings.Join(strings.Fields(lines[i]), " ")
	}
	below := label == ""
	for i, line := range lines {
		if m := labelOf.FindStringSubmatch(line); m != nil && label != "" {
			below = m[1] == label
		}
		if !below || line != st.lines[0] {
			continue
		}
		next := ""
		for _, l := range lines[i+1:] {
			if l != "" && !strings.HasPrefix(l, "#") && !strings.HasPrefix(l, ".") {
				next = l
				break
			}
		}
		if len(st.lines) == 1 || next == st.lines[1] || strings.Contains(next, "=") && strings.HasPrefix(st.lines[1], next[:strings.Index(next, "=")]) {
			return place{file, i + 1}
		}
	}
	return place{file: file}
}
