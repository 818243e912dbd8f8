package acl

import (
	"reflect"
	"slices"
	"testing"

	"eximpolicyd/policy"
)

// writtenAgain wants of a request that Pairs writes it as NewRequest reads it.
func writtenAgain(t testing.TB, q *policy.Request) {
	t.Helper()
	again, err := NewRequest(Pairs(q))
	if err != nil {
		t.Fatalf("%q: %v", Pairs(q), err)
	}
	want := *q
	want.UnknownNames = 0 // they are not written
	if !reflect.DeepEqual(again, &want) {
		t.Errorf("%q\n%+v\n%+v", Pairs(q), &want, again)
	}
}

func TestARequestIsWrittenAsItIsTyped(t *testing.T) {
	words := []string{"protocol_state=DATA", "instance=4711", "client_address=203.0.113.7", "client_port=4321", "server_address=192.0.2.2",
		"server_port=25", "proxy_local_address=192.0.2.3", "proxy_local_port=1", "protocol_name=esmtps", "server_name=mx.example.org",
		"primary_hostname=mx.example.org", "helo_name=", "ident=x", "uid=0", "cwd=/", "sasl_method=plain", "sasl_username=a b", "auth_fail_id=c",
		"command_history=EHLO,MAIL", "tls_cipher=x", "relay_host=1", "sender=", "recipient=bob@example.org", "remote_count=0",
		"remote_first=b@example.net", "rcpt_verify=none", "rcpt_verify_failure=mail", "rcpt_count=1", "rcpt_fail_count=2", "recipient_count=3",
		"size=-1", "queue_id=1xWDej-000000-00", "msgid_present=1", "date_present=0", "from_present=1", "msgid_count=0", "date_count=2", "from_count=1",
		"msgid=<\"\x00\n@x>", "msgid_size=7", "date=x", "from=y", "list_id=z", "spam_score=1.0", "smtp_count=1", "notquit_reason=x", "tag=y",
		"client_name=mail.example.com", "helo_history=a,b"}
	if len(words) != len(wireNames) {
		t.Fatalf("%d words for %d names", len(words), len(wireNames))
	}
	q := ask(t, words...)
	writtenAgain(t, q)
	if got := Pairs(q); !slices.Equal(got, pairsOf(words...)) {
		t.Errorf("%q", got)
	}
	if got := Pairs(ask(t, "protocol_state=RCPT")); len(got) != 1 {
		t.Errorf("what is not known is written: %q", got)
	}
}

// FuzzPairs reads any request, writes it, and reads it again.
func FuzzPairs(f *testing.F) {
	f.Add([]byte(fullRequest))
	f.Add([]byte(wire("protocol_state=HELO", "helo_name=", "client_address=::ffff:192.0.2.1", "remote_count=unknown", "msgid_present=")))
	f.Add([]byte(wire("protocol_state=RCPT", "server_name=mx.example.org..", "primary_hostname=...")))
	f.Add([]byte(wire("protocol_state=NOT_SMTP", "remote_count=-1", "uid=-1", "msgid_count=-1", "proxy_local_port=7")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if q, err := ParseRequest(raw); err == nil {
			writtenAgain(t, q)
		}
	})
}
