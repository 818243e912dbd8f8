package dnstest

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// Forged is the address in every answer that an asker must not use.
const Forged = "127.0.0.66"

// Packet is one message sent back.
type Packet struct {
	Bytes     []byte
	Wait      time.Duration // before it is sent
	elsewhere bool          // from a port that was not asked
	hangUp    bool          // over TCP: nothing is sent, and the connection ends
	hold      *Hold
}

// Query is a question as an act sees it.
type Query struct {
	Msg   *dns.Msg // do not change it
	TCP   bool
	world *world
}

// Name returns the name asked for, as received.
func (q *Query) Name() string { return q.Msg.Question[0].Name }

// Type returns the type asked for.
func (q *Query) Type() uint16 { return q.Msg.Question[0].Qtype }

// Act answers a question: the packets it returns are sent in their order. It is called from several goroutines at once and
// holds up the server while it runs.
type Act func(q *Query) []Packet

// reply begins an answer of a recursive server to the question, without records.
func (q *Query) reply() *dns.Msg {
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Id: q.Msg.Id, Response: true, Opcode: q.Msg.Opcode, RecursionDesired: q.Msg.RecursionDesired,
		RecursionAvailable: true}, Compress: true, Question: append([]dns.Question(nil), q.Msg.Question...)}
	if q.Msg.IsEdns0() != nil {
		m.SetEdns0(1232, false)
	}
	return m
}

// plain makes the answer that the records call for.
func (q *Query) plain() *dns.Msg {
	m := q.reply()
	q.world.resolve(m, q.Name(), q.Type())
	return m
}

// forged makes an answer that would be right if it were not for what an act changes in it.
func (q *Query) forged() *dns.Msg { return q.addresses(netip.MustParseAddr(Forged)) }

// addresses makes an answer with these addresses, of those that have the type asked for.
func (q *Query) addresses(list ...netip.Addr) *dns.Msg {
	m := q.reply()
	for _, a := range list {
		if rr := address(q.Name(), a); rr.Header().Rrtype == q.Type() {
			m.Answer = append(m.Answer, rr)
		}
	}
	return m
}

func address(name string, a netip.Addr) dns.RR {
	head := dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 300}
	if a.Is4() {
		return &dns.A{Hdr: head, A: a.AsSlice()}
	}
	head.Rrtype = dns.TypeAAAA
	return &dns.AAAA{Hdr: head, AAAA: a.AsSlice()}
}

// fit packs an answer and, if it is too long for the asker over UDP, cuts it to nothing with TC=1 (RFC 2181 9).
func (q *Query) fit(m *dns.Msg) []Packet {
	packets := pack(m)
	room := dns.MinMsgSize
	if opt := q.Msg.IsEdns0(); opt != nil {
		room = max(room, int(opt.UDPSize()))
	}
	if q.TCP || len(packets) == 0 || len(packets[0].Bytes) <= room {
		return packets
	}
	m.Truncated, m.Answer, m.Ns = true, nil, nil
	return pack(m)
}

// pack makes a packet of a message, or none of one that no packet holds.
func pack(m *dns.Msg) []Packet {
	b, err := m.Pack()
	if err != nil {
		return nil
	}
	return []Packet{{Bytes: b}}
}

// Plain answers from the records, as the server does without an act.
func Plain(q *Query) []Packet { return q.fit(q.plain()) }

// Then plays acts one after the other.
func Then(acts ...Act) Act {
	return func(q *Query) (all []Packet) {
		for _, act := range acts {
			all = append(all, act(q)...)
		}
		return all
	}
}

// First plays one act for the first n questions and another for those after.
func First(n int, act, after Act) Act {
	var asked atomic.Int64
	return func(q *Query) []Packet {
		if asked.Add(1) <= int64(n) {
			return act(q)
		}
		return after(q)
	}
}

// OverTCP plays one act over UDP and another over TCP.
func OverTCP(udp, tcp Act) Act {
	return func(q *Query) []Packet {
		if q.TCP {
			return tcp(q)
		}
		return udp(q)
	}
}

// Late plays an act d later than now.
func Late(d time.Duration, act Act) Act {
	return func(q *Query) []Packet {
		packets := act(q)
		for i := range packets {
			packets[i].Wait += d
		}
		return packets
	}
}

// Elsewhere sends what an act answers from a port that was not asked. Over TCP there is no such thing.
func Elsewhere(act Act) Act {
	return func(q *Query) []Packet {
		packets := act(q)
		for i := range packets {
			packets[i].elsewhere = true
		}
		return packets
	}
}

// Whole sends over UDP what an act answers over TCP, in one packet, if the asker has room for it or not.
func Whole(act Act) Act {
	return func(q *Query) []Packet {
		whole := *q
		whole.TCP = true
		return act(&whole)
	}
}

// Always answers every question for an address with these, and others with no record: a world, a hijacked zone, an error
// code, one address that is none.
func Always(addresses ...netip.Addr) Act {
	return func(q *Query) []Packet { return q.fit(q.addresses(addresses...)) }
}

// World lists everybody, with 127.0.0.2.
func World(q *Query) []Packet { return q.fit(q.addresses(netip.MustParseAddr("127.0.0.2"))) }

// Hijack answers with one address for every name, as one does who has bought the name of a dead list.
func Hijack(addr netip.Addr) Act { return Always(addr) }

// HijackMissing answers with one address for every name that does not exist, and for others from the records.
func HijackMissing(addr netip.Addr) Act {
	return func(q *Query) []Packet {
		if m := q.plain(); m.Rcode != dns.RcodeNameError {
			return q.fit(m)
		}
		return q.fit(q.addresses(addr))
	}
}

// ErrorCode answers 127.255.255.last for every name: the list refuses the resolver.
func ErrorCode(last byte) Act { return Always(netip.AddrFrom4([4]byte{127, 255, 255, last})) }

// Inert answers that no name exists: a list that was emptied.
func Inert(q *Query) []Packet { return q.code(dns.RcodeNameError) }

// Silent never answers; over TCP it keeps the connection open.
func Silent(*Query) []Packet { return nil }

// HangUp never answers; over TCP it ends the connection.
func HangUp(*Query) []Packet { return []Packet{{hangUp: true}} }

func (q *Query) code(rcode int) []Packet {
	m := q.reply()
	m.Rcode = rcode
	if rcode == dns.RcodeNameError {
		q.world.mu.RLock()
		defer q.world.mu.RUnlock()
		m.Ns = []dns.RR{q.world.authority(dns.CanonicalName(q.Name()))}
	}
	return pack(m)
}

// ServFail says that the server failed.
func ServFail(q *Query) []Packet { return q.code(dns.RcodeServerFailure) }

// Refused says that the server does not answer this asker.
func Refused(q *Query) []Packet { return q.code(dns.RcodeRefused) }

// NotImplemented says that the server knows no such question.
func NotImplemented(q *Query) []Packet { return q.code(dns.RcodeNotImplemented) }

// FormErrOnEDNS is an old server: a question with an OPT record is malformed to it (RFC 6891 7).
func FormErrOnEDNS(q *Query) []Packet {
	if q.Msg.IsEdns0() != nil {
		return FormErrAlways(q)
	}
	return Plain(q)
}

// FormErrAlways calls every question malformed. Its answer has no OPT record: it has not understood one.
func FormErrAlways(q *Query) []Packet {
	m := q.reply()
	m.Rcode, m.Extra = dns.RcodeFormatError, nil
	return pack(m)
}
