package rbl

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// What we send and take. A server that follows RFC 6891 may answer with up to so many octets over UDP; 1,232 cross any
// network unbroken.
const (
	offered   = 1232
	maxPacket = 4096 // over UDP; what is longer is cut, and then no answer
	maxChain  = 8    // CNAMEs followed
)

// packet is a question as it is sent. Everything that an answer must repeat is in raw: the id in the first two octets,
// the question behind the header.
type packet struct {
	raw  []byte
	end  int // of the question in raw
	edns bool
}

const header = 12 // octets of a message before its question (RFC 1035 4.1.1)

// pack writes a question. The letters of the name are sent in random case, which a server repeats (dns-0x20): whoever
// answers without having seen the question has to guess it. coins are at least as many random bits as letters.
func pack(id uint16, name string, kind uint16, edns bool, coins uint64) (packet, error) {
	m := dns.Msg{MsgHdr: dns.MsgHdr{Id: id, RecursionDesired: true}}
	m.Question = []dns.Question{{Name: mixed(name, coins) + ".", Qtype: kind, Qclass: dns.ClassINET}}
	if name == "" {
		m.Question[0].Name = "."
	}
	raw, err := m.PackBuffer(make([]byte, 0, 64+len(name)))
	if err != nil {
		return packet{}, err
	}
	p := packet{raw: raw, end: len(raw), edns: edns}
	if edns {
		p.raw = append(raw, optRecord[:]...)
		p.raw[11] = 1 // ARCOUNT
	}
	return p, nil
}

// optRecord is RFC 6891's: root name, type 41, the octets we take, and neither flags nor options. The library makes the
// same of six allocations.
var optRecord = [11]byte{0, 0, 41, offered >> 8, offered & 0xff}

// mixed returns a name with its letters in the case that coins say, over and over.
func mixed(name string, coins uint64) string {
	b := []byte(name)
	for i, c := range b {
		if 'a' <= c && c <= 'z' && coins>>(i%64)&1 == 1 {
			b[i] = c - ('a' - 'A')
		}
	}
	return string(b)
}

// id is the message's.
func (p *packet) id() uint16 { return binary.BigEndian.Uint16(p.raw) }

// fits says why a datagram is no answer to the packet, or nothing. Only the header and the question are looked at; they
// must be the packet's octet for octet. A server that can't read EDNS may answer FORMERR without the question.
func (p *packet) fits(raw []byte) string {
	switch {
	case len(raw) < header:
		return "a packet that is no message"
	case !bytes.Equal(raw[:2], p.raw[:2]):
		return "an answer with another id"
	case raw[2]&0x80 == 0:
		return "a question instead of an answer"
	case raw[2]>>3&0xf != 0:
		return "an answer to another kind of request"
	case binary.BigEndian.Uint16(raw[4:]) == 0 && raw[3]&0xf == dns.RcodeFormatError && p.edns:
		return ""
	case binary.BigEndian.Uint16(raw[4:]) != 1:
		return "an answer without the question"
	case len(raw) < p.end || !bytes.EqualFold(raw[header:p.end], p.raw[header:p.end]):
		return "an answer to another question"
	case !bytes.Equal(raw[header:p.end], p.raw[header:p.end]):
		return "an answer with the question's letters in another case"
	}
	return ""
}

// Bits of a message that fits.
func truncated(raw []byte) bool { return raw[2]&2 != 0 }
func rcode(raw []byte) int      { return int(raw[3] & 0xf) }

// read takes what counts out of a message that fits: the records on the question's own CNAME chain. ok is false for one
// that can't be read.
func read(raw []byte, name string, kind uint16) (rec Records, ok bool) {
	var m dns.Msg
	if len(raw) < header || m.Unpack(raw) != nil || slices.ContainsFunc(m.Answer, hollow) ||
		len(m.Answer) != int(binary.BigEndian.Uint16(raw[6:])) { // cut off between two records: the library lets that pass
		return Records{}, false
	}
	switch m.Rcode {
	case dns.RcodeSuccess:
	case dns.RcodeNameError:
		return Records{Outcome: Missing, TTL: negative(&m)}, true
	case dns.RcodeRefused, dns.RcodeNotAuth:
		return Records{Outcome: Refused, Note: "the server refuses to answer us"}, true
	default:
		return Records{Outcome: Failed, Note: "the server says " + dns.RcodeToString[m.Rcode]}, true
	}
	owner, ttl, ended := chain(m.Answer, dns.Fqdn(name), kind)
	if !ended {
		return Records{Outcome: Failed, Note: "the name's CNAMEs go on for ever"}, true
	}
	rec.collect(m.Answer, owner, kind, ttl)
	switch {
	case rec.Outcome == Found:
	case referral(&m):
		return Records{Outcome: Failed, Note: "the server looks nothing up for us"}, true
	default:
		rec.TTL = negative(&m)
	}
	return rec, true
}

// hollow reports whether a record has no data. The library reads it as one of a dynamic update (RFC 2136 2.5), and an
// address that is none would count as an answer.
func hollow(rr dns.RR) bool { return rr.Header().Rdlength == 0 }

// chain follows the CNAMEs from a name to the owner of its records, and returns the lowest TTL on the way.
func chain(answer []dns.RR, owner string, kind uint16) (end string, ttl uint32, ended bool) {
	ttl = 1<<32 - 1
	for range maxChain + 1 {
		next := ""
		for _, rr := range answer {
			if alias, is := rr.(*dns.CNAME); is && kind != dns.TypeCNAME && strings.EqualFold(alias.Hdr.Name, owner) {
				next, ttl = alias.Target, min(ttl, alias.Hdr.Ttl)
				break
			}
		}
		if next == "" {
			return owner, ttl, true
		}
		owner = next
	}
	return "", 0, false
}

// collect keeps the records of one owner, within the bounds. It stays Empty if there are none.
func (rec *Records) collect(answer []dns.RR, owner string, kind uint16, ttl uint32) {
	var hosts []*dns.MX
	rec.Outcome = Empty
	for _, rr := range answer {
		h := rr.Header()
		if h.Rrtype != kind || h.Class != dns.ClassINET || !strings.EqualFold(h.Name, owner) {
			continue
		}
		rec.Outcome, ttl = Found, min(ttl, h.Ttl)
		switch rr := rr.(type) {
		case *dns.A:
			rec.address(rr.A)
		case *dns.AAAA:
			rec.address(rr.AAAA)
		case *dns.PTR:
			rec.name(rr.Ptr)
		case *dns.NS:
			rec.name(rr.Ns)
		case *dns.MX:
			hosts = append(hosts, rr)
		case *dns.TXT:
			if rec.Text == "" {
				rec.Text = printable(strings.Join(rr.Txt, ""))
			}
		}
	}
	slices.SortStableFunc(hosts, func(a, b *dns.MX) int { return int(a.Preference) - int(b.Preference) })
	for _, mx := range hosts {
		rec.name(mx.Mx)
	}
	rec.TTL = time.Duration(ttl) * time.Second
}

func (rec *Records) address(ip []byte) {
	if a, ok := netip.AddrFromSlice(ip); ok && len(rec.Addresses) < MaxAddresses {
		rec.Addresses = append(rec.Addresses, a.Unmap())
	}
}

// name keeps what can be a name of a host. The root is none: an MX of it says that there is no mail (RFC 7505).
func (rec *Records) name(s string) {
	if s, ok := hostname(s); ok && len(rec.Names) < MaxNames {
		rec.Names = append(rec.Names, s)
	}
}

// negative is for how long nothing was found: the lower of the SOA's TTL and its minimum (RFC 2308 5), or 0.
func negative(m *dns.Msg) time.Duration {
	for _, rr := range m.Ns {
		if soa, is := rr.(*dns.SOA); is {
			return time.Duration(min(soa.Hdr.Ttl, soa.Minttl)) * time.Second
		}
	}
	return 0
}

// referral reports whether a message without records says whom to ask instead of that there are none (RFC 2308 2.2): it
// is of a server that is not recursive.
func referral(m *dns.Msg) bool {
	is := func(kind uint16) bool {
		return slices.ContainsFunc(m.Ns, func(rr dns.RR) bool { return rr.Header().Rrtype == kind })
	}
	return is(dns.TypeNS) && !is(dns.TypeSOA)
}

// hostname lowers a name of letters, digits, hyphens and underscores, and removes the dot at its end. Others are refused:
// a stranger chose them, and they end up in logs and in questions.
func hostname(s string) (string, bool) {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 253 {
		return "", false
	}
	lower, label := true, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '.' && label > 0:
			label = -1
		case 'A' <= c && c <= 'Z':
			lower = false
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return "", false
		}
		if label++; label > 63 {
			return "", false
		}
	}
	if label == 0 {
		return "", false
	}
	if !lower {
		s = strings.ToLower(s)
	}
	return s, true
}

// printable cuts text to MaxText octets and puts ? for what is not printable ASCII. The library writes such octets, and
// quotes, with a backslash.
func printable(s string) string {
	b := make([]byte, 0, min(len(s), MaxText))
	for i := 0; i < len(s) && len(b) < MaxText; i++ {
		c := s[i]
		if c == '\\' && i+1 < len(s) {
			if i++; s[i] >= '0' && s[i] <= '9' { // \ddd is never printable
				c, i = '?', min(i+2, len(s)-1)
			} else {
				c = s[i]
			}
		}
		if c < ' ' || c > '~' {
			c = '?'
		}
		b = append(b, c)
	}
	return string(b)
}
