package rbl

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// Lists asks a set of zones about clients and names. It is safe for concurrent use.
//
// It scores nothing of a zone that has not passed its own test (RFC 5782 5), which Run makes.
//
// It remembers what the zones said of the last clients, ListsOptions.Rows of them, and of a quarter as many names: a
// stranger chooses the names, and may not drive the clients out. Each has at most 256 octets a row on average, the least
// recently used go first, and all is lost at the end. What is forgotten is asked again. An answer holds as long as its
// TTL says, but at least a minute and at most an hour; a failure holds for 30 seconds; what a zone said before its state
// changed holds no more.
type Lists struct {
	resolver  asker
	zones     []*Zone
	watches   []*watch // of the zones, in their order
	addresses *panel
	names     *panel
	now       func() time.Time
	start     time.Time // of the process clock
	stirred   chan struct{}
	notices   notices
	servers   servers

	mu    sync.Mutex
	epoch atomic.Uint32 // counts changes of state
}

// ListsOptions set up Lists.
type ListsOptions struct {
	Told func(Notice) // as that of ResolverOptions
	Rows int          // clients remembered; 0: DefaultRows
}

// asker is what Lists need of a resolver.
type asker interface {
	ask(l *lane, name string, kind uint16, done func(Records))
	lane(seats int) *lane
	whenUp(f func())
	Lookup(ctx context.Context, name string, kind uint16) Records
	Public() string
}

// NewLists makes Lists of zones, which may be of both kinds. Every zone is Untested until Run has tested it.
func NewLists(r *Resolver, zones []*Zone, o ListsOptions) *Lists { return newLists(r, zones, o) }

func newLists(r asker, zones []*Zone, o ListsOptions) *Lists {
	if o.Rows <= 0 {
		o.Rows = DefaultRows
	}
	l := &Lists{resolver: r, zones: zones, now: time.Now, stirred: make(chan struct{}, 1)}
	l.start = l.now()
	l.notices.told = o.Told
	l.addresses = newPanel(l, o.Rows)
	l.names = newPanel(l, max(o.Rows/4, 1))
	for _, z := range zones {
		w := &watch{lists: l, zone: z, lane: r.lane(zoneSeats), since: l.start, why: "it has not been tested yet", fix: "wait: that takes a few seconds"}
		p := l.addresses
		if z.Kind == OfNames {
			p = l.names
		}
		p.watches = append(p.watches, w)
		l.watches = append(l.watches, w)
	}
	r.whenUp(l.retest)
	return l
}

// seconds reads the process clock, which no change of the wall clock moves. It begins at 1.
func (l *Lists) seconds() uint32 { return uint32(l.now().Sub(l.start)/time.Second) + 1 }

// Run tests every zone at once, then every 30 minutes, and an unhealthy one when its breaker ends, until ctx ends. It is
// the only goroutine of Lists; nobody is scored without it or Test.
func (l *Lists) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-l.stirred:
		}
		now := l.now()
		for _, w := range l.watches {
			if w.due(now) {
				w.begin()
			}
		}
		next := l.tell(now)
		for _, w := range l.watches {
			next = w.sooner(next)
		}
		timer.Reset(next.Sub(l.now()))
	}
}

// Test tests every zone once, side by side, and returns when all are tested or ctx ends.
func (l *Lists) Test(ctx context.Context) {
	begun := make([]<-chan struct{}, len(l.watches))
	for i, w := range l.watches {
		begun[i] = w.begin()
	}
	for _, done := range begun {
		select {
		case <-done:
		case <-ctx.Done():
			return
		}
	}
	l.tell(l.now().Add(hijackHold))
}

// retest has Run test all zones now: the resolver answers again, and may be another.
func (l *Lists) retest() {
	for _, w := range l.watches {
		w.hasten()
	}
	l.stir()
}

// stir has Run look what is to be done.
func (l *Lists) stir() {
	select {
	case l.stirred <- struct{}{}:
	default:
	}
}

// Check asks the zones of addresses about a client, all at once. When ctx ends, what has been answered counts and the
// rest is Unknown, and goes on into the cache: with a ctx that has ended Check starts and does not wait. The report has
// an answer for each zone of addresses. Without an address it is the zero report.
func (l *Lists) Check(ctx context.Context, client netip.Addr) Report {
	if !client.IsValid() {
		return Report{}
	}
	return l.addresses.check(ctx, ofAddress(client))
}

// CheckName asks the zones of names, as Check does. A name is of the client's choosing, but who answers for it here is the
// zone: servers of his that do not answer hold up no list. What is no host name of two labels or more is Unknown to all zones: nobody lists it, and some take the question for
// abuse.
func (l *Lists) CheckName(ctx context.Context, name string) Report {
	if name == "" {
		return Report{}
	}
	return l.names.check(ctx, l.names.ofName(name))
}

// Text asks for the TXT record of a listing, cleaned (RFC 5782 2.1): what the list has to say about the subject. Ask for
// it only when it will be shown.
func (l *Lists) Text(ctx context.Context, subject string, a *Answer) string {
	if a == nil || a.Zone == nil || a.Status != Listed {
		return ""
	}
	s := subjectOf(a.Zone, subject)
	name, ok := s.question(a.Zone)
	if !ok {
		return ""
	}
	return a.Zone.hide(l.resolver.Lookup(ctx, name, dns.TypeTXT).Text) // printable ASCII
}

// Remembered returns of how many clients and names it is known what the zones said, of how many it may be, and how often it was.
func (l *Lists) Remembered() (clients, names Usage) {
	return l.addresses.rows.usage(), l.names.rows.usage()
}

// States returns the health of each zone, in the order of the zones.
func (l *Lists) States() []ZoneHealth {
	states := make([]ZoneHealth, len(l.watches))
	for i, w := range l.watches {
		states[i] = w.health()
	}
	return states
}
