package test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"eximpolicyd/test/rig"
)

// oddHeaders are those in which one could go astray: what Exim makes of each
// before it asks, and that the reading of these tests makes the same.
func oddHeaders() []struct{ name, header string } {
	return []struct{ name, header string }{
		{"trailing blanks", "Message-ID: <1@a.example> \t \n"},
		{"leading blanks", "Message-ID: \t <1@a.example>\n"},
		{"no blank", "Message-ID:<1@a.example>\n"},
		{"folded before the value", "Message-ID:\n <1@a.example>\n"},
		{"folded over a line of blanks", "Message-ID: <1@a.example>\n \t \n <2@a.example>\n"},
		{"a line of blanks at the end", "Message-ID: <1@a.example>\n \nDate: none\n"},
		{"three lines of blanks at the end", "Message-ID: <1@a.example>\n \n\t\n  \nDate: none\n"},
		{"nothing but lines of blanks", "Message-ID: \n \n\t\nDate: none\n"},
		{"a bare CR", "Message-ID: <1\r2@a.example>\n"},
		{"a bare CR before a blank", "Message-ID: <1\r 2@a.example>\n"},
		{"a bare CR before the value", "Message-ID:\r<1@a.example>\n"},
		{"a bare CR at the end", "Message-ID: <1@a.example>\r\r\nDate: none\n"},
		{"two bare CRs", "Message-ID: <1@a.example>\rDate: x\rFrom: y\n"},
		{"a blank before the colon", "Message-ID : <1@a.example>\n"},
		{"a blank and the real one", "Message-ID : <1@a.example>\nMessage-ID: <2@a.example>\n"},
		{"other case", "MESSAGE-id: <1@a.example>\n"},
		{"a longer name", "Message-IDs: <1@a.example>\nX-Message-ID: <2@a.example>\n"},
		{"empty", "Message-ID:\n"},
		{"only blanks", "Message-ID: \t \n"},
		{"empty and full", "Message-ID:\nMessage-ID: <1@a.example>\n"},
		{"three", "Message-ID: <1@a.example>\nFrom: x@a.example\nMessage-ID: <2@a.example>\nMessage-ID: <3@a.example>\nFrom: y@a.example\n"},
		{"colons in the value", "Message-ID: <a:b::c@a.example>\nDate: Mon, 23 Nov 2026 12:00:00 +0000\n"},
		{"begins like a list separator", "Message-ID: <-1@a.example>\nMessage-ID: <;2@a.example>\n"},
		{"quotes and backslashes", "Message-ID: <\"a\\\"b\\\\c\"@a.example>\n"},
		{"RFC 2047 words", "Message-ID: =?utf-8?q?=3Cx=40y=3E=0Aaction=3Daccept?=\n"},
		{"8-bit and controls", "Message-ID: <\xe4\x01\x7f@a.example>\n"},
		{"3000 octets", "Message-ID: <" + strings.Repeat("a", 900) + "\n " + strings.Repeat("b", 900) + "\n " + strings.Repeat("c", 900) + ">\n"},
		{"a line that is no field", "Date: none\nthis is no field\nMessage-ID: <1@a.example>\n"},
		{"a line with a blank in the name", "Date: none\nno field: really\nMessage-ID: <1@a.example>\n"},
		{"begins with a blank", " Message-ID: <1@a.example>\nDate: none\n"},
		{"an mbox line first", "From x@a.example Mon Nov 23 12:00:00 2026\nMessage-ID: <1@a.example>\n"},
		{"an escaped mbox line first", ">From x@a.example Mon Nov 23 12:00:00 2026\nMessage-ID: <1@a.example>\n"},
		{"a list", "List-Id: Talk\n <talk.a.example>\nList-Id: <more.a.example>\nFrom: x@a.example\n"},
		{"no header at all", ""},
	}
}

// readings are the names whose values a letter's own reading must get right.
func readings() []string {
	return strings.Fields("client_address helo_name sender recipient relay_host msgid_present msgid_count msgid msgid_size " +
		"date_present date_count date from_present from_count from list_id")
}

func TestTheTestsReadAHeaderAsEximDoes(t *testing.T) {
	var letters []letter
	for _, o := range oddHeaders() {
		l := written(t, o.name, "from x@example.org")
		l.text = o.header + "\ntext\nMessage-ID: <body@a.example>\n"
		letters = append(letters, l)
	}
	fromSet, _ := writtenLetters(t)
	fromSet = slices.DeleteFunc(fromSet, func(l letter) bool {
		return l.auth || l.relay // for whom Exim completes the header
	})
	asExim(t, append(letters, fromSet...), func(s *rig.Site, l *letter, port int) (smtpAnswer, error) { return l.speak(s, port) })
}

func TestTheTestsReadEveryRealHeaderAsEximDoes(t *testing.T) {
	letters, _ := corpusLetters(t)
	asExim(t, letters, func(s *rig.Site, l *letter, port int) (smtpAnswer, error) { return l.send(s, port) })
}

// asExim sends letters through Exim to a daemon that only listens, and compares
// what Exim asked about each with the letter's own reading.
func asExim(t *testing.T, letters []letter, send func(*rig.Site, *letter, int) (smtpAnswer, error)) {
	t.Helper()
	s := started(t, rig.Config{Flavour: "stock", Queue: true, Main: setMain})
	f := fake(t, s, rig.Always(rig.Dunno()))
	sendLetters(t, letters, func(l *letter, port int) (smtpAnswer, error) { return send(s, l, port) })
	rcpts, data := map[int]map[string]string{}, map[int]map[string]string{}
	for stage, byPort := range map[string]map[int]map[string]string{"RCPT": rcpts, "DATA": data} {
		for _, values := range asked(t, f, stage) {
			port, err := strconv.Atoi(values["client_port"])
			if err != nil || byPort[port] != nil {
				t.Fatalf("%v, or asked twice at %s from port %d", err, stage, port)
			}
			byPort[port] = values
		}
	}
	for i := range letters {
		l := &letters[i]
		exim, rcpt := data[firstLetterPort+i], rcpts[firstLetterPort+i]
		if exim == nil || rcpt == nil {
			t.Errorf("%s: never asked", l.name)
			continue
		}
		exim["recipient"] = rcpt["recipient"] // not known any more at DATA
		own := l.request(eximAt(t, s))
		for _, name := range readings() {
			if got := fmt.Sprint(own[name]); got != exim[name] {
				t.Errorf("%s: %s: we read %q, Exim says %q", l.name, name, got, exim[name])
			}
		}
	}
}
