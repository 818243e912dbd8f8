package test

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"eximpolicyd/test/rig"
)

// A letter is one mail with its envelope, as a client brings it.
type letter struct {
	name, label string
	client      string   // address, IPv4 or IPv6
	greetings   []string // names in EHLO, the last one counts; none: straight to MAIL
	auth        bool     // logs in as alice
	relay       bool     // the client is in Exim's relay_from_hosts
	sender      string   // "": the null sender
	recipient   string
	text        string // line ends are LF; a bare CR is one
}

// ownAddress is in own.addresses. Behind a proxy Exim says that the client
// connected to the loopback address and port that the proxy did, whatever the
// PROXY line says: that line's second address is not asked about.
const ownAddress = "192.0.2.25"

// A field is one field of a header: its name as it stands, its value from the
// colon on, folded lines and the last LF included.
type letterField struct{ name, value string }

// fieldName is printable ASCII but the colon, with blanks behind it at most.
var fieldName = regexp.MustCompile(`^[!-9;-~]+[ \t]*$`)

// letterFields reads the fields of a message as Exim does: to the first line
// that is empty or no field, which is the body already. A line that begins with
// a blank continues the one before, a bare CR is the end of a line with the rest
// as its continuation, and lines of blanks at the end of a field are dropped.
func letterFields(text string) []letterField {
	var list []letterField
	for line := range strings.Lines(text) {
		line = strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "\r", "\n ") + "\n"
		if (line[0] == ' ' || line[0] == '\t') && len(list) > 0 {
			list[len(list)-1].value += line
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !fieldName.MatchString(name) {
			break
		}
		list = append(list, letterField{name, value})
	}
	for i := range list {
		first, more, folded := strings.Cut(list[i].value, "\n")
		for folded && more != "" && blankEnd.MatchString(more) {
			more = blankEnd.ReplaceAllString(more, "")
		}
		list[i].value = first + "\n" + more
	}
	return list
}

// blankEnd is a last line of blanks.
var blankEnd = regexp.MustCompile(`(?m)^[ \t]+\n\z`)

// fieldFacts are what Exim says of one field by name: a blank before the colon is
// part of the name, so that such a field is not found.
func fieldFacts(list []letterField, name string) (present, count int, raw string) {
	for _, f := range list {
		if !strings.EqualFold(f.name, name) {
			continue
		}
		present = 1
		if strings.TrimSpace(f.value) != "" {
			count++
		}
		raw += f.value
	}
	return present, count, raw
}

// request is what eximpolicyd check is asked about a letter, from the letter
// alone: nothing here was seen in Exim or in the daemon's log.
func (l *letter) request(server netip.AddrPort) map[string]any {
	q := map[string]any{
		"protocol_state": "DATA", "client_address": l.client, "server_address": server.Addr(), "server_port": server.Port(),
		"server_name": rig.Domain, "primary_hostname": rig.Domain, "protocol_name": "esmtp", "helo_name": "",
		"sender": l.sender, "recipient": l.recipient, "rcpt_verify": "ok", "rcpt_count": 1, "relay_host": "0",
	}
	if n := len(l.greetings); n > 0 {
		q["helo_name"] = cutTo(l.greetings[n-1], 300)
		q["helo_history"] = l.greetings[:n-1]
	}
	if l.auth {
		q["sasl_method"], q["sasl_username"], q["protocol_name"] = "rig_plain", "alice", "esmtpa"
	}
	if l.relay {
		q["relay_host"] = "1"
	}
	list := letterFields(l.text)
	for _, f := range []struct{ prefix, field string }{{"msgid", "message-id"}, {"date", "date"}, {"from", "from"}} {
		present, count, raw := fieldFacts(list, f.field)
		q[f.prefix+"_present"], q[f.prefix+"_count"] = fmt.Sprint(present), count
		if f.prefix == "msgid" {
			q["msgid"], q["msgid_size"] = cutTo(raw, 2100), len(raw)
		} else {
			q[f.prefix] = cutTo(raw, 998)
		}
	}
	_, _, id := fieldFacts(list, "list-id")
	q["list_id"] = cutTo(id, 998)
	return q
}

func cutTo(s string, most int) string { return s[:min(len(s), most)] }
