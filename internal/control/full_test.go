package control

import (
	"bytes"
	"context"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"eximpolicyd/internal/ledger"
)

// A memory with as many clients as it counts and as many bans as it keeps goes over the socket and back.
func TestAFullMemoryCanBeExportedListedAndImported(t *testing.T) {
	part := 1
	if raceDetector { // which takes a minute for all of it
		part = 16
	}
	from, memory, _ := remembering(t, "")
	client := func(i int) netip.Prefix {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], 0x0b000000+uint32(i))
		return netip.PrefixFrom(netip.AddrFrom4(b), 32)
	}
	for i := range memory.State().MostKeys / part {
		tally := []ledger.Tally{{Key: ledger.Of(client(i)), Add: ledger.Delta{Good: 1, Bad: 60000, Failed: 7, Clean: 9, Trapped: 2, Login: true, Seen: uint16(i)}}}
		if err := memory.Count(context.Background(), tally); err != nil {
			t.Fatal(err)
		}
	}
	const reason = "61 bad recipients within an hour from 7 clients of this network, and 0 good ones"
	for i := range ledger.MaxBans / part {
		o := ledger.Offence{Network: client(i), Enforced: true, Rule: "dictionary.window", Because: reason}
		if _, _, err := memory.Offend(context.Background(), o); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	bans := lines[Ban](t, from, Request{Request: Bans})
	listed := time.Since(start)
	start = time.Now()
	flat := Flatten(bans, []netip.Prefix{network("11.0.0.0/32"), network("11.0.128.0/20")})
	flattened := time.Since(start)
	var text bytes.Buffer
	start = time.Now()
	n, err := Save(from, &text)
	if err != nil || n != 1+memory.State().Keys+ledger.MaxBans/part {
		t.Fatalf("%d lines, %v", n, err)
	}
	saved := time.Since(start)
	start = time.Now()
	to, _, _ := remembering(t, "")
	taken, err := Send(to, bytes.NewReader(text.Bytes()), int64(text.Len()))
	t.Logf("FIGURE a memory, 1/%d of a full one: %d counters, %d bans; ban list %s, flattened to %d networks in %s; export %.1f MB in %s; import %+v in %s",
		part, memory.State().Keys, len(bans), listed, len(flat), flattened, float64(text.Len())/(1<<20), saved, taken.Imported, time.Since(start))
	if err != nil || taken.Bans != ledger.MaxBans/part || taken.Counters != memory.State().Keys {
		t.Errorf("%+v, %v", taken, err)
	}
}
