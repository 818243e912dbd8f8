package test

import (
	"encoding/base64"
	"strings"
	"testing"

	eximsnippets "eximpolicyd/exim-snippets"
	"eximpolicyd/test/rig"
)

// junk lets anything through as a HELO, as sites with old clients do.
const junk = "helo_accept_junk_hosts = *\n"

// An injection is one session of a client that means harm. Each line is sent
// with CR LF; what Exim answers does not matter, what it asks the daemon does.
type injection struct {
	name  string
	lines []string
	stage string
	want  map[string]string // exactly these values at the last question of that stage
}

// withHeader makes a session that ends in a message with these header lines.
func withHeader(lines string) []string {
	return []string{"EHLO a.example", "MAIL FROM:<x@a.example>", "RCPT TO:<alice@" + rig.Domain + ">", "DATA", lines + "\r\n\r\nx\r\n."}
}

func upToRcpt(from, to string) []string {
	return []string{"EHLO a.example", "MAIL FROM:<" + from + ">", "RCPT TO:<" + to + ">"}
}

func commandInjections() []injection {
	quotes := strings.Repeat(`"`, 1000)
	return []injection{
		{"a HELO with quotes, backslashes, blanks, signs and a tab", []string{"HELO a\"b\\c d=e;f\tg"}, "HELO",
			map[string]string{"helo_name": "a\"b\\c d=e;f\tg"}},
		{"a HELO with a bare CR before a line of its own", []string{"HELO a\raction=accept\rend=1"}, "HELO",
			map[string]string{"helo_name": "a\raction=accept\rend=1"}},
		{"a HELO that looks like the escapes", []string{`HELO a\naction=accept\r\n\nend=1"`}, "HELO",
			map[string]string{"helo_name": `a\naction=accept\r\n\nend=1"`}},
		{"a HELO in UTF-8, not UTF-8 and controls", []string{"HELO \xc3\xb6\xff\x01\x7f\x1b[31m"}, "HELO",
			map[string]string{"helo_name": "\xc3\xb6\xff\x01\x7f\x1b[31m"}},
		{"a HELO that Exim would expand", []string{"HELO ${run{/bin/false}}$pid"}, "HELO",
			map[string]string{"helo_name": "${run{/bin/false}}$pid"}},
		{"a HELO of a thousand quotes is cut inside the quote", []string{"HELO " + quotes}, "HELO",
			map[string]string{"helo_name": quotes[:300]}},
		{"a HELO whose cut falls on a backslash", []string{"HELO " + strings.Repeat("a", 299) + `\\"`}, "HELO",
			map[string]string{"helo_name": strings.Repeat("a", 299) + `\`}},
		{"a HELO with NUL does not come through, the next does", []string{"HELO a\x00b", "HELO c"}, "HELO",
			map[string]string{"helo_name": "c"}},
		{"a sender with a bare CR", upToRcpt("\"a\raction=accept\"@a.example", "alice@"+rig.Domain), "RCPT",
			map[string]string{"sender": "\"a\raction=accept\"@a.example"}},
		{"a sender with quotes, backslashes and signs", upToRcpt(`"a\"b\\c d=e; f"@a.example`, "alice@"+rig.Domain), "MAIL",
			map[string]string{"sender": `"a\"b\\c d=e; f"@a.example`}},
		{"a sender as long as Exim takes one, all of it escaped", upToRcpt(`"`+strings.Repeat(`\"`, 120)+`"@a.example`, "alice@"+rig.Domain), "MAIL",
			map[string]string{"sender": `"` + strings.Repeat(`\"`, 120) + `"@a.example`}},
		{"a recipient with a bare CR", upToRcpt("x@a.example", "\"a\raction=accept\"@"+rig.Domain), "RCPT",
			map[string]string{"recipient": "a\raction=accept@" + rig.Domain, "rcpt_verify": "unknown"}},
		{"a recipient with signs and a backslash", upToRcpt("x@a.example", `"A@B  \\ =;"@`+rig.Domain), "RCPT",
			map[string]string{"recipient": `a@b  \ =;@` + rig.Domain}},
		{"a recipient in UTF-8 and not", upToRcpt("x@a.example", "\xc3\xb6\xff@"+rig.Domain), "RCPT",
			map[string]string{"recipient": "\xc3\xb6\xff@" + rig.Domain}},
		{"a failed login whose name holds a line end", []string{"EHLO a.example",
			"AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00al\"ice\nuid=0\r\x00wrong")), "QUIT"}, "QUIT",
			map[string]string{"auth_fail_id": ` (set_id=al"ice\nuid=0\r)`, "command_history": "EHLO,AUTH,QUIT", "sasl_username": ""}},
		{"commands that do not exist", []string{"EHLO a.example", "remote_count=0", "action=accept end=1", "QUIT"}, "QUIT",
			map[string]string{"protocol_state": "QUIT"}},
	}
}

func headerInjections() []injection {
	long := strings.Repeat("i", 1200)
	encoded := "=?utf-8?q?=3Cx=40y=3E=0Aaction=3Daccept=0D=0A=0D=0Aend=3D1?="
	return []injection{
		{"two Message-ID fields", withHeader("Message-ID: <a@b>\r\nMessage-ID: <c@d>"), "DATA",
			map[string]string{"msgid": " <a@b>\n <c@d>\n", "msgid_count": "2", "msgid_present": "1", "msgid_size": "14"}},
		{"one folded Message-ID field with the same bytes", withHeader("Message-ID: <a@b>\r\n <c@d>"), "DATA",
			map[string]string{"msgid": " <a@b>\n <c@d>\n", "msgid_count": "1", "msgid_present": "1", "msgid_size": "14"}},
		{"a folded Message-ID that plays the protocol", withHeader("Message-ID: <a@b>\r\n action=accept\r\n\tend=1"), "DATA",
			map[string]string{"msgid": " <a@b>\n action=accept\n\tend=1\n", "msgid_count": "1"}},
		{"an encoded word that decodes to line ends", withHeader("Message-ID: " + encoded + "\r\nFrom: " + encoded + " <a@b>"), "DATA",
			map[string]string{"msgid": " " + encoded + "\n", "from": " " + encoded + " <a@b>\n"}},
		{"a bare CR in a header becomes a folded line", withHeader("Message-ID: <a\rb@d>"), "DATA",
			map[string]string{"msgid": " <a\n b@d>\n", "msgid_count": "1"}},
		{"a NUL in a header becomes a question mark", withHeader("Message-ID: <a\x00b@d>"), "DATA",
			map[string]string{"msgid": " <a?b@d>\n"}},
		{"quotes, backslashes, controls and bytes that are no UTF-8", withHeader("Message-ID: <\"a\\\"\x01\x7f\xff\t${pid}\"@d>"), "DATA",
			map[string]string{"msgid": " <\"a\\\"\x01\x7f\xff\t${pid}\"@d>\n"}},
		{"a first id of 1,200 octets hides no second", withHeader("Message-ID: <" + long + "@a>\r\nMessage-ID: <b@c>"), "DATA",
			map[string]string{"msgid": " <" + long + "@a>\n <b@c>\n", "msgid_count": "2", "msgid_size": "1213"}},
		{"a first id beyond every bound shows in the size and the count",
			withHeader("Message-ID: <" + long + "\r\n " + long + "@a>\r\nMessage-ID: <b@c>"), "DATA",
			map[string]string{"msgid": (" <" + long + "\n " + long)[:2100], "msgid_count": "2", "msgid_size": "2415"}},
		{"an id that begins like a choice of list separator is one", withHeader("Message-ID: <-a-b-c@d>"), "DATA",
			map[string]string{"msgid_count": "1"}},
		{"and does not hide a second field", withHeader("Message-ID: <.a@d>\r\nMessage-ID: <b@c>"), "DATA",
			map[string]string{"msgid_count": "2"}},
		{"a field with colons is one", withHeader("Message-ID: <a:b::c@d>\r\nDate: Mon, 23 Nov 2026 12:00:00 +0000\r\nFrom: a:b:c;"), "DATA",
			map[string]string{"msgid_count": "1", "date_count": "1", "from_count": "1"}},
		{"no header at all", withHeader("Subject: x"), "DATA",
			map[string]string{"msgid_present": "0", "msgid_count": "0", "msgid": "", "msgid_size": "0", "date_present": "0",
				"date_count": "0", "from_present": "0", "from_count": "0", "list_id": ""}},
		{"an empty Message-ID is there and not counted", withHeader("Message-ID:"), "DATA",
			map[string]string{"msgid_present": "1", "msgid_count": "0"}},
		{"an empty and a full one", withHeader("Message-ID:\r\nMessage-ID: <a@b>"), "DATA",
			map[string]string{"msgid_present": "1", "msgid_count": "1"}},
		{"a blank before the colon is another header", withHeader("Message-ID : <a@b>"), "DATA",
			map[string]string{"msgid_present": "0", "msgid_count": "0"}},
		{"headers longer than they are sent", withHeader("From: " + strings.Repeat("\"", 900) + "\r\n " + strings.Repeat("\\", 900) +
			"\r\nList-Id: " + strings.Repeat("\x01", 2000)), "DATA",
			map[string]string{"list_id": (" " + strings.Repeat("\x01", 2000))[:998]}},
	}
}

func TestNothingAClientSendsBecomesPartOfTheProtocol(t *testing.T) {
	for _, flavour := range eximsnippets.Flavours() {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			s := started(t, rig.Config{Flavour: flavour, Main: junk, Queue: true})
			f := fake(t, s, likeTheDaemon)
			for _, i := range append(commandInjections(), headerInjections()...) {
				f.Forget()
				c := dial(t, s, "203.0.113.7")
				for _, line := range i.lines {
					c.Say(line)
				}
				if len(asked(t, f, i.stage)) == 0 {
					t.Errorf("%s: never asked at %s:\n%.3000q", i.name, i.stage, c.Transcript())
					continue
				}
				got := last(t, f, i.stage)
				for name, want := range i.want {
					if got[name] != want {
						t.Errorf("%s: %s is %q, want %q", i.name, name, got[name], want)
					}
				}
				// The rest of the session is still asked about.
				before := len(f.Requests())
				c.Say("RSET")
				c.Say("HELO afterwards.example")
				if i.lines[len(i.lines)-1] != "QUIT" && len(f.Requests()) <= before {
					t.Errorf("%s: the rest of the session is not asked about", i.name)
				}
				check(t, c.Close())
			}
			if log := s.Mainlog(); strings.Contains(log, "eximpolicyd: ") {
				t.Error("a client could make its own request malformed, or switch the question off")
			}
			healthy(t, s)
		})
	}
}

func TestAMalformedRequestDoesNotSwitchTheRestOff(t *testing.T) {
	s := started(t, rig.Config{Flavour: "stock"})
	f := fake(t, s, rig.Always(rig.Whole(`action=dunno note="malformed: x"`)))
	twoMessages(t, s, "203.0.113.7")
	if n := len(f.Requests()); n != 11 {
		t.Fatalf("asked %d times, want 11", n)
	}
	check(t, s.AwaitDelivered("alice", 2))
	if strings.Contains(s.Mainlog(), "no usable answer") {
		t.Error("the answer to a malformed request was taken for none")
	}
}

func TestTheLargestRequestIsBelowTheBound(t *testing.T) {
	s := started(t, rig.Config{Flavour: "debian-unsplit", Main: junk, Queue: true})
	f := fake(t, s, atStage("HELO", rig.Whole(`action=dunno tag="`+strings.Repeat(`\"`, 2000)+`"`)))
	c := dial(t, s, "[2001:db8::7]:65535")
	quotes := strings.Repeat(`"`, 900)
	for _, line := range []string{"HELO " + quotes, "MAIL FROM:<\"" + strings.Repeat(`\"`, 110) + "\"@a.example>",
		"RCPT TO:<\"" + strings.Repeat(`\"`, 110) + "\"@" + rig.Domain + ">",
		"RCPT TO:<alice@" + rig.Domain + ">", "DATA",
		strings.Repeat("Message-ID: "+quotes+"\r\n", 4) + strings.Repeat("Date: "+quotes+"\r\n", 4) + "From: " + quotes + "\r\n " + quotes +
			"\r\nList-Id: " + quotes + "\r\n " + quotes + "\r\n\r\nx\r\n.", "QUIT"} {
		c.Say(line)
	}
	largest := 0
	for _, r := range f.Requests() {
		largest = max(largest, len(r))
		if _, err := strict(r); err != nil {
			t.Errorf("%v: %.300q", err, r)
		}
	}
	if d := last(t, f, "DATA"); len(d["msgid"]) != 2100 || len(d["from"]) != 998 || len(d["tag"]) != 256 || d["client_address"] != "2001:db8::7" {
		t.Errorf("msgid %d, from %d, tag %d, client %s", len(d["msgid"]), len(d["from"]), len(d["tag"]), d["client_address"])
	}
	if largest < 10_000 || largest > 64<<10 {
		t.Errorf("the largest request was %d bytes", largest)
	}
	healthy(t, s)
}
