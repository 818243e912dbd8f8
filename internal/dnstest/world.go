package dnstest

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// world is what the names of a server hold and how they behave.
type world struct {
	mu     sync.RWMutex
	names  map[string][]dns.RR // by lower-case name; those above a record are there with none
	soas   map[string]*dns.SOA // by zone
	acts   map[string]Act      // by suffix
	delays map[string]time.Duration
}

func (w *world) begin() {
	w.names = map[string][]dns.RR{}
	w.soas = map[string]*dns.SOA{}
	w.acts = map[string]Act{}
	w.delays = map[string]time.Duration{}
}

// Add puts records into the world, each in presentation form (RFC 1035 5.1): "a.example. 300 IN A 192.0.2.1". A name with
// a CNAME is followed to where it leads. A SOA is that of its zone's negative answers. When one is wrong none is added.
func (s *Server) Add(records ...string) error {
	var read []dns.RR
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err == nil && (rr == nil || len(strings.Fields(rr.String())) < 5) {
			err = errors.New("no record, or one that says nothing")
		}
		if err != nil {
			return fmt.Errorf("%q: %w", text, err)
		}
		read = append(read, rr)
	}
	s.world.add(read)
	return nil
}

func (w *world) add(records []dns.RR) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, rr := range records {
		name := strings.ToLower(rr.Header().Name)
		if soa, is := rr.(*dns.SOA); is {
			w.soas[name] = soa
		}
		w.names[name] = append(w.names[name], rr)
		for _, at := range dns.Split(name)[1:] { // the names above exist too: RFC 8020
			if above := name[at:]; w.names[above] == nil {
				w.names[above] = []dns.RR{}
			}
		}
	}
}

// Remove takes away every record at or below suffix: what was listed is not any more.
func (s *Server) Remove(suffix string) {
	suffix = dns.Fqdn(suffix)
	w := &s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	for name := range w.names {
		if below(name, suffix) {
			delete(w.names, name)
		}
	}
}

// SOA sets what negative answers of a zone say about how long they hold: the TTL of the SOA record and its minimum, in
// seconds (RFC 2308 4). Zones without one say 300 and 300, as if each domain of two labels were a zone.
func (s *Server) SOA(zone string, ttl, minimum uint32) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	s.world.soas[strings.ToLower(dns.Fqdn(zone))] = soa(dns.Fqdn(zone), ttl, minimum)
}

func soa(zone string, ttl, minimum uint32) *dns.SOA {
	return &dns.SOA{Hdr: dns.RR_Header{Name: zone, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: ttl},
		Ns: "ns." + strings.TrimPrefix(zone, "."), Mbox: "hostmaster." + strings.TrimPrefix(zone, "."),
		Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: minimum}
}

// List puts a healthy list of addresses into the world: its test entries (RFC 5782 5), for IPv6 too if v6 is set, and
// what it lists. Each of these is an address, "192.0.2.1", or an address with a code, "192.0.2.1=127.0.0.4"; the code is
// 127.0.0.2 if none is given.
func (s *Server) List(zone string, v6 bool, listed ...string) error {
	listed = append([]string{"127.0.0.2"}, listed...)
	if v6 {
		listed = append(listed, "::ffff:127.0.0.2")
	}
	var records []string
	for _, entry := range listed {
		text, code, _ := strings.Cut(entry, "=")
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return fmt.Errorf("list %s: %w", zone, err)
		}
		records = append(records, listing(reversed(addr), zone, code)...)
	}
	return s.Add(records...)
}

// NameList puts a healthy list of names into the world, as List does: TEST is listed and INVALID is not.
func (s *Server) NameList(zone string, listed ...string) error {
	var records []string
	for _, entry := range append([]string{"test"}, listed...) {
		name, code, _ := strings.Cut(entry, "=")
		records = append(records, listing(dns.Fqdn(name), zone, code)...)
	}
	return s.Add(records...)
}

// listing returns the two records of a listing (RFC 5782 2.1). name ends in a dot.
func listing(name, zone, code string) []string {
	if code == "" {
		code = "127.0.0.2"
	}
	name += dns.Fqdn(zone)
	return []string{
		fmt.Sprintf("%s 300 IN A %s", name, code),
		fmt.Sprintf("%s 300 IN TXT %q", name, "listed by "+zone),
	}
}

// reversed returns an address as lists are asked for it, with a dot at the end. A mapped address stays IPv6 here: it is
// how the test entries of RFC 5782 5 are written.
func reversed(a netip.Addr) string {
	const hex = "0123456789abcdef"
	var b strings.Builder
	octets := a.AsSlice()
	slices.Reverse(octets)
	for _, o := range octets {
		if a.Is4() {
			fmt.Fprintf(&b, "%d.", o)
		} else {
			b.Write([]byte{hex[o&15], '.', hex[o>>4], '.'})
		}
	}
	return b.String()
}

// Play gives an act to the questions at or below suffix. Of several that fit, the longest suffix wins. A nil act takes
// away the one given before.
func (s *Server) Play(suffix string, act Act) {
	suffix = strings.ToLower(dns.Fqdn(suffix))
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	if act == nil {
		delete(s.world.acts, suffix)
	} else {
		s.world.acts[suffix] = act
	}
}

// Delay lets the answers at or below suffix come so late, each on its own: none waits for another. Of several that fit,
// the longest suffix wins.
func (s *Server) Delay(suffix string, d time.Duration) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	s.world.delays[strings.ToLower(dns.Fqdn(suffix))] = d
}

// script returns how a name behaves.
func (w *world) script(name string) (Act, time.Duration) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if len(w.acts) == 0 && len(w.delays) == 0 {
		return Plain, 0
	}
	name = strings.ToLower(name)
	act, delay := Act(nil), time.Duration(-1)
	for {
		if act == nil {
			act = w.acts[name]
		}
		if d, set := w.delays[name]; set && delay < 0 {
			delay = d
		}
		if name == "." {
			break
		}
		if at, end := dns.NextLabel(name, 0); end {
			name = "."
		} else {
			name = name[at:]
		}
	}
	if act == nil {
		act = Plain
	}
	return act, max(delay, 0)
}

// chainEnd bounds how far the world follows a CNAME.
const chainEnd = 64

// resolve fills an answer with what the world holds.
func (w *world) resolve(m *dns.Msg, name string, kind uint16) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	owner := name // with the letter case of the question, as a resolver's compression makes it
	for range chainEnd {
		name = strings.ToLower(name)
		records, exists := w.names[name]
		if !exists {
			m.Rcode = dns.RcodeNameError
			m.Ns = []dns.RR{w.authority(name)}
			return
		}
		var alias *dns.CNAME
		found := false
		for _, rr := range records {
			if rr.Header().Rrtype == kind {
				m.Answer, found = append(m.Answer, under(rr, owner)), true
			} else if c, is := rr.(*dns.CNAME); is {
				alias = c
			}
		}
		if found {
			return
		}
		if alias == nil {
			m.Ns = []dns.RR{w.authority(name)}
			return
		}
		m.Answer = append(m.Answer, under(alias, owner))
		name, owner = alias.Target, alias.Target
	}
}

// authority returns the SOA for a negative answer about a lower-case name.
func (w *world) authority(name string) dns.RR {
	for at, end := 0, false; !end; at, end = dns.NextLabel(name, at) {
		if soa := w.soas[name[at:]]; soa != nil {
			return soa
		}
	}
	if at, short := dns.PrevLabel(name, 2); !short {
		name = name[at:]
	}
	return soa(name, 300, 300)
}

// under returns a record with another name.
func under(rr dns.RR, name string) dns.RR {
	if rr.Header().Name == name {
		return rr
	}
	rr = dns.Copy(rr)
	rr.Header().Name = name
	return rr
}
