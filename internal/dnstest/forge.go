package dnstest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// WrongID answers with an id that was not asked with.
func WrongID(q *Query) []Packet {
	m := q.forged()
	m.Id++
	return pack(m)
}

// WrongQuestion answers, with the right id, a question for another name.
func WrongQuestion(q *Query) []Packet {
	m := q.forged()
	m.Question[0].Name = "other.example."
	for _, rr := range m.Answer {
		rr.Header().Name = "other.example."
	}
	return pack(m)
}

// WrongType answers, with the right id, a question for another type of the name.
func WrongType(q *Query) []Packet {
	m := q.forged()
	m.Question[0].Qtype = dns.TypeAAAA
	if q.Type() == dns.TypeAAAA {
		m.Question[0].Qtype = dns.TypeA
	}
	return pack(m)
}

// WrongClass answers a question of class CHAOS.
func WrongClass(q *Query) []Packet {
	m := q.forged()
	m.Question[0].Qclass = dns.ClassCHAOS
	return pack(m)
}

// WrongOpcode answers as if it had been notified (RFC 1996).
func WrongOpcode(q *Query) []Packet {
	m := q.forged()
	m.Opcode = dns.OpcodeNotify
	return pack(m)
}

// NoQuestion answers with the right id and no question.
func NoQuestion(q *Query) []Packet {
	m := q.forged()
	m.Question = nil
	return pack(m)
}

// TwoQuestions answers with the question and another one.
func TwoQuestions(q *Query) []Packet {
	m := q.forged()
	m.Question = append(m.Question, dns.Question{Name: "other.example.", Qtype: q.Type(), Qclass: dns.ClassINET})
	return pack(m)
}

// QueryAsAnswer sends an answer that says it is a question (QR=0).
func QueryAsAnswer(q *Query) []Packet {
	m := q.forged()
	m.Response = false
	return pack(m)
}

// OtherCase answers the question with every letter in the other case, as one who guesses the letters would.
func OtherCase(q *Query) []Packet {
	m := q.forged()
	other := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			r ^= 'a' - 'A'
		}
		return r
	}, q.Name())
	m.Question[0].Name = other
	for _, rr := range m.Answer {
		rr.Header().Name = other
	}
	return pack(m)
}

// Garbage sends the right id, the bits of an answer, and then noise.
func Garbage(q *Query) []Packet {
	b := noise(64)
	b[0], b[1], b[2] = byte(q.Msg.Id>>8), byte(q.Msg.Id), b[2]|0x80
	return []Packet{{Bytes: b}}
}

// CutOff sends the first part of a forged answer: its question whole, its record broken off.
func CutOff(q *Query) []Packet {
	packets := pack(q.forged())
	for i, p := range packets {
		packets[i].Bytes = p.Bytes[:max(len(p.Bytes)-13, 0)]
	}
	return packets
}

// Hollow answers with an address record that has no data.
func Hollow(q *Query) []Packet {
	m := q.reply()
	m.Answer = []dns.RR{&dns.ANY{Hdr: dns.RR_Header{Name: q.Name(), Rrtype: q.Type(), Class: dns.ClassINET, Ttl: 300}}}
	return pack(m)
}

// ForeignGarbage sends noise with an id that was not asked with.
func ForeignGarbage(q *Query) []Packet {
	packets := Garbage(q)
	packets[0].Bytes[1]++
	return packets
}

// ThreeBytes sends the right id and one octet.
func ThreeBytes(q *Query) []Packet {
	return []Packet{{Bytes: []byte{byte(q.Msg.Id >> 8), byte(q.Msg.Id), 0x80}}}
}

// EmptyPacket sends no octet at all.
func EmptyPacket(*Query) []Packet { return []Packet{{Bytes: []byte{}}} }

// Twice sends the right answer two times.
func Twice(q *Query) []Packet { return Then(Plain, Plain)(q) }

// forgeries are the single packets that nobody may believe.
var forgeries = [...]Act{WrongID, WrongQuestion, WrongType, WrongClass, WrongOpcode, NoQuestion, TwoQuestions, QueryAsAnswer,
	OtherCase, Garbage, CutOff, Hollow, ForeignGarbage, ThreeBytes, EmptyPacket}

// Junk sends n packets of noise and forgery, and no right answer. Over TCP it sends nothing: there nobody can join in.
//
// The asker's kernel drops what its socket has no room for, so the packets come in handfuls, each a little later than the
// one before.
func Junk(n int) Act {
	return func(q *Query) []Packet {
		if q.TCP {
			return nil
		}
		packets := make([]Packet, 0, n)
		for i := range n {
			p := Packet{Bytes: noise(rand.IntN(128))}
			if i%2 == 0 {
				p = forgeries[i/2%len(forgeries)](q)[0]
			}
			p.Wait = time.Duration(i/handful) * time.Millisecond
			packets = append(packets, p)
		}
		return packets
	}
}

// handful of packets have room in a socket's buffer of 208 kB, at 1 kB each in the kernel's account, four times over.
const handful = 50

// ManyJunk sends n packets of noise and forgery, and after them, when an asker has had time to read them, the right answer.
func ManyJunk(n int) Act {
	return Then(Junk(n), Late(time.Duration(n/handful+20)*time.Millisecond, Plain))
}

func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// Truncated says over UDP that the answer has no room, and gives it over TCP.
func Truncated(q *Query) []Packet {
	if q.TCP {
		return Plain(q)
	}
	m := q.reply()
	m.Truncated = true
	return pack(m)
}

// TruncatedForged says over UDP that the answer has no room, and holds a part of it that is not true.
func TruncatedForged(q *Query) []Packet {
	return OverTCP(TruncatedAlways, Plain)(q)
}

// TruncatedAlways says that the answer has no room, over TCP too, and holds a part of it that is not true.
func TruncatedAlways(q *Query) []Packet {
	m := q.forged()
	m.Truncated = true
	return pack(m)
}

// TruncatedNoTCP says over UDP that the answer has no room, and ends every connection. RefuseTCP refuses them.
func TruncatedNoTCP(q *Query) []Packet { return OverTCP(Truncated, HangUp)(q) }

// CNAMEChain leads through n aliases to 127.0.0.2.
func CNAMEChain(n int) Act {
	return func(q *Query) []Packet {
		m, name := q.reply(), q.Name()
		for i := range n {
			next := fmt.Sprintf("alias%d.example.", i)
			m.Answer = append(m.Answer, alias(name, next))
			name = next
		}
		m.Answer = append(m.Answer, address(name, netip.MustParseAddr("127.0.0.2")))
		return q.fit(m)
	}
}

func alias(name, target string) dns.RR {
	return &dns.CNAME{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: 300}, Target: target}
}

// CNAMELoop leads to an alias that leads back.
func CNAMELoop(q *Query) []Packet {
	m := q.reply()
	m.Answer = []dns.RR{alias(q.Name(), "alias.example."), alias("alias.example.", q.Name())}
	return pack(m)
}

// CNAMESelf leads a name to itself.
func CNAMESelf(q *Query) []Packet {
	m := q.reply()
	m.Answer = []dns.RR{alias(q.Name(), q.Name())}
	return pack(m)
}

// CNAMEElsewhere leads to a name that has no record, and adds records of names that nobody asked for.
func CNAMEElsewhere(q *Query) []Packet {
	m, forged := q.reply(), netip.MustParseAddr(Forged)
	m.Answer = []dns.RR{alias(q.Name(), "alias.example."), address("stranger.example.", forged), address("example.", forged)}
	m.Ns = []dns.RR{address(q.Name(), forged)}
	m.Extra = append(m.Extra, address(q.Name(), forged), address("alias.example.", forged))
	return pack(m)
}

// Stranger answers the right question with a record of another name.
func Stranger(q *Query) []Packet {
	m := q.reply()
	m.Answer = []dns.RR{address("stranger.example.", netip.MustParseAddr(Forged))}
	return pack(m)
}

// ManyRecords answers with n addresses, 127.0.0.2 and up.
func ManyRecords(n int) Act {
	return func(q *Query) []Packet {
		m, a := q.reply(), netip.MustParseAddr("127.0.0.2")
		for range n {
			m.Answer, a = append(m.Answer, address(q.Name(), a)), a.Next()
		}
		return q.fit(m)
	}
}

// LongText answers with a TXT record of so many octets, at most 64,000, in pieces of 255.
func LongText(octets int) Act {
	return func(q *Query) []Packet {
		m := q.reply()
		t := &dns.TXT{Hdr: dns.RR_Header{Name: q.Name(), Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 300}}
		for left := min(octets, 64000); left > 0; left -= 255 {
			t.Txt = append(t.Txt, strings.Repeat("x", min(left, 255)))
		}
		m.Answer = []dns.RR{t}
		return q.fit(m)
	}
}
