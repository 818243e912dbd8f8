package mainlog

import (
	"math/bits"
	"strings"
)

// Counts is what was read. The zero value is nothing.
type Counts struct {
	Lines, Bytes uint64
	Kinds        [kinds]uint64   // entries of each kind; a second copy in the reject log is not counted again
	Reasons      [reasons]uint64 // lines that are no entry
	Cut          uint64          // lines that were looked at in part: they are too long
	Doubtful     uint64          // entries that can be read as of two clients
	Seen         Selectors
}

// Entries returns how many entries there were.
func (c *Counts) Entries() (n uint64) {
	for _, k := range c.Kinds {
		n += k
	}
	return n
}

// Rejections returns how often Exim said no to a client.
func (c *Counts) Rejections() (n uint64) {
	for k, count := range c.Kinds {
		if Kind(k).Rejection() {
			n += count
		}
	}
	return n
}

func (c *Counts) add(o *Counts) {
	c.Lines += o.Lines
	c.Bytes += o.Bytes
	c.Cut += o.Cut
	c.Doubtful += o.Doubtful
	c.Seen |= o.Seen
	for i := range c.Kinds {
		c.Kinds[i] += o.Kinds[i]
	}
	for i := range c.Reasons {
		c.Reasons[i] += o.Reasons[i]
	}
}

// note counts an event and what it shows of the log's settings.
func (c *Counts) note(e *Event, f *front) {
	c.Kinds[e.Kind]++
	if e.Doubtful {
		c.Doubtful++
	}
	seen := Selectors(0)
	if f.pid != 0 {
		seen |= SeenPID
	}
	if f.millis {
		seen |= SeenMillis
	}
	if f.stamp.zone {
		seen |= SeenZone
	}
	if e.Port != 0 {
		seen |= SeenPort
	}
	if e.Server.IsValid() {
		seen |= SeenInterface
	}
	if e.TLS != "" {
		seen |= SeenTLS
	}
	switch e.Kind {
	case Arrived, ArrivedRefused:
		seen |= seenInArrival(e)
	case Opened, Closed:
		seen |= SeenConnections
	case NoMail:
		seen |= SeenNoMail
	case ProtocolError:
		seen |= SeenProtocolErrors
	case SyntaxError:
		seen |= SeenSyntaxErrors
	case Lost, TimedOut:
		seen |= SeenLost
	case CommandLine:
		seen |= SeenArguments
	case RcptRejected, MailRejected, HeloRejected, ConnectRejected, DataRejected:
		seen |= SeenRejections
	case AuthFailed:
		seen |= SeenFailedLogins
	}
	c.Seen |= seen
}

func seenInArrival(e *Event) (seen Selectors) {
	if e.For != "" {
		seen |= SeenRecipients
	}
	if e.Subject != "" {
		seen |= SeenSubject
	}
	if e.MessageID != "" {
		seen |= SeenMessageID
	}
	if e.MessageIDMade {
		seen |= SeenMadeMessageID
	}
	return seen
}

// Selectors are the facts that an entry of a log showed, each with the word of Exim's log_selector that brings it. One that is
// missing was not asked for, or nothing happened that would show it.
type Selectors uint32

// The facts.
const (
	SeenPID Selectors = 1 << iota
	SeenMillis
	SeenZone
	SeenPort
	SeenInterface
	SeenTLS
	SeenRecipients
	SeenSubject
	SeenMessageID
	SeenMadeMessageID
	SeenConnections
	SeenNoMail
	SeenProtocolErrors
	SeenSyntaxErrors
	SeenLost
	SeenArguments
	SeenRejections
	SeenFailedLogins
	SeenHeaders // of rejected messages: the reject log

	seenEnd
)

// Word returns what brings the fact: a word of log_selector, or where it stands else. s is one fact.
func (s Selectors) Word() string {
	words := [...]string{"+pid", "+millisec", "log_timezone = true", "+incoming_port", "+incoming_interface", "+tls_cipher",
		"+received_recipients", "+subject", "+msg_id", "+msg_id_created", "+smtp_connection", "+smtp_no_mail",
		"+smtp_protocol_error", "+smtp_syntax_error", "+lost_incoming_connection", "+arguments", "the main log's rejections",
		"a server authenticator", "the reject log with +rejected_header"}
	if s == 0 || s >= seenEnd {
		return ""
	}
	return words[bits.TrailingZeros32(uint32(s))]
}

// Missing returns the words for those of wanted that were not seen.
func (s Selectors) Missing(wanted Selectors) string {
	var words []string
	for one := Selectors(1); one < seenEnd; one <<= 1 {
		if wanted&one != 0 && s&one == 0 {
			words = append(words, one.Word())
		}
	}
	return strings.Join(words, " ")
}
