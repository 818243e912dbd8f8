package policy

import (
	"net/netip"
	"strconv"
)

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
	against := func(failed int, of netip.Prefix) {
		if !v.Hit {
			v = hit("", failedLogins(failed, of))
			v.Effects = make([]Effect, 0, 1+len(f.Networks))
		}
		v.Effects = append(v.Effects, Effect{Kind: Ban, Network: of})
	}
	if f.Client.Failed >= s.limit(&f.Client, 1, f) {
		against(f.Client.Failed, netip.Prefix{})
	}
	for i := range f.Networks {
		n := &f.Networks[i]
		if n.Failed >= s.limit(&n.Tried, n.Factor, f) && n.Seen >= minMembers {
			against(n.Failed, n.Prefix)
		}
	}
	if !v.Hit {
		if f.Traced {
			v.Reason = failedLogins(f.Client.Failed, netip.Prefix{})
		}
		return v
	}
	if l := f.lenient(nil); l.observed { // what else may be said for a client does not excuse guessing passwords
		return l.soften(v)
	}
	return v
}

// failedLogins tells how many there were, of the client, or of a network. Who guesses goes on under a ban, so that this is made
// often.
func failedLogins(n int, of netip.Prefix) string {
	var room [96]byte
	why := append(strconv.AppendInt(room[:0], int64(n), 10), " failed login"...)
	why = append(append(why, plural(n)...), " within an hour"...)
	if of.IsValid() {
		why = of.AppendTo(append(why, " from "...))
	}
	return string(why)
}

func (s *Logins) limit(t *Tried, factor int, f *Facts) int {
	if t.shielded(f.Now) != "" {
		factor *= shieldFactor
	}
	return s.Failures * factor
}
