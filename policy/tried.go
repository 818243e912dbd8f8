package policy

import (
	"net/netip"
	"strings"
	"time"
)

// Here is what a client has tried in this connection, what the request at hand asks for included where that is bad.
type Here struct {
	Good     int  // recipients that exist, and that we did not object to
	Bad      int  // recipients of ours that Exim refused for good
	NullBad  int  // those of bounces and probes, which are never held against anybody
	Failed   int  // logins that failed, known when it ends
	Offended bool // it did what no honest client does
	Trapped  bool // the message at hand was addressed to a spam trap
}

// Tried is what a client, or all clients of a network, have tried within the last hour, where nothing else is said.
type Tried struct {
	Good, Bad int // recipients, as in Here
	OnlyBad   int // connections with nothing but bad recipients, or with an offence
	Failed    int // logins
	Seen      int // of a client: different HELO names; of a network: its members that did any of this; at most 5

	DayGood, DayBad int       // recipients within the last day
	Clean           int       // messages within the last day that we had nothing to object to
	Trapped         int       // messages to spam traps within the last day
	LastLogin       time.Time // zero: none that is known
}

// Network is a network that the client is in.
type Network struct {
	Prefix netip.Prefix
	Factor int // limits of a client apply times so many: 3 for a /24 or a /56, 9 for a /48
	Tried
}

// minMembers is how many members of a network must have offended before all of it is banned.
const minMembers = 5

// share returns which part of both is bad.
func share(bad, good int) float64 {
	if bad <= 0 {
		return 0
	}
	return float64(bad) / float64(bad+good)
}

// The shield: whoever has earned it may do so many times as much, as long as less than half of what he does is bad.
const (
	shieldFactor = 10
	shieldClean  = 5
	shieldLogin  = 24 * time.Hour
	shieldEnds   = 0.5
)

// shielded says why somebody is trusted to mean well, or returns nothing.
func (t *Tried) shielded(now time.Time) string {
	switch {
	case share(t.DayBad, t.DayGood) >= shieldEnds:
		return ""
	case now.Sub(t.LastLogin) < shieldLogin: // none that is known is long ago
		return "a login within a day"
	case t.Clean >= shieldClean:
		return "mail within a day that nothing was said against"
	}
	return ""
}

// shielded says so of the client, who may also stand on a list of good senders.
func (f *Facts) shielded() string {
	if why := f.Client.shielded(f.Now); why != "" {
		return why
	}
	if share(f.Client.DayBad, f.Client.DayGood) < shieldEnds {
		for i := range f.Lists.Answers {
			if f.Lists.Answers[i].Score() < 0 {
				return "on a list of good senders"
			}
		}
	}
	return ""
}

// leniency is how much more than others a client may do, and why.
type leniency struct {
	factor   int
	deferred bool // it is refused for now at most, and never banned
	observed bool // it is only told of
	why      string
}

// lenient returns what is known in favour of the client. relays are the domains of big providers, see families: their
// hosts are known by a confirmed name.
func (f *Facts) lenient(relays map[string][]string) leniency {
	switch {
	case f.OnlyWayIn:
		return leniency{factor: 1, observed: true, why: "over half of the mail of a day comes from here"}
	case f.Class == PrivateNet:
		return leniency{factor: 1, deferred: true, why: "behind a private address may be the whole world"}
	case providerOf(relays, f.ClientName) != nil:
		return leniency{factor: shieldFactor, deferred: true, why: "a big relay, by its confirmed name"}
	}
	if why := f.shielded(); why != "" {
		return leniency{factor: shieldFactor, why: why}
	}
	return leniency{factor: 1}
}

// soften makes of a hit what leniency leaves of it. If there is nothing in favour of the client, his name and the lists of
// good senders may have something: they are asked about few, and only now.
func (l leniency) soften(v Verdict) Verdict {
	switch {
	case l.observed:
		v.Observe, v.Effects = true, nil
		v.Reason += "; only told of: " + l.why
	case l.deferred:
		v.Answers, v.Effects = instead(always(deferred())), nil
		v.Reason += "; only deferred: " + l.why
	case l.why == "":
		v.Wants = NeedPTR | NeedLists
	default:
		v.Reason += "; after ten times as much as others may: " + l.why
	}
	return v
}

// providerOf returns the domains of the provider that a canonical name is of, or nothing.
func providerOf(families map[string][]string, name string) []string {
	for ; name != ""; _, name, _ = strings.Cut(name, ".") {
		if family := families[name]; family != nil {
			return family
		}
	}
	return nil
}
