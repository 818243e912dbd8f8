package policy

// Table lists the policies in the order asked. The first enforced hard objection decides, so the order is the order of
// how sure and how cheap they are. Who submits is certain and known at once, and so is what a client greets with. What
// it has tried before is in memory, and shuts out whoever guesses. The name of its address is a question or two, but the
// DNS's own word; block lists cost a question each, and their word is somebody else's opinion. The header is known only
// at DATA, and how often a login failed only at the end. Who sent a message of ours objects to nothing, so it is asked last.
// A new policy is one line here.
func Table() []Policy {
	return []Policy{
		nobodyPolicy(),
		heloPolicy(),
		dictionaryPolicy(),
		ptrPolicy(),
		rblPolicy(),
		messageidPolicy(),
		authPolicy(),
		originPolicy(),
	}
}
