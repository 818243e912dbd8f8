package scenario

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"eximpolicyd/acl"
	"eximpolicyd/internal/dnstest"
)

// failures returns what did not come out as written: line, then - and + of each.
func failures(r *Result) string {
	var b strings.Builder
	for _, c := range r.Cases {
		for _, f := range c.Failures {
			for _, d := range f.Diff {
				b.WriteString("- " + d.Want + "\n+ " + d.Got + "\n")
			}
		}
	}
	return b.String()
}

const forgeries = "-- config --\nown.names = [\"mx.example.org\"]\npolicy.helo.mode = \"enforce\"\npolicy.dictionary.mode = \"enforce\"\npolicy.ptr.mode = \"off\"\n"

func TestOnlyWhatIsWrittenIsComparedAndTheRightLineIsShown(t *testing.T) {
	const says = forgeries + "-- case a --\n> CONNECT 203.0.113.7\n> EHLO mx.example.org\n> MAIL FROM:<a@example.net>\n> RCPT TO:<b@example.org>\n"
	for _, c := range []struct{ line, want string }{
		{"< dunno", "- < dunno\n+ < deny 550 5.7.1 rule=helo.H3\n"},
		{"< dunno mark=yes", "- < dunno mark=yes\n+ < deny 550 5.7.1 rule=helo.H3 mark=no\n"},
		{"< deny 550 5.7.2", "- < deny 550 5.7.2\n+ < deny 550 5.7.1\n"},
		{"< defer 451 4.7.1 rule=helo.H2", "- < defer 451 4.7.1 rule=helo.H2\n+ < deny 550 5.7.1 rule=helo.H3\n"},
		{"< deny", ""},
		{"< deny 550 5.7.1", ""},
		{"<", "- <\n+ < deny 550 5.7.1 rule=helo.H3\n"},
		{"! hit=helo.H3", ""},
		{"! hit=helo.H3,helo.H2", "- ! hit=helo.H3,helo.H2\n+ ! hit=helo.H3\n"},
		{"! reason=\"a name of ours\"", ""},
		{"! would=deny", "- ! would=deny\n+ ! would=none\n"},
		{"! class=outside mark=no score=0 delay=0 ban=none level=none", ""},
		{"! text=yours", ""},
		{"! text=theirs", "- ! text=theirs\n+ ! text=\"HELO with our own name, which is not yours\"\n"},
	} {
		r := played(t, "a.scenario", says+c.line+"\n")
		if got := failures(&r); got != c.want || r.OK != (c.want == "") {
			t.Errorf("%s: got\n%swant\n%s", c.line, got, c.want)
		}
	}
}

func TestASessionThatWasEndedCannotGoOn(t *testing.T) {
	for _, c := range []struct{ name, says, want string }{
		{"dropped for guessing", "> CONNECT 203.0.113.7\n> EHLO a.example.net\n> MAIL FROM:<a@example.net>\n" +
			"> RCPT TO:<b@example.org> unknown x6\n< drop\n", "- \n+ there is no connection: it ended at line 10\n"},
		{"and the next one is another", "> CONNECT 203.0.113.7\n> EHLO a.example.net\n> MAIL FROM:<a@example.net>\n" +
			"> RCPT TO:<b@example.org> unknown x5\n< drop\n> CONNECT 203.0.113.7\n< dunno\n> EHLO a.example.net\n" +
			"> MAIL FROM:<a@example.net>\n> RCPT TO:<b@example.org> unknown\n< dunno\n", ""},
	} {
		r := played(t, "a.scenario", forgeries+"-- case a --\n"+c.says)
		if got := failures(&r); got != c.want {
			t.Errorf("%s: got\n%swant\n%s", c.name, got, c.want)
		}
	}
}

// What Exim counts and remembers is counted and remembered here.
func TestWhatEximWouldTellIsTold(t *testing.T) {
	f := parsed(t, "a.scenario", "-- exim --\nprimary_hostname=mx.example.org server_port=26\n-- case a --\n"+
		"> CONNECT 203.0.113.7 server_port=587 user=anna\n> EHLO a.example.net\n> STARTTLS\n> EHLO b.example.net\n> AUTH bert failed\n> AUTH anna\n"+
		"> MAIL FROM:<a@example.net> size=77\n> RCPT TO:<b@example.org> unknown\n> RCPT TO:<c@example.com> none tag=once\n> DATA\n"+
		"  message-id: <a@b>\n  Message-Id:\n  DATE: Mon,\n    1 Jun 2026 00:00:00 +0000\n  List-Id: <l>\n<\n")
	c := &f.Cases[0]
	s := &session{}
	var last words
	for i := range c.steps {
		st := &c.steps[i]
		if st.verb.stage == 0 {
			s.unasked(st)
			continue
		}
		s.before(st)
		last = s.request(c, st)
		if i < len(c.steps)-1 {
			s.after(st, new(acl.Decision))
		}
	}
	got := map[string]string{}
	for _, p := range last {
		got[p.Name] = p.Value
	}
	for name, want := range map[string]string{
		"protocol_state": "DATA", "client_address": "203.0.113.7", "server_port": "587", "primary_hostname": "mx.example.org", "uid": "8",
		"helo_name": "b.example.net", "sasl_method": "plain", "sasl_username": "anna", "auth_fail_id": "bert", "sender": "a@example.net", "size": "77",
		"rcpt_count": "2", "rcpt_fail_count": "1", "recipient_count": "1", "command_history": "EHLO, STARTTLS, EHLO, AUTH, AUTH, MAIL, RCPT, RCPT, DATA",
		"msgid_present": "1", "msgid_count": "1", "msgid": "<a@b>\n", "date_present": "1", "date_count": "1", "date": "Mon,\n  1 Jun 2026 00:00:00 +0000",
		"from_present": "0", "from_count": "0", "from": "", "list_id": "<l>", "tag": "", "recipient": "", "user": "", "rcpt_verify": "",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, not %q", name, got[name], want)
		}
	}
}

func TestAnUpdateWritesWhatCameAndLeavesTheRestAsItIs(t *testing.T) {
	text := "# mine\r\n" + strings.ReplaceAll(forgeries, "\n", "\r\n") + "-- case a --\r\n> CONNECT 203.0.113.7\r\n" +
		"> EHLO mx.example.org   # forged\r\n> MAIL FROM:<a@example.net>\r\n> RCPT TO:<b@example.org>\r\n" +
		"<    # to be filled\r\n!   score=9  hit=helo.H3 # and this\r\n! hit=helo.H3   # but not this\r\n\r\n> QUIT\r\n"
	want := strings.Replace(strings.Replace(text, "<    # to be filled", "< deny 550 5.7.1 rule=helo.H3    # to be filled", 1),
		"!   score=9  hit=helo.H3 # and this", "! score=0.0 hit=helo.H3 # and this", 1)
	f := parsed(t, "a.scenario", text)
	r := played(t, "a.scenario", text)
	got, lines := f.Updated(&r)
	if got != want || lines != 2 {
		t.Errorf("%d lines\n%s", lines, got)
	}
	if r := played(t, "a.scenario", got); !r.OK {
		t.Errorf("what was written fails:\n%s", failures(&r))
	}
	if r.Mend(); !r.OK || failures(&r) != "" {
		t.Errorf("left:\n%s", failures(&r))
	}
}

// What --update writes is read again, whatever stood in the line.
func TestAnUpdateWritesLinesThatCanBeRead(t *testing.T) {
	long := strings.Repeat("c", maxLine-20)
	const begin = "-- case a --\n> NOT_SMTP user="
	for _, c := range []struct{ name, text, want, left string }{
		{"a comment next to < belongs to no word", begin + "a\n<# why\n", begin + "a\n< dunno # why\n", ""},
		{"a comment without room is left out", begin + "a\n! level=1 mark=yes #" + long + "\n", begin + "a\n! level=none mark=no\n", ""},
		{"a line without room stays as it is", begin + long + "\n! level=1\n! account=a reason=x text=x\n", begin + long + "\n! level=none\n! account=a reason=x text=x\n",
			"- ! account=a reason=x text=x\n+ ! account=" + long + " reason=none text=none\n"},
	} {
		r := played(t, "a.scenario", c.text)
		got, lines := parsed(t, "a.scenario", c.text).Updated(&r)
		if got != c.want || lines != 1 {
			t.Errorf("%s: %d lines\n%s", c.name, lines, got)
			continue
		}
		r.Mend()
		second := played(t, "a.scenario", got)
		if failures(&r) != c.left || failures(&second) != c.left || r.OK != (c.left == "") {
			t.Errorf("%s: left\n%s", c.name, failures(&r))
		}
	}
}

// What no expectation can mend stays a failure.
func TestAnUpdateDoesNotMendASessionThatWasEnded(t *testing.T) {
	text := forgeries + "-- case a --\n> CONNECT 203.0.113.7\n> EHLO a.example.net\n> MAIL FROM:<a@example.net>\n> RCPT TO:<b@example.org> unknown x5\n<\n> RSET\n"
	r := played(t, "a.scenario", text)
	got, lines := parsed(t, "a.scenario", text).Updated(&r)
	if lines != 1 || !strings.Contains(got, "\n< drop 550 5.7.1 rule=dictionary.hard\n> RSET\n") {
		t.Errorf("%d lines\n%s", lines, got)
	}
	if r.Mend(); r.OK || failures(&r) != "- \n+ there is no connection: it ended at line 10\n" {
		t.Errorf("left: %s", failures(&r))
	}
}

// Each case has a memory of its own, whatever the one before did.
func TestACaseBeginsWithAnEmptyMemory(t *testing.T) {
	guesses := "> CONNECT 203.0.113.7\n> EHLO a.example.net\n> MAIL FROM:<a@example.net>\n> RCPT TO:<b@example.org> unknown x5\n< drop rule=dictionary.hard\n"
	r := played(t, "a.scenario", forgeries+"-- case a --\n"+strings.Repeat(guesses, 3)+"-- case b --\n"+guesses)
	if got := failures(&r); got != "" {
		t.Error(got)
	}
}

// A connection that is refused before it has greeted is followed by one that greets as the one before it.
func TestAnotherConnectionGreetsAsTheLastOneThatDid(t *testing.T) {
	r := played(t, "a.scenario", "-- config --\npolicy.auth = {mode = \"enforce\", failures = 1}\npolicy.helo.mode = \"enforce\"\npolicy.ptr.mode = \"off\"\n-- case a --\n"+
		"> CONNECT 203.0.113.7\n> EHLO localhost\n> AUTH a failed\n> QUIT\n! level=1\n@ +1h\n"+
		"> CONNECT 203.0.113.7\n> EHLO localhost\n> AUTH a failed\n> QUIT\n! level=2\n@ +4h\n"+
		"> CONNECT 203.0.113.7\n> EHLO localhost\n> AUTH a failed\n> QUIT\n! level=3\n@ reconnect\n< drop 554 5.7.1 rule=ban\n"+
		"@ reconnect\n< drop\n@ +16h\n@ reconnect\n< dunno\n> MAIL FROM:<a@example.net>\n> RCPT TO:<b@example.org>\n< deny rule=helo.H7\n")
	if got := failures(&r); got != "" {
		t.Error(got)
	}
}

// A bounce of Exim's own passes, whoever it runs as.
func TestTheUserEximIsExim(t *testing.T) {
	const to = " remote_count=1 remote_first=a@example.com\n"
	r := played(t, "a.scenario", "-- config --\npolicy.nobody = {mode = \"enforce\", users = [\"exim\", \"4242\"]}\n-- case a --\n"+
		"> NOT_SMTP user=exim sender="+to+"< dunno\n> NOT_SMTP user=exim sender=exim@example.org"+to+"< deny\n> NOT_SMTP user=4242 sender="+to+"< deny\n"+
		"> NOT_SMTP user=anna sender="+to+"< dunno\n")
	if got := failures(&r); got != "" {
		t.Error(got)
	}
}

// A rule that panics is told of, and is no rule that passes.
func TestARuleThatFailsIsAFailure(t *testing.T) {
	c := &parsed(t, "a.scenario", "-- case a --\n> CONNECT 203.0.113.7\n< dunno\n").Cases[0]
	s, err := c.site(t.Context(), new(world))
	if err != nil {
		t.Fatal(err)
	}
	s.settings.Decider.Fault("helo.H1", "out of range", nil)
	p := player{site: s, of: c}
	r, err := p.end(nil)
	if err != nil || r.OK || len(r.Failures) != 1 || r.Failures[0].Diff[0].Got != "the rule helo.H1 failed: out of range" {
		t.Errorf("%+v, %v", r, err)
	}
}

// Exim asks once more when it drops a connection, and what was tried in it counts.
func TestWhatWasTriedInAConnectionThatIsDroppedCounts(t *testing.T) {
	r := played(t, "a.scenario", "-- config --\npolicy.auth = {mode = \"enforce\", failures = 1}\npolicy.dictionary.mode = \"enforce\"\n-- case a --\n"+
		"> CONNECT 203.0.113.7\n> EHLO a.example.net\n> AUTH a failed\n> MAIL FROM:<a@example.net>\n> RCPT TO:<b@example.org> unknown x5\n< drop rule=dictionary.hard\n"+
		"> CONNECT 203.0.113.7\n> EHLO a.example.net\n> MAIL FROM:<a@example.net>\n> RCPT TO:<b@example.org>\n< defer 451 4.7.1 rule=ban\n! reason=\"by auth.AU1\"\n")
	if got := failures(&r); got != "" {
		t.Error(got)
	}
}

// halted ends after Err was asked for so many times.
type halted struct {
	context.Context
	left int
}

func (h *halted) Err() error {
	if h.left--; h.left < 0 {
		return context.Canceled
	}
	return nil
}

// What is not known in the last step because somebody ended it would be a failure, and --update would write it.
func TestWhatIsEndedInItsLastStepHasNoResult(t *testing.T) {
	f := parsed(t, "a.scenario", "-- case a --\n> CONNECT 203.0.113.7 x3\n< deny\n")
	for left := range 5 {
		r, err := f.Play(&halted{t.Context(), left})
		if len(r.Cases) > 0 || !errors.Is(err, context.Canceled) {
			t.Errorf("%d: %v, %+v", left, err, r)
		}
	}
}

// A file of many cases would fill as many servers.
func TestTheCasesOfASectionAskOneServer(t *testing.T) {
	const name = "mail.example.net"
	text := "-- dns --\n" + name + " A 203.0.113.7\n-- case a --\n<\n-- case b --\n<\n-- dns --\n-- case c --\n<\n"
	f := parsed(t, "a.scenario", strings.ReplaceAll(text, "<", "> NOT_SMTP\n<"))
	var w world
	var servers []*dnstest.Server
	for i := range f.Cases {
		if _, err := w.of(f.Cases[i].dns); err != nil {
			t.Fatal(err)
		}
		servers = append(servers, w.server)
	}
	if servers[0] != servers[1] || servers[1] == servers[2] {
		t.Errorf("%p", servers)
	}
	if err := w.Close(); err != nil || w.server != nil {
		t.Error(err)
	}
}

// Each fold would copy those before it.
func TestAHeaderOfManyFoldsIsReadAtOnce(t *testing.T) {
	lines := append([]string{"from: a"}, slices.Repeat([]string{" b"}, 10_000)...)
	lines = append(lines, "From:", "\tc")
	var values []string
	allocs := testing.AllocsPerRun(1, func() { values = valuesOf(lines, "from") })
	if want := []string{"a" + strings.Repeat("\n b", 10_000), "\n\tc"}; !slices.Equal(values, want) || allocs > 10 {
		t.Errorf("%d values, %.0f allocations", len(values), allocs)
	}
}
