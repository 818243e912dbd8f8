package relaytest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// Options say what is tested, as whom, and how. Dial, HELO, From and Victim are needed.
type Options struct {
	// Dial connects to the server. Each form has a connection of its own; Test closes it.
	Dial func(ctx context.Context) (net.Conn, error)
	// Client and Server are what the server sees of both ends; those that are not valid are the connection's. Own are the
	// addresses of this machine: see Near.
	Client, Server netip.Addr
	Own            []netip.Addr

	Name   string // of the server as a person calls it, "" if by address: its domain may be that
	Domain string // the server's, if somebody knows it; else it is looked for
	HELO   string // what we say that we are
	From   string // a stranger's address, which stands a check of senders
	Victim string // an address elsewhere

	// Deliver sends a message to Victim, which is then an address of whoever tests, by each form that is taken.
	Deliver bool
	Pace    time.Duration // from one connection to the next, at least
	TLS     bool          // use STARTTLS where it is offered; the certificate is not checked
	Wrapped bool          // TLS from the first octet, as on port 465
	Each    func(Result)  // is told each result as it comes; nil: nobody is
}

// What a conversation may take. A tarpit that greets late or answers slowly is no fault; one that is slower is an error.
const (
	dialTime    = 30 * time.Second
	commandTime = 60 * time.Second // RFC 5321 4.5.3.2 says five minutes, for mail that must not be lost
	quitTime    = 5 * time.Second  // nothing depends on its answer
	talkTime    = 3 * time.Minute  // of one form, all in all
	testTime    = 30 * time.Minute // of all forms: 50 of half a minute and a bit
	deadInARow  = 3                // so many connections without a word to MAIL, and the server is left alone
)

// tester is a test under way.
type tester struct {
	Options
	report    Report
	start     time.Time
	next      time.Time       // when the next connection may begin
	asked     map[string]bool // MAIL and RCPT of the forms so far
	dead      int             // connections in a row that did not come to MAIL
	noNull    bool            // the server refuses the null sender itself
	told      int             // how many of the results
	permitted bool            // the client may relay by right
	noTLS     bool            // its STARTTLS failed
	wary      bool            // an answer was about the stranger, and not the recipient
}

// Test asks a server by every form. What it answers is no error: Untested is a verdict, with its Why. An error is a mistake in
// the options, or the context's end.
func Test(ctx context.Context, o Options) (*Report, error) {
	for _, a := range []string{o.From, o.Victim} {
		if err := CheckAddress(a); err != nil {
			return nil, err
		}
	}
	t := &tester{Options: o, asked: map[string]bool{}, start: time.Now()}
	t.report = Report{HELO: o.HELO, Victim: o.Victim, Token: token(), Controls: []Result{}, Forms: []Result{}}
	err := t.run(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	t.judge(err)
	return &t.report, nil
}

// token returns a word that is no mailbox and no domain of anybody, 50 bits of it by chance.
func token() string { return "t" + strings.ToLower(rand.Text()[:10]) }

// CheckAddress says what is wrong with an address that is put into templates: only a plain one stays itself in them.
func CheckAddress(a string) error {
	user, domain, ok := strings.Cut(a, "@")
	if !ok || user == "" || len(a) > 254 { // RFC 5321 4.5.3.1.3, without its brackets
		return fmt.Errorf("%.60q is no address like you@example.com", a)
	}
	if strings.Trim(strings.ToLower(user), "abcdefghijklmnopqrstuvwxyz0123456789._-+") != "" || !IsName(domain) {
		return fmt.Errorf("%.60q has more than letters, digits and . - _ + in it", a)
	}
	return nil
}

// IsName reports whether a text can be the name of a host. A greeting is a server's to write.
func IsName(s string) bool {
	const most = 253 // RFC 1035 2.3.4, as text
	return s != "" && len(s) <= most && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789.-") == "" &&
		strings.ContainsAny(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz") && !strings.Contains(s, "..") && s[0] != '.' && s[0] != '-'
}

// run asks for the controls, by the forms, and for the controls again. Its error says why the answers are not to be trusted.
func (t *tester) run(ctx context.Context) error {
	if err := t.controls(ctx); err != nil {
		return err
	}
	if _, elsewhere, _ := strings.Cut(t.Victim, "@"); strings.EqualFold(elsewhere, t.report.Domain) || strings.EqualFold(elsewhere, t.report.Host) {
		return fmt.Errorf("<%s> is not elsewhere, but at the server", t.Victim)
	}
	for i, f := range Forms() {
		err := t.form(ctx, f)
		if i == rightForms-1 || err != nil && i < rightForms {
			t.rights()
		}
		if i >= rightForms-1 || err != nil || !t.near() { // before, nobody knows whether a near one has a right
			t.flush()
		}
		if err != nil || t.permitted {
			return err
		}
	}
	return t.again(ctx)
}

// again asks for the controls once more. Whoever asks for so many strangers is banned on a good server, and then everything is
// refused, holes as well. That shows in another code or first word, which may be an enhanced code; behind it there may be an id.
func (t *tester) again(ctx context.Context) error {
	for i, f := range controlForms() {
		was := t.report.Controls[i]
		if was.Result == Deferred || was.Result == Failed {
			continue // it has said nothing yet
		}
		r, err := t.ask(ctx, f)
		if err != nil {
			return err
		}
		if r.Code != was.Code || firstWord(r.Reply) != firstWord(was.Reply) {
			t.control(r)
			return fmt.Errorf("it says %q at the end for %q at the start, as if it had banned us: what it refused proves nothing", r.answer(), was.answer())
		}
	}
	return nil
}

// rightForms is how many forms, at the head of the table, tell whether the client may relay.
const rightForms = 3

// rights notes whether the client may relay by right: then what was taken is no hole.
func (t *tester) rights() {
	if t.permitted = t.right(); !t.permitted {
		return
	}
	for i := range t.report.Forms {
		if r := &t.report.Forms[i]; r.Result == Relays {
			r.Result = Allowed
		}
	}
}

// flush tells the results that nobody has been told yet.
func (t *tester) flush() {
	for ; t.told < len(t.report.Forms); t.told++ {
		t.tell(t.report.Forms[t.told])
	}
}

// controlForms are the two that every server has to answer in one way only.
func controlForms() []Form {
	return []Form{
		{Name: "control: postmaster", Mail: nullSender, Rcpt: "postmaster@{domain}", Stray: true,
			Exploits: "a server takes mail for its postmaster", Source: "RFC 5321 4.5.1"},
		{Name: "control: no mailbox", Mail: nullSender, Rcpt: "{token}@{domain}", Stray: true,
			Exploits: "a server that knows its mailboxes refuses others", Source: "RFC 5321 3.3"},
	}
}

// controls finds the server's domain, and asks whether it knows its mailboxes.
func (t *tester) controls(ctx context.Context) error {
	postmaster, mailbox := controlForms()[0], controlForms()[1]
	var r Result
	for n, more := 0, true; more; n++ {
		var err error
		t.report.Domain = t.candidate(n)
		if r, err = t.ask(ctx, postmaster); err != nil {
			return err
		}
		more = r.Result == Refused && t.candidate(n+1) != ""
	}
	if r.Result == Refused {
		t.report.Domain = t.candidate(0)
	}
	t.control(r)
	r, err := t.ask(ctx, mailbox)
	if err == nil {
		t.control(r)
	}
	return err
}

func (t *tester) control(r Result) {
	r.Control = true
	t.report.Controls = append(t.report.Controls, r)
	t.tell(r)
}

// candidate returns the nth domain that may be the server's, or "": the one given, or else the name it goes by, the one it
// greets with, and what is behind the first label of that.
func (t *tester) candidate(n int) string {
	list := []string{t.Domain}
	if t.Domain == "" {
		_, parent, _ := strings.Cut(t.report.Host, ".")
		if !strings.Contains(parent, ".") {
			parent = ""
		}
		list = list[:0]
		for _, name := range []string{strings.ToLower(t.Name), t.report.Host, parent} {
			if name != "" && (len(list) == 0 || list[len(list)-1] != name) {
				list = append(list, name)
			}
		}
	}
	if n >= len(list) {
		return ""
	}
	return list[n]
}

// form asks by a form, unless it is the same here as one before.
func (t *tester) form(ctx context.Context, f Form) error {
	fill := t.filler()
	key := fill.Replace(f.Mail) + " " + fill.Replace(f.Rcpt)
	if t.asked[key] {
		return nil
	}
	t.asked[key] = true
	r, err := t.ask(ctx, f)
	if err != nil {
		return err
	}
	if r.Result == Accepted && (!f.Local || t.knows()) {
		r.Result = Relays
	}
	if r.Result == Refused && r.Mail == t.From && strings.Contains(strings.ToLower(r.Reply), "sender") {
		t.wary = true
	}
	t.report.Forms = append(t.report.Forms, r)
	return nil
}

func (t *tester) tell(r Result) {
	if t.Each != nil {
		t.Each(r)
	}
}

// knows reports whether the server refuses mailboxes that it does not have, and not simply everything.
func (t *tester) knows() bool {
	c := t.report.Controls
	return len(c) >= 2 && c[0].Result == Accepted && c[1].Result == Refused
}

// wait returns when the next connection may begin.
func (t *tester) wait(ctx context.Context) error {
	if wait := time.Until(t.next); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	t.next = time.Now().Add(t.Pace)
	return nil
}
