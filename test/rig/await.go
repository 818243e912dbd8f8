package rig

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// patience bounds every wait for a real process. It is no measurement: a wait
// ends when its condition holds, and a test that needs this long has failed.
// rspamd took over a minute to begin on two cores that many used.
const patience = 3 * time.Minute

// Await returns as soon as done returns true, or an error that names what was
// waited for. It is for what another process does (a log line, a delivery); a
// condition inside this one is a channel.
func Await(what string, done func() bool) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(patience)
	defer end.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-end.C:
			return fmt.Errorf("rig: waited %v for %s", patience, what)
		}
	}
	return nil
}

func hasWord(text, word string) bool { return slices.Contains(strings.Fields(text), word) }
