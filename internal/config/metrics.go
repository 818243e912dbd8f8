package config

import (
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Metrics is [metrics]: where Prometheus, or who else reads its text, finds the figures. The zero Metrics are nowhere.
type Metrics struct {
	Socket string         // absolute path of a Unix socket, at most 107 bytes
	Listen netip.AddrPort // or an address of loopback with its port
	Group  string         // of the socket, mode 0660; empty: as it is made
}

// Off reports whether they are served nowhere.
func (m Metrics) Off() bool { return m.Socket == "" && !m.Listen.IsValid() }

// String returns the place as listen has it.
func (m Metrics) String() string {
	switch {
	case m.Socket != "":
		return unixPrefix + m.Socket
	case m.Listen.IsValid():
		return m.Listen.String()
	}
	return ""
}

const unixPrefix = "unix:"

func metricsKeys(m *Metrics) []key {
	return []key{
		{name: "listen", about: `"unix:" and an absolute path, or an address of loopback and a port; "": nowhere`,
			value: quote(m.String()), example: `"unix:/run/eximpolicyd-metrics/metrics.sock" or "127.0.0.1:9925"`, read: readPlace(m)},
		{name: "group", about: `group that may read the socket; "": our own`,
			value: quote(m.Group), read: readGroup(&m.Group)},
	}
}

// readPlace reads a socket or an address. The figures have no password; so what others could reach is a mistake.
func readPlace(m *Metrics) func(*arg) {
	return func(a *arg) {
		s, ok := a.text()
		if !ok {
			return
		}
		socket, at := "", netip.AddrPort{}
		if rest, unix := strings.CutPrefix(s, unixPrefix); unix {
			if socket, ok = a.ownSocket(rest); !ok {
				return
			}
		} else if s != "" {
			var fault string
			if at, fault = loopbackPort(s); fault != "" {
				a.fail("%s", fault)
				return
			}
		}
		m.Socket, m.Listen = socket, at
	}
}

// ownNames are files that the daemon has beside its socket; one named bypass would even switch it off.
var ownNames = []string{"policy.sock", "control.sock", "bypass"}

// ownSocket reads the path of a socket that is for the metrics alone.
func (a *arg) ownSocket(s string) (socket string, ok bool) {
	before := len(a.mistakes)
	v := *a.value
	v.text = s
	readSocketLike(&socket, "/run/eximpolicyd-metrics/metrics.sock")(&arg{a.reader, a.key, &v})
	if len(a.mistakes) > before {
		return "", false
	}
	if slices.Contains(ownNames, path.Base(socket)) {
		a.fail("%s is a name that the daemon uses itself: write one like unix:/run/eximpolicyd-metrics/metrics.sock", quoted(path.Base(socket)))
		return "", false
	}
	return socket, true
}

// loopbackPort reads an address of this machine with its port.
func loopbackPort(s string) (at netip.AddrPort, fault string) {
	const like = ": write one like unix:/run/eximpolicyd-metrics/metrics.sock or 127.0.0.1:9925"
	at, err := netip.ParseAddrPort(s)
	if err != nil {
		host, port := hostPort(s)
		addr, err := netip.ParseAddr(host)
		n, bad := strconv.ParseUint(port, 10, 16)
		switch {
		case path.IsAbs(s):
			return at, quoted(s) + " is a path: write " + quoted(unixPrefix+path.Clean(s))
		case strings.Contains(s, "://"):
			return at, quoted(s) + " is a URL" + like
		case host == "localhost" && bad == nil && n > 0:
			return at, quoted(s) + " is a name: write " + quoted("127.0.0.1:"+port)
		case (host == "" || host == "*") && bad == nil && n > 0:
			return at, quoted(s) + " is every address of this machine, and what others can read needs a password: write " +
				quoted("127.0.0.1:"+port) + proxied
		case err == nil && bad == nil && n > 0:
			at = netip.AddrPortFrom(addr, uint16(n))
			return at, quoted(s) + " is no address with a port: write " + quoted(at.String())
		case err == nil:
			return at, quoted(s) + " has no port: behind the last colon write 1 to 65535"
		}
		return at, quoted(s) + " is no place to listen" + like
	}
	at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	switch {
	case at.Port() == 0:
		return at, quoted(s) + " has port 0: write 1 to 65535"
	case at.Addr().Zone() != "":
		return at, quoted(s) + " has a zone: write an address that needs none"
	case !at.Addr().IsLoopback():
		return at, quoted(s) + " is not on loopback, and what others can read needs a password: write " +
			quoted("127.0.0.1:"+strconv.Itoa(int(at.Port()))) + proxied
	}
	return at, ""
}

// proxied says how it is done.
const proxied = ", and let a web server with TLS and a password pass it on"
