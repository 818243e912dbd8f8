package rig

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// A DNS is what a mail host has: block lists as their operators serve them,
// from files by rbldnsd, and unbound in front, which caches. unbound knows the
// zones of the Served and nothing else: it has no root, and what is not in
// Records does not exist. So no question leaves the machine.
//
// Both run in a process name space of their own, which ends with Close or with
// us, whichever comes first.
type DNS struct {
	dir      string
	port     int // of unbound
	cmd      *exec.Cmd
	stdin    io.Closer
	rbldnsd  int // its port
	launched int
}

// Served is what a DNS knows. The zero value knows nothing.
type Served struct {
	Lists   []List
	Records []string                  // of the zone ".", "mx.example.org. A 192.0.2.1"
	Other   map[string]netip.AddrPort // zones whose questions unbound sends elsewhere: to a scripted server, or to nobody
	// Port53 makes unbound listen on port 53 of a loopback address too, for Exim: resolv.conf can't name a port.
	Port53 bool
}

// List is one data set of rbldnsd. Several of one zone answer together.
type List struct {
	Zone    string
	Type    string // ip4set, ip4trie, ip6trie or dnset
	Entries string // as rbldnsd reads them: "203.0.113.7 :127.0.0.3:text"; without a code it is 127.0.0.2
	// Bare leaves out the entries that RFC 5782 5 asks for.
	Bare bool
}

// testEntries are what each type of list has for those who test it.
var testEntries = map[string]string{
	"ip4set": "127.0.0.2\n", "ip4trie": "127.0.0.2\n", "ip6trie": "::ffff:7f00:2/128\n", "dnset": "test\n",
}

// CheckDNS says what is missing for a DNS, with the command that installs it.
func CheckDNS() error {
	if os.Getuid() != 0 {
		return errors.New("rig: real name servers need root, for a name space and their users: run the tests as root, sudo make test")
	}
	for _, pkg := range []string{"rbldnsd", "unbound"} {
		if _, err := os.Stat("/usr/sbin/" + pkg); err != nil {
			return fmt.Errorf("rig: %w: apt-get install -y --no-install-recommends %s", err, pkg)
		}
	}
	return nil
}

// NewDNS starts both servers and returns when they answer for every zone.
func NewDNS(served Served) (*DNS, error) {
	if err := CheckDNS(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("/tmp", "eximdns-")
	if err != nil {
		return nil, fmt.Errorf("rig: %w", err)
	}
	d := &DNS{dir: dir}
	if err := os.Chmod(dir, 0o755); err != nil { // the servers have users of their own
		return nil, join(fmt.Errorf("rig: %w", err), d.Close())
	}
	if err := d.start(served); err != nil {
		return nil, join(err, d.Close())
	}
	return d, nil
}

// Addr is where unbound listens, UDP and TCP.
func (d *DNS) Addr() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(d.port))
}

// Settings is a line of eximpolicyd's configuration that names unbound.
func (d *DNS) Settings() string { return Resolver(d.Addr()) }

// Resolver is a line of eximpolicyd's configuration that names a server.
func Resolver(server netip.AddrPort) string {
	return `dns.servers = ["` + server.String() + `"]` + "\n"
}

// Nameserver is the address on whose port 53 unbound listens, for Config.Nameserver; only with Port53.
func (d *DNS) Nameserver() string { return loopback(d.port) }

// loopback is an address that belongs to whoever has the port: no two tests share it, nor does the resolver of the
// machine.
func loopback(port int) string { return fmt.Sprintf("127.53.%d.%d", port>>8, port&0xff) }

// Log returns what both servers have written.
func (d *DNS) Log() string {
	b, err := os.ReadFile(filepath.Join(d.dir, d.output()))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (d *DNS) write(name, text string) error {
	if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o644); err != nil {
		return fmt.Errorf("rig: %w", err)
	}
	return nil
}

func (d *DNS) output() string { return fmt.Sprintf("out-%d", d.launched) }

// Close ends both servers and removes their files.
func (d *DNS) Close() error { return join(d.end(), os.RemoveAll(d.dir)) }

func (d *DNS) end() error {
	if d.cmd == nil {
		return nil
	}
	err := join(d.stdin.Close(), d.cmd.Wait())
	d.cmd = nil
	return err
}

// start launches until the servers have got their ports: somebody may take one between our asking and their binding.
func (d *DNS) start(served Served) error {
	for try := 0; ; try++ {
		if err := d.launch(served); err != nil {
			return err
		}
		failed := false
		err := Await("rbldnsd and unbound to answer", func() bool {
			failed = strings.Contains(d.Log(), ended)
			return failed || d.answers(served)
		})
		if err == nil && !failed {
			return nil
		}
		log := d.Log()
		if err := join(err, d.end()); err != nil || try == 5 {
			return join(fmt.Errorf("rig: rbldnsd and unbound did not start: %s", log), err)
		}
	}
}

const ended = "rig: this was the end of"

// servers is process 1 of the name space: when our end of its input is closed it goes, and the kernel kills the rest.
// The folder lies over unbound's, where a security profile lets unbound read.
const servers = `set -e
mount --bind %s /etc/unbound
{ %s || :; echo "` + ended + ` rbldnsd"; } &
{ unbound -d -p || :; echo "` + ended + ` unbound"; } &
cat >/dev/null
`

// root begins the zone ".", whose data are Served.Records.
const root = "$ORIGIN .\n$TTL 3600\n@ SOA ns.root.example. hostmaster.root.example. 1 600 300 86400 60\n@ NS ns.root.example.\n" +
	"ns.root.example. A 127.0.0.1\n"

func (d *DNS) launch(served Served) error {
	var err error
	if d.rbldnsd, err = freePort(); err != nil {
		return err
	}
	if d.port, err = freePort(); err != nil {
		return err
	}
	lists, err := d.zoneFiles(served.Lists)
	if err != nil {
		return err
	}
	err = join(d.write("unbound.conf", d.unboundConf(served)), d.write("root", root+strings.Join(served.Records, "\n")+"\n"))
	if err != nil {
		return err
	}
	d.launched++
	out, err := os.Create(filepath.Join(d.dir, d.output()))
	if err != nil {
		return fmt.Errorf("rig: %w", err)
	}
	defer out.Close()
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "--pid", "--fork",
		"sh", "-c", fmt.Sprintf(servers, d.dir, lists))
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	cmd.Stdout, cmd.Stderr = out, out
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("rig: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("rig: %w", err)
	}
	d.cmd, d.stdin = cmd, stdin
	return nil
}

// zoneFiles writes a file for each list and returns the command that serves them.
func (d *DNS) zoneFiles(lists []List) (string, error) {
	if len(lists) == 0 {
		return "sleep infinity", nil // rbldnsd does not start without a zone
	}
	argv := []string{"rbldnsd", "-n", "-u", "rbldns", "-w", d.dir, "-b", fmt.Sprintf("127.0.0.1/%d", d.rbldnsd)}
	for i, l := range lists {
		test, known := testEntries[l.Type]
		if !known {
			return "", fmt.Errorf("rig: no lists of type %q", l.Type)
		}
		if l.Bare {
			test = ""
		}
		text := fmt.Sprintf("$SOA 600 ns.%[1]s. hostmaster.%[1]s. 0 600 300 86400 60\n$NS 600 ns.%[1]s.\n"+
			":127.0.0.2:https://%[1]s/?ip=$\n%[2]s%[3]s\n", l.Zone, test, l.Entries)
		file := fmt.Sprintf("list-%d", i)
		if err := d.write(file, text); err != nil {
			return "", err
		}
		argv = append(argv, l.Zone+":"+l.Type+":"+file)
	}
	return strings.Join(argv, " "), nil
}

// unboundConf is the packaged configuration as an administrator would add to it, but for the root: unbound has the zone
// "." itself, and asks a server only where a stub zone says so.
func (d *DNS) unboundConf(served Served) string {
	var b strings.Builder
	fmt.Fprintf(&b, "server:\n  chroot: \"\"\n  pidfile: \"\"\n  use-syslog: no\n  log-servfail: yes\n  do-ip6: no\n"+
		"  num-threads: 1\n  module-config: \"iterator\"\n  do-not-query-localhost: no\n  access-control: 127.0.0.0/8 allow\n"+
		"  interface: 127.0.0.1@%d\n", d.port)
	if served.Port53 {
		fmt.Fprintf(&b, "  interface: %s@53\n", loopback(d.port))
		if l, err := net.Listen("tcp4", net.JoinHostPort(loopback(d.port), "53")); err == nil {
			_ = l.Close() // nothing was accepted
		} else {
			b.WriteString("  do-tcp: no\n") // somebody listens on port 53 of every address; of UDP Linux lets us have this one
		}
	}
	for _, net := range []string{"2.0.192.in-addr", "100.51.198.in-addr", "113.0.203.in-addr", "8.b.d.0.1.0.0.2.ip6"} {
		fmt.Fprintf(&b, "  local-zone: \"%s.arpa.\" nodefault\n", net) // the networks of examples have no names elsewhere
	}
	stubs := map[string]netip.AddrPort{}
	for _, l := range served.Lists {
		stubs[l.Zone] = netip.AddrPortFrom(d.Addr().Addr(), uint16(d.rbldnsd))
	}
	for zone, server := range served.Other {
		stubs[zone] = server
	}
	b.WriteString("remote-control:\n  control-enable: no\n" +
		"auth-zone:\n  name: \".\"\n  zonefile: root\n  for-upstream: yes\n  for-downstream: no\n  fallback-enabled: no\n")
	for zone, server := range stubs {
		fmt.Fprintf(&b, "stub-zone:\n  name: \"%s.\"\n  stub-addr: %s@%d\n", zone, server.Addr(), server.Port())
	}
	return b.String()
}

// answers reports whether both servers know every list. It asks rbldnsd first: unbound remembers a server that was not
// there.
func (d *DNS) answers(served Served) bool {
	list := netip.AddrPortFrom(d.Addr().Addr(), uint16(d.rbldnsd))
	for _, server := range []netip.AddrPort{list, d.Addr()} {
		for _, l := range served.Lists {
			if r := ask(server, l.Zone, dns.TypeSOA); r == nil || len(r.Answer) == 0 {
				return false
			}
		}
	}
	r := ask(d.Addr(), ".", dns.TypeNS)
	return r != nil && len(r.Answer) > 0
}

// ask puts a question once and returns what came back, or nil.
func ask(server netip.AddrPort, name string, kind uint16) *dns.Msg {
	client := dns.Client{Timeout: time.Second}
	r, _, err := client.Exchange(new(dns.Msg).SetQuestion(dns.Fqdn(name), kind), server.String())
	if err != nil {
		return nil
	}
	return r
}

// A Silent is a port where questions arrive and nobody answers, as that of a dead list.
type Silent struct {
	conn net.PacketConn
}

// NewSilent opens one. Close it.
func NewSilent() (*Silent, error) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("rig: %w", err)
	}
	return &Silent{conn}, nil
}

// Addr is where it is.
func (s *Silent) Addr() netip.AddrPort { return s.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// Close closes it.
func (s *Silent) Close() error { return s.conn.Close() }
