package scenario

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"eximpolicyd/internal/dnstest"
	"eximpolicyd/policy"
)

// record is one line of what the DNS answers.
type record struct {
	words []string // as they stand there
	put   func(*dnstest.Server) error
}

// String writes the line.
func (r *record) String() string { return strings.Join(r.words, " ") }

// acts are the ways in which a name does not answer.
func actNamed(name string) (dnstest.Act, bool) {
	switch name {
	case "timeout":
		return dnstest.Silent, true
	case "servfail":
		return dnstest.ServFail, true
	case "refused":
		return dnstest.Refused, true
	}
	return nil, false
}

var recordTypes = []string{"A", "AAAA", "PTR", "MX", "NS", "TXT", "CNAME"}

// record reads a line of the section dns.
func (p *parser) record(words []word) {
	var r record
	for _, w := range words {
		r.words = append(r.words, w.text)
	}
	name := r.words[0]
	isAddr := isAddress(name)
	if !isAddr && !isDNSName(name) {
		p.wrong(words[0].column, "%s is no name of the DNS", shown(name))
		return
	}
	if len(words) < 2 {
		record := "A 203.0.113.7"
		if isAddr {
			record = "PTR mail.example.net"
		}
		p.wrong(words[0].column, "says nothing of %s: write %s %s", name, name, record)
		return
	}
	what := words[1]
	kind := strings.ToUpper(what.text)
	act, acts := actNamed(what.text)
	switch {
	case acts && len(words) > 2:
		p.wrong(words[2].column, "nothing follows %s", what.text)
		return
	case acts && isAddr:
		reverse, _ := dns.ReverseAddr(name) // of an address
		r.put = func(s *dnstest.Server) error { s.Play(reverse, act); return nil }
	case acts:
		r.put = func(s *dnstest.Server) error { s.Play(name, act); return nil }
	case what.text == "lists" && !isAddr:
		r.put = p.listing(words[0], words[2:])
	case what.text == "lists":
		p.wrong(words[0].column, "an address is no list: write bl.example lists %s", name)
		return
	case isAddress(what.text) && !isAddr:
		p.wrong(what.column, "%s is nothing that the DNS has: write %s lists %s", shown(what.text), name, what.text)
		return
	case !slices.Contains(recordTypes, kind):
		p.wrong(what.column, "%s is nothing that the DNS has%s", shown(what.text), meant(what.text, append([]string{"lists", "timeout", "servfail", "refused"}, recordTypes...)))
		return
	case isAddr && kind != "PTR":
		p.wrong(what.column, "an address has a PTR only: write %s PTR mail.example.net", name)
		return
	default:
		r.put = p.plain(name, isAddr, kind, words)
	}
	if r.put != nil {
		p.dns.records = append(p.dns.records, r)
	}
}

func isAddress(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Zone() == ""
}

// isDNSName reports whether a text can be the owner of a record: a host name, or one with underscores.
func isDNSName(s string) bool {
	return policy.IsHostname(strings.ReplaceAll(s, "_", "x"))
}

// plain reads a record.
func (p *parser) plain(name string, reverse bool, kind string, words []word) func(*dnstest.Server) error {
	owner := dns.Fqdn(name)
	if reverse {
		owner, _ = dns.ReverseAddr(name)
	}
	var rest []string
	for _, w := range words[2:] {
		rest = append(rest, w.text)
	}
	text := owner + " 300 IN " + kind + " " + strings.Join(rest, " ")
	if rr, err := dns.NewRR(text); err != nil || rr == nil || len(strings.Fields(rr.String())) < 5 {
		p.wrong(words[1].column, "is no %s record: write it as its RFC does, as in mail.example.net MX 10 mx.example.net", kind)
		return nil
	}
	return func(s *dnstest.Server) error { return s.Add(text) }
}

// listing reads an entry of a list, or that there is a list at all.
func (p *parser) listing(of word, words []word) func(*dnstest.Server) error {
	zone := of.text
	if _, ok := dns.IsDomainName(strings.Repeat("0.", 32) + zone); !ok { // an entry of IPv6, which each has for tests
		p.wrong(of.column, "the name is too long for a list")
		return nil
	}
	if len(words) == 0 {
		return func(s *dnstest.Server) error { return s.Add() }
	}
	subject := words[0].text
	if !isAddress(subject) && !policy.IsHostname(subject) {
		p.wrong(words[0].column, "%s is neither an address nor a name", shown(subject))
		return nil
	}
	owner := dns.Fqdn(subject)
	if isAddress(subject) {
		owner, _ = dns.ReverseAddr(subject)
		owner = strings.TrimSuffix(strings.TrimSuffix(owner, "in-addr.arpa."), "ip6.arpa.")
	}
	if _, ok := dns.IsDomainName(owner + zone); !ok {
		p.wrong(words[0].column, "the name is too long for this list")
		return nil
	}
	codes := []string{"127.0.0.2"}
	if len(words) > 1 {
		codes = nil
	}
	for _, w := range words[1:] {
		code, err := netip.ParseAddr(w.text)
		if err != nil || !code.Is4() || code.As4()[0] != 127 {
			p.wrong(w.column, "%s is no code of a list: write it as 127.0.0.2", shown(w.text))
			return nil
		}
		codes = append(codes, w.text)
	}
	return func(s *dnstest.Server) error {
		var records []string
		for _, code := range codes {
			records = append(records, fmt.Sprintf("%s%s 300 IN A %s", owner, dns.Fqdn(zone), code))
		}
		return s.Add(append(records, fmt.Sprintf("%s%s 300 IN TXT %q", owner, dns.Fqdn(zone), "listed by "+zone))...)
	}
}

// lists returns the zones that are said to be lists. Each has the entries for tests, of addresses and of names.
func (d *dnsSection) lists() (zones []string) {
	for _, r := range d.records {
		if len(r.words) > 1 && r.words[1] == "lists" {
			zones = append(zones, r.words[0])
		}
	}
	slices.Sort(zones)
	return slices.Compact(zones)
}

// world is the DNS that is asked: one server for all cases of a section, since it knows no case from another, and to fill it
// takes time. The zero world asks none. Close it.
type world struct {
	section *dnsSection
	server  *dnstest.Server
}

// of returns a server with what a section has.
func (w *world) of(d *dnsSection) (netip.AddrPort, error) {
	if w.section != d {
		if err := w.Close(); err != nil {
			return netip.AddrPort{}, err
		}
		server, err := d.serve()
		if err != nil {
			return netip.AddrPort{}, err
		}
		w.section, w.server = d, server
	}
	return w.server.Addr(), nil
}

// Close ends the server, if there is one.
func (w *world) Close() error {
	server := w.server
	*w = world{}
	if server == nil {
		return nil
	}
	return server.Close()
}

// serve starts a server with all of it. Close it.
func (d *dnsSection) serve() (*dnstest.Server, error) {
	s, err := dnstest.Start()
	if err != nil {
		return nil, err
	}
	for _, zone := range d.lists() {
		if err = s.List(zone, true); err == nil {
			err = s.NameList(zone)
		}
		if err != nil {
			break
		}
	}
	for _, r := range d.records {
		if err == nil {
			err = r.put(s)
		}
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}
