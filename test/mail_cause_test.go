package test

import (
	"net/netip"
	"regexp"
	"strings"
)

// wellFormed is a second opinion on RFC 5322 3.6.4, as narrow as its examples.
var wellFormed = regexp.MustCompile(`^<[!-;=?A-~]+@([!-;=?A-~]+)>$`)

// ownInCorpus are the domains of corpusConfig.
var ownInCorpus = regexp.MustCompile(`(?i)(^|\.)(taint\.org|netnoteinc\.com|slashnull\.org)$`)

// corpusCause names the messageid rules that a mail of the corpus gives cause for, by
// a reading of the header that has nothing in common with the daemon's.
func corpusCause(text string) (rules []string) {
	list := letterFields(text)
	_, ids, raw := fieldFacts(list, "message-id")
	_, _, listID := fieldFacts(list, "list-id")
	id, _, _ := strings.Cut(strings.TrimSpace(raw), " (") // a comment
	switch m := wellFormed.FindStringSubmatch(id); {
	case ids == 0:
		rules = append(rules, "M1")
	case ids > 1:
		rules = append(rules, "M2")
	case m == nil, strings.Trim(m[1], ".") == "":
		rules = append(rules, "M3")
	default:
		right := strings.ToLower(m[1])
		_, err := netip.ParseAddr(strings.Trim(right, "[]"))
		if err == nil || !strings.Contains(right, ".") || strings.HasPrefix(right, "localhost") {
			rules = append(rules, "M4")
		}
		if ownInCorpus.MatchString(right) && strings.TrimSpace(listID) == "" {
			rules = append(rules, "M5")
		}
	}
	_, dates, _ := fieldFacts(list, "date")
	_, froms, _ := fieldFacts(list, "from")
	if dates != 1 || froms != 1 {
		rules = append(rules, "M8")
	}
	return rules
}
