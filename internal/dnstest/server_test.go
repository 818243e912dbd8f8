package dnstest

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func start(t testing.TB) *Server {
	t.Helper()
	s, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func add(t testing.TB, s *Server, records ...string) {
	t.Helper()
	if err := s.Add(records...); err != nil {
		t.Fatal(err)
	}
}

// ask asks with the stock client.
func ask(t testing.TB, s *Server, network, name string, kind uint16, edns bool) *dns.Msg {
	t.Helper()
	m := new(dns.Msg).SetQuestion(name, kind)
	if edns {
		m.SetEdns0(1232, false)
	}
	client := dns.Client{Net: network, Timeout: 10 * time.Second}
	answer, _, err := client.Exchange(m, s.Addr().String())
	if err != nil {
		t.Fatalf("%s %s over %s: %v", name, dns.Type(kind), network, err)
	}
	return answer
}

// text writes the records of a section, one a line, without TTL and class.
func text(records []dns.RR) string {
	var lines []string
	for _, rr := range records {
		f := strings.Fields(rr.String())
		lines = append(lines, f[0]+" "+strings.Join(f[3:], " "))
	}
	return strings.Join(lines, "\n")
}

func TestAServerAnswersFromItsRecords(t *testing.T) {
	s := start(t)
	add(t, s, "a.b.example. 300 IN A 192.0.2.1", "a.b.example. 300 IN A 192.0.2.2", "old.example. 60 IN CNAME a.b.example.",
		"nowhere.example. 60 IN CNAME missing.example.", "round.example. 60 IN CNAME round.example.")
	for _, c := range []struct {
		name, ask string
		kind      uint16
		code      int
		answer    string
	}{
		{"a name that was not added does not exist", "c.example.", dns.TypeA, dns.RcodeNameError, ""},
		{"a name with records of another type only has none", "a.b.example.", dns.TypeTXT, dns.RcodeSuccess, ""},
		{"a name above a record exists", "b.example.", dns.TypeA, dns.RcodeSuccess, ""},
		{"a name below a record does not", "x.a.b.example.", dns.TypeA, dns.RcodeNameError, ""},
		{"an alias that leads nowhere", "nowhere.example.", dns.TypeA, dns.RcodeNameError, "nowhere.example. CNAME missing.example."},
		{"an alias is itself an answer", "old.example.", dns.TypeCNAME, dns.RcodeSuccess, "old.example. CNAME a.b.example."},
		{"an alias is followed", "old.example.", dns.TypeA, dns.RcodeSuccess,
			"old.example. CNAME a.b.example.\na.b.example. A 192.0.2.1\na.b.example. A 192.0.2.2"},
		{"letter case is ignored and kept", "A.b.EXAMPLE.", dns.TypeA, dns.RcodeSuccess, "A.b.EXAMPLE. A 192.0.2.1\nA.b.EXAMPLE. A 192.0.2.2"},
	} {
		for _, network := range []string{"udp", "tcp"} {
			t.Run(c.name+" over "+network, func(t *testing.T) {
				m := ask(t, s, network, c.ask, c.kind, true)
				if m.Rcode != c.code || text(m.Answer) != c.answer {
					t.Errorf("%s\n%s", dns.RcodeToString[m.Rcode], text(m.Answer))
				}
				if positive := len(m.Answer) > 0 && m.Rcode == dns.RcodeSuccess; positive == (len(m.Ns) == 1) {
					t.Errorf("authority:\n%s", text(m.Ns))
				}
				if m.IsEdns0() == nil {
					t.Error("no OPT record to a question with one")
				}
			})
		}
	}
	if m := ask(t, s, "tcp", "round.example.", dns.TypeA, false); len(m.Answer) != chainEnd {
		t.Errorf("a loop has %d records", len(m.Answer))
	}
}

func TestARecordThatIsNoneIsRefusedAndNoneIsAdded(t *testing.T) {
	s := start(t)
	for _, wrong := range []string{"", "a.example. IN A 192.0.2", "a.example. A"} {
		if s.Add("a.example. A 192.0.2.1", wrong) == nil {
			t.Errorf("%q was added", wrong)
		}
	}
	if m := ask(t, s, "udp", "a.example.", dns.TypeA, false); m.Rcode != dns.RcodeNameError {
		t.Errorf("%v", m)
	}
	if s.List("bl.example", false, "192.0.2") == nil {
		t.Error("half an address was listed")
	}
}

func TestANegativeAnswerSaysHowLongItHolds(t *testing.T) {
	s := start(t)
	s.SOA("bl.example", 120, 60)
	for name, want := range map[string][2]uint32{"a.bl.Example.": {120, 60}, "a.b.other.example.": {300, 300}, "test.": {300, 300}} {
		m := ask(t, s, "udp", name, dns.TypeA, false)
		soa := m.Ns[0].(*dns.SOA)
		if soa.Hdr.Ttl != want[0] || soa.Minttl != want[1] || !dns.IsSubDomain(soa.Hdr.Name, name) {
			t.Errorf("%s: %v", name, soa)
		}
	}
}

func TestAListHasItsTestEntries(t *testing.T) {
	s := start(t)
	if err := errors.Join(s.List("bl.example", true, "192.0.2.1", "192.0.2.2=127.0.0.4", "2001:db8::1"), s.List("v4.example", false),
		s.NameList("names.example", "bad.example=127.0.1.2")); err != nil {
		t.Fatal(err)
	}
	mapped := "0.0.0.0.0.f.7.f.f.f.f." + strings.Repeat("0.", 20)
	for name, want := range map[string]string{
		"2.0.0.127.bl.example.":      "127.0.0.2",
		"1.0.0.127.bl.example.":      "",
		"1.2.0.192.bl.example.":      "127.0.0.2",
		"2.2.0.192.bl.example.":      "127.0.0.4",
		"3.2.0.192.bl.example.":      "",
		"test.names.example.":        "127.0.0.2",
		"invalid.names.example.":     "",
		"bad.example.names.example.": "127.0.1.2",
		"2.0.0.127.v4.example.":      "127.0.0.2",
		// RFC 5782 5: ::FFFF:7F00:2 and ::FFFF:7F00:1
		"2." + mapped + "bl.example.": "127.0.0.2",
		"1." + mapped + "bl.example.": "",
		"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.example.": "127.0.0.2",
	} {
		m := ask(t, s, "udp", name, dns.TypeA, false)
		got := ""
		if len(m.Answer) == 1 {
			got = m.Answer[0].(*dns.A).A.String()
		}
		if got != want || (want == "") != (m.Rcode == dns.RcodeNameError) {
			t.Errorf("%s: %v", name, m)
		}
	}
	s.Remove("Bl.example")
	if m := ask(t, s, "udp", "2.0.0.127.bl.example.", dns.TypeA, false); m.Rcode != dns.RcodeNameError {
		t.Errorf("removed, and still there: %v", m)
	}
}

func TestTheLongestSuffixDecidesWhatIsPlayed(t *testing.T) {
	s := start(t)
	add(t, s, "a.b.example. 300 IN A 192.0.2.1")
	s.Play("", ServFail)
	s.Play("B.example", Refused)
	s.Play("a.b.example", Plain)
	for name, want := range map[string]int{"example.": dns.RcodeServerFailure, "xb.example.": dns.RcodeServerFailure,
		"b.example.": dns.RcodeRefused, "c.b.EXAMPLE.": dns.RcodeRefused, "a.B.example.": dns.RcodeSuccess} {
		if m := ask(t, s, "udp", name, dns.TypeA, false); m.Rcode != want {
			t.Errorf("%s: %s", name, dns.RcodeToString[m.Rcode])
		}
	}
	s.Play("b.example.", nil)
	if m := ask(t, s, "udp", "c.b.example.", dns.TypeA, false); m.Rcode != dns.RcodeServerFailure {
		t.Errorf("after the act was taken away: %v", m)
	}
}

func TestQuestionsAreCountedAsTheyCame(t *testing.T) {
	s := start(t)
	ask(t, s, "udp", "a.Example.", dns.TypeA, true)
	ask(t, s, "tcp", "A.example.", dns.TypeTXT, false)
	ask(t, s, "udp", "b.aa.example.", dns.TypeA, false)
	for suffix, want := range map[string]int{"": 3, ".": 3, "example": 3, "a.EXAMPLE.": 2, "aa.example": 1, "ple": 0, "x.a.example": 0} {
		if n := s.Count(suffix); n != want {
			t.Errorf("%q: %d questions", suffix, n)
		}
	}
	q := s.Questions()
	if q[0].Name != "a.Example." || q[0].Type != dns.TypeA || q[0].TCP || !q[0].EDNS || q[0].Port == 0 {
		t.Errorf("%+v", q[0])
	}
	if q[1].Name != "A.example." || q[1].Type != dns.TypeTXT || !q[1].TCP || q[1].EDNS {
		t.Errorf("%+v", q[1])
	}
	s.Forget()
	if s.Count("") != 0 || len(s.Questions()) != 0 {
		t.Error("not forgotten")
	}
}

func TestWaitReturnsWithTheQuestionOrWithTheReason(t *testing.T) {
	s := start(t)
	came := make(chan error)
	go func() { came <- s.Wait(t.Context(), "example", 2) }()
	ask(t, s, "udp", "a.example.", dns.TypeA, false)
	ask(t, s, "udp", "b.example.", dns.TypeA, false)
	if err := <-came; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { came <- s.Wait(ctx, "example", 3) }()
	cancel()
	if err := <-came; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	go func() { came <- s.Wait(context.Background(), "example", 3) }()
	s.Close()
	if err := <-came; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func TestALateAnswerHoldsUpNoOther(t *testing.T) {
	s := start(t)
	s.Delay("slow.example", time.Hour)
	s.Delay("quick.slow.example", 0)
	conn := dial(t, s)
	send(t, conn, 1, "slow.example.", dns.TypeA)
	send(t, conn, 2, "example.", dns.TypeA)
	send(t, conn, 3, "a.quick.slow.example.", dns.TypeA)
	ids := map[uint16]bool{}
	for range 2 {
		ids[read(t, conn).Id] = true
	}
	if !ids[2] || !ids[3] {
		t.Errorf("answered: %v", ids)
	}
} // closing must not wait for the hour

func TestClosingEndsConnectionsThatAreOpen(t *testing.T) {
	s := start(t)
	s.Play("", Silent)
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := dns.Conn{Conn: conn}
	if err := c.WriteMsg(new(dns.Msg).SetQuestion("example.", dns.TypeA)); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(t.Context(), "", 1); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.ReadMsg(); err == nil {
		t.Error("an answer of a closed server")
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}

func TestWhatIsNoQuestionGetsNoAnswer(t *testing.T) {
	s := start(t)
	conn := dial(t, s)
	for _, b := range [][]byte{{}, {1, 2, 3}, make([]byte, 12), []byte(strings.Repeat("x", 600))} {
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	send(t, conn, 7, "example.", dns.TypeA)
	if m := read(t, conn); m.Id != 7 {
		t.Errorf("%v", m)
	}
	if n := s.Count(""); n != 1 {
		t.Errorf("%d questions", n)
	}
}

func dial(t testing.TB, s *Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("udp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil { // a lost packet fails a test, and hangs none
		t.Fatal(err)
	}
	return conn
}

func send(t testing.TB, conn net.Conn, id uint16, name string, kind uint16) {
	t.Helper()
	m := new(dns.Msg).SetQuestion(name, kind)
	m.Id = id
	b, err := m.Pack()
	if err == nil {
		_, err = conn.Write(b)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, conn net.Conn) *dns.Msg {
	t.Helper()
	var m dns.Msg
	if err := m.Unpack(raw(t, conn)); err != nil {
		t.Fatal(err)
	}
	return &m
}

func raw(t testing.TB, conn net.Conn) []byte {
	t.Helper()
	b := make([]byte, 64<<10)
	n, err := conn.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

func TestManyMayAskAtOnce(t *testing.T) {
	s := start(t)
	if err := s.List("bl.example", false); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				if m := ask(t, s, "udp", "2.0.0.127.bl.example.", dns.TypeA, true); len(m.Answer) != 1 {
					t.Errorf("%v", m)
				}
			}
		})
	}
	all.Wait()
	if n := s.Count("bl.example"); n != 400 {
		t.Errorf("%d questions", n)
	}
}

// BenchmarkPlain shows that the server is not what a figure of an asker measures: questions in flight on one socket.
func BenchmarkPlain(b *testing.B) {
	s := start(b)
	if err := s.List("bl.example", false); err != nil {
		b.Fatal(err)
	}
	packet, err := new(dns.Msg).SetQuestion("2.0.0.127.bl.example.", dns.TypeA).Pack()
	if err != nil {
		b.Fatal(err)
	}
	conn := dial(b, s)
	seats := make(chan bool, 64)
	done := make(chan bool)
	b.ResetTimer()
	go func() {
		defer close(done)
		answer := make([]byte, 512)
		for range b.N {
			if _, err := conn.Read(answer); err != nil {
				return
			}
			<-seats
		}
	}()
	for range b.N {
		seats <- true
		if _, err := conn.Write(packet); err != nil {
			b.Fatal(err)
		}
	}
	<-done
}
