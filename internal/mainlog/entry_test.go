package mainlog_test

import (
	"fmt"
	"strings"
	"testing"

	"eximpolicyd/internal/mainlog"
)

// shown is what an event tells, in one line.
func shown(e *mainlog.Event) string {
	var b strings.Builder
	add := func(name string, v any) {
		if s := fmt.Sprint(v); s != "" && s != "0" && s != "invalid IP" && s != "invalid AddrPort" && s != "false" && s != "none" {
			fmt.Fprintf(&b, " %s=%s", name, s)
		}
	}
	b.WriteString(e.Kind.String() + ":")
	add("id", e.ID)
	add("pid", e.PID)
	add("client", e.Client)
	add("port", e.Port)
	add("server", e.Server)
	add("ptr", e.PTR)
	add("helo", e.HELO)
	add("ident", e.Ident)
	add("proto", e.Protocol)
	add("tls", e.TLS)
	add("auth", e.Auth)
	add("login", e.Login)
	if e.HasSender {
		fmt.Fprintf(&b, " from=<%s>", e.Sender)
	}
	add("to", e.Recipient)
	add("was", e.Original)
	add("for", e.For)
	add("host", e.Host)
	add("response", e.Response)
	add("size", e.Size)
	add("msgid", e.MessageID)
	add("made", e.MessageIDMade)
	add("subject", e.Subject)
	add("ref", e.Reference)
	add("command", e.Command)
	add("args", e.Arguments)
	add("temporary", e.Temporary)
	add("cause", e.Cause)
	add("rule", e.Rule)
	add("decision", e.Decision)
	add("reason", e.Reason)
	add("doubtful", e.Doubtful)
	return b.String()
}

func TestEachFormOfEntryIsReadAsEximMeansIt(t *testing.T) {
	for _, c := range entryCases {
		e := one(t, "2026-11-23 13:12:37 "+c.text)
		if got := shown(&e); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.text, got, c.want)
		}
	}
}

// entryCases are the forms of exim-facts.md 8, with addresses of the documentation.
var entryCases = []struct{ text, want string }{
	{`1xVTqX-0005xq-2c <= s@y.example H=(good.example) [192.0.2.5] P=esmtp S=258 id=1@y.example T="hello \"big\" world"`,
		`arrived: id=1xVTqX-0005xq-2c client=192.0.2.5 helo=good.example proto=esmtp from=<s@y.example> size=258 msgid=1@y.example subject=hello \"big\" world`},
	{`1xVTqZ-0005zq-08 <= s@y.example H=(tls.example) [192.0.2.5] P=esmtps X=TLS1.3:ECDHE_X25519__AES_256_GCM:256 CV=no S=509 id=2026@vm`,
		`arrived: id=1xVTqZ-0005zq-08 client=192.0.2.5 helo=tls.example proto=esmtps tls=TLS1.3:ECDHE_X25519__AES_256_GCM:256 from=<s@y.example> size=509 msgid=2026@vm`},
	{`[4557] 10HmaX-000000005vi-0000 <= s@y.example H=mail.y.example (client.example) [2001:db8::1]:53972 I=[192.0.2.1]:2525 P=esmtpsa L- X=TLS1.3:x CV=no A=plain:alice PRDR S=906 M8S=0 RT=0.000s id=a@b T="tls auth" from <s@y.example> for alice@example.net "bob b"@example.net`,
		`arrived: id=10HmaX-000000005vi-0000 pid=4557 client=2001:db8::1 port=53972 server=192.0.2.1:2525 ptr=mail.y.example helo=client.example proto=esmtpsa tls=TLS1.3:x auth=plain:alice from=<s@y.example> for=alice@example.net "bob b"@example.net size=906 msgid=a@b subject=tls auth`},
	{`1xVTqX-0005xq-2c <= a@y.example H=(y.example) [192.0.2.5] P=esmtpsa L.- X=TLS1.3:x CV=no A=plain:alice PRX=192.0.2.9 S=9 id=a@b for b@example.net`,
		`arrived: id=1xVTqX-0005xq-2c client=192.0.2.5 helo=y.example proto=esmtpsa tls=TLS1.3:x auth=plain:alice from=<a@y.example> for=b@example.net size=9 msgid=a@b`},
	{`1xVTqX-0005xq-2c <= a@y.example H=(y.example) [192.0.2.5] P=esmtpa L* A=plain:al ice@y.example S=9 id=a@b for b@example.net`,
		`arrived: id=1xVTqX-0005xq-2c client=192.0.2.5 helo=y.example proto=esmtpa auth=plain:al from=<a@y.example> for=b@example.net size=9 msgid=a@b`},
	{`1xVTUR-000673-1J <= <> R=1xVTqk-0006Eo-14 U=Debian-exim P=local S=365 id*=E1xVTUR-000673-1J@example.net`,
		`arrived: id=1xVTUR-000673-1J ident=Debian-exim proto=local from=<> size=365 msgid=E1xVTUR-000673-1J@example.net made=true ref=1xVTqk-0006Eo-14`},
	{`1xVTUR-000673-1J (= b2@example.org H=mail.example.org [192.0.2.7] P=esmtp S=5`,
		`arrived, told that it was refused: id=1xVTUR-000673-1J client=192.0.2.7 ptr=mail.example.org helo=mail.example.org proto=esmtp from=<b2@example.org> size=5`},
	{`cwd=/home/site/public_html 5 args: /usr/sbin/sendmail -t -i`, `command line: command=/home/site/public_html args=/usr/sbin/sendmail -t -i`},
	{`cwd=/home/a/x 4 args: /home/b/y 2 args: /usr/sbin/sendmail -t`, `command line: command=/home/a/x args=/home/b/y 2 args: /usr/sbin/sendmail -t`},
	{`cwd=/home/a b 1 args: sendmail`, `command line: command=/home/a b args=sendmail`},
	{`cwd=/home/a`, `command line: command=/home/a`},
	{`1xVTqk-0006Eo-14 F=<nobody@example.net> rejected by non-SMTP ACL: rule=nobody.N1 id=1vK3n8QZ4t: uid=65534`,
		`rejected local submission: id=1xVTqk-0006Eo-14 from=<nobody@example.net> cause=our rule rule=nobody.N1 decision=1vK3n8QZ4t reason=rule=nobody.N1 id=1vK3n8QZ4t: uid=65534`},
	{`U=nobody rejected connection in "connect" ACL: no`, `rejected at connect: ident=nobody cause=other reason=no`},
	{`plain authenticator failed for (bad.example) [192.0.2.5]:99 I=[192.0.2.1]:587: 535 Incorrect authentication data (set_id=alice)`,
		`login failed: client=192.0.2.5 port=99 server=192.0.2.1:587 helo=bad.example auth=plain login=alice reason=535 Incorrect authentication data (set_id=alice)`},
	{`H=(lab.example) [192.0.2.5] rejected EHLO or HELO lab.example: rule=helo.H3 id=1vK3n8QZ4t client=192.0.2.5: our name`,
		`rejected HELO: client=192.0.2.5 helo=lab.example cause=our rule rule=helo.H3 decision=1vK3n8QZ4t reason=rule=helo.H3 id=1vK3n8QZ4t client=192.0.2.5: our name`},
	{`rejected EHLO from [192.0.2.5]: syntactically invalid argument(s): bad_helo!name`,
		`rejected HELO: client=192.0.2.5 helo=bad_helo!name cause=greeting reason=syntactically invalid argument(s): bad_helo!name`},
	{`rejected MAIL from [192.0.2.5]: no HELO/EHLO given`, `rejected MAIL: client=192.0.2.5 cause=greeting reason=no HELO/EHLO given`},
	{`H=(q.example) [192.0.2.1] F=<> rejected RCPT <nosuch@example.net>: Unrouteable address`,
		`rejected RCPT: client=192.0.2.1 helo=q.example from=<> to=nosuch@example.net cause=unknown user reason=Unrouteable address`},
	{`H=[192.0.2.1]:25 X=TLS1.3:a CV=no SNI=mail.example F=<"a> b"@example.org> A=plain:u rejected RCPT <"c>: d"@other.example> NOTIFY=NEVER: relay not permitted`,
		`rejected RCPT: client=192.0.2.1 port=25 tls=TLS1.3:a auth=plain:u from=<"a> b"@example.org> to="c>: d"@other.example cause=relay denied reason=relay not permitted`},
	{` DSH=mail.y.example (y.example) [192.0.2.5]:25 F=<x@y.example> rejected RCPT <a@example.net>: Unknown user`,
		`rejected RCPT: client=192.0.2.5 port=25 ptr=mail.y.example helo=y.example from=<x@y.example> to=a@example.net cause=unknown user reason=Unknown user`},
	{`1xVTqi-0006Bh-2D  DSH=y.example [192.0.2.5] F=<x@y.example> rejected after DATA: no`,
		`rejected DATA: id=1xVTqi-0006Bh-2D client=192.0.2.5 ptr=y.example helo=y.example from=<x@y.example> cause=other reason=no`},
	{`H=(d.example) [192.0.2.5] F=<x@y.example> temporarily rejected RCPT <later@example.net>: mailbox database is down`,
		`rejected RCPT: client=192.0.2.5 helo=d.example from=<x@y.example> to=later@example.net temporary=true cause=other reason=mailbox database is down`},
	{`H=(d.example) [192.0.2.23] sender verify fail for <x@nx.invalid>: Unrouteable address`,
		`sender verify failed: client=192.0.2.23 helo=d.example from=<x@nx.invalid> cause=unknown user reason=Unrouteable address`},
	{`H=(d.example) [192.0.2.24] F=<x@y.example> rejected RCPT <a@example.net>: Sender rate 3.0 / 1h`,
		`rejected RCPT: client=192.0.2.24 helo=d.example from=<x@y.example> to=a@example.net cause=rate limit reason=Sender rate 3.0 / 1h`},
	{`H=(d.example) [192.0.2.250] F=<x@s.example> rejected RCPT <a@example.net>: rejected because 192.0.2.250 is in a black list at bl1.example`,
		`rejected RCPT: client=192.0.2.250 helo=d.example from=<x@s.example> to=a@example.net cause=block list reason=rejected because 192.0.2.250 is in a black list at bl1.example`},
	{`DNS list lookup defer (probably timeout) for 3.2.1.10.bl1.example: assumed not in list`, `DNS list defer:`},
	{`1xVTqi-0006Bh-2D H=(d.example) [192.0.2.5] F=<x@y.example> rejected after DATA: rule=messageid.M1 id=1vK3n8QZ4t: none`,
		`rejected DATA: id=1xVTqi-0006Bh-2D client=192.0.2.5 helo=d.example from=<x@y.example> cause=our rule rule=messageid.M1 decision=1vK3n8QZ4t reason=rule=messageid.M1 id=1vK3n8QZ4t: none`},
	{`1Ai79e-0000Dq-8i F=u@m.example H=host.example [192.0.2.40] P=smtp rejected by local_scan(): hits=7.5`,
		`rejected by local_scan: id=1Ai79e-0000Dq-8i client=192.0.2.40 ptr=host.example helo=host.example proto=smtp from=<u@m.example> cause=other reason=hits=7.5`},
	{`SMTP protocol error in "RCPT TO:<a@b>" H=[192.0.2.5] sender not yet given`,
		`protocol error: client=192.0.2.5 command=RCPT TO:<a@b> reason=sender not yet given`},
	{`SMTP syntax error in "FOO" H=[192.0.2.5] unrecognized command`, `syntax error: client=192.0.2.5 command=FOO reason=unrecognized command`},
	{`SMTP protocol synchronization error (input sent without waiting for greeting): rejected connection from H=[192.0.2.1]:7 I=[192.0.2.2]:25 input="EHLO a\r\n"`,
		`synchronization error: client=192.0.2.1 port=7 server=192.0.2.2:25 reason=input sent without waiting for greeting`},
	{`unexpected disconnection while reading SMTP command from (d.example) [192.0.2.5] D=0s`, `connection lost: client=192.0.2.5 helo=d.example`},
	{`H=[192.0.2.1] temporarily rejected connection in "connect" ACL: Host is ratelimited (1.9/1h max:1.2)`,
		`rejected at connect: client=192.0.2.1 temporary=true cause=rate limit reason=Host is ratelimited (1.9/1h max:1.2)`},
	{`SMTP connection from [192.0.2.1]:55 (TCP/IP connection count = 1)`, `connection opened: client=192.0.2.1 port=55 reason=(TCP/IP connection count = 1)`},
	{`SMTP connection from (a) [192.0.2.1] D=3s closed by QUIT`, `connection closed by QUIT: client=192.0.2.1 helo=a reason=closed by QUIT`},
	{`Connection from [192.0.2.1]:9 refused: too many connections`, `connection refused: client=192.0.2.1 port=9 reason=refused: too many connections`},
	{`1xVTqX-0005xq-2c => user <user@example.net> R=local_user T=maildir`, `delivered: id=1xVTqX-0005xq-2c to=user was=user@example.net`},
	{`1xVTqX-0005xq-2c => usery (c@example.net, b@example.net) <a@example.net> R=local_user T=maildir`, `delivered: id=1xVTqX-0005xq-2c to=usery was=a@example.net`},
	{`1xVTqX-0005xq-2c => a@b.example R=dnslookup T=remote_smtp H=mx.b.example [192.0.2.9]:25 DN="CN=x C=\"y" C="250 \"ok\" H=[192.0.2.8]"`, `delivered: id=1xVTqX-0005xq-2c to=a@b.example host=mx.b.example [192.0.2.9]:25 response=250 \"ok\" H=[192.0.2.8]`},
	{`1xVTqX-0005xq-2c => a <a@b.example> R=local_user T=maildir_home C="250 ok"`, `delivered: id=1xVTqX-0005xq-2c to=a was=a@b.example`},
	{`1xVTqX-0005xq-2c ** a@b.example R=dnslookup T=remote_smtp H=mx.b.example [192.0.2.9] DN="CN=x: y": SMTP error from remote mail server after end of data: 554 no`,
		`delivery failed: id=1xVTqX-0005xq-2c to=a@b.example host=mx.b.example [192.0.2.9] reason=SMTP error from remote mail server after end of data: 554 no`},
	{`1xVTqX-0005xq-2c == a@b.example R=dnslookup T=remote_smtp defer (-44) H=mx [192.0.2.9]: 450 later`, `retry defer: id=1xVTqX-0005xq-2c to=a@b.example host=mx [192.0.2.9] reason=450 later`},
	{`1xVTqX-0005xq-2c ** a@b.example: retry timeout exceeded`, `delivery failed: id=1xVTqX-0005xq-2c to=a@b.example reason=retry timeout exceeded`},
	{`1xVTqX-0005xq-2c H=mx.b.example [192.0.2.9]: SMTP error from remote mail server after RCPT TO:<a@b>: 450 later`, `trouble with a remote host: id=1xVTqX-0005xq-2c`},
	{`1xVTqX-0005xq-2c Completed QT=1s`, `completed: id=1xVTqX-0005xq-2c`},
	{`1xVTqX-0005xq-2c Frozen (delivery error message)`, `frozen: id=1xVTqX-0005xq-2c`},
	{`exim 4.98 daemon started: pid=1, no queue runs, listening for SMTP on port 25`, `daemon:`},
	{`Start queue run: pid=12`, `queue run:`},
	{`anything that a logwrite says`, `written by the configuration:`},
	{`H=(a.example) [192.0.2.1] does what no Exim says`, `unknown:`},
}

func TestNoClientCanPutAnotherAddressInItsPlace(t *testing.T) {
	const real = "192.0.2.66"
	for _, c := range []struct{ name, text, want string }{
		{"a HELO with an address, behind it the real one", `H=(x) [198.51.100.8]) [192.0.2.66] F=<a@b> rejected RCPT <c@d>: relay not permitted`, real},
		{"a HELO that is an address", `H=([198.51.100.8]) [192.0.2.66]:25 F=<a@b> rejected RCPT <c@d>: no`, real},
		{"a HELO with a whole entry", `H=(x) [198.51.100.8] F=<a@b> rejected RCPT <c@d>: no (y) [192.0.2.66] F=<e@f> rejected RCPT <g@h>: Unrouteable address`, real + " doubtful"},
		{"a HELO with a port and an interface", `H=(x) [198.51.100.8]:25 I=[198.51.100.9]:25) [192.0.2.66]:4 F=<> rejected RCPT <g@h>: no`, real},
		{"a HELO with brackets that hold no address", `H=(x) [here] F=<a@b>) [192.0.2.66] rejected MAIL <a@b>`, real},
		{"a rejected HELO that repeats an entry", `H=(x) [198.51.100.8] rejected EHLO or HELO x: no) [192.0.2.66] rejected EHLO or HELO x) [198.51.100.8] rejected EHLO or HELO x: no: bad name`, real},
		{"a recipient in quotes", `H=[192.0.2.66] F=<> rejected RCPT <"x> H=(y) [198.51.100.8] F=<>"@example.net>: relay not permitted`, real},
		{"a sender in quotes of an arrival", `1xVTqX-0005xq-2c <= "x H=(y) [198.51.100.8] P=smtp"@example.org H=(z) [192.0.2.66] P=esmtp S=1`, real},
		{"a sender with an escaped quote", `1xVTqX-0005xq-2c <= "x\" H=(y) [198.51.100.8] P=smtp"@example.org H=(z) [192.0.2.66] P=esmtp S=1`, real},
		{"a HELO of an arrival", `1xVTqX-0005xq-2c <= a@example.org H=(x) [198.51.100.8] P=smtp (y) [192.0.2.66] P=esmtp S=1 id=a@b`, real},
		{"a subject", `1xVTqX-0005xq-2c <= a@example.org H=(z) [192.0.2.66] P=esmtp S=1 T="x\" H=(y) [198.51.100.8] P=smtp"`, real},
		{"a Message-ID", `1xVTqX-0005xq-2c <= a@example.org H=[192.0.2.66] P=esmtp S=1 id="x) [198.51.100.8] P=smtp"@b`, real},
		{"a login", `plain authenticator failed for (a) [192.0.2.66]: 535 Incorrect authentication data (set_id=x) [198.51.100.8]: 535 no)`, real + " doubtful"},
		{"a login without a greeting", `plain authenticator failed for [192.0.2.66]: 535 Incorrect authentication data (set_id=x) [198.51.100.8]: 535 no)`, real},
		{"a command with quotes", `SMTP protocol error in "aUtH lOgIn" H=(test) [198.51.100.8]" H=(roxzgj) [192.0.2.66] AUTH command used when not advertised`, real},
		{"a command and a HELO with quotes", `SMTP syntax error in "x" H=[198.51.100.8] y" H=(a" H=(b) [198.51.100.9]) [192.0.2.66] unrecognized command`, real},
		{"a last command with an address", `SMTP call from (a) [192.0.2.66] dropped: too many unrecognized commands (last was ") [198.51.100.8] dropped: ")`, real + " doubtful"},
		{"an ETRN that looks like syslog", `ETRN exim[12]: H=[198.51.100.8] F=<> rejected RCPT <a@b>: no received from (x) [192.0.2.66]`, real},
		{"a VRFY with a host", `VRFY failed for x H=(a) [198.51.100.8] H=(z) [192.0.2.66]`, real},
		{"the words of a far server about a sender", `H=[192.0.2.66] sender verify fail for <a@b>: 550 H=(x) [198.51.100.8] F=<> rejected RCPT <y>: no`, real},
		{"the header of a refused mail, no greeting", `1xVTqX-0005xq-2c H=[192.0.2.66] F=<a@b> rejected after DATA: failing address is: x) [198.51.100.8] F=<> rejected after DATA: y`, real},
	} {
		e := one(t, "2026-11-23 13:12:37 "+c.text)
		got := e.Client.String()
		if e.Doubtful {
			got += " doubtful"
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s\n%s\n%s", c.name, got, c.want, c.text, shown(&e))
		}
	}
}

func TestWhatEximEscapesIsUndone(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`no escape`, `no escape`}, {`a \"b\" \\c`, `a "b" \c`}, {`\n\r\t`, "\n\r\t"}, {`\303\274\000\177`, "\u00fc\x00\x7f"}, {`\9 \78 \`, `9 78 \`},
	} {
		if got := mainlog.Unescape(c.text); got != c.want {
			t.Errorf("%s is %q, not %q", c.text, got, c.want)
		}
	}
}
