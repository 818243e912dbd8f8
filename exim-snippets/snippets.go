// Package eximsnippets holds what an administrator puts into Exim so that it
// asks the daemon: the request, the policy ACL, and the lines that call it.
//
// The texts lie under text/ as Exim reads them. text/shared holds the macros
// (request and call), the policy ACL and the RCPT statements, once; a flavour
// is a folder of small files that say where these go. The one-file Debian
// configuration has no room for an ACL, so there each ACL is a file of its own,
// and since Exim expands no macros in such a file, Render writes them out: the
// same text, and no second copy of it. Control panels (panels.go) have rooms of
// their own for the same texts.
//
// The wire protocol is described in package acl.
package eximsnippets

import (
	"embed"
	"fmt"
	"path"
	"strings"
)

//go:embed text
var texts embed.FS

// Options is what differs from one site to the next.
type Options struct {
	// Socket is the absolute path of the daemon's socket; DefaultSocket if empty.
	Socket string
	// Timeout is what one question may cost, whole seconds with their unit; DefaultTimeout if empty.
	Timeout string
	// Dir is the folder the files will lie in, absolute; the flavour's usual place if empty.
	// It shows in the texts only where Exim must be told a path.
	Dir string
}

// The socket and the time-out of an installation as it comes.
const (
	DefaultSocket  = "/run/eximpolicyd/policy.sock"
	DefaultTimeout = "3s"
)

// File is one file of a flavour.
type File struct {
	Name  string // relative to the folder of the flavour, with slashes
	Text  string
	Place string // where it goes and which line calls it, one sentence for the administrator
}

// A source is one file of a flavour before its marks are filled in.
type source struct {
	name, text string // File.Name; name below text/FLAVOUR
	place      string // may hold @DIR@
}

// A flavour is one way of arranging Exim's configuration.
type flavour struct {
	name    string
	dir     string   // where the files usually lie
	policy  string   // what "acl =" names; may hold @DIR@
	macros  bool     // Exim expands macros where our ACLs stand
	built   []string // without macros: the features that each build of Exim has there
	lists   lists
	sources []source
	steps   []string // what is done after the files are in place, in order; each may hold @DIR@
}

// lists are the site's own, in the names that the flavour has for them.
type lists struct{ relayHosts, localDomains, verifyDomains string }

// exims are the names in Exim's own default configuration, which Debian keeps.
func exims() lists {
	return lists{"+relay_from_hosts", "+local_domains", "+local_domains : +relay_to_domains"}
}

// flavours is a table and not a variable, so that nobody can change it.
func flavours() []flavour {
	return []flavour{
		{name: "stock", dir: "/etc/exim", policy: "eximpolicyd", macros: true, lists: exims(), steps: []string{test, reload}, sources: []source{
			{"eximpolicyd-main.inc", "eximpolicyd-main.inc",
				`add the line ".include @DIR@/eximpolicyd-main.inc" directly before "begin acl"`},
			{"eximpolicyd-acl.inc", "eximpolicyd-acl.inc",
				`add the line ".include @DIR@/eximpolicyd-acl.inc" directly after "begin acl"`},
			{"eximpolicyd-rcpt.inc", "eximpolicyd-rcpt.inc",
				`add the line ".include @DIR@/eximpolicyd-rcpt.inc" directly after "acl_check_rcpt:", before "accept hosts = :"`},
			{"eximpolicyd-data.inc", "eximpolicyd-data.inc",
				`add the line ".include @DIR@/eximpolicyd-data.inc" directly after "acl_check_data:"`},
		}},
		{name: "debian-split", dir: "/etc/exim4/conf.d", policy: "eximpolicyd", macros: true, lists: exims(), steps: debianSteps(), sources: []source{
			{"main/00_eximpolicyd", "main_00", `copy it to @DIR@/main/00_eximpolicyd; no line to add, run update-exim4.conf after the last file`},
			{"main/95_eximpolicyd", "main_95", `copy it to @DIR@/main/95_eximpolicyd; no line to add, run update-exim4.conf after the last file`},
			{"acl/10_eximpolicyd", "acl_10", `copy it to @DIR@/acl/10_eximpolicyd; no line to add, run update-exim4.conf after the last file`},
		}},
		{name: "debian-unsplit", dir: "/etc/exim4/eximpolicyd", policy: "@DIR@/policy.acl", built: builtByDebian(), lists: exims(),
			steps: debianSteps(), sources: unsplit()},
	}
}

// What is done after the files are in place.
const (
	test   = `exim -bV    (exim4 -bV on Debian) must end without a complaint`
	reload = `reload Exim, and "eximpolicyd setup --check" says whether it asks`
)

func debianSteps() []string { return []string{"update-exim4.conf", test, reload} }

func unsplit() []source {
	list := []source{{"localmacros.inc", "localmacros.inc",
		`add the line ".include @DIR@/localmacros.inc" to /etc/exim4/exim4.conf.localmacros (make that file if there is none), ` +
			`after the other files are in place, and run update-exim4.conf`}}
	for _, n := range []string{"policy", "connect", "helo", "mail", "rcpt", "data", "quit", "notquit", "not_smtp"} {
		list = append(list, source{n + ".acl", n + ".acl",
			"copy it to @DIR@/" + n + ".acl, readable by Exim's user; localmacros.inc refers to it"})
	}
	return list
}

// Flavours returns the names of the arrangements that an administrator keeps himself, in the order in which to offer them.
func Flavours() []string { return names(flavours()) }

// Panels returns the names of those in which a control panel writes Exim's configuration.
func Panels() []string { return names(panels()) }

// All returns every name that Render knows, in the order in which to offer them.
func All() []string { return names(all()) }

func all() []flavour { return append(flavours(), panels()...) }

func names(list []flavour) (names []string) {
	for _, f := range list {
		names = append(names, f.name)
	}
	return names
}

// DefaultDir returns the folder in which a flavour's files usually lie, or ""
// for a flavour it does not know.
func DefaultDir(name string) string {
	for _, f := range all() {
		if f.name == name {
			return f.dir
		}
	}
	return ""
}

// Steps returns what is done after the files of a flavour are in place, in order, one sentence or command each; nil for a
// flavour it does not know. An empty folder is the flavour's usual one.
func Steps(name, dir string) (steps []string) {
	for _, f := range all() {
		if f.name != name {
			continue
		}
		if dir == "" {
			dir = f.dir
		}
		for _, s := range f.steps {
			steps = append(steps, strings.ReplaceAll(s, "@DIR@", dir))
		}
	}
	return steps
}

// Render returns the files of a flavour, in the order in which to install
// them. The same options give the same bytes.
func Render(name string, o Options) ([]File, error) {
	for _, f := range all() {
		if f.name == name {
			o, err := o.complete(f)
			if err != nil {
				return nil, err
			}
			return f.render(o)
		}
	}
	return nil, fmt.Errorf("snippets: unknown flavour %q: use one of %s", name, strings.Join(All(), ", "))
}

func (f flavour) render(o Options) ([]File, error) {
	macros, err := shared("macros")
	if err != nil {
		return nil, err
	}
	policy, err := shared("policy")
	if err != nil {
		return nil, err
	}
	rcpt, err := shared("rcpt")
	if err != nil {
		return nil, err
	}
	values := strings.NewReplacer(
		"@SOCKET@", o.Socket,
		"@TIMEOUT@", o.Timeout,
		"@BYPASS@", path.Join(path.Dir(o.Socket), "bypass"),
		"@POLICY@", strings.ReplaceAll(f.policy, "@DIR@", o.Dir),
		"@DIR@", o.Dir,
		"@RELAY_HOSTS@", f.lists.relayHosts,
		"@LOCAL_DOMAINS@", f.lists.localDomains,
		"@VERIFY_DOMAINS@", f.lists.verifyDomains,
	)
	macros = values.Replace(macros)
	if !f.macros {
		table := parseMacros(macros, f.built)
		policy, rcpt = table.expand(policy), table.expand(rcpt)
	}
	parts := strings.NewReplacer("@MACROS@\n", macros, "@POLICY_ACL@\n", policy, "@RCPT@\n", rcpt)
	var files []File
	for _, s := range f.sources {
		text, err := texts.ReadFile("text/" + f.name + "/" + s.text)
		if err != nil {
			return nil, fmt.Errorf("snippets: the binary lacks a text of flavour %s: %w", f.name, err)
		}
		files = append(files, File{
			Name:  s.name,
			Text:  values.Replace(parts.Replace(string(text))),
			Place: values.Replace(s.place),
		})
	}
	return files, nil
}

func shared(name string) (string, error) {
	b, err := texts.ReadFile("text/shared/" + name)
	if err != nil {
		return "", fmt.Errorf("snippets: the binary lacks a shared text: %w", err)
	}
	return string(b), nil
}
