package report

import (
	"strings"

	"eximpolicyd/internal/mainlog"
	"eximpolicyd/policy"
)

// asker makes the requests that Exim would have sent, as far as the log tells. What it does not tell is unknown. It has one
// request, which is good until the next: those of many connections would not stay in the processor's cache, and what takes
// longest is to fetch what is not there.
type asker struct {
	policy.Request
	of *course
}

// client is what is known of who is asked about, from its connection and what is told of it last.
type client struct {
	name     string // its greeting, as the log has it
	helo     policy.Maybe[string]
	greeting policy.HELOName
	ptr      string
	login    string // as the log has it
	as, by   string
	uid      policy.Maybe[uint32]

	sender string // of the message at hand
	mailed bool   // MAIL was asked about
	rcpts  int
}

// clientOf takes over what the log tells of a connection itself.
func clientOf(c *mainlog.Connection, o *Options) (k client) {
	if c.PTR != "" {
		q := policy.Request{ClientName: c.PTR}
		q.Settle()
		k.ptr = q.ClientName
	}
	if !c.Client.IsValid() && c.Ident != "" && o.UID != nil {
		if uid, ok := o.UID(c.Ident); ok {
			k.uid = policy.Known(uid)
		}
	}
	return k
}

// greets says what the client greets with from now on. None is shown for an address literal that is the client's own, too.
func (k *client) greets(name string) {
	k.name, k.helo = name, policy.Maybe[string]{}
	if name != "" {
		k.helo = policy.Known(mainlog.Unescape(name))
	}
	k.greeting = policy.ParseHELO(k.helo.Value)
}

// logsIn says as whom the client is logged in, or that it is not.
func (k *client) logsIn(login string) {
	if k.login != login {
		k.login = login
		k.by, k.as, _ = strings.Cut(login, ":")
	}
}

// turn turns to a connection.
func (a *asker) turn(c *course) {
	if a.of == c {
		return
	}
	a.of = c
	q := &a.Request
	*q = policy.Request{}
	q.Client, q.ClientPort, q.ClientName = c.Client.Unmap(), int(c.Port), c.who.ptr
	q.Server, q.ServerPort, q.TLSCipher = c.Server.Addr(), int(c.Server.Port()), c.TLS
	q.Ident, q.CWD, q.UID, q.Size = c.Ident, mainlog.Unescape(c.CWD), c.who.uid, -1
	a.greet()
	if c.who.mailed {
		q.Sender, q.RcptCount = policy.Known(mainlog.Unescape(c.who.sender)), c.who.rcpts
	}
}

// connect asks before the client has said anything: neither has it greeted, nor logged in. Then comes greet.
func (a *asker) connect() *policy.Request {
	a.Stage = policy.Connect
	a.HELO, a.Greeting, a.AuthAs, a.AuthBy = policy.Maybe[string]{}, policy.HELOName{}, "", ""
	return &a.Request
}

// greet goes on to what a client says of itself.
func (a *asker) greet() {
	k := &a.of.who
	a.Stage = policy.Helo
	a.HELO, a.Greeting, a.AuthAs, a.AuthBy = k.helo, k.greeting, k.as, k.by
}

// helo asks about the greeting at hand.
func (a *asker) helo() *policy.Request { return &a.Request }

// earlier asks about a greeting that came before it.
func (a *asker) earlier(name string) *policy.Request {
	q := a.Request
	q.Stage, q.HELO = policy.Helo, policy.Known(mainlog.Unescape(name))
	q.Settle()
	return &q
}

// mail begins a message.
func (a *asker) mail(sender string) *policy.Request {
	a.Stage = policy.Mail
	a.of.who.sender, a.of.who.mailed, a.of.who.rcpts = sender, true, 0
	a.Sender = policy.Known(mainlog.Unescape(sender))
	a.Recipient, a.Verify, a.RcptCount, a.Recipients = "", policy.VerifyUnasked, 0, 0
	a.MessageID, a.Date, a.From, a.ListID, a.MessageIDSize = policy.Field{}, policy.Field{}, policy.Field{}, "", 0
	a.QueueID, a.Protocol, a.Size = "", "", -1
	return &a.Request
}

// rcpt asks about a recipient; accepted are those of the message that were taken before.
func (a *asker) rcpt(recipient string, verify policy.Verify, accepted int) *policy.Request {
	a.Stage = policy.RCPT
	a.Recipient, a.Verify, a.Recipients = mainlog.Unescape(recipient), verify, accepted
	a.RcptCount++
	a.of.who.rcpts = a.RcptCount
	return &a.Request
}

// verifyOf returns what Exim's recipient check must have said of a refused recipient. A refusal for another reason may have
// come before the check.
func verifyOf(r *mainlog.Rcpt) policy.Verify {
	switch {
	case r.Cause == mainlog.UnknownUser && !r.Temporary:
		return policy.VerifyUnknown
	case r.Cause == mainlog.RelayDenied:
		return policy.VerifyNone
	}
	return policy.VerifyUnasked
}

// taken is what the check said of a recipient that was taken: that it exists, but for a user's mail to somebody elsewhere.
func (a *asker) taken() policy.Verify {
	if a.AuthBy != "" {
		return policy.VerifyUnasked
	}
	return policy.VerifyOK
}

// data asks about a message whose recipients are known.
func (a *asker) data(m *mainlog.Message, accepted int) *policy.Request {
	a.Stage = policy.Data
	a.Recipient, a.Verify, a.Recipients = "", policy.VerifyUnasked, accepted
	a.header(m)
	return &a.Request
}

// submission asks about a message of this machine. How many recipients are elsewhere is known when all are delivered.
func (a *asker) submission(m *mainlog.Message) *policy.Request {
	a.mail(m.Sender)
	a.Stage = policy.NotSMTP
	a.header(m)
	if m.Away > 0 || m.Delivered > 0 && m.Delivered >= len(m.Recipients) {
		a.RemoteCount = policy.Known(m.Away)
		a.RemoteFirst = mainlog.Unescape(m.AwayFirst)
	}
	return &a.Request
}

// quit tells of logins that failed.
func (a *asker) quit(failed int) *policy.Request {
	a.Stage = policy.Quit
	if a.AuthBy != "" {
		failed++ // one that succeeded
	}
	a.History = strings.Repeat("AUTH,", min(failed, history)-1) + "AUTH"
	return &a.Request
}

// history is how many commands Exim remembers.
const history = 20

// header fills in what is known of the header: of a message that was taken the Message-ID if it has one that Exim could read, its
// own or one that Exim made for it before the ACL of DATA; or that it has none, if the log shows those of others. Some of these
// have one of a form that Exim cannot read, which is held against them as if they had none. Of a refused one all is known, if the
// reject log has it.
func (a *asker) header(m *mainlog.Message) {
	a.QueueID, a.Protocol, a.Size = m.ID, m.Protocol, m.Size
	switch {
	case m.MessageID != "":
		a.MessageID.Present = policy.Known(true)
		a.MessageID.Value = "<" + mainlog.Unescape(m.MessageID) + ">"
		a.MessageIDSize = len(a.MessageID.Value)
	case m.NoID:
		a.MessageID.Present = policy.Known(false)
	case wholeHeader(m):
		a.fields(m)
	}
}

// wholeHeader reports whether the reject log has the whole header of a message, which Exim cuts at about 32 kB.
func wholeHeader(m *mainlog.Message) bool { return len(m.Headers) > 0 && len(m.Headers) < maxHeader }

const maxHeader = 30 << 10

// fields takes the fields that are judged from a header.
func (a *asker) fields(m *mainlog.Message) {
	var values [4][]string // Message-ID, Date, From, List-Id
	e := mainlog.Event{Headers: m.Headers}
	for field := range e.HeaderFields() {
		name, value, _ := strings.Cut(field, ":")
		for i, known := range [...]string{"message-id", "date", "from", "list-id"} {
			if strings.EqualFold(name, known) {
				values[i] = append(values[i], strings.TrimPrefix(value, " "))
			}
		}
	}
	field := func(v []string) policy.Field {
		n := 0
		for _, s := range v {
			if strings.TrimSpace(s) != "" {
				n++
			}
		}
		return policy.Field{Present: policy.Known(len(v) > 0), Count: policy.Known(n), Value: strings.Join(v, "\n")}
	}
	a.MessageID, a.Date, a.From = field(values[0]), field(values[1]), field(values[2])
	a.MessageIDSize = len(a.MessageID.Value)
	a.ListID = strings.Join(values[3], "\n")
}

// recipientsOf returns those of a message; of a refused one the reject log has them.
func recipientsOf(m *mainlog.Message) []string {
	if len(m.Recipients) > 0 || m.Headers == "" {
		return m.Recipients
	}
	var list []string
	for line := range strings.Lines(m.Headers) {
		to, ok := strings.CutPrefix(line, "Envelope-to: ")
		if !ok && len(list) > 0 && strings.HasPrefix(line, "    ") {
			to, ok = line, true
		}
		if ok {
			list = append(list, strings.Trim(to, " <>,\n"))
		} else if len(list) > 0 {
			break
		}
	}
	return list
}
