package policy

import "eximpolicyd/rbl"

// PTR is the policy ptr: a mail server's address has a name, and the name has the address (RFC 1912 2.1; RFC 8601 2.7.3
// calls it iprev).
//
// No RFC lets a server refuse mail for it, and honest hosts whose provider sets no name exist, so it only scores. A
// lookup that was not answered is no finding: whoever has trouble with his DNS would be refused for it otherwise.
type PTR struct{}

// ptr is skipped by whom helo is skipped.
func ptrPolicy() Policy {
	return Policy{
		Name:   "ptr",
		About:  "a client's address has a name that has the address",
		Stages: at(RCPT),
		Skip:   among(Local, Loopback, Auth, Submission, PrivateNet, RelayHost, RelayNet, Postmaster),
		Cap:    20,
		New:    func() Settings { return &PTR{} },
	}
}

// Rules returns the rules in the order asked.
func (s *PTR) Rules() []Rule {
	return []Rule{
		{ID: "P1", Title: "no PTR", Needs: NeedPTR, Answers: always(points(20)), Judge: s.missing},
		{ID: "P2", Title: "a PTR that does not confirm", Needs: NeedPTR, Answers: always(points(10)), Judge: s.unconfirmed},
	}
}

// Check finds nothing wrong: there is nothing to set.
func (s *PTR) Check() []Mistake { return nil }

func (s *PTR) missing(_ *Request, f *Facts) Verdict {
	switch f.PTR.Status {
	case rbl.PTRUnknown:
		return unknownPTR(f)
	case rbl.PTRMissing:
		return hit("your address has no name in the DNS", "the client's address has no PTR")
	}
	return Pass()
}

func (s *PTR) unconfirmed(_ *Request, f *Facts) Verdict {
	switch f.PTR.Status {
	case rbl.PTRUnknown:
		return unknownPTR(f)
	case rbl.PTRUnconfirmed:
		return hit("the name of your address does not have your address", "PTR "+quotedList(f.PTR.Names)+" does not have the client's address")
	}
	return Pass()
}

// unknownPTR passes on why a reverse lookup found nothing out.
func unknownPTR(f *Facts) Verdict {
	v := unknown("the name of the client's address is not known")
	if f.PTR.Note != "" {
		v.Reason += ": " + printable(f.PTR.Note, 100)
	}
	return v
}
