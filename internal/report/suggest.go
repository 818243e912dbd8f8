package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"eximpolicyd/internal/prose"
)

// Bounds of what is suggested.
const (
	minDomains     = 3 // of senders, from which on a client is taken for a relay
	minRelayed     = 3 // messages of it that would be refused
	mostExemptions = 32
)

// The keys of the configuration that exempt.
const (
	relayKey  = "exempt.relay"
	senderKey = "policy.messageid.except_senders"
)

// exemptions suggests whom to exempt of those whose mail was taken and would be refused, where that would help: relays, by the
// domains of their senders, and domains whose Message-IDs are not those of others. Whether they are what they seem is for a
// person to say.
func (t *tally) exemptions() []Exemption {
	list := []Exemption{}
	for _, p := range t.clients.list(byKey) {
		if p.n.relayed < minRelayed || p.n.domains[minDomains-1] == "" || 2*p.n.attempts > p.n.attempts+p.n.taken {
			continue
		}
		if len(list) == mostExemptions {
			break
		}
		list = append(list, exemption(relayKey, networkOf(p.key), p.n.relayed, t.namesOf(p.n.rules)))
	}
	return append(list, t.senderExemptions()...)
}

func exemption(key, of string, messages int, rules []string) Exemption {
	return Exemption{Key: key, Of: of, Messages: messages, Rules: rules, Line: key + " = [" + strconv.Quote(of) + "]"}
}

// senderExemptions are of domains: those of their senders whom it helps count together.
func (t *tally) senderExemptions() []Exemption {
	byDomain := newTop[string](mostSenders, func(s *senderCount) int { return s.spared })
	for _, p := range t.senders.list(strings.Compare) {
		_, domain, ok := strings.Cut(p.key, "@")
		if !ok || p.n.spared == 0 || !plainDomain(domain) {
			continue
		}
		n := byDomain.at(domain)
		n.spared += p.n.spared
		n.rules.all(p.n.rules)
	}
	list := []Exemption{}
	for _, p := range byDomain.list(strings.Compare) {
		if p.n.spared < minRelayed || len(list) == mostExemptions {
			break
		}
		rules := slices.DeleteFunc(t.namesOf(p.n.rules), func(r string) bool { return !strings.HasPrefix(r, "messageid.") })
		list = append(list, exemption(senderKey, p.key, p.n.spared, rules))
	}
	return list
}

// lines puts exemptions into lines of a configuration: a key may stand there once.
func lines(list []Exemption) (text []string) {
	for i, e := range list {
		if i == 0 || list[i-1].Key != e.Key {
			text = append(text, e.Key+" = [")
		}
		text = append(text, short(fmt.Sprintf("  %q, # %s: %s", e.Of, prose.Many(e.Messages, "message"), strings.Join(e.Rules, " ")), prose.Columns))
		if i == len(list)-1 || list[i+1].Key != e.Key {
			text = append(text, "]")
		}
	}
	return text
}

// plainDomain reports whether what stands in a log can stand in a configuration.
func plainDomain(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '.' && r != '-'
	})
}
