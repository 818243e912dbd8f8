package rbl

import "net/netip"

// fixOf says what to do about a state. addresses are what the zone answered.
func (w *watch) fixOf(state State, addresses []netip.Addr) string {
	takeOut := "take " + w.zone.Public + " out of the list of zones"
	switch state {
	case ErrorCode:
		return w.fixOfError(w.errorCode(addresses))
	case Hijacked:
		return "the list may have gone and its name been sold: if so, " + takeOut + "; or the DNS server answers in its place: " +
			"run a resolver of your own (unbound)"
	case World:
		return "if it stays so, " + takeOut
	case Inert:
		return "it may be dead: " + takeOut
	case Timeout:
		return "see whether the DNS server reaches it; if it stays so, " + takeOut
	}
	return ""
}

// fixOfError says what to do about an error code. 127.255.255.0/24 is what Spamhaus and many others use.
func (w *watch) fixOfError(code string) string {
	const own = "run a resolver of your own (unbound), that forwards to none, or use a keyed zone"
	switch code {
	case "127.255.255.252":
		return "the name of the zone is misspelt: see what the list calls it"
	case "127.255.255.255":
		return "you ask more than the list gives for nothing: ask its operator for a keyed zone or a feed"
	case "127.255.255.254", "127.0.0.1":
		if name := w.lists.resolver.Public(); name != "" {
			return "your resolver is public (" + name + "): " + own
		}
		if code == "127.0.0.1" {
			return "the list refuses your resolver: " + own + ", or register with its operator"
		}
		return "your resolver is public: " + own
	}
	return "ask the operator of the list what " + code + " means"
}

// entryOf names the entry that a zone must list, or must not, for a reader.
func entryOf(z *Zone, listed bool) string {
	switch {
	case listed && z.Test != "":
		return z.Test + " or " + entryOf(&Zone{Kind: z.Kind}, true)
	case z.Kind == OfNames && listed:
		return "TEST"
	case z.Kind == OfNames:
		return "INVALID"
	case listed:
		return "127.0.0.2"
	}
	return "127.0.0.1"
}
