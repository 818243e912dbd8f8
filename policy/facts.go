package policy

import (
	"net/netip"
	"strings"
	"time"

	"eximpolicyd/rbl"
)

// Need names facts that cost something to learn. A rule declares them, the decider gathers the union once.
type Need uint16

// The facts that cost.
const (
	NeedAccount       Need = 1 << iota // Facts.Account: a look-up in the password file
	NeedGreetings                      // Facts.Greetings: the connection table
	NeedAllMail                        // Facts.OnlyPostmaster: the connection table
	NeedLists                          // Facts.Lists: block lists of the client's address
	NeedNameLists                      // Facts.NameLists: block lists of the names that the client goes by
	NeedPTR                            // Facts.PTR: the client's reverse lookup, confirmed
	NeedHELOAddresses                  // Facts.HELOAddresses: DNS of the greeting
	NeedHosted                         // Facts.Hosted: DNS of the hosted domain that is greeted with
	NeedListText                       // Facts.ListText: only for a refusal that is shown, see Verdict.Wants
	NeedTried                          // Facts.Memory and what follows it: the memory across connections
	NeedHold                           // Facts.Held: a message is about to be put on hold, see Verdict.Wants
	NeedProgram                        // Facts.Program: a look at the processes of this machine, or a question to the helper that may
)

// NeedDNS is every fact that the DNS is asked for.
const NeedDNS = NeedLists | NeedNameLists | NeedPTR | NeedHELOAddresses | NeedHosted | NeedListText

// Facts is what is known besides the request. Every field's zero value means that it is not known.
type Facts struct {
	Now        time.Time
	Traced     bool         // the reason of every verdict is read: else only of one that hits, and no other need be made
	Own        *Own         // what the configuration says of this host; never nil in a judge
	Interfaces []netip.Addr // addresses of this machine
	EximUID    Maybe[uint32]
	Class      Class // the exemption class

	Account        string     // login name of Request.UID, over TCP of ClientUID
	Greetings      []Greeting // HELO names of this connection, the present one last
	OnlyPostmaster bool       // every recipient taken so far is postmaster or abuse
	ClientName     string     // the client's confirmed PTR, lower case; Gather fills it with PTR

	PTR           rbl.PTR
	HELOAddresses Addresses    // A and AAAA of Request.Greeting, where that is a name
	Hosted        Addresses    // of the hosted domain that the greeting is or is under, and of its MX hosts
	Lists         rbl.Report   // what block lists say of the client's address
	NameLists     []NameReport // what they say of names: HELO, sender domain, confirmed PTR
	ListText      string       // what the strongest list has to say, printable

	OwnAddresses []netip.Addr // what own.names resolve to
	Relays       *Prefixes    // MX hosts of own.domains

	ClientUID Maybe[uint32] // who owns the other end of a connection from this machine
	Program   Program       // what submitted a message on this machine
	Held      Maybe[int]    // messages of this account put on hold within the last hour, the present one included

	Memory    bool      // the memory has answered, and what follows is known
	Here      Here      // in this connection
	Client    Tried     // by this client
	Networks  []Network // by the networks it is in, the smallest first
	OnlyWayIn bool      // over half of the mail of the last day came from this client
}

// Addresses is what the DNS has for a name. List may hold some even if not Known.
type Addresses struct {
	List  []netip.Addr
	Known bool // every lookup was answered, and nothing of an answer is left out
	rbl.Origin
}

// NameReport is what lists of names say of one name that the client goes by.
type NameReport struct {
	Of     string // "HELO", "sender" or "PTR"
	Report rbl.Report
}

// Greeting is one HELO or EHLO of a connection.
type Greeting struct {
	Name string
	TLS  bool // greeted inside TLS
}

// Own is who we are, from [own] of the configuration. The zero Own knows nothing and falls back on what Exim and the
// interfaces say.
type Own struct {
	Names     map[string]bool // lower case, without trailing dot
	Domains   map[string]bool // hosted domains, likewise
	Addresses []netip.Addr
}

// IsName reports whether name, canonical, is exactly one of our names: own.names, or, without them, the names that Exim
// goes by.
func (o *Own) IsName(name string, q *Request) bool {
	if name == "" {
		return false
	}
	if len(o.Names) > 0 {
		return o.Names[name]
	}
	return name == q.Primary || name == q.ServerName
}

// IsDomain reports whether name, canonical, equals or is under a hosted domain.
func (o *Own) IsDomain(name string) bool { return o.DomainOf(name) != "" }

// DomainOf returns the hosted domain that name, canonical, equals or is under, or nothing.
func (o *Own) DomainOf(name string) string {
	for len(o.Domains) > 0 && name != "" {
		if o.Domains[name] {
			return name
		}
		_, name, _ = strings.Cut(name, ".")
	}
	return ""
}

// IsPublicAddress reports whether a is a public address of ours: own.addresses, or, without them, those of the
// interfaces and the one that the client connected to.
func (f *Facts) IsPublicAddress(a netip.Addr, q *Request) bool {
	if Private(a) || a.IsLoopback() {
		return false
	}
	if len(f.Own.Addresses) > 0 {
		return contains(f.Own.Addresses, a)
	}
	return a == q.Server || contains(f.Interfaces, a)
}

// BehindNAT reports whether this host does not know its public address: the client reached it at a private one, and
// own.addresses is not set. A loopback address is a proxy's on this host, which hides no other.
func (f *Facts) BehindNAT(q *Request) bool {
	return len(f.Own.Addresses) == 0 && Private(q.Server)
}

// Private reports whether a is of a network that never crosses the internet: RFC 1918, RFC 6598, link-local, RFC 4193.
// Loopback is not among them.
func Private(a netip.Addr) bool {
	if a.Is4() {
		if b := a.As4(); b[0] == 100 && b[1]&0xc0 == 64 { // 100.64.0.0/10, RFC 6598
			return true
		}
	}
	return a.IsPrivate() || a.IsLinkLocalUnicast()
}

func contains(list []netip.Addr, a netip.Addr) bool {
	for _, b := range list {
		if a == b {
			return true
		}
	}
	return false
}

// canonical lowers a name and removes the dot that may end it (RFC 1034 3.1). Two dots end no name and stay, so that what
// is canonical once is so for good: a request written down and read again is the same one. It allocates only when there is
// something to lower.
func canonical(name string) string {
	if !strings.HasSuffix(name, "..") {
		name = strings.TrimSuffix(name, ".")
	}
	return Lower(name)
}

// Lower lowers ASCII letters only, as DNS and SMTP compare names (RFC 4343). Unicode's lower case of the Kelvin sign is
// an ASCII k, and an 8-bit greeting would pass for a name of ours.
func Lower(s string) string {
	i := 0
	for i < len(s) && (s[i] < 'A' || s[i] > 'Z') {
		i++
	}
	if i == len(s) {
		return s
	}
	b := []byte(s)
	for ; i < len(b); i++ {
		if 'A' <= b[i] && b[i] <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}

// quoted bounds client text for a reason or a text and makes it printable ASCII on one line, in quotes.
func quoted(s string) string { return `"` + printable(s, 100) + `"` }

// quotedList does so with several texts; nobody reads more than four.
func quotedList(list []string) string {
	most := min(len(list), 4)
	quotes := make([]string, most)
	for i, s := range list[:most] {
		quotes[i] = quoted(s)
	}
	return strings.Join(quotes, ", ")
}

// printable bounds a text that somebody else chose, in octets, and makes it printable ASCII on one line that can stand in
// quotes.
func printable(s string, most int) string {
	cut := ""
	if len(s) > most {
		s, cut = s[:most], "..."
	}
	var b strings.Builder
	b.Grow(len(s) + len(cut))
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			b.WriteByte('?')
		} else {
			b.WriteByte(c)
		}
	}
	b.WriteString(cut)
	return b.String()
}
