package report

import (
	"net/netip"
	"slices"
	"strings"

	"eximpolicyd/internal/mainlog"
	"eximpolicyd/policy"
)

// want is what a rule needs to be judged besides addresses and greetings, which every log has. The zero want is nothing.
type want struct {
	facts  mainlog.Selectors // one of these at least
	own    func(*Options) string
	dns    bool   // an answer of the DNS
	never  string // what no log tells of mail that was taken
	header bool   // the reject log tells it of what was refused
	part   bool   // without it some is judged nevertheless
}

// wants returns what rules need that say too little of it by their Needs; see wantOf.
func wants() map[string]want {
	connection := want{facts: mainlog.SeenPID | mainlog.SeenPort}
	dns, partly := want{dns: true}, want{dns: true, part: true}
	id := want{facts: mainlog.SeenMessageID, header: true}
	return map[string]want{
		"helo.H1":  {never: "whether a client greeted at all"},
		"helo.H2":  {own: needsAddresses, facts: mainlog.SeenInterface},
		"helo.H3":  {own: needsNames},
		"helo.H4":  {own: needsDomains, dns: true},
		"helo.H11": dns, "helo.H12": dns,
		"helo.H14": connection,
		"helo.H15": dns, "helo.H16": partly,

		"dictionary.hard": connection, "dictionary.delay": connection,
		"dictionary.trap": {never: "List-Id, which excuses"},

		"ptr.P1": dns, "ptr.P2": dns,
		"rbl.L1": dns,

		"messageid.M1": id,
		"messageid.M2": {never: "how many Message-IDs there were", header: true},
		"messageid.M3": id, "messageid.M4": id,
		"messageid.M5": {never: "List-Id, which excuses", header: true},
		"messageid.M8": {never: "Date and From", header: true},
	}
}

// wantOf returns what a rule needs: one that is not in the table says it by the facts that it declares.
func wantOf(b *policy.Bound, all map[string]want) want {
	if w, ok := all[b.Name]; ok {
		return w
	}
	w := want{dns: b.Needs&policy.NeedDNS != 0, part: true}
	if b.Needs&policy.NeedGreetings != 0 {
		w.facts = mainlog.SeenPID | mainlog.SeenPort
	}
	return w
}

func needsNames(o *Options) string {
	if len(o.Decider.Own.Names) == 0 {
		return "own.names"
	}
	return ""
}

func needsDomains(o *Options) string {
	if len(o.Decider.Own.Domains) == 0 {
		return "own.domains"
	}
	return ""
}

// needsAddresses is content with those of this machine: they are taken for those of the log's.
func needsAddresses(o *Options) string {
	public := func(a netip.Addr) bool { return !policy.Private(a) && !a.IsLoopback() }
	if len(o.Decider.Own.Addresses) == 0 && !slices.ContainsFunc(o.Interfaces, public) {
		return "own.addresses"
	}
	return ""
}

// unjudged tells which rules the log says too little for, and what would say more.
func unjudged(o *Options, seen mainlog.Selectors) []Unjudged {
	list := []Unjudged{}
	all := wants()
	for i := range o.Decider.Rules {
		b := &o.Decider.Rules[i]
		w := wantOf(b, all)
		if b.Mode == policy.Off {
			continue
		}
		u := Unjudged{Rule: b.Name, Needs: w.missing(o, seen), Part: w.part || w.header && seen&mainlog.SeenHeaders != 0}
		if b.Name == "nobody.N1" && o.UID == nil {
			u.Needs, u.Part = "to run on the host whose log it is: it asks which accounts there are", false
		}
		if u.Needs != "" {
			list = append(list, u)
		}
	}
	return list
}

// missing says what is missing, or nothing.
func (w *want) missing(o *Options, seen mainlog.Selectors) string {
	var needs []string
	facts := w.facts != 0 && seen&w.facts == 0
	own := ""
	if w.own != nil {
		own = w.own(o)
	}
	switch { // of the configuration or of the log, one is enough
	case w.own != nil && w.facts != 0:
		if own != "" && facts {
			needs = append(needs, own+" in the configuration, or "+either(w.facts))
		}
	case own != "":
		needs = append(needs, own+" in the configuration")
	case facts:
		needs = append(needs, either(w.facts))
	}
	if w.dns && o.DNS == nil {
		needs = append(needs, "--dns")
	}
	if w.never != "" {
		needs = append(needs, "no log of mail that was taken tells it: "+w.never)
	}
	if w.never != "" && w.header && seen&mainlog.SeenHeaders == 0 {
		needs = append(needs, "of mail that was refused "+mainlog.SeenHeaders.Word()+" does")
	}
	return strings.Join(needs, "; ")
}

// either names facts of which one is enough.
func either(facts mainlog.Selectors) string {
	return "log_selector = " + strings.Join(strings.Fields(mainlog.Selectors(0).Missing(facts)), " or ")
}
