package policy

import (
	"iter"
	"net/netip"
	"strings"

	"github.com/gaissmai/bart"
)

// Class is an exemption class: who a client is to us before any rule looks at it. The first that fits applies.
type Class uint8

// The classes, in the order tried.
const (
	Outside    Class = iota // none of the others
	Local                   // a program on this machine: no client address
	Loopback                // an address of this machine, or of own.names
	Auth                    // authenticated
	Submission              // on a submission port, not yet authenticated
	PrivateNet              // a private address
	RelayHost               // in Exim's relay_from_hosts
	RelayNet                // in exempt.relay, or an MX host of own.domains
	Postmaster              // postmaster or abuse is the only recipient (RFC 5321 4.5.1)
	NullSender              // a bounce: MAIL FROM:<>
	classes
)

const classWords = "outside\x00local\x00loopback\x00auth\x00submission\x00private\x00relay\x00relay\x00postmaster\x00null"

// String returns the class's word in the trace and the log; both relay classes are "relay".
func (c Class) String() string { return word(classWords, int(c)) }

// MarshalText writes the word.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Classes is a set of classes.
type Classes uint16

// among makes a set.
func among(list ...Class) Classes {
	var s Classes
	for _, c := range list {
		s |= 1 << c
	}
	return s
}

// Has reports whether c is in the set.
func (s Classes) Has(c Class) bool { return s&(1<<c) != 0 }

// PassesDeny reports whether a static deny passes a class by: an authenticated user of a denied network must be able to
// send, and a relay of ours carries other people's mail. An own or private address that an administrator denies is denied.
func (c Class) PassesDeny() bool { return among(Auth, RelayHost, RelayNet, Local).Has(c) }

// PassesBan reports whether a ban that somebody earned passes a class by: those who are us, who carry other people's mail,
// or who have logged in. A ban of one of the lower levels passes mail to postmaster by as well.
func (c Class) PassesBan(level int) bool {
	return among(Local, Loopback, Auth, PrivateNet, RelayHost, RelayNet).Has(c) || c == Postmaster && level <= 2
}

// Counted reports whether what a client of a class does is counted at all: we ourselves, and those who carry other
// people's mail, can't be told from those people.
func (c Class) Counted() bool { return !among(Local, Loopback, RelayHost, RelayNet).Has(c) }

// Prefixes is a set of networks. The zero set is empty. Build it once; reading is safe for concurrent use.
type Prefixes struct {
	table bart.Lite
}

// Add puts a network into the set.
func (p *Prefixes) Add(prefix netip.Prefix) { p.table.Insert(prefix) }

// Has reports whether an address is in one of the networks.
func (p *Prefixes) Has(a netip.Addr) bool {
	return p != nil && p.table.Contains(a)
}

// All goes through the networks, in no order.
func (p *Prefixes) All() iter.Seq[netip.Prefix] {
	if p == nil {
		return func(func(netip.Prefix) bool) {}
	}
	return p.table.All()
}

// Exempt is [exempt] of the configuration. The zero value exempts nobody but by the classes' own tests.
type Exempt struct {
	Allow, Deny, Relay *Prefixes
	SubmissionPorts    []int
}

// Of returns the class of a request and why, in words. The facts may still lack what costs; Postmaster needs
// NeedAllMail at DATA.
func (e *Exempt) Of(q *Request, f *Facts) (Class, string) {
	if !q.Client.IsValid() {
		return Local, "no client address: submitted on this machine"
	}
	if why := loopback(q, f); why != "" {
		return Loopback, why
	}
	switch {
	case q.AuthBy != "" || q.AuthAs != "":
		return Auth, "authenticated"
	case e.submissionPort(q.ServerPort):
		return Submission, "a submission port, not yet authenticated"
	case Private(q.Client):
		return PrivateNet, "a private address"
	case q.RelayHost:
		return RelayHost, "in Exim's relay_from_hosts"
	case e.Relay.Has(q.Client):
		return RelayNet, "in exempt.relay"
	case f.Relays.Has(q.Client):
		return RelayNet, "an MX host of own.domains"
	case toPostmasterAlone(q, f):
		return Postmaster, "to postmaster or abuse alone"
	case q.Sender.Known && q.Sender.Value == "" && q.Stage >= Mail:
		return NullSender, "the null sender"
	}
	return Outside, ""
}

func toPostmasterAlone(q *Request, f *Facts) bool {
	switch q.Stage {
	case RCPT:
		return (q.Recipients == 0 || f.OnlyPostmaster) && ToPostmaster(q.Recipient)
	case Data:
		return f.OnlyPostmaster
	}
	return false
}

func loopback(q *Request, f *Facts) string {
	switch {
	case q.Client.IsLoopback():
		return "a loopback address"
	case q.Client == q.Server:
		return "the address it connected to is its own"
	case contains(f.Own.Addresses, q.Client):
		return "in own.addresses"
	case contains(f.Interfaces, q.Client):
		return "an address of this machine"
	case contains(f.OwnAddresses, q.Client):
		return "an address of own.names"
	}
	return ""
}

func (e *Exempt) submissionPort(port int) bool {
	for _, p := range e.SubmissionPorts {
		if p == port {
			return true
		}
	}
	return false
}

// ToPostmaster reports whether mail to a recipient must always be taken: postmaster by RFC 5321 4.5.1, abuse by RFC 2142.
func ToPostmaster(address string) bool {
	local, _, _ := strings.Cut(address, "@")
	switch len(local) { // most are of another length
	case len("postmaster"):
		return Lower(local) == "postmaster"
	case len("abuse"):
		return Lower(local) == "abuse"
	}
	return false
}

// Test says in a few words what a class did not find, for the trace.
func (c Class) Test() string {
	const tests = "\x00has a client address\x00not an address of this machine\x00not authenticated\x00not on a submission port\x00" +
		"not a private address\x00not in Exim's relay_from_hosts\x00not in exempt.relay or relay_from_hosts, no MX host of own.domains\x00" +
		"not to postmaster or abuse alone\x00not the null sender"
	return word(tests, int(c))
}
