package front

import (
	"io"
	"runtime"
	"strings"

	"github.com/emersion/go-smtp"

	"eximpolicyd/acl"
	"eximpolicyd/internal/prose"
	"eximpolicyd/policy"
)

// How much the snippet sends of a greeting and a login, and what Exim takes of an address, in octets.
const (
	longestGreeting = 300
	longestWord     = 256
	longestAddress  = 256 // RFC 5321 4.5.3.1.3
)

// greet takes a greeting, the last of which counts. Exim changes the protocol's name only when it has agreed.
func (v *visit) greet(name string, extended bool) *smtp.SMTPError {
	v.q.HELO = policy.Known(cut(name, longestGreeting))
	if no := v.judge(policy.Helo); no != nil {
		v.q.HELO = policy.Known("")
		return no
	}
	v.extended = extended
	v.q.Protocol = v.protocol()
	return nil
}

// protocol is Exim's received_protocol.
func (v *visit) protocol() string {
	p := "smtp"
	if v.extended {
		p = "esmtp"
	}
	if v.q.TLSCipher != "" {
		p += "s"
	}
	if v.extended && v.q.AuthBy != "" {
		p += "a"
	}
	return p
}

// quits asks about QUIT.
func (v *visit) quits() {
	if !v.quit {
		v.quit = true
		v.judge(policy.Quit)
	}
}

// session is what go-smtp asks about the dialogue: a visit, in its words.
type session struct{ *visit }

var (
	_ smtp.AuthSession = (*session)(nil)

	errRelay   = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "relay not permitted"}
	errUnknown = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "there is no such recipient here"}
	errHeader  = &smtp.SMTPError{Code: 552, EnhancedCode: smtp.EnhancedCode{5, 3, 4}, Message: "the header is too long"}
	errBareLF  = &smtp.SMTPError{Code: 552, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "a line of the header ends by <LF> alone"}
)

// Reset forgets the message: after RSET, a greeting, and a message that has ended. What a connection ends in is still Exim's
// at NOTQUIT.
func (s *session) Reset() {
	if s.why == "" {
		s.clear()
	}
}

// Logout does nothing: the visit goes on above TLS.
func (s *session) Logout() error { return nil }

// Mail asks about a sender, as it was written: see address.
func (s *session) Mail(from string, o *smtp.MailOptions) error {
	s.clear()
	s.q.Sender = policy.Known(from)
	if o.Size > 0 {
		s.q.Size = o.Size
	}
	s.q.Protocol = s.protocol()
	if no := s.judge(policy.Mail); no != nil {
		s.clear()
		return no
	}
	s.inMessage = true
	return nil
}

// Rcpt asks about a recipient, and then says what Exim's own ACL would.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	to = policy.Lower(unquoted(to)) // as Exim does
	s.q.Recipient, s.q.Verify = to, s.verify(to)
	switch s.q.Verify { // Exim forgets why only when it verifies again
	case policy.VerifyUnknown:
		s.q.VerifyFailure = "route"
	case policy.VerifyOK:
		s.q.VerifyFailure = ""
	}
	no := s.judge(policy.RCPT)
	switch {
	case no != nil:
	case s.q.Verify == policy.VerifyUnknown:
		no = errUnknown
	case s.q.Verify == policy.VerifyNone && s.q.AuthBy == "" && !s.q.RelayHost:
		no = errRelay
	}
	s.q.Recipient, s.q.Verify = "", policy.VerifyNone
	if no == nil { // which as an error would not be nil
		return nil
	}
	return no
}

// verify is Exim's verify = recipient: by a list.
func (s *session) verify(to string) policy.Verify {
	switch {
	case !s.Domains[to[strings.LastIndexByte(to, '@')+1:]]:
		return policy.VerifyNone
	case s.Known == nil, s.Known[to], policy.ToPostmaster(to):
		return policy.VerifyOK
	}
	return policy.VerifyUnknown
}

// Data reads a message and asks about it. Of BDAT it runs beside the dialogue, and looks at the visit only when the last
// chunk has come, while the dialogue waits for it.
func (s *session) Data(r io.Reader) error {
	h := newHeader()
	_, h.chunked = r.(*io.PipeReader) // which go-smtp makes for BDAT
	_, err := io.Copy(h, r)
	if _, end := io.Copy(io.Discard, r); end == smtp.ErrDataReset {
		runtime.Goexit() // go-smtp made the goroutine for this, and would give what is returned to the next message
	}
	if err != nil {
		return err
	}
	h.close()
	s.q.Size = h.size
	s.q.MessageID, s.q.MessageIDSize = h.messageID.asked(), h.messageID.size
	s.q.Date, s.q.From, s.q.ListID = h.date.asked(), h.from.asked(), string(h.listID.value)
	no, d := s.decide(policy.Data)
	if no != nil {
		return no
	}
	return &smtp.SMTPError{Code: 250, EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Message: taken(h.size, &d)}
}

// asked is what a request says of a field.
func (f *field) asked() policy.Field {
	return policy.Field{Present: policy.Known(f.present), Count: policy.Known(f.count), Value: string(f.value)}
}

// taken tells a client what became of his message.
func taken(size int64, d *acl.Decision) string {
	text := prose.Many(size, "octet") + " judged and thrown away: nothing is delivered"
	switch {
	case d.Action == policy.Freeze:
		text += " (on hold by " + d.Rule
	case d.Mark:
		text += " (marked, score " + d.Score.String()
	default:
		text += " (score " + d.Score.String()
	}
	return text + ", " + d.ID + ")"
}

// cut copies the beginning of what a client sent.
func cut(s string, most int) string { return strings.Clone(s[:min(len(s), most)]) }
