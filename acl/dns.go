package acl

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"eximpolicyd/policy"
	"eximpolicyd/rbl"
)

// Bounds of what is asked about one client, besides block lists.
const (
	maxHosts  = 8               // MX hosts of a hosted domain that somebody greets with
	maxFollow = 1024            // lookups at once whose answer says what to ask next, started early
	followFor = 3 * time.Second // for each of them, as long as a question of package rbl
)

// resolver is what DNS needs of rbl.Resolver.
type resolver interface {
	Lookup(ctx context.Context, name string, kind uint16) rbl.Records
	Confirm(ctx context.Context, addr netip.Addr) rbl.PTR
}

// lists is what DNS needs of rbl.Lists.
type lists interface {
	Check(ctx context.Context, client netip.Addr) rbl.Report
	CheckName(ctx context.Context, name string) rbl.Report
	Text(ctx context.Context, subject string, a *rbl.Answer) string
}

// DNS finds out what the rules need of the DNS: block lists of a client and its names, its reverse name, the addresses of
// its greeting. It remembers nothing but how much was started early; answers are kept by package rbl. A nil DNS asks
// nothing, and every such fact stays unknown. It is safe for concurrent use.
type DNS struct {
	resolver resolver
	lists    lists
	names    Names
	early    *allowance

	ctx       context.Context // ends with Close
	stop      context.CancelFunc
	followers sync.WaitGroup
	mu        sync.Mutex
	following map[string]bool // what is being followed, at most maxFollow
}

// Names says which names of a client lists of names are asked about. A reverse name has to be looked up first.
type Names struct{ HELO, Sender, PTR bool }

// NamesOf returns the names that policy.rbl.names says: helo, sender and ptr.
func NamesOf(words []string) Names {
	has := func(word string) bool { return slices.Contains(words, word) }
	return Names{HELO: has("helo"), Sender: has("sender"), PTR: has("ptr")}
}

// Within leaves out the reverse name where asking about all three would cost a client over twice as many questions as
// there are lists: of so many addresses, asked once, and so many of names.
func (n Names) Within(ofAddresses, ofNames int) Names {
	if n.HELO && n.Sender && ofNames > ofAddresses {
		n.PTR = false
	}
	return n
}

// NewDNS makes a DNS of a resolver and the lists that it asks. Close it before the resolver.
func NewDNS(r *rbl.Resolver, l *rbl.Lists, names Names) *DNS { return newDNS(r, l, names) }

func newDNS(r resolver, l lists, names Names) *DNS {
	d := &DNS{resolver: r, lists: l, names: names, early: newAllowance(), following: make(map[string]bool)}
	d.ctx, d.stop = context.WithCancel(context.Background())
	return d
}

// Close ends what was started early and still waits, and returns when it has ended.
func (d *DNS) Close() error {
	d.mu.Lock()
	d.stop()
	d.mu.Unlock()
	d.followers.Wait()
	return nil
}

func (d *DNS) off() bool { return d == nil || d.resolver == nil }

// over is a context that has ended: who is called with it starts and does not wait.
var over = func() context.Context {
	ctx, stop := context.WithCancel(context.Background())
	stop()
	return ctx
}()

// gather fills the facts of needs as far as it gets before ctx ends, and returns the needs that did not come in time.
// With a ctx that has ended it takes what is there, and what is not is on its way.
func (d *DNS) gather(ctx context.Context, needs policy.Need, q *policy.Request, f *policy.Facts) policy.Need {
	if d.off() || needs&policy.NeedDNS == 0 {
		return 0
	}
	var late policy.Need
	if needs&policy.NeedListText != 0 {
		if _, subject, a := f.Strongest(); a != nil {
			f.ListText = d.lists.Text(ctx, subject, a)
			late = lateIf(f.ListText == "" && ctx.Err() != nil, policy.NeedListText)
		}
	}
	g := gathering{DNS: d, needs: needs, q: q, f: f}
	late |= g.lead(over) | g.take(over) // everything is under way before anything is waited for
	if late == 0 || ctx.Err() != nil {
		return late
	}
	late = g.lead(ctx)
	g.take(over) // starts what that said to ask
	return late | g.take(ctx)
}

// start begins what gather will be asked for at a later stage, unless the client's network has had its share.
func (d *DNS) start(needs policy.Need, q *policy.Request, own *policy.Own, proven bool, now time.Time) {
	needs &= policy.NeedDNS
	if d.off() || needs == 0 || !d.early.take(q.Client, proven, now) {
		return
	}
	g := gathering{DNS: d, needs: needs, q: q, f: &policy.Facts{Own: own}}
	g.lead(over)
	g.take(over)
	if g.f.PTR.Late && needs&policy.NeedNameLists != 0 && d.names.PTR {
		d.followPTR(q.Client)
	}
	if g.domain != "" && g.mx.Outcome == rbl.Unanswered {
		d.followMX(g.domain)
	}
}

// followPTR asks the lists about the reverse name of a client as soon as it is known.
func (d *DNS) followPTR(client netip.Addr) {
	d.follow(client.String(), func(ctx context.Context) {
		if name := reverseName(d.resolver.Confirm(ctx, client)); listable(name) {
			d.lists.CheckName(over, name)
		}
	})
}

// followMX asks for the addresses of a domain's MX hosts as soon as these are known.
func (d *DNS) followMX(domain string) {
	domain = strings.Clone(domain) // a goroutine must not keep the whole request
	d.follow(domain, func(ctx context.Context) {
		for _, host := range hosts(d.resolver.Lookup(ctx, domain, dns.TypeMX)) {
			d.resolver.Lookup(over, host, dns.TypeA)
			d.resolver.Lookup(over, host, dns.TypeAAAA)
		}
	})
}

// follow runs a lookup that says what to ask next, once for many who start it.
func (d *DNS) follow(what string, lookup func(context.Context)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.following[what] || len(d.following) >= maxFollow || d.ctx.Err() != nil {
		return
	}
	d.following[what] = true
	d.followers.Go(func() { // Close waits for it; it ends with the lookup, at most followFor
		ctx, stop := context.WithTimeout(d.ctx, followFor)
		defer stop()
		lookup(ctx)
		d.mu.Lock()
		delete(d.following, what)
		d.mu.Unlock()
	})
}

// gathering is one call of gather or start.
type gathering struct {
	*DNS
	needs  policy.Need
	q      *policy.Request
	f      *policy.Facts
	domain string      // the hosted one that the greeting is or is under
	mx     rbl.Records // of domain
}

// lead asks for what says what to ask next, and returns what is late of it.
func (g *gathering) lead(ctx context.Context) (late policy.Need) {
	if g.needs&policy.NeedHosted != 0 && heloName(g.q) != "" {
		g.domain = g.f.Own.DomainOf(heloName(g.q))
	}
	if g.domain != "" {
		g.mx = g.resolver.Lookup(ctx, g.domain, dns.TypeMX)
		late |= lateIf(g.mx.Outcome == rbl.Unanswered, policy.NeedHosted)
	}
	if g.needsPTR() {
		g.f.PTR = g.resolver.Confirm(ctx, g.q.Client)
		g.f.ClientName = reverseName(g.f.PTR)
		late |= lateIf(g.f.PTR.Late, policy.NeedPTR)
	}
	return late
}

// needsPTR reports whether the client's name is looked up: a rule needs it, or lists of names are asked about it. One
// that was given by hand is not.
func (g *gathering) needsPTR() bool {
	return g.q.Client.IsValid() && g.q.ClientName == "" &&
		(g.needs&policy.NeedPTR != 0 || g.needs&policy.NeedNameLists != 0 && g.names.PTR)
}

// take asks for everything else, and returns what is late of it.
func (g *gathering) take(ctx context.Context) (late policy.Need) {
	if g.needs&policy.NeedLists != 0 && g.q.Client.IsValid() {
		g.f.Lists = g.lists.Check(ctx, g.q.Client)
		late |= lateIf(g.f.Lists.Late, policy.NeedLists)
	}
	if name := heloName(g.q); g.needs&policy.NeedHELOAddresses != 0 && name != "" {
		var waits bool
		g.f.HELOAddresses, waits = g.addresses(ctx, name)
		late |= lateIf(waits, policy.NeedHELOAddresses)
	}
	if g.domain != "" {
		var waits bool
		g.f.Hosted, waits = g.addresses(ctx, append([]string{g.domain}, hosts(g.mx)...)...)
		late |= lateIf(waits, policy.NeedHosted)
		g.f.Hosted.Origin = g.f.Hosted.Origin.And(g.mx.Origin())
		// Half of the hosts are no proof that the client is none of them.
		g.f.Hosted.Known = g.f.Hosted.Known && g.mx.Outcome.Answered() && len(g.mx.Names) <= maxHosts
	}
	if g.needs&policy.NeedNameLists != 0 {
		late |= g.checkNames(ctx)
	}
	return late
}

// addresses looks up A and AAAA of names. late says that one may yet come.
func (g *gathering) addresses(ctx context.Context, names ...string) (all policy.Addresses, late bool) {
	all.Known = true
	for _, name := range names {
		for _, kind := range [...]uint16{dns.TypeA, dns.TypeAAAA} {
			r := g.resolver.Lookup(ctx, name, kind)
			all.List = append(all.List, r.Addresses...)
			all.Origin = all.Origin.And(r.Origin())
			// What is cut is no proof that the client is not among the rest.
			all.Known = all.Known && r.Outcome.Answered() && len(r.Addresses) < rbl.MaxAddresses
			late = late || r.Outcome == rbl.Unanswered
		}
	}
	return all, late
}

// checkNames asks the lists of names about each name that the client goes by, once, those first that tell most.
func (g *gathering) checkNames(ctx context.Context) (late policy.Need) {
	g.f.NameLists = nil
	for _, n := range [...]struct {
		of, name string
		wanted   bool
	}{
		{"HELO", heloName(g.q), g.names.HELO}, {"sender", senderDomain(g.q), g.names.Sender}, {"PTR", g.f.ClientName, g.names.PTR},
	} {
		known := func(other policy.NameReport) bool { return other.Report.Subject == n.name }
		if !n.wanted || !listable(n.name) || slices.ContainsFunc(g.f.NameLists, known) {
			continue
		}
		r := g.lists.CheckName(ctx, n.name)
		g.f.NameLists = append(g.f.NameLists, policy.NameReport{Of: n.of, Report: r})
		late |= lateIf(r.Late, policy.NeedNameLists)
	}
	return late
}

func lateIf(late bool, need policy.Need) policy.Need {
	if late {
		return need
	}
	return 0
}

// heloName returns the greeting if it is a name that the DNS can know, or nothing.
func heloName(q *policy.Request) string {
	if !q.Greeting.HasAddresses() {
		return ""
	}
	return q.Greeting.Name
}

// senderDomain returns the domain of the envelope sender, lower case, or nothing.
func senderDomain(q *policy.Request) string {
	domain := q.Sender.Value[strings.LastIndexByte(q.Sender.Value, '@')+1:]
	if !policy.IsHostname(domain) { // first: a Kelvin sign is lowered to an ASCII k
		return ""
	}
	return strings.ToLower(strings.TrimSuffix(domain, "."))
}

// listable reports whether a list of names can be asked about a name: a legal one of several labels.
func listable(name string) bool {
	return strings.IndexByte(name, '.') > 0 && policy.IsHostname(name)
}

// reverseName returns the client's name, if its reverse lookup is confirmed.
func reverseName(p rbl.PTR) string {
	if p.Status != rbl.PTRConfirmed || len(p.Names) == 0 {
		return ""
	}
	return p.Names[0]
}

// hosts returns the MX hosts that are asked for.
func hosts(mx rbl.Records) []string { return mx.Names[:min(len(mx.Names), maxHosts)] }
