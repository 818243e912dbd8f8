package config

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"eximpolicyd/policy"
)

// keysOf is the table of all keys, bound to the Config that they fill. The order is that of the default file.
func keysOf(c *Config, table []policy.Policy) []key {
	return []key{
		{name: "mode", about: "the most that any rule does: off, observe (judge and log, refuse nothing) or enforce",
			value: quote(c.Mode.String()), read: readMode(func(m policy.Mode) { c.Mode = m })},
		{name: "listen", about: "The socket that Exim asks.", keys: listenKeys(&c.Listen)},
		{name: "own", about: "Who we are. What is empty is taken from Exim and the interfaces.", keys: ownKeys(c.Own)},
		{name: "exempt", about: "Whom the policies pass by.", keys: exemptKeys(&c.Exempt)},
		{name: "dns", about: "The resolvers that are asked for names and block lists.", keys: dnsKeys(&c.DNS)},
		{name: "state", about: "What is remembered across connections.", keys: stateKeys(&c.State)},
		{name: "metrics", about: "Where the figures for Prometheus are read.", keys: metricsKeys(&c.Metrics)},
		{name: "log", about: "The log on standard error.", keys: logKeys(&c.Log)},
		{name: "policy", about: "The policies, in the order asked.", keys: policyKeys(c, table)},
	}
}

func listenKeys(l *Listen) []key {
	return []key{
		{name: "socket", about: "absolute path, at most 107 bytes", value: quote(l.Socket), read: readSocket(&l.Socket)},
		{name: "group", about: `group of the socket, that of Exim; "": the first of Debian-exim, exim, mailnull, mail`,
			value: quote(l.Group), read: readGroup(&l.Group)},
		{name: "peers", about: "user names or uids that may ask; []: root, Exim's user and our own",
			value: "[]", example: `["Debian-exim"]`, read: readPeers(&l.Peers)},
		{name: "prove", about: `"on": ask the kernel whether a connection that Exim tells of is there; or "off"`,
			value: `"on"`, read: readWord(func(s string) { l.Prove = s == "on" }, "on", "off")},
	}
}

func ownKeys(o *policy.Own) []key {
	return []key{
		{name: "names", about: "our host names, with which nobody else may greet; []: Exim's",
			value: "[]", example: `["mail.example.com"]`, read: readNames(&o.Names)},
		{name: "addresses", about: "our public addresses, as seen from outside; []: those of the interfaces",
			value: "[]", example: `["192.0.2.1", "2001:db8::1"]`, read: readAddresses(&o.Addresses)},
		{name: "domains", about: `the domains we host, or a file with one on each line, such as "/etc/localdomains"`,
			value: "[]", example: `["example.com"]`, read: readDomains(&o.Domains)},
	}
}

func exemptKeys(e *policy.Exempt) []key {
	return []key{
		{name: "relay", about: "hosts that relay mail to us, as addresses or networks: they are not judged by greeting",
			value: "[]", example: `["192.0.2.0/24", "2001:db8::/32"]`, read: readPrefixes(&e.Relay)},
		{name: "allow", about: "clients that no rule applies to, as addresses or networks",
			value: "[]", example: `["192.0.2.1"]`, read: readPrefixes(&e.Allow)},
		{name: "deny", about: "clients that are refused, as addresses or networks",
			value: "[]", example: `["192.0.2.128/25"]`, read: readPrefixes(&e.Deny)},
		{name: "submission_ports", about: "ports on which mail programs submit",
			value: numbers(e.SubmissionPorts), read: readPorts(&e.SubmissionPorts)},
	}
}

func logKeys(l *Log) []key {
	level := func(s string) {
		// The words are those that readWord lets through, all of which slog knows.
		_ = l.Level.UnmarshalText([]byte(s))
	}
	return []key{
		{name: "level", about: "debug, info, warn or error", value: quote(strings.ToLower(l.Level.String())),
			read: readWord(level, "debug", "info", "warn", "error")},
		{name: "format", about: "auto (journal under systemd, else text), text, journal or json",
			value: quote(l.Format), read: readWord(func(s string) { l.Format = s }, "auto", "text", "journal", "json")},
		{name: "privacy", about: "mail addresses in the log: full, hashed (the part before the @) or none",
			value: quote(l.Privacy), read: readWord(func(s string) { l.Privacy = s }, "full", "hashed", "none")},
	}
}

// policyKeys has a table for each policy: what all policies have, then the settings' own keys, then the rules.
func policyKeys(c *Config, table []policy.Policy) []key {
	keys := make([]key, 0, len(table))
	for _, p := range table {
		setup := c.Policies[p.Name]
		change := func(f func(*policy.Setup)) {
			s := c.Policies[p.Name]
			f(&s)
			c.Policies[p.Name] = s
		}
		own := []key{
			{name: "mode", about: "of the rules that have no mode below: off, observe or enforce",
				value: quote(setup.Mode.Value.String()),
				read:  readMode(func(m policy.Mode) { change(func(s *policy.Setup) { s.Mode = policy.Known(m) }) })},
			{name: "preset", about: "which answers the rules have: lenient, rfc or strict",
				value: quote(setup.Preset.String()), read: readPreset(change)},
			{name: "grace_until", about: "until this day, refuse for now only (4xx)", example: "2026-12-01",
				read: readGrace(change)},
		}
		own = append(own, settingKeys(setup.Settings)...)
		own = append(own, key{name: "rules", rules: true, keys: ruleKeys(setup.Settings.Rules(), change),
			about: "A mode of its own for a rule. Answers stand as lenient | rfc | strict."})
		keys = append(keys, key{name: p.Name, about: p.About, keys: own, check: setup.Settings.Check})
	}
	return keys
}

func ruleKeys(rules []policy.Rule, change func(func(*policy.Setup))) []key {
	keys := make([]key, 0, len(rules))
	for _, r := range rules {
		about := r.Title
		if r.Answers != (policy.Answers{}) { // at the end of a session there is nobody to answer
			about += ": " + answers(r.Answers)
		}
		keys = append(keys, key{name: r.ID, about: about, example: quote(policy.Observe.String()),
			read: readMode(func(m policy.Mode) {
				change(func(s *policy.Setup) {
					if s.Rules == nil {
						s.Rules = map[string]policy.Mode{}
					}
					s.Rules[r.ID] = m
				})
			})})
	}
	return keys
}

func answers(a policy.Answers) string {
	if a[policy.Lenient] == a[policy.RFC] && a[policy.RFC] == a[policy.Strict] {
		return a[policy.Lenient].String()
	}
	return a[policy.Lenient].String() + " | " + a[policy.RFC].String() + " | " + a[policy.Strict].String()
}

func readMode(set func(policy.Mode)) func(*arg) {
	return func(a *arg) {
		var m policy.Mode
		if s, ok := a.text(); !ok {
			return
		} else if err := m.UnmarshalText([]byte(s)); err != nil {
			a.fail("%v", err)
			return
		}
		set(m)
	}
}

func readPreset(change func(func(*policy.Setup))) func(*arg) {
	return func(a *arg) {
		var p policy.Preset
		if s, ok := a.text(); !ok {
			return
		} else if err := p.UnmarshalText([]byte(s)); err != nil {
			a.fail("%v", err)
			return
		}
		change(func(s *policy.Setup) { s.Preset = p })
	}
}

// readWord takes one of a few words.
func readWord(set func(string), words ...string) func(*arg) {
	return func(a *arg) {
		list := strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
		if a.value.kind != unstable.String {
			a.wrong("one of the words " + list + ", in quotes")
			return
		}
		for _, w := range words {
			if a.value.text == w {
				set(w)
				return
			}
		}
		a.fail("%s is none of %s", quoted(a.value.text), list)
	}
}

// maxSocket is the size of sun_path (unix(7)) without the NUL at its end.
const maxSocket = 107

func readSocket(dst *string) func(*arg) { return readSocketLike(dst, "/run/eximpolicyd/policy.sock") }

// readSocketLike reads the path of a socket; an example stands in its mistakes.
func readSocketLike(dst *string, like string) func(*arg) {
	return func(a *arg) {
		s, ok := a.text()
		switch {
		case !ok:
		case s == "":
			a.fail("is empty: write a path like %s", like)
		case strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }):
			a.fail("has a control character")
		case !path.IsAbs(s):
			a.fail("%s is no absolute path: write one like %s", quoted(s), like)
		case len(s) > maxSocket:
			a.fail("has %d bytes, and a socket's path may have %d", len(s), maxSocket)
		case s == "/":
			a.fail("/ is a directory: name a file in it")
		case path.Clean(s) != s:
			a.fail("%s is not plain: write %s", quoted(s), quoted(path.Clean(s)))
		default:
			*dst = s
		}
	}
}

// account says what is wrong with the name of a user or a group (useradd(8), but for capitals, since Debian's Exim has
// one). A number passes.
func account(s string) string {
	switch {
	case s == "":
		return "is empty"
	case len(s) > 32:
		return quoted(s) + " has more than 32 characters"
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !bare(c) && (i == 0 || c != '.' && (c != '$' || i < len(s)-1)) || i == 0 && c == '-' {
			return quoted(s) + " has a character that no name has"
		}
	}
	return ""
}

func readGroup(dst *string) func(*arg) {
	return func(a *arg) {
		s, ok := a.text()
		if !ok {
			return
		}
		if s != "" {
			fault := account(s)
			if fault == "" && strings.Trim(s, "0123456789") == "" {
				fault = quoted(s) + " is a number"
			}
			if fault != "" {
				a.fail("%s: write the name of a group, like Debian-exim", fault)
				return
			}
		}
		*dst = s
	}
}

// maxUID is one less than the number that chown(2) takes for "leave it".
const maxUID = 1<<32 - 2

func readPeers(dst *[]string) func(*arg) {
	return func(a *arg) {
		var list []string
		items(a, func(a *arg) (string, bool) {
			s := a.value.text
			if a.value.kind != unstable.Integer {
				var ok bool
				if s, ok = a.text(); !ok {
					return "", false
				}
			}
			number := a.value.kind == unstable.Integer || s != "" && strings.Trim(s, "+-0123456789") == ""
			if number {
				if n, err := strconv.ParseUint(s, 10, 64); err != nil || n > maxUID {
					a.fail("%s is no uid: write 0 to %d", quoted(s), uint32(maxUID))
					return "", false
				}
			} else if fault := account(s); fault != "" {
				a.fail("%s: write the name of a user or a uid", fault)
				return "", false
			}
			list = append(list, s)
			return s, true
		})
		*dst = list
	}
}

func readPorts(dst *[]int) func(*arg) {
	return func(a *arg) {
		var list []int
		items(a, func(a *arg) (int, bool) {
			if a.value.kind != unstable.Integer {
				a.wrong("a port number without quotes")
				return 0, false
			}
			n, err := strconv.ParseInt(a.value.text, 0, 64)
			if err != nil || n < 1 || n > 65535 {
				a.fail("%s is no port: write 1 to 65535", a.value.text)
				return 0, false
			}
			list = append(list, int(n))
			return int(n), true
		})
		*dst = list
	}
}

func numbers(list []int) string {
	words := make([]string, len(list))
	for i, n := range list {
		words[i] = strconv.Itoa(n)
	}
	return "[" + strings.Join(words, ", ") + "]"
}

// quote writes a text as TOML.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, c)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
