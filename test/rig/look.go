package rig

import (
	"os"
	"path/filepath"
	"strings"
)

// file returns a file of the site, or nothing: Exim makes a log when it first writes to it.
func (s *Site) file(name string) string {
	b, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		return ""
	}
	return string(b)
}

// Mainlog returns Exim's main log as it is now.
func (s *Site) Mainlog() string { return s.file("log/mainlog") }

// Paniclog returns Exim's panic log as it is now; a healthy site has none.
func (s *Site) Paniclog() string { return s.file("log/paniclog") }

// Rejectlog returns Exim's reject log as it is now.
func (s *Site) Rejectlog() string { return s.file("log/rejectlog") }

// Mailbox returns what was delivered to a local user.
func (s *Site) Mailbox(user string) string { return s.file("mail/" + user) }

// Delivered counts the messages in a local user's mailbox.
func (s *Site) Delivered(user string) int { return messages(s.Mailbox(user)) }

// Relayed counts the messages that would have left the machine, one a recipient.
func (s *Site) Relayed() int { return messages(s.Outbox()) }

// Outbox returns the messages that would have left the machine.
func (s *Site) Outbox() string { return s.file("foreign/mbox") }

// messages counts those of an mbox file; appendfile escapes the word in bodies.
func messages(mbox string) int { return strings.Count("\n"+mbox, "\nFrom ") }

// Queue returns Exim's list of the mail it has, frozen messages marked.
func (s *Site) Queue() (string, error) { return s.Run("exim4", "-bp") }

// AwaitLog returns when the main log holds text, with the log.
func (s *Site) AwaitLog(text string) (string, error) {
	err := Await("log line "+text, func() bool { return strings.Contains(s.Mainlog(), text) })
	return s.Mainlog(), err
}

// AwaitDelivered returns when a local user has n messages, the last one whole.
func (s *Site) AwaitDelivered(user string, n int) error {
	return Await("mail for "+user, func() bool { box := s.Mailbox(user); return messages(box) >= n && whole(box) })
}

// AwaitRelayed returns when n messages would have left the machine, the last one whole.
func (s *Site) AwaitRelayed(n int) error {
	return Await("mail elsewhere", func() bool { box := s.Outbox(); return messages(box) >= n && whole(box) })
}

// whole reports whether the last message of an mbox file is there to its end: appendfile writes the first line, then the
// message, then an empty line.
func whole(mbox string) bool {
	last := mbox[max(strings.LastIndex("\n"+mbox, "\nFrom "), 0):]
	_, body, _ := strings.Cut(last, "\n\n")
	return body != "" && strings.HasSuffix(last, "\n\n")
}
