package mainlog

import (
	"iter"
	"net/netip"
	"strings"
	"time"
)

// Event is one entry of a log. Its strings are parts of the text that was read, as it stands there: escapes such as \n and \"
// are Exim's (see Unescape), and whatever a client may choose is hostile. They stay valid, but each keeps the 32 kB around it
// in memory: strings.Clone what is kept for long. The zero Event is of kind Unknown.
type Event struct {
	Time time.Time
	Kind Kind
	// Cause is the best guess why Exim said no, by Reason.
	Cause Cause
	// Temporary: the client was told to try again.
	Temporary bool
	// Doubtful: a client wrote something that makes the entry readable as of two addresses. Never hold it against anybody.
	Doubtful bool
	// MessageIDMade: Exim made the Message-ID, the mail had none (id*=).
	MessageIDMade bool
	// HasSender: F=<> and no F= at all are two things.
	HasSender bool
	// Away: a delivery, or a try of one, to another host.
	Away bool

	PID int32  // 0: not in this log
	ID  string // Exim's id of the message

	Client netip.Addr // not valid: local, or no address
	Port   uint16     // 0: not in this log
	Server netip.AddrPort
	PTR    string // the confirmed name of the client
	HELO   string // equals PTR where the log shows one name only; empty also when it was the address itself
	Ident  string // U=: the login of a local submission

	Protocol  string
	TLS       string
	Auth      string // authenticator:login; of a failed login: authenticator
	Login     string // set_id of a failed login
	Sender    string
	Recipient string // of RCPT, or of a delivery
	Original  string // the address a delivery began with, where it was another
	Host      string // the host of a delivery, as Exim writes it: name and address
	Response  string // what that host said at last, C= of a delivery
	For       string // the recipients of an arrival, see Recipients
	MessageID string
	Subject   string
	Reference string // the message that a bounce is about
	Size      int64
	Command   string // what the client said, of ProtocolError, SyntaxError, SyncError; the working directory of CommandLine
	Arguments string // of CommandLine, as Exim writes them: those with blanks in quotes, which are not escaped within

	Rule     string // of our own refusal
	Decision string // its id
	Reason   string
	Text     string // the whole entry after time, process and message id
	Headers  string // the lines that follow the first: envelope and header fields of a reject entry

	File string // the name of the input
	Line int    // counted from 1

	stamp     stamp
	headersAt int  // where Headers starts in its chunk; -1 is put together
	syslog    bool // it came by way of syslog, which may have two copies
	used      bool // it is the second copy of one that was told of
}

// Recipients yields the recipients that an arrival lists, those with blanks in quotes whole.
func (e *Event) Recipients() iter.Seq[string] {
	return func(yield func(string) bool) {
		for rest := e.For; rest != ""; {
			n := addressEnd(rest, ' ')
			if n > 0 && !yield(rest[:n]) {
				return
			}
			rest = strings.TrimPrefix(rest[n:], " ")
		}
	}
}

// HeaderFields yields the header fields of a reject entry, unfolded lines kept as they are. Exim prefixes each with a
// letter and a blank; deleted and rewritten ones ('*') are left out.
func (e *Event) HeaderFields() iter.Seq[string] {
	return func(yield func(string) bool) {
		for rest := e.Headers; rest != ""; {
			n := fieldEnd(rest)
			field := strings.TrimSuffix(rest[:n], "\n")
			rest = rest[n:]
			if len(field) > 2 && field[1] == ' ' && field[0] != '*' && strings.IndexByte(field, ':') > 2 && !yield(field[2:]) {
				return
			}
		}
	}
}

// fieldEnd returns where the next line starts that is not folded onto the first. A field without a name's letter starts with
// two blanks, and so does a line that was folded with two: it is a field if a name and a colon follow.
func fieldEnd(s string) int {
	for i := 0; i < len(s); {
		n := strings.IndexByte(s[i:], '\n')
		if n < 0 {
			return len(s)
		}
		i += n + 1
		if i == len(s) || s[i] != '\t' && (s[i] != ' ' || fieldName(s[i:])) {
			return i
		}
	}
	return len(s)
}

// fieldName reports whether a line reads "  Name:".
func fieldName(s string) bool {
	if len(s) < 4 || s[1] != ' ' {
		return false
	}
	for i := 2; i < len(s); i++ {
		switch c := s[i]; {
		case c == ':':
			return i > 2
		case c <= ' ' || c > '~':
			return false
		}
	}
	return false
}

// Unescape undoes what Exim does to unprintable characters, quotes and backslashes.
func Unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b = append(b, s[i])
			continue
		}
		i++
		switch c := s[i]; {
		case c == 'n':
			b = append(b, '\n')
		case c == 'r':
			b = append(b, '\r')
		case c == 't':
			b = append(b, '\t')
		case c >= '0' && c <= '3' && i+2 < len(s) && octal(s[i+1]) && octal(s[i+2]):
			b = append(b, (c-'0')<<6|(s[i+1]-'0')<<3|(s[i+2]-'0'))
			i += 2
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

func octal(c byte) bool { return c >= '0' && c <= '7' }
