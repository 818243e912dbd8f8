package policy

import "net/netip"

// Maybe is a value that may be unknown. Its zero value is unknown, which no rule objects to.
type Maybe[T any] struct {
	Value T
	Known bool
}

// Known returns v as a known value.
func Known[T any](v T) Maybe[T] { return Maybe[T]{Value: v, Known: true} }

// Stage is a point of the SMTP dialogue at which Exim asks, named as in the request's protocol_state.
type Stage uint8

// The stages, in the order of a session. The zero stage is no stage of Exim's.
const (
	NoStage Stage = iota
	Connect
	Helo
	Mail
	RCPT
	Predata
	MIME
	Data
	Quit
	NotQuit
	NotSMTPStart
	NotSMTP
)

const stageWords = "?\x00CONNECT\x00HELO\x00MAIL\x00RCPT\x00PREDATA\x00MIME\x00DATA\x00QUIT\x00NOTQUIT\x00NOT_SMTP_START\x00NOT_SMTP"

// String returns the stage as Exim's snippet spells it.
func (s Stage) String() string { return word(stageWords, int(s)) }

// ParseStage reads the spelling that String writes.
func ParseStage(s string) (Stage, bool) {
	n, ok := wordIndex(stageWords, s)
	return Stage(n), ok && n != int(NoStage)
}

// MarshalText writes the stage as String does.
func (s Stage) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Stages is a set of stages.
type Stages uint16

// at makes a set.
func at(list ...Stage) Stages {
	var s Stages
	for _, stage := range list {
		s |= 1 << stage
	}
	return s
}

// Has reports whether a stage is in the set.
func (s Stages) Has(stage Stage) bool { return s&(1<<stage) != 0 }

// Verify is what Exim's own recipient check said of the recipient at hand.
type Verify uint8

// The outcomes of the recipient check.
const (
	VerifyUnasked Verify = iota // the request did not say
	VerifyNone                  // not a domain of ours: Exim did not check
	VerifyOK                    // the recipient exists, or the check was deferred
	VerifyUnknown               // the check failed for good
)

const verifyWords = "\x00none\x00ok\x00unknown"

// String returns the outcome as the request spells it.
func (v Verify) String() string { return word(verifyWords, int(v)) }

// ParseVerify reads none, ok, unknown or the empty string.
func ParseVerify(s string) (Verify, bool) {
	n, ok := wordIndex(verifyWords, s)
	return Verify(n), ok
}

// Request is what Exim asked, normalised at the door: addresses are unmapped and without zone. Strings are raw bytes as
// the client sent them, bounded by the wire protocol; escape them before you show them. The protocol itself is
// described in package acl.
type Request struct {
	Stage Stage

	Client, Server         netip.Addr // zero: none, a local submission
	ClientPort, ServerPort int        // -1 or 0: not known, as in exim -bh
	ProxyLocal             netip.AddrPort

	Instance   int64  // Exim's own idea of its pid; a claim, only for the log
	Protocol   string // esmtps, local, ...
	ServerName string // Exim's $smtp_active_hostname
	Primary    string // Exim's $primary_hostname

	HELO      Maybe[string] // known and empty: the client did not greet
	Greeting  HELOName      // HELO taken apart, by Settle
	Ident     string
	UID       Maybe[uint32] // of a local submission: the caller; over TCP: Exim's own
	CWD       string        // directory a local submission was started in
	AuthAs    string        // authenticated user, empty: none
	AuthBy    string        // the authenticator's name, empty: none
	AuthFail  string        // the last user who failed to authenticate
	History   string        // Exim's list of the last 20 SMTP commands
	TLSCipher string        // empty: no TLS
	RelayHost bool          // the client is in Exim's relay_from_hosts

	Sender      Maybe[string] // known and empty: the null sender, MAIL FROM:<>
	Recipient   string
	RemoteCount Maybe[int] // recipients of a local submission that leave this host
	RemoteFirst string     // one of them, for the log

	Verify        Verify
	VerifyFailure string
	RcptCount     int // RCPT commands of this message, this one included
	RcptFailCount int
	Recipients    int   // recipients accepted so far
	Size          int64 // octets; -1: not known
	QueueID       string

	MessageID     Field // value, up to 2,100 octets of it
	MessageIDSize int   // octets of the whole value
	Date          Field
	From          Field // no value is sent
	ListID        string
	SpamScore     string

	SMTPCount     int
	NotQuitReason string
	Tag           string

	ClientName   string   // check only: a confirmed PTR
	HELOHistory  []string // check only: names greeted with before this one
	UnknownNames int      // names in the request that this version does not know
}

// Settle normalises what was sent, once, at the door: names of ours lowered, addresses unmapped and without zone, the
// greeting taken apart.
func (q *Request) Settle() {
	q.Client = q.Client.Unmap().WithZone("")
	q.Server = q.Server.Unmap().WithZone("")
	q.Primary = canonical(q.Primary)
	q.ServerName = canonical(q.ServerName)
	q.ClientName = canonical(q.ClientName)
	q.Greeting = ParseHELO(q.HELO.Value)
}

// Field is what Exim says of one header field.
type Field struct {
	Present Maybe[bool] // the field stands in the header
	Count   Maybe[int]  // how often; an empty field is not counted, so a present one may have 0
	Value   string      // raw, folded lines and all, several fields joined by LF
}

// word returns the nth word of a NUL separated list, "?" beyond it.
func word(list string, n int) string {
	start := 0
	for i := 0; i < len(list); i++ {
		if list[i] != 0 {
			continue
		}
		if n == 0 {
			return list[start:i]
		}
		n, start = n-1, i+1
	}
	if n == 0 {
		return list[start:]
	}
	return "?"
}

// wordIndex finds a word in a NUL separated list.
func wordIndex(list, w string) (int, bool) {
	n, start := 0, 0
	for i := 0; i <= len(list); i++ {
		if i < len(list) && list[i] != 0 {
			continue
		}
		if list[start:i] == w {
			return n, true
		}
		n, start = n+1, i+1
	}
	return 0, false
}
