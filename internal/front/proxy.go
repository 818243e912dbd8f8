package front

import (
	"bufio"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Of the PROXY protocol, version 1: one line of text before anything else.
const (
	proxyWord = "PROXY "
	proxyLine = 107             // octets of the longest one, CR LF and all
	proxyTime = 5 * time.Second // for a line that has begun
)

var errProxy = errors.New("a PROXY line that is none: write PROXY TCP4 CLIENT SERVER CLIENT-PORT SERVER-PORT")

// introduce finds out who the client is: the other end of the connection; or, where that is on loopback, whom a PROXY line
// names, else Client. From elsewhere such a line is no more than a bad command: anybody could name anybody.
//
// In SMTP the server speaks first, so a client without such a line has to be waited for. As with Exim's hosts_proxy the
// server's address stays our own.
func (v *visit) introduce(in *bufio.Reader) error {
	peer := netip.AddrPortFrom(v.q.Client, uint16(v.q.ClientPort))
	defer func() { v.q.RelayHost = v.Relay.Has(v.q.Client) }()
	if !peer.Addr().IsLoopback() {
		return nil
	}
	line, err := v.proxied(in)
	if err != nil {
		return err
	}
	client, err := parseProxy(line)
	switch {
	case err != nil:
		return err
	case client.IsValid():
		v.q.Client, v.q.ClientPort, v.q.ProxyLocal = client.Addr(), int(client.Port()), peer
	case v.Client.IsValid():
		v.q.Client = v.Client
	}
	return nil
}

// proxied reads a PROXY line, if one comes in time. Anything else stays unread.
func (v *visit) proxied(in *bufio.Reader) (line string, err error) {
	if v.ProxyWait <= 0 {
		return "", nil
	}
	v.conn.SetReadDeadline(time.Now().Add(v.ProxyWait))
	defer v.conn.SetReadDeadline(time.Time{})
	for n := 1; n <= len(proxyWord); n++ {
		begun, err := in.Peek(n)
		if err != nil && len(begun) == 0 { // in vain; what is wrong shows at the next read
			return "", nil
		}
		if err != nil {
			return "", err
		}
		if begun[n-1] != proxyWord[n-1] {
			return "", nil
		}
		v.conn.SetReadDeadline(time.Now().Add(proxyTime))
	}
	raw, err := in.ReadSlice('\n')
	if err != nil || len(raw) > proxyLine {
		return "", errors.Join(errProxy, err)
	}
	return string(raw), nil
}

// parseProxy reads a PROXY line, which may be empty or UNKNOWN; then the address is no valid one.
func parseProxy(line string) (client netip.AddrPort, err error) {
	if line == "" {
		return client, nil
	}
	line, ok := strings.CutSuffix(line, "\r\n")
	words := strings.Split(line, " ")
	switch {
	case !ok || words[0] != "PROXY" || len(words) < 2:
		return client, errProxy
	case words[1] == "UNKNOWN":
		return client, nil
	case len(words) != 6 || words[1] != "TCP4" && words[1] != "TCP6":
		return client, errProxy
	}
	for i := 2; i <= 3; i++ {
		addr, err := netip.ParseAddr(words[i])
		port, bad := strconv.ParseUint(words[i+2], 10, 16)
		if err != nil || bad != nil || addr.Zone() != "" || addr.Is4() != (words[1] == "TCP4") {
			return netip.AddrPort{}, errProxy
		}
		if i == 2 {
			client = netip.AddrPortFrom(addr.Unmap(), uint16(port))
		}
	}
	return client, nil
}
