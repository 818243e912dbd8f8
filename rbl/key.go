package rbl

import (
	"slices"
	"strings"
)

// Lists that are paid for or counted give each customer a key, the first label of his zone. Whoever sees the name can
// use the key up. So a name is shown with the key masked, here and wherever else it goes: a log, a reply, a metric.

// mask stands in place of a key.
const mask = "***"

// service is a domain under which names begin with a key: KEY.LIST.domain.
type service struct {
	domain string
	lists  []string // known ones; in front of what is none of them all is masked
	twin   string   // the domain of the same lists without a key, or nothing
}

var services = []service{
	{"dq.spamhaus.net", []string{"zen", "sbl", "xbl", "sbl-xbl", "pbl", "css", "dbl", "zrd", "authbl"}, "spamhaus.org"},
	{"mail.abusix.zone", []string{"combined", "black", "exploit", "policy", "dynamic", "noip", "authbl", "white", "dblack", "nod"},
		""},
}

// publicName returns the name of a zone with the key in it masked. Of a service that is not known, a label that looks
// like a key counts for one: to mask too much costs a reader a name, to mask too little costs the key.
func publicName(zone string) string {
	if s := serviceOf(zone); s != nil {
		return maskedBefore(zone, len(zone)-len(s.domain), s.lists)
	}
	labels := strings.Split(zone, ".")
	for i, label := range labels {
		if looksLikeKey(label) {
			labels[i] = mask
		}
	}
	return strings.Join(labels, ".")
}

// maskedBefore masks what stands in front of the domain at an index, but for the name of a known list.
func maskedBefore(zone string, domain int, lists []string) string {
	if domain == 0 {
		return zone
	}
	before := zone[:domain-1]
	list := before[strings.LastIndexByte(before, '.')+1:]
	for _, l := range lists {
		if !strings.EqualFold(list, l) {
			continue
		}
		if list == before {
			return zone
		}
		return mask + zone[len(before)-len(list)-1:]
	}
	return mask + zone[domain-1:]
}

// looksLikeKey reports whether a label is long and random: 16 or more letters and digits, both of them, whatever hyphens
// or underscores are among them. Names that people make up have no digit at that length.
func looksLikeKey(label string) bool {
	letters, digits := 0, 0
	for i := range len(label) {
		switch c := label[i]; {
		case '0' <= c && c <= '9':
			digits++
		case letterOrDigit(c):
			letters++
		case c != '-' && c != '_':
			return false
		}
	}
	return letters > 0 && digits > 0 && letters+digits >= 16
}

// Masked returns text that somebody wrote, which may be no zone at all, with what is or may be a key masked.
func Masked(text string) string {
	lower := strings.ToLower(text)
	for _, s := range services {
		if i := strings.LastIndex(lower, "."+s.domain); i >= 0 && len(lower) == len(text) {
			end := i + 1 + len(s.domain)
			return maskedBefore(text[:end], i+1, s.lists) + maskedWords(text[end:])
		}
	}
	return maskedWords(text)
}

// maskedWords masks each word that looks like a key.
func maskedWords(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		end := 0
		for end < len(text) && (letterOrDigit(text[end]) || text[end] == '-' || text[end] == '_') {
			end++
		}
		switch {
		case end == 0:
			end = 1
			b.WriteString(text[:1])
		case looksLikeKey(text[:end]):
			b.WriteString(mask)
		default:
			b.WriteString(text[:end])
		}
		text = text[end:]
	}
	return b.String()
}

// hide masks the zone's key in what its list has to say, in any letter case: a list may repeat the name that it was asked
// by, or have the key in a link. Of a text that was cut, the end may be the beginning of the key.
func (z *Zone) hide(text string) string {
	if z.Public == z.Name {
		return text
	}
	cut := len(text) >= MaxText
	text = replaceFold(text, z.Name, z.Public)
	public := strings.Split(z.Public, ".")
	for _, label := range strings.Split(z.Name, ".") {
		if slices.Contains(public, label) {
			continue
		}
		text = replaceFold(text, label, mask)
		for n := len(label) - 1; cut && n > 2; n-- { // two characters tell nothing
			if at := len(text) - n; at >= 0 && strings.EqualFold(text[at:], label[:n]) {
				text = text[:at] + mask
			}
		}
	}
	return text
}

// replaceFold replaces what is old, which is lower case and not empty, in ASCII of any letter case.
func replaceFold(text, old, by string) string {
	var b strings.Builder
	for lower := strings.ToLower(text); ; {
		i := strings.Index(lower, old)
		if i < 0 {
			return b.String() + text
		}
		b.WriteString(text[:i] + by)
		text, lower = text[i+len(old):], lower[i+len(old):]
	}
}

// serviceOf returns the service that a zone is of, or nil.
func serviceOf(zone string) *service {
	for i := range services {
		if within(zone, services[i].domain) {
			return &services[i]
		}
	}
	return nil
}

// list returns the name that the catalogue has for a zone of the service, and whether it has a key in front.
func (s *service) list(zone string) (name string, keyed bool) {
	before := strings.TrimSuffix(strings.TrimSuffix(zone, s.domain), ".")
	if i := strings.LastIndexByte(before, '.'); i >= 0 {
		before, keyed = before[i+1:], true
	}
	if s.twin != "" {
		return before + "." + s.twin, keyed
	}
	return before + "." + s.domain, keyed
}
