package policy

import (
	"strconv"

	"eximpolicyd/rbl"
)

// HELO is the policy helo: nobody greets with our name but us, and a server greets with a name of its own (RFC 5321
// 4.1.1.1, 4.1.3, 4.1.4).
//
// RFC 5321 4.1.4 forbids refusing because the name does not resolve to the client, so rules that ask DNS only score
// (helodns.go).
// What is refused here is a lie (our own name or address), or what can't be a name at all. The HELO that counts is the
// last one, since STARTTLS forces a second (RFC 3207 4.2).
type HELO struct {
	Robots    []string `toml:"robots" about:"greetings of known robots, for H17"`
	Providers []string `toml:"providers" about:"domains of big mail providers, for H16; a text has all those of one provider"`
}

// helo is skipped by whoever is one of us, and on submission ports, where mail programs greet with anything.
func heloPolicy() Policy {
	return Policy{
		Name:   "helo",
		About:  "nobody greets with our name but us",
		Stages: at(RCPT),
		Skip:   among(Local, Loopback, Auth, Submission, PrivateNet, RelayHost, RelayNet, Postmaster),
		Cap:    40,
		New:    func() Settings { return &HELO{Robots: []string{"ylmf-pc"}, Providers: bigProviders()} },
	}
}

// quality is the group of the rules that judge how good a name is: it counts once.
const quality = "quality"

// Rules returns the rules in the order asked: lies first.
func (s *HELO) Rules() []Rule {
	return []Rule{
		{ID: "H1", Title: "no HELO before MAIL", Answers: always(Answer{Action: Deny, Code: "503 5.5.1"}), Judge: s.missing},
		{ID: "H17", Title: "a robot's greeting", Answers: always(deny()), Judge: s.robot},
		{ID: "H2", Title: "our address", Answers: always(deny()), Judge: s.ourAddress},
		{ID: "H3", Title: "our name", Answers: always(deny()), Judge: s.ourName},
		{ID: "H4", Title: "a name of a hosted domain from elsewhere", Needs: NeedHELOAddresses | NeedHosted,
			Answers: by(points(35), points(40), points(40)), Judge: s.hosted},
		{ID: "H5", Title: "an IP address without brackets (the client's own: score 2.0)", Answers: always(deny()), Judge: s.bareAddress},
		{ID: "H6", Title: "an address literal of somebody else (a private one: score 1.0, strict denies)", Answers: by(points(30), deny(), deny()), Judge: s.foreignLiteral},
		{ID: "H7", Title: "localhost", Answers: always(deny()), Judge: s.localhost},
		{ID: "H8", Title: "a name without a dot", Group: quality, Answers: by(points(20), deny(), deny()), Judge: s.dotless},
		{ID: "H9", Title: "an illegal name (underscores alone: score 0.5)", Group: quality, Answers: by(points(20), deny(), deny()), Judge: s.illegal},
		{ID: "H10", Title: "a top-level domain that does not exist", Group: quality,
			Answers: by(points(15), points(25), deny()), Judge: s.topLevel},
		{ID: "H11", Title: "a name without an address", Needs: NeedHELOAddresses, Group: quality,
			Answers: by(points(10), points(20), points(30)), Judge: s.unresolved},
		{ID: "H12", Title: "a name with other addresses than the client's", Needs: NeedHELOAddresses | NeedPTR, Group: quality,
			Answers: by(points(5), points(10), points(20)), Judge: s.elsewhere},
		{ID: "H13", Title: "a name that spells the client's address", Group: quality,
			Answers: by(points(20), points(25), points(35)), Judge: s.spelled},
		{ID: "H14", Title: "greetings that change", Needs: NeedGreetings,
			Answers: by(points(10), points(20), deny()), Judge: s.changed},
		{ID: "H15", Title: "more than 3 names in an hour, and no confirmed PTR", Needs: NeedTried | NeedPTR,
			Answers: by(points(20), points(30), points(40)), Judge: s.many},
		{ID: "H16", Title: "a big provider's name from elsewhere", Needs: NeedPTR, Answers: always(points(40)), Judge: provider(families(s.Providers))},
	}
}

// Check finds providers that are no domains. Any word may be a robot's greeting.
func (s *HELO) Check() []Mistake { return providerMistakes(s.Providers) }

func (s *HELO) missing(q *Request, _ *Facts) Verdict {
	switch {
	case !q.HELO.Known:
		return unknown("the greeting is not known")
	case q.HELO.Value == "":
		return hit("send HELO or EHLO first", "no HELO before MAIL")
	}
	return Pass()
}

func (s *HELO) robot(q *Request, _ *Facts) Verdict {
	for _, r := range s.Robots {
		if q.Greeting.Name != "" && q.Greeting.Name == canonical(r) {
			v := hit("this greeting is known from robots only", "HELO "+quoted(q.Greeting.Name)+" is a known robot's")
			v.Effects = []Effect{{Kind: Offence}}
			return v
		}
	}
	return Pass()
}

// ourAddress objects to our public addresses only: a private one may well be the client's own as well, and H6 has it.
func (s *HELO) ourAddress(q *Request, f *Facts) Verdict {
	if h := &q.Greeting; h.Address.IsValid() && f.IsPublicAddress(h.Address, q) {
		return hit("HELO with our own address, which is not yours", "HELO "+quoted(h.Name)+" is an address of ours")
	}
	return Pass()
}

func (s *HELO) ourName(q *Request, f *Facts) Verdict {
	h := &q.Greeting
	if h.Kind != HELODomain || !f.Own.IsName(h.Name, q) {
		return Pass()
	}
	v := hit("HELO with our own name, which is not yours", "HELO "+quoted(h.Name)+" is a name of ours")
	if f.BehindNAT(q) {
		// Several hosts may share one name behind one address; without own.addresses there is no telling them apart.
		v.Observe = true
		v.Reason += "; only observed: this server has a private address, set own.addresses"
	}
	return v
}

func (s *HELO) bareAddress(q *Request, _ *Facts) Verdict {
	h := &q.Greeting
	if h.Kind != HELOAddress {
		return Pass()
	}
	v := hit("HELO address without brackets, RFC 5321 4.1.3", "HELO "+quoted(h.Name)+" is an address without brackets")
	if h.Address == q.Client {
		v.Reason += ", the client's own"
		v.Answers = instead(always(points(20)))
	}
	return v
}

func (s *HELO) foreignLiteral(q *Request, _ *Facts) Verdict {
	h := &q.Greeting
	switch {
	case h.Kind != HELOLiteral || h.Fault != "":
		return Pass()
	case !q.Client.IsValid():
		return unknown("the client's address is not known")
	case sameNet(h.Address, q.Client, 24, 64): // a host with several addresses may name any
		return Pass()
	}
	v := hit("HELO address literal is not your address", "HELO "+quoted(h.Name)+" is not the client's address")
	if Private(h.Address) || h.Address.IsLoopback() {
		v.Reason += ", but a private one"
		v.Answers = instead(by(points(10), points(10), deny()))
	}
	return v
}

func (s *HELO) localhost(q *Request, _ *Facts) Verdict {
	if h := &q.Greeting; h.Kind == HELODomain && isLocalhost(h.Name) {
		return hit("HELO needs a name of your own", "HELO "+quoted(h.Name)+" is every host's name")
	}
	return Pass()
}

func (s *HELO) dotless(q *Request, _ *Facts) Verdict {
	if h := &q.Greeting; h.Dotless() {
		return hit("HELO without a domain, RFC 5321 4.1.1.1", "HELO "+quoted(h.Name)+" has no dot")
	}
	return Pass()
}

func (s *HELO) illegal(q *Request, _ *Facts) Verdict {
	h := &q.Greeting
	switch {
	case h.Fault != "":
		return hit("HELO with an illegal name", "HELO "+quoted(h.Name)+": "+h.Fault)
	case h.Underscore:
		v := hit("HELO with an illegal name", "HELO "+quoted(h.Name)+": an underscore")
		v.Answers = instead(always(points(5)))
		return v
	}
	return Pass()
}

func (s *HELO) topLevel(q *Request, _ *Facts) Verdict {
	h := &q.Greeting
	if h.Kind != HELODomain || h.Fault != "" || h.Dotless() {
		return Pass()
	}
	if fault := topLevelFault(h.Name); fault != "" {
		return hit("HELO under a top-level domain that is none", "HELO "+quoted(h.Name)+": "+fault)
	}
	return Pass()
}

func (s *HELO) spelled(q *Request, _ *Facts) Verdict {
	if h := &q.Greeting; h.Kind == HELODomain && spells(h.Name, q.Client) {
		return hit("HELO with a name made of your address", "HELO "+quoted(h.Name)+" spells the client's address")
	}
	return Pass()
}

// changed compares the greetings of one security layer: STARTTLS makes the client start anew (RFC 3207 4.2).
func (s *HELO) changed(q *Request, f *Facts) Verdict {
	if len(f.Greetings) == 0 {
		return unknown("what the client greeted with before is not known")
	}
	last := f.Greetings[len(f.Greetings)-1]
	for _, g := range f.Greetings {
		if g.TLS == last.TLS && canonical(g.Name) != canonical(last.Name) {
			return hit("your greeting changed within one connection", "HELO was "+quoted(g.Name)+", then "+quoted(last.Name))
		}
	}
	return Pass()
}

// maxNames is how many names one client may greet with in an hour, each in a connection of its own: several senders behind
// one address do so, but their address has a name.
const maxNames = 3

func (s *HELO) many(_ *Request, f *Facts) Verdict {
	switch {
	case !f.Memory:
		return unknown("what the client greeted with before is not known")
	case f.Client.Seen <= maxNames, f.PTR.Status == rbl.PTRConfirmed:
		return Pass()
	case f.PTR.Status == rbl.PTRUnknown:
		return unknownPTR(f)
	}
	return hit("your server greets with ever new names", strconv.Itoa(f.Client.Seen)+" names or more within an hour, and no confirmed PTR")
}
