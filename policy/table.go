package policy

// Table lists the policies in the order asked. The first enforced hard objection decides, so the order is the order of
// how sure and how cheap they are: who submits is certain and known at once, the greeting is known at RCPT, the header
// only at DATA. A new policy is one line here.
func Table() []Policy {
	return []Policy{
		nobodyPolicy(),
		heloPolicy(),
		messageidPolicy(),
	}
}
