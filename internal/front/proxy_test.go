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

func TestAPROXYLineThatIsNoneIsMetWithAClosedConnection(t *testing.T) {
	p := play(t, func(s *Server) { s.ProxyWait = time.Minute })
	for _, line := range badProxyLines() {
		c := p.dial()
		c.raw(line)
		c.say("", "")
	}
	if got := p.asked(); got != "" {
		t.Error(got)
	}
}

func TestAPROXYLineSaysWhoTheClientIs(t *testing.T) {
	p := play(t, func(s *Server) { s.ProxyWait = time.Minute })
	for _, line := range []string{"PROXY TCP4 198.51.100.7 192.0.2.1 4321 25\r\n", "PROXY TCP6 2001:db8::7 2001:db8::1 4321 25\r\n", "PROXY TCP6 ::ffff:192.0.2.7 ::1 4321 25\r\n"} {
		c := p.dial()
		c.raw(line)
		c.reply()
	}
	list := p.at(policy.Connect)
	for i, want := range []string{"198.51.100.7", "2001:db8::7", "192.0.2.7"} {
		if q := list[i]; q.Client != netip.MustParseAddr(want) || q.ClientPort != 4321 || !q.ProxyLocal.Addr().IsLoopback() || !q.Server.IsLoopback() {
			t.Errorf("%v:%d at %v through %v", q.Client, q.ClientPort, q.Server, q.ProxyLocal)
		}
	}
}

func TestWithoutAPROXYLineAClientOnLoopbackIsWhomItCountsAs(t *testing.T) {
	for _, hello := range []string{"", "PROXY UNKNOWN\r\n", "PROXY UNKNOWN ::1 ::1 1 1\r\n", "PR", "EHLO early.example\r\n"} {
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
	for _, line := range badProxyLines() {
		f.Add(line)
	}
	f.Add("PROXY UNKNOWN\r\n")
	f.Add("PROXY TCP4 203.0.113.7 192.0.2.1 4321 25\r\n")
	f.Add("PROXY TCP6 2001:db8::7 ::1 4321 25\r\n")
	f.Fuzz(func(t *testing.T, line string) {
		client, err := parseProxy(line)
		if err != nil || !client.IsValid() {
			return
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
