package config

import (
	"path"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// State is [state]: where the memory across connections is kept, and how much of it.
type State struct {
	Save bool   // off: it is lost when the daemon ends
	Dir  string // absolute; empty: $STATE_DIRECTORY, which systemd sets, or /var/lib/eximpolicyd
	Keys int    // most clients, networks and accounts that are counted, 1,000 to 10,000,000
}

// Bounds of the keys: 100 octets each.
const (
	minKeys     = 1000
	maxKeys     = 10_000_000
	defaultKeys = 262_144
)

func stateKeys(s *State) []key {
	return []key{
		{name: "save", about: `"on", or "off": bans and counts are lost when the daemon ends`,
			value: `"on"`, read: readWord(func(word string) { s.Save = word == "on" }, "on", "off")},
		{name: "dir", about: `folder of the daemon's own; "": $STATE_DIRECTORY of systemd, else /var/lib/eximpolicyd`,
			value: quote(s.Dir), read: readDir(&s.Dir)},
		{name: "keys", about: "most clients, networks and accounts that are counted, 100 octets each; the oldest are forgotten first",
			value: strconv.Itoa(s.Keys), read: readCount(&s.Keys, minKeys, maxKeys)},
	}
}

func readDir(dst *string) func(*arg) {
	return func(a *arg) {
		s, ok := a.text()
		switch {
		case !ok:
		case s == "":
			*dst = s
		case strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }):
			a.fail("has a control character")
		case !path.IsAbs(s) || path.Clean(s) != s || s == "/":
			a.fail("%s is no clean absolute path: write one like /var/lib/eximpolicyd", quoted(s))
		default:
			*dst = s
		}
	}
}

func readCount(dst *int, least, most int) func(*arg) {
	return func(a *arg) {
		if a.value.kind != unstable.Integer {
			a.wrong("a whole number without quotes")
			return
		}
		n, err := strconv.ParseInt(a.value.text, 0, 64)
		if err != nil || n < int64(least) || n > int64(most) {
			a.fail("%s is out of range: write %d to %d", printable(a.value.text, 40), least, most)
			return
		}
		*dst = int(n)
	}
}
