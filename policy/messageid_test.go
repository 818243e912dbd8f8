package policy

import (
	"strings"
	"testing"
	"time"
)

func TestMessageID(t *testing.T) {
	for _, list := range [][]example{idMissing(), idSyntax(), idDomain(), idOurs(), idDates()} {
		runExamples(t, list)
	}
}

// id is the message's only Message-ID, as the snippet sends it.
func id(value string) change {
	return func(s *scene) {
		s.q.Stage = Data
		s.q.MessageID.Value, s.q.MessageIDSize = value, len(value)
	}
}

func idField(f Field, size int) change {
	return func(s *scene) { s.q.Stage, s.q.MessageID, s.q.MessageIDSize = Data, f, size }
}

func protocol(p string) change { return func(s *scene) { s.q.Protocol = p } }

func except(domains ...string) change {
	return func(s *scene) {
		s.settings["messageid"] = &MessageID{ExceptSenders: domains, DateAhead: 2, DateOld: 15}
	}
}

var (
	present = Known(true)
	absent  = Known(false)
	noID    = idField(Field{Present: absent, Count: Known(0)}, 0)
)

// idMissing are messages with too few or too many: M1, M2.
func idMissing() []example {
	const one, two = "2.5 deny deny", "2.0 deny deny"
	field := func(n int, value string) change {
		return idField(Field{Present: present, Count: Known(n), Value: value}, len(value))
	}
	blanks := strings.Repeat(" ", 2100)
	return []example{
		{"no Message-ID", "messageid.M1", with(noID), one, "no Message-ID"},
		{"an empty one is as good as none", "messageid.M1", with(field(0, "")), one, "empty"},
		{"one of white space and line ends", "messageid.M1", with(field(0, " \t\r\n ")), one, "empty"},
		{"one of 2,100 blanks and no more", "messageid.M1", with(field(1, blanks)), one, "empty"},
		{"998 blanks of which the request has none", "messageid.M1", with(idField(Field{Present: present, Count: Known(1)}, 998)), one, ""},
		{"no Message-ID from a sender of the domain above the exception", "messageid.M1", with(except("sub.example.net"), noID), one, ""},
		{"no Message-ID from a domain that ends like the exception", "messageid.M1", with(except("ample.net"), noID), one, ""},
		{"no Message-ID of a null sender, which its class does not show", "messageid.M1", with(sender(""), noID), "pass", ""},
		{"a Kelvin sign makes no exception", "messageid.M1", with(except("kiel.example"), sender("a@\u212aiel.example"), noID), one, ""},
		{"whether there is one is not known", "messageid.M1", with(idField(Field{}, 0)), "unknown", "Message-ID is not known"},
		{"a long one that begins with 2,100 blanks", "messageid.M1", with(idField(Field{Present: present, Count: Known(1), Value: blanks}, 2101)), "pass", ""},
		{"999 octets of which the request has none", "messageid.M1", with(idField(Field{Present: present, Count: Known(1)}, 999)), "pass", ""},
		{"no Message-ID from an excepted domain", "messageid.M1", with(except("example.com", "Example.NET."), noID), "pass", ""},
		{"no Message-ID from under an excepted domain", "messageid.M1", with(except("example.net"), sender("a@b@Sub.example.net"), noID), "pass", ""},
		{"no Message-ID from an excepted domain in upper case", "messageid.M1", with(except("example.net"), sender("a@EXAMPLE.NET."), noID), "pass", ""},
		{"one Message-ID", "messageid.M1", with(stage(Data)), "pass", ""},

		{"two Message-IDs", "messageid.M2", with(field(2, "<1@example.net>\n<2@example.net>")), two, "2 Message-IDs"},
		{"three Message-IDs", "messageid.M2", with(field(3, "<1@example.net>\n<2@example.net>\n<3@example.net>")), two, "3 Message-IDs"},
		{"two Message-IDs from an excepted domain", "messageid.M2", with(except("example.net"), field(2, "<1@example.net>\n<2@example.net>")), "pass", ""},
		{"how many is not known", "messageid.M2", with(idField(Field{Present: present, Value: "<1@example.net>"}, 15)), "pass", ""},
		{"no Message-ID is M1's", "messageid.M2", with(noID), "pass", ""},
		{"one", "messageid.M2", with(stage(Data)), "pass", ""},
	}
}

// idSyntax are Message-IDs that are none: M3. The parser itself is tested with more of them.
func idSyntax() []example {
	const want = "2.5 deny deny"
	long := "<" + strings.Repeat("a", 984) + "@example.net>" // 998 octets
	two := Field{Present: present, Count: Known(2), Value: "x\ny"}
	return []example{
		{"no brackets", "messageid.M3", with(id("1@example.net")), want, "no brackets"},
		{"no opening bracket", "messageid.M3", with(id("1@example.net>")), want, "no brackets"},
		{"no closing bracket", "messageid.M3", with(id("<1@example.net")), want, "no brackets"},
		{"text behind the brackets", "messageid.M3", with(id("<1@example.net> x")), want, "no brackets"},
		{"no @", "messageid.M3", with(id("<1.example.net>")), want, "no @"},
		{"several @", "messageid.M3", with(id("<1@2@example.net>")), want, "several @"},
		{"an empty left side", "messageid.M3", with(id("<@example.net>")), want, "an empty side"},
		{"an empty right side", "messageid.M3", with(id("<1@>")), want, "an empty side"},
		{"a blank inside", "messageid.M3", with(id("<1 2@example.net>")), want, "a blank"},
		{"a folded id", "messageid.M3", with(id("<1@\r\n example.net>")), want, "a blank"},
		{"a tab inside", "messageid.M3", with(id("<1@exa\tmple.net>")), want, "a blank"},
		{"a bare CR inside", "messageid.M3", with(id("<1@exa\rmple.net>")), want, "a blank"},
		{"a bare LF inside", "messageid.M3", with(id("<1@exa\nmple.net>")), want, "a blank"},
		{"a control character inside", "messageid.M3", with(id("<1\x01@example.net>")), want, "a control"},
		{"a unit separator, the last control below the blank", "messageid.M3", with(id("<1\x1f@example.net>")), want, "a control"},
		{"a DEL inside", "messageid.M3", with(id("<1@\x7fexample.net>")), want, "a control"},
		{"a NUL inside, with SMTPUTF8", "messageid.M3", with(protocol("utf8esmtps"), id("<1\x00@example.net>")), want, "a control"},
		{"8-bit without SMTPUTF8", "messageid.M3", with(id("<ü@example.net>")), want, "8-bit"},
		{"8-bit, when utf8 stands elsewhere in the protocol", "messageid.M3", with(protocol("xutf8"), id("<\x80@example.net>")), want, "8-bit"},
		{"brackets in brackets", "messageid.M3", with(id("<<1@example.net>>")), want, "brackets inside"},
		{"an opening bracket inside", "messageid.M3", with(id("<1<@example.net>")), want, "brackets inside"},
		{"two ids in one field", "messageid.M3", with(id("<1@example.net><2example.net>")), want, "brackets inside"},
		{"999 octets", "messageid.M3", with(id(long + " ")), want, "over 998"},
		{"999 octets, of which the request shows 15", "messageid.M3", with(idField(Field{Present: present, Count: Known(1), Value: "<1@example.net>"}, 999)), want, "over 998"},
		{"2,101 octets that begin with blanks", "messageid.M3", with(idField(Field{Present: present, Count: Known(1), Value: strings.Repeat(" ", 2100)}, 2101)), want, "over 998"},
		{"an unclosed comment", "messageid.M3", with(id("(x <1@example.net>")), want, "no brackets"},
		{"hostile octets do not reach the log raw", "messageid.M3", with(id(" \x1b[31m\"x\\")), want, `Message-ID "?[31m?x?":`},
		{"a fault from an excepted domain", "messageid.M3", with(except("example.net"), id("x")), "pass", ""},
		{"8-bit with SMTPUTF8", "messageid.M3", with(protocol("utf8esmtps"), id("<ü@example.net>")), "pass", ""},
		{"998 octets", "messageid.M3", with(id(long)), "pass", ""},
		{"comments around", "messageid.M3", with(id(" (a (b) \\) c) <1@example.net>\r\n (d)(e)")), "pass", ""},
		{"every printable character but the special ones", "messageid.M3", with(id("<!~$%/=?#{}|`'*+^_.-@example.net>")), "pass", ""},
		{"several are M2's", "messageid.M3", with(idField(two, 3)), "pass", ""},
		{"none is M1's", "messageid.M3", with(noID), "pass", ""},
		{"an empty one is M1's", "messageid.M3", with(id("  ")), "pass", ""},
		{"none, but with a value left over", "messageid.M3", with(idField(Field{Present: absent, Count: Known(0), Value: "x"}, 1)), "pass", ""},
		{"whether there is one is unknown, but with a value", "messageid.M3", with(idField(Field{Value: "x"}, 1)), "pass", ""},
		{"an ordinary one", "messageid.M3", with(stage(Data)), "pass", ""},
	}
}

// idDomain are Message-IDs that name no domain: M4.
func idDomain() []example {
	const half = "0.5 0.5 0.5"
	return []example{
		{"made at a bare address", "messageid.M4", with(id("<1@198.51.100.9>")), "1.0 1.0 deny", "an address"},
		{"made at a bare IPv6 address", "messageid.M4", with(id("<1@2001:db8::1>")), "1.0 1.0 deny", "an address"},
		{"made at an address literal", "messageid.M4", with(id("<1@[198.51.100.9]>")), half, "literal"},
		{"made at localhost", "messageid.M4", with(id("<1@localhost>")), half, "made at"},
		{"made at localhost.localdomain in upper case", "messageid.M4", with(id("<1@LOCALHOST.localdomain.>")), half, ""},
		{"made at a name without a dot", "messageid.M4", with(id("<1@pc>")), half, "without a dot"},
		{"made at a name whose only dot is the last", "messageid.M4", with(id("<1@pc.>")), half, "without a dot"},
		{"made at an address by an excepted sender", "messageid.M4", with(except("example.net"), id("<1@198.51.100.9>")), "pass", ""},
		{"a fault is M3's", "messageid.M4", with(id("<1 2@198.51.100.9>")), "pass", ""},
		{"no brackets is M3's", "messageid.M4", with(id("1@pc")), "pass", ""},
		{"none is M1's", "messageid.M4", with(noID), "pass", ""},
		{"made at a name with a dot", "messageid.M4", with(id("<1@pc.lan>")), "pass", ""},
		{"made at a domain", "messageid.M4", with(stage(Data)), "pass", ""},
	}
}

// idOurs are Message-IDs that outsiders say we made: M5.
func idOurs() []example {
	const want = "1.0 2.0 3.5"
	list := func(v string) change { return func(s *scene) { s.q.ListID = v } }
	return []example{
		{"made at our name", "messageid.M5", with(id("<1@MX.example.org.>")), want, "ours"},
		{"made at a name of own.names", "messageid.M5", with(ownNames("www.example.org"), id("<1@www.example.org>")), want, ""},
		{"made at a hosted domain", "messageid.M5", with(ownDomains("example.com"), id("<1@Example.COM>")), want, ""},
		{"made under a hosted domain", "messageid.M5", with(ownDomains("example.com"), id("<1@a.b.example.com>")), want, ""},
		{"with an empty List-Id", "messageid.M5", with(id("<1@mx.example.org>"), list(" \r\n ")), want, ""},
		{"from a submission port, not authenticated", "messageid.M5", with(id("<1@mx.example.org>"), class(Submission)), want, ""},
		{"to postmaster", "messageid.M5", with(id("<1@mx.example.org>"), class(Postmaster)), want, ""},
		{"as a bounce", "messageid.M5", with(id("<1@mx.example.org>"), sender(""), class(NullSender)), want, ""},
		{"our own mail back from a list", "messageid.M5", with(id("<1@mx.example.org>"), list("<users.example.com>")), "pass", "list mail"},
		{"from a private address", "messageid.M5", with(id("<1@mx.example.org>"), class(PrivateNet)), "pass", ""},
		{"from a relay of Exim's list", "messageid.M5", with(id("<1@mx.example.org>"), class(RelayHost)), "pass", ""},
		{"from exempt.relay", "messageid.M5", with(id("<1@mx.example.org>"), class(RelayNet)), "pass", ""},
		{"from an excepted sender", "messageid.M5", with(except("example.net"), id("<1@mx.example.org>")), "pass", ""},
		{"a domain that ends like a hosted one", "messageid.M5", with(ownDomains("example.com"), id("<1@badexample.com>")), "pass", ""},
		{"our name with a Kelvin sign", "messageid.M5", with(protocol("utf8esmtp"), ownDomains("kiel.example"), id("<1@\u212aiel.example>")), "pass", ""},
		{"the domain above a hosted one", "messageid.M5", with(ownDomains("a.example.com"), id("<1@example.com>")), "pass", ""},
		{"a fault is M3's", "messageid.M5", with(id("1@mx.example.org")), "pass", ""},
		{"several are M2's", "messageid.M5", with(idField(Field{Present: present, Count: Known(2), Value: "<1@mx.example.org>"}, 18)), "pass", ""},
		{"made elsewhere", "messageid.M5", with(stage(Data)), "pass", ""},
	}
}

// idDates are messages with a wrong Date or From: M8.
func idDates() []example {
	const one, two = "1.0 1.0 1.0", "2.0 2.0 2.0"
	date := func(t time.Time) change {
		return func(s *scene) { s.q.Date.Value = " " + t.Format(time.RFC1123Z) + "\r\n" }
	}
	fields := func(date, from Field) change {
		return func(s *scene) { s.q.Date, s.q.From = date, from }
	}
	days := func(ahead, old Days) change {
		return func(s *scene) { s.settings["messageid"] = &MessageID{DateAhead: ahead, DateOld: old} }
	}
	const day = 24 * time.Hour
	good := Field{Present: present, Count: Known(1)}
	none, several := Field{Present: absent, Count: Known(0)}, Field{Present: present, Count: Known(2)}
	late := Field{Present: absent, Value: "Fri, 23 Nov 2029 11:59:00 +0000"}
	doubled := several
	doubled.Value = late.Value
	list := []example{
		{"no Date", "messageid.M8", with(fields(none, good)), one, "no Date"},
		{"no From", "messageid.M8", with(fields(good, none)), one, "no From"},
		{"several Dates", "messageid.M8", with(fields(several, good)), one, "several Date fields"},
		{"several Froms", "messageid.M8", with(fields(good, several)), one, "several From fields"},
		{"several Dates, the first in the future, are one fault", "messageid.M8", with(fields(doubled, good)), one, "several Date fields"},
		{"neither", "messageid.M8", with(fields(none, none)), two, "no Date, no From"},
		{"a request that contradicts itself is worth 2.5 at most", "messageid.M8", with(fields(late, none)), "2.5 2.5 2.5", "no Date, no From, a Date in the future"},
		{"a Date a second over two days ahead", "messageid.M8", with(date(now.Add(2*day + time.Second))), one, "in the future"},
		{"a Date a second over fifteen days old", "messageid.M8", with(date(now.Add(-15*day - time.Second))), one, "old Date"},
		{"a Date of the year 9999", "messageid.M8", with(date(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))), one, "in the future"},
		{"a Date ahead in its own time zone only", "messageid.M8", with(date(now.Add(2 * day).In(time.FixedZone("", 14*3600)))), "pass", ""},
		{"a Date three days ahead of a day allowed", "messageid.M8", with(days(1, 0), date(now.Add(3*day))), one, "in the future"},
		{"a Date three days old with a day allowed", "messageid.M8", with(days(0, 1), date(now.Add(-3*day))), one, "old Date"},
		{"no Date from an excepted sender", "messageid.M8", with(except("example.net"), fields(none, none)), "pass", ""},
		{"a Date two days ahead", "messageid.M8", with(date(now.Add(2 * day))), "pass", ""},
		{"a Date fifteen days old", "messageid.M8", with(date(now.Add(-15 * day))), "pass", ""},
		{"a Date ahead, when that is not judged", "messageid.M8", with(days(0, 15), date(now.Add(300*day))), "pass", ""},
		{"an old Date, when that is not judged", "messageid.M8", with(days(2, 0), date(now.Add(-300*day))), "pass", ""},
		{"an old Date, when the time is not known", "messageid.M8", with(date(now.Add(-300*day)), func(s *scene) { s.f.Now = time.Time{} }), "pass", ""},
		{"a Date, when the time is not known", "messageid.M8", with(func(s *scene) { s.f.Now = time.Time{} }), "pass", ""},
		{"a Date that nobody can read", "messageid.M8", with(func(s *scene) { s.q.Date.Value = "yesterday" }), "pass", ""},
		{"nothing is known of the fields", "messageid.M8", with(fields(Field{}, Field{})), "pass", ""},
		{"an ordinary message", "messageid.M8", nil, "pass", ""},
	}
	for i := range list {
		list[i].given = append(list[i].given, stage(Data))
	}
	return list
}
