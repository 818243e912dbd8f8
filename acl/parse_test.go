package acl

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"eximpolicyd/policy"
)

const head = "request=exim_acl\nv=1\n"

func TestMalformedRequestsAreNotRead(t *testing.T) {
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "name%d=1\n", i)
		}
		return b.String()
	}
	for _, c := range []struct{ name, raw, want string }{
		{"nothing at all", "", "line 1 is not request=exim_acl"},
		{"an empty line", "\n", "line 1 is not request=exim_acl"},
		{"the fail string", "reset", "line 1 is not request=exim_acl"},
		{"a first line of Postfix's", "request=smtpd_access_policy\nv=1\nprotocol_state=RCPT\n\n", "line 1 is not request=exim_acl"},
		{"a first line with a blank behind it", "request=exim_acl \nv=1\nprotocol_state=RCPT\n\n", "line 1 is not request=exim_acl"},
		{"a first line with CR LF", "request=exim_acl\r\nv=1\r\nprotocol_state=RCPT\r\n\r\n", "line 1 is not request=exim_acl"},
		{"a first line that is cut", "request=exim_acl", "line 1 is not request=exim_acl"},
		{"a second line of another version", "request=exim_acl\nv=2\nprotocol_state=RCPT\n\n", "line 2 is not v=1"},
		{"a second line of version ten", "request=exim_acl\nv=10\nprotocol_state=RCPT\n\n", "line 2 is not v=1"},
		{"the version in quotes", "request=exim_acl\nv=\"1\"\nprotocol_state=RCPT\n\n", "line 2 is not v=1"},
		{"the second line first", "v=1\nrequest=exim_acl\nprotocol_state=RCPT\n\n", "line 1 is not request=exim_acl"},
		{"no second line", "request=exim_acl\nprotocol_state=RCPT\n\n", "line 2 is not v=1"},
		{"no protocol_state", head + "helo_name=a\n\n", "no protocol_state"},
		{"no names", head + "\n", "no protocol_state"},
		{"an empty protocol_state", head + "protocol_state=\"\"\n\n", "the value of protocol_state: no stage of Exim's"},
		{"a stage in lower case", head + "protocol_state=rcpt\n\n", "the value of protocol_state: no stage of Exim's"},
		{"the word for no stage", head + "protocol_state=\"?\"\n\n", "the value of protocol_state: no stage of Exim's"},
		{"a doubled name", head + "protocol_state=RCPT\nhelo_name=a\nhelo_name=a\n\n", "helo_name stands twice"},
		{"a doubled name that is not known", head + "protocol_state=RCPT\nnew=a\nnew=b\n\n", "new stands twice"},
		{"a doubled protocol_state", head + "protocol_state=RCPT\nprotocol_state=DATA\n\n", "protocol_state stands twice"},
		{"65 names", head + "protocol_state=RCPT\n" + many(64) + "\n", "over 64 names"},
		{"a million names", head + "protocol_state=RCPT\n" + many(1_000_000) + "\n", "over 65536 octets"},
		{"a million fields of one octet", head + strings.Repeat("a=1\n", 1_000_000), "over 65536 octets"},
		{"a value of a megabyte", head + "protocol_state=RCPT\nhelo_name=" + strings.Repeat("a", 1<<20) + "\n\n", "over 65536 octets"},
		{"one octet over 64 kB", padded(MaxRequest + 1), "over 65536 octets"},
		{"a line without =", head + "protocol_state=RCPT\nhelo_name\n\n", "line 4 is no name=value"},
		{"a name that is empty", head + "protocol_state=RCPT\n=a\n\n", "line 4 is no name=value"},
		{"a name in upper case", head + "protocol_state=RCPT\nHELO_NAME=a\n\n", "line 4 is no name=value"},
		{"a name with a blank", head + "protocol_state=RCPT\nhelo_name =a\n\n", "line 4 is no name=value"},
		{"a name with a hyphen", head + "protocol_state=RCPT\nhelo-name=a\n\n", "line 4 is no name=value"},
		{"a name of 33 octets", head + "protocol_state=RCPT\n" + strings.Repeat("a", 33) + "=a\n\n", "line 4 is no name=value"},
		{"a NUL in a name", head + "protocol_state=RCPT\nhelo\x00=a\n\n", "line 4 is no name=value"},
		{"a bare value that is empty", head + "protocol_state=RCPT\nhelo_name=\n\n", "the value of helo_name"},
		{"a blank in a bare value", head + "protocol_state=RCPT\nhelo_name=a b\n\n", "the value of helo_name"},
		{"a NUL in a bare value", head + "protocol_state=RCPT\nhelo_name=a\x00b\n\n", "the value of helo_name"},
		{"an 8-bit octet in a bare value", head + "protocol_state=RCPT\nhelo_name=caf\xe9\n\n", "the value of helo_name"},
		{"a quote in a bare value", head + "protocol_state=RCPT\nhelo_name=a\"b\n\n", "the value of helo_name"},
		{"CR at the end of a bare value", head + "protocol_state=RCPT\nhelo_name=a\r\n\n", "the value of helo_name"},
		{"a raw LF in a quoted value", head + "protocol_state=RCPT\nhelo_name=\"a\naction=deny\"\n\n", "the value of helo_name"},
		{"a raw CR in a quoted value", head + "protocol_state=RCPT\nhelo_name=\"a\rb\"\n\n", "the value of helo_name"},
		{"a raw CR in a quoted value with an escape", head + "protocol_state=RCPT\nhelo_name=\"\\na\rb\"\n\n", "the value of helo_name"},
		{"a raw quote in a quoted value", head + "protocol_state=RCPT\nhelo_name=\"a\"b\"\n\n", "the value of helo_name"},
		{"a raw quote behind an escape", head + "protocol_state=RCPT\nhelo_name=\"\\na\"b\"\n\n", "the value of helo_name"},
		{"something behind the closing quote", head + "protocol_state=RCPT\nhelo_name=\"a\" \n\n", "the value of helo_name"},
		{"an opening quote alone", head + "protocol_state=RCPT\nhelo_name=\"\n\n", "the value of helo_name"},
		{"no closing quote", head + "protocol_state=RCPT\nhelo_name=\"a\n\n", "the value of helo_name"},
		{"a closing quote that is escaped", head + "protocol_state=RCPT\nhelo_name=\"a\\\"\n\n", "the value of helo_name"},
		{"an unknown escape", head + "protocol_state=RCPT\nhelo_name=\"a\\tb\"\n\n", "the value of helo_name"},
		{"an octal escape", head + "protocol_state=RCPT\nhelo_name=\"a\\012b\"\n\n", "the value of helo_name"},
		{"a broken value of an unknown name", head + "protocol_state=RCPT\nnew=a b\n\n", "the value of new"},
		{"a line that is cut", head + "protocol_state=RCPT\nhelo_name=a", "line 4 is cut"},
		{"a number with a letter", head + "protocol_state=RCPT\nclient_port=25x\n\n", "the value of client_port: no number in its range"},
		{"a number with a point", head + "protocol_state=RCPT\nrcpt_count=1.5\n\n", "the value of rcpt_count: no number in its range"},
		{"a hexadecimal number", head + "protocol_state=RCPT\nuid=0x0\n\n", "the value of uid: no number in its range"},
		{"a number below -1", head + "protocol_state=RCPT\nsize=-2\n\n", "the value of size: no number in its range"},
		{"a number beyond 64 bits", head + "protocol_state=RCPT\nsize=99999999999999999999\n\n", "the value of size: no number in its range"},
		{"a uid beyond 32 bits", head + "protocol_state=RCPT\nuid=4294967296\n\n", "the value of uid: no number in its range"},
		{"a port of the proxy beyond 16 bits", head + "protocol_state=RCPT\nproxy_local_port=65536\n\n", "the value of proxy_local_port: no number in its range"},
		{"a count that is a word", head + "protocol_state=DATA\nmsgid_count=many\n\n", "the value of msgid_count: no number in its range"},
		{"an unknown remote_count in other words", head + "protocol_state=NOT_SMTP\nremote_count=Unknown\n\n", "the value of remote_count: no number in its range"},
		{"an address with a port", head + "protocol_state=RCPT\nclient_address=\"192.0.2.1:25\"\n\n", "the value of client_address: no address"},
		{"an octal address", head + "protocol_state=RCPT\nclient_address=0300.0.2.1\n\n", "the value of client_address: no address"},
		{"a name for an address", head + "protocol_state=RCPT\nserver_address=localhost\n\n", "the value of server_address: no address"},
		{"a short address of the proxy", head + "protocol_state=RCPT\nproxy_local_address=10.1\n\n", "the value of proxy_local_address: no address"},
		{"a flag that is yes", head + "protocol_state=RCPT\nrelay_host=yes\n\n", "the value of relay_host: neither 0 nor 1"},
		{"a flag that is 2", head + "protocol_state=DATA\nmsgid_present=2\n\n", "the value of msgid_present: neither 0 nor 1"},
		{"a fourth outcome of the recipient check", head + "protocol_state=RCPT\nrcpt_verify=defer\n\n", "the value of rcpt_verify: not none, ok or unknown"},
		{"a name of check's", head + "protocol_state=RCPT\nclient_name=a\nclient_name=b\n\n", "client_name stands twice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			q, err := ParseRequest([]byte(c.raw))
			var bad *Malformed
			if q != nil || !errors.As(err, &bad) || bad.What != c.want {
				t.Errorf("got %v, %v; want malformed: %s", q, err, c.want)
			}
		})
	}
}

// padded is a good request of exactly n octets.
func padded(n int) string {
	start := head + "protocol_state=RCPT\nmsgid=\""
	return start + strings.Repeat("x", n-len(start)-3) + "\"\n\n"
}

func TestGoodRequestsAreRead(t *testing.T) {
	v4 := netip.MustParseAddr("203.0.113.7")
	for _, c := range []struct {
		name, raw string
		right     func(q *policy.Request) bool
	}{
		{"the least one", head + "protocol_state=CONNECT\n\n", func(q *policy.Request) bool { return q.Stage == policy.Connect && !q.HELO.Known }},
		{"one without its empty line", head + "protocol_state=CONNECT\n", func(q *policy.Request) bool { return q.Stage == policy.Connect }},
		{"exactly 64 kB", padded(MaxRequest), func(q *policy.Request) bool { return len(q.MessageID.Value) > 65000 }},
		{"64 names", head + "protocol_state=QUIT\n" + numbered(63) + "\n", func(q *policy.Request) bool { return q.UnknownNames == 63 }},
		{"a name of 32 octets", head + strings.Repeat("a", 32) + "=1\nprotocol_state=QUIT\n\n", func(q *policy.Request) bool { return q.UnknownNames == 1 }},
		{"the stage last", head + "helo_name=a\nprotocol_state=RCPT\n\n", func(q *policy.Request) bool { return q.HELO.Value == "a" }},
		{"anything behind the empty line", head + "protocol_state=RCPT\n\nhelo_name=\x00\"broken\n", func(q *policy.Request) bool { return !q.HELO.Known }},
		{"a second request behind the first", head + "protocol_state=RCPT\n\n" + head + "protocol_state=DATA\n\n", func(q *policy.Request) bool { return q.Stage == policy.RCPT }},
		{"all escapes", head + "protocol_state=RCPT\nhelo_name=\"\\\"\\\\\\n\\r\"\n\n", func(q *policy.Request) bool { return q.HELO.Value == "\"\\\n\r" }},
		{"raw octets in quotes", head + "protocol_state=RCPT\nhelo_name=\"\x00\x01\t\x7f\x80\xff\"\n\n", func(q *policy.Request) bool { return q.HELO.Value == "\x00\x01\t\x7f\x80\xff" }},
		{"a quoted value that need not be", head + "protocol_state=RCPT\nhelo_name=\"a\"\n\n", func(q *policy.Request) bool { return q.HELO.Value == "a" }},
		{"an escaped line end and a false end", head + "protocol_state=RCPT\nhelo_name=\"x\\naction=deny\\n\\nend=1\"\n\n", func(q *policy.Request) bool { return q.HELO.Value == "x\naction=deny\n\nend=1" }},
		{"an empty greeting, which is known", head + "protocol_state=RCPT\nhelo_name=\"\"\n\n", func(q *policy.Request) bool { return q.HELO.Known && q.HELO.Value == "" }},
		{"the null sender, which is known", head + "protocol_state=MAIL\nsender=\"\"\n\n", func(q *policy.Request) bool { return q.Sender.Known && q.Sender.Value == "" }},
		{"a v4-mapped client", head + "protocol_state=RCPT\nclient_address=\"::ffff:203.0.113.7\"\n\n", func(q *policy.Request) bool { return q.Client == v4 }},
		{"a client with a zone", head + "protocol_state=RCPT\nclient_address=\"fe80::1%eth0\"\n\n", func(q *policy.Request) bool { return q.Client == netip.MustParseAddr("fe80::1") }},
		{"the long spelling of exim -bh", head + "protocol_state=RCPT\nclient_address=\"2001:0db8:0000:0000:0000:0000:0000:0002\"\n\n", func(q *policy.Request) bool { return q.Client == netip.MustParseAddr("2001:db8::2") }},
		{"the ports of exim -bh", head + "protocol_state=RCPT\nclient_port=0\nserver_port=-1\nserver_address=\"\"\n\n", func(q *policy.Request) bool { return q.ServerPort == -1 && !q.Server.IsValid() }},
		{"a proxy's end, port first", head + "protocol_state=RCPT\nproxy_local_port=4000\nproxy_local_address=\"::ffff:10.0.0.1\"\n\n", func(q *policy.Request) bool { return q.ProxyLocal == netip.MustParseAddrPort("10.0.0.1:4000") }},
		{"a proxy's end, address first", head + "protocol_state=RCPT\nproxy_local_address=10.0.0.1\nproxy_local_port=4000\n\n", func(q *policy.Request) bool { return q.ProxyLocal == netip.MustParseAddrPort("10.0.0.1:4000") }},
		{"numbers that are empty", head + "protocol_state=RCPT\nuid=\"\"\nsize=\"\"\nmsgid_count=\"\"\nmsgid_present=\"\"\n\n", func(q *policy.Request) bool {
			return !q.UID.Known && q.Size == 0 && !q.MessageID.Count.Known && !q.MessageID.Present.Known
		}},
		{"the uid of root", head + "protocol_state=NOT_SMTP\nuid=0\n\n", func(q *policy.Request) bool { return q.UID == policy.Known(uint32(0)) }},
		{"a uid of -1, which is not known", head + "protocol_state=NOT_SMTP\nuid=-1\n\n", func(q *policy.Request) bool { return !q.UID.Known }},
		{"a remote_count that is not known", head + "protocol_state=NOT_SMTP\nremote_count=unknown\n\n", func(q *policy.Request) bool { return !q.RemoteCount.Known }},
		{"a remote_count of -1, of which nothing stays", head + "protocol_state=NOT_SMTP\nremote_count=-1\n\n", func(q *policy.Request) bool { return q.RemoteCount == policy.Maybe[int]{} }},
		{"a remote_count of 0, which is known", head + "protocol_state=NOT_SMTP\nremote_count=0\n\n", func(q *policy.Request) bool { return q.RemoteCount == policy.Known(0) }},
		{"fields of the header", head + "protocol_state=DATA\nmsgid_present=1\nmsgid_count=0\ndate_present=0\n\n", func(q *policy.Request) bool {
			return q.MessageID.Present == policy.Known(true) && q.MessageID.Count == policy.Known(0) && q.Date.Present == policy.Known(false)
		}},
		{"our names in capitals with a dot", head + "protocol_state=RCPT\nprimary_hostname=MX.Example.ORG.\n\n", func(q *policy.Request) bool { return q.Primary == "mx.example.org" }},
		{"names of check's, which Exim does not send", head + "protocol_state=RCPT\nclient_name=a\nhelo_history=b\n\n", func(q *policy.Request) bool {
			return q.ClientName == "" && q.HELOHistory == nil && q.UnknownNames == 2
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			q, err := ParseRequest([]byte(c.raw))
			if err != nil {
				t.Fatal(err)
			}
			if !c.right(q) {
				t.Errorf("read wrongly: %+v", q)
			}
		})
	}
}

func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "n%d=\"\"\n", i)
	}
	return b.String()
}

func TestTypedRequests(t *testing.T) {
	if _, err := NewRequest(pairsOf("helo_nam=a")); err == nil || err.Error() != "malformed: helo_nam is no name of the protocol" {
		t.Errorf("a mistyped name: %v", err)
	}
	if _, err := NewRequest(pairsOf("a\x1b[31m\n=1")); err == nil || strings.ContainsAny(err.Error(), "\x1b\n") {
		t.Errorf("a hostile name: %q", err)
	}
	q := ask(t, "request=exim_acl", "v=1", "client_name=Mail.Example.COM.", "helo_history=a,b")
	if q.Stage != policy.RCPT || q.ClientName != "mail.example.com" || len(q.HELOHistory) != 2 {
		t.Errorf("%+v", q)
	}
}

// TestEveryNameIsDescribed holds the package comment against the names that are read.
func TestEveryNameIsDescribed(t *testing.T) {
	doc := sourceOf(t, "doc.go")
	for _, name := range namesOfSetters() {
		if !strings.Contains(doc, name) {
			t.Errorf("doc.go does not tell of %s", name)
		}
		if len(name) > maxName || !validName(name) {
			t.Errorf("%s is no valid name", name)
		}
	}
	if len(wireNames) > MaxNames-2 {
		t.Errorf("%d names leave no room for a newer snippet's", len(wireNames))
	}
}
