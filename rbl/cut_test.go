package rbl

import (
	"net/netip"
	"testing"

	"github.com/miekg/dns"
)

func TestAnAnswerCutOffAtAnyOctetIsNone(t *testing.T) {
	m := new(dns.Msg).SetQuestion("1.2.0.192.bl.example.", dns.TypeA)
	m.Response, m.Compress = true, true
	for _, a := range []string{"127.0.0.2", "127.0.0.3", "127.0.0.4"} {
		m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: "1.2.0.192.bl.example.", Rrtype: dns.TypeA, Class: dns.ClassINET,
			Ttl: 300}, A: netip.MustParseAddr(a).AsSlice()})
	}
	raw, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if rec, ok := read(raw, "1.2.0.192.bl.example", dns.TypeA); !ok || len(rec.Addresses) != 3 {
		t.Fatalf("whole: %+v", rec)
	}
	for n := header; n < len(raw); n++ {
		if rec, ok := read(raw[:n], "1.2.0.192.bl.example", dns.TypeA); ok && rec.Outcome == Found {
			t.Errorf("of %d octets the first %d: %+v", len(raw), n, rec)
		}
	}
}
