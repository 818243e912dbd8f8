package policy

import (
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"eximpolicyd/rbl"
)

// The rules of helo that ask the DNS: H4, H11, H12 and H16. RFC 5321 4.1.4 forbids refusing because a name does not
// resolve to the client, so they score under every preset, and a lookup that was not answered scores nothing.

// bigProviders are the domains of mail providers that everybody knows, those of one provider in one text. A name of
// theirs in a greeting is worth a lie.
func bigProviders() []string {
	return []string{
		"google.com gmail.com googlemail.com 1e100.net",
		"outlook.com hotmail.com live.com msn.com office365.com microsoft.com",
		"yahoo.com ymail.com yahoodns.net aol.com",
		"apple.com icloud.com me.com mac.com",
		"gmx.net gmx.de gmx.com web.de kundenserver.de",
		"mail.ru smailru.net",
		"yandex.net yandex.ru yandex.com ya.ru",
		"qq.com foxmail.com",
	}
}

// HasAddresses reports whether a greeting can have addresses in the DNS: a legal name with a dot. A question about any
// other is a waste, and Facts.HELOAddresses then stays unknown.
func (h *HELOName) HasAddresses() bool {
	return h.Kind == HELODomain && h.Fault == "" && !h.Dotless()
}

// hosted objects to a name of a domain that we host. Its owner may send from a host of his own, so the addresses of the
// name, of the domain and of its MX hosts are his. A private address among them means that our DNS answers us otherwise
// than the world, and then it proves nothing.
func (s *HELO) hosted(q *Request, f *Facts) Verdict {
	h := &q.Greeting
	if !h.HasAddresses() || !f.Own.IsDomain(h.Name) {
		return Pass()
	}
	switch {
	case contains(f.HELOAddresses.List, q.Client), contains(f.Hosted.List, q.Client):
		return Pass()
	case !f.HELOAddresses.Known:
		return unknown("an address of the name greeted with is not known")
	case !f.Hosted.Known:
		return unknown("an address of the hosted domain or of its MX hosts is not known")
	case anyPrivate(f.HELOAddresses.List), anyPrivate(f.Hosted.List):
		return Verdict{Unknown: true, Reason: "a private address in the DNS of the hosted domain: what the world sees is not known"}
	}
	return hit("HELO with a name of a domain hosted here, which is not yours", "HELO "+quoted(h.Name)+" is of a domain hosted here, and neither it nor its MX hosts have the client's address")
}

func anyPrivate(list []netip.Addr) bool {
	return slices.ContainsFunc(list, func(a netip.Addr) bool { return Private(a) || a.IsLoopback() })
}

// unresolved objects to a name without an address. One record of either kind is enough, and then H12 has it.
func (s *HELO) unresolved(q *Request, f *Facts) Verdict {
	h := &q.Greeting
	switch {
	case !h.HasAddresses() || len(f.HELOAddresses.List) > 0:
		return Pass()
	case !f.HELOAddresses.Known:
		return unknown("whether the name greeted with has an address is not known")
	}
	return hit("HELO with a name that has no address", "HELO "+quoted(h.Name)+" has neither A nor AAAA")
}

// elsewhere objects to a name that has addresses, but not the client's. A big sender has many hosts behind one name, so
// a neighbour's address will do, and so does a confirmed name of the client in the same organisation.
func (s *HELO) elsewhere(q *Request, f *Facts) Verdict {
	h := &q.Greeting
	if !h.HasAddresses() {
		return Pass()
	}
	for _, a := range f.HELOAddresses.List {
		if sameNet(a, q.Client, 24, 48) {
			return Pass()
		}
	}
	switch {
	case f.PTR.Status == rbl.PTRConfirmed && slices.ContainsFunc(f.PTR.Names, func(name string) bool { return sameOrganisation(name, h.Name) }):
		return Pass()
	case !f.HELOAddresses.Known:
		return unknown("an address of the name greeted with is not known")
	case len(f.HELOAddresses.List) == 0:
		return Pass() // H11 has it
	case f.PTR.Status == rbl.PTRUnknown:
		return unknownPTR(f)
	}
	return hit("HELO with a name that has other addresses than yours", "HELO "+quoted(h.Name)+" has not the client's address, but "+f.HELOAddresses.List[0].String())
}

// families are the domains of each provider, by each of its domains.
func families(providers []string) map[string][]string {
	m := map[string][]string{}
	for _, p := range providers {
		family := strings.Fields(Lower(p))
		for _, domain := range family {
			m[domain] = family
		}
	}
	return m
}

// provider objects to a big provider's name from a client whose own name is somebody else's. Without a confirmed name
// there is nothing to compare: the provider may have trouble with its DNS.
func provider(families map[string][]string) Judge {
	return func(q *Request, f *Facts) Verdict {
		h := &q.Greeting
		if h.Kind != HELODomain {
			return Pass()
		}
		family := providerOf(families, h.Name)
		switch {
		case family == nil:
			return Pass()
		case f.PTR.Status != rbl.PTRConfirmed:
			return unknown("a confirmed name of the client's address is not known")
		}
		for _, name := range f.PTR.Names {
			if sameOrganisation(name, h.Name) || slices.ContainsFunc(family, func(domain string) bool { return under(name, domain) }) {
				return Pass()
			}
		}
		if f.PTR.More {
			return unknown("whether the client has another name is not known")
		}
		return hit("HELO with the name of a provider that you are not", "HELO "+quoted(h.Name)+", but the client is "+quotedList(f.PTR.Names))
	}
}

// under reports whether a canonical name equals a domain or is under it.
func under(name, domain string) bool {
	head, ok := strings.CutSuffix(name, domain)
	return ok && (head == "" || head[len(head)-1] == '.')
}

// sameOrganisation reports whether two canonical names are of one registered domain, by the public suffix list.
func sameOrganisation(a, b string) bool {
	of, err := publicsuffix.EffectiveTLDPlusOne(a)
	return err == nil && under(b, of)
}

// sameNet reports whether two addresses are in one network of so many bits.
func sameNet(a, b netip.Addr, bits4, bits6 int) bool {
	bits := bits6
	if a.Is4() {
		bits = bits4
	}
	return netip.PrefixFrom(a, bits).Contains(b)
}

// providerMistakes finds what is no domain, and a domain of two providers.
func providerMistakes(providers []string) []Mistake {
	var m []Mistake
	seen := map[string]bool{}
	for _, p := range providers {
		domains := strings.Fields(p)
		if len(domains) == 0 {
			m = append(m, Mistake{"providers", "an empty text: write the domains of one provider, like google.com gmail.com"})
		}
		for _, d := range domains {
			switch {
			case !IsHostname(d) || !strings.Contains(d, ".") || strings.HasSuffix(d, "."):
				m = append(m, Mistake{"providers", quoted(d) + " is no domain; write those of one provider like google.com gmail.com"})
			case seen[Lower(d)]:
				m = append(m, Mistake{"providers", quoted(d) + " is there twice"})
			}
			seen[Lower(d)] = true
		}
	}
	return m
}
