package rbl

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/miekg/dns"
	"golang.org/x/net/dns/dnsmessage"
)

const fuzzName = "2.0.0.127.bl.example"

// FuzzAnswer gives any octets to the reader of answers, behind a header and question that fit. Whatever it finds is
// compared with what another reader, of another hand, finds in the same octets at the end of the question's own chain of
// CNAMEs: that and nothing else, within the bounds.
func FuzzAnswer(f *testing.F) {
	for _, records := range [][]string{
		{},
		{fuzzName + ". 300 IN A 127.0.0.2", "2.0.0.127.BL.example. 300 IN A 127.0.0.4", "other.example. 300 IN A 127.0.0.66"},
		{fuzzName + ". 300 IN CNAME a.example.", "a.example. 60 IN CNAME b.example.", "b.example. 300 IN A 127.0.0.2"},
		{fuzzName + ". 300 IN CNAME a.example.", "a.example. 60 IN CNAME " + fuzzName + "."},
		{"a.example. 300 IN A 127.0.0.2", fuzzName + ". 300 IN CNAME a.example."},
		{fuzzName + ". 300 IN CNAME a.example.", fuzzName + ". 300 IN A 127.0.0.2"},
		{fuzzName + `. 300 IN TXT "listed" "\200\010"`},
		{fuzzName + ". 300 CH A 127.0.0.2"},
	} {
		var m dns.Msg
		for _, text := range records {
			rr, err := dns.NewRR(text)
			if err != nil {
				f.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		m.Compress = true
		m.SetQuestion(fuzzName+".", dns.TypeA)
		raw, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		end := header + len(fuzzName) + 2 + 4
		f.Add(raw[end:], uint16(0x8180), uint16(len(records)), uint16(0), false)
		f.Add(raw[end:], uint16(0x8183), uint16(len(records)), uint16(0), false)
		f.Add(raw[end:], uint16(0x8180), uint16(len(records)), uint16(0), true)
	}
	f.Fuzz(func(t *testing.T, body []byte, flags, answers, authorities uint16, text bool) {
		kind := dns.TypeA
		if text {
			kind = dns.TypeTXT
		}
		p, err := pack(0x1234, fuzzName, kind, false, 0)
		if err != nil {
			t.Fatal(err)
		}
		raw := append(slices.Clone(p.raw), body...)
		binary.BigEndian.PutUint16(raw[2:], flags)
		binary.BigEndian.PutUint16(raw[6:], answers)
		binary.BigEndian.PutUint16(raw[8:], authorities)
		if fault := p.fits(raw); (fault == "") != (flags&0xf800 == 0x8000) {
			t.Fatalf("%q for the flags %04x", fault, flags)
		}
		rec, ok := read(raw, fuzzName, kind)
		if !ok {
			return
		}
		bounded(t, rec)
		if text || flags&0xf != dns.RcodeSuccess {
			return
		}
		if want, sure := otherReader(raw); sure && !slices.Equal(rec.Addresses, want) {
			t.Errorf("%v, and %v to another reader", rec.Addresses, want)
		}
	})
}

// FuzzFits gives any octets to the question of whether they answer what was asked. What fits is an answer with the
// question's id, name, letters, type and class to another reader too.
func FuzzFits(f *testing.F) {
	p, err := pack(0x1234, fuzzName, dns.TypeA, true, 0x5a5a)
	if err != nil {
		f.Fatal(err)
	}
	answer := append(slices.Clone(p.raw[:p.end]), 0)
	answer[2], answer[3], answer[11] = 0x81, 0x80, 0
	f.Add(answer)
	f.Add(p.raw)
	f.Add([]byte{0x12, 0x34, 0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0x12, 0x34, 0x80})
	for at := range p.end {
		other := slices.Clone(answer)
		other[at] ^= 0x20
		f.Add(other)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if p.fits(raw) != "" {
			return
		}
		var other dnsmessage.Parser
		h, err := other.Start(raw)
		if err != nil || h.ID != 0x1234 || !h.Response || h.OpCode != 0 {
			t.Fatalf("%+v %v", h, err)
		}
		if h.RCode == dnsmessage.RCodeFormatError && binary.BigEndian.Uint16(raw[4:]) == 0 {
			return
		}
		q, err := other.AllQuestions()
		if err != nil || len(q) != 1 || q[0].Name.String() != mixed(fuzzName, 0x5a5a)+"." || q[0].Type != dnsmessage.TypeA || q[0].Class != dnsmessage.ClassINET {
			t.Fatalf("%+v %v", q, err)
		}
	})
}

// bounded holds what every answer must keep to.
func bounded(t *testing.T, rec Records) {
	t.Helper()
	if len(rec.Addresses) > MaxAddresses || len(rec.Names) > MaxNames || len(rec.Text) > MaxText || rec.TTL < 0 {
		t.Errorf("out of bounds: %+v", rec)
	}
	for _, c := range []byte(rec.Text) {
		if c < ' ' || c > '~' {
			t.Errorf("not printable: %q", rec.Text)
		}
	}
	if rec.Outcome != Found && (rec.Addresses != nil || rec.Names != nil || rec.Text != "") {
		t.Errorf("%v, with records: %+v", rec.Outcome, rec)
	}
}

// otherReader returns the addresses at the end of the question's chain, as golang.org/x/net reads the message. It is sure
// unless that refuses the message, which it does more often, or a name on the chain has two aliases.
func otherReader(raw []byte) (found []netip.Addr, sure bool) {
	alias, has := map[string][]string{}, map[string][]netip.Addr{}
	var p dnsmessage.Parser
	_, err := p.Start(raw)
	if err == nil {
		err = p.SkipAllQuestions()
	}
	for err == nil {
		var h dnsmessage.ResourceHeader
		if h, err = p.AnswerHeader(); err != nil {
			break
		}
		name := lowerName(h.Name)
		switch h.Type {
		case dnsmessage.TypeA:
			var r dnsmessage.AResource
			if r, err = p.AResource(); err == nil && h.Class == dnsmessage.ClassINET {
				has[name] = append(has[name], netip.AddrFrom4(r.A))
			}
		case dnsmessage.TypeCNAME:
			var r dnsmessage.CNAMEResource
			if r, err = p.CNAMEResource(); err == nil {
				alias[name] = append(alias[name], lowerName(r.CNAME))
			}
		default:
			err = p.SkipAnswer()
		}
	}
	if err != dnsmessage.ErrSectionDone {
		return nil, false
	}
	name := fuzzName + "."
	for range maxChain + 1 {
		switch next := alias[name]; len(next) {
		case 0:
			return has[name][:min(len(has[name]), MaxAddresses)], true
		case 1:
			name = next[0]
		default:
			return nil, false
		}
	}
	return nil, true
}

// lowerName lowers the letters of a name and no other octet.
func lowerName(n dnsmessage.Name) string {
	b := slices.Clone(n.Data[:n.Length])
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
