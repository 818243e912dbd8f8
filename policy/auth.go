package policy

import "strconv"

// Logins is the policy auth: who guesses passwords is shut out.
//
// Exim tells how many logins failed when the connection ends, so there is nobody left to refuse; the rule bans, and the
// ban answers the next connection. It never touches who has logged in: before AUTH relaying is refused in any case, and a
// network in which one machine has an old password must be able to send (see Decider).
type Logins struct {
	Failures int `toml:"failures" about:"failed logins in an hour that ban a client; three times as many a /24 or /56, nine times a /48; 1 to 1000"`
}

// auth is skipped by whom a ban would pass by anyway. A client that logged in after all is among them.
func authPolicy() Policy {
	return Policy{
		Name:   "auth",
		About:  "who guesses passwords is shut out",
		Stages: at(Quit, NotQuit),
		Skip:   among(Local, Loopback, Auth, PrivateNet, RelayHost, RelayNet),
		New:    func() Settings { return &Logins{Failures: 10} },
	}
}

// Rules returns the one rule.
func (s *Logins) Rules() []Rule {
	return []Rule{{ID: "AU1", Title: "failed logins in an hour: a ban", Needs: NeedTried, Judge: s.judge}}
}

// Check finds a limit that shuts out nobody or everybody.
func (s *Logins) Check() []Mistake {
	if s.Failures < 1 || s.Failures > 1000 {
		return []Mistake{{"failures", "must be 1 to 1000"}}
	}
	return nil
}

func (s *Logins) judge(_ *Request, f *Facts) Verdict {
	if !f.Memory {
		return notKnown()
	}
	if f.Here.Failed == 0 {
		return Pass()
	}
	var v Verdict
	against := func(failed int, where string, e Effect) {
		if !v.Hit {
			v = hit("", strconv.Itoa(failed)+" failed logins within an hour"+where)
		}
		v.Effects = append(v.Effects, e)
	}
	if f.Client.Failed >= s.limit(&f.Client, 1, f) {
		against(f.Client.Failed, "", Effect{Kind: Ban})
	}
	for i := range f.Networks {
		n := &f.Networks[i]
		if n.Failed >= s.limit(&n.Tried, n.Factor, f) && n.Seen >= minMembers {
			against(n.Failed, " from "+n.Prefix.String(), Effect{Kind: Ban, Network: n.Prefix})
		}
	}
	if !v.Hit {
		if f.Traced {
			v.Reason = strconv.Itoa(f.Client.Failed) + " failed logins within an hour"
		}
		return v
	}
	if l := f.lenient(nil); l.observed { // what else may be said for a client does not excuse guessing passwords
		return l.soften(v)
	}
	return v
}

func (s *Logins) limit(t *Tried, factor int, f *Facts) int {
	if t.shielded(f.Now) != "" {
		factor *= shieldFactor
	}
	return s.Failures * factor
}
