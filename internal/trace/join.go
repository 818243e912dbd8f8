package trace

import (
	"slices"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"eximpolicyd/internal/mainlog"
)

// joiner finds the lines of a log that belong to one message: the command line before it, our own note before or after it, its
// arrival. Make one with newJoiner; it is for one goroutine.
//
// Bound: maxCommands command lines, maxNotes notes and maxWaiting messages. The oldest command lines and notes are forgotten, and
// their messages then have no directory.
type joiner struct {
	byPID   *simplelru.LRU[int32, command] // of logs with +pid
	loose   []command                      // of others, the oldest first, each until it is some message's
	notes   *simplelru.LRU[string, note]   // by the id of the message
	waiting []*Message                     // for a note, in the order of their arrival
	late    map[string]*Message            // the same, by id
}

// Bounds of the joiner.
const (
	maxCommands = 4096
	maxLoose    = 256 // that wait for a message within guessTime
	maxNotes    = 4096
	maxWaiting  = 8192
	// guessTime is how long after its command line a message may arrive to be taken for that command's, and how much later than
	// the arrival our own note of it may stand: two files of one second are read one after the other. A script that writes
	// slowly is not joined; one that did nothing else is not blamed.
	guessTime = 2 * time.Second
	pidTime   = 10 * time.Minute // of a command line, where the process is known: its number may come again
)

func newJoiner() *joiner {
	byPID, _ := simplelru.NewLRU[int32, command](maxCommands, nil) // it fails for no size only
	notes, _ := simplelru.NewLRU[string, note](maxNotes, nil)
	return &joiner{byPID: byPID, notes: notes, late: map[string]*Message{}}
}

// take returns the message that an event makes, or nil. What is known of its sender may grow until done returns it.
func (j *joiner) take(e *mainlog.Event) *Message {
	switch e.Kind {
	case mainlog.CommandLine:
		if c, submits := newCommand(e); submits {
			j.add(e.PID, c)
		}
	case mainlog.Arrived, mainlog.ArrivedRefused, mainlog.SubmissionRefused, mainlog.DataRejected, mainlog.ScanRejected, mainlog.MessageRejected:
		if e.ID == "" && e.Kind != mainlog.SubmissionRefused { // it had not come so far
			return nil
		}
		m := newMessage(e)
		j.complete(m, e)
		j.waiting = append(j.waiting, m)
		if m.ID != "" {
			j.late[m.ID] = m
		}
		return m
	default:
		if n, ok := readNote(e); ok {
			if m := j.late[n.id]; m != nil {
				n.complete(m)
			} else {
				j.notes.Add(n.id, n)
			}
		}
	}
	return nil
}

// done returns the messages of which nothing more is expected at a time, in order; the zero time is the end of the log. What it
// returns is valid until the next take.
func (j *joiner) done(now time.Time) []*Message {
	n := 0
	for n < len(j.waiting) && (now.IsZero() || len(j.waiting)-n > maxWaiting || now.Sub(j.waiting[n].Time) > guessTime) {
		delete(j.late, j.waiting[n].ID)
		n++
	}
	ready := j.waiting[:n]
	j.waiting = j.waiting[n:]
	return ready
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

// complete adds to a message what earlier lines say of it.
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
