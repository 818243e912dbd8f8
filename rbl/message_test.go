package rbl

import (
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// messageOf packs an answer about mx.example: of records, and, behind a bar, of those of the authority.
func messageOf(t *testing.T, rcode int, kind uint16, records string) []byte {
	t.Helper()
	m := new(dns.Msg).SetQuestion("mx.example.", kind)
	m.Response, m.Rcode = true, rcode
	answer, authority, _ := strings.Cut(records, "|")
	for to, text := range map[*[]dns.RR]string{&m.Answer: answer, &m.Ns: authority} {
		for _, line := range strings.FieldsFunc(text, func(r rune) bool { return r == ';' }) {
			rr, err := dns.NewRR(strings.TrimSpace(line))
			if err != nil {
				t.Fatal(err)
			}
			*to = append(*to, rr)
		}
	}
	raw, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestAnAnswerWithoutRecordsIsOneOnlyIfItIsNoReferral(t *testing.T) {
	for records, want := range map[string]Outcome{
		"|example. 300 IN NS ns.example.": Failed, // of a server that looks nothing up
		"":                                Empty,
		"|example. 300 IN SOA ns.example. a.example. 1 1 1 1 60":                                Empty,
		"|example. 300 IN SOA ns.example. a.example. 1 1 1 1 60;example. 300 IN NS ns.example.": Empty, // RFC 2308 2.2
	} {
		rec, ok := read(messageOf(t, dns.RcodeSuccess, dns.TypeA, records), "mx.example", dns.TypeA)
		if !ok || rec.Outcome != want || (rec.Note == "") != rec.Outcome.Answered() {
			t.Errorf("%q: %+v", records, rec)
		}
	}
}

func TestAnAnswerHoldsAsLongAsTheLeastOfItsRecords(t *testing.T) {
	for _, c := range []struct {
		records string
		rcode   int
		want    Outcome
		seconds time.Duration
	}{
		{"mx.example. 900 IN A 192.0.2.1; mx.example. 300 IN A 192.0.2.2", dns.RcodeSuccess, Found, 300},
		{"mx.example. 300 IN A 192.0.2.1; mx.example. 900 IN A 192.0.2.2", dns.RcodeSuccess, Found, 300},
		{"mx.example. 60 IN CNAME a.example.; a.example. 900 IN A 192.0.2.1", dns.RcodeSuccess, Found, 60},
		{"mx.example. 900 IN CNAME a.example.; a.example. 60 IN A 192.0.2.1", dns.RcodeSuccess, Found, 60},
		{"mx.example. 900 IN A 192.0.2.1; other.example. 1 IN A 192.0.2.2", dns.RcodeSuccess, Found, 900},
		{"|example. 300 IN SOA ns.example. a.example. 1 1 1 1 900", dns.RcodeNameError, Missing, 300},
		{"|example. 900 IN SOA ns.example. a.example. 1 1 1 1 300", dns.RcodeNameError, Missing, 300},
		{"", dns.RcodeNameError, Missing, 0},
		{"", dns.RcodeNotAuth, Refused, 0},
		{"", dns.RcodeNotImplemented, Failed, 0},
	} {
		rec, ok := read(messageOf(t, c.rcode, dns.TypeA, c.records), "mx.example", dns.TypeA)
		if !ok || rec.Outcome != c.want || rec.TTL != c.seconds*time.Second {
			t.Errorf("%q: %+v", c.records, rec)
		}
	}
}

func TestRecordsAreKeptInOneForm(t *testing.T) {
	long := strings.Repeat("a", 63)
	rec, _ := read(messageOf(t, 0, dns.TypeAAAA, "mx.example. 1 IN AAAA ::ffff:192.0.2.1"), "mx.example", dns.TypeAAAA)
	if len(rec.Addresses) != 1 || !rec.Addresses[0].Is4() {
		t.Errorf("a mapped address: %+v", rec)
	}
	rec, _ = read(messageOf(t, 0, dns.TypeTXT, `mx.example. 1 IN TXT "first"; mx.example. 1 IN TXT "second"`), "mx.example", dns.TypeTXT)
	if rec.Text != "first" {
		t.Errorf("two texts: %+v", rec)
	}
	for name, want := range map[string]bool{long + ".example": true, "a" + long + ".example": false, "": false, ".": false, "a..example": false, "-.example": true} {
		if _, ok := hostname(name); ok != want {
			t.Errorf("%q: %v", name, ok)
		}
	}
}

func TestAFormErrWithoutAQuestionAnswersOnlyEDNS(t *testing.T) {
	for edns, want := range map[bool]string{true: "", false: "an answer without the question"} {
		p, err := pack(7, "mx.example", dns.TypeA, edns, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.fits([]byte{0, 7, 0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0}); got != want {
			t.Errorf("EDNS %v: %q", edns, got)
		}
	}
}
