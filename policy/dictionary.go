package policy

import (
	"slices"
	"strconv"
	"strings"
)

// Dictionary is the policy dictionary: who guesses recipients is slowed, then shut out.
//
// What counts is a recipient of ours that Exim's own check refused for good, asked for on a connection that is known to
// exist; what was deferred, is not ours, or is over quota does not. Counts are kept across messages and connections:
// Exim's own are reset by RSET, and a guesser knows that.
//
// Good recipients count as well, and nobody is shut out of whose recipients more than half are good: a mailing list has
// addresses that died. The null sender is never held against anybody, since probes and bounces come from everywhere
// (RFC 5321 4.5.5). Big relays, private addresses and those who have earned a shield may do more; see leniency.
type Dictionary struct {
	Hard           int      `toml:"hard" about:"unknown recipients in one connection that end it; 1 to 1000"`
	Window         int      `toml:"window" about:"unknown recipients of one client in an hour that ban it; 1 to 1000"`
	Connections    int      `toml:"connections" about:"connections in an hour with nothing but unknown recipients that ban a client; 1 to 1000"`
	Spread         int      `toml:"spread" about:"unknown recipients in an hour from a /24 or /56, three times as many from a /48, that ban it; 1 to 3000"`
	Ratio          float64  `toml:"ratio" about:"of hard, window and connections: only if so much of all recipients was unknown; above 0 to 1"`
	SpreadRatio    float64  `toml:"spread_ratio" about:"of spread: likewise; above 0 to 1"`
	Traps          []string `toml:"traps" about:"addresses that take mail and that nobody knows but harvesters"`
	DelayAfter     int      `toml:"delay_after" about:"unknown recipients in one connection after which each one waits 1 to 5 s; 0: never, 3 is good; to 1000"`
	MaxConnections int      `toml:"max_connections" about:"Exim's smtp_accept_max: nobody waits while over half of it is in use; 1 to 1000000"`
}

// dictionary is skipped by those who are us, or carry other people's mail.
func dictionaryPolicy() Policy {
	return Policy{
		Name:   "dictionary",
		About:  "who guesses recipients is shut out",
		Stages: at(RCPT, Data),
		Skip:   among(Local, Loopback, Auth, RelayHost, RelayNet),
		New: func() Settings {
			return &Dictionary{Hard: 5, Window: 20, Connections: 5, Spread: 60, Ratio: 0.5, SpreadRatio: 0.8, MaxConnections: 20}
		},
	}
}

// Rules returns the rules in the order asked.
func (s *Dictionary) Rules() []Rule {
	relays := families(bigProviders())
	return []Rule{
		{ID: "hard", Title: "guesses in one connection", Needs: NeedTried,
			Answers: always(Answer{Action: Drop, Code: "550 5.7.1"}), Judge: s.hard(relays)},
		{ID: "window", Title: "guesses of one client in an hour, or connections with nothing else: a ban", Needs: NeedTried,
			Answers: always(deferred()), Judge: s.window(relays)},
		{ID: "spread", Title: "guesses of one network in an hour: a ban of it", Needs: NeedTried,
			Answers: always(deferred()), Judge: s.spread(relays)},
		{ID: "trap", Title: "two messages to spam traps in a day: a ban", Needs: NeedTried,
			Answers: always(deferred()), Judge: s.trap(relays)},
		{ID: "delay", Title: "after guesses, each answer takes its time", Needs: NeedTried,
			Answers: always(Answer{Action: Delay}), Judge: s.delay},
	}
}

// Check finds limits that shut out nobody or everybody, and traps that are no addresses.
func (s *Dictionary) Check() []Mistake {
	var m []Mistake
	within := func(key string, n, least, most int) {
		if n < least || n > most {
			m = append(m, Mistake{key, "must be " + strconv.Itoa(least) + " to " + strconv.Itoa(most)})
		}
	}
	within("hard", s.Hard, 1, 1000)
	within("window", s.Window, 1, 1000)
	within("connections", s.Connections, 1, 1000)
	within("spread", s.Spread, 1, 3000)
	within("delay_after", s.DelayAfter, 0, 1000)
	within("max_connections", s.MaxConnections, 1, 1000000)
	for _, r := range []struct {
		key string
		of  float64
	}{{"ratio", s.Ratio}, {"spread_ratio", s.SpreadRatio}} {
		if !(r.of > 0 && r.of <= 1) {
			m = append(m, Mistake{r.key, "must be above 0 and at most 1, like 0.5"})
		}
	}
	for _, t := range s.Traps {
		if i := strings.LastIndexByte(t, '@'); i < 1 || !IsHostname(t[i+1:]) {
			m = append(m, Mistake{"traps", quoted(t) + " is no address; write one like trap@example.com"})
		} else if ToPostmaster(t) {
			m = append(m, Mistake{"traps", quoted(t) + " is an address that everybody must be able to write to"})
		}
	}
	return m
}

// guessed reports whether the recipient at hand is one that counts.
func guessed(q *Request) bool {
	return q.Stage == RCPT && q.Verify == VerifyUnknown && q.Sender.Value != ""
}

// notKnown is the verdict on a client that the memory says nothing of.
func notKnown() Verdict { return unknown("what the client has tried is not known") }

func (s *Dictionary) hard(relays map[string][]string) Judge {
	return func(q *Request, f *Facts) Verdict {
		if !guessed(q) {
			return Pass()
		}
		if !f.Memory {
			return notKnown()
		}
		l := f.lenient(relays)
		if f.Here.Bad < s.Hard*l.factor || share(f.Here.Bad, f.Here.Good) < s.Ratio {
			return f.below(f.Here.Bad, f.Here.Good, "in this connection")
		}
		v := hit("too many recipients that do not exist", tried(f.Here.Bad, f.Here.Good, "in this connection"))
		v.Effects = []Effect{{Kind: Offence}}
		return l.soften(v)
	}
}

// tried tells counts.
func tried(bad, good int, where string) string {
	return strconv.Itoa(bad) + " unknown and " + strconv.Itoa(good) + " good recipient" + plural(good) + " " + where
}

// plural is the end of a word of so many things.
func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

// below is the verdict on counts that are below a limit.
func (f *Facts) below(bad, good int, where string) (v Verdict) {
	if f.Traced {
		v.Reason = tried(bad, good, where)
	}
	return v
}

// window looks at a recipient that is not there, or at one that is on a connection that has offended otherwise.
func (s *Dictionary) window(relays map[string][]string) Judge {
	return func(q *Request, f *Facts) Verdict {
		if !guessed(q) && !(q.Stage == RCPT && q.Sender.Value != "" && f.Here.Offended) {
			return Pass()
		}
		if !f.Memory {
			return notKnown()
		}
		l, c := f.lenient(relays), &f.Client
		reason := ""
		switch {
		case c.Bad >= s.Window*l.factor && share(c.Bad, c.Good) >= s.Ratio:
			reason = tried(c.Bad, c.Good, "within an hour")
		case c.OnlyBad >= s.Connections*l.factor && share(c.OnlyBad, c.Good) >= s.Ratio:
			reason = strconv.Itoa(c.OnlyBad) + " connection" + plural(c.OnlyBad) + " within an hour that did nothing but bad, and " +
				strconv.Itoa(c.Good) + " good recipient" + plural(c.Good)
		default:
			return f.below(c.Bad, c.Good, "within an hour")
		}
		v := hit("too many recipients that do not exist", reason)
		v.Effects = []Effect{{Kind: Ban}}
		return l.soften(v)
	}
}

// spread looks at each network that the client is in: an attack may come from many addresses, each of which keeps below
// the limits.
func (s *Dictionary) spread(relays map[string][]string) Judge {
	return func(q *Request, f *Facts) Verdict {
		if !guessed(q) {
			return Pass()
		}
		if !f.Memory {
			return notKnown()
		}
		var v Verdict
		l := f.lenient(relays)
		for i := range f.Networks {
			n := &f.Networks[i]
			factor := l.factor
			if n.shielded(f.Now) != "" {
				factor = shieldFactor
			}
			if n.Bad < s.Spread*n.Factor/3*factor || n.Seen < minMembers || share(n.Bad, n.Good) < s.SpreadRatio {
				continue
			}
			if !v.Hit {
				v = hit("too many recipients that do not exist", tried(n.Bad, n.Good, "within an hour from "+n.Prefix.String()))
			}
			v.Effects = append(v.Effects, Effect{Kind: Ban, Network: n.Prefix})
		}
		if !v.Hit {
			return v
		}
		return l.soften(v)
	}
}

// trap notes the recipient, and judges when the message is there: a mailing list that somebody subscribed the trap to says
// so in its header.
func (s *Dictionary) trap(relays map[string][]string) Judge {
	const most = 2 // somebody may have mistyped one
	return func(q *Request, f *Facts) Verdict {
		if q.Sender.Value == "" || q.ListID != "" {
			return Pass()
		}
		if q.Stage == RCPT {
			if slices.ContainsFunc(s.Traps, func(t string) bool { return Lower(t) == Lower(q.Recipient) }) {
				return Verdict{Reason: quoted(q.Recipient) + " is a trap", Effects: []Effect{{Kind: Trap}}}
			}
			return Pass()
		}
		switch l := f.lenient(relays); {
		case len(s.Traps) == 0:
			return Pass()
		case !f.Memory:
			return notKnown()
		case !f.Here.Trapped, f.Client.Trapped < most:
			return Pass()
		case l.why != "" && !l.observed:
			return Verdict{Reason: strconv.Itoa(f.Client.Trapped) + " messages to traps; passed: " + l.why}
		default:
			v := hit("mail from your address is not wanted", strconv.Itoa(f.Client.Trapped)+" messages to spam traps within a day")
			v.Effects = []Effect{{Kind: Ban}}
			return l.soften(v)
		}
	}
}

// delay is a teergrube: it costs a guesser time, and Exim a process that waits, so it is off until somebody wants it.
func (s *Dictionary) delay(q *Request, f *Facts) Verdict {
	bad := f.Here.Bad + f.Here.NullBad
	if s.DelayAfter == 0 || q.Stage != RCPT || bad < s.DelayAfter || q.SMTPCount > s.MaxConnections/2 {
		return Pass()
	}
	v := hit("", strconv.Itoa(bad)+" unknown recipient"+plural(bad)+" in this connection")
	v.Delay = min(1+bad-s.DelayAfter, 5)
	return v
}
