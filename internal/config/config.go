// Package config reads eximpolicyd.toml into typed settings.
//
// A configuration is either right or not used: one mistake anywhere and Parse returns no Config, so that a daemon that
// reloads keeps what it has. Therefore reading never stops at the first mistake; an administrator sees all of them at
// once, each with file, line and column. A name that nothing reads (a misspelt key, a table of another program, a rule
// that this version does not have) is a mistake as well, since a setting that is silently ignored is worse than none.
//
// Lines and columns count from 1, and a column counts bytes, as compilers do: a tab is one, an umlaut is two. A bad
// value is reported where the value begins, an unknown or doubled key where the key begins, a value that a policy
// rejects where the value begins, or at the header of the policy's table if it is the default.
//
// Reading has three steps. The text is cut into expressions (chunk.go), which is where it recovers from a syntax error:
// an expression that can't be parsed is reported once, and the next line that looks like a key or a header is read
// again. go-toml's parser reads each expression into a tree that knows its positions (tree.go). The tree is then walked
// along the table of known keys (keys.go), which also writes the default file: what is documented is what is read.
// go-toml's own decoder stops at the first wrong type and hides the unknown keys after it, so it is not used.
//
// The keys of [policy.NAME] come from the policy itself: package policy's table says which policies and rules there
// are, and the toml tags of a policy's Settings which keys. A new policy changes nothing here.
package config

import (
	"log/slog"

	"eximpolicyd/policy"
)

// Config is a whole configuration without a mistake.
type Config struct {
	Mode     policy.Mode // no rule does more than this
	Listen   Listen
	Own      *policy.Own // never nil
	Exempt   policy.Exempt
	Log      Log
	DNS      DNS
	State    State
	Metrics  Metrics
	Policies map[string]policy.Setup // one for each policy of the table, by name
}

// Listen is [listen]: the socket that Exim asks.
type Listen struct {
	Socket string   // absolute path, at most 107 bytes
	Group  string   // of the socket; empty: the first mail group that this machine has
	Peers  []string // user names or uids that may ask; empty: the built-in list. Names are not looked up here
	Prove  bool     // ask the kernel whether a connection that Exim tells of is there
}

// Log is [log].
type Log struct {
	Level   slog.Level
	Format  string // auto, text, journal or json
	Privacy string // full, hashed or none
}

// Default returns the configuration of an empty file: everything observes, nothing is refused.
func Default() *Config { return defaults(policy.Table()) }

func defaults(table []policy.Policy) *Config {
	c := &Config{
		Mode:     policy.Enforce,
		Listen:   Listen{Socket: "/run/eximpolicyd/policy.sock", Prove: true},
		Own:      &policy.Own{},
		Exempt:   policy.Exempt{SubmissionPorts: []int{465, 587}}, // RFC 8314 7.3, RFC 6409 3.1
		Log:      Log{Level: slog.LevelInfo, Format: "auto", Privacy: "full"},
		DNS:      DNS{Ask: true},
		State:    State{Save: true, Keys: defaultKeys},
		Policies: make(map[string]policy.Setup, len(table)),
	}
	for _, p := range table {
		c.Policies[p.Name] = policy.Setup{Mode: policy.Known(policy.Observe), Settings: p.New()}
	}
	return c
}

// maxFile bounds a configuration. 20,000 networks written out take half of it.
const maxFile = 1 << 20

// Load reads a file. The error is of type [Mistakes].
func Load(file string) (*Config, error) {
	data, fault := readFile(file, maxFile)
	if fault != "" {
		return nil, Mistakes{{File: file, Text: fault}}
	}
	return Parse(file, data, policy.Table())
}

// Parse reads the text of a configuration; name is what its mistakes call it. Without a mistake the error is nil,
// otherwise it is of type [Mistakes] and there is no Config. It opens no file but the one that own.domains names.
func Parse(name string, data []byte, table []policy.Policy) (*Config, error) {
	src := newSource(name, data)
	if at, fault := src.binary(); fault != "" {
		line, column := src.place(at)
		return nil, Mistakes{{File: name, Line: line, Column: column, Text: fault}}
	}
	c, spare := defaults(table), defaults(table)
	r := &reader{src: src, root: keysOf(c, table), spare: keysOf(spare, table), bad: map[string]bool{}}
	doc := r.parse()
	r.walk(r.root, doc.root, "")
	r.absent(doc.root, table)
	for _, d := range doc.detached {
		r.try(find(r.spare, d.path), d.table, joined(d.path))
	}
	if len(r.mistakes) > 0 {
		return nil, r.mistakes.sorted(name)
	}
	return c, nil
}
