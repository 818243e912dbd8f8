package dnstest

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const right = "192.0.2.1"

// world of one name that has the right address.
func oneName(t testing.TB, act Act) *Server {
	t.Helper()
	s := start(t)
	add(t, s, "one.example. 300 IN A "+right, "one.example. 300 IN TXT text")
	s.Play("", act)
	return s
}

// answers reads n packets that come to one question with id 0x1234.
func answers(t *testing.T, s *Server, n int) [][]byte {
	t.Helper()
	conn := dial(t, s)
	send(t, conn, 0x1234, "one.example.", dns.TypeA)
	all := make([][]byte, n)
	for i := range all {
		all[i] = raw(t, conn)
	}
	return all
}

func TestForgedPacketsAreWrongInOneThing(t *testing.T) {
	honest := dns.Question{Name: "one.example.", Qtype: dns.TypeA, Qclass: dns.ClassINET}
	for _, c := range []struct {
		name string
		act  Act
		is   func(m *dns.Msg) bool // wrong in its one thing, which it then puts right
	}{
		{"another id", WrongID, func(m *dns.Msg) bool { m.Id--; return m.Id == 0x1234 }},
		{"another name", WrongQuestion, func(m *dns.Msg) bool {
			was := m.Question[0].Name
			m.Question[0].Name = honest.Name
			return was == "other.example." && m.Answer[0].Header().Name == was
		}},
		{"another type", WrongType, func(m *dns.Msg) bool {
			was := m.Question[0].Qtype
			m.Question[0].Qtype = dns.TypeA
			return was == dns.TypeAAAA
		}},
		{"another class", WrongClass, func(m *dns.Msg) bool {
			was := m.Question[0].Qclass
			m.Question[0].Qclass = dns.ClassINET
			return was == dns.ClassCHAOS
		}},
		{"another opcode", WrongOpcode, func(m *dns.Msg) bool {
			was := m.Opcode
			m.Opcode = dns.OpcodeQuery
			return was == dns.OpcodeNotify
		}},
		{"no question", NoQuestion, func(m *dns.Msg) bool {
			was := len(m.Question)
			m.Question = []dns.Question{honest}
			return was == 0
		}},
		{"a second question", TwoQuestions, func(m *dns.Msg) bool {
			was := len(m.Question)
			m.Question = m.Question[:1]
			return was == 2
		}},
		{"a question itself", QueryAsAnswer, func(m *dns.Msg) bool {
			was := m.Response
			m.Response = true
			return !was
		}},
		{"other letters", OtherCase, func(m *dns.Msg) bool {
			was := m.Question[0].Name
			m.Question[0].Name = honest.Name
			return was == "ONE.EXAMPLE." && m.Answer[0].Header().Name == was
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m dns.Msg
			if err := m.Unpack(answers(t, oneName(t, c.act), 1)[0]); err != nil {
				t.Fatal(err)
			}
			if !c.is(&m) {
				t.Errorf("%v", &m)
			}
			if len(m.Answer) != 1 || !strings.Contains(m.Answer[0].String(), Forged) {
				t.Errorf("no forged record: %v", m.Answer)
			}
			if m.Id != 0x1234 || !m.Response || m.Opcode != dns.OpcodeQuery || len(m.Question) != 1 || m.Question[0] != honest {
				t.Errorf("wrong in more than one thing: %v", &m)
			}
		})
	}
}

func TestNoiseIsNoMessage(t *testing.T) {
	for _, c := range []struct {
		name    string
		act     Act
		length  int
		rightID bool
	}{
		{"garbage with the right id", Garbage, 64, true},
		{"garbage with another id", ForeignGarbage, 64, false},
		{"three octets", ThreeBytes, 3, true},
		{"nothing", EmptyPacket, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := answers(t, oneName(t, c.act), 1)[0]
			if len(b) != c.length || (len(b) > 1 && b[0] == 0x12 && b[1] == 0x34) != c.rightID {
				t.Errorf("% x", b)
			}
		})
	}
	b := answers(t, oneName(t, CutOff), 1)[0]
	var m dns.Msg
	if m.Unpack(b) == nil || b[0] != 0x12 || b[1] != 0x34 || !strings.Contains(string(b), "\x03one\x07example\x00") {
		t.Errorf("cut off: % x", b)
	}
}

// seen is what the stock client makes of the answer to one.example.
func seen(m *dns.Msg) string {
	words := []string{dns.RcodeToString[m.Rcode]}
	if m.Truncated {
		words = append(words, "TC")
	}
	for _, rr := range m.Answer {
		f := strings.Fields(rr.String())
		words = append(words, f[len(f)-1])
	}
	return strings.Join(words, " ")
}

func TestActsOnOneQuestion(t *testing.T) {
	address := netip.MustParseAddr
	for _, c := range []struct {
		name     string
		act      Act
		udp, tcp string
	}{
		{"server failure", ServFail, "SERVFAIL", "SERVFAIL"},
		{"refusal", Refused, "REFUSED", "REFUSED"},
		{"not implemented", NotImplemented, "NOTIMP", "NOTIMP"},
		{"malformed always", FormErrAlways, "FORMERR", "FORMERR"},
		{"inert", Inert, "NXDOMAIN", "NXDOMAIN"},
		{"world", World, "NOERROR 127.0.0.2", "NOERROR 127.0.0.2"},
		{"error code", ErrorCode(254), "NOERROR 127.255.255.254", "NOERROR 127.255.255.254"},
		{"hijack", Hijack(address("198.51.100.1")), "NOERROR 198.51.100.1", "NOERROR 198.51.100.1"},
		{"hijack of what is missing, not of this", HijackMissing(address("198.51.100.1")), "NOERROR " + right, "NOERROR " + right},
		{"always, of the type asked for", Always(address("0.0.0.0"), address("2001:db8::1"), address("255.255.255.255")),
			"NOERROR 0.0.0.0 255.255.255.255", "NOERROR 0.0.0.0 255.255.255.255"},
		{"truncated", Truncated, "NOERROR TC", "NOERROR " + right},
		{"truncated with a lie", TruncatedForged, "NOERROR TC " + Forged, "NOERROR " + right},
		{"truncated always", TruncatedAlways, "NOERROR TC " + Forged, "NOERROR TC " + Forged},
		{"a record without data", Hollow, "NOERROR A", "NOERROR A"},
		{"one act a protocol", OverTCP(ServFail, Refused), "SERVFAIL", "REFUSED"},
		{"a chain", CNAMEChain(2), "NOERROR alias0.example. alias1.example. 127.0.0.2", "NOERROR alias0.example. alias1.example. 127.0.0.2"},
		{"a loop", CNAMELoop, "NOERROR alias.example. one.example.", "NOERROR alias.example. one.example."},
		{"a loop of one", CNAMESelf, "NOERROR one.example.", "NOERROR one.example."},
		{"an alias and strangers", CNAMEElsewhere, "NOERROR alias.example. " + Forged + " " + Forged,
			"NOERROR alias.example. " + Forged + " " + Forged},
		{"a stranger", Stranger, "NOERROR " + Forged, "NOERROR " + Forged},
		{"a first time", First(1, ServFail, Plain), "SERVFAIL", "NOERROR " + right},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := oneName(t, c.act)
			for network, want := range map[string]string{"udp": c.udp, "tcp": c.tcp} {
				if c.name == "a first time" && network == "udp" {
					continue // in an order of its own below
				}
				if c.name == "a first time" {
					if got := seen(ask(t, s, "udp", "one.example.", dns.TypeA, false)); got != c.udp {
						t.Errorf("first: %s", got)
					}
				}
				if got := seen(ask(t, s, network, "one.example.", dns.TypeA, false)); got != want {
					t.Errorf("%s: %s", network, got)
				}
			}
		})
	}
}

func TestAProviderSellsNamesThatAreMissing(t *testing.T) {
	s := oneName(t, HijackMissing(netip.MustParseAddr("198.51.100.1")))
	if m := ask(t, s, "udp", "two.example.", dns.TypeA, true); seen(m) != "NOERROR 198.51.100.1" {
		t.Errorf("%v", m)
	}
	if m := ask(t, s, "udp", "two.example.", dns.TypeTXT, true); seen(m) != "NOERROR" {
		t.Errorf("%v", m)
	}
}

func TestAnOldServerUnderstandsNoEDNS(t *testing.T) {
	s := oneName(t, FormErrOnEDNS)
	if m := ask(t, s, "udp", "one.example.", dns.TypeA, true); m.Rcode != dns.RcodeFormatError || m.IsEdns0() != nil {
		t.Errorf("%v", m)
	}
	if m := ask(t, s, "udp", "one.example.", dns.TypeA, false); seen(m) != "NOERROR "+right {
		t.Errorf("%v", m)
	}
}

func TestWhatHasNoRoomOverUDPComesOverTCP(t *testing.T) {
	s := oneName(t, LongText(64000))
	if m := ask(t, s, "udp", "one.example.", dns.TypeTXT, true); !m.Truncated || len(m.Answer) != 0 {
		t.Errorf("%v", m)
	}
	m := ask(t, s, "tcp", "one.example.", dns.TypeTXT, true)
	octets := 0
	for _, piece := range m.Answer[0].(*dns.TXT).Txt {
		octets += len(piece)
	}
	if octets != 64000 {
		t.Errorf("%d octets of text", octets)
	}
	s.Play("", ManyRecords(500))
	if m := ask(t, s, "udp", "one.example.", dns.TypeA, true); !m.Truncated || len(m.Answer) != 0 {
		t.Errorf("%v", m)
	}
	s.Play("", Whole(ManyRecords(500)))
	for _, network := range []string{"udp", "tcp"} {
		m := new(dns.Msg).SetQuestion("one.example.", dns.TypeA)
		client := dns.Client{Net: network, UDPSize: 65535}
		answer, _, err := client.Exchange(m, s.Addr().String())
		if err != nil || len(answer.Answer) != 500 {
			t.Errorf("%s: %d records, %v", network, len(answer.Answer), err)
		}
	}
}

func TestTCPCanBeRefusedAndHungUp(t *testing.T) {
	s := oneName(t, TruncatedNoTCP)
	client := dns.Client{Net: "tcp"}
	m := new(dns.Msg).SetQuestion("one.example.", dns.TypeA)
	if answer, _, err := client.Exchange(m, s.Addr().String()); err == nil {
		t.Errorf("%v", answer)
	}
	if s.Count("") != 1 {
		t.Error("the question over TCP was not read")
	}
	s.RefuseTCP()
	if conn, err := net.Dial("tcp", s.Addr().String()); err == nil {
		conn.Close()
		t.Error("connected")
	}
	if m := ask(t, s, "udp", "one.example.", dns.TypeA, false); !m.Truncated {
		t.Errorf("%v", m)
	}
}

func TestPacketsComeInTheirOrder(t *testing.T) {
	got := answers(t, oneName(t, Then(Late(time.Millisecond, Twice), Late(time.Millisecond, EmptyPacket), ThreeBytes)), 4)
	var m dns.Msg
	if len(got[0]) != 3 || m.Unpack(got[1]) != nil || seen(&m) != "NOERROR "+right || string(got[2]) != string(got[1]) || len(got[3]) != 0 {
		t.Errorf("% x", got)
	}
}

func TestJunkComesBeforeTheRightAnswer(t *testing.T) {
	s := oneName(t, Then(ManyJunk(1000), Late(time.Second, ThreeBytes)))
	conn := dial(t, s)
	send(t, conn, 0x1234, "one.example.", dns.TypeA)
	packet, junk := make([]byte, 1024), 0
	for {
		n, err := conn.Read(packet)
		if err != nil {
			t.Fatalf("after %d packets: %v", junk, err)
		}
		var m dns.Msg
		if m.Unpack(packet[:n]) == nil && seen(&m) == "NOERROR "+right {
			break
		}
		junk++
	}
	if junk < 100 { // on a busy machine many are lost in the kernel
		t.Errorf("only %d packets of junk", junk)
	}
	if n, err := conn.Read(packet); err != nil || n != 3 {
		t.Errorf("after the right answer: % x %v", packet[:n], err)
	}
}

func TestAForgerCanSitElsewhere(t *testing.T) {
	s := oneName(t, Then(Elsewhere(World), Plain))
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0") // not connected: it hears everybody
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	b, err := new(dns.Msg).SetQuestion("one.example.", dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	at := net.UDPAddrFromAddrPort(s.Addr())
	if _, err := conn.WriteTo(b, at); err != nil {
		t.Fatal(err)
	}
	heard := map[string]bool{} // by whether it came from where was asked
	for range 2 {
		answer := make([]byte, 512)
		n, from, err := conn.ReadFrom(answer)
		var m dns.Msg
		if err != nil || m.Unpack(answer[:n]) != nil {
			t.Fatal(err)
		}
		where := "elsewhere: "
		if from.String() == at.String() {
			where = "here: "
		}
		heard[where+seen(&m)] = true
	}
	if !heard["elsewhere: NOERROR 127.0.0.2"] || !heard["here: NOERROR "+right] {
		t.Errorf("%v", heard)
	}
}

func TestAHeldAnswerComesWithItsRelease(t *testing.T) {
	var hold Hold
	s := oneName(t, nil)
	s.Play("one.example", hold.Act(Plain))
	conn := dial(t, s)
	send(t, conn, 1, "one.example.", dns.TypeA)
	send(t, conn, 2, "two.example.", dns.TypeA)
	if m := read(t, conn); m.Id != 2 {
		t.Errorf("%v", m)
	}
	if err := s.Wait(t.Context(), "one.example", 1); err != nil {
		t.Fatal(err)
	}
	hold.Release()
	if m := read(t, conn); m.Id != 1 {
		t.Errorf("%v", m)
	}
	send(t, conn, 3, "one.example.", dns.TypeA)
	if m := read(t, conn); m.Id != 3 {
		t.Errorf("after the release: %v", m)
	}
}
