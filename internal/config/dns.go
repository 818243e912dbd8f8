package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// DNS is [dns]: whom the daemon asks for names and lists.
type DNS struct {
	Ask     bool             // off: no question is ever sent, and what rules want of the DNS stays unknown
	Servers []netip.AddrPort // in the order tried, at most 4; empty: those of /etc/resolv.conf
}

// maxServers bounds the servers: a question has no time to try more.
const maxServers = 4

// dnsPort is where a server without a port is asked (RFC 1035 4.2).
const dnsPort = 53

func dnsKeys(d *DNS) []key {
	return []key{
		{name: "ask", about: `"on", or "off": no question is ever sent, and no rule that needs one has an opinion`,
			value: `"on"`, read: readWord(func(s string) { d.Ask = s == "on" }, "on", "off")},
		{name: "servers", about: "resolvers in the order tried, at most 4; []: those of /etc/resolv.conf",
			value: "[]", example: `["127.0.0.1", "127.0.0.1:5353", "[2001:db8::1]:53"]`, read: readServers(&d.Servers)},
	}
}

func readServers(dst *[]netip.AddrPort) func(*arg) {
	return func(a *arg) {
		var list []netip.AddrPort
		items(a, func(a *arg) (netip.AddrPort, bool) {
			s, ok := a.text()
			if !ok {
				return netip.AddrPort{}, false
			}
			server, fault := dnsServer(s)
			if fault != "" {
				a.fail("%s", fault)
				return netip.AddrPort{}, false
			}
			list = append(list, server)
			return server, true
		})
		if len(list) > maxServers {
			a.fail("has %d servers: write %d at most, for there is no time to try more", len(list), maxServers)
		}
		*dst = list
	}
}

// dnsServer reads an address with or without a port.
func dnsServer(s string) (server netip.AddrPort, fault string) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return oneServer(s, netip.AddrPortFrom(addr, dnsPort))
	}
	if server, err := netip.ParseAddrPort(s); err == nil {
		return oneServer(s, server)
	}
	const like = `: write one like 127.0.0.1 or 127.0.0.1:5353 or [2001:db8::1]:53`
	host, port := hostPort(s)
	addr, err := netip.ParseAddr(host)
	switch {
	case strings.Contains(s, "://"):
		return server, quoted(s) + " is a URL, and servers are asked over plain UDP and TCP" + like
	case err == nil && port == "":
		return server, quoted(s) + " is no server: write " + quoted(addr.String())
	case err == nil:
		if n, err := strconv.ParseUint(port, 10, 16); err == nil && n > 0 {
			return server, quoted(s) + " is no server: write " + quoted(netip.AddrPortFrom(addr, uint16(n)).String())
		}
		return server, quoted(s) + " has no port: behind the last colon write 1 to 65535"
	}
	if name, fault := hostname(host); fault == "" {
		return server, quoted(name) + " is a name, and a server is needed to look up names: write its address"
	}
	return server, quoted(s) + " is no server" + like
}

// hostPort splits what is no address with a port, but may be meant as one.
func hostPort(s string) (host, port string) {
	const between = ":#@ " // as other programs write it
	if rest, bracket := strings.CutPrefix(s, "["); bracket {
		host, rest, _ = strings.Cut(rest, "]")
		return host, strings.TrimLeft(rest, between)
	}
	if i := strings.LastIndexAny(s, between); i >= 0 {
		return s[:i], s[i+1:]
	}
	return s, ""
}

// oneServer refuses addresses where no server can be, and makes one of IPv4 of a mapped one.
func oneServer(s string, at netip.AddrPort) (server netip.AddrPort, fault string) {
	addr := at.Addr().Unmap()
	switch {
	case at.Port() == 0:
		return server, quoted(s) + " has port 0: write 1 to 65535, or none for " + strconv.Itoa(dnsPort)
	case addr.Zone() != "":
		return server, quoted(s) + " has a zone: write an address that needs none"
	case addr.IsUnspecified():
		return server, fmt.Sprintf("%s is every address: write %s", quoted(s), map[bool]string{true: "127.0.0.1", false: "::1"}[addr.Is4()])
	case addr.IsMulticast() || addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return server, quoted(s) + " is no address of one server"
	}
	return netip.AddrPortFrom(addr, at.Port()), ""
}
