package rbl

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/singleflight"
)

// clientSeats is how many questions about names that a client chose are under way at once: HELO, its own PTR.
// Whoever runs the servers of such a name can make each of them last, and then only others like it wait.
const clientSeats = 64

// ResolverOptions set up a resolver. The zero value asks the servers of /etc/resolv.conf.
type ResolverOptions struct {
	Servers []netip.AddrPort // in the order tried; port 0 is 53
	// Told is told of what an operator should know, once when it begins and once when it ends. It may be nil, must not
	// block, and may be called from several goroutines.
	Told func(Notice)
	// Ended is told of every question when it has ended, how, and how long that took, from when it was asked: those that the
	// cache answers are none. It may be nil, and must be as Told is.
	Ended func(Outcome, time.Duration)
	// Answers is how many octets the answers of Lookup may take that are remembered; 0: DefaultAnswers.
	Answers int
}

// Notice is one change of health, of a zone or of the resolver, in words.
type Notice struct {
	Zone  string // public name; empty: the resolver
	State State
	Was   State
	Text  string // what was seen
	Fix   string // what to do about it, or nothing
}

// Resolver asks recursive DNS servers. It is safe for concurrent use. Close it.
//
// It remembers answers to Lookup: in 16 MB, or as its options say, one for every 512 octets, the oldest go first. A forgotten answer is asked for
// again; nothing outlives its TTL, which is at least a minute and at most an hour here.
//
// While its servers answer nobody it asks nobody, but for one question every few seconds that finds out when they do.
type Resolver struct {
	servers atomic.Pointer[[]*server]
	first   atomic.Uint32 // the server that answered last
	file    string        // the servers are read from there; empty: given
	told    func(Notice)
	ended   func(Outcome, time.Duration)
	dial    func(network string, server netip.AddrPort) (net.Conn, error)
	clients *lane
	under   atomic.Int32 // questions under way
	health  health
	answers *answers
	proofs  singleflight.Group // Confirm's

	closed atomic.Bool
	mu     sync.Mutex
	open   map[net.Conn]struct{}
	work   sync.WaitGroup // readers of sockets, questions over TCP, reverse lookups; all end soon after closed
}

// NewResolver makes a resolver. It opens no socket before the first question.
func NewResolver(o ResolverOptions) (*Resolver, error) { return newResolver(o, dial) }

func newResolver(o ResolverOptions, dial func(string, netip.AddrPort) (net.Conn, error)) (*Resolver, error) {
	r := &Resolver{told: o.Told, ended: o.Ended, dial: dial, answers: newAnswers(o.Answers), open: make(map[net.Conn]struct{})}
	if r.told == nil {
		r.told = func(Notice) {}
	}
	if r.ended == nil {
		r.ended = func(Outcome, time.Duration) {}
	}
	r.clients = r.lane(clientSeats)
	r.health.r, r.health.lane = r, r.lane(1)
	servers := o.Servers
	if len(servers) == 0 {
		r.file = resolvConf
		var err error
		if servers, err = readServers(r.file); err != nil {
			return nil, err
		}
	}
	r.set(servers)
	return r, nil
}

// inbox is how many octets of answers may wait for their reader; the kernel gives what it allows. Its default holds about
// 270 packets, and a list that sends junk, or a burst of answers on a busy machine, fills it.
const inbox = 1 << 20

// dial connects to a server. The kernel picks the port, at random.
func dial(network string, server netip.AddrPort) (net.Conn, error) {
	if network != "udp" {
		return net.DialTimeout(network, server.String(), firstTry)
	}
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(server))
	if err != nil {
		return nil, err // not conn, which would be a nil in an interface
	}
	conn.SetReadBuffer(inbox) // if it can't, there is the default
	return conn, nil
}

// resolvConf names the servers of the machine (resolv.conf(5)).
const resolvConf = "/etc/resolv.conf"

// readServers reads a file like /etc/resolv.conf; without it, or without a server in it, the machine's own is meant.
func readServers(file string) ([]netip.AddrPort, error) {
	conf, err := dns.ClientConfigFromFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the DNS servers can't be read: %w", err)
	}
	var servers []netip.AddrPort
	if err == nil {
		for _, s := range conf.Servers {
			if a, err := netip.ParseAddr(s); err == nil {
				servers = append(servers, netip.AddrPortFrom(a, 53))
			}
		}
	}
	if len(servers) == 0 {
		servers = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 53)}
	}
	return servers, nil
}

// set puts servers in force.
func (r *Resolver) set(addrs []netip.AddrPort) {
	list := make([]*server, len(addrs))
	for i, a := range addrs {
		if a.Port() == 0 {
			a = netip.AddrPortFrom(a.Addr(), 53)
		}
		list[i] = &server{addr: netip.AddrPortFrom(a.Addr().Unmap(), a.Port())}
	}
	r.servers.Store(&list)
	r.first.Store(0)
}

// Servers returns the servers asked, in the order tried.
func (r *Resolver) Servers() []netip.AddrPort {
	list := *r.servers.Load()
	addrs := make([]netip.AddrPort, len(list))
	for i, s := range list {
		addrs[i] = s.addr
	}
	return addrs
}

// server returns the one for try n: the one that answered last, then the next.
func (r *Resolver) server(n int) *server {
	list := *r.servers.Load()
	return list[(int(r.first.Load())+n)%len(list)]
}

// prefer notes which server answered.
func (r *Resolver) prefer(s *server) {
	list := *r.servers.Load()
	if n := int(r.first.Load()); list[n%len(list)] == s {
		return
	}
	for i := range list {
		if list[i] == s {
			r.first.Store(uint32(i))
		}
	}
}

// spawn runs work that Close waits for, unless the resolver is closed. The work ends when its connection is closed.
func (r *Resolver) spawn(work func()) bool {
	ok := r.enter()
	if ok {
		go func() {
			defer r.work.Done()
			work()
		}()
	}
	return ok
}

// enter makes Close wait for one more r.work.Done, unless the resolver is closed.
func (r *Resolver) enter() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed.Load() {
		return false
	}
	r.work.Add(1)
	return true
}

// keep makes Close close a connection, or closes it at once if that has been. drop closes it too.
func (r *Resolver) keep(conn net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed.Load() {
		conn.Close()
		return false
	}
	r.open[conn] = struct{}{}
	return true
}

func (r *Resolver) drop(conn net.Conn) {
	conn.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, conn)
}

// Close ends the questions under way with Unanswered, closes every socket, and returns when no goroutine of the resolver
// is left. It never fails.
func (r *Resolver) Close() error {
	r.mu.Lock()
	r.closed.Store(true)
	for conn := range r.open {
		conn.Close()
	}
	r.mu.Unlock()
	r.health.stop()
	r.work.Wait()
	return nil
}

// Public returns the name of the public DNS service that is asked, or nothing. Block lists answer such a service with an
// error, if at all: it asks them for half of the world.
func (r *Resolver) Public() string {
	for _, s := range *r.servers.Load() {
		if name := publicService(s.addr.Addr()); name != "" {
			return name
		}
	}
	return ""
}

// publicService knows the addresses of public resolvers by heart; each service's IPv6 addresses share a prefix.
func publicService(a netip.Addr) string {
	a = a.Unmap()
	for _, s := range publicServices {
		for _, p := range s.prefixes {
			if p.Contains(a) {
				return s.name
			}
		}
	}
	return ""
}

// publicServices are read only.
var publicServices = []struct {
	name     string
	prefixes []netip.Prefix
}{
	{"Google Public DNS", prefixes("8.8.8.8/32", "8.8.4.4/32", "2001:4860:4860::/48")},
	{"Cloudflare 1.1.1.1", prefixes("1.1.1.0/29", "1.0.0.0/29", "2606:4700:4700::/48")},
	{"Quad9", prefixes("9.9.9.0/24", "149.112.112.0/24", "2620:fe::/48")},
	{"OpenDNS", prefixes("208.67.222.0/24", "208.67.220.0/24", "2620:119:35::/48", "2620:119:53::/48")},
	{"AdGuard DNS", prefixes("94.140.14.0/24", "94.140.15.0/24", "2a10:50c0::/32")},
	{"CleanBrowsing", prefixes("185.228.168.0/24", "185.228.169.0/24", "2a0d:2a00:1::/48", "2a0d:2a00:2::/48")},
	{"Control D", prefixes("76.76.2.0/24", "76.76.10.0/24", "2606:1a40::/48", "2606:1a40:1::/48")},
	{"DNS.SB", prefixes("185.222.222.222/32", "45.11.45.11/32", "2a09::/48", "2a11::/48")},
	{"Level 3", prefixes("4.2.2.0/29", "209.244.0.3/32", "209.244.0.4/32")},
	{"Verisign Public DNS", prefixes("64.6.64.6/32", "64.6.65.6/32", "2620:74:1b::/48", "2620:74:1c::/48")},
	{"Yandex DNS", prefixes("77.88.8.0/24", "2a02:6b8::feed:0/112")},
	{"AliDNS", prefixes("223.5.5.5/32", "223.6.6.6/32", "2400:3200::/32")},
	{"DNSPod", prefixes("119.29.29.29/32", "119.28.28.28/32")},
	{"114DNS", prefixes("114.114.114.0/24", "114.114.115.0/24")},
}

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}
