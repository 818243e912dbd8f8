package report

import (
	"slices"
	"strconv"
	"strings"
)

// Bounds of what is suggested.
const (
	minDomains     = 3 // of senders, from which on a client is taken for a relay
	minRelayed     = 3 // messages of it that would be refused
	mostExemptions = 32
)

// exemptions suggests whom to exempt of those whose mail was taken and would be refused: relays, by the domains of their
// senders, and domains whose Message-IDs are not those of others. Whether they are what they seem is for a person to say.
func (t *tally) exemptions() []Exemption {
	list := []Exemption{}
	for _, p := range t.clients.list(byKey) {
		if p.n.lost < minRelayed || p.n.domains[minDomains-1] == "" || 2*p.n.attempts > p.n.attempts+p.n.taken {
			continue
		}
		if len(list) == mostExemptions {
			break
		}
		of := networkOf(p.key)
		list = append(list, Exemption{Of: of, Messages: p.n.lost, Rules: t.namesOf(p.n.rules), Line: "exempt.relay = [" + strconv.Quote(of) + "]"})
	}
	return append(list, t.senderExemptions()...)
}

func (t *tally) senderExemptions() []Exemption {
	list := []Exemption{}
	for _, p := range t.senders.list(strings.Compare) {
		_, domain, ok := strings.Cut(p.key, "@")
		rules := t.namesOf(p.n.rules)
		if !ok || p.n.messages < minRelayed || len(rules) == 0 || slices.ContainsFunc(rules, func(r string) bool { return !strings.HasPrefix(r, "messageid.") }) ||
			slices.ContainsFunc(list, func(e Exemption) bool { return e.Of == domain }) || !plainDomain(domain) {
			continue
		}
		if len(list) == mostExemptions {
			break
		}
		list = append(list, Exemption{domain, p.n.messages, rules, "policy.messageid.except_senders = [" + strconv.Quote(domain) + "]"})
	}
	return list
}

// plainDomain reports whether what stands in a log can stand in a configuration.
func plainDomain(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '.' && r != '-'
	})
}
