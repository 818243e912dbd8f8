package trace

import (
	"slices"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"eximpolicyd/internal/mainlog"
)

// joiner finds the lines of a log that belong to one message: the command line before it, our own note, its arrival. The zero
// value is not ready: newJoiner. It is for one goroutine.
//
// Bound: maxCommands command lines and maxNotes notes, the oldest of which are forgotten; their messages then have no directory.
type joiner struct {
	byPID *simplelru.LRU[int32, command] // of logs with +pid
	loose []command                      // of others, the oldest first, each until it is some message's
	notes *simplelru.LRU[string, note]   // by the id of the message
}

// Bounds of the joiner.
const (
	maxCommands = 4096
	maxLoose    = 256 // that wait for a message within guessTime
	maxNotes    = 4096
	// guessTime is how long after its command line a message may arrive to be taken for that command's. A script that writes
	// slowly is not joined; one that did nothing else is not blamed.
	guessTime = 2 * time.Second
	pidTime   = 10 * time.Minute // the same, where the process is known: its number may come again
)

func newJoiner() *joiner {
	byPID, _ := simplelru.NewLRU[int32, command](maxCommands, nil) // it fails for no size only
	notes, _ := simplelru.NewLRU[string, note](maxNotes, nil)
	return &joiner{byPID: byPID, notes: notes}
}

// take returns the message that an event makes, or nil.
func (j *joiner) take(e *mainlog.Event) *Message {
	switch e.Kind {
	case mainlog.CommandLine:
		if c, submits := newCommand(e); submits {
			j.add(e.PID, c)
		}
	case mainlog.Written:
		if n, ok := readNote(e); ok {
			j.notes.Add(n.id, n)
		}
	case mainlog.Arrived, mainlog.ArrivedRefused, mainlog.SubmissionRefused:
		m := newMessage(e)
		j.complete(m, e)
		return m
	}
	return nil
}

func (j *joiner) add(pid int32, c command) {
	if pid != 0 {
		j.byPID.Add(pid, c)
		return
	}
	j.loose = slices.DeleteFunc(j.loose, func(old command) bool { return c.time.Sub(old.time) > guessTime })
	if len(j.loose) < maxLoose {
		j.loose = append(j.loose, c)
	}
}

// complete adds to a message what other lines say of it.
func (j *joiner) complete(m *Message, e *mainlog.Event) {
	if !m.Client.IsValid() {
		if c, sure, ok := j.command(m, e.PID); ok {
			m.Directory, m.Arguments, m.Script, m.Guess = c.dir, c.text, c.script, !sure
		}
	}
	if script := scriptOf(e); script != "" {
		m.Script = script
	}
	if n, ok := j.notes.Get(m.ID); ok {
		j.notes.Remove(m.ID)
		n.complete(m)
	}
}

// command returns the command line of a local message. One process may send several: sendmail -bs.
func (j *joiner) command(m *Message, pid int32) (c command, sure, ok bool) {
	if pid != 0 {
		c, ok = j.byPID.Get(pid)
		return c, true, ok && m.Time.Sub(c.time) <= pidTime
	}
	best, how := -1, 0
	for i := range j.loose {
		if fit := j.loose[i].fits(m); fit > how {
			best, how = i, fit
		}
	}
	if best < 0 {
		return c, false, false
	}
	c = j.loose[best]
	j.loose = slices.Delete(j.loose, best, best+1)
	return c, c.bounceOf != "" && how > 2, true
}
