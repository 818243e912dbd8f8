package setup

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A call is one ${readsocket} that asks the daemon.
type call struct{ timeout, fail string }

// callsIn finds the calls in a text in which macros are written out.
func callsIn(text string) (list []call) {
	const head = "${readsocket"
	for {
		i := strings.Index(text, head)
		if i < 0 {
			return list
		}
		text = text[i+len(head):]
		args := braces(text)
		if len(args) >= 2 && strings.Contains(args[1], "request=exim_acl") {
			c := call{}
			if len(args) > 2 {
				c.timeout, _, _ = strings.Cut(args[2], ":")
			}
			if len(args) > 4 {
				c.fail = args[4]
			}
			list = append(list, c)
		}
	}
}

// braces returns what stands in each of the braces that follow each other at the beginning of a text.
func braces(text string) (args []string) {
	for {
		text = strings.TrimLeft(text, " \t\n\\")
		if !strings.HasPrefix(text, "{") {
			return args
		}
		depth, end := 0, -1
		for i := 0; i < len(text) && end < 0; i++ {
			switch text[i] {
			case '\\':
				i++
			case '{':
				depth++
			case '}':
				if depth--; depth == 0 {
					end = i
				}
			}
		}
		if end < 0 {
			return args
		}
		args = append(args, text[1:end])
		text = text[end+1:]
	}
}

// understood is a time as Exim reads it; anything else is "never" to readsocket, and so is no time at all.
var understood = regexp.MustCompile(`^([0-9]+[wdhms])*$`)

// forever reports whether Exim would wait for ever; an empty one is its default of 5 s.
func forever(timeout string) bool {
	return !understood.MatchString(timeout) || timeout != "" && strings.Trim(timeout, "0wdhms") == ""
}

// checkCalls looks at how the daemon is asked: a time-out that Exim reads, and a call as the fail string, without which Exim
// writes the next request into a file that is not ours.
func (s *Setup) checkCalls(f *findings, c *running) {
	for _, acls := range s.everyACL(c) {
		for _, call := range callsIn(acls.text) {
			if forever(call.timeout) {
				at := s.callAt(acls.file, `EXIMPOLICYD_TIMEOUT\s*=`, `\{`+regexp.QuoteMeta(call.timeout)+`\}`)
				f.add(at, "write whole seconds with their unit there, 3s say", "the time-out %q is none that Exim reads: it waits for ever", call.timeout)
			}
			if len(callsIn(strings.Replace(call.fail, "reset", "request=exim_acl", 1))) == 0 {
				at := s.callAt(acls.file, `EXIMPOLICYD_ASK\s*=`, `readsocket`)
				f.add(at, "take the file away and run "+again, "the call has no other one as its fail string: without a daemon Exim writes requests into its own log and answers 421")
			}
		}
	}
}

// callAt looks for where a call is written: in a macro, or in an ACL file itself.
func (s *Setup) callAt(file, macro, text string) place {
	if p, ok := s.where(regexp.MustCompile(`^\s*`+macro), ""); ok {
		return p
	}
	if p, ok := s.where(regexp.MustCompile(text), file); ok {
		return p
	}
	return place{file: file}
}

// acls is the text of one ACL, or of one file of ACLs.
type acls struct{ file, text string }

// everyACL returns the text of all that Exim has in its configuration, and of the files that they call.
func (s *Setup) everyACL(c *running) (all []acls) {
	var files []string
	see := func(file, text string) {
		all = append(all, acls{file, text})
		for _, m := range called.FindAllStringSubmatch(text, -1) {
			if filepath.IsAbs(m[1]) && !slices.Contains(files, m[1]) {
				files = append(files, m[1])
			}
		}
	}
	for _, list := range c.acls {
		for _, st := range list {
			see(st.file, st.text())
		}
	}
	for _, h := range s.hooks() {
		if value := s.option(h.option); filepath.IsAbs(value) && !slices.Contains(files, value) {
			files = append(files, value)
		}
	}
	for i := 0; i < len(files); i++ {
		text, _, err := read(files[i])
		if err != nil {
			continue // checkFiles says so of ours
		}
		see(files[i], strings.ReplaceAll(string(text), "\\\n", ""))
	}
	return all
}
