package relaytest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A Host is a server on the network.
type Host struct {
	Name  string       // "" if it was given by address
	Addrs []netip.Addr // at least one; the first is tested
	Port  uint16
	From  netip.Addr // to connect from; not valid: the kernel's choice
}

// smtpPort is where servers take mail of strangers.
const smtpPort = 25

// ParseHost reads HOST or HOST:PORT, where HOST is an address, in brackets or without if no port follows, or a name. A name
// but localhost has no addresses yet: see Resolve.
func ParseHost(text string) (*Host, error) {
	h := &Host{Port: smtpPort}
	name := text
	if host, port, err := net.SplitHostPort(text); err == nil {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("%.20q is no port", port)
		}
		name, h.Port = host, uint16(n)
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if addr, err := netip.ParseAddr(name); err == nil {
		h.Addrs = []netip.Addr{addr.Unmap()}
		return h, nil
	}
	if !IsName(name) {
		return nil, fmt.Errorf("%.60q is no address and no name of a host", text)
	}
	h.Name = name
	if strings.EqualFold(name, "localhost") { // needs no lookup (RFC 6761 6.3)
		h.Addrs = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	}
	return h, nil
}

// Resolve asks the system's resolver for the addresses of a name, once: what was checked is what is tested.
func (h *Host) Resolve(ctx context.Context) error {
	if len(h.Addrs) > 0 {
		return nil
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", h.Name)
	for _, a := range addrs {
		h.Addrs = append(h.Addrs, a.Unmap())
	}
	return err
}

// Is reports whether a host is the machine with these addresses: all that it has are, or loopback's.
func (h *Host) Is(own []netip.Addr) bool {
	return len(h.Addrs) > 0 && !slices.ContainsFunc(h.Addrs, func(a netip.Addr) bool { return !a.IsLoopback() && !slices.Contains(own, a) })
}

// Addr is the address and port that is tested.
func (h *Host) Addr() netip.AddrPort { return netip.AddrPortFrom(h.Addrs[0], h.Port) }

// Dial connects to it.
func (h *Host) Dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	if h.From.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(h.From, 0))
	}
	return d.DialContext(ctx, "tcp", h.Addr().String())
}
