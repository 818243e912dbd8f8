package acl

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"eximpolicyd/internal/ledger"
	"eximpolicyd/internal/origin"
	"eximpolicyd/policy"
)

// fullRequest has every name of the protocol that Exim fills at RCPT, and the empty ones of the other stages.
var fullRequest = wire("protocol_state=RCPT", "instance=4711", "client_address=203.0.113.7", "client_port=4321",
	"server_address=192.0.2.2", "server_port=25", "proxy_local_address=", "proxy_local_port=0", "protocol_name=esmtps",
	"server_name=mx.example.org", "primary_hostname=mx.example.org", "helo_name=mail.example.com", "ident=", "uid=103", "cwd=/var/spool/exim4",
	"sasl_method=", "sasl_username=", "auth_fail_id=", "command_history=EHLO,STARTTLS,EHLO,MAIL,RCPT",
	"tls_cipher=TLS1.3:ECDHE_X25519__RSA_PSS_RSAE_SHA256__AES_256_GCM:256", "relay_host=0",
	"sender=alice@example.com", "recipient=bob@example.org", "remote_count=", "remote_first=", "rcpt_verify=ok", "rcpt_verify_failure=",
	"rcpt_count=1", "rcpt_fail_count=0", "recipient_count=0", "size=12345", "queue_id=", "msgid_present=", "date_present=", "from_present=",
	"msgid_count=", "date_count=", "from_count=", "msgid=", "msgid_size=", "date=", "from=", "list_id=", "spam_score=", "smtp_count=1",
	"notquit_reason=", "tag=")

// inside is one decision as the server makes it, without its sockets, and with a memory. A ring, if there is one, keeps it.
func inside(tb testing.TB, ring *Ring) func() {
	memory, err := ledger.Open(ledger.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { memory.Close() })
	d := deciderOf(table(policy.Enforce, policy.Enforce, policy.RFC)...)
	d.Exempt.Allow, d.Exempt.Deny, d.Exempt.Relay = prefixes("198.51.100.0/24"), prefixes("198.51.100.0/25"), prefixes("198.51.100.0/26")
	raw := []byte(fullRequest)
	table := newConns(everywhere{})
	ids := newSequence()
	peer := origin.Peer{PID: 4711, UID: 103}
	table.note(exim(4711), rcpt(tb, "protocol_state=CONNECT"), false, noon)
	table.note(exim(4711), rcpt(tb, "protocol_state=HELO"), false, noon)
	interfaces := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.2")}
	var line [512]byte
	return func() {
		q, err := ParseRequest(raw)
		if err != nil {
			tb.Fatal(err)
		}
		known := live{peer: peer, interfaces: interfaces}
		known.view = table.note(peer, q, ownAddress(q, interfaces), noon)
		known.proven = known.view.proven
		known.recall = Recall{ledger: memory, proven: known.proven, here: known.view.here}
		ctx, cancel := context.WithTimeout(context.Background(), Budget(q.Stage))
		m := d.decide(ctx, q, noon, &known, false)
		cancel()
		m.out.ID = ids.next(noon)
		reply := m.out.Reply(q)
		if out := reply.Append(line[:0]); len(out) < 20 {
			tb.Fatalf("%q", out)
		}
		if ring != nil {
			m.octets = len(raw)
			ring.add(m)
		}
	}
}

// TestADecisionIsCheap holds the number of allocations of one RCPT decision; its time is the benchmark's.
func TestADecisionIsCheap(t *testing.T) {
	if n := testing.AllocsPerRun(100, inside(t, &Ring{})); n > 20 {
		t.Errorf("%v allocations, at most 20", n)
	}
}

func BenchmarkDecision(b *testing.B) {
	one := inside(b, &Ring{})
	b.ReportAllocs()
	for b.Loop() {
		one()
	}
}

// BenchmarkDecisionForgotten is what it would be without the ring.
func BenchmarkDecisionForgotten(b *testing.B) {
	one := inside(b, nil)
	b.ReportAllocs()
	for b.Loop() {
		one()
	}
}

func BenchmarkParseRequest(b *testing.B) {
	raw := []byte(fullRequest)
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, err := ParseRequest(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecisionLine(b *testing.B) {
	file, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	for _, sink := range []struct {
		name string
		log  *slog.Logger
	}{
		{"text to nothing", slog.New(slog.NewTextHandler(discard{}, nil))},
		{"text to a file", slog.New(slog.NewTextHandler(file, nil))},
		{"json to nothing", slog.New(slog.NewJSONHandler(discard{}, nil))},
		{"not enabled", slog.New(slog.NewTextHandler(discard{}, &slog.HandlerOptions{Level: slog.LevelError}))},
	} {
		b.Run(sink.name, func(b *testing.B) {
			q := rcpt(b, "helo_name=mx.example.org")
			d := deciderOf(table(policy.Enforce, policy.Enforce, policy.RFC)...).Decide(b.Context(), q, noon, &facts{}, false)
			d.ID = newSequence().next(noon)
			s := &Settings{Log: sink.log}
			b.ReportAllocs()
			for b.Loop() {
				logDecision(s, &d, q, policy.Maybe[uint32]{}, 50*time.Microsecond)
			}
		})
	}
}

// discard is not io.Discard, for which slog writes nothing at all.
type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }
