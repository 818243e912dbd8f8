package front

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"eximpolicyd/policy"
)

func badProxyLines() []string {
	return []string{
		"PROXY \r\n", "PROXY TCP4\r\n", "PROXY TCP4 203.0.113.7 192.0.2.1 4321\r\n", "PROXY TCP4 203.0.113.7 192.0.2.1 4321 25 26\r\n",
		"PROXY TCP5 203.0.113.7 192.0.2.1 4321 25\r\n", "PROXY TCP4 2001:db8::7 192.0.2.1 4321 25\r\n", "PROXY TCP6 203.0.113.7 192.0.2.1 4321 25\r\n",
		"PROXY TCP4 203.0.113.7 192.0.2.1 65536 25\r\n", "PROXY TCP4 203.0.113.7 192.0.2.1 -1 25\r\n", "PROXY TCP4 203.0.113.7 192.0.2.1 4321 25\n",
		"PROXY TCP6 fe80::1%eth0 fe80::2 4321 25\r\n", "PROXY TCP4 mx.example.com 192.0.2.1 4321 25\r\n", "PROXY  TCP4 203.0.113.7 192.0.2.1 4321 25\r\n",
		"PROXY UNKNOWN " + strings.Repeat("a", proxyLine) + "\r\n", "PROXY " + strings.Repeat("a", 2*maxCommand),
	}
}

// proxy2 is a header of version 2, with a length that may lie.
func proxy2(command, family byte, length int, rest string) string {
	return proxySignature + string([]byte{command, family, byte(length >> 8), byte(length)}) + rest
}

// named2 names a client by a header of version 2.
func named2(client netip.AddrPort, more string) string {
	family, octets := byte(0x11), string(client.Addr().AsSlice())
	if client.Addr().Is6() {
		family = 0x21
	}
	rest := octets + octets + string([]byte{byte(client.Port() >> 8), byte(client.Port()), 0, 25}) + more
	return proxy2(0x21, family, len(rest), rest)
}

func badProxyHeaders() []string {
	room := strings.Repeat("a", 36)
	return []string{
		proxy2(0x11, 0x11, 36, room), proxy2(0x31, 0x11, 36, room), proxy2(0x22, 0x11, 36, room), proxy2(0x21, 0x12, 36, room), proxy2(0x21, 0x22, 36, room),
		proxy2(0x21, 0x31, 36, room), proxy2(0x21, 0x11, 11, room[:11]), proxy2(0x21, 0x21, 35, room[:35]), proxy2(0x21, 0x11, 0, ""),
		proxy2(0x20, 0x00, proxyHeader, strings.Repeat("a", proxyHeader)), proxy2(0x21, 0x11, 65535, strings.Repeat("a", 2*maxCommand)),
	}
}

func TestAPROXYHeaderThatIsNoneIsMetWithAClosedConnection(t *testing.T) {
	p := play(t, func(s *Server) { s.ProxyWait = time.Minute })
	for _, line := range append(badProxyLines(), badProxyHeaders()...) {
		c := p.dial()
		c.raw(line)
		c.say("", "")
	}
	if got := p.asked(); got != "" {
		t.Error(got)
	}
}

func TestAPROXYHeaderSaysWhoTheClientIs(t *testing.T) {
	p := play(t, func(s *Server) { s.ProxyWait = time.Minute })
	for _, line := range []string{"PROXY TCP4 203.0.113.7 192.0.2.1 4321 25\r\n", "PROXY TCP6 2001:db8::7 2001:db8::1 4321 25\r\n", "PROXY TCP6 ::ffff:192.0.2.7 ::1 4321 25\r\n",
		named2(netip.MustParseAddrPort("203.0.113.8:4321"), ""), named2(netip.MustParseAddrPort("[2001:db8::8]:4321"), ""),
		named2(netip.MustParseAddrPort("[::ffff:192.0.2.8]:4321"), ""), named2(netip.MustParseAddrPort("203.0.113.9:4321"), "\x04\x00\x05QUIT\n")} {
		c := p.dial()
		c.raw(line)
		c.say("", "220", "QUIT", "221")
	}
	list := p.at(policy.Connect)
	for i, want := range []string{"203.0.113.7", "2001:db8::7", "192.0.2.7", "203.0.113.8", "2001:db8::8", "192.0.2.8", "203.0.113.9"} {
		if q := list[i]; q.Client != netip.MustParseAddr(want) || q.ClientPort != 4321 || !q.ProxyLocal.Addr().IsLoopback() || !q.Server.IsLoopback() {
			t.Errorf("%v:%d at %v through %v", q.Client, q.ClientPort, q.Server, q.ProxyLocal)
		}
	}
}

func TestWithoutAPROXYHeaderAClientOnLoopbackIsWhomItCountsAs(t *testing.T) {
	for _, hello := range []string{"", "PROXY UNKNOWN\r\n", "PROXY UNKNOWN ::1 ::1 1 1\r\n", "PR", "EHLO early.example\r\n",
		proxy2(0x20, 0x00, 0, ""), proxy2(0x20, 0x11, 12, "\xcb\x00\x71\x07\x7f\x00\x00\x01\x10\xe1\x00\x19"), proxy2(0x21, 0x00, 3, "abc")} {
		t.Run(hello, func(t *testing.T) {
			p := play(t, func(s *Server) {
				if s.ProxyWait = time.Minute; hello == "" {
					s.ProxyWait = time.Millisecond
				}
			})
			c := p.dial()
			c.raw(hello)
			if hello == "PR" {
				c.raw("EAMBLE\r\n")
			}
			c.say("", "220")
			if q := p.at(policy.Connect)[0]; q.Client != netip.MustParseAddr("203.0.113.7") || q.ProxyLocal.IsValid() {
				t.Errorf("%v through %v", q.Client, q.ProxyLocal)
			}
		})
	}
}

// Half a header, then silence, is no client that has nothing to say.
func TestAPROXYHeaderThatStopsEndsTheConnectionAfterFiveSeconds(t *testing.T) {
	whole := named2(netip.MustParseAddrPort("198.51.100.8:4321"), "")
	for _, half := range []string{"P", "PROXY ", "PROXY TCP4 203.0.113.7 192.0.2.1 4321 25\r", "\r", whole[:12], whole[:15], whole[:len(whole)-1]} {
		synctest.Test(t, func(t *testing.T) {
			s := dialFrom(t, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4321})
			s.raw(half)
			s.say("", "")
			if <-s.done; time.Since(s.begun) != proxyTime || s.from.IsValid() {
				t.Errorf("%q: ended after %v, and asked about %v", half, time.Since(s.begun), s.from)
			}
		})
	}
}

func TestAPROXYLineThatComesTooLateEndsTheConnection(t *testing.T) {
	p := play(t, nil)
	c := p.dial()
	c.say("", "220", "PROXY TCP4 198.51.100.7 192.0.2.1 4321 25", "500 5.5.1", "", "")
}

func TestAPROXYLineFromElsewhereThanLoopbackIsABadCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dialFrom(t, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 9), Port: 4321})
		s.say("", "220", "PROXY TCP4 198.51.100.7 192.0.2.1 4321 25", "500 5.5.1", "", "")
		s.ends(0, "bad-commands")
		if s.from != netip.MustParseAddr("192.0.2.9") {
			t.Error(s.from)
		}
	})
}

func FuzzProxy(f *testing.F) {
	for _, line := range append(badProxyLines(), badProxyHeaders()...) {
		f.Add(line)
	}
	f.Add("PROXY UNKNOWN\r\n")
	f.Add("PROXY TCP4 203.0.113.7 192.0.2.1 4321 25\r\n")
	f.Add("PROXY TCP6 2001:db8::7 ::1 4321 25\r\n")
	f.Add(named2(netip.MustParseAddrPort("[2001:db8::8]:4321"), "more"))
	f.Fuzz(func(t *testing.T, line string) {
		var client netip.AddrPort
		var err error
		if strings.HasPrefix(line, proxySignature) && len(line) >= proxyHead {
			client, err = parseProxy2([]byte(line))
		} else {
			client, err = parseProxy(line)
		}
		if err != nil || !client.IsValid() {
			return
		}
		if again, err := parseProxy2([]byte(named2(client, line))); err != nil || again != client {
			t.Errorf("%q is %v, and written again in version 2 %v, %v", line, client, again, err)
		}
		family := "TCP6"
		if client.Addr().Is4() {
			family = "TCP4"
		}
		again, err := parseProxy(fmt.Sprintf("PROXY %s %s %s %d 25\r\n", family, client.Addr(), client.Addr(), client.Port()))
		if err != nil || again != client {
			t.Errorf("%q is %v, and written again %v, %v", line, client, again, err)
		}
	})
}
