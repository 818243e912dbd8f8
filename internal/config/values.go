package config

import (
	"fmt"
	"net/netip"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2/unstable"
	"golang.org/x/net/idna"

	"eximpolicyd/policy"
)

// hostname makes a name canonical: lower case, no dot at its end, letters beyond ASCII as DNS has them (RFC 5891).
func hostname(s string) (name, fault string) {
	name = strings.TrimSuffix(s, ".")
	if !utf8.ValidString(name) {
		return "", "a byte that is not UTF-8: write the name as DNS has it"
	}
	if strings.ContainsFunc(name, func(c rune) bool { return c >= 0x80 }) {
		ascii, err := idna.Lookup.ToASCII(name)
		if err != nil {
			return "", quoted(s) + " is no host name: write one like mail.example.com"
		}
		name = strings.TrimSuffix(ascii, ".")
	}
	name = strings.ToLower(name)
	if policy.IsHostname(name) {
		return name, ""
	}
	switch _, err := netip.ParseAddr(name); {
	case err == nil:
		return "", quoted(s) + " is an address: write it into own.addresses"
	case strings.HasPrefix(name, "*."):
		return "", quoted(s) + " has a star: write " + quoted(name[2:])
	case strings.Contains(name, "@"):
		return "", quoted(s) + " is no host name: write what stands after the @"
	}
	return "", quoted(s) + " is no host name: write one like mail.example.com"
}

func readNames(dst *map[string]bool) func(*arg) {
	return func(a *arg) {
		var set map[string]bool
		items(a, func(a *arg) (string, bool) {
			s, ok := a.text()
			if !ok {
				return "", false
			}
			name, fault := hostname(s)
			if fault != "" {
				a.fail("%s", fault)
				return "", false
			}
			if set == nil {
				set = map[string]bool{}
			}
			set[name] = true
			return name, true
		})
		*dst = set
	}
}

// readDomains takes a list, or the name of a file.
func readDomains(dst *map[string]bool) func(*arg) {
	list := readNames(dst)
	return func(a *arg) {
		if a.value.kind != unstable.String {
			if a.value.kind != unstable.Array {
				a.wrong("a list of domains, or the path of a file")
				return
			}
			list(a)
			return
		}
		if file := a.value.text; !path.IsAbs(file) {
			a.fail("%s is no absolute path: write one like /etc/localdomains, or a list", quoted(file))
		} else if set, ok := a.domainsFile(file); ok {
			*dst = set
		}
	}
}

func readAddresses(dst *[]netip.Addr) func(*arg) {
	return func(a *arg) {
		var list []netip.Addr
		items(a, func(a *arg) (netip.Addr, bool) {
			s, ok := a.text()
			if !ok {
				return netip.Addr{}, false
			}
			addr, fault := address(s)
			if fault == "" && addr.IsUnspecified() {
				fault = quoted(s) + " is every address: write []"
			}
			if fault != "" {
				a.fail("%s", fault)
				return netip.Addr{}, false
			}
			list = append(list, addr)
			return addr, true
		})
		*dst = list
	}
}

func address(s string) (netip.Addr, string) {
	addr, err := netip.ParseAddr(s)
	switch host, _, network := strings.Cut(s, "/"); {
	case err == nil && addr.Zone() != "":
		return addr, quoted(s) + " has a zone: write " + quoted(addr.WithZone("").String())
	case err == nil:
		return addr.Unmap(), ""
	case network:
		return addr, quoted(s) + " is a network: write an address like " + quoted(host)
	}
	return addr, quoted(s) + " is no address: write one like 192.0.2.1 or 2001:db8::1"
}

func readPrefixes(dst **policy.Prefixes) func(*arg) {
	return func(a *arg) {
		var set *policy.Prefixes
		items(a, func(a *arg) (netip.Prefix, bool) {
			s, ok := a.text()
			if !ok {
				return netip.Prefix{}, false
			}
			p, fault := prefix(s)
			if fault != "" {
				a.fail("%s", fault)
				return netip.Prefix{}, false
			}
			if set == nil {
				set = &policy.Prefixes{}
			}
			set.Add(p)
			return p, true
		})
		*dst = set
	}
}

// prefix reads an address or a network. A network inside ::ffff:0:0/96 is one of IPv4, as our clients are.
func prefix(s string) (netip.Prefix, string) {
	if !strings.Contains(s, "/") {
		addr, fault := address(s)
		if fault != "" {
			if strings.Contains(fault, "is no address") {
				fault = quoted(s) + " is no address or network: write one like 192.0.2.1 or 192.0.2.0/24"
			}
			return netip.Prefix{}, fault
		}
		return netip.PrefixFrom(addr, addr.BitLen()), ""
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, quoted(s) + " is no network: " + bits(s)
	}
	if addr := p.Addr(); addr.Is4In6() {
		if p.Bits() < 96 {
			return p, quoted(s) + " is wider than IPv4: write 0.0.0.0/0 or a network of IPv6"
		}
		p = netip.PrefixFrom(addr.Unmap(), p.Bits()-96)
	}
	if m := p.Masked(); m != p {
		return p, fmt.Sprintf("%s has bits after its /%d: write %s", quoted(s), p.Bits(), quoted(m.String()))
	}
	return p, ""
}

// bits says what is wrong with a network.
func bits(s string) string {
	host, _, _ := strings.Cut(s, "/")
	addr, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return "write one like 192.0.2.0/24"
	case addr.Zone() != "":
		return "a network has no zone"
	}
	return fmt.Sprintf("after the / write 0 to %d", addr.BitLen())
}

func readGrace(change func(func(*policy.Setup))) func(*arg) {
	return func(a *arg) {
		switch a.value.kind {
		case unstable.String, unstable.LocalDate, unstable.LocalDateTime, unstable.DateTime:
			t, fault := day(a.value.text)
			if fault != "" {
				a.fail("%s", fault)
				return
			}
			change(func(s *policy.Setup) { s.GraceUntil = t })
		default:
			a.wrong("a date like 2026-12-01")
		}
	}
}

// day reads a date, which begins at midnight of the local time, or a time with its zone.
func day(s string) (time.Time, string) {
	if t, err := time.ParseInLocation(time.DateOnly, s, time.Local); err == nil {
		return t, ""
	}
	// RFC 3339 lets a blank and small letters stand for T and Z, TOML 1.1 leaves out the seconds.
	upper := strings.ToUpper(s)
	if len(upper) > 10 && upper[10] == ' ' {
		upper = upper[:10] + "T" + upper[11:]
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00"} {
		if t, err := time.Parse(layout, upper); err == nil {
			return t, ""
		}
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04"} {
		if _, err := time.Parse(layout, upper); err == nil {
			return time.Time{}, s + " has no zone: write " + s + "Z, or the date alone"
		}
	}
	return time.Time{}, quoted(s) + " is no date of the calendar: write one like 2026-12-01"
}
