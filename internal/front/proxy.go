package front

import (
	"bufio"
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Of the PROXY protocol: version 1 is one line of text before anything else, version 2 a header of octets.
const (
	proxyWord      = "PROXY "
	proxyLine      = 107                      // octets of the longest line, CR LF and all
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n" // which no SMTP begins with
	proxyHead      = len(proxySignature) + 4  // what a header of version 2 always has
	proxyHeader    = 2 << 10                  // octets of the longest one that is read; one with addresses alone has 52
	proxyTime      = 5 * time.Second          // for one that has begun
)

var errProxy = errors.New("a PROXY header that is none: write PROXY TCP4 CLIENT SERVER CLIENT-PORT SERVER-PORT, or version 2")

// introduce finds out who the client is: the other end of the connection; or, where that is on loopback, whom a PROXY header
// names, else Client. From elsewhere such a header is no more than a bad command: anybody could name anybody.
//
// In SMTP the server speaks first, so a client without such a header has to be waited for. As with Exim's hosts_proxy the
// server's address stays our own.
func (v *visit) introduce(in *bufio.Reader) error {
	peer := netip.AddrPortFrom(v.q.Client, uint16(v.q.ClientPort))
	defer func() { v.q.RelayHost = v.Relay.Has(v.q.Client) }()
	if !peer.Addr().IsLoopback() {
		return nil
	}
	client, err := v.proxied(in)
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

// proxied reads a PROXY header, if one comes in time, and returns whom it names, if anybody. Anything else stays unread.
func (v *visit) proxied(in *bufio.Reader) (client netip.AddrPort, err error) {
	if v.ProxyWait <= 0 {
		return client, nil
	}
	v.conn.SetReadDeadline(time.Now().Add(v.ProxyWait))
	defer v.conn.SetReadDeadline(time.Time{})
	var begun []byte
	for n := 1; string(begun) != proxyWord && string(begun) != proxySignature; n++ {
		begun, err = in.Peek(n)
		switch {
		case err != nil && len(begun) == 0: // in vain; what is wrong shows at the next read
			return client, nil
		case err != nil:
			return client, err
		case !strings.HasPrefix(proxyWord, string(begun)) && !strings.HasPrefix(proxySignature, string(begun)):
			return client, nil
		case n == 1:
			v.conn.SetReadDeadline(time.Now().Add(proxyTime))
		}
	}
	if string(begun) == proxySignature {
		return proxiedBy2(in)
	}
	raw, err := in.ReadSlice('\n')
	if err != nil || len(raw) > proxyLine {
		return client, errors.Join(errProxy, err)
	}
	return parseProxy(string(raw))
}

// proxiedBy2 reads a header of version 2.
func proxiedBy2(in *bufio.Reader) (client netip.AddrPort, err error) {
	head, err := in.Peek(proxyHead)
	if err != nil {
		return client, errors.Join(errProxy, err)
	}
	size := proxyHead + int(binary.BigEndian.Uint16(head[proxyHead-2:]))
	if size > proxyHeader {
		return client, errProxy
	}
	raw, err := in.Peek(size)
	if err != nil {
		return client, errors.Join(errProxy, err)
	}
	client, err = parseProxy2(raw)
	_, bad := in.Discard(size) // it is all there
	return client, errors.Join(err, bad)
}

// parseProxy2 reads a header of version 2, which is whole. The address of one that names nobody is no valid one: a proxy
// that speaks for itself, or of no family. What follows the addresses is not looked at.
func parseProxy2(raw []byte) (client netip.AddrPort, err error) {
	const local, proxied, unspecified, tcp4, tcp6 = 0x20, 0x21, 0x00, 0x11, 0x21
	command, family, rest := raw[proxyHead-4], raw[proxyHead-3], raw[proxyHead:]
	switch {
	case command == local, command == proxied && family == unspecified:
		return client, nil
	case command == proxied && family == tcp4 && len(rest) >= 2*(4+2):
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(rest)), binary.BigEndian.Uint16(rest[2*4:])), nil
	case command == proxied && family == tcp6 && len(rest) >= 2*(16+2):
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(rest)).Unmap(), binary.BigEndian.Uint16(rest[2*16:])), nil
	}
	return client, errProxy
}

// parseProxy reads a PROXY line, which may be UNKNOWN; then the address is no valid one.
func parseProxy(line string) (client netip.AddrPort, err error) {
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
